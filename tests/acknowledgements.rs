//! The receiver of a job's result says that it has it.
use dmwsi_simulator::Behaviour;
use serde_json::json;

use crate::harness::eventually;
use crate::harness::handset::{Handset, SCOPES, ended, job};
use crate::harness::server::Server;

both! {
    /// UC-13, UC-3: said once or twice it is kept once, shown with the job and told; said otherwise it is refused.
    async fn a_result_is_acknowledged_once_kept_shown_and_told(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", &format!("{SCOPES} events:read")).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        let path = format!("{read}/acknowledgement");
        let word = json!({"reference": "ticket-4711"});
        portal.post(&path, &word).await.problem(409, "JOB_NOT_FINISHED");
        handset.device.check_in().await.unwrap();
        let before = ended(&portal, &read).await;
        assert!(before["acknowledgement"].is_null(), "{before}");

        let said = portal.post(&path, &word).await.of(200);
        assert_eq!(said["reference"], "ticket-4711");
        assert!(said["clientId"].as_str().unwrap().starts_with("cli_") && said["acknowledgedAt"].is_string(), "{said}");
        assert_eq!(portal.post(&path, &word).await.of(200), said, "the same once more");
        for other in [json!({}), json!({"reference": "another"})] {
            portal.post(&path, &other).await.problem(409, "ACKNOWLEDGED_ALREADY");
        }
        let after = portal.get(&read).await.of(200);
        assert_eq!((&after["acknowledgement"], &after["state"], &after["updatedAt"]), (&said, &before["state"], &before["updatedAt"]));
        let listed = portal.get("/v1/jobs").await.of(200);
        assert_eq!(listed["items"][0]["acknowledgement"], said);

        eventually("all is told", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;
        let told = portal.get("/v1/events?types=dmwsi.v1.job-acknowledged").await.of(200);
        assert_eq!(told["items"].as_array().unwrap().len(), 1, "{told}");
        let data = &told["items"][0]["data"];
        assert_eq!((&data["clientId"], &data["reference"]), (&said["clientId"], &json!("ticket-4711")));
        assert_eq!(format!("/v1/jobs/{}", data["jobId"].as_str().unwrap()), read);
        server.stop().await;
    }

    /// UC-13: only whose job it is, with the right to change jobs.
    async fn nobody_else_acknowledges_a_result(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        let path = format!("{read}/acknowledgement");
        portal.post(&format!("{read}/cancel"), &json!({})).await.of(202);
        ended(&portal, &read).await;
        server.portal("acme", SCOPES).await.post(&path, &json!({})).await.problem(404, "NOT_FOUND");
        server.portal("acme", "jobs:read").await.post(&path, &json!({})).await.problem(403, "PERMISSION_DENIED");
        portal.post(&path, &json!({"reference": "x".repeat(257)})).await.problem(400, "OUT_OF_RANGE");
        let said = portal.post(&path, &json!({})).await.of(200);
        assert!(said["reference"].is_null(), "{said}");
        server.stop().await;
    }
}
