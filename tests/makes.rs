//! Clients of the field, each as its makers wrote it: a read, a change and an update come to their ends with every one.
use dmwsi_protocol::device::Quirks;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::{Behaviour, Make};
use serde_json::{Value, json};

use crate::firmware_deliverable::{SCOPES, firmware};
use crate::harness::handset::{Handset, ended, job, outcome};
use crate::harness::server::{Portal, Server};
use crate::harness::wake::{ask, comes_to, ear, quick};
use crate::node_commands::{done, told};

/// The kinds as which that device is known.
async fn kinds(portal: &Portal, handset: &Handset) -> Value {
    portal.get(&format!("/v1/devices/{}/profile", handset.id)).await.of(200)["entries"].clone()
}

/// Reads a leaf, an interior node, an empty leaf and what is not there, walks a tree, writes, and updates. The kinds as which the device was known before
/// the update, after which it may have another client.
async fn comes_to_its_ends(portal: &Portal, base: &str, deliverable: &str, behaviour: Behaviour) -> Value {
    let name = format!("{behaviour:?}");
    let mut handset = Handset::register(portal, base, behaviour).await;
    let nodes = ["./DevDetail/FwV", "./Vendor/Test", "./Vendor/Test/Text", "./Absent", "./DevInfo/Man?prop=Format"];
    let (execution, results) = done(portal, &mut handset, &json!({"type": "NODES_GET", "nodes": nodes})).await;
    assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some("SUCCEEDED"), Some("PARTLY_READ")), "{name}");
    let values: Vec<_> = results.iter().map(|one| one["value"]["data"].as_str().unwrap_or_default()).collect();
    assert_eq!(values, ["1.0.0", "Number/Octets/Switch/Task/Text", "", "", "chr"], "{name}");
    assert_eq!(told(&results)[3], ("./Absent", "NOT_FOUND"), "{name}");
    let (execution, results) = done(portal, &mut handset, &json!({"type": "TREE_READ", "root": "./Vendor"})).await;
    assert_eq!((execution["outcome"].as_str(), results.len()), (Some("READ"), 7), "{name} {execution}");
    let set = json!({"type": "NODES_SET", "changes": [{"node": "./Vendor/Test/Text", "value": "a & b <c>"}, {"node": "./Vendor/Test/New", "value": "d"}]});
    assert_eq!(done(portal, &mut handset, &set).await.0["outcome"], "CHANGED", "{name}");
    assert_eq!(handset.device.tree().text("./Vendor/Test/Text"), Some("a & b <c>"), "{name}");
    let exec =
        json!({"type": "NODES_EXEC", "nodes": [{"node": "./Vendor/Test/Task", "value": "fast"}], "reportWithinSeconds": 600});
    let task = job(portal, &handset.id, &exec).await;
    handset.live().await;
    assert_eq!(ended(portal, &task).await["outcome"], "SUCCEEDED", "{name}");
    let known = kinds(portal, &handset).await;
    let job = job(portal, &handset.id, &json!({"type": "FIRMWARE_UPDATE", "deliverableId": deliverable})).await;
    handset.live().await;
    assert_eq!(outcome(portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()), "{name}");
    let facts = portal.get(&format!("/v1/devices/{}", handset.id)).await.of(200)["facts"].clone();
    assert_eq!((facts["manufacturer"].as_str(), facts["firmwareVersion"].as_str()), (Some("Acme"), Some("2.0.0")), "{name}");
    known
}

both! {
    /// AD-12, FU-1, UC-3, F-01, X-01: each make in its own encoding, libdmclient in both.
    async fn each_make_of_client_comes_to_its_ends(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let (_, deliverable) = firmware(&portal, 1, &json!({})).await;
        for make in Make::ALL {
            let other = (make == Make::Libdmclient).then_some(Encoding::Wbxml);
            for encoding in std::iter::once(make.encoding()).chain(other) {
                let behaviour = make.of(Behaviour { encoding, ..Behaviour::default() });
                let known = comes_to_its_ends(&portal, server.url(), &deliverable, behaviour).await;
                let is_told = make == Make::Libdmclient;
                assert_eq!(known, if is_told { json!(["libdmclient"]) } else { json!([]) }, "{}", make.name());
            }
        }
        server.stop().await;
    }

    /// AD-12, S-MS-04: packages in several messages, lost replies and messages sent twice, in either encoding.
    async fn packages_in_parts_lost_replies_and_repeated_messages_change_nothing(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let (_, deliverable) = firmware(&portal, 1, &json!({})).await;
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let splits = Quirks { splits_packages: true, ..Quirks::default() };
            for behaviour in [
                Behaviour { quirks: splits, ..Behaviour::default() },
                Behaviour { quirks: splits, send_twice: true, ..Behaviour::default() },
                Behaviour { quirks: splits, lose_reply: Some(2), ..Behaviour::default() },
            ] {
                let known = comes_to_its_ends(&portal, server.url(), &deliverable, Behaviour { encoding, ..behaviour }).await;
                assert_eq!(known, json!([]));
            }
        }
        server.stop().await;
    }

    /// AD-12, X-01: what crashes clients on libdmclient is not sent, whatever is asked for; nor is what they take for something else.
    async fn what_a_fragile_client_does_not_survive_is_not_sent(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let behaviour = Make::Libdmclient.of(Behaviour { encoding, max_message: 4_096, ..Behaviour::default() });
            let mut handset = Handset::register(&portal, server.url(), Behaviour { max_message: 4_096, ..behaviour }).await;
            let add = json!({"type": "NODES_ADD", "nodes": [
                {"node": "./Vendor/Test/Interior", "format": "node"}, {"node": "./Vendor/Test/Null", "format": "null"}, {"node": "./Vendor/Test/Empty", "value": ""},
                {"node": "./Vendor/Test/Text2", "value": "\u{e9}\u{20ac} \u{1f600} & \" ' > \t\n"},
            ]});
            assert_eq!(done(&portal, &mut handset, &add).await.0["outcome"], "ADDED");
            for kind in ["DISPLAY", "CONFIRM", "TEXT_INPUT"] {
                let (execution, _) = done(&portal, &mut handset, &json!({"type": "USER_PROMPT", "kind": kind, "text": "?"})).await;
                assert_eq!(execution["outcome"], "NOT_SUPPORTED");
            }
            let atomic = json!({"type": "NODES_ATOMIC", "commands": [{"command": "ADD", "node": "./Vendor/Test/Three", "value": "3"}, {"command": "DELETE", "node": "./Vendor/Test/Null"}]});
            assert_eq!(done(&portal, &mut handset, &atomic).await.0["outcome"], "NOT_SUPPORTED", "it would do one after the other");
            assert!(handset.device.tree().node("./Vendor/Test/Null").is_some());
            let large = json!({"type": "NODES_SET", "changes": [{"node": "./Vendor/Test/Text", "value": "x".repeat(9_000)}]});
            let (execution, results) = done(&portal, &mut handset, &large).await;
            assert_eq!((execution["state"].as_str(), told(&results)), (Some("FAILED"), vec![("./Vendor/Test/Text", "TOO_LARGE")]));
            assert_eq!(handset.device.tree().text("./Vendor/Test/Text"), Some(""), "not a piece of it was sent");
            assert_eq!(kinds(&portal, &handset).await, json!(["libdmclient"]));
        }
        server.stop().await;
    }

    /// AD-12, CC3, S-PK-01: a client that reads the number of the session the wrong way round, or writes it in decimal, answers the notification all the same.
    async fn a_session_with_its_number_in_another_way_answers_the_notification(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let both = [Encoding::Xml, Encoding::Wbxml];
        for (encoding, is_decimal) in both.into_iter().flat_map(|encoding| [(encoding, false), (encoding, true)]) {
            let (ear, push) = ear().await;
            let quirks = Quirks { swapped_session_id: !is_decimal, decimal_session_id: is_decimal, ..Quirks::default() };
            let mut handset = Handset::register_at(&portal, server.url(), Behaviour { encoding, quirks, ..Behaviour::default() }, &push).await;
            let asked: Value = ask(&portal, &handset.id).await;
            let session = u16::from_str_radix(asked["sessionId"].as_str().unwrap(), 16).unwrap();
            handset.device.answer_call(session).await.unwrap();
            comes_to(&portal, &handset.id, "ANSWERED").await;
            drop(ear);
        }
        server.stop().await;
    }
}
