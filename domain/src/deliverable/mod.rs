//! A deliverable: one thing of a container that can be brought onto devices, as its manifest describes it and as it is kept.
mod particulars;
mod payload;
mod target;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::container::ContainerState;
use crate::digest::{Digests, Sha256Digest};
use crate::fault::{Fault, FaultCode};
use crate::id::{ContainerId, DeliverableId, OrganisationId};
use crate::version::{MAX_VERSION, VersionScheme};

pub use particulars::{ConfigurationItem, DeliveryMethod, DeliverySpec, DmOperation, DmSpec, RegulatoryLabel, UserInteraction};
pub use payload::{FOLDER, MAX_NAME, PackageForm, PayloadSpec, is_member_name};
pub use target::{MAX_MODELS, MAX_PATTERN, Target};

/// The most targets of one deliverable.
pub const MAX_TARGETS: usize = 100;

/// The most payloads of one deliverable.
pub const MAX_PAYLOADS: usize = 100;

/// The most deliverables one depends on, and the most that one supersedes.
pub const MAX_RELATED: usize = 100;

/// The longest id that a manifest gives, in bytes.
pub const MAX_REFERENCE: usize = 256;

/// The longest sentence or address in a manifest, in bytes.
pub const MAX_SENTENCE: usize = 4_096;

/// The largest content that travels within messages of OMA DM, in bytes: it is kept with the session until it has arrived.
pub const MAX_DIRECT: u64 = 128 * 1024;

/// What a deliverable is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliverableKind {
    /// Values for nodes.
    Configuration,
    /// Anything else a device can use: media, maps, certificates.
    Content,
    /// The software the device itself runs on.
    Firmware,
    /// Software that is installed beside others.
    SoftwareComponent,
}

impl DeliverableKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Configuration, Self::Content, Self::Firmware, Self::SoftwareComponent];

    /// The word on disk and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "CONFIGURATION",
            Self::Content => "CONTENT",
            Self::Firmware => "FIRMWARE",
            Self::SoftwareComponent => "SOFTWARE_COMPONENT",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A deliverable as the manifest describes it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliverableSpec {
    /// How its originator calls it; unique in its container.
    #[schema(min_length = 1, max_length = 256, example = "fw-acme-x1-2.4.0")]
    pub deliverable_id: String,
    /// What it is.
    pub kind: DeliverableKind,
    /// Its name for people.
    #[schema(min_length = 1, max_length = 256, example = "X1 firmware")]
    pub name: String,
    /// Its version: for firmware, what the device tells when it has it.
    #[schema(min_length = 1, max_length = 256, example = "2.4.0")]
    pub version: String,
    /// Counts the releases of its originator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_counter: Option<u64>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub vendor: Option<String>,
    /// The media type of its payloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "application/octet-stream")]
    pub media_type: Option<String>,
    /// Deliverables that nobody needs any more when there is this one, as their originator calls them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub supersedes: Vec<String>,
    /// The devices it is for: those that fit one of these.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 100)]
    pub targets: Vec<Target>,
    /// What must be on the device already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precursor: Option<Precursor>,
    /// What else it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub dependencies: Vec<Dependency>,
    /// Its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub payloads: Vec<PayloadSpec>,
    /// How it is brought onto a device by OMA DM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dm: Option<DmSpec>,
    /// How it may travel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
    /// What the user of the device is asked and told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_interaction: Option<UserInteraction>,
    /// Labels of authorities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub regulatory_labels: Vec<RegulatoryLabel>,
    /// Its licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub license: Option<String>,
    /// Where its release notes are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub release_notes_url: Option<String>,
}

/// What a delta turns into the new version: it works on exactly this.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Precursor {
    /// The version that must be there, compared as text.
    #[schema(min_length = 1, max_length = 256, example = "2.3.0")]
    pub version: String,
    /// What its image hashes to.
    #[serde(default, skip_serializing_if = "Digests::is_empty")]
    pub digests: Digests,
}

/// Something a deliverable needs on the device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Dependency {
    /// Another deliverable of the same organisation, as its originator calls it.
    Deliverable {
        /// Which.
        #[schema(max_length = 256)]
        deliverable_id: String,
    },
    /// Software of a name, from a version on.
    Software {
        /// Its name.
        #[schema(max_length = 256)]
        name: String,
        /// The lowest version that will do; any when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 256)]
        min_version: Option<String>,
        /// How versions are compared.
        #[serde(default)]
        version_scheme: VersionScheme,
    },
}

impl DeliverableSpec {
    /// The version a device tells when it has this.
    #[must_use]
    pub fn expected_version(&self) -> &str {
        self.dm.as_ref().and_then(|dm| dm.expected_version.as_deref()).unwrap_or(&self.version)
    }

    /// Whether it works on its precursor only.
    #[must_use]
    pub fn is_delta(&self) -> bool {
        self.payloads.iter().any(|payload| payload.compressed_for == Some(PackageForm::Delta))
    }

    /// What is wrong with it, taken by itself; `pointer` is its place in the manifest.
    pub(crate) fn check(&self, pointer: &str) -> Result<(), Fault> {
        let invalid =
            |field: &str, detail: &str| Err(Fault::at(FaultCode::ManifestInvalid, format!("{pointer}/{field}"), detail));
        let too_many = |field: &str, most: usize| {
            Err(Fault::at(FaultCode::LimitExceeded, format!("{pointer}/{field}"), format!("has more than {most} items")))
        };
        let texts = [
            ("deliverableId", Some(&self.deliverable_id), MAX_REFERENCE),
            ("name", Some(&self.name), MAX_REFERENCE),
            ("version", Some(&self.version), MAX_VERSION),
            ("vendor", self.vendor.as_ref(), MAX_REFERENCE),
            ("mediaType", self.media_type.as_ref(), MAX_REFERENCE),
            ("license", self.license.as_ref(), MAX_SENTENCE),
            ("releaseNotesUrl", self.release_notes_url.as_ref(), MAX_SENTENCE),
            ("precursor/version", self.precursor.as_ref().map(|precursor| &precursor.version), MAX_VERSION),
        ];
        for (field, text, most) in texts {
            if text.is_some_and(|text| text.is_empty() || text.len() > most) {
                return invalid(field, &format!("has 1 to {most} bytes"));
            }
        }
        for (field, count, most) in [
            ("targets", self.targets.len(), MAX_TARGETS),
            ("payloads", self.payloads.len(), MAX_PAYLOADS),
            ("dependencies", self.dependencies.len(), MAX_RELATED),
            ("supersedes", self.supersedes.len(), MAX_RELATED),
            ("regulatoryLabels", self.regulatory_labels.len(), MAX_RELATED),
        ] {
            if count > most {
                return too_many(field, most);
            }
        }
        if self.targets.is_empty() {
            return invalid("targets", "names no device it is for");
        }
        for (at, target) in self.targets.iter().enumerate() {
            target.check(&format!("{pointer}/targets/{at}"))?;
            // A firmware on the wrong device ends it.
            if self.kind == DeliverableKind::Firmware && (target.manufacturer.is_none() || target.models.is_empty()) {
                return invalid(&format!("targets/{at}"), "a firmware names manufacturer and models");
            }
        }
        for (at, payload) in self.payloads.iter().enumerate() {
            payload.check(&format!("{pointer}/payloads/{at}"))?;
        }
        for (at, dependency) in self.dependencies.iter().enumerate() {
            if let Dependency::Software { min_version: Some(version), version_scheme, .. } = dependency
                && !version_scheme.reads(version)
            {
                return invalid(&format!("dependencies/{at}/minVersion"), "is no version of its scheme");
            }
        }
        if self.is_delta() && self.precursor.is_none() {
            return invalid("precursor", "a delta names its precursor");
        }
        let configures = self.dm.as_ref().is_some_and(|dm| !dm.configuration.is_empty());
        if self.payloads.is_empty() && !(self.kind == DeliverableKind::Configuration && configures) {
            return invalid("payloads", "has no payload");
        }
        self.dm.as_ref().map_or(Ok(()), |dm| dm.check(&format!("{pointer}/dm")))
    }
}

/// A deliverable that was accepted, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Deliverable {
    /// Its id.
    pub id: DeliverableId,
    /// The container it came in.
    pub container: ContainerId,
    /// Where it stands in the container's manifest, from 0.
    pub ordinal: u32,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// The state of its container: it can be distributed while that is `AVAILABLE`.
    pub state: ContainerState,
    /// The time after which it is not distributed, where its container names one.
    pub expires_at: Option<Timestamp>,
    /// What the manifest says of it.
    pub spec: DeliverableSpec,
    /// When it was accepted.
    pub created_at: Timestamp,
}

impl Deliverable {
    /// Whether devices may be given it.
    #[must_use]
    pub fn is_distributable(&self, now: Timestamp) -> bool {
        self.state == ContainerState::Available && self.expires_at.is_none_or(|end| end > now)
    }

    /// Whether its content may travel within messages of OMA DM: it says so, and is small enough.
    #[must_use]
    pub fn may_go_direct(&self) -> bool {
        let delivery = self.spec.delivery.as_ref();
        let is_named = delivery.is_some_and(|delivery| delivery.methods.contains(&DeliveryMethod::DmDirect));
        let most = delivery.and_then(|delivery| delivery.max_direct_bytes).unwrap_or(MAX_DIRECT).min(MAX_DIRECT);
        is_named && self.spec.payloads.len() == 1 && self.content().is_some_and(|(_digest, size)| size <= most)
    }

    /// The content of its only payload, or of its first one.
    #[must_use]
    pub fn content(&self) -> Option<(Sha256Digest, u64)> {
        self.spec.payloads.first().and_then(|payload| Some((payload.digests.sha_256?, payload.size)))
    }
}
