//! Executions as rows: one place writes a change and all that follows from it, or nothing of it.
use dmwsi_domain::event::Event;
use dmwsi_domain::execution::{Execution, ExecutionState};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::job::{Counts, Job};
use dmwsi_domain::{Clock, Error};
use dmwsi_objects::{Answer, Command, NodeUri, Reading, StatusCode, Value};
use dmwsi_store::{ExecutionPage, Store};
use reqwest::Method;
use serde_json::json;

use crate::harness::eventually;
use crate::harness::server::{Portal, Server};

/// A job that reads a node of each of these devices, made as a portal makes it.
async fn job(server: &Server, portal: &Portal, devices: usize) -> Job {
    let ids: Vec<_> = server.devices(portal, devices).await.into_iter().map(|(_, name)| name).collect();
    let operation = json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]});
    let body = json!({"operation": operation, "target": {"type": "DEVICES", "deviceIds": ids}});
    let made = portal.post("/v1/jobs", &body).await.of(202);
    let id = made["jobId"].as_str().unwrap().parse().unwrap();
    server.store().read(move |tx| tx.job(id)).await.unwrap()
}

async fn execution(store: &Store, job: &Job, ordinal: u32) -> Execution {
    let job = job.id;
    store.read(move |tx| tx.execution(job, ordinal)).await.unwrap()
}

fn answer() -> Answer {
    let node = NodeUri::parse("./DevInfo/Man").unwrap();
    let reading = Reading { node: node.clone(), value: Value::text("Acme") };
    Answer { readings: vec![reading], ..Answer::with(Command::Get { target: node }, StatusCode::OK) }
}

both! {
    async fn what_a_deleted_device_had_still_to_do_ends(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "devices:read devices:write jobs:read jobs:write").await;
        let job = job(&server, &portal, 2).await;
        let (now, ids) = (Clock::System.now(), Clock::System.new_ids());
        let begun = execution(server.store(), &job, 1).await;
        let began = server.store().write(move |tx| {
            let (mut ids, mut execution) = (ids, begun.clone());
            let moved = execution.turn(&Facts::default(), now);
            tx.save_execution(begun.state, &execution, &moved, None, now, &mut ids)
        });
        began.await.unwrap();
        let listed = portal.get(&format!("/v1/jobs/{}/executions", job.id)).await.of(200);
        for ordinal in [0, 1] {
            let path = format!("/v1/devices/{}", listed["items"][usize::try_from(ordinal).unwrap()]["deviceId"].as_str().unwrap());
            assert_eq!(portal.call(Method::DELETE, &path, &[("if-match", "*")], None).await.status.as_u16(), 204);
            let gone = execution(server.store(), &job, ordinal).await;
            let state = if ordinal == 0 { ExecutionState::Refused } else { ExecutionState::Failed };
            assert_eq!((gone.state, gone.outcome.as_deref()), (state, Some("DEVICE_GONE")));
        }
        let ended = portal.get(&format!("/v1/jobs/{}?wait=20", job.id)).await.of(200);
        assert_eq!((ended["state"].as_str(), ended["outcome"].as_str()), (Some("COMPLETED"), Some("FAILED")));
        server.stop().await;
    }

    async fn a_session_that_cannot_be_read_is_given_up_and_keeps_nothing_else_from_its_end(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "jobs:read jobs:write").await;
        let job = job(&server, &portal, 2).await;
        let (damaged, late) = (execution(server.store(), &job, 0).await, execution(server.store(), &job, 1).await);
        server.stop().await;
        let (id, device) = (job.id.uuid().simple(), damaged.device.uuid().simple());
        database.execute(&format!("UPDATE executions SET state = 'RUNNING' WHERE job_id = '{id}' AND ordinal = 0"));
        database.execute(&format!("UPDATE executions SET due_at = 2 WHERE job_id = '{id}' AND ordinal = 1"));
        let no = if database.is_postgres() { "''::bytea" } else { "X''" };
        let yes = if database.is_postgres() { "TRUE" } else { "1" };
        database.execute(&format!(
            "INSERT INTO sessions (device_id, session, generation, is_open, job_id, ordinal, document, nonce_epoch, nonce_counter,
                last_message, last_body, last_reply, created_at, updated_at, revision)
            VALUES ('{device}', '1', 1, {yes}, '{id}', 0, '{{\"of\": \"another time\"}}', 0, 0, 1, {no}, {no}, 1, 1, 1)"
        ));
        let server = Server::on(&database).await;
        let store = server.store();
        eventually("the session is given up", async || execution(store, &job, 0).await.state == ExecutionState::Waiting).await;
        // What may have been asked counts as asked and not heard of.
        assert_eq!(execution(store, &job, 0).await.evidence.len(), 1);
        assert_eq!(store.read(move |tx| tx.open_session(damaged.device)).await.unwrap(), None);
        eventually("the late one ends", async || execution(store, &job, 1).await.state == ExecutionState::Failed).await;
        assert_eq!(late.state, ExecutionState::Queued);
        server.stop().await;
    }

    async fn a_change_decided_on_an_old_revision_leaves_no_trace(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "jobs:read jobs:write").await;
        let job = job(&server, &portal, 1).await;
        let store = server.store();
        let clock = Clock::System;
        let old = execution(store, &job, 0).await;
        for (fresh, act) in [(true, "turn"), (false, "cancel")] {
            let (now, ids, old) = (clock.now(), clock.new_ids(), old.clone());
            let saved = store.write(move |tx| {
                let (mut ids, mut execution) = (ids, old.clone());
                let moved = if act == "turn" { execution.turn(&Facts::default(), now) } else { execution.cancel(now) };
                tx.save_execution(old.state, &execution, &moved, Some("corr"), now, &mut ids)
            });
            assert_eq!(matches!(saved.await, Err(Error::Stale { .. })), !fresh, "{act}");
        }
        let present = execution(store, &job, 0).await;
        assert_eq!((present.state, present.revision), (ExecutionState::Running, 2));
        let id = job.id;
        let told = store.read(move |tx| tx.execution_events(id, 0, 10)).await.unwrap();
        assert_eq!(told[0].event, Event::ExecutionStarted { attempt: 1 });
        assert!(told.iter().all(|told| told.revision == 2 && told.correlator.as_deref() == Some("corr")));
        assert_eq!(told.len(), 2);
        let device = present.device;
        let of_device = store.read(move |tx| tx.device_events(device, None, 10)).await.unwrap();
        assert!(of_device.ends_with(&told), "{of_device:?}");
        let counts = store.read(move |tx| { let job = tx.job(id)?; tx.counts(&job) }).await.unwrap();
        assert_eq!(counts, Counts::of(ExecutionState::Running, 1));
        server.stop().await;
    }

    async fn what_is_stored_is_what_is_read_and_an_ended_execution_has_no_more_turn(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "jobs:read jobs:write").await;
        let job = job(&server, &portal, 3).await;
        let store = server.store();
        let (now, ids, id) = (server.clock.now(), server.clock.new_ids(), job.id);
        let saved = store.write(move |tx| {
            let (mut ids, mut execution) = (ids, tx.execution(id, 1)?);
            let was = execution.state;
            let moved = execution.answered(&[answer()], &Facts::default(), now);
            tx.save_execution(was, &execution, &moved, None, now, &mut ids)?;
            Ok(Execution { revision: execution.revision + 1, ..execution })
        });
        let saved = saved.await.unwrap();
        assert_eq!(execution(store, &job, 1).await, saved);
        let device = saved.device;
        assert!(store.read(move |tx| tx.unfinished_executions(device)).await.unwrap().is_empty());
        assert_eq!(store.read(move |tx| tx.execution_on(id, device)).await.unwrap(), saved);
        let page = |after, state| ExecutionPage { job: id, after, state, limit: 10 };
        let ordinals = async |page: ExecutionPage| {
            let found = store.read(move |tx| tx.executions(&page)).await.unwrap();
            found.into_iter().map(|execution| execution.ordinal).collect::<Vec<_>>()
        };
        assert_eq!(ordinals(page(None, None)).await, [0, 1, 2]);
        assert_eq!(ordinals(page(Some(0), None)).await, [1, 2]);
        assert_eq!(ordinals(page(None, Some(ExecutionState::Queued))).await, [0, 2]);
        let left = store.read(move |tx| tx.unfinished_of_job(id, Some(0), 10)).await.unwrap();
        assert_eq!(left.iter().map(|execution| execution.ordinal).collect::<Vec<_>>(), [2]);
        let results = store.read(move |tx| tx.results_of(id, &[0, 1, 2])).await.unwrap();
        assert_eq!((results.len(), results[0].0, results[0].1[0].value.clone()), (1, 1, Some(Value::text("Acme"))));
        server.stop().await;
    }
}
