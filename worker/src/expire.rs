//! Ends what is left of a job whose time is over.
use std::time::Duration;

use dmwsi_domain::execution::Execution;
use dmwsi_domain::id::JobId;
use dmwsi_domain::job::JobState;
use dmwsi_domain::{Clock, Error, Result};
use dmwsi_store::Store;

use crate::ending::end_all;
use crate::queue::{Context, Outcome};

/// How long the making of executions is given before it is looked at again.
const EXPANDING: Duration = Duration::from_secs(5);

/// Expires every unfinished execution of a job that is late.
pub(crate) async fn expire(store: &Store, clock: &Clock, job: JobId, context: Context) -> Result<Outcome> {
    let now = clock.now();
    match store.read(move |tx| tx.job(job)).await {
        // All its devices are to be told, also those that have no execution yet.
        Ok(found) if found.is_expanding() => Ok(Outcome::Progress(now.plus(EXPANDING))),
        Ok(found) if found.state.is_finished() || found.state == JobState::Cancelling => Ok(Outcome::Done),
        Ok(found) if found.expires_at.is_some_and(|end| end <= now) => {
            end_all(store, clock, job, &context, Execution::expire).await
        }
        Ok(_) | Err(Error::NotFound { .. }) => Ok(Outcome::Done),
        Err(error) => Err(error),
    }
}
