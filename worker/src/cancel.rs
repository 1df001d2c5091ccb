//! Cancels what is left of a job that its client no longer wants.
use dmwsi_domain::execution::Execution;
use dmwsi_domain::id::JobId;
use dmwsi_domain::job::JobState;
use dmwsi_domain::{Clock, Error, Result};
use dmwsi_store::Store;

use crate::ending::end_all;
use crate::queue::{Context, Outcome};

/// Cancels every unfinished execution of a job that is `CANCELLING`.
pub(crate) async fn cancel(store: &Store, clock: &Clock, job: JobId, context: Context) -> Result<Outcome> {
    match store.read(move |tx| tx.job(job)).await {
        Ok(found) if found.state == JobState::Cancelling => end_all(store, clock, job, &context, Execution::cancel).await,
        Ok(_) | Err(Error::NotFound { .. }) => Ok(Outcome::Done),
        Err(error) => Err(error),
    }
}
