//! The row of a device: what a client changes, its account, and how it stands with the gateway.
use diesel::prelude::*;
use dmwsi_domain::account::{Sealed, SealedAccount, SealedCredentials, auth_name, auth_named};
use dmwsi_domain::device::{Device, Identities, Subscriber};
use dmwsi_domain::id::{ClientId, DeviceId, OrganisationId};
use dmwsi_domain::identity::DmIdentity;
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_objects::dmacc::AuthType;

use crate::column::{damaged, document, micros, moment, parsed, text, uuid};
use crate::schema::devices;

/// All columns.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = devices, treat_none_as_default_value = false)]
pub(crate) struct Row {
    pub(crate) id: String,
    organisation_id: String,
    client_id: String,
    #[diesel(embed)]
    change: Change,
    #[diesel(embed)]
    standing: Standing,
    last_seen_at: Option<i64>,
    created_at: i64,
}

/// The columns that a client changes.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = devices, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(crate) struct Change {
    dm_identity: String,
    #[diesel(embed)]
    account: AccountColumns,
    push_address: Option<String>,
    subscriber: Option<String>,
    tags: String,
    manufacturer: Option<String>,
    model: Option<String>,
    firmware_version: Option<String>,
    facts: String,
    updated_at: i64,
    revision: i64,
}

/// The columns of the account.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = devices, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(crate) struct AccountColumns {
    server_id: String,
    client_auth: String,
    client_name: String,
    client_secret: Vec<u8>,
    server_auth: Option<String>,
    server_name: String,
    server_secret: Option<Vec<u8>>,
    client_proof: String,
}

/// The columns that the gateway changes by themselves.
#[derive(Default, Queryable, Selectable, Insertable)]
#[diesel(table_name = devices, treat_none_as_default_value = false)]
pub(crate) struct Standing {
    pub(crate) server_nonce: Vec<u8>,
    pub(crate) nonce_epoch: i64,
    pub(crate) failed_tries: i64,
    pub(crate) failed_at: Option<i64>,
}

impl TryFrom<&Device> for Row {
    type Error = Error;

    fn try_from(device: &Device) -> Result<Self> {
        Ok(Self {
            id: text(device.id.uuid()),
            organisation_id: text(device.organisation.uuid()),
            client_id: text(device.client.uuid()),
            change: Change::try_from(device)?,
            standing: Standing::default(),
            last_seen_at: micros(device.last_seen_at),
            created_at: device.created_at.micros(),
        })
    }
}

impl TryFrom<&Device> for Change {
    type Error = Error;

    fn try_from(device: &Device) -> Result<Self> {
        Ok(Self {
            dm_identity: device.dm_identity.as_str().to_owned(),
            account: AccountColumns::from(&device.account),
            push_address: Some(document(&device.push_address)?),
            subscriber: device.subscriber.clone().map(String::from),
            tags: document(&device.tags)?,
            manufacturer: device.facts.manufacturer.clone(),
            model: device.facts.model.clone(),
            firmware_version: device.facts.firmware_version.clone(),
            facts: document(&device.facts)?,
            updated_at: device.updated_at.micros(),
            revision: device.revision,
        })
    }
}

impl From<&SealedAccount> for AccountColumns {
    fn from(SealedAccount { server_id, client, server, every_message }: &SealedAccount) -> Self {
        // The column of the way is older than certificates and does not take them; by this one, and without a secret, nobody gets in.
        let client_certified = client.auth == AuthType::Transport;
        let client_auth = if client_certified { AuthType::Digest } else { client.auth };
        Self {
            client_proof: match (client_certified, every_message) {
                (false, false) => "SESSION",
                (false, true) => "EACH_MESSAGE",
                (true, false) => "CERTIFICATE",
                (true, true) => "CERTIFICATE_EACH_MESSAGE",
            }
            .to_owned(),
            server_id: server_id.clone(),
            client_auth: auth_name(client_auth).to_owned(),
            client_name: client.name.clone(),
            client_secret: client.secret.0.clone(),
            server_auth: server.as_ref().map(|server| auth_name(server.auth).to_owned()),
            server_name: server.as_ref().map(|server| server.name.clone()).unwrap_or_default(),
            server_secret: server.as_ref().map(|server| server.secret.0.clone()),
        }
    }
}

impl TryFrom<AccountColumns> for SealedAccount {
    type Error = Error;

    fn try_from(columns: AccountColumns) -> Result<Self> {
        let credentials = |auth: &str, name, secret| {
            let auth = auth_named(auth).ok_or_else(|| damaged("way to authenticate"))?;
            Ok::<_, Error>(SealedCredentials { auth, name, secret: Sealed(secret) })
        };
        let server = match (columns.server_auth, columns.server_secret) {
            (Some(auth), Some(secret)) => Some(credentials(&auth, columns.server_name, secret)?),
            _ => None,
        };
        let mut client = credentials(&columns.client_auth, columns.client_name, columns.client_secret)?;
        if columns.client_proof.starts_with("CERTIFICATE") {
            client.auth = AuthType::Transport;
        }
        Ok(Self { server_id: columns.server_id, client, server, every_message: columns.client_proof.ends_with("EACH_MESSAGE") })
    }
}

impl Row {
    /// The device of this row that has these identities.
    pub(crate) fn device(self, identities: Identities) -> Result<Device> {
        let Self { id, organisation_id, client_id, change, last_seen_at, created_at, .. } = self;
        Ok(Device {
            id: DeviceId::new(uuid(&id)?),
            organisation: OrganisationId::new(uuid(&organisation_id)?),
            client: ClientId::new(uuid(&client_id)?),
            dm_identity: DmIdentity::parse(&change.dm_identity).map_err(Error::internal)?,
            identities,
            account: change.account.try_into()?,
            push_address: change.push_address.as_deref().map(parsed).transpose()?.unwrap_or_default(),
            subscriber: change.subscriber.as_deref().map(Subscriber::parse).transpose().map_err(Error::internal)?,
            tags: parsed(&change.tags)?,
            facts: parsed(&change.facts)?,
            last_seen_at: moment(last_seen_at),
            created_at: Timestamp::from_micros(created_at),
            updated_at: Timestamp::from_micros(change.updated_at),
            revision: change.revision,
        })
    }
}
