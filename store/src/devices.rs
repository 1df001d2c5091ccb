//! Devices and what they are known by.
use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use dmwsi_domain::device::{Device, Subscriber};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::id::{DeviceId, OrganisationId};
use dmwsi_domain::identity::{DmIdentity, Identity, IdentityKind};
use dmwsi_domain::tag::Tag;
use dmwsi_domain::{Error, Result};

use crate::column::{damaged, parsed, text, uuid};
use crate::device_row::{Change, Row};
use crate::device_tags::tag_rows;
use crate::schema::{device_identities, device_tags, devices};
use crate::tx::Conn;
use crate::{Tx, failed, insert_all, on, unique};

/// The most rows of one insert on PostgreSQL, which takes 65,535 values in a statement.
const ROWS_PER_INSERT: usize = 1_000;

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
#[diesel(table_name = device_identities)]
struct IdentityRow {
    kind: String,
    value: String,
    device_id: String,
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
        let tags: Vec<_> = devices.iter().flat_map(tag_rows).collect();
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
        insert_all!(self, device_tags::table, tags)
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

    /// What the organisation's devices among `ids` told of themselves.
    pub fn facts_of(&mut self, organisation: OrganisationId, ids: &[DeviceId]) -> Result<BTreeMap<DeviceId, Facts>> {
        let mut known = BTreeMap::new();
        for chunk in ids.chunks(ROWS_PER_INSERT) {
            let found = devices::table
                .filter(devices::id.eq_any(chunk.iter().map(|id| text(id.uuid()))))
                .filter(devices::organisation_id.eq(text(organisation.uuid())))
                .select((devices::id, devices::facts));
            for (id, facts) in on!(self, conn => found.load::<(String, String)>(conn)).map_err(failed)? {
                known.insert(DeviceId::new(uuid(&id)?), parsed(&facts)?);
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
        let DeviceFilter { manufacturer, model, firmware_version, tag, subscriber } = filter;
        // Each combination is answered by an index that has the rows in the order of the page.
        macro_rules! page {
            ($conn:ident, $found:expr) => {{
                let mut found = $found.limit(limit).select(Row::as_select()).into_boxed();
                if let Some(manufacturer) = manufacturer {
                    found = found.filter(devices::manufacturer.eq(manufacturer));
                }
                if let Some(model) = model {
                    found = found.filter(devices::model.eq(model));
                }
                if let Some(version) = firmware_version {
                    found = found.filter(devices::firmware_version.eq(version));
                }
                if let Some(subscriber) = subscriber {
                    found = found.filter(devices::subscriber.eq(subscriber.as_str()));
                }
                found.load($conn)
            }};
        }
        let rows: Vec<Row> = match tag {
            Some(tag) => {
                let tagged = device_tags::table
                    .inner_join(devices::table)
                    .filter(device_tags::organisation_id.eq(organisation))
                    .filter(device_tags::tag.eq(tag.as_str()))
                    .filter(device_tags::device_id.gt(after))
                    .order(device_tags::device_id);
                on!(self, conn => page!(conn, tagged))
            }
            None => {
                let own = devices::table
                    .filter(devices::organisation_id.eq(organisation))
                    .filter(devices::id.gt(after))
                    .order(devices::id);
                on!(self, conn => page!(conn, own))
            }
        }
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
        self.write_tags(device)
    }

    /// Removes a device with its identities, tags and sessions; stale when it has been changed since it was read.
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
