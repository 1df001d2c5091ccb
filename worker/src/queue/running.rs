//! Starts the queues' handlers and stops them.
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use apalis_core::worker::builder::WorkerBuilder;
use dmwsi_domain::{Clock, Error, Result};
use dmwsi_store::Store;
use dmwsi_store::queue::Settled;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::backend::Claims;
use super::bells::{Bells, pass_on, raised};
use super::claimer::Claimer;
use super::handler::{Context, Handler, Outcome, handler};
use super::held::{Held, Holds, Ledger};
use super::keeper::keep;
use super::settings::{Lane, Settings};
use super::settler::settle;

/// For how many attempts at a task a lost race ([`Error::Stale`]) is followed by the next one at once.
const RACES: u32 = 3;

/// For the last settlements, after everything has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The queues of a process and their handlers, not yet started.
pub struct Queues {
    store: Store,
    clock: Clock,
    settings: Settings,
    lanes: Vec<(&'static str, Lane, Handler)>,
}

impl Queues {
    /// No queues yet.
    #[must_use]
    pub const fn new(store: Store, clock: Clock, settings: Settings) -> Self {
        Self { store, clock, settings, lanes: Vec::new() }
    }

    /// Has the tasks of `queue` run by `run`. At least once: an attempt may follow one that did part of the work. A payload that is no `P` is a dead
    /// letter; an error or a panic is tried again.
    #[must_use]
    pub fn handle<P, F, R>(mut self, queue: &'static str, lane: Lane, run: F) -> Self
    where
        P: DeserializeOwned,
        F: Fn(P, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Outcome>> + Send + 'static,
    {
        self.lanes.push((queue, lane, handler(run)));
        self
    }

    /// Starts everything. Wants a tokio runtime.
    #[must_use]
    pub fn start(self) -> Running {
        let (stop, stopping) = watch::channel(false);
        let (interrupt, interrupted) = watch::channel(false);
        let (ends, ended) = mpsc::unbounded_channel();
        let holds = Holds::default();
        let ledger = Ledger { clock: self.clock.clone(), holds: holds.clone(), ends };
        // Heard before the first claim: what rings from here on wakes.
        let notices = self.store.notices();
        let bells: Bells = self.lanes.iter().map(|(queue, ..)| (*queue, Arc::new(Notify::new()))).collect();
        let name = self.clock.new_id().simple().to_string();
        let mut workers = JoinSet::new();
        for (queue, lane, handler) in self.lanes {
            let room = usize::try_from(lane.room.max(1)).unwrap_or(1);
            let (claimed, claims) = mpsc::channel(room);
            let claimer = Claimer {
                queue,
                worker: name.clone(),
                lane,
                settings: self.settings.clone(),
                store: self.store.clone(),
                ledger: ledger.clone(),
                room: Arc::new(Semaphore::new(room)),
                bell: bells.get(queue).cloned().unwrap_or_default(),
                claimed,
                stopping: stopping.clone(),
            };
            workers.spawn(claimer.run());
            let run = Attempt {
                handler,
                settings: self.settings.clone(),
                clock: self.clock.clone(),
                stopping: stopping.clone(),
                interrupted: interrupted.clone(),
            };
            let worker = WorkerBuilder::new(format!("{queue}-{name}").as_str())
                .backend(Claims { claimed: claims, stopping: stopping.clone() })
                .build(move |held: Held| run.clone().run(held));
            workers.spawn(async move {
                if let Err(error) = worker.run().await {
                    tracing::error!(queue, cause = ?error, "the worker of {queue} ended");
                }
            });
        }
        let settler = tokio::spawn(settle(self.store.clone(), self.clock.clone(), holds.clone(), ended));
        let keeper = tokio::spawn(keep(self.store, self.clock, holds, self.settings.lease()));
        let ringer = tokio::spawn(pass_on(notices, bells.clone(), stopping));
        Running {
            bells,
            stop,
            interrupt,
            workers,
            ledger,
            settler,
            keeper,
            ringer,
            patience: Duration::from_millis(self.settings.stop_ms),
        }
    }
}

/// Queues at work.
pub struct Running {
    bells: HashMap<&'static str, Arc<Notify>>,
    stop: watch::Sender<bool>,
    interrupt: watch::Sender<bool>,
    workers: JoinSet<()>,
    ledger: Ledger,
    settler: JoinHandle<()>,
    keeper: JoinHandle<()>,
    ringer: JoinHandle<()>,
    patience: Duration,
}

impl Running {
    /// Has every queue look for tasks now: for a test that has moved the clock.
    pub fn nudge(&self) {
        self.bells.values().for_each(|bell| bell.notify_one());
    }

    /// Stops: nothing further is claimed, what is unstarted goes back, what runs may finish within `stopMs` and is interrupted then.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let finished = timeout(self.patience, async { while self.workers.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!("tasks still run after {} ms and are interrupted", self.patience.as_millis());
            self.interrupt.send_replace(true);
            while self.workers.join_next().await.is_some() {}
        }
        // The settler ends with the last of those who could tell it something.
        drop(self.ledger);
        if timeout(LAST_WORDS, &mut self.settler).await.is_err() {
            tracing::error!("the last tasks could not be settled; they run again when their leases have run out");
            self.settler.abort();
        }
        self.keeper.abort();
        self.ringer.abort();
    }
}

/// One attempt at a task.
#[derive(Clone)]
struct Attempt {
    handler: Handler,
    settings: Settings,
    clock: Clock,
    stopping: watch::Receiver<bool>,
    interrupted: watch::Receiver<bool>,
}

impl Attempt {
    async fn run(mut self, mut held: Held) {
        let (queue, attempt) = (held.claimed.hold.queue, held.claimed.attempt);
        let context = Context {
            attempt,
            max_attempts: held.claimed.max_attempts,
            stopping: self.stopping.clone(),
            claim: (held.holds(), held.claimed.hold),
        };
        let run = match (self.handler)(&held.claimed.payload, context) {
            Ok(run) => run,
            Err(unreadable) => {
                tracing::error!(queue, "a payload of {queue} cannot be read and is a dead letter");
                return held.settle(Settled::Dead { error: format!("the payload cannot be read: {unreadable}") });
            }
        };
        held.start();
        // On a task of its own: the queue's tasks run side by side, and a panic is an error.
        let mut running = tokio::spawn(run);
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = raised(&mut self.interrupted) => {
                running.abort();
                running.await
            }
        };
        let now = self.clock.now();
        let settled = match ended {
            Ok(Ok(Outcome::Done)) => Settled::Done,
            Ok(Ok(Outcome::Progress(at))) => Settled::Progress { at },
            Ok(Ok(Outcome::Dead(error))) => Settled::Dead { error },
            Ok(Ok(Outcome::RetryAfter(after, error))) => Settled::Retry { at: now.plus(after), error },
            // A lost race is no failure: whoever won it is done by now.
            Ok(Err(error @ Error::Stale { .. })) if attempt <= RACES => Settled::Retry { at: now, error: error.to_string() },
            Ok(Err(error)) => {
                tracing::warn!(queue, attempt, cause = ?error, "a task of {queue} failed");
                self.again(&held, error.to_string())
            }
            Err(ended) if ended.is_cancelled() => Settled::Retry { at: now, error: "interrupted".to_owned() },
            Err(_panicked) => {
                tracing::error!(queue, attempt, "a task of {queue} panicked");
                self.again(&held, "the handler panicked".to_owned())
            }
        };
        held.settle(settled);
    }

    fn again(&self, held: &Held, error: String) -> Settled {
        // Each hasher is keyed by chance, which is all that is wanted here.
        let chance = RandomState::new().hash_one(held.claimed.hold);
        Settled::Retry { at: self.clock.now().plus(self.settings.backoff(held.claimed.attempt, chance)), error }
    }
}
