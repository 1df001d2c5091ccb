//! The log of what happened. Rows are written without a number, in the transaction that made them true; a sequencer numbers them later.
use diesel::prelude::*;
use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::id::{ClientId, DeviceId, EventId, JobId, OrganisationId};
use dmwsi_domain::outline::{Logged, Outline};
use dmwsi_domain::{Error, Result, Timestamp};
use serde_json::{Value, json};

use crate::column::{counted, document, number, parsed, text, uuid};
use crate::event_numbers::LOG;
use crate::schema::{devices, events};
use crate::{Tx, failed, insert_all, on};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = events)]
pub(crate) struct Row {
    id: String,
    organisation_id: String,
    client_id: Option<String>,
    type_: String,
    job_id: Option<String>,
    ordinal: Option<i64>,
    device_id: Option<String>,
    revision: i64,
    data: String,
    correlator: Option<String>,
    created_at: i64,
    alert_type: Option<String>,
}

impl TryFrom<&Recorded> for Row {
    type Error = Error;

    fn try_from(recorded: &Recorded) -> Result<Self> {
        // The type has a column of its own, so only what stands beside it goes into the document.
        let event = serde_json::to_value(&recorded.event).map_err(Error::internal)?;
        Ok(Self {
            id: text(recorded.id.uuid()),
            organisation_id: text(recorded.organisation.uuid()),
            client_id: recorded.client.map(|client| text(client.uuid())),
            type_: recorded.event.type_name().to_owned(),
            job_id: recorded.job.map(|job| text(job.uuid())),
            ordinal: recorded.ordinal.map(i64::from),
            device_id: recorded.device.map(|device| text(device.uuid())),
            revision: number(recorded.revision),
            data: document(event.get("data").unwrap_or(&Value::Null))?,
            correlator: recorded.correlator.clone(),
            created_at: recorded.at.micros(),
            alert_type: recorded.event.alert().map(|(alert_type, _)| alert_type.to_owned()),
        })
    }
}

impl TryFrom<Row> for Recorded {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let event = row.event()?;
        row.recorded(event)
    }
}

impl Row {
    fn event(&self) -> Result<Event> {
        let event = json!({ "type": self.type_, "data": parsed::<Value>(&self.data)? });
        serde_json::from_value(event).map_err(Error::internal)
    }

    fn recorded(self, event: Event) -> Result<Recorded> {
        Ok(Recorded {
            id: EventId::new(uuid(&self.id)?),
            organisation: OrganisationId::new(uuid(&self.organisation_id)?),
            client: optional(self.client_id.as_deref())?.map(ClientId::new),
            job: optional(self.job_id.as_deref())?.map(JobId::new),
            ordinal: self.ordinal.map(|ordinal| counted(ordinal, "ordinal")).transpose()?,
            device: optional(self.device_id.as_deref())?.map(DeviceId::new),
            revision: counted(self.revision, "revision")?,
            correlator: self.correlator,
            at: Timestamp::from_micros(self.created_at),
            event,
        })
    }

    /// The event, or its outline where its data cannot be read: one such must not hold up all others.
    pub(crate) fn logged(self) -> Result<Logged> {
        // What is wrong with it would quote what devices said.
        let Ok(event) = self.event() else {
            tracing::error!(event = self.id, kind = self.type_, "event {} of type {} cannot be read", self.id, self.type_);
            return Ok(Logged::Unreadable(Outline {
                id: EventId::new(uuid(&self.id)?),
                client: optional(self.client_id.as_deref())?.map(ClientId::new),
                job: optional(self.job_id.as_deref())?.map(JobId::new),
                device: optional(self.device_id.as_deref())?.map(DeviceId::new),
                at: Timestamp::from_micros(self.created_at),
                kind: self.type_,
            }));
        };
        Ok(Logged::Told(Box::new(self.recorded(event)?)))
    }
}

fn optional(id: Option<&str>) -> Result<Option<uuid::Uuid>> {
    id.map(uuid).transpose()
}

fn logged(rows: Vec<(i64, Row)>) -> Result<Vec<(u64, Logged)>> {
    rows.into_iter().map(|(number, row)| Ok((counted(number, "number")?, row.logged()?))).collect()
}

/// The events of such types in a part of an organisation's log, with their numbers.
macro_rules! between {
    ($organisation:expr, $after:expr, $until:expr, $types:expr) => {
        events::table
            .filter(events::organisation_id.eq(text($organisation.uuid())))
            .filter(events::number.gt(number($after)))
            .filter(events::number.le(number($until)))
            .filter(events::type_.eq_any($types))
    };
}

impl Tx<'_> {
    /// Writes an event, true as soon as this transaction is.
    pub fn record(&mut self, event: &Recorded) -> Result<()> {
        self.record_all(std::slice::from_ref(event))
    }

    /// Writes events in their order.
    pub fn record_all(&mut self, recorded: &[Recorded]) -> Result<()> {
        let rows = recorded.iter().map(Row::try_from).collect::<Result<Vec<_>>>()?;
        if !rows.is_empty() {
            self.ring(LOG);
        }
        insert_all!(self, events::table, rows.as_slice())
    }

    /// Writes what is told of a device without changing it, as of the revision that it has. `Stale` when it was deleted meanwhile.
    pub fn tell_of_device(
        &mut self,
        device: DeviceId,
        told: impl IntoIterator<Item = (EventId, Event)>,
        now: Timestamp,
    ) -> Result<()> {
        let found = devices::table.find(text(device.uuid())).select((devices::organisation_id, devices::revision));
        let found: Option<(String, i64)> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        let (organisation, revision) = found.ok_or(Error::Stale { what: "device" })?;
        let (organisation, revision) = (OrganisationId::new(uuid(&organisation)?), counted(revision, "revision")?);
        let recorded = |(id, event)| Recorded {
            id,
            organisation,
            client: None,
            job: None,
            ordinal: None,
            device: Some(device),
            revision,
            correlator: None,
            at: now,
            event,
        };
        self.record_all(&told.into_iter().map(recorded).collect::<Vec<_>>())
    }

    /// Those of such types in the log of an organisation after that number and up to another, in the order of the numbers; at most `limit`, the first ones.
    pub(crate) fn logged_events(
        &mut self,
        organisation: OrganisationId,
        (after, until): (u64, u64),
        types: &[&str],
        limit: i64,
    ) -> Result<Vec<(u64, Logged)>> {
        let found = between!(organisation, after, until, types).order(events::number).limit(limit);
        let number = events::number.assume_not_null();
        logged(on!(self, conn => found.select((number, Row::as_select())).load(conn)).map_err(failed)?)
    }

    /// The last of them, the newest first; at most `limit`.
    pub(crate) fn last_events(
        &mut self,
        organisation: OrganisationId,
        (after, until): (u64, u64),
        types: &[&str],
        limit: i64,
    ) -> Result<Vec<(u64, Logged)>> {
        let found = between!(organisation, after, until, types).order(events::number.desc()).limit(limit);
        let number = events::number.assume_not_null();
        logged(on!(self, conn => found.select((number, Row::as_select())).load(conn)).map_err(failed)?)
    }

    /// The last of such types of a device that have a number, the newest first; at most `limit`.
    pub(crate) fn last_device_events(&mut self, device: DeviceId, types: &[&str], limit: i64) -> Result<Vec<(u64, Logged)>> {
        let found = events::table
            .filter(events::device_id.eq(text(device.uuid())))
            .filter(events::type_.eq_any(types))
            .filter(events::number.is_not_null())
            .order(events::id.desc())
            .limit(limit);
        let number = events::number.assume_not_null();
        let rows: Vec<(i64, Row)> = on!(self, conn => found.select((number, Row::as_select())).load(conn)).map_err(failed)?;
        logged(rows)
    }

    /// The number of the event that a job is over, inside none where it has no number yet; none where it is not kept.
    pub fn end_of_job(&mut self, job: JobId) -> Result<Option<Option<u64>>> {
        let found = events::table
            .filter(events::job_id.eq(text(job.uuid())))
            .filter(events::ordinal.is_null())
            .filter(events::type_.eq("dmwsi.v1.job-completed"))
            .select(events::number);
        let found: Option<Option<i64>> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        found.map(|number| number.map(|number| counted(number, "number")).transpose()).transpose()
    }

    /// What happened to one execution, in order; at most `limit`, the first ones.
    pub fn execution_events(&mut self, job: JobId, ordinal: u32, limit: i64) -> Result<Vec<Recorded>> {
        let found = events::table
            .filter(events::job_id.eq(text(job.uuid())))
            .filter(events::ordinal.eq(i64::from(ordinal)))
            .order(events::id)
            .limit(limit);
        let rows = on!(self, conn => found.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(Recorded::try_from).collect()
    }

    /// What happened to a device, in order, after the event of that id; at most `limit`.
    pub fn device_events(&mut self, device: DeviceId, after: Option<EventId>, limit: i64) -> Result<Vec<Recorded>> {
        // Ids sort as text, and the empty text comes before all of them.
        let after = after.map(|event| text(event.uuid())).unwrap_or_default();
        let found = events::table
            .filter(events::device_id.eq(text(device.uuid())))
            .filter(events::id.gt(after))
            .order(events::id)
            .limit(limit);
        let rows = on!(self, conn => found.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(Recorded::try_from).collect()
    }
}
