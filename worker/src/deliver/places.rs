//! The places of one of the two queues of deliveries in this process.
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many runs there may be at a time, and are.
#[derive(Debug)]
pub(super) struct Places {
    all: usize,
    taken: AtomicUsize,
}

/// One of them, for as long as it lives.
pub(super) struct Place<'p>(&'p Places);

impl Places {
    pub(super) const fn new(all: usize) -> Self {
        Self { all, taken: AtomicUsize::new(0) }
    }

    /// Whether another subscription may be waiting for one.
    pub(super) fn are_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.all
    }
}

impl<'p> Place<'p> {
    pub(super) fn take(places: &'p Places) -> Self {
        places.taken.fetch_add(1, Ordering::Relaxed);
        Self(places)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
