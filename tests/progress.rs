//! How far a job is, told now and then.
use std::time::{Duration, Instant};

use dmwsi_simulator::Behaviour;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::handset::{Handset, SCOPES, ended};
use crate::harness::server::{Portal, Server};

async fn told(portal: &Portal) -> Vec<Value> {
    let page = portal.get("/v1/events?perPage=100&types=dmwsi.v1.job-progress").await.of(200);
    page["items"].as_array().unwrap().clone()
}

both! {
    /// UC-13, EI3: what ended is told together, not device by device, at most every five seconds, and without another device having to call.
    async fn progress_is_told_together_and_at_most_every_five_seconds(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", &format!("{SCOPES} events:read")).await;
        let mut handsets = Vec::new();
        for _ in 0..5 {
            handsets.push(Handset::register(&portal, server.url(), Behaviour::default()).await);
        }
        let ids: Vec<_> = handsets.iter().map(|handset| handset.id.clone()).collect();
        let body = json!({"operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Man"]}, "target": {"type": "DEVICES", "deviceIds": ids}});
        let began = Instant::now();
        let made = portal.post("/v1/jobs", &body).await.of(202);
        let job = format!("/v1/jobs/{}", made["jobId"].as_str().unwrap());
        for handset in &mut handsets[..3] {
            handset.device.check_in().await.unwrap();
        }
        eventually("three have ended", async || portal.get(&job).await.of(200)["executions"]["succeeded"] == 3).await;
        if began.elapsed() < Duration::from_secs(4) {
            assert!(told(&portal).await.is_empty(), "not yet");
        }
        eventually("progress is told", async || told(&portal).await.len() == 1).await;
        assert!(began.elapsed() >= Duration::from_secs(5));
        let first = &told(&portal).await[0]["data"];
        assert_eq!((&first["counts"]["succeeded"], &first["counts"]["queued"]), (&json!(3), &json!(2)), "{first}");
        handsets[3].device.check_in().await.unwrap();
        let again = Instant::now();
        eventually("it is told again", async || told(&portal).await.len() == 2).await;
        assert!(again.elapsed() > Duration::from_secs(3), "not before its time");
        handsets[4].device.check_in().await.unwrap();
        let end = Instant::now();
        assert_eq!(ended(&portal, &job).await["outcome"], "SUCCEEDED");
        assert!(end.elapsed() < Duration::from_secs(3), "the end does not wait for a telling");
        let all = told(&portal).await;
        assert_eq!(all.len(), 2, "the end says all: {all:?}");
        assert_eq!(all[1]["data"]["counts"]["succeeded"], 4);
        server.stop().await;
    }
}
