//! Ends every unfinished execution of a job, some hundred a transaction.
use dmwsi_domain::execution::{Execution, ExecutionState, Move};
use dmwsi_domain::id::JobId;
use dmwsi_domain::{Clock, Error, Result, Timestamp};
use dmwsi_store::Store;
use dmwsi_store::jobs::FOLD;

use crate::queue::{Context, Outcome};

/// The executions ended in one transaction.
const CHUNK: i64 = 500;

/// How often a chunk is tried whose executions change at the same time, since their devices are in session.
const TRIES: u32 = 10;

/// Ends them by `end`, then has the job's counts folded, since that decides whether the job is over.
pub(crate) async fn end_all(
    store: &Store,
    clock: &Clock,
    job: JobId,
    context: &Context,
    end: fn(&mut Execution, Timestamp) -> Move,
) -> Result<Outcome> {
    let (mut after, mut tries) = (None, 0_u32);
    loop {
        if context.is_stopping() {
            return Ok(Outcome::Progress(clock.now()));
        }
        let (now, ids) = (clock.now(), clock.new_ids());
        let ended = store.write(move |tx| {
            let mut ids = ids;
            let found = tx.unfinished_of_job(job, after, CHUNK)?;
            let last = found.last().map(|execution| execution.ordinal);
            let ended = found.into_iter().map(|mut execution| {
                let was = execution.state;
                let moved = end(&mut execution, now);
                (was, execution, moved)
            });
            let ended: Vec<_> = ended.collect();
            tx.save_ended(job, &ended, now, &mut ids)?;
            // What has waited for these has its turn.
            let begun = ended.iter().filter(|(was, ..)| *was != ExecutionState::Queued).map(|(_, execution, _)| execution.device);
            tx.open_wakes(&begun.collect::<Vec<_>>(), false, None, now, &mut ids)?;
            if last.is_none() {
                tx.ring_job(FOLD, job, now, &mut ids)?;
            }
            Ok(last)
        });
        match ended.await {
            Ok(None) => return Ok(Outcome::Done),
            Ok(last) => (after, tries) = (last, 0),
            Err(Error::Stale { .. }) if tries < TRIES => tries = tries.saturating_add(1),
            Err(error) => return Err(error),
        }
    }
}
