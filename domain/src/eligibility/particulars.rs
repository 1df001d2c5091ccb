//! What counts of a device when something is to be installed on it.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::facts::{Facts, MAX_FACT};
use crate::{Error, Result};

/// The most installed components that may be named.
pub const MAX_INSTALLED: usize = 1_000;

/// What counts of a device: what it told, or what somebody says of it. What is absent is not known.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schema(example = json!({"manufacturer": "Acme", "model": "X1", "firmwareVersion": "1.0.0"}))]
pub struct Particulars {
    /// DevInfo/Man.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "Acme")]
    pub manufacturer: Option<String>,
    /// DevInfo/Mod.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "X1")]
    pub model: Option<String>,
    /// DevDetail/DevTyp.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub device_type: Option<String>,
    /// DevDetail/HwV.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub hardware_version: Option<String>,
    /// DevDetail/FwV.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "1.0.0")]
    pub firmware_version: Option<String>,
    /// DevDetail/SwV.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub software_version: Option<String>,
    /// The software that is installed beside the firmware; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 1000)]
    pub installed: Option<Vec<InstalledSoftware>>,
}

/// A piece of software on a device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstalledSoftware {
    /// Its name.
    #[schema(max_length = 256, example = "Maps")]
    pub name: String,
    /// Its version.
    #[schema(max_length = 256, example = "3.1")]
    pub version: String,
    /// How its originator calls the deliverable it came from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub deliverable_reference: Option<String>,
}

impl From<&Facts> for Particulars {
    fn from(facts: &Facts) -> Self {
        Self {
            manufacturer: facts.manufacturer.clone(),
            model: facts.model.clone(),
            device_type: facts.device_type.clone(),
            hardware_version: facts.hardware_version.clone(),
            firmware_version: facts.firmware_version.clone(),
            software_version: facts.software_version.clone(),
            installed: None,
        }
    }
}

impl Particulars {
    /// These, completed by what `other` knows.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            manufacturer: self.manufacturer.or(other.manufacturer),
            model: self.model.or(other.model),
            device_type: self.device_type.or(other.device_type),
            hardware_version: self.hardware_version.or(other.hardware_version),
            firmware_version: self.firmware_version.or(other.firmware_version),
            software_version: self.software_version.or(other.software_version),
            installed: self.installed.or(other.installed),
        }
    }

    /// Whether they can be those of a device; the pointer of an error starts at the particulars.
    pub fn check(&self) -> Result<()> {
        let invalid = |pointer: String, detail: &str| Err(Error::invalid(pointer, "INVALID_ARGUMENT", detail));
        for (field, text) in [
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("deviceType", &self.device_type),
            ("hardwareVersion", &self.hardware_version),
            ("firmwareVersion", &self.firmware_version),
            ("softwareVersion", &self.software_version),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > MAX_FACT) {
                return invalid(format!("/{field}"), "must have at most 256 bytes");
            }
        }
        let installed = self.installed.as_deref().unwrap_or_default();
        if installed.len() > MAX_INSTALLED {
            return invalid("/installed".to_owned(), "must have at most 1000 items");
        }
        let too_long = |one: &InstalledSoftware| {
            let texts = [Some(&one.name), Some(&one.version), one.deliverable_reference.as_ref()];
            texts.into_iter().flatten().any(|text| text.len() > MAX_FACT)
        };
        match installed.iter().position(too_long) {
            Some(at) => invalid(format!("/installed/{at}"), "must have texts of at most 256 bytes"),
            None => Ok(()),
        }
    }
}
