//! The tasks that are about jobs and containers, with their queues.
use dmwsi_domain::id::{ContainerId, JobId};
use dmwsi_domain::{Clock, Result};
use dmwsi_store::ingest::Ingest;
use dmwsi_store::jobs::{CANCEL, EXPAND, EXPIRE, FOLD};
use dmwsi_store::sweep::{Ages, SWEEP};
use dmwsi_store::{INGEST, Store};

use crate::cancel::cancel;
use crate::containers::{judge, sweep_containers};
use crate::expand::expand;
use crate::expire::expire;
use crate::fold::fold;
use crate::queue::{Lane, Queues};
use crate::sweep::sweep;

/// Has the queues of jobs run: `job.expand.v1`, `job.fold.v1`, `job.cancel.v1`, `job.expire.v1`, `container.ingest.v1` and the standing
/// `sweep.v1`, which ends and forgets what is older than `ages` allows.
#[must_use]
pub fn handle(queues: Queues, store: &Store, clock: &Clock, ingest: &Ingest, ages: Ages) -> Queues {
    let few = Lane { room: 4, batch: 2, standing: false };
    // A verdict must come, however often its disk or its database failed.
    let verdicts = Lane { room: ingest.settings().ingest_threads.max(1), batch: 2, standing: true };
    let standing = Lane { room: 1, batch: 1, standing: true };
    macro_rules! about_job {
        ($run:ident) => {{
            let (store, clock) = (store.clone(), clock.clone());
            move |job: JobId, context| {
                let (store, clock) = (store.clone(), clock.clone());
                async move { $run(&store, &clock, job, context).await }
            }
        }};
    }
    let (sweeper, time, swept) = (store.clone(), clock.clone(), ingest.clone());
    let ingest = ingest.clone();
    queues
        .handle(EXPAND, few, about_job!(expand))
        .handle(FOLD, Lane::default(), about_job!(fold))
        .handle(CANCEL, few, about_job!(cancel))
        .handle(EXPIRE, few, about_job!(expire))
        .handle(INGEST, verdicts, move |container: ContainerId, _context| {
            let ingest = ingest.clone();
            async move { judge(&ingest, container).await }
        })
        .handle(SWEEP, standing, move |(), _context| {
            let (store, clock, ingest) = (sweeper.clone(), time.clone(), swept.clone());
            async move {
                // A folder that does not answer must not keep jobs and sessions from being ended.
                if let Err(error) = sweep_containers(&store, &clock, &ingest).await {
                    tracing::warn!(cause = ?error, "what containers left behind could not be cleared away: {error}");
                }
                sweep(&store, &clock, ages).await
            }
        })
}

/// Puts the standing task there that sweeps, where it is not there yet. Once for each start of a worker.
pub async fn install(store: &Store, clock: &Clock) -> Result<()> {
    let (now, ids) = (clock.now(), clock.new_ids());
    store.write(move |tx| tx.ring_sweep(now, now, &mut ids.clone())).await
}
