//! A device: who it is, how it and this server know each other, how it is woken, and what is known of it.
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use crate::account::{Account, SealedAccount};
use crate::event::{Event, Recorded};
use crate::facts::{Facts, MAX_FACT};
use crate::id::{ClientId, DeviceId, EventId, OrganisationId};
use crate::identity::{DmIdentity, Identity};
use crate::push_address::PushAddress;
use crate::tag::Tags;
use crate::{Ids, Timestamp};

/// The most identities a device has, its DM identity not counted.
pub const MAX_IDENTITIES: usize = 16;

/// The longest subscriber, in bytes.
pub const MAX_SUBSCRIBER: usize = 128;

/// A device of an organisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its id, inside.
    pub id: DeviceId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// The client that registered it.
    pub client: ClientId,
    /// How it presents itself in OMA DM; unique in the server.
    pub dm_identity: DmIdentity,
    /// What else it is known by.
    pub identities: Identities,
    /// How it and this server know each other.
    pub account: SealedAccount,
    /// Where package 0 goes.
    pub push_address: PushAddress,
    /// Who uses it, in the words of the organisation.
    pub subscriber: Option<Subscriber>,
    /// Words to find it by.
    pub tags: Tags,
    /// What it told of itself.
    pub facts: Facts,
    /// When it last spoke, to within a minute.
    pub last_seen_at: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts its changes, from 1.
    pub revision: i64,
}

impl Device {
    /// What happened to it, for the log.
    #[must_use]
    pub fn tells(&self, event: Event, at: Timestamp, correlator: Option<String>, ids: &mut Ids) -> Recorded {
        Recorded {
            id: EventId::new(ids.new_id()),
            organisation: self.organisation,
            client: None,
            job: None,
            ordinal: None,
            device: Some(self.id),
            revision: u64::try_from(self.revision).unwrap_or_default(),
            correlator,
            at,
            event,
        }
    }
}

/// A device that is to be registered.
#[derive(Clone, Debug, Deserialize, PartialEq, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "dmIdentity": "IMEI:490154203237518",
    "identities": [{"type": "IMEI", "value": "490154203237518"}],
    "account": {
        "serverId": "dm.example.com",
        "client": {"auth": "DIGEST", "name": "device-1", "secret": "correct horse"},
        "server": {"auth": "DIGEST", "name": "dm.example.com", "secret": "battery staple"}
    },
    "pushAddress": {"type": "SMS", "msisdn": "+491701234567"},
    "subscriber": "customer-4711",
    "tags": ["pilot"]
}))]
pub struct NewDevice {
    /// How it presents itself in OMA DM.
    pub dm_identity: DmIdentity,
    /// What else it is known by.
    #[serde(default)]
    pub identities: Identities,
    /// How it and this server know each other.
    pub account: Account,
    /// Where package 0 goes; nowhere when absent.
    #[serde(default)]
    pub push_address: PushAddress,
    /// Who uses it, in the words of the organisation.
    #[serde(default)]
    pub subscriber: Option<Subscriber>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Tags,
    /// What is known of it already; what the device tells later takes its place.
    #[serde(default, deserialize_with = "facts")]
    pub facts: Facts,
}

/// Whose a device is and who registers it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owner {
    /// The organisation.
    pub organisation: OrganisationId,
    /// The client.
    pub client: ClientId,
}

impl NewDevice {
    /// Makes the device of that id; `seal` stores away the secrets.
    pub fn register<E>(
        self,
        id: DeviceId,
        owner: Owner,
        now: Timestamp,
        seal: impl FnOnce(Account) -> Result<SealedAccount, E>,
    ) -> Result<Device, E> {
        Ok(Device {
            id,
            organisation: owner.organisation,
            client: owner.client,
            dm_identity: self.dm_identity,
            identities: self.identities,
            account: seal(self.account)?,
            push_address: self.push_address,
            subscriber: self.subscriber,
            tags: self.tags,
            facts: self.facts,
            last_seen_at: None,
            created_at: now,
            updated_at: now,
            revision: 1,
        })
    }
}

/// What a device is known by beside its DM identity: at most 16, each once.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(try_from = "Vec<Identity>")]
#[schema(value_type = Vec<Identity>, max_items = 16)]
pub struct Identities(Vec<Identity>);

impl Identities {
    /// The identities, ordered by kind and number.
    pub fn iter(&self) -> impl Iterator<Item = &Identity> {
        self.0.iter()
    }
}

impl FromIterator<Identity> for Identities {
    fn from_iter<I: IntoIterator<Item = Identity>>(identities: I) -> Self {
        let mut identities: Vec<_> = identities.into_iter().collect();
        identities.sort();
        identities.dedup();
        Self(identities)
    }
}

impl TryFrom<Vec<Identity>> for Identities {
    type Error = &'static str;

    fn try_from(listed: Vec<Identity>) -> Result<Self, &'static str> {
        let given = listed.len();
        let identities: Self = listed.into_iter().collect();
        if given > MAX_IDENTITIES {
            Err("a device has at most 16 identities")
        } else if identities.0.len() < given {
            Err("each identity is listed once")
        } else {
            Ok(identities)
        }
    }
}

/// Who uses a device, in the words of the organisation: 1 to 128 bytes without control characters. It should not be a phone number.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 128, example = "customer-4711")]
pub struct Subscriber(String);

impl Subscriber {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let fits = (1..=MAX_SUBSCRIBER).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err("a subscriber has 1 to 128 bytes and no control characters") }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Subscriber {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text)
    }
}

impl From<Subscriber> for String {
    fn from(subscriber: Subscriber) -> Self {
        subscriber.0
    }
}

/// Reads facts none of which is longer than those a device may tell.
fn facts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Facts, D::Error> {
    let facts = Facts::deserialize(deserializer)?;
    let texts = [
        &facts.manufacturer,
        &facts.model,
        &facts.firmware_version,
        &facts.software_version,
        &facts.hardware_version,
        &facts.oem,
        &facts.device_type,
        &facts.language,
        &facts.dm_version,
    ];
    let fits = |text: &str| text.len() <= MAX_FACT && !text.chars().any(char::is_control);
    if facts.details_read_at.is_some() {
        return Err(de::Error::custom("detailsReadAt is set by the server"));
    }
    if texts.into_iter().flatten().all(|text| fits(text)) {
        Ok(facts)
    } else {
        Err(de::Error::custom("a fact has at most 256 bytes and no control characters"))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::Clock;
    use crate::account::Sealed;

    const LEAST: &str =
        r#"{"dmIdentity":"IMEI:1","account":{"serverId":"dm","client":{"auth":"BASIC","name":"n","secret":"swordfish"}}}"#;

    fn with(more: &str) -> Result<NewDevice, String> {
        serde_json::from_str(&LEAST.replacen('{', &format!("{{{more},"), 1)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_new_device_needs_its_dm_identity_and_an_account_only() {
        let new: NewDevice = serde_json::from_str(LEAST).unwrap();
        assert_eq!((new.push_address.clone(), new.subscriber.clone(), new.tags.clone()), Default::default());
        let owner = Owner { organisation: OrganisationId::new(Uuid::nil()), client: ClientId::new(Uuid::nil()) };
        let now = Timestamp::from_micros(5);
        let device = new
            .register(DeviceId::new(Clock::System.new_id()), owner, now, |account| {
                account.seal(|_, secret| Ok::<_, ()>(Sealed(secret.as_bytes().to_vec())))
            })
            .unwrap();
        assert_eq!((device.revision, device.created_at, device.updated_at, device.last_seen_at), (1, now, now, None));
        let mut ids = Clock::System.new_ids();
        let told = device.tells(Event::DeviceCreated {}, now, None, &mut ids);
        assert_eq!((told.device, told.revision), (Some(device.id), 1));
        assert!(!format!("{device:?}").contains("swordfish"));
    }

    #[test]
    fn what_a_new_device_cannot_be_is_refused() {
        assert!(with(r#""tags":["a"],"facts":{"model":"X1"},"subscriber":"s""#).is_ok());
        let serial = |n: usize| format!(r#"{{"type":"SERIAL_NUMBER","value":"{n}"}}"#);
        let many = (0..17).map(serial).collect::<Vec<_>>().join(",");
        for wrong in [
            r#""colour":"red""#.to_owned(),
            format!(r#""identities":[{},{}]"#, serial(1), serial(1)),
            format!(r#""identities":[{many}]"#),
            format!(r#""facts":{{"model":"{}"}}"#, "x".repeat(257)),
            r#""facts":{"colour":"red"}"#.to_owned(),
            format!(r#""subscriber":"{}""#, "x".repeat(129)),
            r#""subscriber":"""#.to_owned(),
        ] {
            assert!(with(&wrong).is_err(), "{wrong}");
        }
    }
}
