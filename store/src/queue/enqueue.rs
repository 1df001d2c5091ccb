//! A new task, or a ring for one that is there.
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{ExpressionMethods, QueryDsl, QueryableByName, RunQueryDsl, sql_query};
use dmwsi_domain::id::TaskId;
use dmwsi_domain::{Error, Result, Timestamp};
use serde::Serialize;

use super::schema::tasks;
use crate::{Kept, Tx, failed, on};

/// Attempts of a task that says nothing else: with backoff about a day of trying.
const ATTEMPTS: u32 = 25;

/// A task as it is asked for.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The queue's written name (`job.expand.v1`), never derived from a Rust type.
    pub queue: &'static str,
    /// With a key there is one task at most: asking again rings it.
    pub key: Option<String>,
    /// What the handler reads: JSON that names rows, not their content.
    pub payload: String,
    /// Not before this moment.
    pub run_at: Timestamp,
    /// After so many attempts that failed it is a dead letter.
    pub max_attempts: u32,
}

impl NewTask {
    /// A task to be run from `run_at` on, 25 attempts at most.
    pub fn new(queue: &'static str, key: impl Into<Option<String>>, payload: &impl Serialize, run_at: Timestamp) -> Result<Self> {
        let payload = serde_json::to_string(payload).map_err(Error::internal)?;
        Ok(Self { queue, key: key.into(), payload, run_at, max_attempts: ATTEMPTS })
    }
}

/// Rings as they are meant: one for a running task makes it run again at once; one during backoff keeps the later time, otherwise the earlier one
/// counts; one for a dead letter revives it. A time is a hint: a handler that knows of later work says so by `Progress`. The parameters stand in the order of their numbers, which SQLite takes for names.
const ENQUEUE: &str = "
INSERT INTO tasks (id, queue, key, payload, run_at, max_attempts, created_at, state, attempt, claim, again)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'READY', 0, 0, FALSE)
ON CONFLICT (queue, key) DO UPDATE SET
    payload = excluded.payload,
    max_attempts = excluded.max_attempts,
    state = CASE WHEN tasks.state = 'DEAD' THEN 'READY' ELSE tasks.state END,
    attempt = CASE WHEN tasks.state = 'DEAD' THEN 0 ELSE tasks.attempt END,
    again = tasks.state = 'CLAIMED',
    run_at = CASE
        WHEN tasks.state = 'CLAIMED' THEN tasks.run_at
        WHEN tasks.state = 'DEAD' THEN excluded.run_at
        WHEN tasks.state = 'READY' AND tasks.attempt > 0 AND tasks.run_at > excluded.run_at THEN tasks.run_at
        WHEN tasks.state = 'READY' AND tasks.attempt > 0 THEN excluded.run_at
        WHEN tasks.run_at < excluded.run_at THEN tasks.run_at
        ELSE excluded.run_at
    END
RETURNING id";

/// Nothing but that a row was written: a statement with `RETURNING` can stay prepared.
#[derive(QueryableByName)]
pub(super) struct Written {
    #[diesel(sql_type = Text)]
    #[diesel(column_name = id)]
    _id: String,
}

impl Tx<'_> {
    /// Enqueues a task, or rings the one that has its key, and wakes the queue after commit. `id` is the new task's, should it become one.
    pub fn enqueue(&mut self, id: TaskId, task: &NewTask, now: Timestamp) -> Result<()> {
        let query = sql_query(ENQUEUE)
            .bind::<Text, _>(id.uuid().simple().to_string())
            .bind::<Text, _>(task.queue)
            .bind::<Nullable<Text>, _>(task.key.as_deref())
            .bind::<Text, _>(task.payload.as_str())
            .bind::<BigInt, _>(task.run_at.micros())
            .bind::<BigInt, _>(i64::from(task.max_attempts.max(1)))
            .bind::<BigInt, _>(now.micros());
        on!(self, conn => Kept(query).get_result::<Written>(conn)).map_err(failed)?;
        self.ring(task.queue);
        Ok(())
    }

    /// Forgets the task of that key, with its attempts and the time it waits for: what is enqueued then is new. One that runs right now has lost its
    /// claim, so that its end is not written.
    pub(crate) fn withdraw(&mut self, queue: &str, key: &str) -> Result<()> {
        let task = tasks::table.filter(tasks::queue.eq(queue)).filter(tasks::key.eq(key));
        on!(self, conn => diesel::delete(task).execute(conn)).map(drop).map_err(failed)
    }
}
