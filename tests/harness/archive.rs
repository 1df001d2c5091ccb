//! Containers made for tests: good ones, and every kind of bad one.
use std::path::Path;

use dmwsi_domain::archive::{Header, padding};
use openssl::sha::sha256;
use serde_json::{Value, json};

/// The scopes of whoever delivers.
pub(crate) const SCOPES: &str = "containers:read containers:write";

/// The media type.
pub(crate) const TAR: (&str, &str) = ("content-type", "application/vnd.dmwsi.container.v1+tar");

/// A container that is being made.
#[derive(Clone)]
pub(crate) struct Archive {
    pub(crate) manifest: Value,
    /// Members after the manifest: name and bytes.
    pub(crate) members: Vec<(String, Vec<u8>)>,
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Archive {
    /// A container of that name and number with nothing in it.
    pub(crate) fn new(id: &str, sequence: u64) -> Self {
        let manifest = json!({"formatVersion": 1, "containerId": id, "sequenceNumber": sequence, "createdAt": "2026-11-20T10:00:00Z", "deliverables": []});
        Self { manifest, members: Vec::new() }
    }

    /// The same with one more deliverable of a kind, whose payload is `bytes`.
    pub(crate) fn with(mut self, kind: &str, name: &str, bytes: &[u8]) -> Self {
        let path = format!("payloads/{name}.bin");
        let payload = json!({"payloadId": "p0", "path": path, "size": bytes.len(), "digests": {"sha-256": hex(bytes)}});
        let targets = json!([{"manufacturer": "Acme", "models": ["X1"], "fwVersion": {"max": "1.9.9"}}]);
        self.deliverables().push(json!({"deliverableId": name, "kind": kind, "name": name, "version": "2.0.0", "targets": targets, "payloads": [payload]}));
        self.members.push((path, bytes.to_vec()));
        self
    }

    pub(crate) fn deliverables(&mut self) -> &mut Vec<Value> {
        self.manifest["deliverables"].as_array_mut().unwrap()
    }

    /// A firmware.
    pub(crate) fn firmware(id: &str, sequence: u64) -> Self {
        Self::new(id, sequence).with("FIRMWARE", "x1-2.0.0", b"the new firmware")
    }

    /// The whole archive.
    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut tar = member("manifest.json", self.manifest.to_string().as_bytes());
        self.members.iter().for_each(|(name, bytes)| tar.extend(member(name, bytes)));
        tar.extend([0; 1024]);
        tar
    }
}

/// A member with its header and padding.
pub(crate) fn member(name: &str, bytes: &[u8]) -> Vec<u8> {
    let size = u64::try_from(bytes.len()).unwrap();
    let mut member = Header { name: name.to_owned(), size }.write().unwrap().to_vec();
    member.extend(bytes);
    member.extend(vec![0; padding(size)]);
    member
}

/// A header with bytes changed at a place, its checksum made right again.
pub(crate) fn header(name: &str, size: u64, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut block = Header { name: name.to_owned(), size }.write().unwrap().to_vec();
    block[at..at + bytes.len()].copy_from_slice(bytes);
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Every file of a content folder but its marker.
pub(crate) fn files(content: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![content.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("marker") {
                files.push(path.strip_prefix(content).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}
