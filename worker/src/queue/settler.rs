//! Writes the ends of tasks, many in one transaction, and does not give up while the database fails.
use std::time::Duration;

use dmwsi_domain::Clock;
use dmwsi_store::Store;
use dmwsi_store::queue::{Settled, Settlement};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::held::{Ended, Holds};

/// Most ends written in one transaction.
const BATCH: usize = 500;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Settles until nobody is left who could end a task.
pub(super) async fn settle(store: Store, clock: Clock, holds: Holds, mut ends: mpsc::UnboundedReceiver<Ended>) {
    let mut batch = Vec::with_capacity(BATCH);
    while ends.recv_many(&mut batch, BATCH).await > 0 {
        let settlements: Vec<Settlement> = batch.iter().map(|ended: &Ended| ended.settlement.clone()).collect();
        let mut pause = FIRST_PAUSE;
        loop {
            let (now, written) = (clock.now(), settlements.clone());
            match store.write(move |tx| tx.settle(&written, now)).await {
                Ok(held) if held < settlements.len() => {
                    let lost = settlements.len() - held;
                    tracing::warn!(lost, "{lost} tasks were settled by a later claim: their leases had run out");
                    break;
                }
                Ok(_all) => break,
                Err(error) => {
                    tracing::warn!(cause = ?error, tasks = settlements.len(), "tasks could not be settled, trying again");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        holds.remove(&settlements);
        count(&settlements);
        // With the ends goes the room they took.
        batch.clear();
    }
}

/// Counts the ends by queue and kind.
fn count(settlements: &[Settlement]) {
    for Settlement { hold, settled } in settlements {
        let end = match settled {
            Settled::Dead { .. } => "dead",
            Settled::Done => "done",
            Settled::Progress { .. } => "progress",
            Settled::PutBack => "put_back",
            Settled::Retry { .. } => "retry",
        };
        metrics::counter!("dmwsi_tasks_ended_total", "queue" => hold.queue, "end" => end).increment(1);
    }
}
