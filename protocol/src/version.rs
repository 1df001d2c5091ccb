//! The versions of the protocol that are spoken here.
use dmwsi_objects::StatusCode;
use serde::{Deserialize, Serialize};

use crate::message::Header;

/// A version of OMA DM.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Version {
    /// OMA DM 1.1.2, which is made of SyncML 1.1. It knows no correlators and no alert 1225.
    #[serde(rename = "1.1")]
    V1_1,
    /// OMA DM 1.2.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
}

impl Version {
    /// The version of a message; otherwise the Status that it gets: 513 for the protocol, 505 for a document type that is not that of the protocol.
    pub fn of(header: &Header) -> Result<Self, StatusCode> {
        let named =
            [Self::V1_1, Self::V1_2].into_iter().find(|known| header.protocol.trim().eq_ignore_ascii_case(known.protocol()));
        let version = named.ok_or(StatusCode::PROTOCOL_VERSION)?;
        if header.dtd.trim() == version.dtd() { Ok(version) } else { Err(StatusCode::DTD_VERSION) }
    }

    /// `VerDTD`.
    #[must_use]
    pub const fn dtd(self) -> &'static str {
        match self {
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// `VerProto`.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::V1_1 => "DM/1.1",
            Self::V1_2 => "DM/1.2",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_protocol_and_its_document_type() {
        let of = |protocol: &str, dtd: &str| {
            Version::of(&Header { protocol: protocol.to_owned(), dtd: dtd.to_owned(), ..Header::default() })
        };
        assert_eq!(of("DM/1.2", "1.2"), Ok(Version::V1_2));
        assert_eq!(of(" dm/1.1 ", "1.1"), Ok(Version::V1_1));
        for (protocol, dtd, code) in [("DM/1.3", "1.2", 513), ("SyncML/1.2", "1.2", 513), ("", "", 513), ("DM/1.2", "1.1", 505)] {
            assert_eq!(of(protocol, dtd), Err(StatusCode(code)), "{protocol} {dtd}");
        }
    }
}
