//! Single sessions.
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{StatusCode, devdetail};
use dmwsi_protocol::device::End;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::Verb;

use super::pair;
use super::server::{File, brought, command};
use crate::behaviour::Behaviour;
use crate::device::{Device, Memory};
use crate::make::Make;
use crate::wire::{SessionError, Wire, WireError};

/// As MS-MDM has it, and Samsung's client; of the others no name is known.
#[tokio::test]
async fn each_make_calls_by_its_own_name_and_at_its_own_address() {
    for (make, query, name) in [
        (Make::Windows, "mode=maintenance&platform=woa", "\r\nuser-agent: msft oma dm client/1.2.0.1\r\n"),
        (Make::Samsung, "", "\r\nuser-agent: samsung sm-g960f syncml_dm client\r\n"),
        (Make::Nokia, "", "\r\nuser-agent: dmwsi-simulator/"),
    ] {
        let behaviour = make.of(Behaviour { encoding: make.encoding(), ..Behaviour::default() });
        let (server, mut device) = pair(behaviour, Vec::new()).await;
        device.check_in().await.unwrap();
        let heads = server.peer(device.profile(), |peer| peer.heads.clone());
        // The second goes where the answer to the first said, with what that has in its query.
        let (first, second) =
            if query.is_empty() { (String::new(), String::new()) } else { (format!("?{query}"), format!("&{query}")) };
        let lines = [format!("post /dm{first} http"), format!("post /dm?s=1{second} http")];
        assert!(heads.iter().zip(lines).all(|(head, line)| head.starts_with(&line) && head.contains(name)), "{heads:?}");
        assert_eq!(heads.len(), 2);
    }
}

#[tokio::test]
async fn a_session_with_md5_on_both_sides_reads_and_writes_in_either_encoding() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let batches = vec![
            vec![
                command(Verb::Get, devdetail::FW_V, None, None),
                command(Verb::Replace, "./Vendor/Test/Text", Some("a < b & c"), None),
                command(Verb::Add, "./Vendor/Test/New/Leaf", Some("x"), None),
                command(Verb::Get, "./DMAcc/1/AppAuth/C/AAuthSecret", None, None),
            ],
            vec![
                command(Verb::Get, "./Vendor/Test/Text", None, None),
                command(Verb::Get, "./FUMO?prop=Type", None, None),
                command(Verb::Get, "./FUMO/State", None, None),
            ],
        ];
        let (server, mut device) = pair(Behaviour { encoding, ..Behaviour::default() }, batches).await;
        let report = device.check_in().await.unwrap();
        assert_eq!(report.end, End::Complete);
        assert!(report.authenticated && report.server_authenticated, "{report:?}");
        assert_eq!(report.verdicts, [401, 212, 212, 212].map(StatusCode), "the first nonce is unknown to the device");
        let answers: Vec<(&str, u16)> = report.answers.iter().map(|(name, code)| (name.as_str(), code.0)).collect();
        // An empty nonce is right for the server's first credentials.
        let expected = [
            ("SyncHdr", 212),
            ("SyncHdr", 212),
            ("Get", 200),
            ("Replace", 200),
            ("Add", 200),
            ("Get", 405),
            ("SyncHdr", 212),
            ("Get", 200),
            ("Get", 200),
            ("Get", 200),
        ];
        assert_eq!(answers, expected, "{encoding:?}");
        let values = server.peer(device.profile(), |peer| brought(&peer.received));
        assert_eq!(values, ["1.0.0", "a < b & c", "urn:oma:mo:oma-fumo:1.0", "10"]);
        let again = device.check_in().await.unwrap();
        assert_eq!((again.verdicts, again.messages), (vec![StatusCode(212)], 1), "the nonce of the last session is good");
    }
}

#[tokio::test]
async fn basic_credentials_and_a_server_that_need_not_prove_itself() {
    let behaviour = Behaviour { client_auth: AuthType::Basic, server_auth: None, ..Behaviour::default() };
    let (server, mut device) = pair(behaviour, vec![vec![command(Verb::Get, devdetail::FW_V, None, None)]]).await;
    server.peer(device.profile(), |peer| peer.auth = AuthType::Basic);
    let report = device.check_in().await.unwrap();
    assert!(report.authenticated && !report.server_authenticated);
    assert_eq!(report.verdicts, [212, 212].map(StatusCode));
}

#[tokio::test]
async fn a_server_with_an_old_nonce_is_challenged_and_then_obeyed() {
    let (server, mut device) = pair(Behaviour::default(), vec![vec![command(Verb::Get, devdetail::FW_V, None, None)]]).await;
    device.check_in().await.unwrap();
    server.peer(device.profile(), |peer| {
        peer.server_nonce = b"an old one".to_vec();
        peer.batches.push_back(vec![command(Verb::Replace, "./Vendor/Test/Number", Some("7"), None)]);
    });
    let report = device.check_in().await.unwrap();
    assert!(report.server_authenticated);
    assert!(report.answers.contains(&("Replace".to_owned(), StatusCode(401))));
    assert!(report.answers.contains(&("Replace".to_owned(), StatusCode(200))));
    assert_eq!(device.tree().text("./Vendor/Test/Number"), Some("7"));
}

#[tokio::test]
async fn a_wrong_secret_ends_the_session_after_three_tries() {
    let (_server, mut device) = pair(Behaviour::default(), Vec::new()).await;
    device.account_mut().client_secret = "wrong".to_owned();
    let report = device.check_in().await.unwrap();
    assert_eq!(report.end, End::Refused(StatusCode(401)));
    assert_eq!((report.messages, report.authenticated), (3, false));
}

#[tokio::test]
async fn a_lost_reply_and_double_sending_repeat_the_same_octets() {
    let get = || vec![vec![command(Verb::Get, devdetail::FW_V, None, None)]];
    let (server, mut device) = pair(Behaviour { lose_reply: Some(2), ..Behaviour::default() }, get()).await;
    let report = device.check_in().await.unwrap();
    assert_eq!((report.end, report.replies_differed), (End::Complete, 0));
    assert_eq!(server.peer(device.profile(), |peer| (peer.repeated, peer.received.len())), (1, 3));
    let (server, mut device) = pair(Behaviour { send_twice: true, ..Behaviour::default() }, get()).await;
    let report = device.check_in().await.unwrap();
    assert_eq!((report.end, report.replies_differed), (End::Complete, 0));
    assert_eq!(server.peer(device.profile(), |peer| (peer.repeated, peer.received.len())), (3, 3));
}

#[tokio::test]
async fn a_call_of_the_server_is_answered_in_its_session() {
    let (server, mut device) = pair(Behaviour::default(), Vec::new()).await;
    device.answer_call(0x2A).await.unwrap();
    let first = server.peer(device.profile(), |peer| peer.received[0].clone());
    assert_eq!(first.header.session, "2A");
    assert!(matches!(&first.body[0], dmwsi_protocol::message::Element::Alert(alert) if alert.code == 1200));
}

#[tokio::test]
async fn a_device_survives_being_switched_off() {
    let (server, mut device) = pair(Behaviour::default(), Vec::new()).await;
    device.check_in().await.unwrap();
    let stored = serde_json::to_string(device.memory()).unwrap();
    let memory: Memory = serde_json::from_str(&stored).unwrap();
    let mut device = Device::wake(memory, &Wire::new(None).unwrap());
    let report = device.check_in().await.unwrap();
    assert_eq!(report.verdicts, [StatusCode(212)], "it still knows its nonce");
    let sessions = server.peer(device.profile(), |peer| peer.received.last().map(|message| message.header.session.clone()));
    assert_eq!(sessions.as_deref(), Some("2"));
}

#[tokio::test]
async fn an_answer_that_no_real_device_would_read_is_an_error() {
    let (server, device) = pair(Behaviour::default(), Vec::new()).await;
    let xml = "content-type: application/vnd.syncml.dm+xml";
    for (path, head, body, kind) in [
        ("/status", "500 Oops\r\ncontent-length: 0".to_owned(), "", "status"),
        ("/redirect", format!("302 Found\r\nlocation: {}\r\ncontent-length: 0", server.dm()), "", "status"),
        ("/type", "200 OK\r\ncontent-type: text/html\r\ncontent-length: 2".to_owned(), "no", "type"),
        ("/length", format!("200 OK\r\n{xml}\r\ntransfer-encoding: chunked"), "2\r\nno\r\n0\r\n\r\n", "length"),
        ("/large", format!("200 OK\r\n{xml}\r\ncontent-length: 16385"), "no", "large"),
        ("/decode", format!("200 OK\r\n{xml}\r\ncontent-length: 2"), "no", "decode"),
    ] {
        let url = server.file(path, File::Head(head, body.as_bytes().to_vec()));
        let mut device = Device::new(device.profile().clone(), device.behaviour().clone(), url, &Wire::new(None).unwrap());
        assert_eq!(device.check_in().await.unwrap_err().kind(), kind);
    }
    let closed =
        Device::new(device.profile().clone(), device.behaviour().clone(), "http://127.0.0.1:1/dm", &Wire::new(None).unwrap());
    assert!(matches!(closed.clone().check_in().await, Err(SessionError::Http(_))));
}

#[test]
fn a_file_without_certificates_is_refused() {
    let file = |name| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    assert!(matches!(Wire::new(Some(&file("Cargo.toml"))), Err(WireError::Empty)));
    assert!(matches!(Wire::new(Some(&file("none.pem"))), Err(WireError::File(_))));
}
