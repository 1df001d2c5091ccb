//! Sessions without work: they need no row, only a little memory of the process that holds them.
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dmwsi_domain::Timestamp;
use dmwsi_protocol::server::Session;
use lru::LruCache;

use super::state::Answered;

/// How long a session without work is remembered after its last message.
pub(super) const REMEMBERED: Duration = Duration::from_secs(120);

/// The text of Source/LocURI, and the SessionID.
pub(super) type Key = (String, String);

/// A session and the last message in it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// The session, ready for the next message.
    pub(super) session: Session,
    /// The last message and its reply.
    pub(super) last: Answered,
    /// When that was.
    pub(super) at: Timestamp,
}

/// The sessions without work.
pub(super) struct Memory(Mutex<LruCache<Key, Held>>);

impl Memory {
    /// Remembers at most `capacity` sessions.
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::new(capacity)))
    }

    /// The session, unless it is too old.
    pub(super) fn find(&self, key: &Key, now: Timestamp) -> Option<Held> {
        self.lock().get(key).filter(|held| now.since(held.at) < REMEMBERED).cloned()
    }

    /// The reply to that message, if it is the last one of a session held here.
    pub(super) fn repeated(&self, key: &Key, message: u32, body: &[u8; 32], now: Timestamp) -> Option<Bytes> {
        let mut held = self.lock();
        let held = held.get(key).filter(|held| now.since(held.at) < REMEMBERED)?;
        held.last.reply_to(message, body)
    }

    /// Remembers a session.
    pub(super) fn keep(&self, key: Key, held: Held) {
        self.lock().put(key, held);
    }

    /// Forgets a session: it has a row now, or another has taken its place.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().pop(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<Key, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Memory").field(&self.lock().len()).finish()
    }
}
