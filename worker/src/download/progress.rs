//! What was sent: gathered in memory and written in batches, so that a request writes nothing of its own.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dmwsi_domain::digest::Sha256Digest;
use dmwsi_domain::id::JobId;
use dmwsi_domain::{Result, Timestamp};
use dmwsi_store::Store;
use dmwsi_store::downloads::Sent;

/// How many downloads are written in one transaction.
const BATCH: usize = 200;

/// What is downloaded for what: job, ordinal and content.
pub(super) type Key = (JobId, u32, Sha256Digest);

/// What is not yet written, in one order for every process, so that two that write the same do not wait for each other.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<BTreeMap<Key, Sent>>);

impl Progress {
    /// A request was begun for content of that length, from that place on.
    pub(super) fn begun(&self, key: Key, size: u64, from: u64, at: Timestamp) {
        self.add(Sent { size, reached: from, requests: 1, ..nothing(key, at) });
    }

    /// Bytes were sent, the last of them before `reached`.
    pub(super) fn sent(&self, key: Key, size: u64, bytes: u64, reached: u64, at: Timestamp) {
        self.add(Sent { size, sent: bytes, reached, ..nothing(key, at) });
    }

    fn add(&self, more: Sent) {
        merge(&mut self.lock(), more);
    }

    /// Writes what was gathered. What cannot be written is kept for the next time.
    pub(super) async fn flush(&self, store: &Store) -> Result<()> {
        let gathered = std::mem::take(&mut *self.lock());
        let mut all: Vec<Sent> = gathered.into_values().collect();
        while !all.is_empty() {
            let rest = all.split_off(all.len().min(BATCH));
            let batch = std::mem::replace(&mut all, rest);
            let rows = batch.clone();
            if let Err(error) = store.write(move |tx| tx.add_sent(&rows)).await {
                let mut kept = self.lock();
                batch.into_iter().chain(all).for_each(|one| merge(&mut kept, one));
                return Err(error);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn nothing((job, ordinal, payload): Key, at: Timestamp) -> Sent {
    Sent { job, ordinal, payload, size: 0, sent: 0, reached: 0, requests: 0, at }
}

fn merge(all: &mut BTreeMap<Key, Sent>, more: Sent) {
    let known = all
        .entry((more.job, more.ordinal, more.payload))
        .or_insert_with(|| nothing((more.job, more.ordinal, more.payload), more.at));
    known.size = known.size.max(more.size);
    known.sent = known.sent.saturating_add(more.sent);
    known.reached = known.reached.max(more.reached);
    known.requests = known.requests.saturating_add(more.requests);
    known.at = known.at.max(more.at);
}
