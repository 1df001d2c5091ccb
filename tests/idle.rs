//! A server that has nothing to do.
use std::time::Duration;

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::id::DeviceId;
use dmwsi_simulator::Behaviour;
use dmwsi_store::sweep::Ages;
use serde_json::json;
use tokio::time::sleep;

use crate::harness::handset::{Handset, SCOPES, ended, job};
use crate::harness::server::Server;
use crate::harness::statements::{assert_indexed, open, plan, sent};
use crate::harness::{Database, eventually};

/// Expand, fold, cancel, expire, ingest, sweep, wake, two of deliveries, handshake, recover.
const QUEUES: u64 = 11;

/// Begin, savepoint, lost leases, claim, next, release, commit.
const STATEMENTS_PER_POLL: u64 = 7;

async fn at_rest(database: &Database, safety_poll_ms: u64) -> Server {
    let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
        config.tasks.safety_poll_ms = safety_poll_ms;
        config.gateway.seen_flush_seconds = 1;
    })
    .await;
    let portal = server.portal("acme", SCOPES).await;
    let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
    let read = json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]});
    let done = job(&portal, &handset.id, &read).await;
    handset.device.check_in().await.unwrap();
    ended(&portal, &done).await;
    // Somebody is still awaited.
    job(&portal, &handset.id, &read).await;
    eventually("the sweep rests", async || next_sweep(database).is_some()).await;
    sleep(Duration::from_millis(2_500)).await;
    server
}

/// When the sweep looks again.
fn next_sweep(database: &Database) -> Option<i64> {
    let rows = database
        .lines("SELECT CAST(run_at AS TEXT) AS line FROM tasks WHERE queue = 'sweep.v1' AND state = 'READY' AND attempt = 0");
    rows.first().map(|row| row.parse().unwrap()).filter(|at| *at > Clock::System.now().micros())
}

both! {
    /// An idle minute issues no more SQL than the safety polls; time is shortened by settings.
    async fn an_idle_server_asks_nothing_but_its_safety_polls(database: Database) {
        let server = at_rest(&database, 60_000).await;
        let before = server.store().statements();
        sleep(Duration::from_secs(4)).await;
        assert_eq!(server.store().statements(), before, "no safety poll was due");
        // The session that just ended is what is looked at next, or nothing.
        let rest = next_sweep(&database).unwrap() - Clock::System.now().micros();
        assert!(rest > 9 * 60_000_000, "the sweep rests for minutes: {rest}");
        server.stop().await;

        let server = at_rest(&database, 500).await;
        let before = server.store().statements();
        sleep(Duration::from_secs(4)).await;
        let statements = server.store().statements() - before;
        let polls = 4_000 / 500 + 1;
        assert!((1..=polls * QUEUES * STATEMENTS_PER_POLL).contains(&statements), "{statements} statements for {polls} polls of {QUEUES} queues");
        server.stop().await;
    }

    /// Whether anything is due is one statement, which takes the first rows of indexes.
    async fn a_look_for_what_is_due_is_one_indexed_read(database: Database) {
        drop(database.store().await);
        let store = open(&database);
        let (now, age) = (Clock::System.now(), Duration::from_secs(60));
        let statements = sent(store.glance(move |tx| tx.outlook(Ages { session_idle: age, imports_kept: age, events_kept: age, sessions_kept: age }, now))).await;
        assert_eq!(statements.len(), 1, "{statements:?}");
        let plan = plan(&database, &statements[0]);
        for index in ["executions_due", "executions_rests", "jobs_expiring", "sessions_age", "idempotency_keys_age", "imports_age"] {
            assert!(plan.contains(index), "{index}\n{plan}");
        }
        assert!(!plan.contains("Sort") && !plan.contains("TEMP B-TREE"), "{plan}");
        let device = DeviceId::new(Clock::System.new_id());
        let statements = sent(store.glance(move |tx| tx.unfinished_executions(device))).await;
        let plan = self::plan(&database, &statements[0]);
        assert_indexed(&statements[0], &plan);
        assert!(plan.contains("executions_of_device "), "{plan}");
    }
}
