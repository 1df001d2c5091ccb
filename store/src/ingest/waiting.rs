//! Containers whose bytes are put aside and judged later.
use std::io::{self, Read};
use std::sync::Arc;

use dmwsi_domain::container::{Container, ContainerState};
use dmwsi_domain::fault::{Fault, FaultCode};
use dmwsi_domain::id::ContainerId;
use dmwsi_domain::{Error, Result};

use super::{Ingest, advance, disk};
use crate::Tx;
use crate::admission::{Room, too_much_waits};
use crate::content::{Content, Staged};

impl Ingest {
    /// Puts the bytes of a new container aside, so that a task judges them. They stay only if they come whole, and if no more than may do so waits of
    /// its organisation already: else it is refused with `QUOTA_EXCEEDED`.
    pub async fn park(&self, container: Container, source: impl Read + Send + 'static) -> Result<Container> {
        self.in_place().await?;
        let (parts, organisation) = (Arc::clone(&self.0), container.owner.organisation);
        let turn = parts.turns.take(organisation).await?;
        let settings = parts.settings.clone();
        let room = parts.store.read(move |tx| tx.waiting_room(organisation, &settings)).await?;
        if !room.takes(1) {
            return Err(too_much_waits());
        }
        let copied = tokio::task::spawn_blocking(move || {
            let staged = put_aside(source, &*parts.content, parts.settings.max_container_bytes, room);
            drop(turn);
            staged
        });
        let (staged, length) = copied.await.map_err(Error::internal)??;
        let (content, settings) = (Arc::clone(&self.0.content), self.0.settings.clone());
        let hold = move |tx: &mut Tx<'_>| tx.hold_waiting(organisation, length, &settings);
        self.await_verdict(container, hold, move |name| content.park(&staged, name), |_tx, _container| Ok(())).await
    }

    /// Writes that a container has come whole by an upload, and has a task judge it. `place` gives its bytes their name, `and` is done in the same
    /// transaction.
    pub async fn expect(
        &self,
        container: Container,
        place: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static,
        and: impl Fn(&mut Tx<'_>, &Container) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Container> {
        self.in_place().await?;
        // The upload held its room when it began.
        self.await_verdict(container, |_tx| Ok(()), place, and).await
    }

    async fn await_verdict(
        &self,
        container: Container,
        hold: impl Fn(&mut Tx<'_>) -> Result<()> + Send + Sync + 'static,
        place: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static,
        and: impl Fn(&mut Tx<'_>, &Container) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Container> {
        let (now, ids, content) = (self.0.clock.now(), self.0.clock.new_ids(), Arc::clone(&self.0.content));
        let written = self.0.store.write(move |tx| {
            let (mut container, mut ids, name) = (container.clone(), ids, waiting_name(container.id));
            hold(tx)?;
            place(&name).map_err(disk)?;
            container.bytes = content.resume(&name).and_then(|file| file.metadata()).map_err(disk)?.len();
            advance(tx, &mut container, true, now, &mut ids)?;
            tx.ring_ingest(container.id, now, &mut ids)?;
            and(tx, &container)?;
            Ok(container)
        });
        written.await
    }

    /// Judges a container that was put aside. Once it is judged its bytes go. No sender is waited for, so none of the threads is needed that senders
    /// share.
    pub async fn judge(&self, id: ContainerId) -> Result<()> {
        self.in_place().await?;
        let container = self.0.store.read(move |tx| tx.delivery(id)).await?;
        let (content, name) = (Arc::clone(&self.0.content), waiting_name(id));
        if container.state == ContainerState::Verifying {
            let opened = {
                let (content, name) = (Arc::clone(&content), name.clone());
                tokio::task::spawn_blocking(move || content.resume(&name)).await.map_err(Error::internal)?
            };
            match opened {
                Ok(file) => drop(self.take_in(container, file, None).await?),
                // Where another attempt was faster, its verdict stands: this one is stale.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    tracing::error!(container = %id, "the bytes of {id} were lost before it was judged");
                    let fault = Fault::new(FaultCode::BytesLost, "its bytes were lost before it was judged; deliver it again");
                    drop(self.refuse(container, fault, self.0.clock.now(), self.0.clock.new_ids()).await?);
                }
                Err(error) => return Err(disk(error)),
            }
        }
        let gone = tokio::task::spawn_blocking(move || content.discard(&name)).await.map_err(Error::internal)?;
        gone.map_err(disk)
    }
}

/// Copies the bytes of a container to a file, and makes it durable; also how long it is.
fn put_aside(source: impl Read, content: &dyn Content, most: u64, room: Room) -> Result<(Staged, u64)> {
    let mut staged = content.workplace().and_then(|workplace| workplace.stage()).map_err(disk)?;
    let copied = io::copy(&mut source.take(most.min(room.bytes).saturating_add(1)), &mut staged).map_err(disk)?;
    if copied > most {
        return Err(Error::invalid("", "PAYLOAD_TOO_LARGE", format!("a container may have {most} bytes")));
    }
    if copied > room.bytes {
        return Err(too_much_waits());
    }
    staged.finish().map_err(disk)?;
    Ok((staged, copied))
}

/// The name under which the bytes of a container wait for its verdict.
#[must_use]
pub fn waiting_name(container: ContainerId) -> String {
    container.to_string()
}
