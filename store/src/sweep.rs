//! What time alone brings about: when the next thing falls due, and the standing task that looks.
use std::time::Duration;

use diesel::dsl::{exists, select};
use diesel::prelude::*;
use dmwsi_domain::id::TaskId;
use dmwsi_domain::{Ids, Result, Timestamp};

use crate::column::moment;
use crate::queue::NewTask;
use crate::schema::{executions, idempotency_keys, jobs, sessions};
use crate::{Tx, failed, on};

/// The queue of the one standing task that looks for what falls due.
pub const SWEEP: &str = "sweep.v1";

/// The longest pause between two looks. What falls due sooner than that rings the task for its time.
pub const EVERY: Duration = Duration::from_secs(60);

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

    /// When the next phase of an execution, the next job or a session without a message for `session_idle` is over, in the past when one is
    /// late already.
    pub fn next_due(&mut self, session_idle: Duration) -> Result<Option<Timestamp>> {
        let phase = executions::table
            .filter(executions::due_at.is_not_null())
            .order(executions::due_at)
            .select(executions::due_at)
            .limit(1);
        let phase: Option<Option<i64>> = on!(self, conn => phase.first(conn)).optional().map_err(failed)?;
        let job = jobs::table
            .filter(jobs::finished_at.is_null())
            .filter(jobs::expires_at.is_not_null())
            .order(jobs::expires_at)
            .select(jobs::expires_at)
            .limit(1);
        let job: Option<Option<i64>> = on!(self, conn => job.first(conn)).optional().map_err(failed)?;
        let session = sessions::table.order(sessions::updated_at).select(sessions::updated_at).limit(1);
        let session: Option<i64> = on!(self, conn => session.first(conn)).optional().map_err(failed)?;
        let silent = moment(session).map(|last| last.plus(session_idle));
        Ok([moment(phase.flatten()), moment(job.flatten()), silent].into_iter().flatten().min())
    }

    /// Whether there are answers whose time is over.
    pub fn has_old_idempotency_keys(&mut self, now: Timestamp) -> Result<bool> {
        let old = select(exists(idempotency_keys::table.filter(idempotency_keys::expires_at.le(now.micros()))));
        on!(self, conn => old.get_result(conn)).map_err(failed)
    }
}
