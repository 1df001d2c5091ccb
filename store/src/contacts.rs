//! Devices as the gateway needs them, and those who knock without being let in.
use diesel::dsl::{count_star, exists};
use diesel::prelude::*;
use dmwsi_domain::account::auth_named;
use dmwsi_domain::contact::{Contact, Stranger, StrangerReason};
use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::id::{DeviceId, EventId, OrganisationId};
use dmwsi_domain::{Error, Ids, Result, Timestamp};
use dmwsi_objects::dmacc::AuthType;

use crate::column::{counted, damaged, document, moment, number, parsed, text, uuid};
use crate::device_row::{AccountColumns, Standing};
use crate::profiles::TraitsColumns;
use crate::schema::{devices, executions, sessions, strangers, wakes};
use crate::session_records::TracingColumns;
use crate::{Tx, failed, on};

/// The longest description of a stranger kept, in bytes; the rest is cut.
pub const MAX_DESCRIPTION: usize = 1_024;

/// The most devices one statement touches: SQLite takes 32,766 values in one.
const DEVICES_PER_UPDATE: usize = 10_000;

#[derive(Queryable, Selectable)]
#[diesel(table_name = devices)]
struct Row {
    id: String,
    organisation_id: String,
    #[diesel(embed)]
    account: AccountColumns,
    #[diesel(embed)]
    standing: Standing,
    facts: String,
    last_seen_at: Option<i64>,
    revision: i64,
    #[diesel(embed)]
    tracing: TracingColumns,
    #[diesel(embed)]
    traits: TraitsColumns,
}

impl Row {
    fn contact(self, has_work: bool, wake: Option<i64>) -> Result<Contact> {
        let row = self;
        Ok(Contact {
            has_work,
            wake: wake.map(|opening| counted(opening, "opening of a wake")).transpose()?,
            device: DeviceId::new(uuid(&row.id)?),
            organisation: OrganisationId::new(uuid(&row.organisation_id)?),
            account: row.account.try_into()?,
            nonce_epoch: counted(row.standing.nonce_epoch, "nonce epoch")?,
            server_nonce: row.standing.server_nonce,
            failed_tries: counted(row.standing.failed_tries, "number of tries")?,
            failed_at: moment(row.standing.failed_at),
            facts: parsed(&row.facts)?,
            last_seen_at: moment(row.last_seen_at),
            revision: row.revision,
            tracing: row.tracing.tracing()?,
            profile: row.traits.try_into()?,
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = strangers)]
struct StrangerRow {
    dm_identity: String,
    reason: String,
    description: String,
    first_seen_at: i64,
    last_seen_at: i64,
    times: i64,
}

impl TryFrom<StrangerRow> for Stranger {
    type Error = Error;

    fn try_from(row: StrangerRow) -> Result<Self> {
        Ok(Self {
            reason: StrangerReason::named(&row.reason).ok_or_else(|| damaged("reason"))?,
            dm_identity: row.dm_identity,
            description: row.description,
            first_seen_at: Timestamp::from_micros(row.first_seen_at),
            last_seen_at: Timestamp::from_micros(row.last_seen_at),
            times: counted(row.times, "number of times")?,
        })
    }
}

impl Tx<'_> {
    /// The device that presents itself so, whosever it is: one statement, answered by indexes.
    pub fn contact(&mut self, dm_identity: &str) -> Result<Option<Contact>> {
        let found = devices::table
            .left_join(wakes::table.on(wakes::device_id.eq(devices::id).and(wakes::next_at.is_not_null())))
            .filter(devices::dm_identity.eq(dm_identity));
        let executions = executions::table
            .filter(executions::device_id.eq(devices::id))
            .filter(executions::finished_at.is_null())
            .select(executions::ordinal);
        let sessions =
            sessions::table.filter(sessions::device_id.eq(devices::id)).filter(sessions::is_open).select(sessions::generation);
        let row: Option<(Row, bool, bool, Option<i64>)> = on!(self, conn => {
            found.select((Row::as_select(), exists(executions), exists(sessions), wakes::openings.nullable())).first(conn)
        })
        .optional()
        .map_err(failed)?;
        row.map(|(row, executions, sessions, wake)| row.contact(executions || sessions, wake)).transpose()
    }

    /// How many devices there are whose accounts have each pair of ways to prove who one is, that of the device and that of the server.
    pub fn devices_by_auth(&mut self) -> Result<Vec<(AuthType, Option<AuthType>, u64)>> {
        let pair = (devices::client_auth, devices::server_auth);
        let groups = devices::table.group_by(pair).select((devices::client_auth, devices::server_auth, count_star())).order(pair);
        let rows: Vec<(String, Option<String>, i64)> = on!(self, conn => groups.load(conn)).map_err(failed)?;
        let auth = |name: String| auth_named(&name).ok_or_else(|| damaged("way to authenticate"));
        rows.into_iter()
            .map(|(client, server, devices)| {
                Ok((auth(client)?, server.map(auth).transpose()?, counted(devices, "number of devices")?))
            })
            .collect()
    }

    /// Begins a new epoch of the nonces a device is given: `epoch` must be greater than the one before, or it is stale.
    pub fn save_nonce_epoch(&mut self, device: DeviceId, epoch: u64) -> Result<()> {
        let epoch = number(epoch);
        let update = diesel::update(devices::table.find(text(device.uuid())))
            .filter(devices::nonce_epoch.lt(epoch))
            .set(devices::nonce_epoch.eq(epoch));
        match on!(self, conn => update.execute(conn)).map_err(failed)? {
            0 => Err(Error::Stale { what: "device" }),
            _ => Ok(()),
        }
    }

    /// Keeps the nonce a device gave this server for its next credentials.
    pub fn save_server_nonce(&mut self, device: DeviceId, nonce: &[u8]) -> Result<()> {
        let update = diesel::update(devices::table.find(text(device.uuid()))).set(devices::server_nonce.eq(nonce));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// Keeps the nonce that a device is told for this server's first credentials. `Stale` when it has given another meanwhile.
    pub fn begin_server_nonce(&mut self, device: DeviceId, nonce: &[u8]) -> Result<()> {
        let update = diesel::update(devices::table.find(text(device.uuid())))
            .filter(devices::server_nonce.eq(Vec::new()))
            .set(devices::server_nonce.eq(nonce));
        match on!(self, conn => update.execute(conn)).map_err(failed)? {
            0 => Err(Error::Stale { what: "device" }),
            _ => Ok(()),
        }
    }

    /// Keeps what a device told of itself, as a change of the device; the revision it now has. `Stale` when the device was deleted meanwhile.
    pub fn save_facts(&mut self, device: DeviceId, facts: &Facts, now: Timestamp, ids: &mut Ids) -> Result<i64> {
        let update = diesel::update(devices::table.find(text(device.uuid()))).set((
            devices::manufacturer.eq(&facts.manufacturer),
            devices::model.eq(&facts.model),
            devices::firmware_version.eq(&facts.firmware_version),
            devices::facts.eq(document(facts)?),
            devices::updated_at.eq(now.micros()),
            devices::revision.eq(devices::revision + 1),
        ));
        let told =
            on!(self, conn => update.returning((devices::organisation_id, devices::revision)).get_result::<(String, i64)>(conn));
        let (organisation, revision) = told.optional().map_err(failed)?.ok_or(Error::Stale { what: "device" })?;
        self.record(&Recorded {
            id: EventId::new(ids.new_id()),
            organisation: OrganisationId::new(uuid(&organisation)?),
            client: None,
            job: None,
            ordinal: None,
            device: Some(device),
            revision: counted(revision, "revision")?,
            correlator: None,
            at: now,
            event: Event::DeviceUpdated {},
        })?;
        Ok(revision)
    }

    /// Counts a try with wrong credentials; how many there are since the device last proved who it is.
    pub fn count_failed_try(&mut self, device: DeviceId, now: Timestamp) -> Result<u32> {
        let update = diesel::update(devices::table.find(text(device.uuid())))
            .set((devices::failed_tries.eq(devices::failed_tries + 1), devices::failed_at.eq(now.micros())));
        let tries =
            on!(self, conn => update.returning(devices::failed_tries).get_result::<i64>(conn)).optional().map_err(failed)?;
        tries.map_or(Ok(0), |tries| counted(tries, "number of tries"))
    }

    /// Forgets the failed tries of a device that has proven who it is.
    pub fn clear_failed_tries(&mut self, device: DeviceId) -> Result<()> {
        let update = diesel::update(devices::table.find(text(device.uuid())))
            .filter(devices::failed_tries.gt(0))
            .set((devices::failed_tries.eq(0), devices::failed_at.eq(None::<i64>)));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// Notes when devices last spoke; a moment before the one known changes nothing, and no revision moves. Devices of the same moment
    /// share a statement, so the caller rounds.
    pub fn touch(&mut self, seen: &[(DeviceId, Timestamp)]) -> Result<()> {
        let mut seen: Vec<_> = seen.iter().map(|(device, at)| (at.micros(), text(device.uuid()))).collect();
        seen.sort();
        for moment in seen.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((at, _)) = moment.first() else { continue };
            for chunk in moment.chunks(DEVICES_PER_UPDATE) {
                let update = diesel::update(devices::table)
                    .filter(devices::id.eq_any(chunk.iter().map(|(_, id)| id.as_str())))
                    .filter(devices::last_seen_at.is_null().or(devices::last_seen_at.lt(*at)))
                    .set(devices::last_seen_at.eq(*at));
                on!(self, conn => update.execute(conn)).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Notes somebody who was not let in, once for each DM identity. When there are `cap` of them, those who knocked longest ago go.
    pub fn note_stranger(
        &mut self,
        dm_identity: &str,
        reason: StrangerReason,
        description: &str,
        now: Timestamp,
        cap: u32,
    ) -> Result<()> {
        let description = cut(description);
        let again = diesel::update(strangers::table.find(dm_identity)).set((
            strangers::reason.eq(reason.as_str()),
            strangers::description.eq(description),
            strangers::last_seen_at.eq(now.micros()),
            strangers::times.eq(strangers::times + 1),
        ));
        if on!(self, conn => again.execute(conn)).map_err(failed)? > 0 {
            return Ok(());
        }
        self.forget_strangers(cap)?;
        let row = StrangerRow {
            dm_identity: dm_identity.to_owned(),
            reason: reason.as_str().to_owned(),
            description: description.to_owned(),
            first_seen_at: now.micros(),
            last_seen_at: now.micros(),
            times: 1,
        };
        // Two who come at once by the same identity are one.
        let insert = diesel::insert_into(strangers::table).values(&row).on_conflict_do_nothing();
        on!(self, conn => insert.execute(conn)).map(drop).map_err(failed)
    }

    /// Makes room for one more.
    fn forget_strangers(&mut self, cap: u32) -> Result<()> {
        let count = on!(self, conn => strangers::table.count().get_result::<i64>(conn)).map_err(failed)?;
        let over = count.saturating_add(1).saturating_sub(i64::from(cap));
        if over > 0 {
            let oldest = strangers::table.order(strangers::last_seen_at).limit(over).select(strangers::dm_identity);
            let oldest = on!(self, conn => oldest.load::<String>(conn)).map_err(failed)?;
            for chunk in oldest.chunks(DEVICES_PER_UPDATE) {
                let gone = diesel::delete(strangers::table.filter(strangers::dm_identity.eq_any(chunk)));
                on!(self, conn => gone.execute(conn)).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Those who knocked and were not let in, the latest first; at most `limit`.
    pub fn strangers(&mut self, limit: i64) -> Result<Vec<Stranger>> {
        let found = strangers::table.order(strangers::last_seen_at.desc()).limit(limit);
        let rows = on!(self, conn => found.select(StrangerRow::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(Stranger::try_from).collect()
    }
}

/// The longest beginning of at most [`MAX_DESCRIPTION`] bytes that ends between characters.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_DESCRIPTION)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
