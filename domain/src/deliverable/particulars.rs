//! How a deliverable travels, is installed and is shown.
use dmwsi_objects::{Format, NodeUri};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::{Fault, FaultCode};
use crate::operation::ChangeCommand;

/// The most values of one configuration.
const MAX_VALUES: usize = 100;

/// The longest value of a node, in bytes.
const MAX_VALUE: usize = 65_536;

/// The longest text of the others, in bytes.
const MAX_TEXT: usize = 1_024;

/// How a deliverable is brought onto a device by OMA DM.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DmSpec {
    /// The management object that takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, example = "urn:oma:mo:oma-fumo:1.0")]
    pub mo_urn: Option<String>,
    /// The id of the package on the device, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub pkg_id: Option<String>,
    /// The name of the package on the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub pkg_name: Option<String>,
    /// The version of the package on the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub pkg_version: Option<String>,
    /// What the device is told to do; when absent, what its management object has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<DmOperation>,
    /// Parameters of the installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub install_params: Option<String>,
    /// What the version node says afterwards; the version of the deliverable when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub expected_version: Option<String>,
    /// The node that tells the version; `./DevDetail/FwV` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub version_node: Option<NodeUri>,
    /// Values for nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub configuration: Vec<ConfigurationItem>,
}

impl DmSpec {
    pub(super) fn check(&self, pointer: &str) -> Result<(), Fault> {
        let invalid =
            |field: &str, detail: &str| Err(Fault::at(FaultCode::ManifestInvalid, format!("{pointer}/{field}"), detail));
        for (field, text) in [
            ("moUrn", &self.mo_urn),
            ("pkgId", &self.pkg_id),
            ("pkgName", &self.pkg_name),
            ("pkgVersion", &self.pkg_version),
            ("installParams", &self.install_params),
            ("expectedVersion", &self.expected_version),
        ] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > MAX_TEXT) {
                return invalid(field, "has 1 to 1024 bytes");
            }
        }
        if self.configuration.len() > MAX_VALUES {
            let detail = "has more than 100 values";
            return Err(Fault::at(FaultCode::LimitExceeded, format!("{pointer}/configuration"), detail));
        }
        for (at, item) in self.configuration.iter().enumerate() {
            let needed = !matches!(item.command, ChangeCommand::Delete | ChangeCommand::Exec) && item.format != Format::Node;
            match &item.value {
                Some(value) if value.len() > MAX_VALUE => {
                    return invalid(&format!("configuration/{at}/value"), "has more than 65536 bytes");
                }
                Some(_) if item.command == ChangeCommand::Delete => {
                    return invalid(&format!("configuration/{at}/value"), "a DELETE has no value");
                }
                None if needed => return invalid(&format!("configuration/{at}/value"), "is needed"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a device is told to do with a package.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DmOperation {
    /// Fetch it.
    Download,
    /// Fetch and install it.
    DownloadAndUpdate,
    /// Install what it has been sent.
    Update,
}

/// A value for a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"path": "./Browser/Fav/1/URL", "command": "REPLACE", "value": "https://start.example"}))]
pub struct ConfigurationItem {
    /// The node.
    #[schema(value_type = String, max_length = 1024)]
    pub path: NodeUri,
    /// How it is changed.
    #[serde(default)]
    pub command: ChangeCommand,
    /// The format of the value.
    #[serde(default)]
    #[schema(value_type = String, max_length = 8)]
    pub format: Format,
    /// The media type of the value.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub media_type: Option<String>,
    /// The value as text, `bin` as base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub value: Option<String>,
}

/// How a deliverable may travel.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeliverySpec {
    /// In these ways, the preferred one first; in any when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 4)]
    pub methods: Vec<DeliveryMethod>,
    /// The longest payload that may travel within a message of OMA DM, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_direct_bytes: Option<u64>,
}

/// A way to a device.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryMethod {
    /// Sent to many at once.
    Broadcast,
    /// Within messages of OMA DM.
    DmDirect,
    /// Fetched from an address.
    Http,
    /// Fetched by OMA Download, from a descriptor.
    OmaDownload,
}

/// What the user of the device is asked and told.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserInteraction {
    /// The user is asked before it is installed.
    pub confirm_before_install: bool,
    /// The user is told when it is installed.
    pub notify_on_complete: bool,
    /// The user cannot say no.
    pub mandatory: bool,
}

/// A label of an authority.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegulatoryLabel {
    /// Which authority.
    #[schema(max_length = 256, example = "FCC")]
    pub authority: String,
    /// The label, as the authority gives it.
    pub label: String,
}
