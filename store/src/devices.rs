//! Devices and what they are known by.
use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::Text;
use dmwsi_domain::account::{Sealed, SealedAccount, SealedCredentials, auth_name, auth_named};
use dmwsi_domain::device::{Device, Identities, Subscriber};
use dmwsi_domain::id::{ClientId, DeviceId, OrganisationId};
use dmwsi_domain::identity::{DmIdentity, Identity, IdentityKind};
use dmwsi_domain::tag::Tag;
use dmwsi_domain::{Error, Result, Timestamp};

use crate::column::{damaged, document, micros, moment, parsed, text, uuid};
use crate::schema::{device_identities, devices};
use crate::tx::Conn;
use crate::{Tx, failed, on, unique};

/// The most rows of one insert on PostgreSQL, which takes 65,535 values in a statement.
const ROWS_PER_INSERT: usize = 1_000;

diesel::define_sql_function! {
    /// `text` with `to` for every `from`; case matters on both databases, unlike with LIKE.
    fn replace(text: Text, from: Text, to: Text) -> Text;
}

/// Which devices of an organisation are listed; an absent member means any.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DeviceFilter {
    /// DevInfo/Man, exactly.
    pub manufacturer: Option<String>,
    /// DevInfo/Mod, exactly.
    pub model: Option<String>,
    /// DevDetail/FwV, exactly.
    pub firmware_version: Option<String>,
    /// One of the tags.
    pub tag: Option<Tag>,
    /// Who uses it.
    pub subscriber: Option<Subscriber>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = devices, treat_none_as_default_value = false)]
struct Row {
    id: String,
    organisation_id: String,
    client_id: String,
    #[diesel(embed)]
    change: Change,
    server_nonce: Vec<u8>,
    nonce_epoch: i64,
    failed_tries: i64,
    failed_at: Option<i64>,
    last_seen_at: Option<i64>,
    created_at: i64,
}

/// The columns that a client changes.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = devices, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(crate) struct Change {
    dm_identity: String,
    server_id: String,
    client_auth: String,
    client_name: String,
    client_secret: Vec<u8>,
    server_auth: Option<String>,
    server_name: String,
    server_secret: Option<Vec<u8>>,
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

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = device_identities)]
struct IdentityRow {
    kind: String,
    value: String,
    device_id: String,
}

impl TryFrom<&Device> for Row {
    type Error = Error;

    fn try_from(device: &Device) -> Result<Self> {
        Ok(Self {
            id: text(device.id.uuid()),
            organisation_id: text(device.organisation.uuid()),
            client_id: text(device.client.uuid()),
            change: Change::try_from(device)?,
            server_nonce: Vec::new(),
            nonce_epoch: 0,
            failed_tries: 0,
            failed_at: None,
            last_seen_at: micros(device.last_seen_at),
            created_at: device.created_at.micros(),
        })
    }
}

impl TryFrom<&Device> for Change {
    type Error = Error;

    fn try_from(device: &Device) -> Result<Self> {
        let SealedAccount { server_id, client, server } = &device.account;
        Ok(Self {
            dm_identity: device.dm_identity.as_str().to_owned(),
            server_id: server_id.clone(),
            client_auth: auth_name(client.auth).to_owned(),
            client_name: client.name.clone(),
            client_secret: client.secret.0.clone(),
            server_auth: server.as_ref().map(|server| auth_name(server.auth).to_owned()),
            server_name: server.as_ref().map(|server| server.name.clone()).unwrap_or_default(),
            server_secret: server.as_ref().map(|server| server.secret.0.clone()),
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

impl Row {
    fn device(self, identities: Identities) -> Result<Device> {
        let Self { id, organisation_id, client_id, change, last_seen_at, created_at, .. } = self;
        Ok(Device {
            id: DeviceId::new(uuid(&id)?),
            organisation: OrganisationId::new(uuid(&organisation_id)?),
            client: ClientId::new(uuid(&client_id)?),
            dm_identity: DmIdentity::parse(&change.dm_identity).map_err(Error::internal)?,
            identities,
            account: account(
                change.server_id,
                (&change.client_auth, change.client_name, change.client_secret),
                (change.server_auth, change.server_name, change.server_secret),
            )?,
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

/// The account in a row.
pub(crate) fn account(
    server_id: String,
    (client_auth, client_name, client_secret): (&str, String, Vec<u8>),
    (server_auth, server_name, server_secret): (Option<String>, String, Option<Vec<u8>>),
) -> Result<SealedAccount> {
    let credentials = |auth: &str, name, secret| {
        let auth = auth_named(auth).ok_or_else(|| damaged("way to authenticate"))?;
        Ok::<_, Error>(SealedCredentials { auth, name, secret: Sealed(secret) })
    };
    let server = match (server_auth, server_secret) {
        (Some(auth), Some(secret)) => Some(credentials(&auth, server_name, secret)?),
        _ => None,
    };
    Ok(SealedAccount { server_id, client: credentials(client_auth, client_name, client_secret)?, server })
}

fn identity_rows(device: &Device) -> impl Iterator<Item = IdentityRow> {
    device.identities.iter().map(|identity| IdentityRow {
        kind: identity.kind().as_str().to_owned(),
        value: identity.value().to_owned(),
        device_id: text(device.id.uuid()),
    })
}

fn taken() -> Error {
    Error::Exists { what: "device of this DM identity" }
}

fn known() -> Error {
    Error::Exists { what: "device of one of these identities" }
}

impl Tx<'_> {
    /// Adds a device. Its DM identity and its identities must be new in the whole server.
    pub fn create_device(&mut self, device: &Device) -> Result<()> {
        if !self.dm_identities_taken(&[&device.dm_identity])?.is_empty() {
            return Err(taken());
        }
        if !self.identities_taken(device.identities.iter())?.is_empty() {
            return Err(known());
        }
        self.insert_devices(std::slice::from_ref(device))
    }

    /// Adds devices whose identities are known to be free; should somebody have been faster, the error is that they exist.
    pub(crate) fn insert_devices(&mut self, devices: &[Device]) -> Result<()> {
        let rows = devices.iter().map(Row::try_from).collect::<Result<Vec<_>>>()?;
        let identities: Vec<_> = devices.iter().flat_map(identity_rows).collect();
        match &mut self.conn {
            Conn::Pg(conn) => {
                for chunk in rows.chunks(ROWS_PER_INSERT) {
                    unique(diesel::insert_into(devices::table).values(chunk).execute(*conn), taken)?;
                }
                for chunk in identities.chunks(ROWS_PER_INSERT) {
                    unique(diesel::insert_into(device_identities::table).values(chunk).execute(*conn), known)?;
                }
            }
            // One statement, prepared once, is faster here than one with many rows.
            Conn::Sqlite(conn) => {
                for row in &rows {
                    unique(diesel::insert_into(devices::table).values(row).execute(*conn), taken)?;
                }
                for row in &identities {
                    unique(diesel::insert_into(device_identities::table).values(row).execute(*conn), known)?;
                }
            }
        }
        Ok(())
    }

    /// The device of that id, when it is one of the organisation's.
    pub fn device(&mut self, organisation: OrganisationId, id: DeviceId) -> Result<Device> {
        let found = devices::table.find(text(id.uuid())).filter(devices::organisation_id.eq(text(organisation.uuid())));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        let row = row.ok_or(Error::NotFound { what: "device" })?;
        let mut devices = self.with_identities(vec![row])?;
        devices.pop().ok_or(Error::NotFound { what: "device" })
    }

    /// Which of `ids` are devices of the organisation.
    pub fn known_devices(&mut self, organisation: OrganisationId, ids: &[DeviceId]) -> Result<BTreeSet<DeviceId>> {
        let mut known = BTreeSet::new();
        for chunk in ids.chunks(ROWS_PER_INSERT) {
            let found = devices::table
                .filter(devices::id.eq_any(chunk.iter().map(|id| text(id.uuid()))))
                .filter(devices::organisation_id.eq(text(organisation.uuid())))
                .select(devices::id);
            for id in on!(self, conn => found.load::<String>(conn)).map_err(failed)? {
                known.insert(DeviceId::new(uuid(&id)?));
            }
        }
        Ok(known)
    }

    /// The devices of an organisation that fit `filter`, in the order in which they were registered, those after `after`; at most `limit`.
    pub fn devices(
        &mut self,
        organisation: OrganisationId,
        filter: &DeviceFilter,
        after: Option<DeviceId>,
        limit: i64,
    ) -> Result<Vec<Device>> {
        // Ids sort as text, and the empty text comes before all of them.
        let after = after.map(|id| text(id.uuid())).unwrap_or_default();
        let organisation = text(organisation.uuid());
        let rows: Vec<Row> = on!(self, conn => {
            let mut found = devices::table
                .filter(devices::organisation_id.eq(organisation))
                .filter(devices::id.gt(after))
                .order(devices::id)
                .limit(limit)
                .select(Row::as_select())
                .into_boxed();
            if let Some(manufacturer) = &filter.manufacturer {
                found = found.filter(devices::manufacturer.eq(manufacturer));
            }
            if let Some(model) = &filter.model {
                found = found.filter(devices::model.eq(model));
            }
            if let Some(version) = &filter.firmware_version {
                found = found.filter(devices::firmware_version.eq(version));
            }
            if let Some(tag) = &filter.tag {
                // No tag holds a quotation mark, so only the whole tag is found between two.
                found = found.filter(replace(devices::tags, format!("\"{}\"", tag.as_str()), "").ne(devices::tags));
            }
            if let Some(subscriber) = &filter.subscriber {
                found = found.filter(devices::subscriber.eq(subscriber.as_str()));
            }
            found.load(conn)
        })
        .map_err(failed)?;
        self.with_identities(rows)
    }

    /// The device that presents itself so, when it is one of the organisation's.
    pub fn device_by_dm_identity(&mut self, organisation: OrganisationId, dm_identity: &DmIdentity) -> Result<Option<Device>> {
        let found = devices::table
            .filter(devices::dm_identity.eq(dm_identity.as_str()))
            .filter(devices::organisation_id.eq(text(organisation.uuid())));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        Ok(self.with_identities(row.into_iter().collect())?.pop())
    }

    /// The device known by that number, when it is one of the organisation's.
    pub fn device_by_identity(&mut self, organisation: OrganisationId, identity: &Identity) -> Result<Option<Device>> {
        let found = devices::table
            .inner_join(device_identities::table.on(device_identities::device_id.eq(devices::id)))
            .filter(device_identities::kind.eq(identity.kind().as_str()))
            .filter(device_identities::value.eq(identity.value()))
            .filter(devices::organisation_id.eq(text(organisation.uuid())));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        Ok(self.with_identities(row.into_iter().collect())?.pop())
    }

    /// Stores a changed device, whose revision has moved on by one; stale when somebody else was faster.
    pub fn update_device(&mut self, device: &Device) -> Result<()> {
        let id = text(device.id.uuid());
        let claimed = devices::table.filter(devices::dm_identity.eq(device.dm_identity.as_str())).filter(devices::id.ne(&id));
        if on!(self, conn => diesel::select(diesel::dsl::exists(claimed)).get_result::<bool>(conn)).map_err(failed)? {
            return Err(taken());
        }
        let owners = self.identities_taken(device.identities.iter())?;
        if owners.values().any(|owner| *owner != id) {
            return Err(known());
        }
        let update = diesel::update(devices::table.find(&id))
            .filter(devices::revision.eq(device.revision.saturating_sub(1)))
            .set(Change::try_from(device)?);
        if unique(on!(self, conn => update.execute(conn)), taken)? == 0 {
            return Err(Error::Stale { what: "device" });
        }
        let before = diesel::delete(device_identities::table.filter(device_identities::device_id.eq(&id)));
        on!(self, conn => before.execute(conn)).map_err(failed)?;
        for row in identity_rows(device) {
            unique(on!(self, conn => diesel::insert_into(device_identities::table).values(&row).execute(conn)), known)?;
        }
        Ok(())
    }

    /// Removes a device with its identities and sessions; stale when it has been changed since it was read.
    pub fn delete_device(&mut self, device: &Device) -> Result<()> {
        let gone = diesel::delete(devices::table.find(text(device.id.uuid()))).filter(devices::revision.eq(device.revision));
        match on!(self, conn => gone.execute(conn)).map_err(failed)? {
            0 => Err(Error::Stale { what: "device" }),
            _ => Ok(()),
        }
    }

    /// Which of these are taken, by whomever.
    pub(crate) fn dm_identities_taken(&mut self, asked: &[&DmIdentity]) -> Result<BTreeSet<String>> {
        let asked = asked.iter().map(|identity| identity.as_str());
        let found = devices::table.filter(devices::dm_identity.eq_any(asked)).select(devices::dm_identity);
        Ok(on!(self, conn => found.load(conn)).map_err(failed)?.into_iter().collect())
    }

    /// Which of these are taken, with the row of the device that has them.
    pub(crate) fn identities_taken<'a>(
        &mut self,
        asked: impl Iterator<Item = &'a Identity>,
    ) -> Result<BTreeMap<(IdentityKind, String), String>> {
        let mut of_kind: BTreeMap<IdentityKind, Vec<&str>> = BTreeMap::new();
        for identity in asked {
            of_kind.entry(identity.kind()).or_default().push(identity.value());
        }
        let mut taken = BTreeMap::new();
        for (kind, values) in of_kind {
            for chunk in values.chunks(ROWS_PER_INSERT) {
                let found = device_identities::table
                    .filter(device_identities::kind.eq(kind.as_str()))
                    .filter(device_identities::value.eq_any(chunk.iter().copied()))
                    .select((device_identities::value, device_identities::device_id));
                let rows = on!(self, conn => found.load::<(String, String)>(conn)).map_err(failed)?;
                taken.extend(rows.into_iter().map(|(value, device)| ((kind, value), device)));
            }
        }
        Ok(taken)
    }

    fn with_identities(&mut self, rows: Vec<Row>) -> Result<Vec<Device>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let found = device_identities::table.filter(device_identities::device_id.eq_any(rows.iter().map(|row| row.id.as_str())));
        let mut identities: BTreeMap<String, Vec<Identity>> = BTreeMap::new();
        for row in on!(self, conn => found.select(IdentityRow::as_select()).load(conn)).map_err(failed)? {
            let kind = IdentityKind::named(&row.kind).ok_or_else(|| damaged("kind of identity"))?;
            identities.entry(row.device_id).or_default().push(Identity::parse(kind, &row.value).map_err(Error::internal)?);
        }
        rows.into_iter()
            .map(|row| {
                let own = identities.remove(&row.id).unwrap_or_default();
                row.device(own.into_iter().collect())
            })
            .collect()
    }
}
