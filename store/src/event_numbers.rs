//! The sequencer's side of the log: events get their numbers after they were committed, one after the other in each organisation, without a gap.
use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use dmwsi_domain::id::OrganisationId;
use dmwsi_domain::{Error, Result};

use crate::column::{text, uuid};
use crate::distribution::DISTRIBUTE;
use crate::schema::{events, organisations};
use crate::tx::Conn;
use crate::{Tx, failed, on};

/// The bell of the sequencer: it rings when events without a number were committed.
pub const LOG: &str = "log.number.v1";

/// How many events get their numbers in a transaction; more where one of them is the later half of an older story.
pub const NUMBERED_AT_ONCE: i64 = 500;

const NUMBER: &str =
    "UPDATE events SET number = given.number FROM UNNEST($1, $2) AS given (id, number) WHERE events.id = given.id";

#[derive(Clone, Debug, Eq, PartialEq, Queryable, Selectable)]
#[diesel(table_name = events)]
struct Unnumbered {
    id: String,
    job_id: Option<String>,
    ordinal: Option<i64>,
    device_id: Option<String>,
    revision: i64,
}

/// What an event's revision counts the changes of. Containers are told of in the order of their events' ids.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Subject {
    Execution(String, i64),
    Job(String),
    Device(String),
}

impl Unnumbered {
    /// None where it tells of no change of it, as an alert does: that keeps the place that its id gives it.
    fn subject(&self) -> Option<Subject> {
        if self.revision == 0 {
            return None;
        }
        match (&self.job_id, self.ordinal, &self.device_id) {
            (Some(job), Some(ordinal), _) => Some(Subject::Execution(job.clone(), ordinal)),
            (Some(job), None, _) => Some(Subject::Job(job.clone())),
            (None, _, Some(device)) => Some(Subject::Device(device.clone())),
            (None, _, None) => None,
        }
    }
}

impl Tx<'_> {
    /// An organisation of whose events some have no number, after that one in the order of ids.
    pub fn unnumbered_after(&mut self, organisation: Option<OrganisationId>) -> Result<Option<OrganisationId>> {
        // Ids sort as text, and the empty text comes before all of them.
        let after = organisation.map(|organisation| text(organisation.uuid())).unwrap_or_default();
        let found = events::table
            .filter(events::number.is_null())
            .filter(events::organisation_id.gt(after))
            .order(events::organisation_id)
            .select(events::organisation_id);
        let found: Option<String> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        found.map(|id| Ok(OrganisationId::new(uuid(&id)?))).transpose()
    }

    /// Gives the next numbers to the oldest events of an organisation that have none, [`NUMBERED_AT_ONCE`] or a few more, and tells those who wait for
    /// its log. How many they were.
    ///
    /// The organisation's row is held meanwhile, so that however many do this at once, each number is given once. The events of one execution, job or
    /// device get theirs in the order of its revisions, whatever the clocks said of those who wrote them.
    pub fn number_events(&mut self, organisation: OrganisationId) -> Result<usize> {
        self.hold_organisation(organisation)?;
        let id = text(organisation.uuid());
        let unnumbered = events::table.filter(events::organisation_id.eq(id.clone())).filter(events::number.is_null());
        let oldest = unnumbered.order(events::id).limit(NUMBERED_AT_ONCE);
        let mut rows: Vec<Unnumbered> = on!(self, conn => oldest.select(Unnumbered::as_select()).load(conn)).map_err(failed)?;
        if i64::try_from(rows.len()).is_ok_and(|count| count >= NUMBERED_AT_ONCE) {
            self.add_earlier(&mut rows)?;
        }
        if rows.is_empty() {
            return Ok(0);
        }
        let counter = organisations::table.find(id.clone());
        let next = counter.clone().select(organisations::next_event);
        let next: i64 = on!(self, conn => next.first(conn)).map_err(failed)?;
        let given: Vec<(String, i64)> = in_order(rows).into_iter().zip(next..).collect();
        let following = given.last().map_or(next, |(_, number)| number.saturating_add(1));
        let advance =
            diesel::update(counter.filter(organisations::next_event.eq(next))).set(organisations::next_event.eq(following));
        if on!(self, conn => advance.execute(conn)).map_err(failed)? != 1 {
            return Err(Error::Stale { what: "log" });
        }
        let count = given.len();
        match &mut self.conn {
            Conn::Pg(conn) => {
                let (ids, numbers): (Vec<_>, Vec<_>) = given.into_iter().unzip();
                sql_query(NUMBER).bind::<Array<Text>, _>(ids).bind::<Array<BigInt>, _>(numbers).execute(*conn).map(drop)
            }
            // One prepared statement for each row is SQLite's fastest way.
            Conn::Sqlite(conn) => given.into_iter().try_for_each(|(id, number)| {
                diesel::update(events::table.find(id)).set(events::number.eq(number)).execute(*conn).map(drop)
            }),
        }
        .map_err(failed)?;
        self.announce(organisation.uuid());
        self.ring(DISTRIBUTE);
        Ok(count)
    }

    /// Adds what the rows leave behind: an event of a lower revision whose id is later, as the clock of whoever wrote it went before the others'.
    fn add_earlier(&mut self, rows: &mut Vec<Unnumbered>) -> Result<()> {
        let Some(last) = rows.last().map(|row| row.id.clone()) else { return Ok(()) };
        let mut highest: BTreeMap<Subject, i64> = BTreeMap::new();
        for row in rows.iter() {
            if let Some(subject) = row.subject() {
                let revision = highest.entry(subject).or_insert(row.revision);
                *revision = row.revision.max(*revision);
            }
        }
        for (subject, revision) in highest {
            let later = events::table
                .filter(events::number.is_null())
                .filter(events::id.gt(last.clone()))
                .filter(events::revision.gt(0))
                .filter(events::revision.lt(revision));
            let found: Vec<Unnumbered> = match subject {
                Subject::Execution(job, ordinal) => {
                    let later = later.filter(events::job_id.eq(job)).filter(events::ordinal.eq(ordinal));
                    on!(self, conn => later.select(Unnumbered::as_select()).load(conn))
                }
                Subject::Job(job) => {
                    let later = later.filter(events::job_id.eq(job)).filter(events::ordinal.is_null());
                    on!(self, conn => later.select(Unnumbered::as_select()).load(conn))
                }
                Subject::Device(device) => {
                    let later = later.filter(events::device_id.eq(device)).filter(events::job_id.is_null());
                    on!(self, conn => later.select(Unnumbered::as_select()).load(conn))
                }
            }
            .map_err(failed)?;
            rows.extend(found);
        }
        Ok(())
    }
}

/// The ids in the order in which they get their numbers: as they come, but those of one subject by their revisions.
fn in_order(rows: Vec<Unnumbered>) -> Vec<String> {
    let mut stories: BTreeMap<Subject, BTreeSet<(i64, String)>> = BTreeMap::new();
    for row in &rows {
        if let Some(subject) = row.subject() {
            stories.entry(subject).or_default().insert((row.revision, row.id.clone()));
        }
    }
    let next = |row: Unnumbered| {
        let story = row.subject().and_then(|subject| stories.get_mut(&subject));
        story.and_then(BTreeSet::pop_first).map_or(row.id, |(_, id)| id)
    };
    rows.into_iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, job: Option<&str>, device: Option<&str>, revision: i64) -> Unnumbered {
        let of = |text: Option<&str>| text.map(str::to_owned);
        Unnumbered { id: id.to_owned(), job_id: of(job), ordinal: job.map(|_| 0), device_id: of(device), revision }
    }

    #[test]
    fn the_events_of_one_subject_are_told_in_the_order_of_its_revisions() {
        let rows = vec![
            row("1", None, Some("d"), 2),
            row("2", Some("j"), Some("d"), 5),
            row("3", None, None, 9),
            row("4", None, Some("d"), 1),
            row("5", Some("j"), Some("d"), 5),
            row("6", None, None, 1),
            row("7", Some("j"), Some("d"), 4),
        ];
        assert_eq!(in_order(rows), ["4", "7", "3", "1", "2", "6", "5"]);
    }

    #[test]
    fn what_changes_nothing_keeps_its_place() {
        let revisions = [1, 0, 3, 2, 0];
        let rows = ["1", "2", "3", "4", "5"].into_iter().zip(revisions).map(|(id, revision)| row(id, None, Some("d"), revision));
        assert_eq!(
            in_order(rows.collect()),
            ["1", "2", "4", "3", "5"],
            "an alert does not go before the registration of its device"
        );
    }
}
