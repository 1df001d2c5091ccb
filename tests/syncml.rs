//! `dmwsi syncml`: what devices send, turned into what people read, and back.
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A message with what only a person can make sense of: an element of nobody's, octets, a password.
const MESSAGE: &str = "<?xml version='1.0'?><SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><Cred><Meta>\
    <Type xmlns='syncml:metinf'>syncml:auth-basic</Type></Meta><Data>Y2xpZW50OnB3</Data></Cred></SyncHdr><SyncBody><Odd>a&amp;b</Odd>\
    <Final/></SyncBody></SyncML>";

/// The command with that on its standard input.
fn syncml(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmwsi"));
    let command = command.arg("syncml").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn made(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let done = syncml(arguments, input);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

#[test]
fn a_message_goes_from_each_view_to_each_other_and_nothing_is_lost() {
    let view: Value = serde_json::from_slice(&made(&["decode", "-"], MESSAGE.as_bytes())).unwrap();
    assert_eq!(view["SyncML"][0]["SyncHdr"][1]["Cred"][1], json!({"Data": "Y2xpZW50OnB3"}), "it is the user's file");
    assert_eq!(view["SyncML"][1]["SyncBody"], json!([{"Odd": "a&b"}, {"Final": null}]));
    let wbxml = made(&["encode", "-"], MESSAGE.as_bytes());
    assert!(wbxml.starts_with(b"\x02\xA4\x01\x6A\x04Odd\0\x6D"), "{}", wbxml.escape_ascii());
    assert_eq!(made(&["encode", "-"], view.to_string().as_bytes()), wbxml);
    let xml = made(&["decode", "-", "--to", "xml"], &wbxml);
    assert!(String::from_utf8(xml.clone()).unwrap().contains("\n  <Odd>a&amp;b</Odd>\n"));
    assert_eq!(made(&["encode", "-"], &xml), wbxml);
    assert_eq!(made(&["encode", "--to", "xml", "-"], &xml), made(&["encode", "--to", "xml", "-"], &wbxml));
    let mut from_wbxml: Value = serde_json::from_slice(&made(&["decode", "-"], &wbxml)).unwrap();
    assert_eq!(from_wbxml.as_object_mut().unwrap().remove("publicId"), Some(json!(0x1201)));
    assert_eq!(from_wbxml, view);
}

#[test]
fn a_file_is_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("message.xml"), folder.path().join("message.wbxml"));
    std::fs::write(&from, MESSAGE).unwrap();
    assert_eq!(made(&["encode", from.to_str().unwrap(), "--output", to.to_str().unwrap()], b""), b"");
    assert_eq!(
        made(&["decode", to.to_str().unwrap(), "--to", "xml"], b""),
        made(&["decode", "-", "--to", "xml"], MESSAGE.as_bytes())
    );
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    for (input, what) in [
        (&b"<SyncML><a>"[..], "-, read as XML: truncated at byte 11"),
        (b"\x02\x01\x6A\x00\x6D\x4B\x83\x05", "-, read as WBXML: malformed at byte 7"),
        (b"{\"A\": [\n{\"B\": 1, \"C\": 2}]}", "(byte 19)"),
        (b"{\"A b\": null}", "`A b` cannot be the name of an element"),
        (b"", "-, read as XML: truncated at byte 0"),
    ] {
        let done = syncml(&["decode", "--to", "xml", "-"], input);
        let complaint = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && complaint.contains(what), "{complaint}");
    }
    let absent = syncml(&["decode", "/nowhere/at/all"], b"");
    assert!(String::from_utf8(absent.stderr).unwrap().contains("cannot read /nowhere/at/all"));
}
