//! Makes the executions of a job that is too big to make them at once.
use dmwsi_domain::id::JobId;
use dmwsi_domain::job::{EXPANDED_PER_TURN, Target};
use dmwsi_domain::{Clock, Error, Result};
use dmwsi_store::Store;

use crate::queue::{Context, Outcome};

/// Makes some thousand executions a transaction; how far it came stands in the job's row, so it goes on there after a crash.
pub(crate) async fn expand(store: &Store, clock: &Clock, job: JobId, context: Context) -> Result<Outcome> {
    loop {
        if context.is_stopping() {
            return Ok(Outcome::Progress(clock.now()));
        }
        let (now, ids) = (clock.now(), clock.new_ids());
        let more = store.write(move |tx| {
            let mut ids = ids;
            let mut job = tx.job(job)?;
            if !job.is_expanding() {
                return Ok(false);
            }
            let Target::Devices { device_ids } = tx.job_target(job.id)?;
            let made = usize::try_from(job.expanded).map_err(Error::internal)?;
            let next: Vec<_> = device_ids.into_iter().skip(made).take(EXPANDED_PER_TURN).collect();
            let started = tx.make_executions(&mut job, &next, now, &mut ids)?;
            let correlator = job.correlator.clone();
            tx.save_job(&mut job, started.as_slice(), correlator.as_deref(), now, &mut ids)?;
            Ok(job.is_expanding())
        });
        match more.await {
            Ok(true) => {}
            // A job that was deleted has nothing to make.
            Ok(false) | Err(Error::NotFound { .. }) => return Ok(Outcome::Done),
            Err(error) => return Err(error),
        }
    }
}
