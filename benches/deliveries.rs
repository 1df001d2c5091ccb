//! Events on their way from the commit to a receiver: how many a second, how soon, and what others cost them; against a bare loop of posts.
//!
//! `cargo bench --bench deliveries`, or `… -- postgres` for that alone, or `… -- notify` for what another process commits on PostgreSQL: told by NOTIFY,
//! and found by nothing but the look that is taken every second.
#![expect(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    unused_macros,
    reason = "a measurement that cannot go on should stop, and the harness of the tests has more than is needed here"
)]
#[path = "../tests/harness/mod.rs"]
mod harness;
mod sink;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::id::{DeviceId, EventId, JobId, SubscriptionId};
use dmwsi_domain::subscription::Subscription;
use dmwsi_domain::subscription_filter::Filter;
use dmwsi_objects::alert::Mark;
use dmwsi_store::{Settings, Store};
use harness::Database;
use harness::server::{Portal, Server};
use reqwest::Method;
use serde_json::{Value, json};
use sink::Sink;
use tokio::task::JoinSet;

/// Events of a round that measures the rate.
const EVENTS: usize = 20_000;
/// Devices they are about: what one tells must stay in order.
const DEVICES: usize = 2_000;
/// Posts of the bare loop that are under way at a time, as `webhooks.inFlight` has it.
const IN_FLIGHT: usize = 64;
/// Events a second of a round that measures the time to the receiver, and for how many seconds.
const STEADY: (usize, usize) = (1_000, 6);
/// Subscriptions that want nothing of what happens.
const OTHERS: usize = 10_000;
/// Measured rounds of each; the middle one counts.
const ROUNDS: usize = 3;
/// How often is looked for what no bell rang for, where that is measured, in milliseconds.
const LOOKS: u64 = 1_000;
/// Has a process that opens the database by this find a function of ours before PostgreSQL's: whom it notifies hears nothing.
const UNHEARD: &str = "options=-csearch_path%3Dunheard%2Cpg_catalog%2Cpublic";
const UNHEARD_SCHEMA: &str = "CREATE SCHEMA unheard;
CREATE FUNCTION unheard.pg_notify(TEXT, TEXT) RETURNS VOID LANGUAGE SQL AS 'SELECT';";

const SCOPES: &str = "subscriptions:read subscriptions:write devices:read jobs:read";

/// A server, its client, the devices that the events are about, and where these are committed.
struct Bench {
    server: Server,
    store: Store,
    portal: Portal,
    devices: Vec<DeviceId>,
    /// How many events were committed.
    told: AtomicUsize,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    if !asked("postgres") && !asked("notify") {
        measure("SQLite, FULL", &Database::sqlite()).await;
    }
    match Database::postgres() {
        Some(database) if asked("notify") => measure_notify(&database).await,
        Some(database) => measure("PostgreSQL", &database).await,
        None => println!("PostgreSQL is not installed: not measured"),
    }
}

async fn measure(name: &str, database: &Database) {
    let bench = Bench::open(database, |_config| {}).await;
    let sink = Sink::open();

    let (mut floors, mut rates) = (Vec::new(), Vec::new());
    let subscription = bench.subscribe(&sink, json!({})).await;
    for _ in 0..ROUNDS {
        floors.push(bare(&sink, &bench).await);
        rates.push(bench.rate(&sink).await);
    }
    let (rate, floor) = (median(rates), median(floors));
    println!(
        "{name}: a bare loop of posts {floor:7.0}/s, deliveries {rate:7.0}/s (aim 4000), ratio {:.2}, {} bytes each",
        rate / floor,
        sink.bytes()
    );

    let mut alone = Vec::new();
    for _ in 0..ROUNDS {
        alone.push(bench.p95(&sink).await);
    }
    println!("{name}: from the commit to the receiver at {}/s: p95 {:.1} ms (aim below 100)", STEADY.0, median(alone));

    let (mut before, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        before.push(bench.p95(&sink).await);
        let hanging = Sink::hanging();
        let other = bench.subscribe(&hanging, json!({})).await;
        // Its places are taken before anything is measured.
        bench.arrive(&sink, 100).await;
        beside.push(bench.p95(&sink).await);
        bench.unsubscribe(&other).await;
    }
    let (before, beside) = (median(before), median(beside));
    println!(
        "{name}: beside a receiver that hangs: p95 {before:.1} ms before, {beside:.1} ms then ({:+.0} %)",
        percent(before, beside)
    );

    let (mut few, mut many) = (Vec::new(), Vec::new());
    let others = bench.add_others(&subscription).await;
    for round in 0..2 * ROUNDS {
        let active = round % 2 == 1;
        bench.switch(&others, active).await;
        // The first event after that brings the index up to date.
        bench.arrive(&sink, 1).await;
        let rate = bench.rate(&sink).await;
        if active { many.push(rate) } else { few.push(rate) }
    }
    let (few, many) = (median(few), median(many));
    println!("{name}: one subscription {few:7.0}/s, with {OTHERS} that do not match {many:7.0}/s ({:+.0} %)", percent(few, many));
    bench.server.stop().await;
}

/// From the commit in another process to the receiver, by NOTIFY and without.
async fn measure_notify(database: &Database) {
    let mut bench = Bench::open(database, |config| config.tasks.safety_poll_ms = LOOKS).await;
    let sink = Sink::open();
    bench.subscribe(&sink, json!({})).await;
    database.execute(UNHEARD_SCHEMA);
    let address = database.address();
    let unheard = format!("{address}{}{UNHEARD}", if address.contains('?') { '&' } else { '?' });
    let [heard, unheard] = [address, unheard].map(|url| {
        let settings = Settings { url: url.parse().unwrap(), ..database.settings() };
        Store::open(&settings).unwrap()
    });
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (store, all) in [(&heard, &mut with), (&unheard, &mut without)] {
            bench.store = store.clone();
            all.push(bench.p95(&sink).await);
        }
    }
    println!(
        "PostgreSQL: from the commit in another process to the receiver at {}/s: p95 {:.1} ms by NOTIFY, {:.1} ms by a look every {LOOKS} ms",
        STEADY.0,
        median(with),
        median(without)
    );
    bench.server.stop().await;
}

impl Bench {
    async fn open(database: &Database, change: impl FnOnce(&mut Config)) -> Self {
        let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
            config.webhooks.handshake = dmwsi_domain::subscription::Handshake::Off;
            config.webhooks.timeout_ms = 30_000;
            change(config);
        });
        let server = server.await;
        let portal = server.portal("bench", SCOPES).await;
        let devices = server.devices(&portal, DEVICES).await.into_iter().map(|(device, _)| device).collect();
        Self { store: server.store().clone(), server, portal, devices, told: AtomicUsize::new(0) }
    }

    async fn subscribe(&self, sink: &Sink, filter: Value) -> Value {
        let new = json!({
            "protocol": "HTTP", "sink": sink.url(), "types": ["dmwsi.v1.device-alert"], "config": {"subscriptionDetail": filter}
        });
        self.portal.post("/v1/subscriptions", &new).await.of(201)
    }

    async fn unsubscribe(&self, subscription: &Value) {
        let path = format!("/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
        let gone = self.portal.call(Method::DELETE, &path, &[("if-match", "*")], None).await;
        assert!(gone.status.is_success(), "{}", gone.text);
    }

    /// Commits so many events, each of the next device.
    async fn tell(&self, count: usize) -> Vec<(String, Instant)> {
        let (at, owner) = (Clock::System.now(), self.portal.organisation);
        let make = |n: usize| Recorded {
            id: EventId::new(Clock::System.new_id()),
            organisation: owner,
            client: None,
            job: None,
            ordinal: None,
            device: Some(self.devices[n % DEVICES]),
            revision: 1,
            correlator: None,
            at,
            event: Event::DeviceAlert {
                alert_type: "com.example.battery".to_owned(),
                mark: "WARNING".to_owned(),
                correlator: None,
                source: Some("./Vendor/Battery".to_owned()),
                format: "chr".to_owned(),
                data: "17 %".to_owned(),
            },
        };
        let first = self.told.fetch_add(count, Ordering::Relaxed);
        let recorded: Vec<_> = (first..first + count).map(make).collect();
        let ids: Vec<_> = recorded.iter().map(|one| one.id.to_string()).collect();
        self.store.write(move |tx| tx.record_all(&recorded)).await.unwrap();
        let committed = Instant::now();
        ids.into_iter().map(|id| (id, committed)).collect()
    }

    /// Commits so many events and waits until they have come.
    async fn arrive(&self, sink: &Sink, count: usize) {
        sink.wait(&self.tell(count).await).await;
    }

    /// Deliveries a second, from the first that comes to the last.
    async fn rate(&self, sink: &Sink) -> f64 {
        sink.forget();
        let mut told = Vec::new();
        for _ in 0..EVENTS / 1_000 {
            told.extend(self.tell(1_000).await);
        }
        sink.wait(&told).await;
        let times = sink.times();
        let first = times.values().min().unwrap();
        (EVENTS - 1) as f64 / times.values().max().unwrap().duration_since(*first).as_secs_f64()
    }

    /// Milliseconds from the commit to the receiver that 95 of 100 events take at most, at a steady rate.
    async fn p95(&self, sink: &Sink) -> f64 {
        sink.forget();
        let (rate, seconds) = STEADY;
        let (mut told, mut ticks) = (Vec::new(), tokio::time::interval(Duration::from_millis(10)));
        for _ in 0..100 * seconds {
            ticks.tick().await;
            told.extend(self.tell(rate / 100).await);
        }
        sink.wait(&told).await;
        let came = sink.times();
        let mut took: Vec<f64> =
            told.iter().map(|(id, at)| came[id].saturating_duration_since(*at).as_secs_f64() * 1e3).collect();
        took.sort_by(f64::total_cmp);
        took[took.len() * 95 / 100]
    }

    /// Subscriptions that want other alerts: of other devices, jobs, nodes, marks or types.
    async fn add_others(&self, subscription: &Value) -> Vec<SubscriptionId> {
        let id: SubscriptionId = subscription["id"].as_str().unwrap().parse().unwrap();
        let model = self.server.store().read(move |tx| tx.subscription(id)).await.unwrap();
        let others: Vec<Subscription> = (0..OTHERS)
            .map(|number| {
                let mut other = model.clone();
                other.id = SubscriptionId::new(Clock::System.new_id());
                other.purpose.filter = unmatched(number);
                other
            })
            .collect();
        let ids = others.iter().map(|other| other.id).collect();
        for chunk in others.chunks(500) {
            let chunk = chunk.to_vec();
            let written =
                self.server.store().write(move |tx| chunk.iter().try_for_each(|other| tx.insert_subscription(other, i64::MAX)));
            written.await.unwrap();
        }
        ids
    }

    /// Switches them on or off.
    async fn switch(&self, others: &[SubscriptionId], on: bool) {
        for chunk in others.chunks(500) {
            let chunk = chunk.to_vec();
            let written = self.server.store().write(move |tx| {
                let now = Clock::System.now();
                chunk.iter().try_for_each(|id| {
                    let mut found = tx.subscription(*id)?;
                    found.switch(on, None, now)?;
                    tx.save_subscription(&found, [], None, now, &mut Clock::System.new_ids())
                })
            });
            written.await.unwrap();
        }
    }
}

/// What lets none of the alerts through, each number in another of the ways there are.
fn unmatched(number: usize) -> Filter {
    let all = || BTreeSet::from(["*".to_owned()]);
    match number % 6 {
        0 => Filter { devices: [DeviceId::new(Clock::System.new_id())].into(), ..Filter::default() },
        1 => Filter { jobs: [JobId::new(Clock::System.new_id())].into(), ..Filter::default() },
        2 => Filter { alert_types: [format!("com.example.other{number}")].into(), ..Filter::default() },
        3 => Filter { sources: [format!("./Vendor/Other{number}")].into(), ..Filter::default() },
        4 => Filter { alert_types: all(), sources: [format!("./Vendor/Battery/{number}")].into(), ..Filter::default() },
        _ => Filter { alert_types: all(), mark_at_least: Some(Mark::Critical), ..Filter::default() },
    }
}

/// Posts a second by nothing but reqwest, of a body as long as a delivery's.
async fn bare(sink: &Sink, bench: &Bench) -> f64 {
    if sink.bytes() == 0 {
        bench.arrive(sink, 1).await;
    }
    let (body, http, url) = (vec![b'x'; sink.bytes()], reqwest::Client::new(), sink.url());
    sink.forget();
    let (began, mut running, mut begun) = (Instant::now(), JoinSet::new(), 0);
    while begun < EVENTS || !running.is_empty() {
        while begun < EVENTS && running.len() < IN_FLIGHT {
            let post = http.post(&url).header("content-type", "application/cloudevents+json");
            let post = post.header("webhook-id", begun.to_string()).body(body.clone());
            running.spawn(async move { assert!(post.send().await.unwrap().status().is_success()) });
            begun += 1;
        }
        running.join_next().await.unwrap().unwrap();
    }
    EVENTS as f64 / began.elapsed().as_secs_f64()
}

fn percent(before: f64, then: f64) -> f64 {
    (then / before - 1.0) * 100.0
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
