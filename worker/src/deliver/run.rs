//! One run of the task that delivers to one subscription.
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::delivery::{Attempt, DeliveryError, DeliveryState, Health, Patience};
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{StatusReason, SubscriptionStatus};
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_store::deliveries::Due;
use dmwsi_store::settlement::SettledDelivery;
use dmwsi_store::subscriptions::RECOVER;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::Deliverer;
use super::attempt::{Ended, attempt};
use super::ends::{Ends, settled};
use super::places::Place;
use super::target::Target;
use crate::queue::{Context, Outcome};

/// How long a run lasts at least before others, where they wait, have their turn.
const SLICE: Duration = Duration::from_secs(5);

/// How long what is known of the subscription and its client is believed.
const BELIEVED: Duration = Duration::from_millis(500);

/// The first pause after nothing more was found to be due; each next one is twice as long, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(20);

/// How long what became due while others are under way waits at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// How many deliveries are read at a time, beside those under way.
const READ: usize = 256;

/// How many times as many as may be under way may be not yet written.
const UNWRITTEN: usize = 4;

/// How long after the rate of a receiver could not be looked up that is tried again.
const RATE_AGAIN: Duration = Duration::from_secs(1);

/// For how long at most a run that has nothing under way relies on a rate that it waits for.
const RATE_BELIEVED: Duration = Duration::from_secs(60);

/// A receiver that takes longer to answer does not do well.
const SLOW: Duration = Duration::from_secs(1);

/// After so many attempts in a row that failed or were slow a receiver is one that gives trouble.
const IN_A_ROW: u32 = 3;

/// A run.
struct Run {
    deliverer: Arc<Deliverer>,
    target: Arc<Target>,
    read_at: Instant,
    patience: Patience,
    health: Health,
    /// The same as it stands in the database, or is being written.
    written: Health,
    /// How many attempts in a row took long.
    slow: u32,
    /// When it is looked for more, and for how long not after that.
    look_at: Instant,
    pause: Duration,
    /// How many of what waits may begin by the rate of its receiver, and until when it waits for more.
    turns: u32,
    paced_until: Option<Timestamp>,
    waiting: VecDeque<Due>,
    under_way: JoinSet<Ended>,
    /// How attempts ended that are not being written yet.
    ended: Vec<SettledDelivery>,
    /// That the receiver has failed for so long, in percent of what it may, and how it failed last, where that is to be told.
    notice: Option<(u8, DeliveryError)>,
    /// Why nothing more is delivered to it, where that is to be written.
    off: Option<StatusReason>,
    writing: Option<Writing>,
    /// The events that are under way or whose ends are not written.
    numbers: HashSet<u64>,
    /// Whether nothing more is begun.
    is_over: bool,
}

/// Ends of attempts on their way to the database, and the numbers of their events.
type Writing = JoinHandle<Result<Vec<u64>>>;

/// Delivers what is due, and says when to come again.
pub(super) async fn deliver(
    deliverer: Arc<Deliverer>,
    id: SubscriptionId,
    context: &Context,
    is_troubled: bool,
) -> Result<Outcome> {
    let Some(target) = deliverer.target(id).await? else { return Ok(Outcome::Done) };
    if target.subscription.status == SubscriptionStatus::Deleted {
        // What stood before the end is not delivered any more.
        let until = target.subscription.starts_after;
        loop {
            let now = deliverer.means.clock.now();
            if !deliverer.means.store.write(move |tx| tx.drop_pending(id, until, now)).await? {
                break;
            }
            if context.is_stopping() {
                return Ok(Outcome::Progress(now));
            }
        }
    }
    if target.is_catching_up() {
        // What comes before is laid out first; that rings again.
        let (now, ids) = (deliverer.means.clock.now(), deliverer.means.clock.new_ids());
        deliverer.means.store.write(move |tx| tx.ring_subscription(RECOVER, id, now, now, &mut ids.clone())).await?;
        return Ok(Outcome::Done);
    }
    if target.subscription.health.is_troubled != is_troubled {
        return deliverer.hand_over(id, None).await;
    }
    let places = Arc::clone(if is_troubled { &deliverer.troubled } else { &deliverer.doing_well });
    let _place = Place::take(&places);
    let began = Instant::now();
    let mut run = Run {
        patience: deliverer.means.settings.patience(),
        health: target.subscription.health.clone(),
        written: target.subscription.health.clone(),
        paced_until: target.paced_until,
        target: Arc::new(target),
        read_at: began,
        // Whoever is among those that give trouble has to answer quickly once to leave them.
        slow: u32::from(is_troubled),
        look_at: began,
        pause: PAUSE,
        turns: 0,
        waiting: VecDeque::new(),
        under_way: JoinSet::new(),
        ended: Vec::new(),
        notice: None,
        off: None,
        writing: None,
        numbers: HashSet::new(),
        is_over: false,
        deliverer,
    };
    loop {
        let others_wait = began.elapsed() > SLICE && places.are_full();
        let is_interrupted = context.is_stopping() || !context.is_held();
        if is_interrupted || others_wait || run.gives_trouble(is_troubled) != is_troubled {
            run.is_over = true;
        }
        run.begin().await?;
        run.write();
        if run.under_way.is_empty() && run.writing.is_none() {
            break;
        }
        run.wait().await?;
    }
    if run.gives_trouble(is_troubled) != is_troubled {
        run.health.is_troubled = !is_troubled;
        let revision = run.target.subscription.revision;
        return run.deliverer.hand_over(id, Some((revision, run.health))).await;
    }
    run.next().await
}

/// Where a delivery stands that is tried again after that wait, if there is one.
const fn later(wait: Option<Duration>) -> (DeliveryState, Option<Duration>) {
    (if wait.is_some() { DeliveryState::Pending } else { DeliveryState::Dead }, wait)
}

impl Run {
    fn id(&self) -> SubscriptionId {
        self.target.subscription.id
    }

    fn now(&self) -> Timestamp {
        self.deliverer.means.clock.now()
    }

    /// Whether the receiver belongs to those that give trouble: a few bad attempts in a row bring it there, one good one brings it back.
    fn gives_trouble(&self, is_troubled: bool) -> bool {
        if is_troubled { self.health.failures > 0 || self.slow > 0 } else { self.health.failures.max(self.slow) >= IN_A_ROW }
    }

    /// How many may be under way.
    fn most(&self) -> usize {
        if self.health.is_probing(&self.patience) { 1 } else { self.deliverer.means.settings.in_flight.max(1) }
    }

    fn has_room(&self) -> bool {
        let most = self.most();
        // A receiver that may be back is tried with one delivery, and what comes of that is known here before it is written.
        !self.is_over && self.under_way.len() < most && self.numbers.len() < most.max(2).saturating_mul(UNWRITTEN)
    }

    /// Begins as many deliveries as may be under way.
    async fn begin(&mut self) -> Result<()> {
        while self.has_room() {
            let now = self.now();
            let is_open = self.health.open_until.is_some_and(|until| until > now);
            if is_open || !self.believe().await? || self.paced_until.is_some_and(|until| until > now) {
                return Ok(());
            }
            if self.waiting.is_empty() && self.look_at <= Instant::now() {
                self.read(now).await?;
            }
            let Some(next) = self.waiting.front() else { return Ok(()) };
            let is_told = next.event.told().is_none_or(|recorded| self.target.may_have(recorded));
            // What is not sent takes no turn from what is.
            if is_told && self.is_paced(now).await {
                return Ok(());
            }
            let Some(due) = self.waiting.pop_front() else { return Ok(()) };
            self.numbers.insert(due.number);
            if is_told {
                self.under_way.spawn(attempt(Arc::clone(&self.deliverer), Arc::clone(&self.target), due));
            } else {
                let error = Some(DeliveryError::NotPermitted);
                let attempt = Attempt { at: now, response_status: None, duration_ms: 0, error };
                self.judge(Ended { due, attempt, revision: self.target.subscription.revision, asked: None });
            }
        }
        Ok(())
    }

    /// Looks whether the subscription is still as it was; false when nothing more is to be delivered.
    async fn believe(&mut self) -> Result<bool> {
        if self.read_at.elapsed() < BELIEVED {
            return Ok(true);
        }
        match self.deliverer.target(self.id()).await? {
            Some(target) => {
                if target.subscription.revision != self.target.subscription.revision {
                    // How the receiver does is known here first, unless its client has changed something that begins it anew.
                    self.health = target.subscription.health.clone();
                    self.waiting.clear();
                    self.turns = 0;
                }
                if self.turns == 0 {
                    self.paced_until = target.paced_until;
                }
                self.is_over |= target.is_catching_up();
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
        if self.waiting.is_empty() {
            self.look_at = Instant::now() + self.pause;
            self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        } else {
            self.pause = PAUSE;
        }
        Ok(())
    }

    /// Takes a turn of the rate that its receiver has, if it has one; true when it is used up.
    async fn is_paced(&mut self, now: Timestamp) -> bool {
        let Some(rate) = self.target.rate else {
            self.paced_until = None;
            return false;
        };
        if self.turns == 0 {
            // A quarter of a second's worth is taken together, so that a rate that is hardly used up costs little.
            let room = self.most().saturating_sub(self.under_way.len());
            let most = room.max(usize::try_from(rate / 240).unwrap_or(room)).min(self.waiting.len());
            let (most, target) = (u32::try_from(most).unwrap_or(u32::MAX), Arc::clone(&self.target));
            let taken = self.deliverer.means.store.write(move |tx| tx.take_turns(&target.subscription, rate, most, now));
            (self.turns, self.paced_until) = match taken.await {
                Ok(taken) if taken.at <= now => (taken.turns, None),
                Ok(promised) => (0, Some(promised.at)),
                Err(error) => {
                    // What is under way is not given up for that.
                    tracing::warn!(cause = ?error, "the rate of a receiver could not be looked up; that is tried again: {error}");
                    (0, Some(now.plus(RATE_AGAIN)))
                }
            };
        }
        let Some(rest) = self.turns.checked_sub(1) else { return true };
        self.turns = rest;
        false
    }

    /// Waits until an attempt ends, ends are written, or it is time to look for more.
    async fn wait(&mut self) -> Result<()> {
        let (has_room, now) = (self.has_room(), self.now());
        // Until then nothing begins though there is room: for the rate, or as the receiver is left alone.
        let begins_at = self.paced_until.max(self.health.open_until);
        let looks = has_room && self.waiting.is_empty() && begins_at.is_none_or(|until| until <= now);
        let until = begins_at.filter(|_| has_room && !looks);
        let pause = until.map(|until| until.since(now));
        let Self { under_way, writing, .. } = self;
        let written = async {
            match writing {
                Some(writing) => writing.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(first) = under_way.join_next() => {
                let mut next = Some(first);
                while let Some(one) = next {
                    self.judge(one.map_err(Error::internal)?);
                    next = self.under_way.try_join_next();
                }
            }
            numbers = written => {
                self.writing = None;
                for number in numbers.map_err(Error::internal)?? {
                    self.numbers.remove(&number);
                }
                // What waited for these is due now.
                (self.look_at, self.pause) = (Instant::now(), PAUSE);
            }
            () = sleep_until(self.look_at), if looks => {}
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
        Ok(())
    }

    /// Begins to write how attempts ended, unless that is being done for others; those that end meanwhile are written together.
    fn write(&mut self) {
        if self.writing.is_some() || self.ended.is_empty() {
            return;
        }
        let (settled, notice, off) = (take(&mut self.ended), self.notice.take(), self.off.take());
        let numbers: Vec<_> = settled.iter().map(|one| one.number).collect();
        let has_changed = self.health != self.written || notice.is_some() || off.is_some();
        self.written = self.health.clone();
        let ends = Ends { at: self.now(), settled, health: has_changed.then(|| self.health.clone()), notice, off };
        let write = ends.write(Arc::clone(&self.deliverer), Arc::clone(&self.target));
        // It goes on while this run waits for the database itself: there are not places for both if many do.
        self.writing = Some(tokio::spawn(async move { write.await.map(|()| numbers) }));
    }

    /// Notes how an attempt ended, and what follows for its delivery and for the receiver.
    fn judge(&mut self, ended: Ended) {
        let (Ended { due, attempt, revision, asked }, now) = (ended, self.now());
        let chance = RandomState::new().hash_one(due.number);
        let is_slow = Duration::from_millis(attempt.duration_ms) > SLOW;
        self.slow = if is_slow { self.slow.saturating_add(1) } else { 0 };
        let (state, wait) = match attempt.error {
            None => {
                if revision == self.target.subscription.revision {
                    self.health.succeeded();
                }
                (DeliveryState::Delivered, None)
            }
            Some(DeliveryError::NotPermitted | DeliveryError::Unreadable) => (DeliveryState::Dead, None),
            // The client has changed something meanwhile, perhaps the sink: what the receiver before does says nothing of this one.
            Some(_) if revision != self.target.subscription.revision => {
                later(self.patience.wait(due.attempt.saturating_add(1), asked, chance))
            }
            Some(DeliveryError::NotReady) => later(self.patience.wait(due.attempt.saturating_add(1), None, chance)),
            Some(error) => {
                if let Some(percent) = self.health.failed(&self.patience, asked, now, chance) {
                    self.notice = Some((percent, error));
                }
                self.off = match self.notice {
                    _ if error == DeliveryError::Gone => Some(StatusReason::Gone),
                    Some((100.., _)) => self.off.or(Some(StatusReason::DeliveryFailing)),
                    _ => self.off,
                };
                self.is_over |= self.off.is_some();
                later(self.patience.wait(due.attempt.saturating_add(1), asked, chance))
            }
        };
        self.ended.push(settled(due, attempt, state, wait.map(|wait| now.plus(wait))));
    }

    /// When to come again.
    async fn next(self) -> Result<Outcome> {
        let id = self.id();
        let (now, next) = (self.now(), self.deliverer.means.store.glance(move |tx| tx.next_delivery(id)).await?);
        let Some(mut next) = next else { return Ok(Outcome::Done) };
        if next <= now && !self.is_over && self.waiting.is_empty() {
            // It became due just now, or its event is being forgotten.
            next = now.plus(PAUSE);
        }
        // The rate may be another before its turn comes.
        let paced_until = self.paced_until.map(|until| until.min(now.plus(RATE_BELIEVED)));
        Ok(Outcome::Progress(Some(next).max(self.health.open_until).max(paced_until).unwrap_or(now).max(now)))
    }
}
