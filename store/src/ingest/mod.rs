//! A container comes in: read on a thread of its own, judged, and written in one transaction.
mod source;
mod unpack;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::container::{Container, ContainerState, ItemVerdict};
use dmwsi_domain::deliverable::Deliverable;
use dmwsi_domain::fault::{Fault, FaultCode};
use dmwsi_domain::id::{ContainerId, DeliverableId};
use dmwsi_domain::manifest::Manifest;
use dmwsi_domain::{Clock, Error, Ids, Result, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::containers::Admission;
use crate::content::{Content, Kept, Reference, Settings, Staged};
use crate::{Store, Tx};

pub use source::{Feed, Source, pipe};
use unpack::{Bounds, Unpacked, unpack};

/// Files that get their names within one transaction.
const KEPT_AT_ONCE: usize = 32;

/// How often a container is judged anew when another came in meanwhile.
const TRIES: u32 = 5;

/// How long a container waits for a thread before it is told to come later.
const PATIENCE: Duration = Duration::from_secs(5);

/// What brings containers in. Cheap to clone.
#[derive(Clone)]
pub struct Ingest(Arc<Parts>);

struct Parts {
    store: Store,
    content: Arc<dyn Content>,
    settings: Settings,
    clock: Clock,
    threads: Arc<Semaphore>,
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
    /// Brings containers into that store and that content.
    #[must_use]
    pub fn new(store: Store, content: Arc<dyn Content>, settings: Settings, clock: Clock) -> Self {
        let threads = usize::try_from(settings.ingest_threads.max(1)).unwrap_or(1);
        Self(Arc::new(Parts { store, content, settings, clock, threads: Arc::new(Semaphore::new(threads)) }))
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

    /// Reads a container to its end, judges it, and writes what became of it. `container` is a new one without a row, or one that waits in the
    /// state `VERIFYING`. When its bytes break off, nothing of a new one stays anywhere.
    pub async fn run(&self, container: Container, source: impl Read + Send + 'static) -> Result<Judged> {
        let permit = self.permit().await?;
        let (parts, now, organisation) = (Arc::clone(&self.0), self.0.clock.now(), container.owner.organisation);
        let room = {
            let settings = parts.settings.clone();
            parts.store.read(move |tx| tx.room(organisation, &settings)).await?
        };
        let partial = container.partial;
        let span = tracing::Span::current();
        let read = tokio::task::spawn_blocking(move || {
            let bounds = Bounds { settings: &parts.settings, room, partial, now };
            let unpacked = span.in_scope(|| unpack(source, &*parts.content, &bounds));
            drop(permit);
            unpacked
        });
        let unpacked = read.await.map_err(Error::internal)?.map_err(|broken| Error::Unavailable(Box::new(broken)))?;
        let mut unpacked = Arc::new(unpacked);
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

    /// Puts the bytes of a new container aside, so that a task judges them. They stay only if they come whole.
    pub async fn park(&self, container: Container, source: impl Read + Send + 'static) -> Result<Container> {
        let permit = self.permit().await?;
        let parts = Arc::clone(&self.0);
        let copied = tokio::task::spawn_blocking(move || {
            let staged = put_aside(source, &*parts.content, parts.settings.max_container_bytes);
            drop(permit);
            staged
        });
        let staged = Arc::new(copied.await.map_err(Error::internal)??);
        let content = Arc::clone(&self.0.content);
        let place = move |name: &str| content.park(&staged, name);
        self.expect(container, place, |_tx, _container| Ok(())).await
    }

    /// Writes that a container has come whole, and has a task judge it. `place` gives its bytes their name, `and` is done in the same transaction.
    pub async fn expect(
        &self,
        container: Container,
        place: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static,
        and: impl Fn(&mut Tx<'_>, &Container) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Container> {
        let (now, ids) = (self.0.clock.now(), self.0.clock.new_ids());
        let written = self.0.store.write(move |tx| {
            let (mut container, mut ids) = (container.clone(), ids);
            place(&waiting_name(container.id)).map_err(|error| Error::Unavailable(Box::new(error)))?;
            advance(tx, &mut container, true, now, &mut ids)?;
            tx.ring_ingest(container.id, now, &mut ids)?;
            and(tx, &container)?;
            Ok(container)
        });
        written.await
    }

    /// Judges a container that was put aside. Once it is judged its bytes go.
    pub async fn judge(&self, id: ContainerId) -> Result<()> {
        let container = self.0.store.read(move |tx| tx.delivery(id)).await?;
        let (content, name) = (Arc::clone(&self.0.content), waiting_name(id));
        if container.state == ContainerState::Verifying {
            let opened = {
                let (content, name) = (Arc::clone(&content), name.clone());
                tokio::task::spawn_blocking(move || content.resume(&name)).await.map_err(Error::internal)?
            };
            self.run(container, opened.map_err(|error| Error::Unavailable(Box::new(error)))?).await?;
        }
        let gone = tokio::task::spawn_blocking(move || content.discard(&name)).await.map_err(Error::internal)?;
        gone.map_err(|error| Error::Unavailable(Box::new(error)))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        match tokio::time::timeout(PATIENCE, Arc::clone(&self.0.threads).acquire_owned()).await {
            Ok(permit) => permit.map_err(Error::internal),
            Err(_elapsed) => Err(Error::Unavailable("every thread that reads containers is busy".into())),
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
                Admission::Free => {}
                Admission::Refused(_) => return Err(Error::Stale { what: "container" }),
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

/// What becomes of a container as far as it can be said without looking at others.
struct Judgement {
    fault: Option<Fault>,
    verdicts: Vec<ItemVerdict>,
    deliverables: Vec<Deliverable>,
    bytes: u64,
}

fn judge(container: &Container, unpacked: &Unpacked, now: Timestamp, ids: &mut Ids) -> Judgement {
    let Some(manifest) = &unpacked.manifest else {
        let fault = unpacked.fault.clone();
        return Judgement { fault, verdicts: Vec::new(), deliverables: Vec::new(), bytes: 0 };
    };
    let deliverables = accepted(container, manifest, &unpacked.faults, now, ids);
    let verdicts = manifest.items.iter().zip(&unpacked.faults).zip(0_u32..).map(|((item, fault), ordinal)| {
        match (fault, deliverables.iter().find(|one| one.ordinal == ordinal)) {
            (None, Some(one)) => ItemVerdict::accepted(ordinal, one.spec.deliverable_id.clone(), one.id),
            (fault, _) => {
                let fault = fault.clone().unwrap_or_else(|| Fault::new(FaultCode::ManifestInvalid, "cannot be read"));
                ItemVerdict::rejected(ordinal, item.reference.clone(), fault)
            }
        }
    });
    let verdicts = verdicts.collect::<Vec<ItemVerdict>>();
    let first = unpacked.faults.iter().flatten().next();
    let refused = first.filter(|_| !container.partial || deliverables.is_empty());
    let payloads = deliverables.iter().flat_map(|one| &one.spec.payloads);
    let bytes = payloads.map(|payload| payload.size).fold(0, u64::saturating_add);
    Judgement { fault: unpacked.fault.clone().or_else(|| refused.cloned()), verdicts, deliverables, bytes }
}

fn accepted(
    container: &Container,
    manifest: &Manifest,
    faults: &[Option<Fault>],
    now: Timestamp,
    ids: &mut Ids,
) -> Vec<Deliverable> {
    let items = manifest.items.iter().zip(faults).zip(0_u32..);
    let good = items
        .filter(|((_, fault), _)| fault.is_none())
        .filter_map(|((item, _), ordinal)| Some((ordinal, item.spec.as_ref().ok()?)));
    let deliverables = good.map(|(ordinal, spec)| Deliverable {
        id: DeliverableId::new(ids.new_id()),
        container: container.id,
        ordinal,
        organisation: container.owner.organisation,
        state: ContainerState::Available,
        expires_at: manifest.head.expires_at,
        spec: spec.clone(),
        created_at: now,
    });
    deliverables.collect()
}

fn reference(path: &str, item: Option<usize>, kept: &Kept, deliverables: &[Deliverable]) -> Reference {
    let ordinal = item.and_then(|item| u32::try_from(item).ok());
    let deliverable = deliverables.iter().find(|one| Some(one.ordinal) == ordinal).map(|one| one.id);
    Reference { path: path.to_owned(), deliverable, digest: kept.digest }
}

/// Copies the bytes of a container to a file, and makes it durable.
fn put_aside(source: impl Read, content: &dyn Content, most: u64) -> Result<Staged> {
    let unavailable = |error: io::Error| Error::Unavailable(Box::new(error));
    let mut staged = content.stage().map_err(unavailable)?;
    let copied = io::copy(&mut source.take(most.saturating_add(1)), &mut staged).map_err(unavailable)?;
    if copied > most {
        return Err(Error::invalid("", "PAYLOAD_TOO_LARGE", format!("a container may have {most} bytes")));
    }
    staged.sync().map_err(unavailable)?;
    Ok(staged)
}

/// The name under which the bytes of a container wait for its verdict.
#[must_use]
pub fn waiting_name(container: ContainerId) -> String {
    container.to_string()
}
