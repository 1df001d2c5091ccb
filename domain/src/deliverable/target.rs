//! Which devices a deliverable is for.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::{Fault, FaultCode};
use crate::version::{VersionRule, VersionScheme};

/// The most models one target names.
pub const MAX_MODELS: usize = 100;

/// The longest pattern of a model, manufacturer or device type, in bytes.
pub const MAX_PATTERN: usize = 256;

/// Devices of one kind. All that is given must hold; what is absent may be anything. A device fits a deliverable when it fits one of its targets.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(example = json!({"manufacturer": "Acme", "models": ["X1", "X1-*"], "fwVersion": {"min": "2.0.0", "max": "2.3.9"}}))]
pub struct Target {
    /// The manufacturer (DevInfo/Man), in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub manufacturer: Option<String>,
    /// The models (DevInfo/Mod), in any case; one that ends with `*` stands for all that begin so. Any model when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100, max_length = 256)]
    pub models: Vec<String>,
    /// The type of the device (DevDetail/DevTyp), in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub device_type: Option<String>,
    /// The hardware version (DevDetail/HwV).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hw_version: Option<VersionRule>,
    /// The firmware version (DevDetail/FwV).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fw_version: Option<VersionRule>,
    /// The software version (DevDetail/SwV).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sw_version: Option<VersionRule>,
    /// How the versions of this target are compared.
    pub version_scheme: VersionScheme,
}

impl Target {
    /// Whether `model` is one of this target's.
    #[must_use]
    pub fn has_model(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| fits(pattern, model))
    }

    /// Whether `manufacturer` is this target's.
    #[must_use]
    pub fn has_manufacturer(&self, manufacturer: &str) -> bool {
        self.manufacturer.as_ref().is_none_or(|named| same(named, manufacturer))
    }

    /// Whether `device_type` is this target's.
    #[must_use]
    pub fn has_device_type(&self, device_type: &str) -> bool {
        self.device_type.as_ref().is_none_or(|named| same(named, device_type))
    }

    pub(crate) fn check(&self, pointer: &str) -> Result<(), Fault> {
        let invalid =
            |field: &str, detail: &str| Err(Fault::at(FaultCode::ManifestInvalid, format!("{pointer}/{field}"), detail));
        if self.models.len() > MAX_MODELS {
            return invalid("models", "names more than 100 models");
        }
        for (at, model) in self.models.iter().enumerate() {
            let stars = model.matches('*').count();
            if !is_name(model) || stars > 1 || (stars == 1 && !model.ends_with('*')) {
                return invalid(&format!("models/{at}"), "is a name of 1 to 256 bytes, with `*` at its end only");
            }
        }
        for (field, text) in [("manufacturer", &self.manufacturer), ("deviceType", &self.device_type)] {
            if text.as_ref().is_some_and(|text| !is_name(text)) {
                return invalid(field, "is a name of 1 to 256 bytes without control characters");
            }
        }
        let rules = [("hwVersion", &self.hw_version), ("fwVersion", &self.fw_version), ("swVersion", &self.sw_version)];
        rules.into_iter().try_for_each(|(field, rule)| {
            rule.as_ref().map_or(Ok(()), |rule| rule.check(self.version_scheme, &format!("{pointer}/{field}")))
        })
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_PATTERN).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn fits(pattern: &str, model: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => model.to_lowercase().starts_with(&start.to_lowercase()),
        None => same(pattern, model),
    }
}

fn same(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_fits_in_any_case_and_by_its_beginning() {
        let target = Target { models: vec!["X1".into(), "Y-*".into()], ..Target::default() };
        assert!(target.has_model("x1") && target.has_model("y-2000") && target.has_model("Y-"));
        assert!(!target.has_model("X10") && !target.has_model("Y") && !target.has_model(""));
        assert!(Target::default().has_model("anything"));
    }

    #[test]
    fn a_star_stands_at_the_end_only() {
        for wrong in ["*x", "x*y", "x**", "", "a\u{7}"] {
            let target = Target { models: vec!["X1".into(), wrong.into()], ..Target::default() };
            let fault = target.check("/targets/0").unwrap_err();
            assert_eq!(fault.pointer.as_deref(), Some("/targets/0/models/1"), "{wrong}");
        }
    }
}
