//! Sessions without work: they need no row, only a little memory of the process that holds them.
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dmwsi_domain::Timestamp;
use dmwsi_domain::session_record::SessionRecord;
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
    /// What is written down of it, once there is something to tell.
    pub(super) record: Option<Box<SessionRecord>>,
}

/// The most that all sessions may take together beyond what every session takes, in bytes: strangers choose how long their names are
/// and how much there is to answer.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// The sessions without work.
pub(super) struct Memory(Mutex<Sessions>);

struct Sessions {
    held: LruCache<Key, Held>,
    bytes: usize,
    most_bytes: usize,
}

impl Held {
    /// The bytes that depend on who wrote the message: names, which stand in the session once more, and the reply.
    fn bytes(&self, (source, session): &Key) -> usize {
        source.len().saturating_add(session.len()).saturating_mul(2).saturating_add(self.last.reply.bytes.len())
    }
}

impl Sessions {
    fn put(&mut self, key: Key, held: Held) {
        self.bytes = self.bytes.saturating_add(held.bytes(&key));
        // The session of that key before, or the eldest where there is no more room.
        if let Some((key, gone)) = self.held.push(key, held) {
            self.bytes = self.bytes.saturating_sub(gone.bytes(&key));
        }
        while self.bytes > self.most_bytes {
            let Some((key, gone)) = self.held.pop_lru() else { break };
            self.bytes = self.bytes.saturating_sub(gone.bytes(&key));
        }
    }
}

impl Memory {
    /// Remembers at most `capacity` sessions.
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        Self::within(capacity, MOST_BYTES)
    }

    fn within(capacity: NonZeroUsize, most_bytes: usize) -> Self {
        Self(Mutex::new(Sessions { held: LruCache::new(capacity), bytes: 0, most_bytes }))
    }

    /// The session, unless it is too old.
    pub(super) fn find(&self, key: &Key, now: Timestamp) -> Option<Held> {
        self.lock().held.get(key).filter(|held| now.since(held.at) < REMEMBERED).cloned()
    }

    /// The session of which that message is the last one.
    pub(super) fn repeated(&self, key: &Key, message: u32, hash: &[u8; 32], now: Timestamp) -> Option<Held> {
        let mut sessions = self.lock();
        let held = sessions.held.get(key).filter(|held| now.since(held.at) < REMEMBERED)?;
        held.last.is(message, hash).then(|| held.clone())
    }

    /// Remembers a session.
    pub(super) fn keep(&self, key: Key, held: Held) {
        self.lock().put(key, held);
    }

    /// Forgets a session: it has a row now, or another has taken its place.
    pub(super) fn forget(&self, key: &Key) {
        let mut sessions = self.lock();
        if let Some((key, gone)) = sessions.held.pop_entry(key) {
            sessions.bytes = sessions.bytes.saturating_sub(gone.bytes(&key));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Memory").field(&self.lock().held.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use dmwsi_protocol::encoding::Encoding;

    use super::*;
    use crate::gateway::state::Said;

    fn held(reply: usize) -> Held {
        let text = "<SyncML><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>1</SessionID><MsgID>1</MsgID>\
            <Target><LocURI>server</LocURI></Target><Source><LocURI>device</LocURI></Source></SyncHdr><SyncBody><Final/></SyncBody></SyncML>";
        let message = Encoding::Xml.decode(text.as_bytes()).unwrap();
        let last = Answered { message: 1, hash: [0; 32], reply: Said { bytes: Bytes::from(vec![0; reply]), mac: None } };
        Held { session: Session::open(&message, "here"), last, at: Timestamp::from_micros(0), record: None }
    }

    fn key(number: usize) -> Key {
        (format!("{number:06}"), "1".to_owned())
    }

    /// How many sessions it holds, and their bytes.
    fn size(memory: &Memory) -> (usize, usize) {
        let sessions = memory.lock();
        (sessions.held.len(), sessions.bytes)
    }

    #[test]
    fn however_much_callers_say_the_memory_is_bounded_and_the_eldest_go_first() {
        let memory = Memory::within(NonZeroUsize::new(50).unwrap(), 10_000);
        let now = Timestamp::from_micros(0);
        for number in 0..200 {
            memory.keep(key(number), held(990));
            assert!(size(&memory).1 <= 10_000);
        }
        assert_eq!(size(&memory).0, 9);
        assert!(memory.find(&key(190), now).is_none() && memory.find(&key(199), now).is_some());
        for _ in 0..3 {
            memory.keep(key(199), held(10));
        }
        for number in 0..200 {
            memory.forget(&key(number));
        }
        assert_eq!(size(&memory), (0, 0));
    }

    #[test]
    fn what_is_pushed_out_by_number_gives_its_bytes_back() {
        let memory = Memory::within(NonZeroUsize::new(2).unwrap(), 10_000);
        (0..9).for_each(|number| memory.keep(key(number), held(100)));
        assert_eq!(size(&memory), (2, 2 * (100 + 2 * 7)));
    }
}
