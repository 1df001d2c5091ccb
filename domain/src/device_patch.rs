//! A change of a device, as a merge patch (RFC 7396) says it.
use dmwsi_objects::dmacc::AuthType;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::account::{self, Sealed, SealedAccount, SealedCredentials, Secret, Side};
use crate::device::{Device, Identities, Subscriber};
use crate::identity::DmIdentity;
use crate::push_address::PushAddress;
use crate::tag::Tags;
use crate::{Error, Result, Timestamp};

/// What a merge patch says of one member.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Change<T> {
    /// Nothing.
    #[default]
    Keep,
    /// `null`: it goes away.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T> Change<T> {
    /// Changes a member that need not be there.
    pub(crate) fn optional(self, member: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *member = None,
            Self::Set(value) => *member = Some(value),
        }
    }

    /// Changes a member that has a value for "nothing".
    fn emptiable(self, member: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *member = T::default(),
            Self::Set(value) => *member = value,
        }
    }

    /// The new value of a member that must be there.
    fn required(self, pointer: &str) -> Result<Option<T>> {
        match self {
            Self::Keep => Ok(None),
            Self::Clear => Err(cannot_go(pointer)),
            Self::Set(value) => Ok(Some(value)),
        }
    }
}

/// What is to change of a device. A member that is absent stays, one that is `null` goes away; lists are replaced whole.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"subscriber": null, "tags": ["pilot"], "account": {"client": {"secret": "new secret"}}}))]
pub struct DevicePatch {
    /// How it presents itself in OMA DM; cannot go away.
    #[serde(default)]
    #[schema(value_type = Option<DmIdentity>)]
    pub dm_identity: Change<DmIdentity>,
    /// What else it is known by; `null` is the empty list.
    #[serde(default)]
    #[schema(value_type = Option<Identities>)]
    pub identities: Change<Identities>,
    /// The account; cannot go away.
    #[serde(default)]
    #[schema(value_type = Option<AccountPatch>)]
    pub account: Change<AccountPatch>,
    /// Where package 0 goes; `null` is nowhere. Members of another type of address need not be named to go away.
    #[serde(default)]
    #[schema(value_type = Option<PushAddress>)]
    pub push_address: Change<Value>,
    /// Who uses it.
    #[serde(default)]
    #[schema(value_type = Option<Subscriber>)]
    pub subscriber: Change<Subscriber>,
    /// Words to find it by; `null` is the empty list.
    #[serde(default)]
    #[schema(value_type = Option<Tags>)]
    pub tags: Change<Tags>,
}

/// What is to change of an account.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountPatch {
    /// What the device calls this server; cannot go away.
    #[serde(default, deserialize_with = "server_id")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    pub server_id: Change<String>,
    /// How the device proves who it is; cannot go away.
    #[serde(default)]
    #[schema(value_type = Option<CredentialsPatch>)]
    pub client: Change<CredentialsPatch>,
    /// How this server proves who it is. Where there was nothing, all members are needed.
    #[serde(default)]
    #[schema(value_type = Option<CredentialsPatch>)]
    pub server: Change<CredentialsPatch>,
    /// Whether the device proves itself in every message; `null` is no.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub every_message: Change<bool>,
}

/// What is to change of credentials. None of the members can go away.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsPatch {
    /// `BASIC`, `DIGEST`, `HMAC`, or of a device `TRANSPORT`. Whoever had `TRANSPORT` and is to have another needs a secret, too.
    #[serde(default, deserialize_with = "auth_type")]
    #[schema(value_type = Option<String>, pattern = "^(BASIC|DIGEST|HMAC|TRANSPORT)$", max_length = 9)]
    pub auth: Option<AuthType>,
    /// The user name.
    #[serde(default, deserialize_with = "name")]
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// The password.
    #[serde(default, deserialize_with = "secret")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, write_only)]
    pub secret: Option<Secret>,
}

impl DevicePatch {
    /// Changes `device`; `seal` stores away new secrets. True when something is other than before, and then the revision has moved on.
    pub fn apply(
        self,
        device: &mut Device,
        now: Timestamp,
        mut seal: impl FnMut(Side, &Secret) -> Result<Sealed>,
    ) -> Result<bool> {
        let before = device.clone();
        if let Some(dm_identity) = self.dm_identity.required("/dmIdentity")? {
            device.dm_identity = dm_identity;
        }
        self.identities.emptiable(&mut device.identities);
        if let Some(account) = self.account.required("/account")? {
            account.apply(&mut device.account, &mut seal)?;
        }
        match self.push_address {
            Change::Keep => {}
            Change::Clear => device.push_address = PushAddress::default(),
            Change::Set(patch) => device.push_address = merged(&device.push_address, patch)?,
        }
        self.subscriber.optional(&mut device.subscriber);
        self.tags.emptiable(&mut device.tags);
        let changed = *device != before;
        if changed {
            device.updated_at = now;
            device.revision = device.revision.saturating_add(1);
        }
        Ok(changed)
    }
}

impl AccountPatch {
    fn apply(self, account: &mut SealedAccount, seal: &mut impl FnMut(Side, &Secret) -> Result<Sealed>) -> Result<()> {
        if let Some(server_id) = self.server_id.required("/account/serverId")? {
            account.server_id = server_id;
        }
        self.every_message.emptiable(&mut account.every_message);
        if let Some(client) = self.client.required("/account/client")? {
            client.apply(&mut account.client, |secret| seal(Side::Client, secret))?;
        }
        match self.server {
            Change::Keep => {}
            Change::Clear => account.server = None,
            Change::Set(CredentialsPatch { auth: Some(AuthType::Transport), .. }) => {
                return Err(Error::invalid("/account/server/auth", "INVALID_ARGUMENT", account::NO_SERVER));
            }
            Change::Set(patch) => match &mut account.server {
                Some(server) => patch.apply(server, |secret| seal(Side::Server, secret))?,
                None => account.server = Some(patch.whole(|secret| seal(Side::Server, secret))?),
            },
        }
        Ok(())
    }
}

impl CredentialsPatch {
    fn apply(self, credentials: &mut SealedCredentials, seal: impl FnOnce(&Secret) -> Result<Sealed>) -> Result<()> {
        if let Some(auth) = self.auth {
            credentials.auth = auth;
        }
        if let Some(name) = self.name {
            credentials.name = name;
        }
        let refused = |why| Err(Error::invalid("/account/client/secret", "INVALID_ARGUMENT", why));
        match self.secret {
            Some(_) if credentials.auth == AuthType::Transport => return refused(account::NO_SECRET),
            Some(secret) => credentials.secret = seal(&secret)?,
            None if credentials.auth == AuthType::Transport => credentials.secret = Sealed(Vec::new()),
            None if credentials.secret.0.is_empty() => return refused("missing field `secret`"),
            None => {}
        }
        Ok(())
    }

    fn whole(self, seal: impl FnOnce(&Secret) -> Result<Sealed>) -> Result<SealedCredentials> {
        let needed = |field: &str| {
            Error::invalid(format!("/account/server/{field}"), "INVALID_ARGUMENT", format!("missing field `{field}`"))
        };
        Ok(SealedCredentials {
            auth: self.auth.ok_or_else(|| needed("auth"))?,
            name: self.name.ok_or_else(|| needed("name"))?,
            secret: seal(&self.secret.ok_or_else(|| needed("secret"))?)?,
        })
    }
}

/// The address that `patch` makes of `address`. A patch that names another type starts from nothing, as members of the old type have no
/// meaning in the new one.
fn merged(address: &PushAddress, patch: Value) -> Result<PushAddress> {
    let invalid = |detail: String| Error::invalid("/pushAddress", "INVALID_ARGUMENT", detail);
    let Value::Object(patch) = patch else { return Err(invalid("a push address is an object".to_owned())) };
    let mut whole = serde_json::to_value(address).map_err(Error::internal)?;
    if let Value::Object(members) = &mut whole {
        if patch.get("type").is_some_and(|kind| members.get("type") != Some(kind)) {
            members.clear();
        }
        for (name, value) in patch {
            match value {
                Value::Null => members.remove(&name),
                value => members.insert(name, value),
            };
        }
    }
    serde_json::from_value(whole).map_err(|error| invalid(error.to_string()))
}

fn cannot_go(pointer: &str) -> Error {
    Error::invalid(pointer, "INVALID_ARGUMENT", "this member cannot be removed")
}

fn server_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<String>, D::Error> {
    #[derive(Deserialize)]
    struct Given(#[serde(deserialize_with = "account::server_id")] String);
    Ok(match Change::<Given>::deserialize(deserializer)? {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(Given(text)) => Change::Set(text),
    })
}

fn auth_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AuthType>, D::Error> {
    AuthType::deserialize(deserializer).map(Some)
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    account::name(deserializer).map(Some)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Secret::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::device::{NewDevice, Owner};
    use crate::id::{ClientId, DeviceId, OrganisationId};

    fn device() -> Device {
        let new: NewDevice = serde_json::from_value(serde_json::json!({
            "dmIdentity": "IMEI:1", "identities": [{"type": "MAC", "value": "001a2b3c4d5e"}],
            "account": {"serverId": "dm", "client": {"auth": "BASIC", "name": "n", "secret": "old"}},
            "pushAddress": {"type": "UDP", "host": "h.example", "port": 1}, "subscriber": "s", "tags": ["a"],
        }))
        .unwrap();
        let owner = Owner { organisation: OrganisationId::new(Uuid::nil()), client: ClientId::new(Uuid::nil()) };
        let seal = |account: crate::account::Account| account.seal(|_, secret| Ok::<_, ()>(Sealed(secret.as_bytes().to_vec())));
        new.register(DeviceId::new(Uuid::nil()), owner, Timestamp::from_micros(1), seal).unwrap()
    }

    fn change(patch: Value) -> Result<(Device, bool), String> {
        let patch: DevicePatch = serde_json::from_value(patch).map_err(|error| error.to_string())?;
        let mut device = device();
        let changed = patch
            .apply(&mut device, Timestamp::from_micros(2), |_, secret| Ok(Sealed(secret.as_bytes().to_vec())))
            .map_err(|error| error.to_string())?;
        Ok((device, changed))
    }

    #[test]
    fn absent_stays_null_goes_and_a_value_comes() {
        let (same, changed) = change(serde_json::json!({"tags": ["a"]})).unwrap();
        assert!(!changed);
        assert_eq!(same, device());
        let patch =
            serde_json::json!({"subscriber": null, "tags": null, "identities": [], "account": {"client": {"secret": "new"}}});
        let (device, changed) = change(patch).unwrap();
        assert!(changed);
        assert_eq!((device.revision, device.updated_at), (2, Timestamp::from_micros(2)));
        assert_eq!((device.subscriber, device.tags, device.identities), Default::default());
        assert_eq!((device.account.client.secret.0.as_slice(), device.account.client.name.as_str()), (b"new".as_slice(), "n"));
    }

    #[test]
    fn a_push_address_is_merged_within_its_type_and_replaced_by_another() {
        let address = |patch| change(serde_json::json!({ "pushAddress": patch })).map(|(device, _)| device.push_address);
        let read = |value| Ok(serde_json::from_value::<PushAddress>(value).unwrap());
        assert_eq!(
            address(serde_json::json!({"port": 7})),
            read(serde_json::json!({"type": "UDP", "host": "h.example", "port": 7}))
        );
        let sms = serde_json::json!({"type": "SMS", "msisdn": "+491701234567"});
        assert_eq!(address(sms.clone()), read(sms.clone()));
        let strict = serde_json::json!({"type": "SMS", "msisdn": "+491701234567", "host": null, "port": null});
        assert_eq!(address(strict), read(sms));
        assert_eq!(address(Value::Null), Ok(PushAddress::default()));
        assert!(address(serde_json::json!({"host": null})).is_err());
        assert!(address(serde_json::json!("NONE")).is_err());
    }

    #[test]
    fn what_must_be_there_cannot_be_removed() {
        for patch in [
            serde_json::json!({"dmIdentity": null}),
            serde_json::json!({"account": null}),
            serde_json::json!({"account": {"serverId": null}}),
            serde_json::json!({"account": {"client": null}}),
            serde_json::json!({"account": {"client": {"secret": null}}}),
            serde_json::json!({"account": {"client": {"auth": "TRANSPORT", "secret": "new"}}}),
            serde_json::json!({"account": {"server": {"auth": "TRANSPORT", "name": "s"}}}),
            serde_json::json!({"account": {"server": {"auth": "BASIC", "name": "s"}}}),
            serde_json::json!({"facts": {}}),
        ] {
            assert!(change(patch.clone()).is_err(), "{patch}");
        }
        let whole = serde_json::json!({"account": {"server": {"auth": "BASIC", "name": "s", "secret": "t"}}});
        assert!(change(whole).unwrap().0.account.server.is_some());
    }

    #[test]
    fn a_secret_goes_with_the_way_that_needs_one() {
        let patch = serde_json::json!({"account": {"client": {"auth": "TRANSPORT", "name": "cn"}, "everyMessage": true}});
        let (mut certified, _) = change(patch).unwrap();
        assert!(certified.account.client.secret.0.is_empty() && certified.account.every_message);
        let mut apply = |patch: Value| {
            let patch: DevicePatch = serde_json::from_value(patch).unwrap();
            patch.apply(&mut certified, Timestamp::from_micros(3), |_, secret| Ok(Sealed(secret.as_bytes().to_vec())))
        };
        assert!(apply(serde_json::json!({"account": {"client": {"auth": "HMAC"}}})).is_err(), "it has none");
        assert!(apply(serde_json::json!({"account": {"client": {"auth": "HMAC", "secret": "new"}}})).unwrap());
        assert_eq!(
            (certified.account.client.auth, certified.account.client.secret.0.as_slice()),
            (AuthType::Hmac, b"new".as_slice())
        );
    }
}
