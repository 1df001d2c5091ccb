//! What is wrong with a delivered container, or with one thing in it.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:tt;)*) => {
        /// Why a container or a deliverable was refused.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
        pub enum FaultCode {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl FaultCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word on disk and on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

faults! {
    /// The container came whole, but its bytes were lost before it was judged; to be delivered again.
    BytesLost = "BYTES_LOST";
    /// The container's time is over.
    ContainerExpired = "CONTAINER_EXPIRED";
    /// The body is no container: the archive is not of its form.
    ContainerFormatInvalid = "CONTAINER_FORMAT_INVALID";
    /// Another container has that id already.
    ContainerIdReused = "CONTAINER_ID_REUSED";
    /// There was nothing wrong with it, but another item was refused and part of a container was not to be taken.
    ContainerRejected = "CONTAINER_REJECTED";
    /// The bytes are not those the manifest promises, or not those a header promises.
    DigestMismatch = "DIGEST_MISMATCH";
    /// A size, a depth or a number is over its limit.
    LimitExceeded = "LIMIT_EXCEEDED";
    /// The manifest says something that cannot be.
    ManifestInvalid = "MANIFEST_INVALID";
    /// The container has a member that the manifest does not name.
    MemberUnexpected = "MEMBER_UNEXPECTED";
    /// The container lacks a member that the manifest names.
    MemberMissing = "MEMBER_MISSING";
    /// The organisation has no room for it.
    QuotaExceeded = "QUOTA_EXCEEDED";
    /// The sequence number is not above that of the container before.
    SequenceReplay = "SEQUENCE_REPLAY";
    /// A member is not as long as the manifest promises.
    SizeMismatch = "SIZE_MISMATCH";
    /// It wants something that this server does not do.
    Unsupported = "UNSUPPORTED";
    /// The manifest calls a member critical that this server does not know.
    UnsupportedCritical = "UNSUPPORTED_CRITICAL";
}

impl FaultCode {
    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }
}

/// The longest pointer and the longest sentence, in bytes.
pub const MAX_TEXT: usize = 1_024;

/// The longest name of a member, in bytes.
const MAX_MEMBER: usize = 256;

/// One fault: what kind, where and in words.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error, ToSchema)]
#[serde(rename_all = "camelCase")]
#[error("{detail}")]
#[schema(example = json!({"code": "DIGEST_MISMATCH", "member": "payloads/x1-2.4.0.bin", "detail": "the bytes are not those of sha-256"}))]
pub struct Fault {
    /// The stable code.
    pub code: FaultCode,
    /// Where in the manifest, as a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub pointer: Option<String>,
    /// Which member of the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub member: Option<String>,
    /// A sentence.
    #[schema(max_length = 1024)]
    pub detail: String,
}

impl Fault {
    /// A fault of the whole. Here as below a text is cut where it is too long: what a container says must not fill the rows about it.
    pub fn new(code: FaultCode, detail: impl Into<String>) -> Self {
        Self { code, pointer: None, member: None, detail: cut(detail.into(), MAX_TEXT) }
    }

    /// A fault at a place of the manifest.
    pub fn at(code: FaultCode, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: Some(cut(pointer.into(), MAX_TEXT)), ..Self::new(code, detail) }
    }

    /// A fault of a member of the archive.
    pub fn of_member(code: FaultCode, member: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { member: Some(cut(member.into(), MAX_MEMBER)), ..Self::new(code, detail) }
    }
}

fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_cut_between_two_characters() {
        let long = "é".repeat(2_000);
        let (at, of) = (
            Fault::at(FaultCode::Unsupported, format!("/{long}"), format!("x{long}")),
            Fault::of_member(FaultCode::Unsupported, &long, ""),
        );
        assert_eq!(at.pointer.map(|pointer| pointer.len()), Some(1_023));
        assert_eq!((at.detail.len(), of.member.map(|member| member.len())), (1_023, Some(256)));
    }

    #[test]
    fn a_code_is_read_from_its_own_word() {
        for code in FaultCode::ALL {
            assert_eq!(FaultCode::parse(code.as_str()), Some(*code));
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{}\"", code.as_str()));
        }
    }
}
