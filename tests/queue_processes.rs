//! Two worker processes on PostgreSQL, one of which is killed.
use std::collections::BTreeMap;
use std::env;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use dmwsi_domain::Clock;
use dmwsi_domain::id::TaskId;
use dmwsi_store::queue::NewTask;
use dmwsi_store::{Settings as StoreSettings, Store};
use dmwsi_worker::queue::{Lane, Outcome, Queues, Settings};
use tokio::time::sleep;

use crate::harness::{Database, eventually};

const QUEUE: &str = "test.processes.v1";
/// Holds the address of the database in a process that is to be a worker.
const ADDRESS: &str = "DMWSI_TEST_WORKER";
const TASKS: usize = 200;
const ROOM: u32 = 4;

/// Not a test of its own: the test below starts this binary again with only this function, and a database to work on.
#[tokio::test(flavor = "multi_thread")]
async fn be_a_worker_when_told_so() {
    let Ok(address) = env::var(ADDRESS) else { return };
    let store = Store::open(&StoreSettings { pool_size: 4, ..StoreSettings::of(address.parse().unwrap()) }).unwrap();
    let settings = Settings { lease_ms: 1_500, ..Settings::default() };
    let _running = Queues::new(store, Clock::System, settings)
        .handle(QUEUE, Lane { room: ROOM, batch: ROOM, standing: false }, move |n: u32, context| {
            let address = address.clone();
            async move {
                let ran = move || {
                    let sql = format!("INSERT INTO ran VALUES ({n}, {}, {})", std::process::id(), context.attempt);
                    PgConnection::establish(&address).unwrap().batch_execute(&sql).unwrap();
                };
                tokio::task::spawn_blocking(ran).await.unwrap();
                sleep(Duration::from_millis(40)).await;
                Ok(Outcome::Done)
            }
        })
        .start();
    // Until killed, but never longer than the test may take.
    sleep(Duration::from_secs(60)).await;
}

/// Killed with its test, however that ends.
struct Worker(Child);

impl Worker {
    fn start(database: &Database) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "queue_processes::be_a_worker_when_told_so"])
            .env(ADDRESS, database.address())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_of_two_worker_processes_is_killed_the_other_runs_every_task() {
    let Some(database) = Database::postgres() else { return };
    let store = database.store().await;
    database.execute("CREATE TABLE ran (n BIGINT, pid BIGINT, attempt BIGINT)");
    let (ids, now) = (Clock::System.new_ids(), Clock::System.now());
    store
        .write(move |tx| {
            let mut ids = ids;
            (0..TASKS).try_for_each(|n| tx.enqueue(TaskId::new(ids.new_id()), &NewTask::new(QUEUE, None, &n, now)?, now))
        })
        .await
        .unwrap();
    let (mut doomed, other) = (Worker::start(&database), Worker::start(&database));
    let ran = |pid: u32| database.lines(&format!("SELECT n || ' ' || attempt AS line FROM ran WHERE pid = {pid}"));
    eventually("tasks of both", async || ran(doomed.0.id()).len() > 20 && ran(other.0.id()).len() > 20).await;
    doomed.kill();
    eventually("all tasks", async || store.read(|tx| tx.queue_depth()).await.unwrap().is_empty()).await;

    let mut runs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in database.lines("SELECT n || ' ' || pid || ' ' || attempt AS line FROM ran ORDER BY n, attempt") {
        let (n, run) = line.split_once(' ').unwrap();
        runs.entry(n.to_owned()).or_default().push(run.to_owned());
    }
    assert_eq!(runs.len(), TASKS);
    let twice: Vec<_> = runs.values().filter(|runs| runs.len() > 1).collect();
    assert!(twice.len() <= usize::try_from(ROOM).unwrap(), "only what the killed one held ran again: {twice:?}");
    for runs in twice {
        let expected = [format!("{} 1", doomed.0.id()), format!("{} 2", other.0.id())];
        assert_eq!(runs, &expected, "first by the killed one, then by the other");
    }
}
