//! Folds what executions did into their job's counts, and decides whether the job is over and whether its progress is to be told.
use dmwsi_domain::id::JobId;
use dmwsi_domain::{Clock, Error, Result};
use dmwsi_store::Store;

use crate::queue::{Context, Outcome};

/// Folds until nothing is left. Whoever waits for the job is woken by the row that this writes.
pub(crate) async fn fold(store: &Store, clock: &Clock, job: JobId, context: Context) -> Result<Outcome> {
    loop {
        if context.is_stopping() {
            return Ok(Outcome::Progress(clock.now()));
        }
        let (now, ids) = (clock.now(), clock.new_ids());
        let folded = store.write(move |tx| {
            let mut ids = ids;
            let mut job = tx.job(job)?;
            let folded = tx.fold_deltas(&mut job, &mut ids)?;
            let told = job.settle(now).or_else(|| job.tell_progress(now));
            if folded > 0 || told.is_some() {
                let correlator = job.correlator.clone();
                tx.save_job(&mut job, told.as_slice(), correlator.as_deref(), now, &mut ids)?;
            }
            Ok((folded, job.progress_due()))
        });
        match folded.await {
            // Its progress is told later. Whatever happens before that rings earlier.
            Ok((0, Some(due))) => return Ok(Outcome::Progress(due.max(now))),
            Ok((0, None)) | Err(Error::NotFound { .. }) => return Ok(Outcome::Done),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
}
