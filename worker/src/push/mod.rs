//! Waking devices: one standing task takes up those that are due, in batches, and hands a notification for each to where it can be reached.
//!
//! An attempt is counted, and the time of the next one set, in the transaction that takes a device up; so a process that dies between that and the
//! sending has lost one attempt and nothing else. Requests to gateways run beside it, so that one which answers slowly
//! holds up no datagram. What went wrong is written afterwards, many at a time; what went well needs no word.
mod courier;
mod dispatch;
mod http;
mod pace;
mod package;
mod posts;
mod settings;
mod trouble;
mod udp;

pub use dispatch::{Pusher, PusherError};
pub use settings::{Body, Form, Settings, Ui};

use std::sync::Arc;

use dmwsi_domain::{Clock, Result};
use dmwsi_store::Store;
use dmwsi_store::wakes::WAKE;

use crate::queue::{Lane, Queues};

/// Has the standing task run that wakes devices, `wake.v1`.
#[must_use]
pub fn handle(queues: Queues, pusher: Pusher) -> Queues {
    let pusher = Arc::new(pusher);
    queues.handle(WAKE, Lane { room: 1, batch: 1, standing: true }, move |(), context| {
        let pusher = Arc::clone(&pusher);
        async move { pusher.wake(context).await }
    })
}

/// Puts the standing task there, where it is not there yet. Once for each start of a worker.
pub async fn install(store: &Store, clock: &Clock) -> Result<()> {
    let (now, ids) = (clock.now(), clock.new_ids());
    store.write(move |tx| tx.ring_waking(now, &mut ids.clone())).await
}
