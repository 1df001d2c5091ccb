//! A file of a deliverable, as the manifest promises it.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Digests;
use crate::fault::{Fault, FaultCode};

/// The longest name of a member of the archive, in bytes: what the name field of a tar header holds.
pub const MAX_NAME: usize = 100;

/// Where payloads stand in the archive.
pub const FOLDER: &str = "payloads/";

/// A file of a deliverable.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"payloadId": "p0", "path": "payloads/x1-2.4.0.bin", "size": 10485760, "digests": {"sha-256": "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"}}))]
pub struct PayloadSpec {
    /// What it is called within its deliverable.
    #[schema(min_length = 1, max_length = 100)]
    pub payload_id: String,
    /// Its name in the archive.
    #[schema(min_length = 10, max_length = 100, pattern = "^payloads/[A-Za-z0-9._-]+$")]
    pub path: String,
    /// How long it is, in bytes.
    pub size: u64,
    /// What it hashes to; `sha-256` must be among them.
    pub digests: Digests,
    /// Whether it is a whole package or one that turns the precursor into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed_for: Option<PackageForm>,
    /// How it is encoded; only `identity`, which is what is meant when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16)]
    pub content_encoding: Option<String>,
    /// Where a payload that is not in the archive would be; not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    pub uri: Option<String>,
}

/// What a package holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PackageForm {
    /// The difference to its precursor.
    Delta,
    /// All of it.
    Full,
}

impl PayloadSpec {
    pub(super) fn check(&self, pointer: &str) -> Result<(), Fault> {
        let fault = |code, field: &str, detail: &str| Err(Fault::at(code, format!("{pointer}/{field}"), detail));
        if self.uri.is_some() {
            return fault(FaultCode::Unsupported, "uri", "a payload by reference is not taken");
        }
        if self.content_encoding.as_deref().is_some_and(|encoding| encoding != "identity") {
            return fault(FaultCode::Unsupported, "contentEncoding", "only `identity` is taken");
        }
        if !(1..=MAX_NAME).contains(&self.payload_id.len()) {
            return fault(FaultCode::ManifestInvalid, "payloadId", "has 1 to 100 bytes");
        }
        if !self.path.starts_with(FOLDER) || !is_member_name(&self.path) {
            return fault(FaultCode::ManifestInvalid, "path", "is `payloads/` and a plain name, at most 100 bytes");
        }
        if self.digests.sha_256.is_none() {
            return fault(FaultCode::ManifestInvalid, "digests/sha-256", "is needed");
        }
        Ok(())
    }
}

/// Whether `name` may be that of a member of the archive: a plain name, or one in a folder.
#[must_use]
pub fn is_member_name(name: &str) -> bool {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..") && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    name.len() <= MAX_NAME && name.split('/').count() <= 2 && name.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_a_plain_name() {
        assert!(is_member_name("manifest.json") && is_member_name("payloads/a-1_b.bin"));
        let long = "x".repeat(101);
        for wrong in ["", "/a", "../a", "a/..", "a/./b", "a//b", "a/b/c", "a\\b", "c:a", "a b", "a\0", "é", long.as_str()] {
            assert!(!is_member_name(wrong), "{wrong}");
        }
    }
}
