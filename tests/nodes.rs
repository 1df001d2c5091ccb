//! Nodes of simulated devices, read and changed over HTTP.
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_objects::{NodeUri, Value as NodeValue};
use dmwsi_protocol::device::Access;
use dmwsi_simulator::Behaviour;
use serde_json::{Value, json};

use crate::harness::handset::{Handset, SCOPES, ended, job};
use crate::harness::server::{Portal, Server};

/// Each node with command, status and data, as the results show it.
async fn results(portal: &Portal, job: &str, id: &str) -> Vec<(String, String, u64, Option<String>)> {
    let results = portal.get(&format!("{job}/executions/{id}/results")).await.of(200);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let line = |one: &Value| {
        (
            text(&one["command"]).unwrap(),
            text(&one["node"]).unwrap(),
            one["status"].as_u64().unwrap_or_default(),
            text(&one["value"]["data"]),
        )
    };
    results["results"].as_array().unwrap_or_else(|| panic!("{results}")).iter().map(line).collect()
}

fn line(command: &str, node: &str, status: u64, data: Option<&str>) -> (String, String, u64, Option<String>) {
    (command.to_owned(), node.to_owned(), status, data.map(str::to_owned))
}

both! {
    /// UC-3, AD-4, S-CM-04: present, interior, absent and unreadable nodes are told apart.
    async fn nodes_are_read_each_with_its_own_status(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let secret = NodeUri::parse("./Vendor/Secret").unwrap();
        handset.device.tree_mut().put(&NodeUri::parse("./Vendor").unwrap(), NodeValue::node(&[]), Access::GET);
        handset.device.tree_mut().put(&secret, NodeValue::text("no"), Access::REPLACE);
        let nodes = ["./DevInfo/Man", "./DevDetail", "./Absent", "./Vendor/Secret"];
        let job = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": nodes})).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &job).await;
        let found = results(&portal, &job, &handset.id).await;
        assert_eq!(found[0], line("GET", nodes[0], 200, Some("Acme")));
        assert_eq!((found[1].1.as_str(), found[1].2), ("./DevDetail", 200));
        assert!(found[1].3.as_ref().unwrap().contains("FwV"), "{found:?}");
        assert_eq!(found[2], line("GET", nodes[2], 404, None));
        assert_eq!((found[3].1.as_str(), found[3].3.as_deref()), ("./Vendor/Secret", None));
        assert!([405, 425].contains(&found[3].2), "{found:?}");
        server.stop().await;
    }

    /// AD-4, S-CM-02: Replace, Add, Delete and Exec, in order.
    async fn nodes_are_changed_in_the_order_asked_for(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let changes = json!([
            {"command": "ADD", "node": "./Vendor/Test/New", "value": "a<b&c"},
            {"command": "REPLACE", "node": "./Vendor/Test/New", "value": "second"},
            {"command": "ADD", "node": "./Vendor/Test/Old", "value": "old"},
            {"command": "DELETE", "node": "./Vendor/Test/Old"},
            {"command": "REPLACE", "node": "./DevInfo/Man", "value": "Other"},
            {"node": "./Vendor/Test/Set", "value": "made"},
            {"node": "./Vendor/Test/Text", "value": "set"},
            {"command": "EXEC", "node": "./FUMO/Update"},
        ]);
        let job = job(&portal, &handset.id, &json!({"type": "NODES_SET", "changes": changes})).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &job).await;
        let found = results(&portal, &job, &handset.id).await;
        let told: Vec<_> = found.iter().map(|(command, node, status, _)| (command.as_str(), node.as_str(), *status)).collect();
        let expected = [
            ("ADD", "./Vendor/Test/New", 200),
            ("REPLACE", "./Vendor/Test/New", 200),
            ("ADD", "./Vendor/Test/Old", 200),
            ("DELETE", "./Vendor/Test/Old", 200),
            ("REPLACE", "./DevInfo/Man", 405),
            ("REPLACE", "./Vendor/Test/Text", 200),
            ("ADD", "./Vendor/Test/Set", 200),
            // There is nothing to install. Whatever was set before it, was set before it.
            ("EXEC", "./FUMO/Update", 403),
        ];
        assert_eq!(told, expected);
        assert_eq!(handset.device.tree().text("./Vendor/Test/New"), Some("second"));
        assert_eq!(handset.device.tree().text("./Vendor/Test/Old"), None);
        assert_eq!(handset.device.tree().text("./Vendor/Test/Set"), Some("made"));
        server.stop().await;
    }

    /// AD-12: a session has its messages, ends in good order, and what is left has its turn in the next one.
    async fn what_does_not_fit_into_a_session_goes_on_in_the_next(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| config.gateway.max_commands = 1).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let mut jobs = Vec::new();
        for name in ["A", "B"] {
            let nodes: Vec<_> = (0..80).map(|number| format!("./{name}/{number}")).collect();
            jobs.push(job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": nodes})).await);
        }
        handset.device.check_in().await.unwrap();
        ended(&portal, &jobs[0]).await;
        let left = 80 - results(&portal, &jobs[1], &handset.id).await.len();
        assert!((1..80).contains(&left), "{left}");
        handset.device.check_in().await.unwrap();
        ended(&portal, &jobs[1]).await;
        assert_eq!(results(&portal, &jobs[1], &handset.id).await.len(), 80);
        server.stop().await;
    }
}
