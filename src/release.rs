//! What the partner of the demo delivers: firmware for two models, one version of it within reach only by way of another.
use std::fs;
use std::path::{Path, PathBuf};

use dmwsi_simulator::sample_package;
use serde_json::{Value, json};

use crate::Failure;

/// How large each package is, in bytes.
const SIZE: usize = 2 << 20;

/// Where the first download of each device breaks, in bytes.
pub(crate) const BREAK: u64 = 1_300_000;

/// The version that the demo brings onto its first device.
pub(crate) const VERSION: &str = "2.0.0";

/// Writes the folder of a release below `folder`, to be packed. The number goes into its name, and orders it.
pub(crate) fn write(folder: &Path, number: u64) -> Result<PathBuf, Failure> {
    let release = folder.join(format!("release-{number}"));
    fs::create_dir_all(release.join("payloads"))?;
    let all = [
        ("One", VERSION, json!({"max": "1.9.9"})),
        ("One", "2.1.0", json!({"min": VERSION, "max": "2.0.9"})),
        ("Two", VERSION, json!({"max": "1.9.9"})),
    ];
    let mut deliverables = Vec::new();
    for (model, version, of) in all {
        let path = format!("payloads/{}-{version}.bin", model.to_lowercase());
        fs::write(release.join(&path), sample_package(version, SIZE))?;
        deliverables.push(deliverable(model, version, &of, &path, number));
    }
    let manifest = json!({
        "formatVersion": 1, "containerId": format!("urn:demo:{number}"), "sequenceNumber": number, "createdAt": "2026-11-20T10:00:00Z",
        "originator": {"id": "acme", "name": "Acme Firmware"}, "deliverables": deliverables,
    });
    fs::write(release.join("manifest.json"), manifest.to_string())?;
    Ok(release)
}

fn deliverable(model: &str, version: &str, of: &Value, path: &str, number: u64) -> Value {
    json!({
        "deliverableId": format!("{}-{version}-{number}", model.to_lowercase()), "kind": "FIRMWARE",
        "name": format!("Acme {model} {version}"), "version": version, "vendor": "Acme",
        "targets": [{"manufacturer": "Acme", "models": [model], "fwVersion": of}],
        "payloads": [{"payloadId": "p0", "path": path}],
    })
}
