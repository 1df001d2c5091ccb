//! Containers that are judged later, and what is cleared away behind them.
use std::fs::TryLockError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::id::{ContainerId, UploadId};
use dmwsi_domain::{Clock, Error, Result};
use dmwsi_store::Store;
use dmwsi_store::content::Content;
use dmwsi_store::ingest::Ingest;

use crate::queue::Outcome;

/// The most rows of a kind that are cleared away in one run.
const MOST: i64 = 200;

/// How long a delivery without a row is left alone: its row may be about to be written.
const SETTLING: Duration = Duration::from_secs(3_600);

/// Judges a delivery that was put aside. It may run again at any point: the verdict is one transaction, and the bytes go after it.
pub(crate) async fn judge(ingest: &Ingest, container: ContainerId) -> Result<Outcome> {
    match ingest.judge(container).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(Outcome::Done),
        Err(error) => Err(error),
    }
}

/// Clears away what nobody needs any more: files whose makers are gone, uploads whose time is over, refused containers, unreferenced content.
pub(crate) async fn sweep_containers(store: &Store, clock: &Clock, ingest: &Ingest) -> Result<()> {
    let (now, settings) = (clock.now(), ingest.settings());
    let left = on_disk(ingest, |content| content.sweep()).await?;
    if left > 0 {
        tracing::info!(files = left, "{left} files were left behind by whoever wrote them, and are removed");
    }
    for id in store.read(move |tx| tx.old_uploads(now, MOST)).await? {
        if on_disk(ingest, move |content| discard_upload(content, &id.to_string())).await? {
            store.write(move |tx| tx.delete_upload(id)).await?;
        }
    }
    for (name, silent) in on_disk(ingest, |content| content.waiting()).await? {
        if silent >= SETTLING && !is_wanted(store, &name).await? {
            on_disk(ingest, move |content| content.discard(&name)).await?;
        }
    }
    let before = now.minus(Duration::from_secs(settings.rejected_seconds));
    store.write(move |tx| tx.sweep_containers(before, MOST)).await?;
    let before = now.minus(Duration::from_secs(settings.unreferenced_seconds));
    for digest in store.read(move |tx| tx.unreferenced(before, MOST)).await? {
        let content = Arc::clone(ingest.content());
        match store.write(move |tx| tx.collect(&*content, &digest, before)).await {
            // Somebody refers to it just now.
            Ok(_) | Err(Error::Stale { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether something still waits for the delivery of that name.
async fn is_wanted(store: &Store, name: &str) -> Result<bool> {
    if let Ok(upload) = name.parse::<UploadId>() {
        return store.read(move |tx| tx.has_upload(upload)).await;
    }
    let Ok(container) = name.parse::<ContainerId>() else { return Ok(false) };
    match store.read(move |tx| tx.delivery(container)).await {
        Ok(found) => Ok(!found.state.is_judged()),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the file of an upload, unless somebody holds it: what has begun before its time was over may come to its end.
fn discard_upload(content: &dyn Content, name: &str) -> io::Result<bool> {
    let file = match content.resume(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) => content.discard(name).map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

async fn on_disk<T: Send + 'static>(
    ingest: &Ingest,
    run: impl FnOnce(&dyn Content) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let content = Arc::clone(ingest.content());
    let done = tokio::task::spawn_blocking(move || run(&*content)).await.map_err(Error::internal)?;
    done.map_err(|error| Error::Unavailable(Box::new(error)))
}
