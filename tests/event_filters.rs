//! Whoever reads the log chooses as whoever is called does.
use std::collections::BTreeSet;
use std::time::Duration;

use dmwsi_domain::event::Event;
use dmwsi_simulator::Behaviour;
use serde_json::json;

use crate::harness::eventually;
use crate::harness::handset::{Handset, ended, job};
use crate::harness::receiver::Receiver;
use crate::harness::server::{Portal, Server};
use crate::subscriptions::{SCOPES, subscribe, tell, wanted};

fn alert(kind: &str, mark: &str, source: &str) -> Event {
    Event::DeviceAlert {
        alert_type: kind.to_owned(),
        mark: mark.to_owned(),
        correlator: None,
        source: Some(source.to_owned()),
        format: "chr".to_owned(),
        data: String::new(),
    }
}

async fn numbered(server: &Server) {
    eventually("all have numbers", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;
}

/// The ids of the events that a query brings, page by page.
async fn read(portal: &Portal, query: &str) -> BTreeSet<String> {
    let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = portal.get(&format!("/v1/events?perPage=2&{query}{cursor}")).await.of(200);
        ids.extend(page["items"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        if page["hasMore"] == false {
            return ids;
        }
        cursor = format!("&cursor={}", page["nextCursor"].as_str().unwrap());
    }
}

/// What a stream brings until it ends.
async fn streamed(server: &Server, portal: &Portal, path: &str) -> String {
    let request = reqwest::Client::new().get(format!("{}{path}", server.url())).header("authorization", portal.bearer());
    let text = tokio::time::timeout(Duration::from_secs(20), request.send().await.unwrap().text());
    text.await.expect("it ends").unwrap()
}

both! {
    /// AD-10: the same filter lets the same through, be it of a subscription or of a query.
    async fn who_reads_and_who_is_called_have_the_same_filters(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(one, first), (two, second), (three, _)] = server.devices(&portal, 3).await.try_into().unwrap();
        let cases = [
            (json!({"sources": ["./A"]}), "source=./A".to_owned(), 6),
            (json!({"sources": ["./A/B", "./C"]}), "source=./A/B,./C".to_owned(), 9),
            (json!({"alertTypes": ["com.example.*", "ORG.one"]}), "alertType=com.example.*,ORG.one".to_owned(), 9),
            (json!({"markAtLeast": "CRITICAL"}), "mark=CRITICAL".to_owned(), 6),
            (json!({"deviceIds": [first, second]}), format!("deviceId={first},{second}"), 8),
            (json!({"deviceIds": [first, second], "sources": ["./C"], "markAtLeast": "WARNING"}), format!("deviceId={first},{second}&source=./C&mark=WARNING"), 4),
        ];
        let mut receivers = Vec::new();
        for (detail, ..) in &cases {
            let receiver = Receiver::taking().await;
            let mut new = wanted(&receiver.url, &["device-alert", "device-updated"]);
            new["config"]["subscriptionDetail"] = detail.clone();
            subscribe(&portal, &new).await;
            receiver.heard("subscription-started", 1).await;
            receivers.push(receiver);
        }
        for device in [one, two, three] {
            let told = [
                alert("com.example.low", "WARNING", "./A/B"),
                alert("org.one", "FATAL", "./C"),
                alert("org.two", "HARMLESS", "./AB"),
                Event::DeviceUpdated {},
            ];
            tell(&server, &portal, device, told).await;
        }
        numbered(&server).await;
        for ((detail, query, count), receiver) in cases.iter().zip(receivers) {
            let types = "types=dmwsi.v1.device-alert,dmwsi.v1.device-updated";
            let pulled = read(&portal, &format!("{types}&{query}")).await;
            assert_eq!(pulled.len(), *count, "{query}");
            let pushed = || {
                let came = receiver.all().into_iter().filter(|came| came.method == "POST" && came.kind() != "subscription-started");
                came.map(|came| came.event()["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
            };
            eventually(&format!("all of {detail}"), async || pushed().len() >= *count).await;
            assert_eq!(pushed(), pulled, "{detail}");
        }
        let all = read(&portal, "mark=FATAL").await;
        assert!(all.len() > read(&portal, "mark=FATAL&types=dmwsi.v1.device-alert").await.len(), "what is no alert passes");
        let long = |count| format!("source={}", "ü".repeat(count));
        for wrong in ["source=", "alertType=a,,b", "jobId=job_1", &format!("source={}", vec!["./A"; 101].join(",")), &long(257)] {
            portal.get(&format!("/v1/events?{wrong}")).await.problem(400, "INVALID_ARGUMENT");
        }
        portal.get(&format!("/v1/events?{}", long(256))).await.of(200);
        let cursor = portal.get("/v1/events?source=./A").await.of(200)["nextCursor"].as_str().unwrap().to_owned();
        portal.get(&format!("/v1/events?source=./C&cursor={cursor}")).await.problem(400, "INVALID_ARGUMENT");
        server.stop().await;
    }

    /// UC-13: several jobs are read together; one is followed by the types that are chosen, and its stream ends with it whichever these are.
    async fn jobs_are_read_together_and_followed_by_type(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let mut jobs = Vec::new();
        for _ in 0..3 {
            jobs.push(job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await);
        }
        let early = {
            let path = format!("{}/events?types=dmwsi.v1.execution-finished", jobs[0]);
            let (portal, url) = (portal.clone(), server.url().to_owned());
            tokio::spawn(async move {
                let request = reqwest::Client::new().get(format!("{url}{path}")).header("authorization", portal.bearer());
                request.send().await.unwrap().text().await.unwrap()
            })
        };
        tokio::time::sleep(Duration::from_millis(200)).await;
        handset.live().await;
        for job in &jobs {
            ended(&portal, job).await;
        }
        numbered(&server).await;
        let ids: Vec<_> = jobs.iter().map(|job| job.rsplit('/').next().unwrap().to_owned()).collect();
        let two = read(&portal, &format!("jobId={},{}", ids[0], ids[2])).await;
        let each = [read(&portal, &format!("jobId={}", ids[0])).await, read(&portal, &format!("jobId={}", ids[2])).await];
        assert!(each.iter().all(|one| one.len() > 3));
        assert_eq!(two, each.into_iter().flatten().collect());

        let late = streamed(&server, &portal, &format!("{}/events?types=dmwsi.v1.execution-finished", jobs[0])).await;
        let early = tokio::time::timeout(Duration::from_secs(20), early).await.expect("it ends").unwrap();
        for text in [early, late] {
            let told: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
            assert_eq!(told, ["dmwsi.v1.execution-finished", "end"], "{text}");
        }
        let end = streamed(&server, &portal, &format!("{}/events?types=dmwsi.v1.job-completed", jobs[1])).await;
        assert!(end.contains("event: dmwsi.v1.job-completed\n") && end.ends_with("event: end\ndata: {}\n\n"), "{end}");
        for wrong in ["types=dmwsi.v1.nothing", "type=x"] {
            portal.get(&format!("{}/events?{wrong}", jobs[0])).await.problem(400, "INVALID_ARGUMENT");
        }
        server.stop().await;
    }
}
