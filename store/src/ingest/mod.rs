//! A container comes in: read on a thread of its own, judged, and written in one transaction.
mod source;
mod unpack;

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::container::{Container, ContainerState, ItemVerdict};
use dmwsi_domain::deliverable::Deliverable;
use dmwsi_domain::fault::{Fault, FaultCode};
use dmwsi_domain::id::{ContainerId, DeliverableId};
use dmwsi_domain::manifest::Manifest;
use dmwsi_domain::{Clock, Error, Ids, Result, Timestamp};
use tokio::sync::Semaphore;

use crate::containers::Admission;
use crate::content::{Content, Kept, Reference, Settings};
use crate::{Store, Tx};

pub use source::{Feed, Source, pipe};
use unpack::{Bounds, Broken, Unpacked, unpack};

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
        let Ok(permit) = tokio::time::timeout(PATIENCE, Arc::clone(&self.0.threads).acquire_owned()).await else {
            return Err(Error::Unavailable("every thread that reads containers is busy".into()));
        };
        let permit = permit.map_err(Error::internal)?;
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
        let unpacked = read.await.map_err(Error::internal)?.map_err(|broken| match broken {
            Broken::Source(_) => Error::invalid("", "INVALID_ARGUMENT", "the container broke off"),
            Broken::Disk(_) => Error::Unavailable(Box::new(broken)),
        })?;
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

/// The name under which the bytes of a container wait for its verdict.
#[must_use]
pub fn waiting_name(container: ContainerId) -> String {
    container.to_string()
}
