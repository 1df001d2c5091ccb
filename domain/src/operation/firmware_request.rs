//! What is asked of a firmware update.
use std::time::Duration;

use dmwsi_objects::NodeUri;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::firmware_retry::{ATTEMPTS, MAX_ATTEMPTS};
use crate::deliverable::{Precursor, Target};
use crate::id::DeliverableId;
use crate::{Error, Result};

/// How long a device may take to download when the request does not say: a day.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How long a device may take to install when the request does not say: a day.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// The longest timeout that a request may ask for: 30 days.
const MAX_TIMEOUT_SECONDS: u32 = 30 * 24 * 3600;

/// The most targets of a package that is not one of our deliverables, and the most models of each.
const MAX_TARGETS: usize = 20;

/// Which firmware, and how the device gets it.
///
/// How it ends, where it succeeds:
///
/// * `UPDATED`: the device reported success, and its version is the expected one.
/// * `ALREADY_INSTALLED`: the device had that version before it was told anything.
///
/// Where the user declines:
///
/// * `USER_CANCELLED`: the user said no.
/// * `DEFERRED`: the user wants to be asked later, and named no time.
///
/// Where it is refused, since it must not be done on that device:
///
/// * `DELIVERABLE_GONE`, `DELIVERABLE_EXPIRED`, `DELIVERABLE_WITHDRAWN`: the deliverable was no longer to be had when the device began.
/// * `NO_DELIVERY_METHOD`: the deliverable may not travel in any way by which the device could be served.
/// * `PACKAGE_TOO_LARGE`: the device does not take so much within messages.
/// * Any word of `ReasonCode`: the package does not fit the device, and that is the first reason.
///
/// Where it fails before the device has begun, by what the device answers:
///
/// * `FIRMWARE_OBJECT_NOT_FOUND`: the device shows no firmware object.
/// * `DEVICE_BUSY`: another update of the device did not come to its end in time.
/// * `DEVICE_NOT_READY`: the device has something else to do, again and again.
/// * `DEVICE_FULL`: the device has no room.
/// * `PERMISSION_DENIED`: the access control list of the device does not let this server do it.
/// * `PACKAGE_TOO_LARGE`: the device does not take a value so large.
/// * `PACKAGE_CORRUPTED`: the package came damaged.
/// * `WRONG_STATE`: the device was to install what it had fetched, and no longer has it.
/// * `COMMAND_REFUSED`: the device refused a command in another way, which the detail tells.
/// * `NOT_STARTED`: the command to start was lost again and again.
///
/// Where it fails after that:
///
/// * `DOWNLOAD_NOT_REPORTED`, `UPDATE_NOT_REPORTED`: the device did not report in time.
/// * `DOWNLOAD_FAILED`, `UPDATE_FAILED`: the device's state says so.
/// * `VERSION_UNCHANGED`: the device reported success, and its version is not the expected one.
/// * `VERSION_UNREADABLE`: the device reported success, and does not tell its version.
///
/// Where the device reports that it failed (OMA FUMO 1.0, 5.5):
///
/// * `PACKAGE_CORRUPTED`, `PACKAGE_DEVICE_MISMATCH`, `PACKAGE_VALIDATION_FAILED`, `PACKAGE_NOT_ACCEPTABLE`: the package is damaged, for another device, not signed as it must be, or not wanted (402 to 405).
/// * `DOWNLOAD_AUTHENTICATION_FAILED`, `DOWNLOAD_TIMED_OUT`: the device was not let in to download, or the download took too long (406, 407).
/// * `NOT_IMPLEMENTED`, `UNDEFINED_ERROR`, `UPDATE_FAILED`: the device cannot do that, failed somehow, or failed to install (408 to 410).
/// * `MALFORMED_URL`, `DOWNLOAD_SERVER_UNAVAILABLE`: the address is none, or nobody answers there (411, 412).
/// * `BATTERY_LOW`: the device has not power enough (451).
/// * `DOWNLOAD_SERVER_ERROR`, `DOWNLOAD_NETWORK_FAILED`: what serves the package failed, or the way to it (500, 503).
/// * `DOWNLOAD_OUT_OF_MEMORY`, `UPDATE_OUT_OF_MEMORY`: the device has no room to download, or to install (501, 502).
/// * `CLIENT_VENDOR_ERROR`, `SERVER_VENDOR_ERROR`: something that only the maker of the device knows (452 to 499, 550 to 599).
/// * `CLIENT_ERROR`: any other number.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"packageUrl": "https://downloads.example/x1-2.0.0.bin", "packageName": "X1 firmware", "packageVersion": "2.0.0", "expectedFirmwareVersion": "2.0.0", "delivery": "DOWNLOAD_AND_UPDATE"}))]
pub struct FirmwareUpdateRequest {
    /// The deliverable to install, which says all that a package reference must say itself. Either this or `packageUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliverable_id: Option<DeliverableId>,
    /// Where the device downloads the package: `http` or `https`, without user name or fragment. Either this or `deliverableId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, example = "https://downloads.example/x1-2.0.0.bin")]
    pub package_url: Option<String>,
    /// The devices that the package is for: on any other the update is refused. Any device when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub targets: Vec<Target>,
    /// What must be on the device already, where the package is a delta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precursor: Option<Precursor>,
    /// The name given to the package on the device, where the device lets it be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub package_name: Option<String>,
    /// The version given to the package on the device, where the device lets it be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub package_version: Option<String>,
    /// What the version node must say afterwards: the update has succeeded only then. Needed with `packageUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256, example = "2.0.0")]
    pub expected_firmware_version: Option<String>,
    /// The node that tells the version: `./DevDetail/FwV` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub version_node: Option<NodeUri>,
    /// Where the device keeps the firmware object. When absent, the usual places are searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 1024, example = "./FUMO")]
    pub firmware_node: Option<NodeUri>,
    /// In one step or in two; what the deliverable says when absent, or one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub delivery: Option<Delivery>,
    /// How long the device may take from the start to the end of the download (of the whole update when it is one step), in seconds; a day
    /// when absent, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub download_timeout_seconds: Option<u32>,
    /// How long the device may take to install, in seconds; a day when absent, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub update_timeout_seconds: Option<u32>,
    /// How often the update is tried when what keeps it from succeeding may pass, such as a broken connection; 3 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10)]
    pub max_attempts: Option<u32>,
}

/// How the device gets the package and installs it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Delivery {
    /// It is sent the package within the messages of the session, then told to install it. Of deliverables only.
    DmDirect,
    /// One Exec: it downloads, then installs.
    #[default]
    DownloadAndUpdate,
    /// Two: it downloads and reports, then it is told to install.
    DownloadThenUpdate,
}

impl FirmwareUpdateRequest {
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, detail: &str| Err(Error::invalid(format!("/{field}"), "INVALID_ARGUMENT", detail));
        match (&self.deliverable_id, &self.package_url) {
            (Some(_), None) => {
                for (field, given) in [
                    ("packageName", self.package_name.is_some()),
                    ("packageVersion", self.package_version.is_some()),
                    ("expectedFirmwareVersion", self.expected_firmware_version.is_some()),
                    ("versionNode", self.version_node.is_some()),
                    ("targets", !self.targets.is_empty()),
                    ("precursor", self.precursor.is_some()),
                ] {
                    if given {
                        return invalid(field, "is the deliverable's to say");
                    }
                }
            }
            (None, Some(url)) => self.check_reference(url)?,
            (Some(_), Some(_)) => return invalid("packageUrl", "must not stand beside deliverableId"),
            (None, None) => return invalid("deliverableId", "is needed, or packageUrl"),
        }
        if self.max_attempts.is_some_and(|attempts| !(1..=MAX_ATTEMPTS).contains(&attempts)) {
            return invalid("maxAttempts", "must be 1 to 10");
        }
        if self.package_name.as_ref().is_some_and(|name| name.len() > 256) {
            return invalid("packageName", "must have at most 256 bytes");
        }
        if self.package_version.as_ref().is_some_and(|version| version.len() > 256) {
            return invalid("packageVersion", "must have at most 256 bytes");
        }
        for (field, seconds) in
            [("downloadTimeoutSeconds", self.download_timeout_seconds), ("updateTimeoutSeconds", self.update_timeout_seconds)]
        {
            if seconds.is_some_and(|seconds| !(1..=MAX_TIMEOUT_SECONDS).contains(&seconds)) {
                return invalid(field, "must be 1 to 2592000");
            }
        }
        Ok(())
    }

    /// Checks a package that is not one of our deliverables.
    fn check_reference(&self, url: &str) -> Result<()> {
        let invalid = |field: &str, detail: &str| Err(Error::invalid(format!("/{field}"), "INVALID_ARGUMENT", detail));
        let parsed = Url::parse(url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host_str().is_some()
                && url.username().is_empty()
                && url.password().is_none()
        });
        if url.len() > 2048 || parsed.is_none_or(|url| url.fragment().is_some()) {
            return invalid("packageUrl", "must be an http or https URL of at most 2048 bytes, without user name and fragment");
        }
        if self.expected_firmware_version.as_ref().is_none_or(|version| !(1..=256).contains(&version.len())) {
            return invalid("expectedFirmwareVersion", "must have 1 to 256 bytes");
        }
        if self.delivery == Some(Delivery::DmDirect) {
            return invalid("delivery", "only a deliverable can be sent within messages");
        }
        // They are kept with every execution of the job.
        if self.targets.len() > MAX_TARGETS || self.targets.iter().any(|target| target.models.len() > MAX_TARGETS) {
            return invalid("targets", "must have at most 20 items, each of at most 20 models");
        }
        for (at, target) in self.targets.iter().enumerate() {
            target
                .check(&format!("/targets/{at}"))
                .map_err(|fault| Error::invalid(fault.pointer.unwrap_or_default(), "INVALID_ARGUMENT", fault.detail))?;
        }
        if self.precursor.as_ref().is_some_and(|precursor| !(1..=256).contains(&precursor.version.len())) {
            return invalid("precursor/version", "must have 1 to 256 bytes");
        }
        Ok(())
    }

    pub(super) fn attempts(&self) -> u32 {
        self.max_attempts.unwrap_or(ATTEMPTS)
    }

    pub(super) fn download_limit(&self) -> Duration {
        self.download_timeout_seconds.map_or(DOWNLOAD_TIMEOUT, |seconds| Duration::from_secs(seconds.into()))
    }

    pub(super) fn update_limit(&self) -> Duration {
        self.update_timeout_seconds.map_or(UPDATE_TIMEOUT, |seconds| Duration::from_secs(seconds.into()))
    }
}

/// An address of ours, known to be well formed.
pub(super) fn known(text: &'static str) -> NodeUri {
    NodeUri::parse(text).unwrap_or_else(|_never| NodeUri::root())
}
