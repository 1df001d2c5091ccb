//! Why a deliverable does not fit a device.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! reasons {
    ($($(#[doc = $doc:tt])* $name:ident = $code:tt, $distance:tt;)*) => {
        /// Why a deliverable does not fit a device.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
        #[schema(description = concat!("Why a deliverable does not fit a device:\n", $("\n* `", $code, "`:", $($doc,)*)*))]
        pub enum ReasonCode {
            $($(#[doc = $doc])* #[serde(rename = $code)] $name,)*
        }

        impl ReasonCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// How far away a target is that does not hold for this reason.
            pub(super) const fn distance(self) -> u32 {
                match self { $(Self::$name => $distance,)* }
            }
        }
    };
}

reasons! {
    /// The device has that version already.
    AlreadyInstalled = "ALREADY_INSTALLED", 0;
    /// Something it needs is not on the device.
    DependencyMissing = "DEPENDENCY_MISSING", 0;
    /// It is for devices of another type.
    DeviceTypeDiffers = "DEVICE_TYPE_DIFFERS", 4_096;
    /// The firmware of the device is not among those it is for.
    FirmwareExcluded = "FIRMWARE_EXCLUDED", 16;
    /// The firmware of the device is newer than those it is for.
    FirmwareTooNew = "FIRMWARE_TOO_NEW", 16;
    /// The firmware of the device is older than those it is for.
    FirmwareTooOld = "FIRMWARE_TOO_OLD", 16;
    /// It is for another hardware.
    HardwareDiffers = "HARDWARE_DIFFERS", 256;
    /// It is for devices of another manufacturer.
    ManufacturerDiffers = "MANUFACTURER_DIFFERS", 1_048_576;
    /// It is for other models.
    ModelDiffers = "MODEL_DIFFERS", 65_536;
    /// The device has a newer version.
    OlderThanInstalled = "OLDER_THAN_INSTALLED", 0;
    /// Something that counts is not known of the device.
    ParticularsUnknown = "PARTICULARS_UNKNOWN", 0;
    /// It is a delta that works on another version only.
    PrecursorDiffers = "PRECURSOR_DIFFERS", 0;
    /// The software of the device is not among those it is for.
    SoftwareExcluded = "SOFTWARE_EXCLUDED", 1;
    /// The software of the device is newer than those it is for.
    SoftwareTooNew = "SOFTWARE_TOO_NEW", 1;
    /// The software of the device is older than those it is for.
    SoftwareTooOld = "SOFTWARE_TOO_OLD", 1;
    /// A version of the device is none of the scheme by which it would be compared.
    VersionIncomparable = "VERSION_INCOMPARABLE", 0;
}

impl ReasonCode {
    /// Whether no update of the device changes it.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::DeviceTypeDiffers | Self::ManufacturerDiffers | Self::ModelDiffers)
    }

    /// Whether installing something else first may change it.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::FirmwareExcluded | Self::FirmwareTooOld | Self::PrecursorDiffers)
    }
}

/// One reason why a deliverable does not fit a device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({"code": "FIRMWARE_TOO_OLD", "detail": "it needs firmware version 2.0.0 or later, not 1.0.0"}))]
pub struct Reason {
    /// Which.
    pub code: ReasonCode,
    /// A sentence for people.
    #[schema(max_length = 2048)]
    pub detail: String,
    /// How far away a target is for this reason.
    #[serde(skip)]
    pub(super) distance: u32,
}

impl Reason {
    pub(super) const fn new(code: ReasonCode, detail: String) -> Self {
        Self::at(code, code.distance(), detail)
    }

    pub(super) const fn at(code: ReasonCode, distance: u32, detail: String) -> Self {
        Self { code, detail, distance }
    }

    /// Something is not known of the device that could be as far away as that; knowing of a difference is a little farther.
    pub(super) fn unknown(what: &str, distance: u32) -> Self {
        Self::at(ReasonCode::ParticularsUnknown, distance / 2, format!("the {what} of the device is not known"))
    }
}
