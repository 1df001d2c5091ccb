//! A part of a device's tree as one document (TNDS, OMA DM TND 1.2, 9.1), in XML and WBXML.
mod node;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use dmwsi_objects::properties::{Kind, Properties};
pub use node::{Node, Tree};

pub(crate) use read::{format, properties};
pub(crate) use write::{push_format, push_properties};

use crate::encoding::{DecodeError, Encoding, Name, PublicId, Version};
use crate::{wbxml, xml};

/// The media type of a tree in XML.
pub const XML: &str = "application/vnd.syncml.dmtnds+xml";

/// The media type of a tree in WBXML.
pub const WBXML: &str = "application/vnd.syncml.dmtnds+wbxml";

/// The public identifier of both trees and descriptions, which has no number.
pub(crate) const PUBLIC_ID: PublicId = PublicId::Text { name: Name::Tree1_2, ends: false };

impl Tree {
    /// Reads a tree. What is unknown is skipped; its limits are [`crate::encoding::MAX_DEPTH`], [`crate::encoding::MAX_TREE_ELEMENTS`] and
    /// [`crate::encoding::MAX_TEXT`].
    pub fn decode(encoding: Encoding, body: &[u8]) -> Result<Self, DecodeError> {
        match encoding {
            Encoding::Wbxml => read::tree(&mut wbxml::Reader::of_tree(body)?),
            Encoding::Xml => {
                let text = xml::text(body);
                read::tree(&mut xml::Reader::of_tree(&text)).map_err(|error| error.moved(|at| xml::place(body, at)))
            }
        }
    }

    /// Writes a tree, each element in the order of the DTD. Control characters are left out of texts.
    #[must_use]
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Wbxml => {
                let mut writer = wbxml::Writer::document(Vec::new(), PUBLIC_ID);
                write::tree(&mut writer, self);
                writer.into_bytes()
            }
            Encoding::Xml => {
                let mut writer = xml::Writer::document(Vec::new(), Version::V1_2);
                write::tree(&mut writer, self);
                writer.into_bytes()
            }
        }
    }
}
