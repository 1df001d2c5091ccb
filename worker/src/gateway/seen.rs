//! When devices last called: gathered in memory and written in batches, so that a check-in writes nothing of its own. Their wakes end with that.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmwsi_domain::id::DeviceId;
use dmwsi_domain::{Clock, Result, Timestamp};
use dmwsi_store::{Store, Tx};
use tokio::sync::Notify;
use tokio::time::sleep;

/// How many devices are written in one transaction.
const BATCH: usize = 1_000;

/// For how long calls of woken devices are gathered: who is wanted again is only woken again once it is known that it called.
const WOKEN: Duration = Duration::from_millis(100);

/// For how long it is known which calls were written: longer than a message is worked on.
const LATELY: Duration = Duration::from_secs(60);

/// The numbers that a session may have, the opening of the wake that it answers, and when it did.
type Answered = ([Option<u16>; 2], u64, Timestamp);

/// The times not yet written.
#[derive(Debug, Default)]
pub(super) struct Seen {
    gathered: Mutex<Gathered>,
    /// There are ends of wakes among them.
    woken: Notify,
}

#[derive(Debug, Default)]
struct Gathered {
    /// To the second.
    times: HashMap<DeviceId, Timestamp>,
    /// Those whose wake was open, with its opening.
    wakes: HashMap<DeviceId, (u64, Timestamp)>,
    /// Those of them that called because they were woken, with what tells which session that is.
    answers: HashMap<DeviceId, Answered>,
    /// The openings that were written lately: a message whose sender was read before that tells nothing new, and must not pass for another call.
    written: HashMap<DeviceId, (u64, Timestamp)>,
}

impl Seen {
    /// The device called; `wake` is the opening of its wake that this has seen, `answers` the numbers that its session may have where it says that it
    /// was woken.
    pub(super) fn note(&self, device: DeviceId, at: Timestamp, wake: Option<u64>, answers: Option<[Option<u16>; 2]>) {
        // Devices of one second are written by one statement.
        let second = Timestamp::from_micros(at.micros() - at.micros().rem_euclid(1_000_000));
        let mut gathered = self.lock();
        gathered.times.insert(device, second);
        let Some(opening) = wake.filter(|opening| gathered.written.get(&device).is_none_or(|(written, _)| written != opening))
        else {
            return;
        };
        gathered.wakes.insert(device, (opening, at));
        if let Some(sessions) = answers {
            gathered.answers.insert(device, (sessions, opening, at));
        }
        self.woken.notify_one();
    }

    /// Until it is time to write: soon after a device called that was being woken, else after `every`.
    pub(super) async fn due(&self, every: Duration) {
        tokio::select! {
            () = sleep(every) => {}
            () = async { self.woken.notified().await; sleep(WOKEN).await } => {}
        }
    }

    /// Writes what was gathered. What cannot be written is kept for the next time.
    pub(super) async fn flush(&self, store: &Store, clock: &Clock) -> Result<()> {
        let Gathered { times, wakes, answers, .. } = {
            let (now, mut gathered) = (clock.now(), self.lock());
            let mut written = std::mem::take(&mut gathered.written);
            written.retain(|_, (_, at)| now.since(*at) < LATELY);
            written.extend(gathered.wakes.iter().map(|(device, (opening, _))| (*device, (*opening, now))));
            std::mem::replace(&mut *gathered, Gathered { written, ..Gathered::default() })
        };
        self.write_answers(store, answers.into_iter().collect()).await;
        let wakes: Vec<_> = wakes.into_iter().map(|(device, (opening, at))| (device, opening, at)).collect();
        if let Err(error) = end_wakes(store, clock, &wakes).await {
            self.keep(times);
            let mut kept = self.lock();
            for (device, opening, at) in wakes {
                kept.wakes.entry(device).or_insert((opening, at));
            }
            return Err(error);
        }
        let mut times: Vec<_> = times.into_iter().collect();
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

    /// Ends the wakes of those that called because of them. Where that fails, they end as those of devices that called by themselves.
    async fn write_answers(&self, store: &Store, mut answers: Vec<(DeviceId, Answered)>) {
        answers.sort_unstable();
        let chunks: Vec<Vec<_>> = answers.chunks(BATCH).map(<[_]>::to_vec).collect();
        for chunk in chunks {
            let end = move |tx: &mut Tx<'_>| {
                chunk.iter().try_for_each(|(device, (sessions, opening, at))| {
                    tx.end_wake_answered(*device, *sessions, *opening, *at).map(drop)
                })
            };
            if let Err(error) = store.write(end).await {
                tracing::warn!(%error, "it could not be written that devices called because they were woken");
            }
        }
    }

    /// Takes back what could not be written, unless the device called again meanwhile.
    fn keep(&self, times: impl IntoIterator<Item = (DeviceId, Timestamp)>) {
        let mut kept = self.lock();
        for (device, at) in times {
            kept.times.entry(device).or_insert(at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the wakes of devices that called. Those that are over already stay as they are, and those that were opened once more begin anew.
async fn end_wakes(store: &Store, clock: &Clock, called: &[(DeviceId, u64, Timestamp)]) -> Result<()> {
    for chunk in called.chunks(BATCH) {
        let (chunk, now, ids) = (chunk.to_vec(), clock.now(), clock.new_ids());
        let end = move |tx: &mut Tx<'_>| {
            tx.end_wakes_called(&chunk)?;
            tx.renew_wakes(&chunk, now, &mut ids.clone())
        };
        store.write(end).await?;
    }
    Ok(())
}
