//! What is asked of a firmware update.
use std::time::Duration;

use dmwsi_objects::{NodeUri, devdetail};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::{Error, Result};

/// How long a device may take to download when the request does not say: a day.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How long a device may take to install when the request does not say: a day.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// The longest timeout that a request may ask for: 30 days.
const MAX_TIMEOUT_SECONDS: u32 = 30 * 24 * 3600;

/// Which firmware, and how the device gets it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"packageUrl": "https://downloads.example/x1-2.0.0.bin", "packageName": "X1 firmware", "packageVersion": "2.0.0", "expectedFirmwareVersion": "2.0.0", "delivery": "DOWNLOAD_AND_UPDATE"}))]
pub struct FirmwareUpdateRequest {
    /// Where the device downloads the package: `http` or `https`, without user name or fragment.
    #[schema(value_type = String, max_length = 2048, example = "https://downloads.example/x1-2.0.0.bin")]
    pub package_url: String,
    /// The name given to the package on the device, where the device lets it be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub package_name: Option<String>,
    /// The version given to the package on the device, where the device lets it be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub package_version: Option<String>,
    /// What the version node must say afterwards. The update has succeeded only then.
    #[schema(min_length = 1, max_length = 256, example = "2.0.0")]
    pub expected_firmware_version: String,
    /// The node that tells the version: `./DevDetail/FwV` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub version_node: Option<NodeUri>,
    /// Where the device keeps the firmware object. When absent, the usual places are searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 1024, example = "./FUMO")]
    pub firmware_node: Option<NodeUri>,
    /// In one step or in two.
    #[serde(default)]
    pub delivery: Delivery,
    /// How long the device may take from the start to the end of the download (of the whole update when it is one step), in seconds; a day
    /// when absent, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub download_timeout_seconds: Option<u32>,
    /// How long the device may take to install, in seconds; a day when absent, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub update_timeout_seconds: Option<u32>,
}

/// How the device gets the package and installs it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Delivery {
    /// One Exec: it downloads, then installs.
    #[default]
    DownloadAndUpdate,
    /// Two: it downloads and reports, then it is told to install.
    DownloadThenUpdate,
}

impl FirmwareUpdateRequest {
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, detail: &str| Err(Error::invalid(format!("/{field}"), "INVALID_ARGUMENT", detail));
        let url = Url::parse(&self.package_url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host_str().is_some()
                && url.username().is_empty()
                && url.password().is_none()
        });
        if self.package_url.len() > 2048 || url.is_none_or(|url| url.fragment().is_some()) {
            return invalid("packageUrl", "must be an http or https URL of at most 2048 bytes, without user name and fragment");
        }
        if !(1..=256).contains(&self.expected_firmware_version.len()) {
            return invalid("expectedFirmwareVersion", "must have 1 to 256 bytes");
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

    pub(super) fn version_node(&self) -> NodeUri {
        self.version_node.clone().unwrap_or_else(|| known(devdetail::FW_V))
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
