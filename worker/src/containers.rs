//! Containers that are judged later, and what is cleared away behind them.
use std::fs::TryLockError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::container::ContainerState;
use dmwsi_domain::id::{ContainerId, UploadId};
use dmwsi_domain::{Clock, Error, Result, Timestamp};
use dmwsi_store::Store;
use dmwsi_store::content::Content;
use dmwsi_store::ingest::Ingest;

use crate::queue::Outcome;

/// The most rows of a kind that are looked at together.
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

/// Clears away what nobody needs any more: files whose makers are gone, uploads whose time is over, expired and refused containers, unreferenced
/// content. One kind that cannot be cleared away keeps no other from it. Nothing is done where the content is not where it belongs.
pub(crate) async fn sweep_containers(store: &Store, clock: &Clock, ingest: &Ingest) -> Result<()> {
    ingest.in_place().await?;
    let now = clock.now();
    for (what, done) in [
        ("files that were left behind", sweep_staging(ingest).await),
        ("uploads whose time is over", sweep_uploads(store, ingest, now).await),
        ("deliveries that nobody waits for", sweep_waiting(store, ingest).await),
        ("containers that have expired", withdraw_expired(store, clock).await),
        ("containers that were refused", sweep_refused(store, ingest, now).await),
        ("content to which nothing refers", sweep_content(store, ingest, now).await),
    ] {
        if let Err(error) = done {
            tracing::warn!(cause = ?error, "{what} could not be cleared away: {error}");
        }
    }
    Ok(())
}

async fn sweep_staging(ingest: &Ingest) -> Result<()> {
    let left = on_disk(ingest, |content| content.sweep()).await?;
    if left > 0 {
        tracing::info!(deliveries = left, "files of {left} deliveries were left behind by whoever wrote them, and are removed");
    }
    Ok(())
}

async fn sweep_uploads(store: &Store, ingest: &Ingest, now: Timestamp) -> Result<()> {
    loop {
        let old = store.read(move |tx| tx.old_uploads(now, MOST)).await?;
        let mut gone = 0_usize;
        for id in &old {
            let id = *id;
            if on_disk(ingest, move |content| discard_upload(content, &id.to_string())).await? {
                store.write(move |tx| tx.delete_upload(id)).await?;
                gone = gone.saturating_add(1);
            }
        }
        // Those that somebody holds would be found again and again.
        if is_last(old.len()) || gone == 0 {
            return Ok(());
        }
    }
}

async fn sweep_waiting(store: &Store, ingest: &Ingest) -> Result<()> {
    for (name, silent) in on_disk(ingest, |content| content.waiting()).await? {
        if silent >= SETTLING && !is_wanted(store, &name).await? {
            let shown = name.clone();
            if let Err(error) = on_disk(ingest, move |content| content.discard(&name)).await {
                tracing::warn!(cause = ?error, "the delivery {shown}, for which nobody waits, cannot be removed: {error}");
            }
        }
    }
    Ok(())
}

/// What has expired is offered to no device; withdrawn, it takes no room either.
async fn withdraw_expired(store: &Store, clock: &Clock) -> Result<()> {
    loop {
        let now = clock.now();
        let over = store.read(move |tx| tx.expired_containers(now, MOST)).await?;
        for id in &over {
            let (id, ids) = (*id, clock.new_ids());
            let withdrawn = store.write(move |tx| {
                let mut container = tx.delivery(id)?;
                if container.state == ContainerState::Available {
                    tx.withdraw_container(&mut container, now, &mut ids.clone())?;
                }
                Ok(())
            });
            withdrawn.await?;
        }
        if is_last(over.len()) {
            return Ok(());
        }
    }
}

async fn sweep_refused(store: &Store, ingest: &Ingest, now: Timestamp) -> Result<()> {
    let before = now.minus(Duration::from_secs(ingest.settings().rejected_seconds));
    while !is_last(store.write(move |tx| tx.sweep_containers(before, MOST)).await?) {}
    Ok(())
}

async fn sweep_content(store: &Store, ingest: &Ingest, now: Timestamp) -> Result<()> {
    let before = now.minus(Duration::from_secs(ingest.settings().unreferenced_seconds));
    loop {
        let unreferenced = store.read(move |tx| tx.unreferenced(before, MOST)).await?;
        let (all, mut gone) = (unreferenced.len(), 0_usize);
        for digest in unreferenced {
            let content = Arc::clone(ingest.content());
            match store.write(move |tx| tx.collect(&*content, &digest, before)).await {
                Ok(_) => gone = gone.saturating_add(1),
                // Somebody refers to it just now.
                Err(Error::Stale { .. }) => {}
                Err(error) => tracing::warn!(cause = ?error, "the content {digest} cannot be removed: {error}"),
            }
        }
        // What would not go would be found again and again.
        if is_last(all) || gone == 0 {
            return Ok(());
        }
    }
}

/// Whether there are no more of a kind than were just seen.
fn is_last(seen: usize) -> bool {
    i64::try_from(seen).is_ok_and(|seen| seen < MOST)
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
