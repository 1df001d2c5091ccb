//! Jobs over HTTP, with devices that are played by calling the store as the gateway does.
use std::time::{Duration, Instant};

use dmwsi_domain::Timestamp;
use dmwsi_domain::execution::{Execution, Move};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::id::DeviceId;
use dmwsi_objects::{Answer, Command, Reading, StatusCode, Value as NodeValue};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::server::{Portal, Server};

const SCOPES: &str = "jobs:read jobs:write devices:read devices:write";

fn read_job(devices: &[(DeviceId, String)]) -> Value {
    let ids: Vec<_> = devices.iter().map(|(_, name)| name).collect();
    json!({"operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Man", "./Absent"]}, "target": {"type": "DEVICES", "deviceIds": ids}})
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

/// One step of the device's oldest execution, saved as the gateway saves it.
async fn step(
    server: &Server,
    device: DeviceId,
    act: impl Fn(&mut Execution, Timestamp) -> Move + Send + Sync + 'static,
) -> Vec<Command> {
    let (now, ids) = (server.clock.now(), server.clock.new_ids());
    let stepped = server.store().write(move |tx| {
        let mut ids = ids;
        let mut execution =
            tx.unfinished_executions(device)?.into_iter().next().ok_or(dmwsi_domain::Error::NotFound { what: "work" })?;
        let was = execution.state;
        let moved = act(&mut execution, now);
        tx.save_execution(was, &execution, &moved, None, now, &mut ids)?;
        Ok(moved.commands)
    });
    stepped.await.unwrap()
}

/// The device calls and answers every Get: 404 below `./Absent`, "Acme" elsewhere.
async fn call(server: &Server, device: DeviceId) {
    let commands = step(server, device, |execution, now| execution.turn(&Facts::default(), now)).await;
    let answers: Vec<_> = commands
        .into_iter()
        .map(|command| {
            let there = command.target_text() != "./Absent";
            let reading = Reading { node: command.target().unwrap().clone(), value: NodeValue::text("Acme") };
            let status = StatusCode(if there { 200 } else { 404 });
            Answer { readings: there.then_some(reading).into_iter().collect(), ..Answer::with(command, status) }
        })
        .collect();
    step(server, device, move |execution, now| execution.answered(&answers, &Facts::default(), now)).await;
}

async fn create(portal: &Portal, body: &Value) -> Value {
    portal.post("/v1/jobs", body).await.of(202)
}

fn path(job: &Value) -> String {
    format!("/v1/jobs/{}", job["jobId"].as_str().unwrap())
}

both! {
    /// UC-3, CC4, AD-1, OES10: accepted, watched, ended, with results, evidence and timeline.
    async fn a_job_is_taken_runs_and_shows_what_came_of_it(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 2).await;
        let answer = portal.post("/v1/jobs", &read_job(&devices)).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (202, "5"));
        let job = answer.json();
        assert_eq!(answer.header("location"), path(&job));
        assert_eq!((job["state"].as_str(), job["executions"]["queued"].as_u64()), (Some("RUNNING"), Some(2)));
        assert_eq!(job["target"], json!({"type": "DEVICES", "count": 2}));
        assert!(job["expiresAt"].as_str() > job["createdAt"].as_str());

        call(&server, devices[0].0).await;
        let half = portal.get(&path(&job)).await.of(200);
        assert_eq!((half["state"].as_str(), half["executions"]["succeeded"].as_u64()), (Some("RUNNING"), Some(1)));
        call(&server, devices[1].0).await;
        let done = portal.get(&format!("{}?wait=20", path(&job))).await;
        assert_eq!(done.header("retry-after"), "");
        let done = done.of(200);
        assert_eq!((done["state"].as_str(), done["outcome"].as_str()), (Some("COMPLETED"), Some("SUCCEEDED")));
        assert_eq!(done["executions"]["succeeded"], 2);

        let listed = portal.get(&format!("{}/executions", path(&job))).await.of(200);
        assert_eq!(listed["items"][1]["deviceId"], devices[1].1);
        let one = portal.get(&format!("{}/executions/{}", path(&job), devices[0].1)).await.of(200);
        assert_eq!((one["state"].as_str(), one["outcome"].as_str()), (Some("SUCCEEDED"), Some("PARTLY_READ")));
        let told: Vec<_> = one["timeline"].as_array().unwrap().iter().map(|entry| entry["type"].as_str().unwrap()).collect();
        assert_eq!(told, ["dmwsi.v1.execution-started", "dmwsi.v1.execution-phase", "dmwsi.v1.execution-finished"]);

        let results = portal.get(&format!("{}/executions/{}/results", path(&job), devices[0].1)).await.of(200);
        assert_eq!(results["results"][0]["value"]["data"], "Acme");
        assert_eq!(results["results"][1]["status"], 404);
        let first = portal.get(&format!("{}/results?perPage=1", path(&job))).await.of(200);
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = portal.get(&format!("{}/results?perPage=1&cursor={cursor}", path(&job))).await.of(200);
        assert_eq!((&first["items"][0]["deviceId"], &second["items"][0]["deviceId"]), (&json!(devices[0].1), &json!(devices[1].1)));
        assert!(second["nextCursor"].is_null());
        let lines = portal.call(Method::GET, &format!("{}/results", path(&job)), &[("accept", "application/x-ndjson")], None).await;
        assert_eq!(lines.header("content-type"), "application/x-ndjson");
        let lines: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], results);
        let wrong = portal.call(Method::GET, &format!("{}/results", path(&job)), &[("accept", "text/csv")], None).await;
        assert_eq!(wrong.status.as_u16(), 406);
        server.stop().await;
    }

    /// OES10: several wait for one job and all are woken by its end, well before their time is over.
    async fn who_waits_is_answered_when_the_job_ends(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 1).await;
        let job = create(&portal, &read_job(&devices)).await;
        let began = Instant::now();
        let short = portal.get(&format!("{}?wait=1", path(&job))).await.of(200);
        assert_eq!(short["state"], "RUNNING");
        assert!(began.elapsed() >= Duration::from_secs(1));
        let waiting: Vec<_> = (0..3).map(|_| {
            let (portal, path) = (portal.clone(), format!("{}?wait=20", path(&job)));
            tokio::spawn(async move { portal.get(&path).await.of(200) })
        }).collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        call(&server, devices[0].0).await;
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap()["state"], "COMPLETED");
        }
        assert!(began.elapsed() < Duration::from_secs(15));
        server.stop().await;
    }

    /// OES10
    async fn a_caller_may_have_the_outcome_in_the_answer_to_the_request_itself(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 1).await;
        let body = read_job(&devices);
        let asking = {
            let (portal, body) = (portal.clone(), body.clone());
            tokio::spawn(async move { portal.call(Method::POST, "/v1/jobs", &[("prefer", "wait=20")], Some(&body)).await })
        };
        let device = devices[0].0;
        eventually("the job is there", async || {
            server.store().read(move |tx| tx.unfinished_executions(device)).await.unwrap().len() == 1
        }).await;
        call(&server, device).await;
        let answer = asking.await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (200, "wait=20"));
        assert_eq!(answer.json()["outcome"], "SUCCEEDED");
        let answer = portal.call(Method::POST, "/v1/jobs", &[("prefer", "respond-async")], Some(&body)).await;
        assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (202, "respond-async"));
        server.stop().await;
    }

    /// OES10
    async fn a_reader_who_knows_the_job_waits_for_its_next_change(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 2).await;
        let job = create(&portal, &read_job(&devices)).await;
        let first = portal.get(&path(&job)).await;
        let tag = first.header("etag").to_owned();
        let same = portal.call(Method::GET, &path(&job), &[("if-none-match", &tag)], None).await;
        assert_eq!((same.status.as_u16(), same.text.as_str(), same.header("etag")), (304, "", tag.as_str()));
        let waiting = {
            let (portal, path, tag) = (portal.clone(), format!("{}?wait=20", path(&job)), tag.clone());
            tokio::spawn(async move { portal.call(Method::GET, &path, &[("if-none-match", &tag)], None).await })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        call(&server, devices[1].0).await;
        let changed = waiting.await.unwrap();
        assert_ne!(changed.header("etag"), tag);
        // The device was seen to begin, or to have ended already.
        assert_eq!(changed.of(200)["executions"]["queued"], 1);
        server.stop().await;
    }

    /// UC-13: the caller's own id gives the same job again, another request under it is refused, another client may use it.
    async fn the_same_correlator_gives_the_same_job(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let other = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 1).await;
        let body = with(read_job(&devices), "clientCorrelator", "rel-1");
        let job = create(&portal, &body).await;
        let again = portal.post("/v1/jobs", &body).await;
        assert_eq!((again.status.as_u16(), again.header("idempotency-replayed"), &again.json()["jobId"]), (202, "true", &job["jobId"]));
        let different = with(body.clone(), "expiresAt", "2026-12-24T00:00:00Z");
        let refused = portal.post("/v1/jobs", &different).await;
        assert_eq!(refused.of(409)["code"], "CLIENT_CORRELATOR_REUSED");
        assert_ne!(create(&other, &body).await["jobId"], job["jobId"]);
        call(&server, devices[0].0).await;
        portal.get(&format!("{}?wait=20", path(&job))).await.of(200);
        let ended = portal.post("/v1/jobs", &body).await;
        assert_eq!((ended.status.as_u16(), ended.header("idempotency-replayed")), (200, "true"));
        let found = portal.get("/v1/jobs?clientCorrelator=rel-1").await.of(200);
        assert_eq!(found["items"].as_array().unwrap().len(), 1);

        // Its end has come meanwhile: the job is there all the same.
        let end = server.clock.now().plus(Duration::from_secs(4));
        let body = with(with(read_job(&devices), "clientCorrelator", "rel-2"), "expiresAt", end.to_string());
        let job = create(&portal, &body).await;
        crate::harness::eventually("its end has come", async || server.clock.now() > end).await;
        let again = portal.post("/v1/jobs", &body).await;
        assert_eq!((again.header("idempotency-replayed"), &again.json()["jobId"]), ("true", &job["jobId"]));
        portal.post("/v1/jobs", &with(body, "clientCorrelator", "rel-3")).await.problem(422, "UNPROCESSABLE");

        let body = read_job(&devices);
        let key = [("idempotency-key", "\"k-1\"")];
        let first = portal.call(Method::POST, "/v1/jobs", &key, Some(&body)).await;
        let second = portal.call(Method::POST, "/v1/jobs", &key, Some(&body)).await;
        assert_eq!((second.header("idempotency-replayed"), &second.json()["jobId"]), ("true", &first.json()["jobId"]));
        server.stop().await;
    }

    /// UC-1: what cannot be is refused before anything is stored, with its place.
    async fn a_job_that_cannot_be_is_refused_with_its_places(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let stranger = server.portal("other", SCOPES).await;
        let devices = server.devices(&portal, 2).await;
        let foreign = server.devices(&stranger, 1).await;
        let of = |ids: &[&str]| with(read_job(&devices), "target", json!({"type": "DEVICES", "deviceIds": ids}));
        let unknown = format!("dev_{}", "0".repeat(32));
        let (own, theirs) = (devices[0].1.as_str(), foreign[0].1.as_str());
        for (body, status, pointers) in [
            (of(&[own, &unknown, own, theirs, "dev_x"]), 422, vec!["/target/deviceIds/1", "/target/deviceIds/2", "/target/deviceIds/3", "/target/deviceIds/4"]),
            (of(&[]), 422, vec!["/target/deviceIds"]),
            (with(read_job(&devices), "expiresAt", "2020-01-01T00:00:00Z"), 422, vec!["/expiresAt"]),
            (with(read_job(&devices), "expiresAt", "2099-01-01T00:00:00Z"), 422, vec!["/expiresAt"]),
            (with(read_job(&devices), "colour", "red"), 400, vec!["/colour"]),
            (with(read_job(&devices), "clientCorrelator", "a b"), 400, vec!["/clientCorrelator"]),
            (with(read_job(&devices), "operation", json!({"type": "NODES_GET", "nodes": []})), 400, vec!["/operation/nodes"]),
        ] {
            let problem = portal.post("/v1/jobs", &body).await.of(status);
            let at: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
            assert_eq!(at, pointers, "{problem}");
        }
        assert!(portal.get("/v1/jobs").await.of(200)["items"].as_array().unwrap().is_empty());
        server.stop().await;
    }

    async fn a_job_is_seen_by_its_own_client_only(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let colleague = server.portal("acme", SCOPES).await;
        let reader = server.portal("acme", "jobs:read").await;
        let devices = server.devices(&portal, 1).await;
        let job = create(&portal, &read_job(&devices)).await;
        let base = path(&job);
        for path in [base.clone(), format!("{base}/executions"), format!("{base}/results"), format!("{base}/executions/{}", devices[0].1), format!("{base}/executions/{}/results", devices[0].1)] {
            assert_eq!(portal.get(&path).await.status.as_u16(), 200, "{path}");
            assert_eq!(colleague.get(&path).await.of(404)["code"], "NOT_FOUND", "{path}");
        }
        assert_eq!(colleague.post(&format!("{base}/cancel"), &json!({})).await.status.as_u16(), 404);
        assert_eq!(reader.post(&format!("{base}/cancel"), &json!({})).await.status.as_u16(), 403);
        assert_eq!(reader.post("/v1/jobs", &read_job(&devices)).await.status.as_u16(), 403);
        assert!(colleague.get("/v1/jobs").await.of(200)["items"].as_array().unwrap().is_empty());
        server.stop().await;
    }

    async fn jobs_are_listed_page_by_page_newest_first(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 1).await;
        let mut made = Vec::new();
        for _ in 0..3 {
            made.insert(0, create(&portal, &read_job(&devices)).await["jobId"].clone());
        }
        let first = portal.get("/v1/jobs?perPage=2&state=RUNNING&operationType=NODES_GET").await.of(200);
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = portal.get(&format!("/v1/jobs?perPage=2&state=RUNNING&operationType=NODES_GET&cursor={cursor}")).await.of(200);
        let ids: Vec<_> = [&first, &second].iter().flat_map(|page| page["items"].as_array().unwrap()).map(|job| job["jobId"].clone()).collect();
        assert_eq!(ids, made);
        assert_eq!(portal.get(&format!("/v1/jobs?perPage=2&cursor={cursor}")).await.status.as_u16(), 400, "other filters");
        assert_eq!(portal.get("/v1/jobs?operationType=DANCE").await.status.as_u16(), 400);
        assert!(portal.get("/v1/jobs?state=COMPLETED").await.of(200)["items"].as_array().unwrap().is_empty());
        server.stop().await;
    }

    async fn a_cancelled_job_ends_all_its_executions(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 3).await;
        let job = create(&portal, &read_job(&devices)).await;
        call(&server, devices[0].0).await;
        let cancel = format!("{}/cancel", path(&job));
        let cancelled = portal.call(Method::POST, &cancel, &[], None).await.of(202);
        assert!(["CANCELLING", "CANCELLED"].contains(&cancelled["state"].as_str().unwrap()));
        let ended = portal.get(&format!("{}?wait=20", path(&job))).await.of(200);
        assert_eq!((ended["state"].as_str(), ended["outcome"].as_str()), (Some("CANCELLED"), Some("PARTIAL")));
        assert_eq!((&ended["executions"]["succeeded"], &ended["executions"]["cancelled"]), (&json!(1), &json!(2)));
        assert_eq!(portal.call(Method::POST, &cancel, &[], None).await.of(202)["state"], "CANCELLED");
        let done = create(&portal, &read_job(&devices[..1])).await;
        call(&server, devices[0].0).await;
        portal.get(&format!("{}?wait=20", path(&done))).await.of(200);
        let late = portal.call(Method::POST, &format!("{}/cancel", path(&done)), &[], None).await;
        assert_eq!(late.of(409)["code"], "JOB_FINISHED");
        server.stop().await;
    }

    /// OES10: every job ends, also when the device never calls.
    async fn a_job_whose_device_never_calls_expires(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 1).await;
        let end = server.clock.now().plus(Duration::from_secs(2)).to_string();
        let job = create(&portal, &with(read_job(&devices), "expiresAt", end)).await;
        let ended = portal.get(&format!("{}?wait=30", path(&job))).await.of(200);
        assert_eq!((ended["state"].as_str(), ended["outcome"].as_str()), (Some("EXPIRED"), Some("FAILED")));
        assert_eq!(ended["executions"]["expired"], 1);
        server.stop().await;
    }

    /// Each phase has a timeout.
    async fn a_phase_that_takes_too_long_ends_the_execution(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 1).await;
        let operation = json!({
            "type": "FIRMWARE_UPDATE", "packageUrl": "https://d.example/p", "expectedFirmwareVersion": "2",
            "delivery": "DOWNLOAD_THEN_UPDATE", "downloadTimeoutSeconds": 1
        });
        let job = create(&portal, &with(read_job(&devices), "operation", operation)).await;
        let device = devices[0].0;
        let mut commands = step(&server, device, |execution, now| execution.turn(&Facts::default(), now)).await;
        while !commands.is_empty() {
            let answers: Vec<_> = commands.into_iter().map(|command| {
                let text = if command.target_text().ends_with("State") { "10" } else { "1" };
                let reading = Reading { node: command.target().unwrap().clone(), value: NodeValue::text(text) };
                Answer { readings: vec![reading], ..Answer::with(command, StatusCode(200)) }
            }).collect();
            commands = step(&server, device, move |execution, now| execution.answered(&answers, &Facts::default(), now)).await;
        }
        let ended = portal.get(&format!("{}?wait=30", path(&job))).await.of(200);
        assert_eq!(ended["outcome"], "FAILED");
        let one = portal.get(&format!("{}/executions/{}", path(&job), devices[0].1)).await.of(200);
        assert_eq!((one["state"].as_str(), one["outcome"].as_str()), (Some("FAILED"), Some("DOWNLOAD_NOT_REPORTED")));
        assert!(one["evidence"].as_array().unwrap().iter().any(|fact| fact["type"] == "READ"));
        server.stop().await;
    }

    /// UC-1, EI10: a target too big for one transaction is expanded by a task; a device that went meanwhile is refused.
    async fn a_big_target_is_expanded_by_a_task(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let devices = server.devices(&portal, 6_001).await;
        let job = create(&portal, &read_job(&devices)).await;
        let job_path = path(&job);
        eventually("all executions are there", async || portal.get(&job_path).await.of(200)["executions"]["queued"] == 6_001).await;
        assert_eq!(portal.get(&job_path).await.of(200)["state"], "RUNNING");
        let lines = portal.call(Method::GET, &format!("{job_path}/results"), &[("accept", "application/x-ndjson")], None).await;
        let named: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["deviceId"].clone()).collect();
        assert!(named.iter().eq(devices.iter().map(|(_, name)| name)), "each device once, in order");
        portal.call(Method::POST, &format!("{job_path}/cancel"), &[], None).await.of(202);
        let ended = portal.get(&format!("{job_path}?wait=30")).await.of(200);
        assert_eq!((ended["state"].as_str(), ended["executions"]["cancelled"].as_u64()), (Some("CANCELLED"), Some(6_001)));
        server.stop().await;
    }
}
