//! What a node holds.
use serde::{Deserialize, Serialize};

/// The format of a node's value (Meta `Format`, OMA DM RepPro 1.2, 5.4). On the wire it is the lower-case word.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Base64 text that is itself the value.
    B64,
    /// Octets; as text, base64.
    Bin,
    /// `true` or `false`.
    Bool,
    /// Text. What a device means that names no format.
    #[default]
    Chr,
    /// An ISO 8601 date.
    Date,
    /// A 32 bit floating point number.
    Float,
    /// A 32 bit signed number in decimals.
    Int,
    /// No value: the node has children.
    Node,
    /// No value at all.
    Null,
    /// An ISO 8601 time.
    Time,
    /// A piece of XML.
    Xml,
}

impl Format {
    /// The word used on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::B64 => "b64",
            Self::Bin => "bin",
            Self::Bool => "bool",
            Self::Chr => "chr",
            Self::Date => "date",
            Self::Float => "float",
            Self::Int => "int",
            Self::Node => "node",
            Self::Null => "null",
            Self::Time => "time",
            Self::Xml => "xml",
        }
    }

    /// Reads the word; clients are known to send others (`text/plain`), which stand for text.
    #[must_use]
    pub fn lenient(word: &str) -> Self {
        match word.trim() {
            "b64" => Self::B64,
            "bin" => Self::Bin,
            "bool" => Self::Bool,
            "date" => Self::Date,
            "float" => Self::Float,
            "int" => Self::Int,
            "node" => Self::Node,
            "null" => Self::Null,
            "time" => Self::Time,
            "xml" => Self::Xml,
            _ => Self::Chr,
        }
    }
}

/// A node's value with its format and media type. Octets (`bin`) are held as base64 text, everything else as it is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Value {
    /// The format.
    #[serde(default)]
    pub format: Format,
    /// The media type of a leaf, or the identifier of a management object on an interior node (Meta `Type`).
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The value as text.
    #[serde(default)]
    pub data: String,
}

impl Value {
    /// A text.
    pub fn text(data: impl Into<String>) -> Self {
        Self { format: Format::Chr, media_type: None, data: data.into() }
    }

    /// A number.
    #[must_use]
    pub fn int(number: i32) -> Self {
        Self { format: Format::Int, media_type: None, data: number.to_string() }
    }

    /// An interior node with these children, whose names are joined by `/` as on the wire; without children, the value of an Add of one.
    #[must_use]
    pub fn node(children: &[&str]) -> Self {
        Self { format: Format::Node, media_type: None, data: children.join("/") }
    }

    /// The names of the children, when this is the value of an interior node.
    pub fn children(&self) -> impl Iterator<Item = &str> {
        let names = if self.format == Format::Node { self.data.as_str() } else { "" };
        names.split('/').filter(|name| !name.is_empty())
    }
}
