//! Waiting for a job, or for the log of an organisation: woken after the commit that changed it, never by looking again and again.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dmwsi_domain::{Error, Result};
use dmwsi_store::{Notice, Store};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use uuid::Uuid;

/// Those who wait, by the job or the organisation they wait for. However many wait, one thread hears the notices.
#[derive(Default)]
pub(crate) struct Waiting(Arc<Rooms>);

#[derive(Default)]
struct Rooms {
    jobs: Mutex<HashMap<Uuid, Weak<Notify>>>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl Waiting {
    /// Reads until what was read is worth an answer, or until `longest` is over; then what was read last is the answer. `read` runs once at
    /// once, and then after each change of the job.
    pub(crate) async fn until<T, F: Future<Output = Result<T>>>(
        &self,
        store: &Store,
        job: Uuid,
        longest: Duration,
        read: impl Fn() -> F,
        enough: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let deadline = Instant::now().checked_add(longest);
        let (Some(deadline), false) = (deadline, longest.is_zero()) else { return read().await };
        self.0.listen(store)?;
        let room = self.0.enter(job);
        loop {
            // Enabled before the reading: a change that is committed after it wakes us.
            let mut changed = std::pin::pin!(room.notified());
            changed.as_mut().enable();
            let seen = read().await?;
            if enough(&seen) || tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Ok(seen);
            }
        }
    }
}

impl Rooms {
    fn enter(&self, job: Uuid) -> Arc<Notify> {
        let mut jobs = locked(&self.jobs);
        if let Some(room) = jobs.get(&job).and_then(Weak::upgrade) {
            return room;
        }
        // Rooms that everybody has left are cleared when the next one opens.
        jobs.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Notify::new());
        jobs.insert(job, Arc::downgrade(&room));
        room
    }

    fn wake(&self, job: Uuid) {
        if let Some(room) = locked(&self.jobs).get(&job).and_then(Weak::upgrade) {
            room.notify_waiters();
        }
    }

    fn wake_all(&self) {
        for room in locked(&self.jobs).values().filter_map(Weak::upgrade) {
            room.notify_waiters();
        }
    }

    /// Starts the thread that hears the notices, where it does not run yet. It ends with the store, or with the application.
    fn listen(self: &Arc<Self>, store: &Store) -> Result<()> {
        let mut listener = locked(&self.listener);
        if listener.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        let (mut notices, rooms) = (store.notices(), Arc::downgrade(self));
        let hear = move || {
            loop {
                let notice = notices.blocking_recv();
                let Some(rooms) = rooms.upgrade() else { return };
                match notice {
                    Ok(Notice::Announce(job)) => rooms.wake(job),
                    Ok(Notice::Lost) | Err(RecvError::Lagged(_)) => rooms.wake_all(),
                    Ok(Notice::Ring(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        };
        *listener = Some(thread::Builder::new().name("dmwsi-waiting".into()).spawn(hear).map_err(Error::internal)?);
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
