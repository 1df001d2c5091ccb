//! Messages of one device go through one after the other, so that a repetition finds the reply and a nonce the place it belongs to.
use std::hash::BuildHasher as _;

use tokio::sync::{Mutex, MutexGuard};

/// How many there are. Devices that share one wait for each other, which does no harm and is rare.
const COUNT: usize = 16_384;

/// Ways in, each for one message at a time.
pub(super) struct Turnstiles {
    all: Vec<Mutex<()>>,
    hasher: std::hash::RandomState,
}

impl Turnstiles {
    /// All of them free.
    pub(super) fn new() -> Self {
        Self { all: (0..COUNT).map(|_| Mutex::new(())).collect(), hasher: std::hash::RandomState::new() }
    }

    /// Waits until no other message of this device is being answered here; the next may come when what is given back is dropped.
    pub(super) async fn pass(&self, identity: &str) -> Option<MutexGuard<'_, ()>> {
        let at = usize::try_from(self.hasher.hash_one(identity)).unwrap_or(0) % COUNT;
        match self.all.get(at) {
            Some(turnstile) => Some(turnstile.lock().await),
            None => None,
        }
    }
}

impl std::fmt::Debug for Turnstiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turnstiles")
    }
}
