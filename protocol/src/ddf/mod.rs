//! Device descriptions on the wire (DDF, OMA DM TND 1.2, 9.2), in XML and WBXML. What they say is [`dmwsi_objects::ddf`].
mod read;
mod write;

#[cfg(test)]
mod tests;

use dmwsi_objects::ddf::Description;

use crate::encoding::{DecodeError, Encoding, Version};
use crate::{tnds, wbxml, xml};

/// The media type of a description in XML.
pub const XML: &str = "application/vnd.syncml.dmddf+xml";

/// The media type of a description in WBXML.
pub const WBXML: &str = "application/vnd.syncml.dmddf+wbxml";

/// Reads a description. What is unknown is skipped, as are the elements of other namespaces that vendors add; no DTD is ever fetched. The limits are those
/// of [`tnds::Tree::decode`].
pub fn decode(encoding: Encoding, body: &[u8]) -> Result<Description, DecodeError> {
    match encoding {
        Encoding::Wbxml => read::description(&mut wbxml::Reader::of_tree(body)?),
        Encoding::Xml => {
            let text = xml::text(body);
            read::description(&mut xml::Reader::of_tree(&text)).map_err(|error| error.moved(|at| xml::place(body, at)))
        }
    }
}

/// Writes a description, each element in the order of the DTD. Control characters are left out of texts.
#[must_use]
pub fn encode(description: &Description, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Wbxml => {
            let mut writer = wbxml::Writer::document(Vec::new(), tnds::PUBLIC_ID);
            write::description(&mut writer, description);
            writer.into_bytes()
        }
        Encoding::Xml => {
            let mut writer = xml::Writer::document(Vec::new(), Version::V1_2);
            write::description(&mut writer, description);
            writer.into_bytes()
        }
    }
}
