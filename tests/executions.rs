//! Executions as rows: one place writes a change and all that follows from it, or nothing of it.
use dmwsi_domain::event::Event;
use dmwsi_domain::execution::{Execution, ExecutionState};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::job::{Counts, Job};
use dmwsi_domain::{Clock, Error};
use dmwsi_objects::{Answer, Command, NodeUri, Reading, StatusCode, Value};
use dmwsi_store::{ExecutionPage, Store};
use serde_json::json;

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
    Answer { command: Command::Get { target: node }, status: Some(StatusCode::OK), readings: vec![reading] }
}

both! {
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
