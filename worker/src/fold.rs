//! Folds what executions did into their job's counts, and decides whether the job is over.
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
            let folded = tx.fold_deltas(&mut job)?;
            let ended = job.settle(now);
            if folded > 0 || ended.is_some() {
                let correlator = job.correlator.clone();
                tx.save_job(&mut job, ended.as_slice(), correlator.as_deref(), now, &mut ids)?;
            }
            Ok(folded)
        });
        match folded.await {
            Ok(0) | Err(Error::NotFound { .. }) => return Ok(Outcome::Done),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
}
