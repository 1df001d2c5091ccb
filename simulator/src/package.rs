//! Sample firmware, which is what these devices install.
use serde::{Deserialize, Serialize};

/// How the first line of a package begins; the version ends it.
const MARK: &str = "DMWSI-SAMPLE-FIRMWARE version=";
/// How long the first line may be, in bytes.
pub(crate) const HEAD: usize = 256;

/// What a device keeps of a package.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Package {
    /// The version, when it is a sample package at all.
    pub version: Option<String>,
    /// Its length in bytes.
    pub length: u64,
}

impl Package {
    /// A package of which these are the first bytes.
    pub(crate) fn new(head: &[u8], length: u64) -> Self {
        let line = head.split(|byte| *byte == b'\n').next().filter(|line| line.len() < head.len());
        let version = line.and_then(|line| std::str::from_utf8(line).ok()).and_then(|line| line.strip_prefix(MARK));
        Self { version: version.filter(|version| !version.is_empty()).map(str::to_owned), length }
    }
}

/// A package with this version: the line `DMWSI-SAMPLE-FIRMWARE version=…`, then filler up to `size` bytes.
#[must_use]
pub fn sample_package(version: &str, size: usize) -> Vec<u8> {
    let mut package = format!("{MARK}{version}\n").into_bytes();
    package.resize(size.max(package.len()), b'.');
    package
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_package_tells_its_version_and_other_files_tell_none() {
        let package = sample_package("2.0", 1_000);
        assert_eq!(package.len(), 1_000);
        assert_eq!(Package::new(&package[..HEAD], 1_000).version.as_deref(), Some("2.0"));
        for other in ["", "PK\u{3}\u{4}", "DMWSI-SAMPLE-FIRMWARE version=\n", "DMWSI-SAMPLE-FIRMWARE version=2.0"] {
            assert_eq!(Package::new(other.as_bytes(), 9).version, None, "{other:?}");
        }
    }
}
