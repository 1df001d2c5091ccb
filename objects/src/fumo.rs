//! FUMO, `urn:oma:mo:oma-fumo:1.0`: firmware updates (OMA FUMO 1.0).
use serde::{Deserialize, Serialize};

use crate::AlertType;

/// The identifier of the object.
pub const URN: &str = "urn:oma:mo:oma-fumo:1.0";
/// Where it is looked for, the more usual place first.
pub const USUAL_ROOTS: [&str; 2] = ["./FUMO", "./FwUpdate"];

/// Nodes below an update package (OMA FUMO 1.0, 5.2).
pub mod nodes {
    /// The name of the package.
    pub const PKG_NAME: &str = "PkgName";
    /// The version of the package.
    pub const PKG_VERSION: &str = "PkgVersion";
    /// Exec: download only.
    pub const DOWNLOAD: &str = "Download";
    /// Where to download from.
    pub const DOWNLOAD_URL: &str = "Download/PkgURL";
    /// Exec: install what was downloaded.
    pub const UPDATE: &str = "Update";
    /// The package itself, when it comes inside messages.
    pub const UPDATE_DATA: &str = "Update/PkgData";
    /// Exec: download, then install.
    pub const DOWNLOAD_AND_UPDATE: &str = "DownloadAndUpdate";
    /// Where to download from, then install.
    pub const DOWNLOAD_AND_UPDATE_URL: &str = "DownloadAndUpdate/PkgURL";
    /// The state, a number of [`super::State`].
    pub const STATE: &str = "State";
}

/// The state of an update package (OMA FUMO 1.0, 5.3).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// 10: nothing pending.
    Idle,
    /// 20: the download failed.
    DownloadFailed,
    /// 30: downloading.
    DownloadProgressing,
    /// 40: downloaded.
    DownloadComplete,
    /// 50: has the package and waits for an Exec of Update.
    ReadyToUpdate,
    /// 60: updating.
    UpdateProgressing,
    /// 70: the update failed, the package is still there.
    UpdateFailedHaveData,
    /// 80: the update failed, the package is gone.
    UpdateFailedNoData,
    /// 90: updated, the package is still there.
    UpdateSuccessfulHaveData,
    /// 100: updated, the package is gone.
    UpdateSuccessfulNoData,
}

impl State {
    /// Reads the number of the State node; other numbers are no state.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            10 => Self::Idle,
            20 => Self::DownloadFailed,
            30 => Self::DownloadProgressing,
            40 => Self::DownloadComplete,
            50 => Self::ReadyToUpdate,
            60 => Self::UpdateProgressing,
            70 => Self::UpdateFailedHaveData,
            80 => Self::UpdateFailedNoData,
            90 => Self::UpdateSuccessfulHaveData,
            100 => Self::UpdateSuccessfulNoData,
            _ => return None,
        })
    }

    /// The number of the State node.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Idle => 10,
            Self::DownloadFailed => 20,
            Self::DownloadProgressing => 30,
            Self::DownloadComplete => 40,
            Self::ReadyToUpdate => 50,
            Self::UpdateProgressing => 60,
            Self::UpdateFailedHaveData => 70,
            Self::UpdateFailedNoData => 80,
            Self::UpdateSuccessfulHaveData => 90,
            Self::UpdateSuccessfulNoData => 100,
        }
    }

    /// Whether the device is at work and must be left alone.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        matches!(self, Self::DownloadProgressing | Self::DownloadComplete | Self::UpdateProgressing)
    }
}

/// What a completion alert is about (OMA FUMO 1.0, 5.4).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Completion {
    /// An Exec of Download.
    Download,
    /// An Exec of DownloadAndUpdate.
    DownloadAndUpdate,
    /// An Exec of Update.
    Update,
}

impl Completion {
    /// The type of the alert.
    #[must_use]
    pub const fn alert_type(self) -> &'static str {
        match self {
            Self::Download => "org.openmobilealliance.dm.firmwareupdate.download",
            Self::DownloadAndUpdate => "org.openmobilealliance.dm.firmwareupdate.downloadandupdate",
            Self::Update => "org.openmobilealliance.dm.firmwareupdate.update",
        }
    }

    /// Reads the type of an alert; the older spelling without `.dm` counts too.
    #[must_use]
    pub fn from_alert(alert_type: &AlertType) -> Option<Self> {
        match kind(alert_type)? {
            "download" => Some(Self::Download),
            "downloadandupdate" => Some(Self::DownloadAndUpdate),
            "update" => Some(Self::Update),
            _ => None,
        }
    }
}

/// Whether the device, or its user, asks for an update by that alert (OMA FUMO 1.0, 5.4).
#[must_use]
pub fn is_request(alert_type: &AlertType) -> bool {
    matches!(kind(alert_type), Some("devicerequest" | "userrequest"))
}

/// What an alert of this object is about, in either spelling.
fn kind(alert_type: &AlertType) -> Option<&str> {
    let text = alert_type.as_str();
    text.strip_prefix("org.openmobilealliance.dm.firmwareupdate.")
        .or_else(|| text.strip_prefix("org.openmobilealliance.firmwareupdate."))
}

/// The result code of a completion alert (OMA FUMO 1.0, 5.5), kept as it came: vendors have codes of their own.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ResultCode(pub u16);

impl ResultCode {
    /// Done.
    pub const SUCCESS: Self = Self(200);
    /// The user declined or cancelled.
    pub const USER_CANCELLED: Self = Self(401);
    /// The user wants to be asked later. Of the range that is left to vendors.
    pub const DEFERRED: Self = Self(450);
    /// There is not power enough. Of the range that is left to vendors.
    pub const BATTERY_LOW: Self = Self(451);

    /// Whether the device says that it is done: 200, and 250 to 299 of a vendor's own.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self.0, 200 | 250..=299)
    }

    /// A stable name for the code, upper snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            200 | 250..=299 => "SUCCESS",
            401 => "USER_CANCELLED",
            402 => "PACKAGE_CORRUPTED",
            403 => "PACKAGE_DEVICE_MISMATCH",
            404 => "PACKAGE_VALIDATION_FAILED",
            405 => "PACKAGE_NOT_ACCEPTABLE",
            406 => "DOWNLOAD_AUTHENTICATION_FAILED",
            407 => "DOWNLOAD_TIMED_OUT",
            408 => "NOT_IMPLEMENTED",
            409 => "UNDEFINED_ERROR",
            410 => "UPDATE_FAILED",
            411 => "MALFORMED_URL",
            412 => "DOWNLOAD_SERVER_UNAVAILABLE",
            450 => "DEFERRED",
            451 => "BATTERY_LOW",
            452..=499 => "CLIENT_VENDOR_ERROR",
            500 => "DOWNLOAD_SERVER_ERROR",
            501 => "DOWNLOAD_OUT_OF_MEMORY",
            502 => "UPDATE_OUT_OF_MEMORY",
            503 => "DOWNLOAD_NETWORK_FAILED",
            550..=599 => "SERVER_VENDOR_ERROR",
            _ => "CLIENT_ERROR",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_back_from_its_number() {
        for number in 0..=200 {
            if let Some(state) = State::from_number(number) {
                assert_eq!(state.number(), number);
            }
        }
        assert_eq!((0..=200).filter_map(State::from_number).count(), 10);
    }

    #[test]
    fn old_and_new_alert_types_tell_the_same() {
        let old = AlertType::lenient("Reversed-Domain-Name: org.openmobilealliance.firmwareupdate.downloadandupdate");
        assert_eq!(Completion::from_alert(&old), Some(Completion::DownloadAndUpdate));
        assert_eq!(Completion::from_alert(&AlertType::lenient("org.openmobilealliance.dm.firmwareupdate.userrequest")), None);
        for (text, is_so) in [
            ("org.openmobilealliance.dm.firmwareupdate.userrequest", true),
            ("org.openmobilealliance.firmwareupdate.devicerequest", true),
            ("org.openmobilealliance.dm.firmwareupdate.update", false),
            ("userrequest", false),
        ] {
            assert_eq!(is_request(&AlertType::lenient(text)), is_so, "{text}");
        }
    }

    #[test]
    fn the_codes_that_mean_success_are_these() {
        assert!(ResultCode(200).is_success() && ResultCode(250).is_success() && ResultCode(299).is_success());
        assert!(!ResultCode(249).is_success() && !ResultCode(401).is_success() && !ResultCode(0).is_success());
    }
}
