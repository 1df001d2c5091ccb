//! Claims the tasks of one queue: as many as there is room to run, when one is due or the bell rings.
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::{Result, Timestamp};
use dmwsi_store::Store;
use dmwsi_store::queue::Found;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep};

use super::bells::raised;
use super::held::{Held, Ledger};
use super::settings::{Lane, Settings};

/// What is due but was not ours to claim is held by a transaction of somebody else: soon over, but not worth spinning for.
const CONTENDED: Duration = Duration::from_millis(10);
/// Waits between attempts while the database fails: doubled from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Claimer {
    pub(super) queue: &'static str,
    pub(super) worker: String,
    pub(super) lane: Lane,
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) ledger: Ledger,
    pub(super) room: Arc<Semaphore>,
    pub(super) bell: Arc<Notify>,
    pub(super) claimed: mpsc::Sender<Held>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Claimer {
    /// Claims until everything stops. A claim under way then is finished, and what it brings is put back by whoever gets it.
    pub(super) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut look_for_lost = true;
        let mut revived: Option<Instant> = None;
        while let Some(room) = self.room().await {
            let wanted = room.num_permits();
            let revive =
                self.lane.standing && revived.is_none_or(|at| at.elapsed() >= Duration::from_millis(self.settings.revive_ms));
            let until = Instant::now() + self.settings.lease();
            let wait = match self.claim(wanted, look_for_lost, revive).await {
                Ok(found) => {
                    pause = FIRST_PAUSE;
                    look_for_lost = false;
                    if revive {
                        revived = Some(Instant::now());
                    }
                    if self.hand_over(room, until, found.claimed).await >= wanted {
                        continue;
                    }
                    self.until(found.next)
                }
                Err(error) => {
                    drop(room);
                    tracing::warn!(queue = self.queue, cause = ?error, "tasks of {} could not be claimed, trying again", self.queue);
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    // Whatever rings now will be found then.
                    tokio::select! {
                        () = sleep(wait) => continue,
                        () = raised(&mut self.stopping) => return,
                    }
                }
            };
            tokio::select! {
                () = self.bell.notified() => {}
                () = sleep(wait) => look_for_lost = true,
                () = raised(&mut self.stopping) => return,
            }
        }
    }

    /// Room for at least one task and at most a batch; none when everything stops.
    async fn room(&mut self) -> Option<OwnedSemaphorePermit> {
        let mut room = tokio::select! {
            biased;
            () = raised(&mut self.stopping) => return None,
            room = Arc::clone(&self.room).acquire_owned() => room.ok()?,
        };
        let more = u32::try_from(self.room.available_permits()).unwrap_or(u32::MAX).min(self.lane.batch.saturating_sub(1));
        if let Ok(more) = Arc::clone(&self.room).try_acquire_many_owned(more) {
            room.merge(more);
        }
        Some(room)
    }

    async fn claim(&self, wanted: usize, look_for_lost: bool, revive: bool) -> Result<Found> {
        let (queue, worker, now) = (self.queue, self.worker.clone(), self.ledger.clock.now());
        let lease_until = now.plus(self.settings.lease());
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        self.store
            .write(move |tx| {
                if look_for_lost {
                    let lost = tx.recover_tasks(queue, now)?;
                    if lost > 0 {
                        tracing::warn!(queue, lost, "{lost} tasks of {queue} had lost their worker");
                    }
                }
                if revive {
                    tx.revive_tasks(queue, now)?;
                }
                tx.claim(queue, &worker, wanted, now, lease_until)
            })
            .await
    }

    /// Hands the claimed tasks to the worker, each with its room, and says how many.
    async fn hand_over(
        &self,
        mut room: OwnedSemaphorePermit,
        until: Instant,
        claimed: Vec<dmwsi_store::queue::Claimed>,
    ) -> usize {
        let count = claimed.len();
        let mut held = Vec::with_capacity(count);
        for task in claimed {
            if let Some(one) = room.split(1) {
                held.push(Held::new(task, until, one, self.ledger.clone()));
            }
        }
        for task in held {
            // The channel has as many places as there is room. With nobody to receive it the task is dropped, hence put back.
            if self.claimed.send(task).await.is_err() {
                tracing::warn!(queue = self.queue, "the worker of {} has ended", self.queue);
            }
        }
        count
    }

    /// How long to sleep unless somebody rings.
    fn until(&self, next: Option<Timestamp>) -> Duration {
        let poll = self.settings.safety_poll();
        next.map_or(poll, |next| next.since(self.ledger.clock.now()).clamp(CONTENDED, poll.max(CONTENDED)))
    }
}
