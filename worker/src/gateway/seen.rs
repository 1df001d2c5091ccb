//! When devices last called: gathered in memory and written in batches, so that a check-in writes nothing of its own.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use dmwsi_domain::id::DeviceId;
use dmwsi_domain::{Result, Timestamp};
use dmwsi_store::Store;

/// How many devices are written in one transaction.
const BATCH: usize = 1_000;

/// The times not yet written.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<DeviceId, Timestamp>>);

impl Seen {
    /// The device called.
    pub(super) fn note(&self, device: DeviceId, at: Timestamp) {
        // Devices of one second are written by one statement.
        let at = Timestamp::from_micros(at.micros() - at.micros().rem_euclid(1_000_000));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(device, at);
    }

    /// Writes what was gathered. What cannot be written is kept for the next time.
    pub(super) async fn flush(&self, store: &Store) -> Result<()> {
        let gathered = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut times: Vec<_> = gathered.into_iter().collect();
        // One order for every process, so that two that write the same devices do not wait for each other.
        times.sort_unstable();
        while !times.is_empty() {
            let rest = times.split_off(times.len().min(BATCH));
            let batch = std::mem::replace(&mut times, rest);
            let rows = batch.clone();
            if let Err(error) = store.write(move |tx| tx.touch(&rows)).await {
                self.keep(batch.into_iter().chain(times));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes back what could not be written, unless the device called again meanwhile.
    fn keep(&self, times: impl IntoIterator<Item = (DeviceId, Timestamp)>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (device, at) in times {
            kept.entry(device).or_insert(at);
        }
    }
}
