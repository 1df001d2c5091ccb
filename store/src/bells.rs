//! What this process tells the others on PostgreSQL: beside the transactions that it tells of, and many bells at once.
//!
//! PostgreSQL lets only one transaction that notifies commit at a time in all of its databases, waiting for the disk included. So no transaction that does
//! something else notifies. A process that dies between its commit and the bell is not heard; then the safety polls of those who listen find what it did.
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diesel::PgConnection;
use dmwsi_domain::{Error, Result};

use crate::notice::Notice;
use crate::postgres::Postgres;

/// How long after ringing it gathers what is to be rung next.
const GATHERING: Duration = Duration::from_millis(10);

/// How long it waits after the database failed.
const PAUSE: Duration = Duration::from_millis(500);

/// The thread that rings; it ends with its last sender, when everything was rung.
pub(crate) struct Bells {
    asked: Option<Sender<Notice>>,
    thread: Option<JoinHandle<()>>,
}

impl Bells {
    pub(crate) fn start(postgres: Postgres) -> Result<Self> {
        let (asked, asking) = channel();
        let ringing = thread::Builder::new().name("dmwsi-bells".into()).spawn(move || ring(&postgres, &asking));
        Ok(Self { asked: Some(asked), thread: Some(ringing.map_err(Error::internal)?) })
    }

    /// Where to put what others are to be told; none when it ends.
    pub(crate) fn sender(&self) -> Option<Sender<Notice>> {
        self.asked.clone()
    }
}

impl Drop for Bells {
    fn drop(&mut self) {
        drop(self.asked.take());
        let Some(thread) = self.thread.take() else { return };
        if thread.join().is_err() {
            tracing::error!("the thread that tells other processes panicked");
        }
    }
}

/// Rings the first bell at once, and those that come soon after together, each once.
fn ring(postgres: &Postgres, asking: &Receiver<Notice>) {
    let mut conn: Option<PgConnection> = None;
    while let Ok(first) = asking.recv() {
        let mut bells = BTreeSet::from([first]);
        bells.extend(asking.try_iter());
        while let Err(error) = postgres.notify(&mut conn, &bells) {
            tracing::warn!(cause = ?error, "other processes could not be told what has happened; it is tried again");
            conn = None;
            // Whoever is told this looks at everything.
            bells = BTreeSet::from([Notice::Lost]);
            thread::sleep(PAUSE);
            if matches!(asking.try_recv(), Err(TryRecvError::Disconnected)) {
                return;
            }
        }
        thread::sleep(GATHERING);
    }
}
