//! A device as external systems see it: by its id for their organisation, without secrets.
use dmwsi_domain::account::{SealedAccount, SealedCredentials, auth_name};
use dmwsi_domain::device::{Device, Identities, Subscriber};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::identity::DmIdentity;
use dmwsi_domain::push_address::PushAddress;
use dmwsi_domain::tag::Tags;
use dmwsi_domain::{Result, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::device_id::DeviceIds;

/// A device of your organisation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Device, example = json!({
    "deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543",
    "dmIdentity": "IMEI:490154203237518",
    "identities": [{"type": "IMEI", "value": "490154203237518"}],
    "account": {
        "serverId": "dm.example.com",
        "client": {"auth": "DIGEST", "name": "device-1"},
        "server": {"auth": "DIGEST", "name": "dm.example.com"},
        "everyMessage": false
    },
    "pushAddress": {"type": "SMS", "msisdn": "***********67"},
    "subscriber": "customer-4711",
    "tags": ["pilot"],
    "facts": {"manufacturer": "Acme", "model": "X1", "firmwareVersion": "1.0.0"},
    "lastSeenAt": "2026-11-21T10:16:02Z",
    "createdAt": "2026-11-21T10:15:30Z",
    "updatedAt": "2026-11-21T10:16:02Z"
}))]
pub struct DeviceView {
    /// Its id. Another organisation would know it by another one.
    #[schema(max_length = 36, pattern = "^dev_[0-9a-f]{32}$")]
    pub device_id: String,
    /// How it presents itself in OMA DM; unique in the server.
    pub dm_identity: DmIdentity,
    /// What else it is known by.
    pub identities: Identities,
    /// How it and this server know each other.
    pub account: AccountView,
    /// Where package 0 goes.
    pub push_address: PushAddressView,
    /// Who uses it, in your words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<Subscriber>,
    /// Words to find it by.
    pub tags: Tags,
    /// What it told of itself.
    pub facts: Facts,
    /// When it last spoke, to within a minute; absent when it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed, by a client or by what it told of itself.
    pub updated_at: Timestamp,
}

/// An account without its secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceAccount)]
pub struct AccountView {
    /// What the device calls this server.
    #[schema(max_length = 64)]
    pub server_id: String,
    /// How the device proves who it is.
    pub client: CredentialsView,
    /// How this server proves who it is, where the device wants that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<CredentialsView>,
    /// Whether the device proves itself in every message.
    pub every_message: bool,
}

/// Credentials without their secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceCredentials)]
pub struct CredentialsView {
    /// `BASIC`, `DIGEST`, `HMAC` or `TRANSPORT`.
    #[schema(max_length = 9)]
    pub auth: &'static str,
    /// The user name.
    #[schema(max_length = 255)]
    pub name: String,
}

/// Where package 0 goes. A phone number is shown by its last two digits only.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "UPPERCASE", rename_all_fields = "camelCase")]
#[schema(as = DevicePushAddress)]
pub enum PushAddressView {
    /// An HTTP gateway that passes it on.
    Http {
        /// Where the gateway takes it.
        #[schema(format = "uri", max_length = 2048)]
        url: String,
    },
    /// Nowhere: the device calls by itself.
    None {},
    /// A short message.
    Sms {
        /// The last two digits of the number.
        #[schema(max_length = 16, example = "***********67")]
        msisdn: String,
    },
    /// A datagram to the device itself.
    Udp {
        /// Its name or IP address.
        #[schema(max_length = 253)]
        host: String,
        /// Its port.
        #[schema(minimum = 1, maximum = 65535)]
        port: u16,
    },
}

impl DeviceView {
    /// The device as its organisation sees it.
    pub fn new(ids: &DeviceIds, device: Device) -> Result<Self> {
        Ok(Self {
            device_id: ids.public(device.organisation, device.id)?,
            dm_identity: device.dm_identity,
            identities: device.identities,
            account: device.account.into(),
            push_address: device.push_address.into(),
            subscriber: device.subscriber,
            tags: device.tags,
            facts: device.facts,
            last_seen_at: device.last_seen_at,
            created_at: device.created_at,
            updated_at: device.updated_at,
        })
    }

    /// Where it is read.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/v1/devices/{}", self.device_id)
    }
}

impl From<SealedAccount> for AccountView {
    fn from(account: SealedAccount) -> Self {
        let SealedAccount { server_id, client, server, every_message } = account;
        Self { server_id, client: client.into(), server: server.map(CredentialsView::from), every_message }
    }
}

impl From<SealedCredentials> for CredentialsView {
    fn from(credentials: SealedCredentials) -> Self {
        Self { auth: auth_name(credentials.auth), name: credentials.name }
    }
}

impl From<PushAddress> for PushAddressView {
    fn from(address: PushAddress) -> Self {
        match address {
            PushAddress::Http { url } => Self::Http { url: url.as_str().to_owned() },
            PushAddress::None {} => Self::None {},
            PushAddress::Sms { msisdn } => Self::Sms { msisdn: msisdn.masked() },
            PushAddress::Udp { host, port } => Self::Udp { host: host.as_str().to_owned(), port: port.get() },
        }
    }
}
