//! A container comes in: read on a thread of its own, judged, and written in one transaction.
mod source;
mod turns;
mod unpack;
mod verdict;
mod waiting;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use dmwsi_domain::container::{Container, ContainerState};
use dmwsi_domain::fault::Fault;
use dmwsi_domain::{Clock, Error, Ids, Result, Timestamp};

use crate::admission::Admission;
use crate::content::{Content, Kept, Reference, Settings};
use crate::{Store, Tx};

pub use source::{Feed, Source, pipe};
use turns::{Turn, Turns};
use unpack::{Bounds, Unpacked, unpack};
use verdict::{judge, reference};
pub use waiting::waiting_name;

/// Files that get their names within one transaction.
const KEPT_AT_ONCE: usize = 32;

/// How often a container is judged anew when another came in meanwhile.
const TRIES: u32 = 5;

/// What brings containers in. Cheap to clone.
#[derive(Clone)]
pub struct Ingest(Arc<Parts>);

struct Parts {
    store: Store,
    content: Arc<dyn Content>,
    marker: Option<String>,
    settings: Settings,
    clock: Clock,
    turns: Turns,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ingest").field(&self.0.content).finish()
    }
}

/// A container that was judged, and whether it came in before.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The container; where it came in before, the earlier one.
    pub container: Container,
    /// Whether it came in before.
    pub again: bool,
}

impl Ingest {
    /// Brings containers into that store and that content, as long as that bears `marker`; without one, whatever it bears.
    #[must_use]
    pub fn new(store: Store, content: Arc<dyn Content>, marker: Option<String>, settings: Settings, clock: Clock) -> Self {
        let turns = Turns::new(settings.ingest_threads);
        Self(Arc::new(Parts { store, content, marker, settings, clock, turns }))
    }

    /// Where the content is.
    #[must_use]
    pub fn content(&self) -> &Arc<dyn Content> {
        &self.0.content
    }

    /// What the operator set.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Unavailable where this process does not see the content that belongs to the database, as with a folder that is not mounted: nothing may be
    /// written there, and nothing cleared away.
    pub async fn in_place(&self) -> Result<()> {
        let parts = Arc::clone(&self.0);
        let Some(marker) = parts.marker.clone() else { return Ok(()) };
        let found = tokio::task::spawn_blocking(move || parts.content.marker()).await.map_err(Error::internal)?.map_err(disk)?;
        if found.as_deref() == Some(&*marker) {
            return Ok(());
        }
        Err(Error::Unavailable("the content folder is not the one that belongs to the database".into()))
    }

    /// Reads a container to its end, judges it, and writes what became of it. `container` is a new one without a row, or one that waits in the
    /// state `VERIFYING`. When its bytes break off, nothing of a new one stays anywhere.
    pub async fn run(&self, container: Container, source: impl Read + Send + 'static) -> Result<Judged> {
        self.in_place().await?;
        let turn = self.0.turns.take(container.owner.organisation).await?;
        self.take_in(container, source, Some(turn)).await
    }

    /// The same on a thread that is the caller's already.
    async fn take_in(&self, container: Container, source: impl Read + Send + 'static, turn: Option<Turn>) -> Result<Judged> {
        let (parts, organisation) = (Arc::clone(&self.0), container.owner.organisation);
        let room = {
            let settings = parts.settings.clone();
            parts.store.read(move |tx| tx.room(organisation, &settings)).await?
        };
        let (partial, now) = (container.partial, parts.clock.now());
        let span = tracing::Span::current();
        let read = tokio::task::spawn_blocking(move || {
            let bounds = Bounds { settings: &parts.settings, room, partial, now };
            let unpacked = span.in_scope(|| unpack(source, &*parts.content, &bounds));
            drop(turn);
            unpacked
        });
        let unpacked = read.await.map_err(Error::internal)?.map_err(|broken| Error::Unavailable(Box::new(broken)))?;
        let mut unpacked = Arc::new(unpacked);
        // Long after it began: what is kept from now on must not look as if it had been there since then.
        let now = self.0.clock.now();
        let mut tries = TRIES;
        loop {
            match self.settle(container.clone(), Arc::clone(&unpacked), now).await {
                Err(Error::Stale { .. }) if tries > 1 => tries -= 1,
                settled => {
                    // What was not kept goes from the disk before anybody is answered.
                    if let Some(unpacked) = Arc::get_mut(&mut unpacked) {
                        unpacked.kept.clear();
                    }
                    return settled;
                }
            }
        }
    }

    async fn settle(&self, mut container: Container, unpacked: Arc<Unpacked>, now: Timestamp) -> Result<Judged> {
        let parts = &self.0;
        container.head = unpacked.manifest.as_ref().map(|manifest| manifest.head.clone());
        container.fingerprint = unpacked.fingerprint;
        let mut ids = parts.clock.new_ids();
        let judgement = judge(&container, &unpacked, now, &mut ids);
        container.bytes = judgement.bytes;
        container.verdicts = judgement.verdicts;
        let (settings, asked) = (parts.settings.clone(), container.clone());
        let admission = parts.store.read(move |tx| tx.admit(&asked, asked.bytes, &settings)).await?;
        let is_sound = judgement.fault.is_none();
        let fault = match admission {
            Admission::Same(_) => None,
            Admission::Refused(fault) => judgement.fault.or(Some(fault)),
            Admission::Free => judgement.fault,
        };
        if let Some(fault) = fault {
            return self.refuse(container, fault, now, ids).await;
        }
        self.keep(&unpacked, now).await?;
        let (settings, deliverables) = (parts.settings.clone(), judgement.deliverables);
        let references: Vec<Reference> =
            unpacked.kept.iter().map(|(path, item, kept)| reference(path, *item, kept, &deliverables)).collect();
        let is_new = container.state == ContainerState::Receiving;
        let written = parts.store.write(move |tx| {
            let (mut container, mut ids) = (container.clone(), ids);
            tx.hold_organisation(container.owner.organisation)?;
            match tx.admit(&container, container.bytes, &settings)? {
                Admission::Free if is_sound => {}
                Admission::Free | Admission::Refused(_) => return Err(Error::Stale { what: "container" }),
                Admission::Same(earlier) => {
                    if !is_new {
                        repeat(tx, &mut container, &earlier, now)?;
                    }
                    return Ok(Judged { container: *earlier, again: true });
                }
            }
            advance(tx, &mut container, is_new, now, &mut ids)?;
            container.enter(ContainerState::Available, now)?;
            tx.update_container(&container)?;
            tx.insert_accepted(
                &container,
                (&unpacked.manifest_bytes, unpacked.signature.as_deref()),
                &deliverables,
                &references,
            )?;
            tx.tell_container(&container, now, &mut ids)?;
            Ok(Judged { container, again: false })
        });
        written.await
    }

    /// Writes that nothing of it was taken.
    async fn refuse(&self, container: Container, fault: Fault, now: Timestamp, ids: Ids) -> Result<Judged> {
        let is_new = container.state == ContainerState::Receiving;
        let written = self.0.store.write(move |tx| {
            let (mut container, mut ids) = (container.clone(), ids);
            advance(tx, &mut container, is_new, now, &mut ids)?;
            container.reject(fault.clone(), now)?;
            tx.update_container(&container)?;
            tx.tell_container(&container, now, &mut ids)?;
            Ok(Judged { container, again: false })
        });
        written.await
    }

    /// Gives the files of a container their names.
    async fn keep(&self, unpacked: &Arc<Unpacked>, now: Timestamp) -> Result<()> {
        if unpacked.kept.is_empty() {
            return Ok(());
        }
        let all = Arc::clone(unpacked);
        let expected = self.0.store.write(move |tx| {
            let all: Vec<&Kept> = all.kept.iter().map(|(_, _, kept)| kept).collect();
            tx.expect_contents(&all, now)
        });
        expected.await?;
        for start in (0..unpacked.kept.len()).step_by(KEPT_AT_ONCE) {
            let (unpacked, content) = (Arc::clone(unpacked), Arc::clone(&self.0.content));
            let kept = self.0.store.write(move |tx| {
                let some: Vec<&Kept> = unpacked.kept.iter().skip(start).take(KEPT_AT_ONCE).map(|(_, _, kept)| kept).collect();
                tx.keep_contents(&*content, &some, now)
            });
            kept.await?;
        }
        Ok(())
    }
}

/// A container without a row gets one, and comes as far as its verdict.
fn advance(tx: &mut Tx<'_>, container: &mut Container, is_new: bool, now: Timestamp, ids: &mut Ids) -> Result<()> {
    if is_new {
        container.enter(ContainerState::Received, now)?;
        tx.tell_container(container, now, ids)?;
        container.enter(ContainerState::Verifying, now)?;
        tx.insert_container(container)?;
    }
    Ok(())
}

/// A delivery that waited turns out to be an earlier one again.
fn repeat(tx: &mut Tx<'_>, container: &mut Container, earlier: &Container, now: Timestamp) -> Result<()> {
    container.verdicts.clear();
    container.bytes = 0;
    container.same_as = Some(earlier.id);
    container.enter(ContainerState::Available, now)?;
    tx.update_container(container)
}

/// What a failure of the disk means to the caller.
fn disk(error: io::Error) -> Error {
    Error::Unavailable(Box::new(error))
}
