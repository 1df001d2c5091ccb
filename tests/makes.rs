//! Clients of the field, each as its makers wrote it: a read, a change and an update come to their ends with every one.
use dmwsi::portal::device_that;
use dmwsi_objects::Value as NodeValue;
use dmwsi_protocol::device::{Access, Quirks};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::{Behaviour, DeviceProfile, Make};
use serde_json::{Value, json};

use crate::firmware_deliverable::{SCOPES, firmware};
use crate::harness::handset::{Handset, ended, job, outcome};
use crate::harness::server::{Portal, Server};
use crate::harness::wake::{ask, comes_to, ear, quick};
use crate::node_commands::{done, told};
use crate::sessions::{messages, sessions, trace};

/// What is known of that device.
async fn profile(portal: &Portal, handset: &Handset) -> Value {
    portal.get(&format!("/v1/devices/{}/profile", handset.id)).await.of(200)
}

/// The entries of the file that are about a client of that make.
const fn entries(make: Make) -> &'static [&'static str] {
    match make {
        Make::Android | Make::Nokia => &[],
        Make::Libdmclient => &["libdmclient"],
        Make::Samsung => &["Samsung TSDM"],
        Make::Windows => &["Windows"],
        Make::WindowsMobile => &["Windows Mobile"],
    }
}

/// What these entries say of it.
fn traits(make: Make) -> Value {
    match make {
        Make::Android | Make::Nokia => json!({}),
        Make::Libdmclient => json!({
            "alertOrder": "BEFORE_STATUS", "atomic": "SILENT", "copy": false, "dataAlways": true, "largeObjects": false, "lists": false,
            "properties": ["ACL", "FORMAT", "NAME", "TYPE"], "sequence": false, "tnds": false,
        }),
        Make::Samsung => json!({"sequence": false}),
        Make::Windows => json!({
            "atomic": "PROPER", "copy": false, "correlator": false, "lists": false, "properties": ["FORMAT", "NAME", "TYPE"], "sequence": false, "tnds": false,
        }),
        Make::WindowsMobile => json!({"copy": false, "lists": false, "sequence": false, "tnds": false}),
    }
}

/// The traits that the file of known devices tells.
fn told_by_the_file(profile: &Value) -> Value {
    let traits = profile["traits"].as_object().unwrap().iter();
    traits.filter(|(_, known)| known["origin"] == "FILE").map(|(name, known)| (name.clone(), known["value"].clone())).collect()
}

/// A firmware for every make.
async fn firmware_for_all(portal: &Portal) -> String {
    let makers = ["Acme", "Microsoft Corporation", "motorola", "NOKIA", "samsung"];
    let targets = makers.map(|maker| json!({"manufacturer": maker, "models": ["*"]}));
    firmware(portal, 1, &json!({"targets": targets})).await.1
}

/// Reads a leaf, an interior node, an empty leaf and what is not there, walks a tree, writes, and updates. What was known of the device before the update,
/// after which it may have another client.
async fn comes_to_its_ends(portal: &Portal, mut handset: Handset, deliverable: &str) -> Value {
    let name = format!("{:?}", handset.device.behaviour());
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
    let known = profile(portal, &handset).await;
    let job = job(portal, &handset.id, &json!({"type": "FIRMWARE_UPDATE", "deliverableId": deliverable})).await;
    handset.live().await;
    assert_eq!(outcome(portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()), "{name}");
    let facts = portal.get(&format!("/v1/devices/{}", handset.id)).await.of(200)["facts"].clone();
    let maker = handset.device.profile().manufacturer.as_str();
    assert_eq!((facts["manufacturer"].as_str(), facts["firmwareVersion"].as_str()), (Some(maker), Some("2.0.0")), "{name}");
    known
}

both! {
    /// AD-12, FU-1, UC-3, F-01, X-01: each make in its own encoding, and in the other where it can do both, known as what it is by what it says of itself.
    async fn each_make_of_client_comes_to_its_ends(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let deliverable = firmware_for_all(&portal).await;
        for make in Make::ALL {
            let other = matches!(make, Make::Libdmclient | Make::Samsung | Make::Windows).then_some(Encoding::Wbxml);
            for encoding in std::iter::once(make.encoding()).chain(other) {
                let handset = Handset::register_as(&portal, server.url(), make, Behaviour { encoding, ..Behaviour::default() }).await;
                let known = comes_to_its_ends(&portal, handset, &deliverable).await;
                assert_eq!(known["entries"], json!(entries(make)), "{} {known}", make.name());
                assert_eq!(told_by_the_file(&known), traits(make), "{} {known}", make.name());
            }
        }
        server.stop().await;
    }

    /// AD-12: a client of Windows, which has addresses of its own behind that of its account and writes the names of nodes percent-encoded.
    async fn a_client_of_windows_calls_by_its_own_address_and_names_nodes_in_its_own_way(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let mut handset = Handset::register_as(&portal, server.url(), Make::Windows, Behaviour { encoding, ..Behaviour::default() }).await;
            let tree = handset.device.tree_mut();
            for (node, value) in [("./Vendor/MSFT/Wi-Fi/Caf\u{e9} 100%", "near"), ("./Vendor/MSFT/Wi-Fi/Home", "here")] {
                tree.put(&node.parse().unwrap(), NodeValue::text(value), Access::GET | Access::REPLACE);
            }
            let read = json!({"type": "TREE_READ", "root": "./Vendor/MSFT", "properties": ["ACL", "FORMAT", "SIZE"]});
            let (execution, results) = done(&portal, &mut handset, &read).await;
            assert_eq!(execution["outcome"], "READ", "it is asked for no list of access and no size: {execution}");
            let leaves: Vec<_> = results.iter().filter(|one| one["value"]["data"] == "near" || one["value"]["data"] == "here").collect();
            let named: Vec<_> = leaves.iter().map(|one| one["node"].as_str().unwrap()).collect();
            assert_eq!(named, ["./Vendor/MSFT/Wi-Fi/Caf%C3%A9%20100%25", "./Vendor/MSFT/Wi-Fi/Home"]);
            let set = json!({"type": "NODES_SET", "changes": [{"node": named[0], "value": "far"}]});
            assert_eq!(done(&portal, &mut handset, &set).await.0["outcome"], "CHANGED");
            assert_eq!(handset.device.tree().text("./Vendor/MSFT/Wi-Fi/Caf\u{e9} 100%"), Some("far"));
            let known = profile(&portal, &handset).await;
            assert_eq!((&known["userAgent"], &known["entries"]), (&json!("MSFT OMA DM Client/1.2.0.1"), &json!(["Windows"])));
            let facts = portal.get(&format!("/v1/devices/{}", handset.id)).await.of(200)["facts"].clone();
            assert_eq!((&facts["manufacturer"], &facts["dmVersion"]), (&json!("Microsoft Corporation"), &json!("1.3")));
        }
        server.stop().await;
    }

    /// AD-12, S-MS-04: packages in several messages, lost replies and messages sent twice, in either encoding.
    async fn packages_in_parts_lost_replies_and_repeated_messages_change_nothing(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let deliverable = firmware_for_all(&portal).await;
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let splits = Quirks { splits_packages: true, ..Quirks::default() };
            for behaviour in [
                Behaviour { quirks: splits, ..Behaviour::default() },
                Behaviour { quirks: splits, send_twice: true, ..Behaviour::default() },
                Behaviour { quirks: splits, lose_reply: Some(2), ..Behaviour::default() },
            ] {
                let handset = Handset::register(&portal, server.url(), Behaviour { encoding, ..behaviour }).await;
                assert_eq!(comes_to_its_ends(&portal, handset, &deliverable).await["entries"], json!([]));
            }
        }
        server.stop().await;
    }

    /// AD-12, X-01: what crashes clients on libdmclient is not sent, whatever is asked for; nor is what they take for something else.
    async fn what_a_fragile_client_does_not_survive_is_not_sent(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let behaviour = Make::Libdmclient.of(Behaviour { encoding, ..Behaviour::default() });
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
            let empty = json!({"type": "NODES_SET", "changes": [{"node": "./Vendor/Test/Text2", "value": ""}]});
            assert_eq!(told(&done(&portal, &mut handset, &empty).await.1), [("./Vendor/Test/Text2", "DEVICE_ERROR")], "it takes no value for none");
            let large = json!({"type": "NODES_SET", "changes": [{"node": "./Vendor/Test/Text", "value": "x".repeat(9_000)}]});
            let (execution, results) = done(&portal, &mut handset, &large).await;
            assert_eq!((execution["state"].as_str(), told(&results)), (Some("FAILED"), vec![("./Vendor/Test/Text", "TOO_LARGE")]));
            assert_eq!(handset.device.tree().text("./Vendor/Test/Text"), Some(""), "not a piece of it was sent");
            assert_eq!(profile(&portal, &handset).await["entries"], json!(["libdmclient"]));
        }
        server.stop().await;
    }

    /// AD-12, S-MS-04: what a client gets wrong about its messages is an option of the command that lets devices live, and the server sees it.
    async fn faults_of_messages_are_options_of_the_command(database: Database) {
        let (server, _) = quick(&database, |config| config.gateway.details_days = 0).await;
        let portal = server.portal("tracer", &format!("{SCOPES} devices:trace")).await;
        let repeats = |said: &[Value]| said.iter().map(|one| one["repeats"].as_u64().unwrap()).collect::<Vec<_>>();
        for (seed, options) in [(101, &[][..]), (102, &["--split-packages"]), (103, &["--send-twice"]), (104, &["--lose-reply", "2"])] {
            let device = device_that(&DeviceProfile::nth(seed, 0), None, &Behaviour::default());
            let id = portal.post("/v1/devices", &device).await.of(201)["deviceId"].as_str().unwrap().to_owned();
            trace(&server, &portal, &id).await;
            let job = job(&portal, &id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man", "./DevInfo/Mod"]})).await;
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dmwsi"));
            command.args(["simulate", "--every", "30", "--seconds", "1", "--json", "--server", &format!("{}/dm", server.url())]);
            let run = command.args(["--seed", &seed.to_string()]).args(options).output().await.unwrap();
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            assert_eq!(ended(&portal, &job).await["outcome"], "SUCCEEDED", "{options:?}");
            let said = messages(&portal, &id, &sessions(&portal, &id).await[0]).await;
            let tells_all_at_once = said[0]["received"].to_string().contains("./DevInfo/Man");
            let expected = match options {
                ["--split-packages"] => (false, vec![0; said.len()]),
                ["--send-twice"] => (true, vec![1; said.len()]),
                ["--lose-reply", _] => (true, (0..said.len()).map(|at| u64::from(at == 1)).collect()),
                _ => (true, vec![0; said.len()]),
            };
            assert_eq!((tells_all_at_once, repeats(&said)), expected, "{options:?} {said:?}");
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
