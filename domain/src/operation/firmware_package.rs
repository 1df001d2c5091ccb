//! The package of a firmware update: named by who asks, or a deliverable's.
use dmwsi_objects::{NodeUri, devdetail};
use serde::{Deserialize, Serialize};

use super::firmware_request::{Delivery, FirmwareUpdateRequest, known};
use super::{End, EndWord, Step};
use crate::Timestamp;
use crate::deliverable::{Deliverable, DeliverableKind, DeliveryMethod, DmOperation};
use crate::eligibility::{Particulars, Reason, judge, judge_package};
use crate::evidence::Fact;
use crate::facts::Facts;

/// The longest content, as base64, that goes into one message of a device that takes no pieces.
const SMALL: usize = 8 * 1024;

/// A deliverable as it stands when an execution that needs it has its turn: handed in before each step, and never stored with the execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Supply {
    /// The deliverable; none where the organisation has it no more.
    pub deliverable: Option<Deliverable>,
    /// Where this execution's device fetches it.
    pub url: String,
    /// Its content as base64, where it may travel within messages.
    pub content: Option<String>,
    /// When that was so.
    pub at: Timestamp,
}

/// What the device is to install, as far as the device must know.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Package {
    pub(super) url: String,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    /// What the version node says afterwards.
    pub(super) expected: String,
    pub(super) version_node: NodeUri,
    pub(super) delivery: Delivery,
}

impl Package {
    /// That of a request which names it all; none where the request names a deliverable.
    pub(super) fn of_request(request: &FirmwareUpdateRequest) -> Option<Self> {
        Some(Self {
            url: request.package_url.clone()?,
            name: request.package_name.clone(),
            version: request.package_version.clone(),
            expected: request.expected_firmware_version.clone()?,
            version_node: request.version_node.clone().unwrap_or_else(|| known(devdetail::FW_V)),
            delivery: request.delivery.unwrap_or_default(),
        })
    }

    /// That of a deliverable; the end of the execution where there is none to be had.
    ///
    /// `large_objects` says whether the device takes values in pieces; where that is not known yet, it may.
    /// Nor is it sent what is larger than `max_object` bytes.
    pub(super) fn of_supply(
        supply: &Supply,
        request: &FirmwareUpdateRequest,
        large_objects: bool,
        max_object: Option<u32>,
    ) -> Result<Self, Box<Step>> {
        let refused = |code: EndWord, detail: &str| Err(Box::new(Step::done(End::Refused, code, detail.to_owned())));
        let Some(deliverable) = supply.deliverable.as_ref().filter(|one| one.spec.kind == DeliverableKind::Firmware) else {
            return refused(EndWord::DELIVERABLE_GONE, "the deliverable is no longer there");
        };
        if !deliverable.is_distributable(supply.at) {
            let expired = deliverable.expires_at.is_some_and(|end| end <= supply.at);
            return if expired {
                refused(EndWord::DELIVERABLE_EXPIRED, "the deliverable expired before the device began")
            } else {
                refused(EndWord::DELIVERABLE_WITHDRAWN, "the deliverable was withdrawn before the device began")
            };
        }
        let spec = &deliverable.spec;
        let methods = spec.delivery.as_ref().map(|delivery| delivery.methods.as_slice()).unwrap_or_default();
        let fetched = |method: &DeliveryMethod| matches!(method, DeliveryMethod::Http | DeliveryMethod::OmaDownload);
        let may_fetch = methods.is_empty() || methods.iter().any(fetched);
        let content = supply.content.as_ref().filter(|content| large_objects || content.len() <= SMALL);
        // At least the octets are counted, whatever they are sent as.
        let most = max_object.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let too_large = content.is_some_and(|content| content.len() / 4 * 3 > most.saturating_add(2));
        let may_send = content.is_some() && !too_large;
        let dm = spec.dm.as_ref();
        let operation = dm.and_then(|dm| dm.operation);
        let prefers = methods.first() == Some(&DeliveryMethod::DmDirect) || operation == Some(DmOperation::Update);
        let named = request.delivery.map(|delivery| delivery == Delivery::DmDirect);
        let sends = may_send && named.unwrap_or(prefers || !may_fetch);
        if !sends && too_large && (named == Some(true) || !may_fetch) {
            return refused(EndWord::PACKAGE_TOO_LARGE, &format!("the device takes no more than {most} bytes within messages"));
        }
        if !sends && (named == Some(true) || !may_fetch) {
            return refused(
                EndWord::NO_DELIVERY_METHOD,
                "the deliverable may not travel in any way that the device could be served by",
            );
        }
        let delivery = match operation {
            _ if sends => Delivery::DmDirect,
            Some(DmOperation::Download) => Delivery::DownloadThenUpdate,
            Some(DmOperation::DownloadAndUpdate | DmOperation::Update) | None => Delivery::DownloadAndUpdate,
        };
        Ok(Self {
            url: supply.url.clone(),
            name: Some(dm.and_then(|dm| dm.pkg_name.clone()).unwrap_or_else(|| spec.name.clone())),
            version: Some(dm.and_then(|dm| dm.pkg_version.clone()).unwrap_or_else(|| spec.version.clone())),
            expected: spec.expected_version().to_owned(),
            version_node: dm.and_then(|dm| dm.version_node.clone()).unwrap_or_else(|| known(devdetail::FW_V)),
            delivery: request.delivery.unwrap_or(delivery),
        })
    }
}

/// Why the package does not fit the device, by what is known of the device now.
pub(super) fn unfit(request: &FirmwareUpdateRequest, supply: Option<&Supply>, facts: &Facts) -> Vec<Reason> {
    let device = Particulars::from(facts);
    match supply.and_then(|supply| supply.deliverable.as_ref()) {
        Some(deliverable) => judge(&deliverable.spec, &device),
        None => judge_package(&request.targets, request.precursor.as_ref(), &device),
    }
}

/// The end of an execution whose package does not fit: the first reason is its outcome, all of them are evidence.
pub(super) fn refusal(reasons: Vec<Reason>) -> Option<Step> {
    let first = reasons.first()?;
    let step = Step::done(End::Refused, first.code, first.detail.clone());
    let facts = reasons.into_iter().map(|Reason { code, detail, .. }| Fact::Unfit { code, detail });
    Some(step.learned(facts.collect()))
}
