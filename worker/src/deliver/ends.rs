//! How attempts ended, and what is written of that.
use std::sync::Arc;

use dmwsi_domain::delivery::{Attempt, DeliveryError, DeliveryState, Health};
use dmwsi_domain::event::Event;
use dmwsi_domain::subscription::StatusReason;
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_store::deliveries::Due;
use dmwsi_store::settlement::SettledDelivery;

use super::Deliverer;
use super::target::Target;

/// What is to be written of attempts that ended.
pub(super) struct Ends {
    /// When they were looked at.
    pub(super) at: Timestamp,
    /// What became of the deliveries.
    pub(super) settled: Vec<SettledDelivery>,
    /// How the receiver has been doing, where that has changed.
    pub(super) health: Option<Health>,
    /// That it has failed for so long, in percent of what it may, and how it failed last.
    pub(super) notice: Option<(u8, DeliveryError)>,
    /// Why nothing more is delivered to it, where that is so from now on.
    pub(super) off: Option<StatusReason>,
}

/// The delivery of `due` after one more attempt; `next_at` where there is to be another.
pub(super) fn settled(due: Due, attempt: Attempt, state: DeliveryState, next_at: Option<Timestamp>) -> SettledDelivery {
    let mut attempts = due.attempts;
    attempts.push(attempt);
    SettledDelivery { number: due.number, order_key: due.order_key, attempt: due.attempt, state, attempts, next_at }
}

impl Ends {
    /// Writes them in one transaction, with what they change of the subscription and what that tells.
    pub(super) async fn write(self, deliverer: Arc<Deliverer>, target: Arc<Target>) -> Result<()> {
        let (Self { at, settled, health, notice, off }, subscription) = (self, &target.subscription);
        let (id, revision, store) = (subscription.id, subscription.revision, &deliverer.means.store);
        if notice.is_none() && off.is_none() {
            return store
                .write(move |tx| tx.settle_deliveries(id, &settled, health.as_ref().map(|own| (revision, own)), at))
                .await;
        }
        let failing_since = health.as_ref().and_then(|health| health.failing_since);
        let told = notice.zip(failing_since).map(|((percent, error), failing_since)| Event::SubscriptionDeliveryFailing {
            subscription_id: id,
            failing_since,
            percent,
            error,
        });
        let (ids, organisation, client) = (deliverer.means.clock.new_ids(), subscription.organisation, subscription.client);
        let written = store.write(move |tx| {
            let mut ids = ids;
            let found = tx.subscription_held(organisation, client, id);
            tx.settle_deliveries(id, &settled, health.as_ref().map(|own| (revision, own)), at)?;
            let mut found = match found {
                Ok(found) if found.revision == revision => found,
                // Changed or deleted meanwhile: what its receiver did before says nothing of it any more.
                Ok(_) | Err(Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            if let Some(health) = &health {
                found.health = health.clone();
            }
            let mut events: Vec<_> = told.iter().cloned().collect();
            match off.map(|reason| found.switch(false, Some(reason), at)) {
                // What is over cannot be switched off.
                Some(Ok(Some(event))) => {
                    events.push(event);
                    tx.save_subscription(&found, events, None, at, &mut ids)
                }
                _ => {
                    let told: Vec<_> = events.into_iter().map(|event| found.tells(event, at, None, &mut ids)).collect();
                    tx.record_all(&told)
                }
            }
        });
        written.await
    }
}
