//! Requests to gateways that run beside the task that wakes devices: who answers slowly keeps nobody else waiting.
use std::collections::HashMap;
use std::sync::Arc;

use dmwsi_store::wakes::{Carriers, Gateway, Woken};
use tokio::sync::Semaphore;
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
    gateways: HashMap<Gateway, Lane>,
}

/// The notifications that are on their way to one gateway.
#[derive(Debug)]
struct Lane {
    /// One place for each request to it that may run at a time.
    places: Arc<Semaphore>,
    /// Held by each task once for each of its notifications.
    under_way: Arc<()>,
}

impl Lane {
    fn under_way(&self) -> usize {
        Arc::strong_count(&self.under_way).saturating_sub(1)
    }
}

impl Posts {
    /// What more may be taken up: nothing for gateways that have as much before them as may wait for one, and nothing for any of them once all
    /// have as much as may wait together.
    pub(super) fn carriers(&mut self, courier: &Courier) -> Carriers {
        self.gateways.retain(|_, lane| lane.under_way() > 0);
        let most_each = courier.settings.per_gateway().saturating_mul(WAITING);
        let most = courier.settings.http_concurrency.max(1).saturating_mul(WAITING);
        // What one of them has beyond its share, taken up in one batch, is its own affair.
        let all: usize = self.gateways.values().map(|lane| lane.under_way().min(most_each)).sum();
        if all >= most {
            return Carriers::Datagrams;
        }
        let is_busy = |lane: &Lane| lane.under_way() >= most_each;
        let mut busy: Vec<_> =
            self.gateways.iter().filter(|(_, lane)| is_busy(lane)).map(|(gateway, _)| gateway.clone()).collect();
        busy.sort_unstable();
        Carriers::AllBut(busy)
    }

    /// Has these handed over, and does not wait for it. Brings back those that go to no gateway.
    pub(super) fn begin(&mut self, courier: &Arc<Courier>, woken: Vec<Woken>) -> Vec<Woken> {
        while self.tasks.try_join_next().is_some() {}
        let (mut others, mut posted) = (Vec::new(), HashMap::<_, Vec<_>>::new());
        for one in woken {
            match Gateway::of(&one.push_address) {
                Some(gateway) => posted.entry(gateway).or_default().push(one),
                None => others.push(one),
            }
        }
        for (gateway, all) in posted {
            let lane = self.gateways.entry(gateway).or_insert_with(|| Lane {
                places: Arc::new(Semaphore::new(courier.settings.per_gateway())),
                under_way: Arc::default(),
            });
            for chunk in all.chunks(PIECE) {
                let (courier, chunk, places) = (Arc::clone(courier), chunk.to_vec(), Arc::clone(&lane.places));
                let held = vec![Arc::clone(&lane.under_way); chunk.len()];
                self.tasks.spawn(async move {
                    if let Err(error) = courier.deliver(chunk, Some(&places)).await {
                        // The attempts are counted, and the next ones come at their times.
                        tracing::warn!(cause = ?error, "what went wrong with notifications could not be written: {error}");
                    }
                    drop(held);
                });
            }
        }
        others
    }
}
