//! Updates that lead one after the other to what does not fit yet.
use std::collections::{BTreeMap, VecDeque};

use super::{Particulars, judge};
use crate::deliverable::{Deliverable, DeliverableKind};
use crate::id::DeliverableId;

/// The longest chain that is looked for.
pub const MAX_HOPS: usize = 8;

/// The most versions that are tried on the way.
const MAX_VERSIONS: usize = 64;

/// The shortest chains from the firmware of a device, over what there is. Only firmware whose version the device tells leads on.
#[derive(Debug)]
pub struct Chains {
    /// What is installed last on the shortest way to a deliverable, in order, with that deliverable itself at the end.
    ways: BTreeMap<DeliverableId, Vec<DeliverableId>>,
}

impl Chains {
    /// Finds them among `all`. A deliverable that fits at once has a chain of one.
    #[must_use]
    pub fn find(all: &[Deliverable], device: &Particulars) -> Self {
        let mut ways: BTreeMap<DeliverableId, Vec<DeliverableId>> = BTreeMap::new();
        let firmware: Vec<_> = all.iter().filter(|one| one.spec.kind == DeliverableKind::Firmware).collect();
        // Where nothing but another update could help, there is nothing to look for.
        let mut open: Vec<_> = firmware
            .into_iter()
            .filter(|one| {
                let reasons = judge(&one.spec, device);
                reasons.iter().all(|reason| reason.code.may_pass())
            })
            .collect();
        let Some(version) = &device.firmware_version else { return Self { ways } };
        let mut seen = vec![version.clone()];
        let mut turns = VecDeque::from([(version.clone(), Vec::new())]);
        while let Some((version, way)) = turns.pop_front() {
            let here = Particulars { firmware_version: Some(version), ..device.clone() };
            let (reached, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(|one| judge(&one.spec, &here).is_empty());
            open = rest;
            for one in reached {
                let way: Vec<_> = way.iter().copied().chain([one.id]).collect();
                let tells_firmware = one.spec.dm.as_ref().is_none_or(|dm| dm.version_node.is_none());
                let next = one.spec.expected_version();
                if tells_firmware && way.len() < MAX_HOPS && seen.len() < MAX_VERSIONS && !seen.iter().any(|had| had == next) {
                    seen.push(next.to_owned());
                    turns.push_back((next.to_owned(), way.clone()));
                }
                ways.insert(one.id, way);
            }
            if open.is_empty() {
                break;
            }
        }
        Self { ways }
    }

    /// The chain that ends with that deliverable; nothing where none leads there, or where it fits at once.
    #[must_use]
    pub fn to(&self, id: DeliverableId) -> &[DeliverableId] {
        self.ways.get(&id).map(Vec::as_slice).filter(|way| way.len() > 1).unwrap_or_default()
    }
}
