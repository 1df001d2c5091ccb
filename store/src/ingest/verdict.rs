//! What becomes of a container that has been read, item by item.
use dmwsi_domain::container::{Container, ContainerState, ItemVerdict};
use dmwsi_domain::deliverable::Deliverable;
use dmwsi_domain::fault::{Fault, FaultCode};
use dmwsi_domain::id::DeliverableId;
use dmwsi_domain::manifest::Manifest;
use dmwsi_domain::{Ids, Timestamp};

use super::unpack::Unpacked;
use crate::content::{Kept, Reference};

/// What becomes of a container as far as it can be said without looking at others.
pub(super) struct Judgement {
    pub(super) fault: Option<Fault>,
    pub(super) verdicts: Vec<ItemVerdict>,
    pub(super) deliverables: Vec<Deliverable>,
    pub(super) bytes: u64,
}

pub(super) fn judge(container: &Container, unpacked: &Unpacked, now: Timestamp, ids: &mut Ids) -> Judgement {
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

pub(super) fn reference(path: &str, item: Option<usize>, kept: &Kept, deliverables: &[Deliverable]) -> Reference {
    let ordinal = item.and_then(|item| u32::try_from(item).ok());
    let deliverable = deliverables.iter().find(|one| Some(one.ordinal) == ordinal).map(|one| one.id);
    Reference { path: path.to_owned(), deliverable, digest: kept.digest }
}
