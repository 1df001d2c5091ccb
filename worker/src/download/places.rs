//! The downloads that are open: so many and no more, none of them for ever.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::budget::Budget;
use super::progress::Key;

/// Places for downloads.
#[derive(Debug)]
pub(super) struct Places {
    /// How many bytes a second one download gets, by however many requests.
    rate: u64,
    free: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Arc<Open>>>,
    next: AtomicU64,
}

/// An open download.
#[derive(Debug)]
struct Open {
    key: Key,
    cut: AtomicBool,
    budget: Arc<Budget>,
    held: Mutex<Held>,
}

/// What an open download holds.
#[derive(Debug)]
struct Held {
    /// When it was last given something to send; none while it waits for this server.
    given: Option<Instant>,
    permit: Option<OwnedSemaphorePermit>,
}

/// A place that is taken until this is dropped, or taken away.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    open: Arc<Open>,
}

impl Places {
    /// So many, each with so many bytes a second.
    pub(super) fn new(most: usize, rate: u64) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        Arc::new(Self { rate, free, open: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// Takes a place; none when all are taken.
    pub(super) fn take(self: &Arc<Self>, key: Key) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let held = Mutex::new(Held { given: Some(Instant::now()), permit: Some(permit) });
        let mut all = lock(&self.open);
        let known = all.values().find(|open| open.key == key).map(|open| Arc::clone(&open.budget));
        let budget = known.unwrap_or_else(|| Arc::new(Budget::new(self.rate)));
        let open = Arc::new(Open { key, cut: AtomicBool::new(false), budget, held });
        all.insert(number, Arc::clone(&open));
        drop(all);
        Some(Place { places: Arc::clone(self), number, open })
    }

    /// What is being downloaded.
    pub(super) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<_> = lock(&self.open).values().map(|open| open.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Breaks off what is downloaded under that key.
    pub(super) fn cut(&self, key: &Key) {
        lock(&self.open).values().filter(|open| open.key == *key).for_each(|open| open.cut.store(true, Ordering::Relaxed));
    }

    /// Takes the places away from those that took nothing for so long. Their connections end when they want to go on.
    pub(super) fn free_stalled(&self, silent: Duration) {
        for open in lock(&self.open).values() {
            let mut held = lock(&open.held);
            let is_silent = held.given.is_some_and(|given| given.elapsed() >= silent);
            if is_silent && held.permit.take().is_some() {
                open.cut.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Place {
    /// The download has taken what it was given, and now waits for this server: for its disk and its budgets.
    pub(super) fn asks(&self) {
        lock(&self.open.held).given = None;
    }

    /// Whether the download may go on; it is given something, and seen to move.
    pub(super) fn moves(&self) -> bool {
        lock(&self.open.held).given = Some(Instant::now());
        !self.open.cut.load(Ordering::Relaxed)
    }

    /// The budget of the download, which all its requests share.
    pub(super) fn budget(&self) -> &Budget {
        &self.open.budget
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.open).remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use dmwsi_domain::Clock;
    use dmwsi_domain::digest::Sha256Digest;
    use dmwsi_domain::id::JobId;

    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_its_download_ends_or_stalls() {
        let places = Places::new(2, 0);
        let key = (JobId::new(Clock::System.new_id()), 0, Sha256Digest::new([1; 32]));
        let (first, second) = (places.take(key).unwrap(), places.take(key).unwrap());
        assert!(places.take(key).is_none());
        drop(first);
        let third = places.take(key).unwrap();
        assert_eq!(places.keys(), [key]);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(third.moves());
        places.free_stalled(Duration::from_millis(200));
        assert!(third.moves() && !second.moves());
        third.asks();
        tokio::time::sleep(Duration::from_millis(250)).await;
        places.free_stalled(Duration::from_millis(200));
        assert!(third.moves(), "who waits for us does not stall");
        let fourth = places.take(key).unwrap();
        places.cut(&key);
        assert!(!third.moves() && !fourth.moves());
    }
}
