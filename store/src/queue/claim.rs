//! Claims: who runs a task, for how long, and what becomes of those whose holder was lost.
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use dmwsi_domain::id::TaskId;
use dmwsi_domain::{Error, Result, Timestamp};
use uuid::Uuid;

use crate::tx::Conn;
use crate::{Tx, failed, on};

/// Who holds a task: the right to settle it, until a later claim has a higher number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Hold {
    /// The queue it stands in.
    pub queue: &'static str,
    /// Which task.
    pub id: TaskId,
    /// Which claim of it.
    pub claim: i64,
}

/// A task in the hands of one worker.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The right to settle it.
    pub hold: Hold,
    /// Its key, where there is one.
    pub key: Option<String>,
    /// The JSON the handler reads.
    pub payload: String,
    /// This attempt, from 1.
    pub attempt: u32,
    /// The last attempt there may be.
    pub max_attempts: u32,
}

/// What a claim found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The tasks, by the time they were due; perhaps none.
    pub claimed: Vec<Claimed>,
    /// When something of the queue is due next: a ready task, or a lease that will have run out. Asked only when fewer were found than wanted.
    pub next: Option<Timestamp>,
}

/// How many tasks of a queue are in a state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Depth {
    /// The queue.
    pub queue: String,
    /// `READY`, `CLAIMED` or `DEAD`.
    pub state: String,
    /// How many.
    pub tasks: i64,
    /// The earliest of their due times.
    pub oldest: Timestamp,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = BigInt)]
    claim: i64,
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<String>,
    #[diesel(sql_type = Text)]
    payload: String,
    #[diesel(sql_type = BigInt)]
    attempt: i64,
    #[diesel(sql_type = BigInt)]
    max_attempts: i64,
    #[diesel(sql_type = BigInt)]
    run_at: i64,
}

impl Row {
    fn claimed(self, queue: &'static str) -> Result<Claimed> {
        let row = self;
        let id = TaskId::new(Uuid::try_parse(&row.id).map_err(Error::internal)?);
        Ok(Claimed {
            hold: Hold { queue, id, claim: row.claim },
            key: row.key,
            payload: row.payload,
            attempt: u32::try_from(row.attempt).map_err(Error::internal)?,
            max_attempts: u32::try_from(row.max_attempts).map_err(Error::internal)?,
        })
    }
}

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = Nullable<BigInt>)]
    at: Option<i64>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Text)]
    queue: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    tasks: i64,
    #[diesel(sql_type = BigInt)]
    oldest: i64,
}

/// `LOCK` is what PostgreSQL needs so that claimers pass each other by; SQLite has one writer.
fn claim_sql(lock: &str) -> String {
    format!(
        "WITH due AS MATERIALIZED (
            SELECT id FROM tasks WHERE queue = $1 AND state = 'READY' AND run_at <= $2 ORDER BY run_at, id LIMIT $3 {lock}
        )
        UPDATE tasks SET state = 'CLAIMED', attempt = attempt + 1, claim = claim + 1, again = FALSE, worker = $4, lease_until = $5
        FROM due WHERE tasks.id = due.id
        RETURNING tasks.id, claim, key, payload, attempt, max_attempts, run_at"
    )
}

const NEXT: &str = "
SELECT MIN(at) AS at FROM (
    SELECT MIN(run_at) AS at FROM tasks WHERE queue = $1 AND state = 'READY'
    UNION ALL
    SELECT MIN(lease_until) AS at FROM tasks WHERE queue = $1 AND state = 'CLAIMED'
) AS due";

const RECOVER: &str = "
UPDATE tasks SET
    state = CASE WHEN attempt >= max_attempts AND NOT again THEN 'DEAD' ELSE 'READY' END,
    attempt = CASE WHEN again THEN 0 ELSE attempt END,
    again = FALSE, worker = NULL, lease_until = NULL, error = 'the worker was lost'
WHERE queue = $1 AND state = 'CLAIMED' AND lease_until <= $2";

const REVIVE: &str = "
UPDATE tasks SET state = 'READY', attempt = 0, run_at = $1 WHERE queue = $2 AND state = 'DEAD'";

const DEPTH: &str = "
SELECT queue, state, COUNT(*) AS tasks, MIN(run_at) AS oldest FROM tasks GROUP BY queue, state ORDER BY queue, state";

impl Tx<'_> {
    /// Claims up to `most` tasks of `queue` that are due, for `worker`, until `lease_until`. Claim no more than there is room to run.
    pub fn claim(
        &mut self,
        queue: &'static str,
        worker: &str,
        most: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Found> {
        let lock = if matches!(self.conn, Conn::Pg(_)) { "FOR UPDATE SKIP LOCKED" } else { "" };
        let query = sql_query(claim_sql(lock))
            .bind::<Text, _>(queue)
            .bind::<BigInt, _>(now.micros())
            .bind::<BigInt, _>(i64::from(most))
            .bind::<Text, _>(worker)
            .bind::<BigInt, _>(lease_until.micros());
        let mut rows: Vec<Row> = on!(self, conn => query.get_results(conn)).map_err(failed)?;
        rows.sort_by(|a, b| (a.run_at, &a.id).cmp(&(b.run_at, &b.id)));
        let claimed: Vec<Claimed> = rows.into_iter().map(|row| row.claimed(queue)).collect::<Result<_>>()?;
        let full = u32::try_from(claimed.len()).is_ok_and(|found| found >= most);
        let next = if full { None } else { self.next_task(queue)? };
        Ok(Found { claimed, next })
    }

    fn next_task(&mut self, queue: &str) -> Result<Option<Timestamp>> {
        let query = sql_query(NEXT).bind::<Text, _>(queue);
        Ok(on!(self, conn => query.get_result::<Next>(conn)).map_err(failed)?.at.map(Timestamp::from_micros))
    }

    /// Takes tasks back whose lease has run out: they are ready again, or dead letters when that was their last attempt. How many.
    pub fn recover_tasks(&mut self, queue: &str, now: Timestamp) -> Result<usize> {
        let query = sql_query(RECOVER).bind::<Text, _>(queue).bind::<BigInt, _>(now.micros());
        on!(self, conn => query.execute(conn)).map_err(failed)
    }

    /// Gives the dead letters of a queue of standing tasks another life. How many.
    pub fn revive_tasks(&mut self, queue: &str, now: Timestamp) -> Result<usize> {
        let query = sql_query(REVIVE).bind::<BigInt, _>(now.micros()).bind::<Text, _>(queue);
        on!(self, conn => query.execute(conn)).map_err(failed)
    }

    /// The number of tasks by queue and state.
    pub fn queue_depth(&mut self) -> Result<Vec<Depth>> {
        let query = sql_query(DEPTH);
        let rows: Vec<Count> = on!(self, conn => query.get_results(conn)).map_err(failed)?;
        let depth = |row: Count| Depth {
            queue: row.queue,
            state: row.state,
            tasks: row.tasks,
            oldest: Timestamp::from_micros(row.oldest),
        };
        Ok(rows.into_iter().map(depth).collect())
    }
}
