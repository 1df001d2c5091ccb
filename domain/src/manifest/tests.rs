//! Manifests that are read, and those that are not.
use serde_json::json;

use super::*;
use crate::deliverable::{DeliverableKind, Dependency};

const HASH: &str = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

fn firmware(id: &str) -> Value {
    json!({
        "deliverableId": id, "kind": "FIRMWARE", "name": "X1 firmware", "version": "2.4.0",
        "targets": [{"manufacturer": "Acme", "models": ["X1", "X1-*"], "fwVersion": {"min": "2.0", "max": "2.3.9"}}],
        "precursor": {"version": "2.3.0"},
        "dependencies": [{"deliverableId": "boot"}, {"name": "modem", "minVersion": "1.2"}],
        "payloads": [{"payloadId": "p0", "path": format!("payloads/{id}.bin"), "size": 10, "digests": {"sha-256": HASH}, "compressedFor": "delta"}]
    })
}

fn manifest(deliverables: &[Value]) -> Value {
    json!({"formatVersion": 1, "containerId": "urn:uuid:1", "sequenceNumber": 42, "createdAt": "2026-11-20T10:00:00Z", "deliverables": deliverables})
}

fn read(value: &Value) -> Result<Manifest, Fault> {
    Manifest::read(value.to_string().as_bytes())
}

fn place(value: &Value) -> (FaultCode, String) {
    let fault = match read(value) {
        Err(fault) => fault,
        Ok(manifest) => manifest.items.into_iter().find_map(|item| item.spec.err()).unwrap(),
    };
    (fault.code, fault.pointer.or(fault.member).unwrap_or_default())
}

/// Sets what stands at a pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut manifest = manifest(&[firmware("a"), firmware("b")]);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match manifest.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.insert(name.to_owned(), value)),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    manifest
}

#[test]
fn a_manifest_is_read_with_all_it_says_and_what_is_not_known_is_ignored() {
    let read = read(&with("/colour", json!("blue"))).unwrap();
    assert_eq!((read.head.sequence_number, read.bytes()), (42, 20));
    let spec = read.items[0].spec.as_ref().unwrap();
    assert_eq!((spec.kind, spec.is_delta(), spec.expected_version()), (DeliverableKind::Firmware, true, "2.4.0"));
    assert!(matches!(&spec.dependencies[1], Dependency::Software { name, .. } if name == "modem"));
    let expected = read.expected();
    assert!(matches!(expected["payloads/b.bin"], Expected::Payload(1, Some(payload)) if payload.size == 10));
    let text = serde_json::to_string(spec).unwrap();
    assert_eq!(&serde_json::from_str::<DeliverableSpec>(&text).unwrap(), spec);
}

#[test]
fn each_fault_is_told_with_its_place() {
    let invalid = FaultCode::ManifestInvalid;
    let cases = [
        ("/formatVersion", json!(2), FaultCode::Unsupported, "/formatVersion"),
        ("/containerId", json!("a b"), invalid, "/containerId"),
        ("/sequenceNumber", json!(0), invalid, "/sequenceNumber"),
        ("/createdAt", json!("yesterday"), invalid, "/createdAt"),
        ("/critical", json!(["payloads", "colour"]), FaultCode::UnsupportedCritical, "/critical/1"),
        ("/attestations", json!([{"path": "x", "digests": {"sha-256": HASH}}]), invalid, "/attestations/0/path"),
        (
            "/attestations",
            json!(vec![json!({"path": "attestations/a", "digests": {"sha-256": HASH}}); 101]),
            FaultCode::LimitExceeded,
            "/attestations",
        ),
        (
            "/attestations",
            json!([{"path": "attestations/a", "digests": {"sha-256": HASH}, "predicateType": "x".repeat(1_025)}]),
            invalid,
            "/attestations/0/predicateType",
        ),
        ("/critical", json!(vec!["payloads"; 101]), FaultCode::LimitExceeded, "/critical"),
        ("/deliverables", json!({}), invalid, "/deliverables"),
        ("/deliverables", json!([]), invalid, "/deliverables"),
        ("/deliverables", json!(vec![1; 201]), FaultCode::LimitExceeded, "/deliverables"),
        ("/deliverables/1/kind", json!("TOY"), invalid, "/deliverables/1/kind"),
        ("/deliverables/1/targets", json!([]), invalid, "/deliverables/1/targets"),
        ("/deliverables/1/targets", json!([{"models": ["X1"]}]), invalid, "/deliverables/1/targets/0"),
        ("/deliverables/1/targets/0/fwVersion", json!({"min": "x"}), invalid, "/deliverables/1/targets/0/fwVersion"),
        ("/deliverables/1/deliverableId", json!("a"), invalid, "/deliverables/1/deliverableId"),
        ("/deliverables/1/precursor", json!(null), invalid, "/deliverables/1/precursor"),
        ("/deliverables/1/payloads", json!([]), invalid, "/deliverables/1/payloads"),
        ("/deliverables/1/payloads/0/path", json!("payloads/../x"), invalid, "/deliverables/1/payloads/0/path"),
        ("/deliverables/1/payloads/0/path", json!("payloads/A.BIN"), invalid, "/deliverables/1/payloads/0/path"),
        ("/deliverables/1/payloads/0/size", json!(-1), invalid, "/deliverables/1/payloads/0/size"),
        ("/deliverables/1/payloads/0/digests", json!({"md5": "x"}), invalid, "/deliverables/1/payloads/0/digests/sha-256"),
        ("/deliverables/1/payloads/0/uri", json!("https://x"), FaultCode::Unsupported, "/deliverables/1/payloads/0/uri"),
        ("/deliverables/1/dm", json!({"configuration": [{"path": "./a"}]}), invalid, "/deliverables/1/dm/configuration/0/value"),
    ];
    for (pointer, value, code, at) in cases {
        assert_eq!(place(&with(pointer, value.clone())), (code, at.to_owned()), "{pointer} {value}");
    }
}

#[test]
fn a_deliverable_that_cannot_be_read_spoils_no_other() {
    let read = read(&with("/deliverables/1/kind", json!("TOY"))).unwrap();
    assert!(read.items[0].spec.is_ok());
    assert_eq!((read.items[1].reference.as_deref(), read.items[1].members.len()), (Some("b"), 1));
    assert!(matches!(read.expected()["payloads/b.bin"], Expected::Payload(1, None)));
}

#[test]
fn a_manifest_is_neither_deep_nor_ambiguous_nor_large() {
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    let fault = |bytes: &[u8]| Manifest::read(bytes).unwrap_err();
    assert!(fault(deep.as_bytes()).detail.contains("nested too deep"));
    assert!(fault(br#"{"a":{"b":1,"b":2}}"#).detail.contains("the name `b` twice"));
    for wrong in [&b""[..], b"{", b"[]", b"{} x", b"\xef\xbb\xbf{}", b"{\"a\":\"\xff\"}"] {
        assert_eq!(fault(wrong).code, FaultCode::ManifestInvalid);
    }
    let many = |count: usize| format!(r#"{{"x":[{}0]}}"#, "0,".repeat(count - 3)).into_bytes();
    assert!(fault(&many(MAX_VALUES + 1)).detail.contains("too many values"));
    assert!(!fault(&many(MAX_VALUES)).detail.contains("too many values"));
    let long = format!(r#"{{"{0}":1,"{0}":2}}"#, "x".repeat(500_000));
    assert!(fault(long.as_bytes()).detail.len() <= 1_024);
    assert_eq!(fault(&vec![b' '; 1 << 21]).code, FaultCode::LimitExceeded);
}
