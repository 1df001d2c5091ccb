//! A claimed task in our hands: it is settled whatever happens, by dropping it at the latest.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dmwsi_domain::Clock;
use dmwsi_store::queue::{Claimed, Hold, Settled, Settlement};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

/// The claims of this process, whose leases are renewed until their end is written, each with when it ends unless it is renewed.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds(Arc<Mutex<HashMap<Hold, Instant>>>);

impl Holds {
    fn map(&self) -> MutexGuard<'_, HashMap<Hold, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> Vec<Hold> {
        self.map().keys().copied().collect()
    }

    pub(super) fn remove(&self, settlements: &[Settlement]) {
        let mut map = self.map();
        for settlement in settlements {
            map.remove(&settlement.hold);
        }
    }

    /// Notes that leases were renewed until then. One that had run out before that was known may be somebody else's by now, and stays over.
    pub(super) fn renew(&self, renewed: &[Hold], until: Instant) {
        let (now, mut map) = (Instant::now(), self.map());
        for hold in renewed {
            if let Some(end) = map.get_mut(hold).filter(|end| **end > now) {
                *end = until;
            }
        }
    }

    /// Whether a claim is certainly still this process's.
    pub(super) fn has(&self, hold: Hold) -> bool {
        self.map().get(&hold).is_some_and(|end| *end > Instant::now())
    }
}

/// The end of a task on its way to the settler, with the room it takes until then.
pub(super) struct Ended {
    pub(super) settlement: Settlement,
    _room: OwnedSemaphorePermit,
}

/// Where the ends of tasks go.
#[derive(Clone)]
pub(super) struct Ledger {
    pub(super) clock: Clock,
    pub(super) holds: Holds,
    pub(super) ends: mpsc::UnboundedSender<Ended>,
}

/// A claimed task.
pub(super) struct Held {
    pub(super) claimed: Claimed,
    started: bool,
    room: Option<OwnedSemaphorePermit>,
    ledger: Ledger,
}

impl Held {
    pub(super) fn new(claimed: Claimed, until: Instant, room: OwnedSemaphorePermit, ledger: Ledger) -> Self {
        ledger.holds.map().insert(claimed.hold, until);
        Self { claimed, started: false, room: Some(room), ledger }
    }

    /// The claims of this process.
    pub(super) fn holds(&self) -> Holds {
        self.ledger.holds.clone()
    }

    /// From now on the task may have had effects: it is no longer put back as if nothing had happened.
    pub(super) const fn start(&mut self) {
        self.started = true;
    }

    pub(super) fn settle(mut self, settled: Settled) {
        self.end(settled);
    }

    fn end(&mut self, settled: Settled) {
        let Some(room) = self.room.take() else { return };
        let settlement = Settlement { hold: self.claimed.hold, settled };
        if self.ledger.ends.send(Ended { settlement, _room: room }).is_err() {
            // The settler went away past its deadline; the lease will run out.
            tracing::warn!(queue = self.claimed.hold.queue, "a task ended too late to be settled");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let settled = if self.started {
            Settled::Retry { at: self.ledger.clock.now(), error: "interrupted".to_owned() }
        } else {
            Settled::PutBack
        };
        self.end(settled);
    }
}
