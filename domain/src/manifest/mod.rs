//! The manifest of a container: what an external system says that it delivers.
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{DeserializeOwned, DeserializeSeed as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::Timestamp;
use crate::deliverable::{DeliverableSpec, MAX_REFERENCE, MAX_SENTENCE, PayloadSpec, is_member_name};
use crate::digest::Digests;
use crate::fault::{Fault, FaultCode};
use crate::pointer;

/// The name of the manifest in the archive; it is the first member.
pub const NAME: &str = "manifest.json";

/// The name of the manifest's signature in the archive (CMS, detached); it follows the manifest where there is one.
pub const SIGNATURE: &str = "manifest.p7s";

/// Where attestations stand in the archive.
pub const ATTESTATIONS: &str = "attestations/";

/// The version of the format that is read.
pub const FORMAT_VERSION: u32 = 1;

/// The largest manifest, in bytes.
pub const MAX_MANIFEST: u64 = 1 << 20;

/// The largest signature, in bytes.
pub const MAX_SIGNATURE: u64 = 1 << 16;

/// The largest attestation, in bytes.
pub const MAX_ATTESTATION: u64 = 1 << 20;

/// How deep a manifest may be nested.
pub const MAX_DEPTH: usize = 32;

/// How many values a manifest may have: objects, lists, texts, numbers and so on, one within the other.
pub const MAX_VALUES: usize = 50_000;

/// The most attestations of a container, and the most names that are critical.
pub const MAX_LISTED: usize = 100;

/// The longest type of an attestation, in bytes.
const MAX_PREDICATE: usize = 1_024;

/// The most deliverables of a container.
pub const MAX_DELIVERABLES: usize = 200;

/// The most payloads and attestations of a container.
pub const MAX_MEMBERS: usize = 1_000;

/// Every member of a manifest that this server understands; what `critical` names must be one of them.
const KNOWN: &[&str] = &[
    "attestations",
    "clientCorrelator",
    "compressedFor",
    "configuration",
    "contentEncoding",
    "critical",
    "delivery",
    "dependencies",
    "digests",
    "dm",
    "expectedVersion",
    "expiresAt",
    "originator",
    "payloads",
    "precursor",
    "releaseCounter",
    "sequenceNumber",
    "supersedes",
    "targets",
    "userInteraction",
    "versionNode",
    "versionScheme",
];

/// What stands in a manifest beside its deliverables. Members that are not known are ignored, unless they are critical.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ManifestHead)]
pub struct Head {
    /// The version of the format: 1.
    pub format_version: u32,
    /// How its originator calls the container; the same id means the same bytes.
    #[schema(min_length = 1, max_length = 256, example = "urn:uuid:2f0d3f1e-6b7a-4d0a-9c55-0d6f0a1f5a11")]
    pub container_id: String,
    /// Grows from container to container of an originator, by its id, within an organisation; where no originator is named, from container to
    /// container of those that name none.
    #[schema(minimum = 1, example = 42)]
    pub sequence_number: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it must not be taken or distributed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator: Option<Originator>,
    /// What the external system calls its own doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub client_correlator: Option<String>,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub description: Option<String>,
    /// Statements about where it comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub attestations: Vec<Attestation>,
    /// Members of the manifest that the reader must understand, or refuse the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub critical: Vec<String>,
}

/// Who made a container.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Originator {
    /// Its id, in its own words.
    #[schema(max_length = 256)]
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "Acme Firmware Ltd")]
    pub name: Option<String>,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "mailto:fw@acme.example")]
    pub contact: Option<String>,
}

/// A statement about where a container comes from; kept and handed on, not judged.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Its name in the archive.
    #[schema(max_length = 100, example = "attestations/slsa.dsse.json")]
    pub path: String,
    /// What it hashes to; `sha-256` must be among them.
    pub digests: Digests,
    /// Of what kind it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub predicate_type: Option<String>,
}

/// A manifest that has been read: sound as a whole, its deliverables each judged by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What stands beside the deliverables.
    pub head: Head,
    /// The deliverables, in their order.
    pub items: Vec<Item>,
}

/// One deliverable of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// How its originator calls it, as far as that can be read.
    pub reference: Option<String>,
    /// What it is, or why it cannot be taken.
    pub spec: Result<DeliverableSpec, Fault>,
    /// The names of its members in the archive, also where the rest of it cannot be read.
    pub members: Vec<String>,
}

/// What the archive must bring under a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected<'a> {
    /// An attestation.
    Attestation(&'a Attestation),
    /// A payload of the item of that number; nothing more is known where the item cannot be read.
    Payload(usize, Option<&'a PayloadSpec>),
}

impl Manifest {
    /// Reads a manifest. An error is a fault of the whole; what is wrong with one deliverable stands with it.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_MANIFEST) {
            return Err(Fault::of_member(FaultCode::LimitExceeded, NAME, "a manifest has at most 1,048,576 bytes"));
        }
        let mut shape = serde_json::Deserializer::from_slice(bytes);
        let mut values = MAX_VALUES;
        let walked = shape::Shape { depth: MAX_DEPTH, values: &mut values }.deserialize(&mut shape).and_then(|()| shape.end());
        walked.map_err(|error| Fault::of_member(FaultCode::ManifestInvalid, NAME, error.to_string()))?;
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| Fault::of_member(FaultCode::ManifestInvalid, NAME, error.to_string()))?;
        let head: Head = parse(&value, "")?;
        head.check()?;
        let Some(deliverables) = value.get("deliverables").and_then(Value::as_array) else {
            return Err(Fault::at(FaultCode::ManifestInvalid, "/deliverables", "is a list, and needed"));
        };
        if deliverables.is_empty() {
            return Err(Fault::at(FaultCode::ManifestInvalid, "/deliverables", "is empty"));
        }
        if deliverables.len() > MAX_DELIVERABLES {
            return Err(Fault::at(FaultCode::LimitExceeded, "/deliverables", "has more than 200 items"));
        }
        let mut items: Vec<Item> = deliverables.iter().enumerate().map(|(at, value)| Item::read(at, value)).collect();
        refuse_repetitions(&head, &mut items);
        let members = items.iter().map(|item| item.members.len()).fold(head.attestations.len(), usize::saturating_add);
        if members > MAX_MEMBERS {
            return Err(Fault::new(FaultCode::LimitExceeded, "a container has at most 1,000 payloads and attestations"));
        }
        Ok(Self { head, items })
    }

    /// Everything the archive must bring, by name. A name that two items want belongs to the first.
    #[must_use]
    pub fn expected(&self) -> BTreeMap<&str, Expected<'_>> {
        let mut expected = BTreeMap::new();
        for attestation in &self.head.attestations {
            expected.insert(attestation.path.as_str(), Expected::Attestation(attestation));
        }
        for (at, item) in self.items.iter().enumerate() {
            for name in &item.members {
                let payloads = item.spec.as_ref().map(|spec| spec.payloads.as_slice()).unwrap_or_default();
                let payload = payloads.iter().find(|payload| payload.path == *name);
                expected.entry(name.as_str()).or_insert(Expected::Payload(at, payload));
            }
        }
        expected
    }

    /// How many bytes the payloads have that could be accepted.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let specs = self.items.iter().filter_map(|item| item.spec.as_ref().ok());
        specs.flat_map(|spec| &spec.payloads).map(|payload| payload.size).fold(0, u64::saturating_add)
    }
}

impl Head {
    /// Whose sequence its number belongs to: the originator's id; empty where none is named.
    #[must_use]
    pub fn sequence_of(&self) -> &str {
        self.originator.as_ref().map_or("", |originator| &originator.id)
    }

    fn check(&self) -> Result<(), Fault> {
        let invalid = |pointer: &str, detail: &str| Err(Fault::at(FaultCode::ManifestInvalid, pointer, detail));
        if self.format_version != FORMAT_VERSION {
            return Err(Fault::at(FaultCode::Unsupported, "/formatVersion", "only version 1 is read"));
        }
        for (pointer, count) in [("/critical", self.critical.len()), ("/attestations", self.attestations.len())] {
            if count > MAX_LISTED {
                return Err(Fault::at(FaultCode::LimitExceeded, pointer, "has more than 100 items"));
            }
        }
        if let Some(at) = self.critical.iter().position(|name| !KNOWN.contains(&name.as_str())) {
            let pointer = format!("/critical/{at}");
            return Err(Fault::at(FaultCode::UnsupportedCritical, pointer, "names a member that this server does not know"));
        }
        let id = &self.container_id;
        if !(1..=MAX_REFERENCE).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return invalid("/containerId", "has 1 to 256 visible ASCII characters");
        }
        if self.sequence_number == 0 || i64::try_from(self.sequence_number).is_err() {
            return invalid("/sequenceNumber", "is a number from 1 to 9223372036854775807");
        }
        let originator = self.originator.as_ref();
        let texts = [
            ("/clientCorrelator", self.client_correlator.as_ref(), MAX_REFERENCE),
            ("/description", self.description.as_ref(), MAX_SENTENCE),
            ("/originator/id", originator.map(|originator| &originator.id), MAX_REFERENCE),
            ("/originator/name", originator.and_then(|originator| originator.name.as_ref()), MAX_REFERENCE),
            ("/originator/contact", originator.and_then(|originator| originator.contact.as_ref()), MAX_REFERENCE),
        ];
        for (pointer, text, most) in texts {
            if text.is_some_and(|text| text.len() > most) {
                return invalid(pointer, &format!("has at most {most} bytes"));
            }
        }
        for (at, attestation) in self.attestations.iter().enumerate() {
            let name = &attestation.path;
            let earlier = self.attestations.iter().take(at).any(|other| other.path.eq_ignore_ascii_case(name));
            if !name.starts_with(ATTESTATIONS) || !is_member_name(name) || earlier {
                return invalid(&format!("/attestations/{at}/path"), "is `attestations/` and a plain name that no other has");
            }
            if attestation.predicate_type.as_ref().is_some_and(|kind| kind.len() > MAX_PREDICATE) {
                return invalid(&format!("/attestations/{at}/predicateType"), "has at most 1024 bytes");
            }
            if attestation.digests.sha_256.is_none() {
                return invalid(&format!("/attestations/{at}/digests/sha-256"), "is needed");
            }
        }
        Ok(())
    }
}

impl Item {
    fn read(at: usize, value: &Value) -> Self {
        let pointer = format!("/deliverables/{at}");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let reference = value.get("deliverableId").and_then(text).filter(|reference| reference.len() <= MAX_REFERENCE);
        let payloads = value.get("payloads").and_then(Value::as_array).into_iter().flatten();
        let members = payloads.filter_map(|payload| payload.get("path").and_then(text)).filter(|name| is_member_name(name));
        let members = members.collect();
        let spec = parse::<DeliverableSpec>(value, &pointer).and_then(|spec| spec.check(&pointer).map(|()| spec));
        Self { reference, spec, members }
    }
}

/// Each id, payload and name stands for one thing: the second to claim one is refused.
fn refuse_repetitions(head: &Head, items: &mut [Item]) {
    let mut references = BTreeSet::new();
    let mut names: BTreeSet<String> = head.attestations.iter().map(|attestation| attestation.path.to_lowercase()).collect();
    for (at, item) in items.iter_mut().enumerate() {
        let mut twice = |place: &str| {
            if item.spec.is_ok() {
                let pointer = format!("/deliverables/{at}/{place}");
                item.spec = Err(Fault::at(FaultCode::ManifestInvalid, pointer, "stands in the manifest before already"));
            }
        };
        if item.reference.as_ref().is_some_and(|reference| !references.insert(reference.clone())) {
            twice("deliverableId");
        }
        for (number, name) in item.members.iter().enumerate() {
            if !names.insert(name.to_lowercase()) {
                twice(&format!("payloads/{number}/path"));
            }
        }
        let mut ids = BTreeSet::new();
        let payloads = item.spec.as_ref().map(|spec| spec.payloads.as_slice()).unwrap_or_default();
        if let Some(number) = payloads.iter().position(|payload| !ids.insert(&payload.payload_id)) {
            let pointer = format!("/deliverables/{at}/payloads/{number}/payloadId");
            item.spec = Err(Fault::at(FaultCode::ManifestInvalid, pointer, "stands in the deliverable before already"));
        }
    }
}

fn parse<T: DeserializeOwned>(value: &Value, root: &str) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let place = format!("{root}{}", pointer::pointer(error.path(), error.inner()));
        Fault::at(FaultCode::ManifestInvalid, place, error.inner().to_string())
    })
}

#[cfg(test)]
mod tests;
