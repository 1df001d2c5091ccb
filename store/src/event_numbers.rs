//! The sequencer's side of the log: events get their numbers after they were committed, one after the other in each organisation, without a gap.
use std::collections::{BTreeMap, BTreeSet};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use dmwsi_domain::id::OrganisationId;
use dmwsi_domain::{Error, Result};
use serde::Deserialize;

use crate::column::{text, uuid};
use crate::distribution::DISTRIBUTE;
use crate::schema::{events, organisations};
use crate::tx::Conn;
use crate::{Kept, Tx, failed, on};

/// The bell of the sequencer: it rings when events without a number were committed.
pub const LOG: &str = "log.number.v1";

/// It stands in the statements themselves: PostgreSQL plans for a tenth of the log where a limit is a parameter.
macro_rules! at_once {
    () => {
        500
    };
}

/// How many events get their numbers in a transaction; at most twice as many where some of them are the later half of an older story.
pub const NUMBERED_AT_ONCE: i64 = at_once!();

const NUMBER: &str =
    "UPDATE events SET number = given.number FROM UNNEST($1, $2) AS given (id, number) WHERE events.id = given.id";

/// PostgreSQL plans [`UNNUMBERED`] by how long the log is, not by how little of it is asked for: left alone it reads all of a backlog, for each part of it.
const BY_INDEX: &str = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL enable_sort = off";

/// What is told of a device without changing it comes behind the change that made its revision.
macro_rules! rank {
    () => {
        "2 * revision + CASE WHEN type IN ('dmwsi.v1.device-alert', 'dmwsi.v1.device-fault', 'dmwsi.v1.device-not-woken',
        'dmwsi.v1.device-refuses-server', 'dmwsi.v1.device-wake-requested') THEN 1 ELSE 0 END"
    };
}

/// The rest of the stories of which a later part is among the oldest. That it has no number, and no job, is said so that no index of such events is of use:
/// in a backlog that holds everything, and the rest of a story is short.
macro_rules! later {
    ($of:literal) => {
        concat!(
            "SELECT events.id, events.job_id, events.ordinal, events.device_id, NULL AS data, ",
            rank!(),
            " AS rank, TRUE AS is_later
            FROM highest CROSS JOIN events WHERE ",
            $of,
            " AND events.id > highest.newest AND COALESCE(events.number, 0) = 0 AND ",
            rank!(),
            " < highest.rank"
        )
    };
}

/// The organisation is a range of one, so that only the index of events without a number has this order: PostgreSQL would take the primary key for the
/// order of ids, and read through all that have one.
///
/// The oldest events without a number, [`NUMBERED_AT_ONCE`] at most, and as many of those that are to be told before one of them, the first ones.
const UNNUMBERED: &str = concat!(
    "WITH oldest AS MATERIALIZED (
        SELECT id, job_id, ordinal, device_id, CASE WHEN job_id IS NULL AND device_id IS NULL THEN data END AS data, ",
    rank!(),
    " AS rank
        FROM events WHERE organisation_id BETWEEN $1 AND $1 AND number IS NULL
        ORDER BY organisation_id, id LIMIT ", at_once!(), "
    ), highest AS MATERIALIZED (
        SELECT job_id, ordinal, CASE WHEN job_id IS NULL THEN device_id END AS device_id, MAX(rank) AS rank, (SELECT MAX(id) FROM oldest) AS newest
        FROM oldest WHERE (SELECT COUNT(*) FROM oldest) >= ", at_once!(), "
        GROUP BY job_id, ordinal, CASE WHEN job_id IS NULL THEN device_id END
    ), later AS (",
    later!("events.job_id = highest.job_id AND events.ordinal = highest.ordinal"),
    " UNION ALL ",
    later!("events.job_id = highest.job_id AND events.ordinal IS NULL AND highest.ordinal IS NULL"),
    " UNION ALL ",
    later!("events.device_id = highest.device_id AND COALESCE(events.job_id, '') = ''"),
    " ORDER BY rank, id LIMIT ", at_once!(), ")
    SELECT id, job_id, ordinal, device_id, data, rank, FALSE AS is_later FROM oldest UNION ALL SELECT * FROM later"
);

#[derive(Clone, Debug, Eq, PartialEq, QueryableByName)]
struct Unnumbered {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Nullable<Text>)]
    job_id: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ordinal: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    device_id: Option<String>,
    /// What it says, where it is about something that has no column.
    #[diesel(sql_type = Nullable<Text>)]
    data: Option<String>,
    /// Its place among the events of its subject.
    #[diesel(sql_type = BigInt)]
    rank: i64,
    #[diesel(sql_type = Bool)]
    is_later: bool,
}

/// What an event's revision counts the changes of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Subject {
    Execution(String, i64),
    Job(String),
    Device(String),
    /// A container or a subscription. They have no column, so that in a backlog of more than [`NUMBERED_AT_ONCE`] only those that are taken up together
    /// follow their revisions, and the others their ids. They are few, and seconds lie between the changes of one by different processes.
    Named(String),
}

/// What the data of an event about a container or a subscription names.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    container_id: Option<String>,
    subscription_id: Option<String>,
}

impl Unnumbered {
    fn subject(&self) -> Option<Subject> {
        match (&self.job_id, self.ordinal, &self.device_id) {
            (Some(job), Some(ordinal), _) => Some(Subject::Execution(job.clone(), ordinal)),
            (Some(job), None, _) => Some(Subject::Job(job.clone())),
            (None, _, Some(device)) => Some(Subject::Device(device.clone())),
            (None, _, None) => {
                let named: Named = serde_json::from_str(self.data.as_deref()?).ok()?;
                named.container_id.or(named.subscription_id).map(Subject::Named)
            }
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

    /// Gives the next numbers to the oldest events of an organisation that have none, [`NUMBERED_AT_ONCE`] or up to twice as many, and tells those who
    /// wait for its log. How many they were.
    ///
    /// The organisation's row is held meanwhile, so that however many do this at once, each number is given once. The events of one execution, job or
    /// device get theirs in the order of its revisions, whatever the clocks said of those who wrote them.
    pub fn number_events(&mut self, organisation: OrganisationId) -> Result<usize> {
        self.hold_organisation(organisation)?;
        let id = text(organisation.uuid());
        if let Conn::Pg(conn) = &mut self.conn {
            conn.batch_execute(BY_INDEX).map_err(failed)?;
        }
        let found = Kept(sql_query(UNNUMBERED).bind::<Text, _>(id.clone()));
        let rows: Vec<Unnumbered> = on!(self, conn => found.load(conn)).map_err(failed)?;
        if rows.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(NUMBERED_AT_ONCE).map_err(Error::internal)?;
        let counter = organisations::table.find(id.clone());
        let next = counter.clone().select(organisations::next_event);
        let next: i64 = on!(self, conn => next.first(conn)).map_err(failed)?;
        let given: Vec<(String, i64)> = in_order(rows, most).into_iter().zip(next..).collect();
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
}

/// The ids in the order in which they get their numbers: by their ids, but those of one subject by its revisions.
fn in_order(mut rows: Vec<Unnumbered>, most: usize) -> Vec<String> {
    // Where there were more of the later ones, what comes behind the last of those must wait for the rest of its story.
    let later: Vec<_> = rows.iter().filter(|row| row.is_later).map(|row| (row.rank, row.id.clone())).collect();
    if let Some(last) = later.iter().max().filter(|_| later.len() >= most) {
        rows.retain(|row| row.data.is_some() || (row.rank, &row.id) <= (last.0, &last.1));
    }
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let mut stories: BTreeMap<Subject, BTreeSet<(i64, String)>> = BTreeMap::new();
    for row in &rows {
        if let Some(subject) = row.subject() {
            stories.entry(subject).or_default().insert((row.rank, row.id.clone()));
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

    fn row(id: &str, job: Option<&str>, device: Option<&str>, rank: i64) -> Unnumbered {
        let of = |text: Option<&str>| text.map(str::to_owned);
        let (job_id, ordinal, device_id) = (of(job), job.map(|_| 0), of(device));
        Unnumbered { id: id.to_owned(), job_id, ordinal, device_id, data: None, rank, is_later: false }
    }

    #[test]
    fn the_events_of_one_subject_are_told_in_the_order_of_its_revisions() {
        let named = |id: &str, data: &str, rank: i64| Unnumbered { data: Some(data.to_owned()), ..row(id, None, None, rank) };
        let rows = vec![
            row("1", None, Some("d"), 2),
            row("2", Some("j"), Some("d"), 5),
            named("3", r#"{"containerId": "c", "verdicts": []}"#, 9),
            row("4", None, Some("d"), 1),
            row("5", Some("j"), Some("d"), 5),
            named("6", r#"{"containerId": "c"}"#, 1),
            row("7", Some("j"), Some("d"), 4),
            named("8", r#"{"subscriptionId": "s"}"#, 1),
        ];
        assert_eq!(in_order(rows, 9), ["4", "7", "6", "1", "2", "3", "5", "8"].map(str::to_owned));
    }

    #[test]
    fn what_would_come_behind_a_part_that_was_not_read_waits() {
        let later = |id: &str, rank: i64| Unnumbered { is_later: true, ..row(id, None, Some("d"), rank) };
        let rows = vec![row("1", None, Some("d"), 9), row("2", None, Some("e"), 3), later("3", 2), later("4", 3)];
        assert_eq!(in_order(rows, 2), ["2", "3", "4"]);
    }
}
