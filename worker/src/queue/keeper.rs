//! Renews the leases of all that this process holds, from a task of its own: no handler, however busy, starves it.
use std::time::Duration;

use dmwsi_domain::Clock;
use dmwsi_store::Store;
use tokio::time::{Instant, sleep};

use super::held::Holds;

/// Renews at a third of `lease`, for ever; its owner aborts it when the last task is settled.
pub(super) async fn keep(store: Store, clock: Clock, holds: Holds, lease: Duration) {
    let mut pause = lease / 3;
    loop {
        sleep(pause).await;
        let held = holds.all();
        pause = lease / 3;
        if held.is_empty() {
            continue;
        }
        let count = held.len();
        let (lease_until, until) = (clock.now().plus(lease), Instant::now() + lease);
        let renewing = held.clone();
        match store.write(move |tx| tx.renew(&renewing, lease_until)).await {
            Ok(renewed) => {
                holds.renew(&held, until);
                if renewed < count {
                    tracing::debug!(lost = count - renewed, "claims were settled or lost meanwhile");
                }
            }
            Err(error) => {
                tracing::warn!(cause = ?error, held = count, "the leases of {count} tasks could not be renewed, trying again");
                pause = lease / 12;
            }
        }
    }
}
