//! Requests to gateways that run beside the task that wakes devices: who answers slowly keeps nobody else waiting.
use std::sync::Arc;

use dmwsi_store::wakes::Woken;
use tokio::task::JoinSet;

use super::courier::Courier;

/// How many notifications wait for each request that may run at a time, until no more are taken up.
const WAITING: usize = 4;

/// How many notifications are handed over by one task.
const PIECE: usize = 32;

/// The notifications that are on their way to gateways. What is under way when it is dropped has lost an attempt.
#[derive(Debug, Default)]
pub(super) struct Posts {
    tasks: JoinSet<()>,
    /// Held by each task once for each of its notifications.
    under_way: Arc<()>,
}

impl Posts {
    /// Whether more may be taken up.
    pub(super) fn has_room(&self, courier: &Courier) -> bool {
        let most = courier.settings.http_concurrency.max(1).saturating_mul(WAITING);
        Arc::strong_count(&self.under_way) <= most
    }

    /// Has these handed over, and does not wait for it.
    pub(super) fn begin(&mut self, courier: &Arc<Courier>, woken: Vec<Woken>) {
        while self.tasks.try_join_next().is_some() {}
        for chunk in woken.chunks(PIECE) {
            let (courier, chunk) = (Arc::clone(courier), chunk.to_vec());
            let held = vec![Arc::clone(&self.under_way); chunk.len()];
            self.tasks.spawn(async move {
                if let Err(error) = courier.deliver(chunk).await {
                    // The attempts are counted, and the next ones come at their times.
                    tracing::warn!(cause = ?error, "what went wrong with notifications could not be written: {error}");
                }
                drop(held);
            });
        }
    }
}
