//! Whom a run of deliveries is for, as it stands at that time.
use dmwsi_domain::delivery::Health;
use dmwsi_domain::event::Recorded;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::scope::Grants;
use dmwsi_domain::subscription::{Subscription, SubscriptionStatus};
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_store::subscriptions::{DELIVER, DELIVER_TROUBLED};
use dmwsi_store::webhook_secrets::WebhookSecrets;
use url::Url;

use super::Deliverer;
use crate::queue::Outcome;

/// A subscription with all that a delivery needs.
pub(super) struct Target {
    pub(super) subscription: Subscription,
    pub(super) secrets: WebhookSecrets,
    pub(super) sink: Option<Url>,
    /// How many deliveries a minute its receiver gets at most: the least that any subscription of the organisation to the same endpoint wants.
    pub(super) rate: Option<u32>,
    /// Until when it waits for turns of that rate.
    pub(super) paced_until: Option<Timestamp>,
    /// What its client may read; none when the client is revoked.
    grants: Option<Grants>,
}

impl Target {
    /// Whether earlier events are still being laid out for it, which come first.
    pub(super) fn is_catching_up(&self) -> bool {
        self.subscription.recovery.is_some() && !self.subscription.status.is_over()
    }

    /// Whether its client may (still) be told of an event.
    pub(super) fn may_have(&self, recorded: &Recorded) -> bool {
        self.grants.as_ref().is_some_and(|grants| grants.allows(recorded.event.scope()))
    }
}

impl Deliverer {
    /// The target of that id; none when nothing is to be delivered to it. What is over still gets what happened before.
    pub(super) async fn target(&self, id: SubscriptionId) -> Result<Option<Target>> {
        let found = self.means.store.glance(move |tx| {
            let subscription = tx.subscription(id)?;
            let client = tx.client(subscription.client)?;
            // One that is over does not count for the others, but goes by what they have.
            let rate = tx.strictest_rate(&subscription)?.or(subscription.pace());
            let promised = rate.map(|rate| tx.promised_turns(id, rate)).transpose()?.flatten();
            Ok((subscription, client.is_active().then_some(client.scopes), rate, promised.map(|turns| turns.at)))
        });
        let (subscription, grants, rate, paced_until) = match found.await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if matches!(subscription.status, SubscriptionStatus::Inactive | SubscriptionStatus::ActivationRequested) {
            return Ok(None);
        }
        let secrets = self.means.sealing.open_webhook(id, &subscription.secrets)?;
        let sink = Url::parse(&subscription.sink).ok();
        Ok(Some(Target { subscription, secrets, sink, rate, paced_until, grants }))
    }
    /// Leaves the rest of a subscription's deliveries to the other of the two queues.
    pub(super) async fn hand_over(&self, id: SubscriptionId, health: Option<(i64, Health)>) -> Result<Outcome> {
        let (now, ids) = (self.means.clock.now(), self.means.clock.new_ids());
        let written = self.means.store.write(move |tx| {
            if let Some((revision, health)) = &health {
                tx.save_health(id, *revision, health)?;
            }
            let queue = if tx.subscription(id)?.health.is_troubled { DELIVER_TROUBLED } else { DELIVER };
            tx.ring_subscription(queue, id, now, now, &mut ids.clone())
        });
        match written.await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(Outcome::Done),
            Err(error) => Err(error),
        }
    }
}
