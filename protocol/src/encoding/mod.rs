//! The two encodings of a message: XML and WBXML.
//!
//! Both share one reader and one writer of elements, so that a message means the same in either; what differs is how the next element is
//! pulled out of the bytes and pushed into them.
mod error;
mod form;
mod pull;
mod read;
mod tag;
mod write;

#[cfg(test)]
pub(crate) mod tests;

pub use error::{BYTES_PER_ELEMENT, DecodeError, MAX_DEPTH, MAX_ELEMENTS, MAX_TEXT, MAX_TREE_ELEMENTS};
pub use form::{Family, Form, Name, PublicId};
use serde::{Deserialize, Serialize};

pub(crate) use error::Budget;
pub(crate) use form::Version;
pub(crate) use pull::{Content, Piece, Pull, has_dropped, into_text, is_dropped, is_kept, is_text, lossy};
pub(crate) use tag::{METINF, SYNCML, TREE, Tag};
pub(crate) use write::Push;

use crate::message::{Element, Message};
use crate::{wbxml, xml};

/// How a message stands in the body of a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// WAP Binary XML 1.1 to 1.3 with the token tables of SyncML 1.2.
    Wbxml,
    /// XML 1.0 in UTF-8.
    Xml,
}

impl Encoding {
    /// Tells the encoding of a body by its first byte, and only where that says nothing by the content type: clients send wrong ones.
    #[must_use]
    pub fn sniff(body: &[u8], content_type: Option<&str>) -> Self {
        match body.first() {
            Some(1..=3) => Self::Wbxml,
            Some(b'<' | b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xFE | 0xFF) => Self::Xml,
            _ if content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("wbxml")) => Self::Wbxml,
            _ => Self::Xml,
        }
    }

    /// The media type to send with it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Wbxml => "application/vnd.syncml.dm+wbxml",
            Self::Xml => "application/vnd.syncml.dm+xml",
        }
    }

    /// Reads a message. What is unknown is skipped, what follows the message is not looked at.
    pub fn decode(self, body: &[u8]) -> Result<Message, DecodeError> {
        match self {
            Self::Wbxml => read::message(wbxml::Reader::new(body)?),
            Self::Xml => {
                let text = xml::text(body);
                read::message(xml::Reader::new(&text)).map_err(|error| error.moved(|at| xml::place(body, at)))
            }
        }
    }

    /// Writes a message in the usual [`Form`] of this encoding.
    #[must_use]
    pub fn encode(self, message: &Message) -> Vec<u8> {
        Form::from(self).encode(message)
    }

    /// How many bytes the element takes inside a message; never less than it does.
    #[must_use]
    pub fn size_of(self, element: &Element) -> usize {
        let out = Vec::with_capacity(512);
        match self {
            Self::Wbxml => {
                let mut writer = wbxml::Writer::fragment(out);
                write::element(&mut writer, element);
                // The element before may have left the other code page, and the one after has to leave this one's.
                writer.into_bytes().len() + 2 * wbxml::SWITCH
            }
            Self::Xml => {
                let mut writer = xml::Writer::fragment(out);
                write::element(&mut writer, element);
                writer.into_bytes().len()
            }
        }
    }
}
