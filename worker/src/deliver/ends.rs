//! How attempts ended, and what is written of that.
use std::sync::Arc;

use dmwsi_domain::delivery::{Attempt, DeliveryError, DeliveryState, Health};
use dmwsi_domain::event::Event;
use dmwsi_domain::subscription::{StatusReason, Subscription};
use dmwsi_domain::{Error, Ids, Result, Timestamp};
use dmwsi_store::Tx;
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
    let is_given_up = state == DeliveryState::Dead && attempt.error != Some(DeliveryError::NotPermitted);
    if is_given_up {
        metrics::counter!("dmwsi_deliveries_total", "outcome" => "dead").increment(1);
    }
    // Who does not take this notice either would be sent one for each, without end.
    let lost = (is_given_up && due.event.kind() != Event::DEAD).then(|| due.event.id());
    let mut attempts = due.attempts;
    attempts.push(attempt);
    SettledDelivery { number: due.number, lost, order_key: due.order_key, attempt: due.attempt, state, attempts, next_at }
}

impl Ends {
    /// Writes them in one transaction, with what they change of the subscription and what that tells.
    pub(super) async fn write(self, deliverer: Arc<Deliverer>, target: Arc<Target>) -> Result<()> {
        let (Self { at, settled, health, notice, off }, subscription) = (self, &target.subscription);
        let (id, revision, store) = (subscription.id, subscription.revision, &deliverer.means.store);
        let (ids, own) = (deliverer.means.clock.new_ids(), Arc::clone(&target));
        if notice.is_none() && off.is_none() {
            return store.write(move |tx| settle(tx, &own.subscription, &settled, health.as_ref(), at, &mut ids.clone())).await;
        }
        let failing_since = health.as_ref().and_then(|health| health.failing_since);
        let told = notice.zip(failing_since).map(|((percent, error), failing_since)| Event::SubscriptionDeliveryFailing {
            subscription_id: id,
            failing_since,
            percent,
            error,
        });
        let (organisation, client) = (subscription.organisation, subscription.client);
        let written = store.write(move |tx| {
            let mut ids = ids;
            let found = tx.subscription_held(organisation, client, id);
            settle(tx, &own.subscription, &settled, health.as_ref(), at, &mut ids)?;
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

/// Writes what became of deliveries to a subscription, and tells once of all that were given up.
fn settle(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    settled: &[SettledDelivery],
    health: Option<&Health>,
    at: Timestamp,
    ids: &mut Ids,
) -> Result<()> {
    let health = health.map(|health| (subscription.revision, health));
    let written = tx.settle_deliveries(subscription.id, settled, health, at)?;
    // One that its client wants again by now is not given up.
    let lost = settled.iter().filter(|one| written.contains(&one.number)).filter_map(|one| {
        let error = one.attempts.last()?.error?;
        Some((one.number, one.lost?, error))
    });
    let Some((_, first_event_id, error)) = lost.clone().min_by_key(|(number, ..)| *number) else { return Ok(()) };
    let count = u64::try_from(lost.count()).unwrap_or(u64::MAX);
    let event = Event::SubscriptionDeliveryDead { subscription_id: subscription.id, count, first_event_id, error };
    tx.record(&subscription.tells(event, at, None, ids))
}
