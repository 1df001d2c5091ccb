//! Tasks through the queue at batches of 500 with an empty handler, on both databases; against a raw batch claim and settle.
//!
//! `cargo bench --bench tasks`
#![expect(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a measurement that cannot go on should stop, and the harness of the tests has more than is needed here"
)]
#[path = "../tests/harness/database.rs"]
mod database;
#[path = "../tests/harness/postgres.rs"]
mod postgres;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use database::Database;
use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use dmwsi_domain::Clock;
use dmwsi_domain::id::TaskId;
use dmwsi_store::queue::NewTask;
use dmwsi_store::{DatabaseUrl, Store};
use dmwsi_worker::queue::{Lane, Outcome, Queues, Settings};

/// Tasks of a round.
const TASKS: usize = 20_000;
/// How many are claimed and settled at once.
const BATCH: u32 = 500;
/// Measured rounds of each; the middle one counts.
const ROUNDS: usize = 3;
const QUEUE: &str = "bench.v1";

#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    compare("SQLite, FULL", &Database::sqlite()).await;
    match Database::postgres() {
        Some(database) => compare("PostgreSQL", &database).await,
        None => println!("PostgreSQL is not installed: not measured"),
    }
}

async fn compare(name: &str, database: &Database) {
    let store = database.store().await;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(raw(database));
        ours.push(through_the_queue(&store).await);
    }
    let (ours, floor) = (median(ours), median(floors));
    println!(
        "{name}: a raw batch claim and settle {floor:9.0} tasks/s, the queue {ours:9.0} tasks/s, ratio {:.2} (aim 0.5)",
        ours / floor
    );
}

/// Tasks a second from the start of the workers to the last run.
async fn through_the_queue(store: &Store) -> f64 {
    let now = Clock::System.now();
    for chunk in 0..TASKS / 1_000 {
        let fill = move |tx: &mut dmwsi_store::Tx<'_>| {
            let mut ids = Clock::System.new_ids();
            (0..1_000).try_for_each(|n| {
                tx.enqueue(TaskId::new(ids.new_id()), &NewTask::new(QUEUE, None, &(chunk * 1_000 + n), now)?, now)
            })
        };
        store.write(fill).await.unwrap();
    }
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    let lane = Lane { room: 2 * BATCH, batch: BATCH, standing: false };
    let queues = Queues::new(store.clone(), Clock::System, Settings::default()).handle(QUEUE, lane, move |_: usize, _| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Outcome::Done)
        }
    });
    let began = Instant::now();
    let running = queues.start();
    while done.load(Ordering::Relaxed) < TASKS {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Until they are settled, too.
    running.stop().await;
    TASKS as f64 / began.elapsed().as_secs_f64()
}

/// The same number of rows, claimed and settled by nothing but two statements a batch, each in a durable transaction.
fn raw(database: &Database) -> f64 {
    const CLAIM: &str =
        "UPDATE raw SET state = 1 WHERE id IN (SELECT id FROM raw WHERE state = 0 ORDER BY id LIMIT 500) RETURNING id";
    macro_rules! measure {
        ($conn:expr, $fill:expr) => {{
            let mut conn = $conn;
            conn.batch_execute("DROP TABLE IF EXISTS raw").unwrap();
            conn.batch_execute("CREATE TABLE raw (id BIGINT PRIMARY KEY, state INTEGER NOT NULL, payload TEXT NOT NULL)")
                .unwrap();
            conn.batch_execute("CREATE INDEX raw_ready ON raw (state, id)").unwrap();
            conn.batch_execute($fill).unwrap();
            let began = Instant::now();
            loop {
                let claimed: Vec<Claimed> = sql_query(CLAIM).get_results(&mut conn).unwrap();
                if claimed.is_empty() {
                    break;
                }
                let ids: Vec<_> = claimed.iter().map(|one| one.id.to_string()).collect();
                conn.batch_execute(&format!("DELETE FROM raw WHERE id IN ({})", ids.join(","))).unwrap();
            }
            TASKS as f64 / began.elapsed().as_secs_f64()
        }};
    }
    match &database.url {
        DatabaseUrl::Postgres(url) => measure!(
            PgConnection::establish(url).unwrap(),
            "INSERT INTO raw SELECT n, 0, repeat('x', 60) FROM generate_series(1, 20000) n; ANALYZE raw"
        ),
        DatabaseUrl::Sqlite(path) => {
            let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            conn.batch_execute("PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL").unwrap();
            measure!(
                conn,
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                 INSERT INTO raw SELECT i, 0, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' FROM n"
            )
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
