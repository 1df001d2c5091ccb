//! What devices do otherwise than the standard says: known by their kind, observed, set by an operator, and acted upon.
use std::collections::BTreeMap;

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_protocol::device::{AtomicQuirk, Quirks};
use dmwsi_simulator::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::handset::{Handset, SCOPES, execution, job};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, basic_cred, message, status};
use crate::harness::server::{Portal, Server};
use crate::node_commands::{done, stage, told};
use crate::sessions::sessions;

async fn profile(portal: &Portal, device: &str) -> Value {
    portal.get(&format!("/v1/devices/{device}/profile")).await.of(200)
}

/// Value and origin of a trait.
fn origin<'p>(profile: &'p Value, name: &str) -> (&'p Value, &'p str) {
    let found = &profile["traits"][name];
    (&found["value"], found["origin"].as_str().unwrap_or_default())
}

async fn set(portal: &Portal, device: &str, traits: &Value) -> Value {
    let headers = [("if-match", "*"), ("content-type", "application/merge-patch+json")];
    portal.call(Method::PATCH, &format!("/v1/devices/{device}/profile"), &headers, Some(traits)).await.of(200)
}

/// How many commands the last session had.
async fn commands(portal: &Portal, handset: &Handset) -> u64 {
    sessions(portal, &handset.id).await[0]["commands"].as_u64().unwrap()
}

/// A server with a device that shows a password, and speaks by hand.
struct Scene {
    server: Server,
    portal: Portal,
    identity: String,
    device: String,
    phone: Phone,
    session: u32,
}

impl Scene {
    async fn set(database: &Database, change: impl FnOnce(&mut Config)) -> Self {
        let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
            config.gateway.details_days = 0;
            change(config);
        })
        .await;
        let portal = server.portal("acme", SCOPES).await;
        let phone = Phone::of(server.url());
        let mut scene = Self { server, portal, identity: String::new(), device: String::new(), phone, session: 0 };
        scene.next("IMEI:490154203237518").await;
        scene
    }

    /// Goes on with another device.
    async fn next(&mut self, identity: &str) {
        let client = json!({"auth": "BASIC", "name": "me", "secret": "mine"});
        let new = json!({"dmIdentity": identity, "account": {"serverId": "dmwsi", "client": client}});
        let made = self.portal.post("/v1/devices", &new).await.of(201);
        (self.identity, self.device, self.session) = (identity.to_owned(), made["deviceId"].as_str().unwrap().to_owned(), 0);
    }

    /// What a device with these traits is told first of that operation, and the job.
    async fn told(&mut self, traits: &Value, operation: &Value) -> (String, String) {
        set(&self.portal, &self.device, traits).await;
        let job = job(&self.portal, &self.device, operation).await;
        let reply = self.begin().await;
        (reply, job)
    }

    async fn begin(&mut self) -> String {
        self.session += 1;
        let cred = basic_cred("me", "mine");
        self.phone.say(message(&self.identity, &self.session.to_string(), 1, &cred, &format!("{PACKAGE_1}{FINAL}"))).await
    }

    /// The second message of the session.
    async fn answer(&self, body: &[String]) -> String {
        self.phone.say(message(&self.identity, &self.session.to_string(), 2, "", &body.concat())).await
    }
}

both! {
    /// AD-12: what a device was seen not to take is not tried again, until an operator says otherwise.
    async fn lists_that_a_device_does_not_know_are_asked_for_once(database: Database) {
        let behaviour = Behaviour { quirks: Quirks { no_tnds: true, no_list: true, ..Quirks::default() }, ..Behaviour::default() };
        let (server, portal, handsets) = stage(&database, &behaviour).await;
        let read = json!({"type": "TREE_READ", "root": "./DevInfo"});
        for mut handset in handsets {
            // The device tells its details first.
            done(&portal, &mut handset, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
            handset.device.check_in().await.unwrap();
            assert_eq!(done(&portal, &mut handset, &read).await.0["outcome"], "READ");
            let asked = commands(&portal, &handset).await;
            let known = profile(&portal, &handset.id).await;
            assert_eq!((origin(&known, "tnds"), origin(&known, "lists")), ((&json!(false), "OBSERVED"), (&json!(false), "OBSERVED")), "{known}");
            assert_eq!(origin(&known, "maxMessageBytes"), (&json!(16_384), "OBSERVED"), "{known}");
            assert_eq!(done(&portal, &mut handset, &read).await.0["outcome"], "READ");
            assert_eq!(commands(&portal, &handset).await, asked - 2, "neither list is asked for again");
            set(&portal, &handset.id, &json!({"tnds": true})).await;
            done(&portal, &mut handset, &read).await;
            assert_eq!(commands(&portal, &handset).await, asked - 1);
            let known = set(&portal, &handset.id, &json!({"tnds": null})).await;
            assert_eq!(origin(&known, "tnds"), (&json!(false), "OBSERVED"));
        }
        server.stop().await;
    }

    /// AD-12: a device that takes no Copy is not sent one twice.
    async fn a_copy_that_a_device_does_not_know_is_tried_once(database: Database) {
        let behaviour = Behaviour { quirks: Quirks { no_copy: true, ..Quirks::default() }, ..Behaviour::default() };
        let (server, portal, handsets) = stage(&database, &behaviour).await;
        for mut handset in handsets {
            handset.device.check_in().await.unwrap();
            let copy = |target: &str| json!({"type": "NODES_COPY", "copies": [{"source": "./Vendor/Test/Text", "target": target}]});
            assert_eq!(done(&portal, &mut handset, &copy("./Vendor/Test/One")).await.0["outcome"], "COPIED");
            let tried = commands(&portal, &handset).await;
            assert_eq!(origin(&profile(&portal, &handset.id).await, "copy"), (&json!(false), "OBSERVED"));
            assert_eq!(done(&portal, &mut handset, &copy("./Vendor/Test/Two")).await.0["outcome"], "COPIED");
            assert_eq!(commands(&portal, &handset).await, tried - 1);
        }
        server.stop().await;
    }

    /// AD-12: nothing is changed together on a device that is known to do one after the other.
    async fn an_atomic_is_not_sent_to_a_device_that_is_known_to_take_none(database: Database) {
        for (atomic, word) in [(AtomicQuirk::Silent, "SILENT"), (AtomicQuirk::Unsupported, "UNSUPPORTED")] {
            let behaviour = Behaviour { quirks: Quirks { atomic, ..Quirks::default() }, ..Behaviour::default() };
            let (server, portal, handsets) = stage(&database, &behaviour).await;
            for mut handset in handsets {
                let change = |value: &str| json!({"type": "NODES_ATOMIC", "commands": [{"command": "REPLACE", "node": "./Vendor/Test/Text", "value": value}]});
                done(&portal, &mut handset, &change("first")).await;
                assert_eq!(origin(&profile(&portal, &handset.id).await, "atomic"), (&json!(word), "OBSERVED"));
                let (execution, _) = done(&portal, &mut handset, &change("second")).await;
                assert_eq!((&execution["state"], &execution["outcome"]), (&json!("FAILED"), &json!("NOT_SUPPORTED")), "{execution}");
                assert_ne!(handset.device.tree().text("./Vendor/Test/Text"), Some("second"));
                set(&portal, &handset.id, &json!({"atomic": "PROPER"})).await;
                done(&portal, &mut handset, &change("third")).await;
                let is_silent = atomic == AtomicQuirk::Silent;
                assert_eq!(handset.device.tree().text("./Vendor/Test/Text") == Some("third"), is_silent, "it was sent");
            }
            server.stop().await;
        }
    }

    /// AD-12: values in pieces, and properties, by what an operator knows of the device.
    async fn pieces_and_properties_follow_what_is_known(database: Database) {
        let (server, portal, handsets) = stage(&database, &Behaviour { max_message: 4_096, ..Behaviour::default() }).await;
        for mut handset in handsets {
            let write = json!({"type": "NODES_SET", "changes": [{"node": "./Vendor/Test/Text", "value": "x".repeat(20_000)}]});
            set(&portal, &handset.id, &json!({"largeObjects": false})).await;
            let (_, results) = done(&portal, &mut handset, &write).await;
            assert_eq!(told(&results), [("./Vendor/Test/Text", "TOO_LARGE")], "the device says that it takes pieces");
            set(&portal, &handset.id, &json!({"largeObjects": null, "maxObjectBytes": 10_000})).await;
            let (_, results) = done(&portal, &mut handset, &write).await;
            assert_eq!(told(&results), [("./Vendor/Test/Text", "TOO_LARGE")]);
            set(&portal, &handset.id, &json!({"maxObjectBytes": null})).await;
            let (_, results) = done(&portal, &mut handset, &write).await;
            assert_eq!(told(&results), [("./Vendor/Test/Text", "DONE")]);
            set(&portal, &handset.id, &json!({"properties": ["FORMAT"]})).await;
            let read = json!({"type": "TREE_READ", "root": "./DevInfo/Man", "method": "WALK", "properties": ["ACL", "FORMAT", "SIZE"]});
            let (_, results) = done(&portal, &mut handset, &read).await;
            assert_eq!(told(&results), [("./DevInfo/Man", "DONE"), ("./DevInfo/Man?prop=Format", "DONE")]);
        }
        server.stop().await;
    }

    /// UC-3, AD-12: what a device keeps of its nodes is read in every way, and one that keeps nothing of the kind tells nothing.
    async fn sizes_and_changes_are_read_from_devices_that_keep_them(database: Database) {
        for few_properties in [false, true] {
            let behaviour = Behaviour { quirks: Quirks { few_properties, ..Quirks::default() }, ..Behaviour::default() };
            let (server, portal, handsets) = stage(&database, &behaviour).await;
            for mut handset in handsets {
                done(&portal, &mut handset, &json!({"type": "NODES_SET", "changes": [{"node": "./Vendor/Test/Text", "value": "four"}]})).await;
                for method in ["AUTO", "WALK"] {
                    let read = json!({"type": "TREE_READ", "root": "./Vendor/Test/Text", "method": method, "properties": ["SIZE", "TSTAMP", "VER_NO"]});
                    let (_, results) = done(&portal, &mut handset, &read).await;
                    let told: BTreeMap<_, _> = results.iter().map(|one| (one["node"].as_str().unwrap(), &one["value"]["data"])).collect();
                    let property = |name: &str| told.get(format!("./Vendor/Test/Text?prop={name}").as_str()).and_then(|data| data.as_str());
                    assert_eq!(told["./Vendor/Test/Text"], "four", "{method}");
                    if few_properties {
                        assert_eq!((property("Size"), property("TStamp"), property("VerNo")), (None, None, None), "{method} {results:?}");
                        continue;
                    }
                    let changed = property("TStamp").map(|stamp| (stamp.len(), stamp.ends_with('Z')));
                    assert_eq!((property("VerNo"), changed), (Some("1"), Some((16, true))), "{method} {results:?}");
                    assert_eq!(property("Size"), Some("4"), "{method} {results:?}");
                }
            }
            server.stop().await;
        }
    }

    /// AD-12, S-CM-09: Sequence, correlator, Data, and how much goes into a message, as they stand on the wire.
    async fn what_is_sent_keeps_to_what_is_known(database: Database) {
        let mut scene = Scene::set(&database, |_| {}).await;
        let get = json!({"type": "NODES_GET", "nodes": ["./A", "./B", "./C"]});
        let (reply, _) = scene.told(&json!({}), &get).await;
        assert_eq!((reply.matches("<Get>").count(), reply.contains("<Sequence>")), (3, false), "{reply}");
        let (reply, _) = scene.told(&json!({"sequence": true}), &get).await;
        assert!(reply.contains("<Sequence><CmdID>4</CmdID><Get><CmdID>5</CmdID>"), "{reply}");
        let (reply, _) = scene.told(&json!({"sequence": false, "maxCommands": 2}), &get).await;
        assert_eq!(reply.matches("<Get>").count(), 2, "{reply}");
        let large = json!({"type": "NODES_GET", "nodes": (0..40).map(|n| format!("./Node{n}/{}", "x".repeat(100))).collect::<Vec<_>>()});
        let (reply, _) = scene.told(&json!({"maxCommands": null, "maxMessageBytes": 2_000}), &large).await;
        assert!(reply.len() <= 2_000 && reply.contains("<Get>"), "{} {reply}", reply.len());
        let headers = [("if-match", "*"), ("content-type", "application/merge-patch+json")];
        let path = format!("/v1/devices/{}/profile", scene.device);
        let wrong = scene.portal.call(Method::PATCH, &path, &headers, Some(&json!({"maxMessageBytes": 5}))).await;
        assert_eq!((wrong.status.as_u16(), wrong.pointers()), (400, vec!["/maxMessageBytes".to_owned()]), "{}", wrong.text);
        let stale = [("if-match", "\"1\""), ("content-type", "application/merge-patch+json")];
        scene.portal.call(Method::PATCH, &path, &stale, Some(&json!({"copy": true}))).await.problem(412, "FAILED_PRECONDITION");
        scene.server.stop().await;
    }

    /// AD-12: Windows takes no correlator, some want no Data without a value, and some tell of an Exec before they answer it.
    async fn execs_and_new_nodes_keep_to_what_is_known(database: Database) {
        let add = json!({"type": "NODES_ADD", "nodes": [{"node": "./Vendor/New", "format": "node"}]});
        let mut scene = Scene::set(&database, |_| {}).await;
        for (traits, has_data) in [(json!({}), true), (json!({"dataAlways": false}), false)] {
            scene.next(&format!("IMEI:{has_data}")).await;
            let (reply, _) = scene.told(&traits, &add).await;
            let added = reply.split("<Add>").nth(1).unwrap();
            assert_eq!(added.contains("<Data"), has_data, "{reply}");
        }
        let exec = json!({"type": "NODES_EXEC", "nodes": [{"node": "./Vendor/Task"}], "reportWithinSeconds": 3600});
        for (traits, is_early) in [(json!({"correlator": false}), false), (json!({"correlator": false, "alertOrder": "BEFORE_STATUS"}), true)] {
            scene.next(&format!("MAC:{is_early}")).await;
            let (reply, job) = scene.told(&traits, &exec).await;
            assert!(reply.contains("<Exec>") && !reply.contains("<Correlator>"), "{reply}");
            let alert = "<Alert><CmdID>2</CmdID><Data>1226</Data><Item><Source><LocURI>./Vendor/Task</LocURI></Source><Meta>\
                <Type xmlns=\"syncml:metinf\">com.example.done</Type></Meta><Data>5</Data></Item></Alert>";
            scene.answer(&[status(1, 1, 0, "SyncHdr", 200), alert.to_owned(), status(3, 1, 4, "Exec", 202), FINAL.to_owned()]).await;
            let execution = execution(&scene.portal, &job, &scene.device).await;
            let state = if is_early { "SUCCEEDED" } else { "WAITING" };
            assert_eq!(execution["state"], state, "{traits}: {execution}");
        }
        scene.server.stop().await;
    }

    /// AD-12: an operator's own file of devices goes over the one that ships with the product, and what was observed over both.
    async fn kinds_of_devices_are_known_by_a_file(database: Database) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "[[device]]\nname = 'Acme One'\nmanufacturer = 'acme'\nmodel = 'On*'\ntraits = {sequence = true, maxMessageBytes = 9_000}\n";
        std::fs::write(file.path(), text).unwrap();
        let mut scene = Scene::set(&database, |config| config.gateway.profiles = Some(file.path().to_owned())).await;
        assert_eq!(profile(&scene.portal, &scene.device).await["entries"], json!([]));
        let get = json!({"type": "NODES_GET", "nodes": ["./A", "./B"]});
        let (reply, _) = scene.told(&json!({}), &get).await;
        assert!(reply.contains("<Sequence>"), "by what the very message tells: {reply}");
        let known = profile(&scene.portal, &scene.device).await;
        assert_eq!((&known["entries"], origin(&known, "sequence")), (&json!(["Acme One"]), (&json!(true), "FILE")), "{known}");
        // It takes none after all: what was in it is said again, and never in one again.
        let refused = status(2, 1, 4, "Sequence", 406);
        let reply = scene.answer(&[status(1, 1, 0, "SyncHdr", 200), refused, FINAL.to_owned()]).await;
        assert_eq!((reply.matches("<Get>").count(), reply.contains("<Sequence>")), (2, false), "{reply}");
        assert_eq!(origin(&profile(&scene.portal, &scene.device).await, "sequence"), (&json!(false), "OBSERVED"));
        let reply = scene.begin().await;
        assert!(reply.contains("<Get>") && !reply.contains("<Sequence>"), "{reply}");
        scene.server.stop().await;
    }
}
