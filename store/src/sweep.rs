//! What time alone brings about: when the next thing falls due, and the standing task that looks.
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable};
use dmwsi_domain::id::TaskId;
use dmwsi_domain::session_record::BEHIND;
use dmwsi_domain::{Ids, Result, Timestamp};

use crate::column::moment;
use crate::queue::NewTask;
use crate::{Tx, failed, on};

/// The queue of the one standing task that looks for what falls due.
pub const SWEEP: &str = "sweep.v1";

/// The longest pause between two looks: ten minutes. What falls due sooner than that rings the task for its time.
pub const EVERY: Duration = Duration::from_secs(600);

/// The first of everything that time alone brings about.
const OUTLOOK: &str = "SELECT
    (SELECT due_at FROM executions WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1) AS phase,
    (SELECT rests_until FROM executions WHERE rests_until IS NOT NULL ORDER BY rests_until LIMIT 1) AS rest,
    (SELECT expires_at FROM jobs WHERE finished_at IS NULL AND expires_at IS NOT NULL ORDER BY expires_at LIMIT 1) AS job,
    (SELECT updated_at FROM sessions ORDER BY updated_at LIMIT 1) AS session,
    (SELECT expires_at FROM idempotency_keys ORDER BY expires_at LIMIT 1) AS answer,
    (SELECT updated_at FROM imports ORDER BY updated_at LIMIT 1) AS import,
    (SELECT created_at FROM events ORDER BY id LIMIT 1) AS event,
    (SELECT heard_at FROM session_records ORDER BY heard_at LIMIT 1) AS record,
    (SELECT heard_at FROM session_records WHERE ended_at IS NULL ORDER BY heard_at LIMIT 1) AS open_record,
    (SELECT updated_at FROM subscriptions WHERE status IN ('EXPIRED', 'DELETED') ORDER BY updated_at LIMIT 1) AS subscription";

/// How old things may become before the sweep takes them.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// A session without a message.
    pub session_idle: Duration,
    /// An import that nobody has gone on with, and its verdicts.
    pub imports_kept: Duration,
    /// An event of the log, and a subscription since it is over.
    pub events_kept: Duration,
    /// What became of a session, and what was said in it.
    pub sessions_kept: Duration,
}

/// What the sweep has before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outlook {
    /// When the next thing falls due that must not wait for the next regular look.
    pub next: Option<Timestamp>,
    /// Whether there are kept answers, imports, events, subscriptions or records of sessions whose time is over.
    pub is_any_old: bool,
}

impl Tx<'_> {
    /// Has the standing task look at `at`, or earlier where it does so anyway.
    pub fn ring_sweep(&mut self, at: Timestamp, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let task = NewTask::new(SWEEP, SWEEP.to_owned(), &(), at)?;
        self.enqueue(TaskId::new(ids.new_id()), &task, now)
    }

    /// Rings the standing task for something that falls due before its next regular look.
    pub(crate) fn ring_if_soon(&mut self, due: Option<Timestamp>, now: Timestamp, ids: &mut Ids) -> Result<()> {
        match due.filter(|due| *due < now.plus(EVERY)) {
            Some(due) => self.ring_sweep(due, now, ids),
            None => Ok(()),
        }
    }

    /// When the next phase of an execution, the next job or a session is over, in the past when one is late already, and whether something is
    /// old enough to be forgotten. One statement, each part of it answered by the first row of an index.
    pub fn outlook(&mut self, ages: Ages, now: Timestamp) -> Result<Outlook> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Nullable<BigInt>)]
            phase: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            rest: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            job: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            session: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            answer: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            import: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            event: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            record: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            open_record: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            subscription: Option<i64>,
        }
        let row: Row = on!(self, conn => sql_query(OUTLOOK).get_result(conn)).map_err(failed)?;
        let silent = moment(row.session).map(|last| last.plus(ages.session_idle));
        let is_old = |at: Option<i64>, age: Duration| moment(at).is_some_and(|at| at <= now.minus(age));
        Ok(Outlook {
            next: [moment(row.phase), moment(row.rest), moment(row.job), silent].into_iter().flatten().min(),
            is_any_old: is_old(row.answer, Duration::ZERO)
                || is_old(row.import, ages.imports_kept)
                || is_old(row.event, ages.events_kept)
                || is_old(row.record, ages.sessions_kept)
                || is_old(row.open_record, ages.session_idle.saturating_add(BEHIND))
                || is_old(row.subscription, ages.events_kept),
        })
    }
}
