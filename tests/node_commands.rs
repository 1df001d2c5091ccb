//! Nodes of simulated devices created, copied, removed and started over HTTP.
use dmwsi_objects::{NodeUri, Value as NodeValue};
use dmwsi_protocol::device::{Access, Quirks};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::Behaviour;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::handset::{Handset, SCOPES, ended, execution, job};
use crate::harness::server::{Portal, Server};

const ENCODINGS: [Encoding; 2] = [Encoding::Xml, Encoding::Wbxml];

/// A server with a portal, and a device in each encoding that behaves so.
pub(crate) async fn stage(database: &Database, behaviour: &Behaviour) -> (Server, Portal, Vec<Handset>) {
    let server = Server::on(database).await;
    let portal = server.portal("acme", SCOPES).await;
    let mut handsets = Vec::new();
    for encoding in ENCODINGS {
        let behaviour = Behaviour { encoding, ..behaviour.clone() };
        handsets.push(Handset::register(&portal, server.url(), behaviour).await);
    }
    (server, portal, handsets)
}

/// The job on that device, and what it brought, when the device has called once.
pub(crate) async fn done(portal: &Portal, handset: &mut Handset, operation: &Value) -> (Value, Vec<Value>) {
    let job = job(portal, &handset.id, operation).await;
    handset.device.check_in().await.unwrap();
    ended(portal, &job).await;
    brought(portal, &job, handset).await
}

/// The job on that device as it stands, and what it brought so far.
pub(crate) async fn brought(portal: &Portal, job: &str, handset: &Handset) -> (Value, Vec<Value>) {
    let results = portal.get(&format!("{job}/executions/{}/results", handset.id)).await.of(200);
    (execution(portal, job, &handset.id).await, results["results"].as_array().unwrap().clone())
}

/// Node and outcome of each.
pub(crate) fn told(results: &[Value]) -> Vec<(&str, &str)> {
    results.iter().map(|one| (one["node"].as_str().unwrap_or_default(), one["outcome"].as_str().unwrap())).collect()
}

fn end(execution: &Value) -> (&str, &str) {
    (execution["state"].as_str().unwrap(), execution["outcome"].as_str().unwrap_or_default())
}

both! {
    /// AD-4, AD-12, S-CM-01, S-CM-03: each node by itself, and why the one that is not added is not.
    async fn nodes_are_created_and_removed_each_by_itself(database: Database) {
        let (server, portal, handsets) = stage(&database, &Behaviour::default()).await;
        for mut handset in handsets {
            let add = json!({"type": "NODES_ADD", "nodes": [
                {"node": "./Vendor/Test/More", "format": "node"},
                {"node": "./Vendor/Test/More/Octets", "format": "bin", "value": "AP8="},
                {"node": "./Vendor/Test/More/Count", "format": "int", "value": "-7"},
                {"node": "./Vendor/Test/Text", "value": "there already"},
                {"node": "./DevInfo/Mine", "value": "not allowed here"},
            ]});
            let (execution, results) = done(&portal, &mut handset, &add).await;
            assert_eq!(end(&execution), ("FAILED", "PARTLY_ADDED"));
            assert_eq!(execution["detail"], "2 of 5 did not succeed, the first of them: ALREADY_EXISTS");
            let expected = [
                ("./Vendor/Test/More", "DONE"),
                ("./Vendor/Test/More/Octets", "DONE"),
                ("./Vendor/Test/More/Count", "DONE"),
                ("./Vendor/Test/Text", "ALREADY_EXISTS"),
                ("./DevInfo/Mine", "NOT_ALLOWED"),
            ];
            assert_eq!(told(&results), expected);
            assert_eq!((&results[3]["command"], &results[3]["status"]), (&json!("ADD"), &json!(418)));
            assert_eq!(handset.device.tree().text("./Vendor/Test/More/Octets"), Some("AP8="));
            assert_eq!(handset.device.tree().text("./Vendor/Test/More/Count"), Some("-7"));
            let delete = json!({"type": "NODES_DELETE", "nodes": ["./Vendor/Test/More", "./Vendor/Test/Text", "./Absent"]});
            let (execution, results) = done(&portal, &mut handset, &delete).await;
            assert_eq!(end(&execution), ("FAILED", "PARTLY_DELETED"));
            let expected =
                [("./Vendor/Test/More", "DONE"), ("./Vendor/Test/Text", "NOT_ALLOWED"), ("./Absent", "NOT_FOUND")];
            assert_eq!(told(&results), expected);
            assert!(handset.device.tree().node("./Vendor/Test/More/Count").is_none(), "with all below it");
            let delete = json!({"type": "NODES_DELETE", "nodes": ["./Absent"]});
            assert_eq!(end(&done(&portal, &mut handset, &delete).await.0), ("FAILED", "NOT_DELETED"));
        }
        server.stop().await;
    }

    /// AD-4, AD-12, S-CM-06: by the device where it can, and by reading and writing where it cannot.
    async fn leaves_are_copied_whether_or_not_the_device_knows_how(database: Database) {
        for no_copy in [false, true] {
            let behaviour = Behaviour { quirks: Quirks { no_copy, ..Quirks::default() }, ..Behaviour::default() };
            let (server, portal, handsets) = stage(&database, &behaviour).await;
            for mut handset in handsets {
                assert!(handset.device.tree_mut().set("./Vendor/Test/Octets", "AP8="));
                let copy = json!({"type": "NODES_COPY", "copies": [
                    {"source": "./Vendor/Test/Octets", "target": "./Vendor/Test/New"},
                    {"source": "./DevInfo/Man", "target": "./Vendor/Test/Text"},
                    {"source": "./Absent", "target": "./Vendor/Test/Text"},
                    {"source": "./DevInfo", "target": "./Vendor/Test/Text"},
                ]});
                let (execution, results) = done(&portal, &mut handset, &copy).await;
                assert_eq!(end(&execution), ("FAILED", "PARTLY_COPIED"));
                let mut outcomes = told(&results);
                outcomes.sort_unstable();
                let interior = if no_copy { "NOT_ALLOWED" } else { "CONFLICT" };
                let text = "./Vendor/Test/Text";
                let mut expected = [("./Vendor/Test/New", "DONE"), (text, "DONE"), (text, "NOT_FOUND"), (text, interior)];
                expected.sort_unstable();
                assert_eq!(outcomes, expected, "{results:?}");
                assert_eq!(results.iter().find(|one| one["outcome"] == "NOT_FOUND").unwrap()["source"], "./Absent");
                assert_eq!(handset.device.tree().text("./Vendor/Test/New"), Some("AP8="));
                assert_eq!(handset.device.tree().text("./Vendor/Test/Text"), Some("Acme"));
            }
            server.stop().await;
        }
    }

    /// AD-4, AD-12, S-CM-05: done at once, begun, reported later with or without a correlator, and failed.
    async fn a_command_is_started_and_its_report_awaited(database: Database) {
        for omit_task_correlator in [false, true] {
            let behaviour = Behaviour { omit_task_correlator, ..Behaviour::default() };
            let (server, portal, handsets) = stage(&database, &behaviour).await;
            for mut handset in handsets {
                let exec = |value: &str| json!({"type": "NODES_EXEC", "nodes": [{"node": "./Vendor/Test/Task", "value": value}]});
                let (execution, results) = done(&portal, &mut handset, &exec("now")).await;
                assert_eq!((end(&execution), told(&results)), (("SUCCEEDED", "EXECUTED"), vec![("./Vendor/Test/Task", "DONE")]));
                let (execution, results) = done(&portal, &mut handset, &exec("fast")).await;
                assert_eq!((end(&execution), told(&results)), (("SUCCEEDED", "STARTED"), vec![("./Vendor/Test/Task", "STARTED")]));
                handset.device.check_in().await.unwrap();
                for (value, ends, outcome, data) in
                    [("fast", ("SUCCEEDED", "EXECUTED"), "REPORTED", "done"), ("fail", ("FAILED", "NOT_EXECUTED"), "FAULT_REPORTED", "failed")]
                {
                    let mut awaited = exec(value);
                    awaited["reportWithinSeconds"] = json!(600);
                    let job = job(&portal, &handset.id, &awaited).await;
                    handset.device.check_in().await.unwrap();
                    let (execution, results) = brought(&portal, &job, &handset).await;
                    assert_eq!((&execution["phase"], results.len()), (&json!("REPORTING"), 0), "{execution}");
                    handset.device.check_in().await.unwrap();
                    ended(&portal, &job).await;
                    let (execution, results) = brought(&portal, &job, &handset).await;
                    assert_eq!((end(&execution), told(&results)), (ends, vec![("./Vendor/Test/Task", outcome)]));
                    assert_eq!(results[0]["value"]["data"], data);
                }
                let nowhere = json!({"type": "NODES_EXEC", "nodes": [{"node": "./DevInfo/Man"}, {"node": "./Absent"}]});
                let (execution, results) = done(&portal, &mut handset, &nowhere).await;
                assert_eq!(end(&execution), ("FAILED", "NOT_EXECUTED"));
                assert_eq!(told(&results), [("./DevInfo/Man", "NOT_ALLOWED"), ("./Absent", "NOT_FOUND")]);
            }
            server.stop().await;
        }
    }

    /// AD-12: a device with more work than one message looks at reports about all of it.
    async fn reports_about_twenty_commands_are_all_taken(database: Database) {
        let (server, portal, mut handsets) = stage(&database, &Behaviour::default()).await;
        let mut handset = handsets.remove(0);
        let exec = json!({"type": "NODES_EXEC", "nodes": [{"node": "./Vendor/Test/Task"}], "reportWithinSeconds": 600});
        let mut jobs = Vec::new();
        for _ in 0..20 {
            jobs.push(job(&portal, &handset.id, &exec).await);
        }
        for _ in 0..4 {
            handset.device.check_in().await.unwrap();
        }
        for job in &jobs {
            let (execution, results) = brought(&portal, job, &handset).await;
            assert_eq!((end(&execution), told(&results)), (("SUCCEEDED", "EXECUTED"), vec![("./Vendor/Test/Task", "REPORTED")]));
        }
        server.stop().await;
    }

    /// AD-12: Statuses from the end to the beginning, twice, and for commands that nobody sent.
    async fn answers_in_any_order_twice_or_of_nothing_are_understood(database: Database) {
        let quirks = Quirks { reversed: true, repeats_statuses: true, stray_statuses: true, ..Quirks::default() };
        let (server, portal, handsets) = stage(&database, &Behaviour { quirks, ..Behaviour::default() }).await;
        for mut handset in handsets {
            handset.device.tree_mut().put(&NodeUri::parse("./Vendor/Test/Key").unwrap(), NodeValue::text("x"), Access::REPLACE);
            let nodes = ["./DevInfo/Man", "./Absent", "./Vendor/Test/Key", "./DevInfo/Mod", "./DevDetail/FwV"];
            let (execution, results) = done(&portal, &mut handset, &json!({"type": "NODES_GET", "nodes": nodes})).await;
            assert_eq!(end(&execution), ("SUCCEEDED", "PARTLY_READ"));
            let outcomes = ["DONE", "NOT_FOUND", "NOT_ALLOWED", "DONE", "DONE"];
            assert_eq!(told(&results), nodes.into_iter().zip(outcomes).collect::<Vec<_>>());
            assert_eq!((&results[0]["value"]["data"], &results[4]["value"]["data"]), (&json!("Acme"), &json!("1.0.0")));
            let set = json!({"type": "NODES_SET", "changes": [{"node": "./Vendor/Test/Text", "value": "a"}, {"node": "./Vendor/Test/Two", "value": "b"}]});
            assert_eq!(end(&done(&portal, &mut handset, &set).await.0), ("SUCCEEDED", "CHANGED"));
            assert_eq!(handset.device.tree().text("./Vendor/Test/Two"), Some("b"));
        }
        server.stop().await;
    }
}
