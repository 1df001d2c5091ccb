//! One run of the task that delivers to one subscription.
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::delivery::{Attempt, DeliveryError, DeliveryState, Health, Patience};
use dmwsi_domain::event::Event;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::StatusReason;
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_store::deliveries::Due;
use dmwsi_store::settlement::SettledDelivery;
use dmwsi_store::subscriptions::{DELIVER, DELIVER_TROUBLED};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Deliverer;
use super::attempt::{Ended, attempt};
use super::target::Target;
use crate::queue::{Context, Outcome};

/// How long a run lasts before others have their turn.
const SLICE: Duration = Duration::from_secs(5);

/// How long what is known of the subscription and its client is believed.
const BELIEVED: Duration = Duration::from_millis(500);

/// The shortest pause after a run that has found nothing more.
const PAUSE: Duration = Duration::from_millis(20);

/// How many deliveries are read at a time, beside those under way.
const READ: usize = 256;

/// A run.
struct Run {
    deliverer: Arc<Deliverer>,
    target: Arc<Target>,
    read_at: Instant,
    patience: Patience,
    health: Health,
    /// The same as it stands in the database.
    written: Health,
    waiting: VecDeque<Due>,
    under_way: JoinSet<Ended>,
    numbers: HashSet<u64>,
    /// Whether nothing more is begun.
    is_over: bool,
}

/// Delivers what is due, and says when to come again.
pub(super) async fn deliver(
    deliverer: Arc<Deliverer>,
    id: SubscriptionId,
    context: &Context,
    is_troubled: bool,
) -> Result<Outcome> {
    let Some(target) = deliverer.target(id).await? else { return Ok(Outcome::Done) };
    if target.subscription.health.is_troubled != is_troubled {
        return hand_over(&deliverer, id, None).await;
    }
    let mut run = Run {
        patience: deliverer.means.settings.patience(),
        health: target.subscription.health.clone(),
        written: target.subscription.health.clone(),
        target: Arc::new(target),
        read_at: Instant::now(),
        waiting: VecDeque::new(),
        under_way: JoinSet::new(),
        numbers: HashSet::new(),
        is_over: false,
        deliverer,
    };
    let began = Instant::now();
    loop {
        if context.is_stopping() || !context.is_held() || began.elapsed() > SLICE || (run.health.failures > 0) != is_troubled {
            run.is_over = true;
        }
        run.begin().await?;
        let Some(first) = run.under_way.join_next().await else { break };
        let mut ended = vec![first];
        while let Some(next) = run.under_way.try_join_next() {
            ended.push(next);
        }
        let ended = ended.into_iter().map(|one| one.map_err(Error::internal)).collect::<Result<Vec<_>>>()?;
        run.settle(ended).await?;
    }
    if (run.health.failures > 0) != is_troubled {
        run.health.is_troubled = !is_troubled;
        return hand_over(&run.deliverer, id, Some(run.health)).await;
    }
    run.next().await
}

/// Leaves the rest to the other queue.
async fn hand_over(deliverer: &Deliverer, id: SubscriptionId, health: Option<Health>) -> Result<Outcome> {
    let (now, ids) = (deliverer.means.clock.now(), deliverer.means.clock.new_ids());
    let written = deliverer.means.store.write(move |tx| {
        if let Some(health) = &health {
            tx.settle_deliveries(id, &[], Some(health), now)?;
        }
        let queue = if tx.subscription(id)?.health.is_troubled { DELIVER_TROUBLED } else { DELIVER };
        tx.ring_subscription(queue, id, now, now, &mut ids.clone())
    });
    match written.await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(Outcome::Done),
        Err(error) => Err(error),
    }
}

impl Run {
    fn id(&self) -> SubscriptionId {
        self.target.subscription.id
    }

    fn now(&self) -> Timestamp {
        self.deliverer.means.clock.now()
    }

    /// Begins as many deliveries as may be under way.
    async fn begin(&mut self) -> Result<()> {
        loop {
            let most = if self.health.is_probing(&self.patience) { 1 } else { self.deliverer.means.settings.in_flight.max(1) };
            let now = self.now();
            let is_open = self.health.open_until.is_some_and(|until| until > now);
            if self.is_over || is_open || self.under_way.len() >= most || !self.believe().await? {
                return Ok(());
            }
            if self.waiting.is_empty() {
                self.read(now).await?;
            }
            if self.waiting.is_empty() || self.is_paced(now) {
                return Ok(());
            }
            let Some(due) = self.waiting.pop_front() else { return Ok(()) };
            if due.event.told().is_some_and(|recorded| !self.target.may_have(recorded)) {
                let refused =
                    Attempt { at: now, response_status: None, duration_ms: 0, error: Some(DeliveryError::NotPermitted) };
                self.settle(vec![Ended { due, attempt: refused, asked: None }]).await?;
                continue;
            }
            self.numbers.insert(due.number);
            self.under_way.spawn(attempt(Arc::clone(&self.deliverer), Arc::clone(&self.target), due));
        }
    }

    /// Looks whether the subscription is still as it was; false when nothing more is to be delivered.
    async fn believe(&mut self) -> Result<bool> {
        if self.read_at.elapsed() < BELIEVED {
            return Ok(true);
        }
        match self.deliverer.target(self.id()).await? {
            Some(target) => {
                // How the receiver does is known here first, unless its client has switched it on again.
                if target.subscription.revision != self.target.subscription.revision {
                    self.health.open_until = target.subscription.health.open_until;
                }
                self.target = Arc::new(target);
                self.read_at = Instant::now();
            }
            None => self.is_over = true,
        }
        Ok(!self.is_over)
    }

    async fn read(&mut self, now: Timestamp) -> Result<()> {
        let (id, most) = (self.id(), READ.saturating_add(self.numbers.len()));
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let due = self.deliverer.means.store.glance(move |tx| tx.due_deliveries(id, now, limit)).await?;
        self.waiting = due.into_iter().filter(|due| !self.numbers.contains(&due.number)).collect();
        Ok(())
    }

    /// Takes one from the rate; true when it is used up.
    fn is_paced(&mut self, now: Timestamp) -> bool {
        let Some(rate) = self.target.subscription.pace() else { return false };
        let every = Duration::from_secs(60) / rate.max(1);
        // Up to a second's worth may come at once.
        let slack = Duration::from_secs(1).saturating_sub(every);
        let since = self.health.paced_until.unwrap_or_default().max(now.minus(slack));
        if since > now {
            return true;
        }
        self.health.paced_until = Some(since.plus(every));
        false
    }

    /// Writes how attempts ended.
    async fn settle(&mut self, ended: Vec<Ended>) -> Result<()> {
        let now = self.now();
        let (mut notice, mut is_gone, mut settled) = (None, false, Vec::with_capacity(ended.len()));
        for Ended { due, attempt, asked } in ended {
            self.numbers.remove(&due.number);
            let chance = RandomState::new().hash_one(due.number);
            let count = due.attempt.saturating_add(1);
            let (state, wait) = match attempt.error {
                None => {
                    self.health.succeeded();
                    (DeliveryState::Delivered, None)
                }
                Some(DeliveryError::NotPermitted | DeliveryError::Unreadable) => (DeliveryState::Dead, None),
                Some(error) => {
                    is_gone |= error == DeliveryError::Gone;
                    if let Some(percent) = self.health.failed(&self.patience, asked, now, chance) {
                        notice = Some((percent, error));
                    }
                    let wait = self.patience.wait(count, asked, chance);
                    (if wait.is_some() { DeliveryState::Pending } else { DeliveryState::Dead }, wait)
                }
            };
            let mut attempts = due.attempts;
            attempts.push(attempt);
            let next_at = wait.map(|wait| now.plus(wait));
            settled.push(SettledDelivery {
                number: due.number,
                order_key: due.order_key,
                attempt: due.attempt,
                state,
                attempts,
                next_at,
            });
        }
        let mut told = Vec::new();
        if let (Some((percent, error)), Some(failing_since)) = (notice, self.health.failing_since) {
            told.push(Event::SubscriptionDeliveryFailing { subscription_id: self.id(), failing_since, percent, error });
        }
        let off = if is_gone {
            Some(StatusReason::Gone)
        } else {
            notice.filter(|(percent, _)| *percent >= 100).map(|_| StatusReason::DeliveryFailing)
        };
        if told.is_empty() && off.is_none() {
            let (id, health) = (self.id(), (self.health != self.written).then(|| self.health.clone()));
            self.written = self.health.clone();
            return self.deliverer.means.store.write(move |tx| tx.settle_deliveries(id, &settled, health.as_ref(), now)).await;
        }
        self.is_over |= off.is_some();
        self.settle_and_tell(settled, told, off, now).await
    }

    /// The same, where it changes the subscription or is told of.
    async fn settle_and_tell(
        &self,
        settled: Vec<SettledDelivery>,
        told: Vec<Event>,
        off: Option<StatusReason>,
        now: Timestamp,
    ) -> Result<()> {
        let (id, ids, health) = (self.id(), self.deliverer.means.clock.new_ids(), self.health.clone());
        let (organisation, client) = (self.target.subscription.organisation, self.target.subscription.client);
        let written = self.deliverer.means.store.write(move |tx| {
            let mut ids = ids;
            let found = tx.subscription_held(organisation, client, id);
            tx.settle_deliveries(id, &settled, Some(&health), now)?;
            let mut found = match found {
                Ok(found) => found,
                // Deleted meanwhile: nobody is to be told.
                Err(Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            found.health = health.clone();
            let mut events = told.clone();
            match off.map(|reason| found.switch(false, Some(reason), now)) {
                // What is over cannot be switched off.
                Some(Ok(Some(event))) => {
                    events.push(event);
                    tx.save_subscription(&found, events, None, now, &mut ids)
                }
                _ => {
                    let told: Vec<_> = events.into_iter().map(|event| found.tells(event, now, None, &mut ids)).collect();
                    tx.record_all(&told)
                }
            }
        });
        written.await
    }

    /// When to come again.
    async fn next(&self) -> Result<Outcome> {
        let id = self.id();
        let (now, next) = (self.now(), self.deliverer.means.store.glance(move |tx| tx.next_delivery(id)).await?);
        let Some(mut next) = next else { return Ok(Outcome::Done) };
        if next <= now && !self.is_over && self.waiting.is_empty() {
            // It became due just now, or its event is being forgotten.
            next = now.plus(PAUSE);
        }
        let paced = self.health.paced_until.filter(|_| self.target.subscription.pace().is_some());
        Ok(Outcome::Progress([Some(next), self.health.open_until, paced].into_iter().flatten().max().unwrap_or(now).max(now)))
    }
}
