//! What is known of a device: read from DevInfo and DevDetail.
use dmwsi_objects::{NodeUri, Reading, devdetail, devinfo};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::profile::Traits;

/// The longest fact kept, in bytes; a device that tells more is cut.
pub const MAX_FACT: usize = 256;

/// What a device has told of itself. A fact that it never told is absent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Facts {
    /// DevInfo/Man.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "Acme")]
    pub manufacturer: Option<String>,
    /// DevInfo/Mod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "X1")]
    pub model: Option<String>,
    /// DevDetail/FwV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "1.0.0")]
    pub firmware_version: Option<String>,
    /// DevDetail/SwV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub software_version: Option<String>,
    /// DevDetail/HwV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub hardware_version: Option<String>,
    /// DevDetail/OEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub oem: Option<String>,
    /// DevDetail/DevTyp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub device_type: Option<String>,
    /// DevInfo/Lang.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "en")]
    pub language: Option<String>,
    /// DevInfo/DmV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "1.2")]
    pub dm_version: Option<String>,
    /// DevDetail/LrgObj: whether it takes objects in pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_objects: Option<bool>,
    /// The largest value that it takes in pieces, in bytes as sent: by its word in the present session, and not kept.
    #[serde(skip)]
    pub max_object: Option<u32>,
    /// What it does otherwise than the standard says: as it holds in the present session, and not kept.
    #[serde(skip)]
    pub traits: Traits,
    /// When the device was last asked for its details; set by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub details_read_at: Option<Timestamp>,
}

impl Facts {
    /// Takes what the readings tell; true when something became known or changed.
    pub fn learn(&mut self, readings: &[Reading]) -> bool {
        let before = self.clone();
        for reading in readings {
            self.take(&reading.node, reading.value.data.trim());
        }
        *self != before
    }

    fn take(&mut self, node: &NodeUri, text: &str) {
        let fact = match node.as_str() {
            devinfo::MAN => &mut self.manufacturer,
            devinfo::MOD => &mut self.model,
            devinfo::LANG => &mut self.language,
            devinfo::DM_V => &mut self.dm_version,
            devdetail::FW_V => &mut self.firmware_version,
            devdetail::SW_V => &mut self.software_version,
            devdetail::HW_V => &mut self.hardware_version,
            devdetail::OEM => &mut self.oem,
            devdetail::DEV_TYP => &mut self.device_type,
            devdetail::LRG_OBJ => {
                self.large_objects = match text {
                    "true" => Some(true),
                    "false" => Some(false),
                    _ => self.large_objects,
                };
                return;
            }
            _ => return,
        };
        *fact = Some(cut(text).to_owned());
    }
}

/// The longest beginning of at most [`MAX_FACT`] bytes that ends between characters.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_FACT)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use dmwsi_objects::Value;

    use super::*;

    #[test]
    fn a_reading_changes_the_fact_it_is_about_and_says_whether_it_did() {
        let reading = |node: &str, text: &str| Reading { node: NodeUri::parse(node).unwrap(), value: Value::text(text) };
        let mut facts = Facts::default();
        assert!(facts.learn(&[reading("./DevInfo/Man", "Acme"), reading("./DevDetail/LrgObj", "true")]));
        assert_eq!((facts.manufacturer.as_deref(), facts.large_objects), (Some("Acme"), Some(true)));
        assert!(!facts.learn(&[reading("./DevInfo/Man", "Acme"), reading("./DevDetail/LrgObj", "perhaps")]));
        assert!(facts.learn(&[reading("./DevInfo/Man", &"é".repeat(200))]));
        assert_eq!(facts.manufacturer.map(|text| text.len()), Some(MAX_FACT));
    }
}
