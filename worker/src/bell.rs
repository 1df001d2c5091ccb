//! The bells of those who go over whole logs.
use dmwsi_store::Notice;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Waits for the bell of that name; false when the store is closed.
pub(crate) async fn heard(bell: &mut Receiver<Notice>, wanted: &str) -> bool {
    loop {
        match bell.recv().await {
            Ok(Notice::Ring(name)) if name == wanted => return true,
            Ok(Notice::Lost) | Err(RecvError::Lagged(_)) => return true,
            Ok(Notice::Ring(_) | Notice::Announce(_)) => {}
            Err(RecvError::Closed) => return false,
        }
    }
}
