//! Passes the store's notices on to the claimers of the queues that are rung.
use std::collections::HashMap;
use std::sync::Arc;

use dmwsi_store::Notice;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};

/// One bell for each queue. A ring while the claimer is busy is kept for it, so none is lost.
pub(super) type Bells = HashMap<&'static str, Arc<Notify>>;

/// Rings until the store is closed or everything stops.
pub(super) async fn pass_on(mut notices: Receiver<Notice>, bells: Bells, mut stopping: watch::Receiver<bool>) {
    loop {
        let heard = tokio::select! {
            heard = notices.recv() => heard,
            () = raised(&mut stopping) => return,
        };
        match heard {
            Ok(Notice::Ring(queue)) => {
                if let Some(bell) = bells.get(queue.as_ref()) {
                    bell.notify_one();
                }
            }
            Ok(Notice::Announce(_)) => {}
            Ok(Notice::Lost) | Err(RecvError::Lagged(_)) => bells.values().for_each(|bell| bell.notify_one()),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Waits until a flag is raised, or until nobody is left to raise it.
pub(super) async fn raised(flag: &mut watch::Receiver<bool>) {
    drop(flag.wait_for(|raised| *raised).await);
}
