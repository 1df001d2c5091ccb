//! The log as it is read from outside: parts of it in the order of the numbers, found by columns; what the events say stays text.
use std::collections::BTreeSet;
use std::fmt::Display;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use dmwsi_domain::event::Event;
use dmwsi_domain::id::{ClientId, DeviceId, EventId, JobId, OrganisationId};
use dmwsi_domain::log_entry::LogEntry;
use dmwsi_domain::{Error, Result, Timestamp};

use crate::column::{counted, number, text, uuid};
use crate::{Kept, Tx, failed, on};

/// How many numbers are gone over at once where hardly anything is wanted.
pub const GONE_OVER: u64 = 10_000;

macro_rules! entries {
    ($of:literal) => {
        concat!(
            "SELECT id, number, type, client_id, job_id, device_id, correlator, created_at, data FROM events WHERE ",
            $of,
            " = "
        )
    };
}
const ALL: &str = entries!("organisation_id");
const ALERTS: &str = entries!("alert_type IS NOT NULL AND organisation_id");
const ALERTS_OF_DEVICE: &str = entries!("alert_type IS NOT NULL AND device_id");

/// Which events somebody wants to read. An empty set does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only of these types.
    pub types: BTreeSet<&'static str>,
    /// Only of these jobs.
    pub jobs: BTreeSet<JobId>,
    /// Only of these devices.
    pub devices: BTreeSet<DeviceId>,
}

impl Wanted {
    /// Whether it is everything, so that a page is found at once.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.types.is_empty() && self.jobs.is_empty() && self.devices.is_empty()
    }

    /// Whether it is alerts and faults of devices only, which have indexes of their own.
    fn is_alerts(&self) -> bool {
        !self.types.is_empty() && self.types.iter().all(|kind| Event::ALERTS.contains(kind))
    }

    /// Whether such an index holds little else: jobs, several devices and faults alone, each of which is an alert as well, are chosen from what it brings.
    fn is_indexed(&self) -> bool {
        self.is_alerts() && self.types.contains("dmwsi.v1.device-alert") && self.jobs.is_empty() && self.devices.len() <= 1
    }
}

/// With a comma before and behind each, so that one is found in it by `LIKE`; empty where there is none.
fn listed(texts: impl Iterator<Item = impl Display>) -> String {
    texts.fold(String::new(), |all, text| format!("{}{text},", if all.is_empty() { "," } else { &all }))
}

/// A part of the log.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// What is wanted of it, in the order of the numbers.
    pub entries: Vec<LogEntry>,
    /// The number that it goes to.
    pub until: u64,
    /// Whether there is more behind it.
    pub has_more: bool,
}

#[derive(Queryable)]
struct Row {
    id: String,
    number: i64,
    kind: String,
    client_id: Option<String>,
    job_id: Option<String>,
    device_id: Option<String>,
    correlator: Option<String>,
    created_at: i64,
    data: String,
}

type Columns = (Text, BigInt, Text, Nullable<Text>, Nullable<Text>, Nullable<Text>, Nullable<Text>, BigInt, Text);

impl Row {
    /// None for a type that only a newer version knows.
    fn entry(self) -> Result<Option<LogEntry>> {
        let Some((kind, scope)) = Event::known(&self.kind) else { return Ok(None) };
        let optional = |id: Option<String>| id.as_deref().map(uuid).transpose();
        Ok(Some(LogEntry {
            number: counted(self.number, "number")?,
            id: EventId::new(uuid(&self.id)?),
            kind,
            scope,
            client: optional(self.client_id)?.map(ClientId::new),
            job: optional(self.job_id)?.map(JobId::new),
            device: optional(self.device_id)?.map(DeviceId::new),
            correlator: self.correlator,
            at: Timestamp::from_micros(self.created_at),
            data: self.data,
        }))
    }
}

impl Tx<'_> {
    /// What is wanted of an organisation's log after that number: at most `most` events. It goes on to the last number that was looked at, which is that of
    /// the last event only where there are so many; so whoever goes on from there stays within what is kept. None where what follows the number is not kept
    /// any more. Each statement may see a state of its own: what is looked at ends before what came meanwhile, and what went meanwhile is noticed.
    pub fn log_after(&mut self, organisation: OrganisationId, wanted: &Wanted, after: u64, most: i64) -> Result<Option<Stretch>> {
        // Of what is not found by an index of its own only so much is looked for at once.
        let last = match self.last_number(organisation) {
            Err(Error::NotFound { .. }) => 0,
            last => last?,
        };
        let bound = if wanted.is_indexed() { last } else { last.min(after.saturating_add(GONE_OVER)) };
        let id = text(organisation.uuid());
        let types = listed(wanted.types.iter());
        let jobs = listed(wanted.jobs.iter().map(|job| text(job.uuid())));
        let devices = listed(wanted.devices.iter().map(|device| text(device.uuid())));
        let only = wanted.devices.first().filter(|_| wanted.devices.len() == 1).map(|device| text(device.uuid()));
        let (statement, of) = match (wanted.is_alerts(), &only) {
            (false, _) => (ALL, &id),
            (true, None) => (ALERTS, &id),
            (true, Some(device)) => (ALERTS_OF_DEVICE, device),
        };
        let found = sql::<Columns>(statement)
            .bind::<Text, _>(of)
            .sql(" AND number > ")
            .bind::<BigInt, _>(number(after))
            .sql(" AND number <= ")
            .bind::<BigInt, _>(number(bound))
            .sql(" AND (")
            .bind::<Text, _>(&types)
            .sql(" = '' OR ")
            .bind::<Text, _>(&types)
            .sql(" LIKE '%,' || type || ',%') AND (")
            .bind::<Text, _>(&jobs)
            .sql(" = '' OR ")
            .bind::<Text, _>(&jobs)
            .sql(" LIKE '%,' || job_id || ',%') AND (")
            .bind::<Text, _>(&devices)
            .sql(" = '' OR ")
            .bind::<Text, _>(&devices)
            .sql(" LIKE '%,' || device_id || ',%') ORDER BY number LIMIT ")
            // One more tells whether there is more.
            .bind::<BigInt, _>(most.saturating_add(1));
        let found = Kept(found);
        let mut rows: Vec<Row> = on!(self, conn => found.load(conn)).map_err(failed)?;
        let follows = rows.first().is_some_and(|row| row.number == number(after).saturating_add(1));
        let is_full = usize::try_from(most).is_ok_and(|most| rows.len() > most && rows.pop().is_some());
        // What is forgotten is the beginning of the log, so that nothing is gone of what follows at once.
        if !(is_full && follows) && self.first_event(organisation)? > after.saturating_add(1) {
            return Ok(None);
        }
        let until = match rows.last() {
            Some(row) if is_full => counted(row.number, "number")?,
            _ => bound.max(after),
        };
        let entries = rows.into_iter().filter_map(|row| row.entry().transpose()).collect::<Result<_>>()?;
        Ok(Some(Stretch { entries, until, has_more: is_full || until < last }))
    }
}
