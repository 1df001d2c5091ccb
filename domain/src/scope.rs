//! Scopes of OAuth2: what a token lets its bearer do.
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The text names no scope of this server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no such scope")]
pub struct UnknownScope;

macro_rules! scopes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)*) => {
        /// One thing a client may be allowed to do: `noun:action`.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Scope {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Scope {
            /// Every scope there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it allows, as a sentence for the documentation.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc,)+).trim(),)*
                }
            }
        }

        impl FromStr for Scope {
            type Err = UnknownScope;

            fn from_str(text: &str) -> Result<Self, UnknownScope> {
                match text {
                    $($text => Ok(Self::$name),)*
                    _ => Err(UnknownScope),
                }
            }
        }
    };
}

scopes! {
    /// Read containers and deliverables.
    ContainersRead = "containers:read";
    /// Deliver containers and withdraw them.
    ContainersWrite = "containers:write";
    /// Have written what tells a device of this server, and so read the secrets of its account.
    DevicesBootstrap = "devices:bootstrap";
    /// Read and search devices.
    DevicesRead = "devices:read";
    /// Have what is said in sessions with devices kept, and read it.
    DevicesTrace = "devices:trace";
    /// Wake devices.
    DevicesWake = "devices:wake";
    /// Create, import, change and delete devices.
    DevicesWrite = "devices:write";
    /// Read what happened to what else one may read.
    EventsRead = "events:read";
    /// Read jobs, their executions and results.
    JobsRead = "jobs:read";
    /// Create and cancel jobs.
    JobsWrite = "jobs:write";
    /// Read one's subscriptions and what became of their deliveries.
    SubscriptionsRead = "subscriptions:read";
    /// Create, change and delete subscriptions, and have events delivered again.
    SubscriptionsWrite = "subscriptions:write";
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of scopes; on the wire and in the row, names in order with a space between (RFC 6749, 3.3).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grants(BTreeSet<Scope>);

impl Grants {
    /// Every scope there is.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `scope` is granted.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether everything in `other` is granted here, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// What both grant.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        self.0.intersection(&other.0).copied().collect()
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Grants {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl FromStr for Grants {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_survive_their_text_and_refuse_unknown_names() {
        let grants: Grants = " jobs:write  devices:read ".parse().unwrap();
        assert_eq!(grants.to_string(), "devices:read jobs:write");
        assert_eq!(grants.to_string().parse(), Ok(grants.clone()));
        assert_eq!("jobs:write jobs:*".parse::<Grants>(), Err(UnknownScope));
        assert!(Grants::all().covers(&grants) && !grants.covers(&Grants::all()));
        assert_eq!("".parse(), Ok(Grants::default()));
    }

    #[test]
    fn every_scope_is_read_from_its_own_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
            assert!(scope.description().ends_with('.'), "{scope}");
        }
    }
}
