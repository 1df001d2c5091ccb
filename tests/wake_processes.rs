//! Two processes that wake the same devices.
use std::time::Duration;

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_simulator::{Behaviour, Ear};
use serde_json::json;

use crate::harness::handset::{Handset, SCOPES, job};
use crate::harness::process::Process;
use crate::harness::server::Portal;
use crate::harness::{Database, eventually};

/// AD-12, CC3
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_postgresql_wake_each_device_once() {
    const DEVICES: usize = 24;
    let Some(database) = Database::postgres() else { return };
    let store = database.store().await;
    let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
    let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
    drop(store);
    let keys = toml::to_string(&Keys::mint().unwrap()).unwrap();
    let settings = [
        ("DMWSI__PUSH__RETRY_FIRST_MS", "3600000"),
        ("DMWSI__PUSH__RETRY_LONGEST_MS", "3600000"),
        ("DMWSI__PUSH__BATCH", "2"),
        ("DMWSI__TASKS__SAFETY_POLL_MS", "50"),
    ];
    let processes =
        [Process::serve_as(&database, &keys, "all", &settings), Process::serve_as(&database, &keys, "all", &settings)];
    let mut sleepers = Vec::new();
    for number in 0..DEVICES {
        let process = &processes[number % 2];
        let portal = Portal::log_in(&process.base, &client, &secret).await;
        let ear = Ear::open([127, 0, 0, 1].into(), 0).await.unwrap();
        let push = json!({"type": "UDP", "host": "127.0.0.1", "port": ear.address().port()});
        let mut handset = Handset::register_at(&portal, &process.base, Behaviour::default(), &push).await;
        handset.device.check_in().await.unwrap();
        sleepers.push((handset, ear, portal));
    }
    // By then nobody is taken to be in a session.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let read = json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]});
    for (handset, _ear, portal) in &sleepers {
        job(portal, &handset.id, &read).await;
    }
    let tried = || database.lines("SELECT attempts::text AS line FROM wakes WHERE attempts > 0");
    eventually("all are woken", async || tried().len() == DEVICES).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(tried(), vec!["1"; DEVICES]);
    for (handset, ear, _portal) in &mut sleepers {
        let datagram = tokio::time::timeout(Duration::from_secs(5), ear.listen()).await.expect("a datagram").unwrap();
        let session = handset.device.hear(&datagram).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), ear.listen()).await.is_err(), "it is woken once");
        handset.device.answer_call(session).await.unwrap();
    }
    let left = || database.lines("SELECT state AS line FROM executions WHERE finished_at IS NULL");
    eventually("all is done", async || left().is_empty()).await;
}
