//! Trees of simulated devices, read and remembered, and values too large for one message.
use dmwsi_domain::Timestamp;
use dmwsi_domain::known_tree::{KnownNode, KnownValue, LearnedBy, Lesson};
use dmwsi_objects::{Format, NodeUri, Value as NodeValue};
use dmwsi_protocol::device::{Access, Quirks};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::Behaviour;
use dmwsi_store::{Keys, NodePage};
use serde_json::{Value, json};

use crate::harness::handset::{Handset, SCOPES, ended, execution, job};
use crate::harness::server::{Portal, Server};
use crate::harness::statements::{open, sent};
use crate::node_commands::{brought, done, stage, told};

/// What the server knows at and below a node: address, property, value.
async fn known(portal: &Portal, handset: &Handset, under: &str) -> Vec<(String, Option<String>, Option<String>)> {
    let page = portal.get(&format!("/v1/devices/{}/tree?perPage=100&under={under}", handset.id)).await.of(200);
    assert!(page["nextCursor"].is_null(), "{page}");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let line = |one: &Value| (text(&one["node"]).unwrap(), text(&one["property"]), text(&one["value"]));
    page["items"].as_array().unwrap().iter().map(line).collect()
}

fn node(node: &str, value: &str) -> (String, Option<String>, Option<String>) {
    (node.to_owned(), None, Some(value.to_owned()))
}

both! {
    /// UC-3, OES8, AD-12, S-TR-20: as one serialised tree, as a list and node by node, the same is read.
    async fn a_tree_is_read_in_the_way_that_the_device_knows(database: Database) {
        let ways = [(false, false), (true, false), (true, true)];
        for (no_tnds, no_list) in ways {
            let behaviour = Behaviour { quirks: Quirks { no_tnds, no_list, ..Quirks::default() }, ..Behaviour::default() };
            let (server, portal, handsets) = stage(&database, &behaviour).await;
            for mut handset in handsets {
                assert!(handset.device.tree_mut().set("./Vendor/Test/Text", "a < b & c"));
                assert!(handset.device.tree_mut().set("./Vendor/Test/Octets", "AP8="));
                handset.device.tree_mut().put(&"./Vendor/Test/Empty".parse().unwrap(), NodeValue::node(&[]), Access::GET);
                let read = json!({"type": "TREE_READ", "root": "./Vendor", "properties": ["ACL"]});
                let (execution, results) = done(&portal, &mut handset, &read).await;
                assert_eq!((&execution["state"], &execution["outcome"]), (&json!("SUCCEEDED"), &json!("READ")), "{execution}");
                let mut outcomes = told(&results);
                outcomes.sort_unstable();
                let nodes = ["", "/Test", "/Test/Empty", "/Test/Number", "/Test/Octets", "/Test/Switch", "/Test/Task", "/Test/Text"];
                let each = nodes.iter().flat_map(|name| [format!("./Vendor{name}"), format!("./Vendor{name}?prop=ACL")]);
                let mut expected: Vec<_> = each.collect();
                expected.sort_unstable();
                assert_eq!(outcomes.iter().map(|(node, _)| (*node).to_owned()).collect::<Vec<_>>(), expected);
                let of = |node: &str| &results.iter().find(|one| one["node"] == node).unwrap()["value"];
                assert_eq!(of("./Vendor/Test/Text")["data"], "a < b & c");
                // Whatever is selected, what a value is comes with it.
                for (node, format) in [("Text", "chr"), ("Number", "int"), ("Octets", "bin"), ("Switch", "bool"), ("Empty", "node")] {
                    let told = of(&format!("./Vendor/Test/{node}"))["format"].as_str().unwrap();
                    // Only a document has the format of the node; as a value by itself it may be named after its base64.
                    let told = if no_tnds && told == "b64" { "bin" } else { told };
                    assert_eq!(told, format, "{node}, no_tnds {no_tnds}, no_list {no_list}");
                }
                let known = known(&portal, &handset, "./Vendor/Test/Text").await;
                assert_eq!(known, [node("./Vendor/Test/Text", "a < b & c"), (known[1].0.clone(), Some("ACL".to_owned()), Some(String::new()))]);
                let absent = json!({"type": "TREE_READ", "root": "./Absent"});
                assert_eq!(done(&portal, &mut handset, &absent).await.0["outcome"], "NOT_FOUND");
            }
            server.stop().await;
        }
    }

    /// UC-3, OES8: a tree that does not fit into one message is read all the same, and what may not be read is named.
    async fn a_tree_of_a_small_device_is_walked_and_what_is_forbidden_is_named(database: Database) {
        let behaviour = Behaviour { max_message: 4_096, ..Behaviour::default() };
        let (server, portal, handsets) = stage(&database, &behaviour).await;
        for mut handset in handsets {
            let (execution, results) = done(&portal, &mut handset, &json!({"type": "TREE_READ", "root": ".", "method": "WALK"})).await;
            assert_eq!(execution["outcome"], "PARTLY_READ", "{execution}");
            let outcomes = told(&results);
            assert!(outcomes.contains(&("./DMAcc/1/AppAuth/C/AAuthSecret", "NOT_ALLOWED")), "{outcomes:?}");
            assert!(outcomes.contains(&("./DevDetail/URI/MaxDepth", "DONE")) && outcomes.len() > 50, "{outcomes:?}");
            let (execution, results) = done(&portal, &mut handset, &json!({"type": "TREE_READ", "root": "."})).await;
            assert_eq!(execution["outcome"], "READ", "what may not be read does not stand in a list: {execution}");
            assert!(results.len() > 50);
        }
        server.stop().await;
    }

    /// OES8, OES3: what answers told is known with its time, what was removed is not, and secrets are not kept.
    async fn what_is_known_of_a_tree_follows_what_the_device_answers(database: Database) {
        let (server, portal, handsets) = stage(&database, &Behaviour::default()).await;
        for mut handset in handsets {
            let id = handset.id.clone();
            portal.get(&format!("/v1/devices/{id}/tree?under=//")).await.problem(400, "INVALID_ARGUMENT");
            assert!(known(&portal, &handset, ".").await.is_empty());
            let add = json!({"type": "NODES_ADD", "nodes": [
                {"node": "./Vendor/Test/More", "format": "node"},
                {"node": "./Vendor/Test/More/Name", "value": "plain-word"},
                {"node": "./Vendor/Test/More/Password", "value": "hidden-word"},
                {"node": "./DevInfo/No", "value": "refused"},
            ]});
            done(&portal, &mut handset, &add).await;
            let more = || known(&portal, &handset, "./Vendor/Test/More");
            let secret = ("./Vendor/Test/More/Password".to_owned(), None, None);
            assert_eq!(more().await, [node("./Vendor/Test/More", ""), node("./Vendor/Test/More/Name", "plain-word"), secret]);
            let page = portal.get(&format!("/v1/devices/{id}/tree?under=./Vendor/Test/More/Password")).await.of(200);
            let item = &page["items"][0];
            assert_eq!((&item["isSecret"], &item["size"], &item["learnedBy"]), (&json!(true), &json!(null), &json!("WRITTEN")));
            assert!(item["learnedAt"].is_string());
            let hex = if database.is_postgres() { "encode(document, 'hex')" } else { "lower(hex(document))" };
            let stored = database.lines(&format!("SELECT {hex} AS line FROM device_nodes"));
            let found = |word: &str| {
                let word: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
                stored.iter().any(|row| row.contains(&word))
            };
            assert!(!stored.is_empty() && !found("plain-word") && !found("hidden-word"));
            // Pages go on where they stopped.
            let first = portal.get(&format!("/v1/devices/{id}/tree?perPage=2&under=./Vendor")).await.of(200);
            let next = first["nextCursor"].as_str().unwrap();
            let second = portal.get(&format!("/v1/devices/{id}/tree?perPage=2&under=./Vendor&cursor={next}")).await.of(200);
            assert_eq!(second["items"][0]["node"], "./Vendor/Test/More/Password");
            // The device itself drops a node, and the next reading of its parent tells.
            handset.device.tree_mut().put(&"./Vendor/Test/Own".parse().unwrap(), dmwsi_objects::Value::text("x"), dmwsi_protocol::device::Access::GET);
            done(&portal, &mut handset, &json!({"type": "NODES_DELETE", "nodes": ["./Vendor/Test/More/Name"]})).await;
            done(&portal, &mut handset, &json!({"type": "NODES_GET", "nodes": ["./Vendor/Test", "./Vendor/Test/Own"]})).await;
            let all: Vec<_> = known(&portal, &handset, "./Vendor").await.into_iter().map(|(node, ..)| node).collect();
            assert_eq!(all, ["./Vendor/Test", "./Vendor/Test/More", "./Vendor/Test/More/Password", "./Vendor/Test/Own"]);
            done(&portal, &mut handset, &json!({"type": "NODES_DELETE", "nodes": ["./Vendor/Test/More"]})).await;
            let all: Vec<_> = known(&portal, &handset, "./Vendor").await.into_iter().map(|(node, ..)| node).collect();
            assert_eq!(all, ["./Vendor/Test", "./Vendor/Test/Own"]);
            let other = server.portal("umbrella", "devices:read").await;
            other.get(&format!("/v1/devices/{id}/tree")).await.problem(404, "NOT_FOUND");
        }
        server.stop().await;
    }

    /// UC-3, OES8: a tree that was read whole, in whatever way, takes the place of what was known of it.
    async fn what_a_tree_has_lost_is_not_known_once_it_is_read_again(database: Database) {
        for (no_tnds, no_list) in [(false, false), (true, false), (true, true)] {
            let behaviour = Behaviour { quirks: Quirks { no_tnds, no_list, ..Quirks::default() }, ..Behaviour::default() };
            let (server, portal, handsets) = stage(&database, &behaviour).await;
            for mut handset in handsets {
                let read = json!({"type": "TREE_READ", "root": "./Vendor"});
                let names = async |handset: &Handset| known(&portal, handset, "./Vendor").await.into_iter().map(|(node, ..)| node).collect::<Vec<_>>();
                let before = { done(&portal, &mut handset, &read).await; names(&handset).await };
                let tree = handset.device.tree_mut();
                for (node, value) in [("./Vendor/More", NodeValue::node(&[])), ("./Vendor/More/In", NodeValue::node(&[])), ("./Vendor/More/In/A", NodeValue::text("a"))] {
                    tree.put(&node.parse().unwrap(), value, Access::GET);
                }
                done(&portal, &mut handset, &read).await;
                let added = ["./Vendor/More", "./Vendor/More/In", "./Vendor/More/In/A"].map(str::to_owned);
                assert_eq!(names(&handset).await.len(), before.len() + added.len());
                // The device itself drops what an interior node had, which is all that it had.
                handset.device.tree_mut().drop_below(&"./Vendor/More/In".parse().unwrap());
                done(&portal, &mut handset, &read).await;
                let left = names(&handset).await;
                assert!(left.contains(&added[0]) && !left.contains(&added[1]) && !left.contains(&added[2]), "{left:?}");
            }
            server.stop().await;
        }
    }

    /// AD-12, S-LO-01, S-LO-02: values of many messages, to the device and back, and what is beyond its limit.
    async fn large_values_go_in_pieces_both_ways(database: Database) {
        let behaviour = Behaviour { max_message: 4_096, max_object: Some(50_000), ..Behaviour::default() };
        let (server, portal, handsets) = stage(&database, &behaviour).await;
        for mut handset in handsets {
            let text = "<a & \u{e4}\u{20ac}>".repeat(3_000);
            let add = json!({"type": "NODES_ADD", "nodes": [
                {"node": "./Vendor/Test/Small", "value": "s"},
                {"node": "./Vendor/Test/Long", "value": text},
                {"node": "./Vendor/Test/Longer", "value": "x".repeat(50_001)},
                {"node": "./Vendor/Test/Last", "value": "l"},
            ]});
            let (execution, results) = done(&portal, &mut handset, &add).await;
            assert_eq!(execution["outcome"], "PARTLY_ADDED", "{execution}");
            let outcomes: Vec<_> = told(&results).into_iter().map(|(_, outcome)| outcome).collect();
            assert_eq!(outcomes, ["DONE", "DONE", "TOO_LARGE", "DONE"]);
            assert_eq!(handset.device.tree().text("./Vendor/Test/Long"), Some(text.as_str()));
            let octets = "q83v".repeat(200_000);
            assert!(handset.device.tree_mut().set("./Vendor/Test/Octets", octets.clone()));
            let nodes = ["./Vendor/Test/Long", "./Vendor/Test/Octets", "./DevInfo/Man"];
            let (execution, results) = done(&portal, &mut handset, &json!({"type": "NODES_GET", "nodes": nodes})).await;
            assert_eq!(execution["outcome"], "READ", "{execution}");
            let data: Vec<_> = results.iter().map(|one| one["value"]["data"].as_str().unwrap()).collect();
            assert!(data == [text.as_str(), octets.as_str(), "Acme"], "{:?}", data.iter().map(|one| one.len()).collect::<Vec<_>>());
            // Beyond what the server takes.
            assert!(handset.device.tree_mut().set("./Vendor/Test/Octets", "q83v".repeat(300_000)));
            let (execution, results) = done(&portal, &mut handset, &json!({"type": "NODES_GET", "nodes": nodes})).await;
            assert_eq!((&execution["outcome"], told(&results)[1].1), (&json!("PARTLY_READ"), "TOO_LARGE"));
        }
        server.stop().await;
    }

    /// AD-12, OES8, S-LO-01: what a device holds that takes a piece for the whole nobody knows, and it is sent no other piece.
    async fn a_piece_that_is_taken_for_the_whole_is_the_last_that_is_sent(database: Database) {
        let quirks = Quirks { takes_pieces_for_whole: true, ..Quirks::default() };
        let (server, portal, handsets) = stage(&database, &Behaviour { max_message: 4_096, quirks, ..Behaviour::default() }).await;
        for mut handset in handsets {
            let text = "./Vendor/Test/Text";
            let set = |value: &str| json!({"type": "NODES_SET", "changes": [{"node": text, "value": value}, {"node": "./Vendor/Test/More", "value": value}]});
            done(&portal, &mut handset, &set("short")).await;
            assert_eq!(known(&portal, &handset, text).await, [node(text, "short")]);
            let (_, results) = done(&portal, &mut handset, &set(&"x".repeat(9_000))).await;
            assert_eq!(told(&results), [(text, "TOO_LARGE"), ("./Vendor/Test/More", "TOO_LARGE")]);
            let held = |handset: &Handset| ["Text", "More"].map(|name| handset.device.tree().text(&format!("./Vendor/Test/{name}")).unwrap().to_owned());
            let [kept, other] = held(&handset);
            assert!((1..9_000).contains(&kept.len()) && kept.starts_with("xx"), "{}", kept.len());
            assert_eq!(other, "short", "one piece is enough to know");
            assert!(known(&portal, &handset, text).await.is_empty());
            assert_eq!(known(&portal, &handset, "./Vendor/Test/More").await, [node("./Vendor/Test/More", "short")]);
            let profile = portal.get(&format!("/v1/devices/{}/profile", handset.id)).await.of(200);
            assert_eq!(profile["traits"]["largeObjects"], json!({"value": false, "origin": "OBSERVED"}), "{profile}");
            assert!(handset.device.tree_mut().set(text, "mine"));
            let (_, results) = done(&portal, &mut handset, &set(&"y".repeat(9_000))).await;
            assert_eq!(told(&results), [(text, "TOO_LARGE"), ("./Vendor/Test/More", "TOO_LARGE")]);
            assert_eq!(held(&handset), ["mine", "short"], "nothing was sent");
        }
        server.stop().await;
    }

    /// UC-3, S-TR-20: a tree of more than a thousand nodes is read whole, as one document, node by node and as a list.
    async fn a_tree_of_many_nodes_is_read_whole(database: Database) {
        let (server, portal, handsets) = stage(&database, &Behaviour { max_message: 65_536, ..Behaviour::default() }).await;
        for mut handset in handsets {
            // In WBXML a message has room for more.
            let listed = if handset.device.behaviour().encoding == Encoding::Wbxml { 2_500 } else { 1_200 };
            for (method, many) in [("AUTO", 1_200), ("WALK", 1_200), ("LIST", listed)] {
                for at in 0..many {
                    let node = format!("./Vendor/Test/Many/Leaf{at:04}").parse().unwrap();
                    handset.device.tree_mut().put(&node, dmwsi_objects::Value::text("x"), dmwsi_protocol::device::Access::GET);
                }
                let read = json!({"type": "TREE_READ", "root": "./Vendor/Test/Many", "method": method});
                let (execution, results) = done(&portal, &mut handset, &read).await;
                assert_eq!((execution["outcome"].as_str(), results.len()), (Some("READ"), many + 1), "{method} {execution}");
            }
        }
        server.stop().await;
    }

    /// AD-12, S-TR-20: a device that says more in one message than it was told that the server takes is asked for less.
    async fn a_list_that_no_message_takes_is_walked_in_the_next_session(database: Database) {
        let (server, portal, handsets) = stage(&database, &Behaviour::default()).await;
        let mut handset = handsets.into_iter().find(|handset| handset.device.behaviour().encoding == Encoding::Xml).unwrap();
        for at in 0..2_000 {
            let node = format!("./Vendor/Test/Many/Leaf{at:04}").parse().unwrap();
            handset.device.tree_mut().put(&node, NodeValue::text("x"), Access::GET);
        }
        let read = json!({"type": "TREE_READ", "root": "./Vendor/Test/Many", "method": "LIST"});
        let job = job(&portal, &handset.id, &read).await;
        // The first session ends with the list that is refused.
        handset.device.check_in().await.ok();
        assert!(execution(&portal, &job, &handset.id).await["endedAt"].is_null());
        handset.device.check_in().await.unwrap();
        ended(&portal, &job).await;
        let (execution, results) = brought(&portal, &job, &handset).await;
        assert_eq!((execution["outcome"].as_str(), results.len()), (Some("READ"), 2_001), "{execution}");
        server.stop().await;
    }

    /// OES8: however much an answer tells, what is known already is counted once.
    async fn many_nodes_are_learned_with_one_count(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let account = json!({"serverId": "dmwsi", "client": {"auth": "DIGEST", "name": "me", "secret": "mine"}});
        portal.post("/v1/devices", &json!({"dmIdentity": "IMEI:1", "account": account})).await.of(201);
        let device = server.store().read(|tx| tx.contact("IMEI:1")).await.unwrap().unwrap().device;
        server.stop().await;
        let holds = |number: usize| {
            let value = KnownValue { format: Format::Chr, media_type: None, data: Some("1".to_owned()), size: 1 };
            let node = NodeUri::parse(&format!("./A/{number}")).unwrap();
            Lesson::Holds(KnownNode { node, value, by: LearnedBy::Read, at: Timestamp::from_micros(1) })
        };
        let gone = Lesson::Gone(NodeUri::parse("./A/7").unwrap());
        let lessons: Vec<_> = (0..50).map(holds).chain([gone]).chain((40..60).map(holds)).collect();
        let sealed = Keys::new([(1, [7; 32])]).unwrap().seal_lessons(device, lessons).unwrap();
        let store = open(&database);
        let statements = sent(store.write(move |tx| tx.learn_nodes(device, &sealed))).await;
        assert_eq!(statements.iter().filter(|statement| statement.to_lowercase().contains("count(")).count(), 1, "{statements:?}");
        let page = NodePage { device, under: NodeUri::root(), after: None, limit: 100 };
        assert_eq!(store.read(move |tx| tx.known_nodes(&page)).await.unwrap().len(), 59);
    }
}
