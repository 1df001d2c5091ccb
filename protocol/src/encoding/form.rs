//! The form in which a client writes its messages, and wants its answers.
use serde::{Deserialize, Serialize};

use super::{DecodeError, Encoding, write};
use crate::message::Message;
use crate::wbxml::{Head, Identifier};
use crate::{wbxml, xml};

/// A form of messages. An answer goes out in the form of the request: clients read what they write and nothing else.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Form {
    /// XML or WBXML.
    pub encoding: Encoding,
    /// Which of two families of media types is said.
    pub family: Family,
    /// The public identifier of WBXML; none for the number of the version that the message has.
    pub public_id: Option<PublicId>,
}

/// A family of media types.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// `application/vnd.syncml.dm+…`, what the specification says.
    #[default]
    Dm,
    /// `application/vnd.syncml+…`, the media types of data synchronisation, which some clients send and expect.
    Sync,
}

/// The public identifier in the head of a WBXML document.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PublicId {
    /// A number.
    Number(u32),
    /// A text in the string table.
    Text {
        /// The text.
        name: Name,
        /// Whether the NUL stands after it. Many clients leave it out.
        ends: bool,
    },
}

/// A public identifier as text.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Name {
    /// SyncML 1.0.
    SyncMl1_0,
    /// SyncML 1.1.
    SyncMl1_1,
    /// SyncML 1.2.
    SyncMl1_2,
    /// Device descriptions and serialised trees 1.2.
    Tree1_2,
}

/// A version of SyncML.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    /// SyncML 1.1, of which OMA DM 1.1.2 is made.
    V1_1,
    /// SyncML 1.2.
    V1_2,
}

impl Form {
    /// The form of a body that came with that content type.
    #[must_use]
    pub fn of(body: &[u8], content_type: Option<&str>) -> Self {
        let encoding = Encoding::sniff(body, content_type);
        let public_id =
            if encoding == Encoding::Wbxml { Head::of(body).ok().and_then(|head| PublicId::of(head.public_id)) } else { None };
        Self { encoding, family: Family::of(content_type), public_id }
    }

    /// The media type to send with it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match (self.family, self.encoding) {
            (Family::Dm, encoding) => encoding.content_type(),
            (Family::Sync, Encoding::Wbxml) => "application/vnd.syncml+wbxml",
            (Family::Sync, Encoding::Xml) => "application/vnd.syncml+xml",
        }
    }

    /// Reads a message, as [`Encoding::decode`] does.
    pub fn decode(self, body: &[u8]) -> Result<Message, DecodeError> {
        self.encoding.decode(body)
    }

    /// Writes a message, each element in the order of the DTD. Control characters, which XML cannot carry, are left out of texts in either encoding.
    #[must_use]
    pub fn encode(self, message: &Message) -> Vec<u8> {
        let out = Vec::with_capacity(1024 + 256 * message.body.len());
        let version = Version::of(&message.header.dtd);
        match self.encoding {
            Encoding::Wbxml => {
                let mut writer = wbxml::Writer::document(out, self.public_id.unwrap_or(version.public_id()));
                write::message(&mut writer, message);
                writer.into_bytes()
            }
            Encoding::Xml => {
                let mut writer = xml::Writer::document(out, version);
                write::message(&mut writer, message);
                writer.into_bytes()
            }
        }
    }
}

impl From<Encoding> for Form {
    fn from(encoding: Encoding) -> Self {
        Self { encoding, family: Family::default(), public_id: None }
    }
}

impl Family {
    /// The family that a content type belongs to; the first one where it tells nothing.
    #[must_use]
    pub fn of(content_type: Option<&str>) -> Self {
        let kind = content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        let is_sync =
            ["application/vnd.syncml+xml", "application/vnd.syncml+wbxml"].iter().any(|one| kind.eq_ignore_ascii_case(one));
        if is_sync { Self::Sync } else { Self::Dm }
    }
}

impl PublicId {
    /// That of a client, unless it is none that is known: those that clients got wrong are not worth repeating.
    fn of(identifier: Identifier<'_>) -> Option<Self> {
        match identifier {
            Identifier::Number(number @ (UNKNOWN | SYNCML_1_0 | SYNCML_1_1 | SYNCML_1_2)) => Some(Self::Number(number)),
            Identifier::Number(_) => None,
            Identifier::Text(text, ends) => {
                let name =
                    [Name::SyncMl1_0, Name::SyncMl1_1, Name::SyncMl1_2].into_iter().find(|name| name.as_str().as_bytes() == text);
                name.map(|name| Self::Text { name, ends })
            }
        }
    }
}

/// The number that says nothing.
const UNKNOWN: u32 = 0x01;
/// The number of SyncML 1.0.
const SYNCML_1_0: u32 = 0x0FD1;
/// The number of SyncML 1.1.
const SYNCML_1_1: u32 = 0x0FD3;
/// The number of SyncML 1.2.
const SYNCML_1_2: u32 = 0x1201;

impl Name {
    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SyncMl1_0 => "-//SYNCML//DTD SyncML 1.0//EN",
            Self::SyncMl1_1 => "-//SYNCML//DTD SyncML 1.1//EN",
            Self::SyncMl1_2 => "-//SYNCML//DTD SyncML 1.2//EN",
            Self::Tree1_2 => "-//OMA//DTD-DM-DDF 1.2//EN",
        }
    }
}

impl Version {
    /// The version that a `VerDTD` names; what is unknown is taken for the latest.
    pub(crate) fn of(dtd: &str) -> Self {
        if dtd == "1.1" { Self::V1_1 } else { Self::V1_2 }
    }

    /// The namespace of a message in XML.
    pub(crate) const fn namespace(self) -> &'static str {
        match self {
            Self::V1_1 => "SYNCML:SYNCML1.1",
            Self::V1_2 => "SYNCML:SYNCML1.2",
        }
    }

    /// The public identifier that a message of it usually has.
    pub(crate) const fn public_id(self) -> PublicId {
        match self {
            Self::V1_1 => PublicId::Number(SYNCML_1_1),
            Self::V1_2 => PublicId::Number(SYNCML_1_2),
        }
    }
}
