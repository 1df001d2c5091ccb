//! A page of `GET /v1/events` out of a log of ten million events, against a bare handler that sends the same rows.
//!
//! `cargo bench --bench events`; needs some 12 GB of disk in the folder for temporary files. `DMWSI_BENCH_EVENTS` sets another number of events.
#![expect(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unused_macros,
    reason = "a measurement that cannot go on should stop, and the harness of the tests has more than is needed here"
)]
#[path = "../tests/harness/mod.rs"]
mod harness;
#[path = "load/mod.rs"]
mod load;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::id::{ClientId, OrganisationId};
use dmwsi_store::DatabaseUrl;
use harness::Database;
use harness::server::Server;
use load::{median, process_time};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Events of the log.
const EVENTS: u64 = 10_000_000;
/// How many a statement makes.
const CHUNK: u64 = 500_000;
/// Threads of each listener.
const THREADS: usize = 2;
/// Connections to the database of each, as the harness has it.
const POOL: u32 = 4;
/// Connections that ask.
const CONNECTIONS: usize = 16;
/// How long a round is.
const ROUND: Duration = Duration::from_secs(4);
/// Measured rounds of each; the middle one counts.
const ROUNDS: usize = 3;

const SCOPES: &str = "events:read jobs:read devices:read containers:read subscriptions:read";

/// Pages a second, and for each second of processor time that everything in this process but the client used.
type Speed = (f64, f64);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let events = std::env::var("DMWSI_BENCH_EVENTS").map_or(EVENTS, |events| events.parse().unwrap());
    measure("SQLite, FULL", Database::sqlite(), events).await;
    match Database::postgres() {
        Some(database) => measure("PostgreSQL", database, events).await,
        None => println!("PostgreSQL is not installed: not measured"),
    }
}

async fn measure(name: &str, database: Database, events: u64) {
    let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| config.listen.threads = THREADS).await;
    let (client, secret) = server.client("bench", SCOPES).await;
    let began = Instant::now();
    fill(&database, client.organisation, client.id, events);
    println!("{name}: a log of {events} events, filled in {:.0} s", began.elapsed().as_secs_f64());
    let token = server.ask_token(Some((&client.id.to_string(), &secret)), &[("grant_type", "client_credentials")]).await.of(200);
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let floor = bare(&database, client.organisation);
    let address: SocketAddr = server.url().strip_prefix("http://").unwrap().parse().unwrap();
    for page in [20_u64, 100] {
        let most = events - page;
        let (mut floors, mut pages) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            floors.push(asked(floor, "/events", "", page, most));
            pages.push(asked(address, "/v1/events", &bearer, page, most));
        }
        let middle = |all: &[Speed], which: fn(&Speed) -> f64| median(all.iter().map(which).collect());
        let (floor, ours) = (middle(&floors, |one| one.0), middle(&pages, |one| one.0));
        let (floor_cpu, ours_cpu) = (middle(&floors, |one| one.1), middle(&pages, |one| one.1));
        println!(
            "{name}: pages of {page:3}: a bare handler {floor:7.0}/s, /v1/events {ours:7.0}/s, ratio {:.2} (aim 0.5); by CPU of the process {floor_cpu:.0} and {ours_cpu:.0}, {:.2}",
            ours / floor,
            ours_cpu / floor_cpu
        );
    }
    server.stop().await;
}

/// Writes a log that has its numbers already, by statements that each make many events: of executions, changes of devices, and alerts.
fn fill(database: &Database, organisation: OrganisationId, client: ClientId, events: u64) {
    let (organisation, client) = (organisation.uuid().simple(), client.uuid().simple());
    let numbers = format!("next_event = {}, distributed = {events}", events + 1);
    database.execute(&format!("UPDATE organisations SET {numbers} WHERE id = '{organisation}'"));
    let first = Clock::System.now().minus(Duration::from_secs(20 * 86_400)).micros();
    let is_postgres = database.is_postgres();
    let hex = |value: &str| match is_postgres {
        true => format!("LPAD(TO_HEX(({value})::BIGINT), 32, '0')"),
        false => format!("PRINTF('%032x', {value})"),
    };
    let (id, job, device) = (hex("i"), hex("1099511627776 + i / 1000"), hex("2199023255552 + i % 20000"));
    let mut from = 1;
    while from <= events {
        let to = events.min(from + CHUNK - 1);
        let (before, source) = match is_postgres {
            true => {
                ("SET synchronous_commit = off; ".to_owned(), format!("GENERATE_SERIES({from}::BIGINT, {to}::BIGINT) AS n (i)"))
            }
            false => (
                "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -1000000; ".to_owned(),
                format!(
                    "(WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to}) SELECT i FROM n) AS n"
                ),
            ),
        };
        database.execute(&format!(
            r#"{before}INSERT INTO events
            (id, organisation_id, client_id, number, type, job_id, ordinal, device_id, revision, data, correlator, created_at, alert_type)
            SELECT {id}, '{organisation}', CASE WHEN i % 5 < 3 THEN '{client}' END, i,
            CASE i % 5 WHEN 2 THEN 'dmwsi.v1.execution-finished' WHEN 3 THEN 'dmwsi.v1.device-updated' WHEN 4 THEN 'dmwsi.v1.device-alert'
                ELSE 'dmwsi.v1.execution-phase' END,
            CASE WHEN i % 5 < 3 THEN {job} END, CASE WHEN i % 5 < 3 THEN i % 1000 END, {device}, i / 20000 + 1,
            CASE i % 5 WHEN 2 THEN '{{"state":"SUCCEEDED","outcome":"UPDATED"}}' WHEN 3 THEN '{{}}'
                WHEN 4 THEN '{{"alertType":"com.example.battery","mark":"WARNING","source":"./Vendor/Battery","format":"chr","data":"17 %"}}'
                ELSE '{{"phase":"DOWNLOADING","progress":40}}' END,
            NULL, {first} + i * 100000, CASE WHEN i % 5 = 4 THEN 'com.example.battery' END FROM {source}"#
        ));
        from = to + 1;
    }
    database.execute(if is_postgres { "VACUUM ANALYZE events" } else { "PRAGMA wal_checkpoint(TRUNCATE)" });
}

diesel::table! {
    events (id) {
        id -> Text,
        organisation_id -> Text,
        client_id -> Nullable<Text>,
        number -> Nullable<BigInt>,
        #[sql_name = "type"]
        kind -> Text,
        job_id -> Nullable<Text>,
        device_id -> Nullable<Text>,
        correlator -> Nullable<Text>,
        created_at -> BigInt,
        data -> Text,
    }
}

#[derive(Queryable, Selectable, Serialize)]
#[diesel(table_name = events)]
struct Row {
    id: String,
    number: Option<i64>,
    kind: String,
    client_id: Option<String>,
    job_id: Option<String>,
    device_id: Option<String>,
    correlator: Option<String>,
    created_at: i64,
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    after: i64,
    per_page: i64,
}

/// The connections of the floor.
#[derive(Clone)]
enum Rows {
    Postgres(Pool<ConnectionManager<PgConnection>>),
    Sqlite(Pool<ConnectionManager<SqliteConnection>>),
}

impl Rows {
    fn open(database: &Database) -> Self {
        match &database.url {
            DatabaseUrl::Postgres(url) => {
                Self::Postgres(Pool::builder().max_size(POOL).build(ConnectionManager::new(url)).unwrap())
            }
            DatabaseUrl::Sqlite(path) => {
                let manager = ConnectionManager::new(path.to_str().unwrap());
                Self::Sqlite(Pool::builder().max_size(POOL).build(manager).unwrap())
            }
        }
    }

    fn after(&self, organisation: &str, asked: &Asked) -> Vec<Row> {
        // The columns' types differ from database to database, so that one query cannot be both.
        macro_rules! found {
            ($pool:expr) => {
                events::table
                    .filter(events::organisation_id.eq(organisation))
                    .filter(events::number.gt(asked.after))
                    .order(events::number)
                    .limit(asked.per_page)
                    .select(Row::as_select())
                    .load(&mut $pool.get().unwrap())
                    .unwrap()
            };
        }
        match self {
            Self::Postgres(pool) => found!(pool),
            Self::Sqlite(pool) => found!(pool),
        }
    }
}

/// The floor: the same rows by the same connections, as JSON.
fn bare(database: &Database, organisation: OrganisationId) -> SocketAddr {
    let state = Data::new((Rows::open(database), organisation.uuid().simple().to_string()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handler = async |state: Data<(Rows, String)>, asked: web::Query<Asked>| {
        let rows = web::block(move || state.0.after(&state.1, &asked)).await.unwrap();
        HttpResponse::Ok().json(rows)
    };
    let server = HttpServer::new(move || App::new().app_data(state.clone()).route("/events", web::get().to(handler)));
    tokio::spawn(server.workers(THREADS).disable_signals().listen(listener).unwrap().run());
    address
}

/// Every connection asks for one page after the other, from anywhere in the log, on a thread of their own whose cost is measured apart.
fn asked(address: SocketAddr, path: &'static str, bearer: &str, page: u64, most: u64) -> Speed {
    let (before, bearer) = (process_time("/proc/self/stat"), bearer.to_owned());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stat = format!("/proc/{}/stat", std::fs::read_link("/proc/thread-self").unwrap().display());
        let (began, pages) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        runtime.block_on(async {
            let mut all = JoinSet::new();
            for number in 0..CONNECTIONS as u64 {
                let head = format!("HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\r\n");
                let pages = Arc::clone(&pages);
                all.spawn(async move {
                    let (mut stream, mut answer, mut chance) =
                        (TcpStream::connect(address).await.unwrap(), Vec::with_capacity(65_536), number + 1);
                    while began.elapsed() < ROUND {
                        // A linear congruential generator (Knuth, MMIX).
                        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let after = (chance >> 16) % most;
                        let request = format!("GET {path}?after={after}&perPage={page} {head}");
                        stream.write_all(request.as_bytes()).await.unwrap();
                        answer.clear();
                        while !complete(&answer) {
                            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the server hung up");
                        }
                        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
                        pages.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while let Some(done) = all.join_next().await {
                done.unwrap();
            }
        });
        (pages.load(Ordering::Relaxed), began.elapsed(), process_time(&stat))
    });
    let (pages, took, client) = tokio::task::block_in_place(|| thread.join().unwrap());
    let server = process_time("/proc/self/stat").saturating_sub(before + client);
    (pages as f64 / took.as_secs_f64(), pages as f64 / server.as_secs_f64())
}

/// Whether all of an answer is there.
fn complete(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = std::str::from_utf8(&answer[..end]).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap().trim().parse::<usize>().unwrap();
    answer.len() >= end + 4 + length
}
