//! All tasks of a process, from its start to its end.
use std::time::Duration;

use dmwsi_domain::Clock;
use dmwsi_store::Store;
use tokio::task::JoinSet;

use crate::jobs;
use crate::queue::{Queues, Settings};

/// The pause before the standing tasks are put there again after the database failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs the tasks until `stopped` completes; what runs then may finish.
pub fn spawn(
    background: &mut JoinSet<()>,
    store: &Store,
    clock: &Clock,
    settings: &Settings,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    let (store, clock) = (store.clone(), clock.clone());
    let running = jobs::handle(Queues::new(store.clone(), clock.clone(), settings.clone()), &store, &clock).start();
    background.spawn(async move {
        let install = async {
            while let Err(error) = jobs::install(&store, &clock).await {
                tracing::warn!(cause = ?error, "the standing tasks could not be put there; trying again");
                tokio::time::sleep(AGAIN).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = install => {}
            () = stopped => {}
        }
        running.stop().await;
    });
}
