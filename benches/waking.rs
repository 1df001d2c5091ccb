//! Notifications (package 0) a second through dispatch, on both databases; against a loop that sends as many bytes by nothing but a socket.
//!
//! `cargo bench --bench waking`
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

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use database::Database;
use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::device::{Device, NewDevice, Owner};
use dmwsi_domain::egress::Egress;
use dmwsi_domain::id::DeviceId;
use dmwsi_store::Store;
use dmwsi_store::wakes::Carriers;
use dmwsi_worker::egress::Guard;
use dmwsi_worker::push::{self, Pusher, Settings};
use dmwsi_worker::queue::Queues;
use serde_json::json;

/// Devices that are woken in a round.
const DEVICES: usize = 50_000;
/// Measured rounds of each; the middle one counts.
const ROUNDS: usize = 3;
/// A notification with the header of a WAP push, in bytes.
const BYTES: usize = 6 + 24 + 14;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    compare("SQLite, FULL", &Database::sqlite()).await;
    match Database::postgres() {
        Some(database) => compare("PostgreSQL", &database).await,
        None => println!("PostgreSQL is not installed: not measured"),
    }
}

async fn compare(name: &str, database: &Database) {
    let (sink, keys) = (UdpSocket::bind("127.0.0.1:0").unwrap(), Keys::mint().unwrap());
    let port = sink.local_addr().unwrap().port();
    // Somebody must take them, or the kernel's cost of dropping is measured.
    std::thread::spawn(move || while sink.recv(&mut [0; 256]).is_ok() {});
    let store = database.store().await;
    let devices = register(&store, &keys, port).await;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(bare(port));
        let round = u64::try_from(ours.len()).unwrap() + 1;
        ours.push(dispatched(&store, &keys, &devices, round).await);
    }
    let (ours, floor) = (median(ours), median(floors));
    println!(
        "{name}: a bare send loop {floor:9.0} packages/s, dispatch {ours:9.0} packages/s, ratio {:.2} (aim 0.3)",
        ours / floor
    );
}

/// Devices that can be woken at that port, with a nonce that they gave.
async fn register(store: &Store, keys: &Keys, port: u16) -> Vec<DeviceId> {
    let new = NewClient { organisation: "bench".into(), name: "portal".into(), scopes: "devices:wake".parse().unwrap() };
    let (client, _secret) = add(store, &Clock::System, new).await.unwrap();
    let owner = Owner { organisation: client.organisation, client: client.id };
    let sealing = keys.sealing_keys().unwrap();
    let make = |n: usize| -> Device {
        let credentials = |name: &str| json!({"auth": "DIGEST", "name": name, "secret": "correct horse battery"});
        let account =
            json!({"serverId": "dm.example.com", "client": credentials("device"), "server": credentials("dm.example.com")});
        let push = json!({"type": "UDP", "host": "127.0.0.1", "port": port});
        let new: NewDevice =
            serde_json::from_value(json!({"dmIdentity": format!("B:{n}"), "account": account, "pushAddress": push})).unwrap();
        let id = DeviceId::new(Clock::System.new_id());
        new.register(id, owner, Clock::System.now(), |account| sealing.seal_account(id, account)).unwrap()
    };
    let devices: Vec<Device> = (0..DEVICES).map(make).collect();
    let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    for chunk in devices.chunks(1_000) {
        let chunk = chunk.to_vec();
        let written = store.write(move |tx| {
            chunk.iter().try_for_each(|device| {
                tx.create_device(device)?;
                tx.save_server_nonce(device.id, b"012345678901234567890123")
            })
        });
        written.await.unwrap();
    }
    ids
}

/// Packages a second from the start of the task until the last is sent.
async fn dispatched(store: &Store, keys: &Keys, devices: &[DeviceId], round: u64) -> f64 {
    for chunk in devices.chunks(5_000) {
        let chunk = chunk.to_vec();
        let opened = store.write(move |tx| tx.open_wakes(&chunk, true, None, Clock::System.now(), &mut Clock::System.new_ids()));
        assert_eq!(opened.await.unwrap(), 5_000);
    }
    let settings =
        Settings { rate: 10_000_000, in_flight: 1_000_000, batch: 2_000, retry_first_ms: 3_600_000, ..Settings::default() };
    let guard = Guard::new(Egress::allowing(["127.0.0.0/8"]).unwrap());
    let pusher = Pusher::open(store.clone(), Clock::System, settings, keys.sealing_keys().unwrap(), guard).await.unwrap();
    let queues = Queues::new(store.clone(), Clock::System, dmwsi_worker::queue::Settings::default());
    let began = Instant::now();
    let running = push::handle(queues, pusher).start();
    let is_due =
        async || store.glance(|tx| tx.next_wake(&Carriers::ALL)).await.unwrap().is_some_and(|next| next <= Clock::System.now());
    while is_due().await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Until the last batch is sent, too.
    running.stop().await;
    let rate = devices.len() as f64 / began.elapsed().as_secs_f64();
    // As if they had all called, so that the next round wakes them anew.
    let called: Vec<_> = devices.iter().map(|device| (*device, round, Clock::System.now())).collect();
    store.write(move |tx| tx.end_wakes_called(&called)).await.unwrap();
    rate
}

/// Packages a second by nothing but a socket.
fn bare(port: u16) -> f64 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    for _ in 0..DEVICES {
        socket.send_to(&[0x5A; BYTES], ("127.0.0.1", port)).unwrap();
    }
    DEVICES as f64 / began.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
