//! Ids: UUIDv7 inside, prefixed outside. A device is the exception: outside it is known by a sealed id of each organisation.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// The text is not an id of that kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an id of that kind")]
pub struct MalformedId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Uuid);

        impl $name {
            /// What the public form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Names a thing by a UUID, minted by [`crate::Clock::new_id`] or read from a row.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                let hex = text.strip_prefix(Self::PREFIX).ok_or(MalformedId)?;
                let canonical = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if !canonical {
                    return Err(MalformedId);
                }
                Uuid::try_parse(hex).map(Self).map_err(|_malformed| MalformedId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "[0-9a-f]{32}$")))
                    .max_length(Some($prefix.len() + 32))
                    .examples([concat!($prefix, "019a8e5d3c7b7f10a1b2c3d4e5f60718")])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// A client of OAuth2: one program of an organisation.
    ClientId = "cli_";
    /// A delivered container.
    ContainerId = "con_";
    /// A deliverable that was accepted.
    DeliverableId = "dlv_";
    /// A device, inside. Its public form is made per organisation when rendering and never stored; this one stays inside.
    DeviceId = "device_";
    /// An event of the log.
    EventId = "evt_";
    /// A bulk import of devices.
    ImportId = "imp_";
    /// A job.
    JobId = "job_";
    /// An organisation, which owns clients and things.
    OrganisationId = "org_";
    /// A session with a device of which there is a record.
    SessionId = "ses_";
    /// A subscription.
    SubscriptionId = "sub_";
    /// A task of the queue.
    TaskId = "task_";
    /// An upload that can be resumed.
    UploadId = "upl_";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;

    #[test]
    fn an_id_is_read_from_its_own_text_only() {
        let id = JobId::new(Clock::System.new_id());
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().parse::<ClientId>(), Err(MalformedId));
        assert_eq!(id.to_string().to_uppercase().parse::<JobId>(), Err(MalformedId));
        assert_eq!("job_".parse::<JobId>(), Err(MalformedId));
    }
}
