//! Going over whole logs, whenever a bell rings.
use std::pin::Pin;
use std::time::Duration;

use dmwsi_domain::Result;
use dmwsi_store::{Notice, Store};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// How long it waits after the database failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The rounds of one who looks at once, then whenever a bell rings, and when the time is over that the last look said.
pub(crate) struct Rounds<S> {
    name: &'static str,
    bell: Receiver<Notice>,
    stopped: Pin<Box<S>>,
}

impl<S: Future<Output = ()>> Rounds<S> {
    /// By the bell of that name, until `stopped`.
    pub(crate) fn new(store: &Store, name: &'static str, stopped: S) -> Self {
        Self { name, bell: store.notices(), stopped: Box::pin(stopped) }
    }

    /// Waits for the next round, after what came of the last one; false when there is none.
    pub(crate) async fn go_on(&mut self, looked: Result<Duration>) -> bool {
        let pause = looked.unwrap_or_else(|error| {
            tracing::warn!(cause = ?error, bell = self.name, "what {} rings for failed; it is tried again: {error}", self.name);
            PAUSE
        });
        tokio::select! {
            () = &mut self.stopped => false,
            () = tokio::time::sleep(pause) => true,
            is_open = heard(&mut self.bell, self.name) => is_open,
        }
    }
}

/// Waits for the bell of that name; false when the store is closed.
async fn heard(bell: &mut Receiver<Notice>, wanted: &str) -> bool {
    loop {
        match bell.recv().await {
            Ok(Notice::Ring(name)) if name == wanted => return true,
            Ok(Notice::Lost) | Err(RecvError::Lagged(_)) => return true,
            Ok(Notice::Ring(_) | Notice::Announce(_)) => {}
            Err(RecvError::Closed) => return false,
        }
    }
}
