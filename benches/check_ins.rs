//! Check-ins of idle devices, and sessions in which a node is read, through the real listener on durable SQLite; against bare handlers.
//!
//! `cargo bench --bench check_ins`
#![expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that cannot go on should stop, and counts are shown as fractions"
)]
#[path = "load/mod.rs"]
mod load;

#[path = "load/floor.rs"]
mod floor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi::clients::{self, NewClient};
use dmwsi::config::{Config, Listen};
use dmwsi::keys::Keys;
use dmwsi::portal::Portal;
use dmwsi::{Role, Running};
use dmwsi_domain::Clock;
use dmwsi_domain::scope::Grants;
use floor::Floor;
use load::{CONNECTIONS, Run, Script, median};
use reqwest::Method;
use serde_json::{Value, json};

/// Devices that check in.
const DEVICES: usize = 20_000;
/// Measured rounds of each; the middle one counts.
const ROUNDS: usize = 3;
/// How long a round of check-ins takes.
const ROUND: Duration = Duration::from_secs(4);
/// Threads of each listener.
const THREADS: usize = 2;

fn identity(number: usize) -> String {
    format!("BENCH:{number:06}")
}

/// Package 1 of a device: basic credentials, so that the same client can load the floor.
fn package_1(number: usize, session: usize) -> Vec<u8> {
    let (device, cred) = (identity(number), BASE64_STANDARD.encode(format!("{}:secret", identity(number))));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>{session:X}</SessionID><MsgID>1</MsgID><Target><LocURI>http://127.0.0.1:8080/dm</LocURI></Target><Source><LocURI>{device}</LocURI></Source><Cred><Meta><Format xmlns="syncml:metinf">b64</Format><Type xmlns="syncml:metinf">syncml:auth-basic</Type></Meta><Data>{cred}</Data></Cred><Meta><MaxMsgSize xmlns="syncml:metinf">16384</MaxMsgSize></Meta></SyncHdr><SyncBody><Alert><CmdID>1</CmdID><Data>1201</Data></Alert><Replace><CmdID>2</CmdID><Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Meta><Format xmlns="syncml:metinf">chr</Format></Meta><Data>{device}</Data></Item><Item><Source><LocURI>./DevInfo/Man</LocURI></Source><Data>Acme</Data></Item><Item><Source><LocURI>./DevInfo/Mod</LocURI></Source><Data>X1</Data></Item><Item><Source><LocURI>./DevInfo/DmV</LocURI></Source><Data>1.2</Data></Item><Item><Source><LocURI>./DevInfo/Lang</LocURI></Source><Data>en</Data></Item></Replace><Final/></SyncBody></SyncML>"#
    )
    .into_bytes()
}

/// Package 3: the answer to the one Get of package 2, by a client that does not heed `RespURI` and so shows its credentials again.
fn package_3(number: usize, session: usize) -> Vec<u8> {
    let (device, cred) = (identity(number), BASE64_STANDARD.encode(format!("{}:secret", identity(number))));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>{session:X}</SessionID><MsgID>2</MsgID><Target><LocURI>http://127.0.0.1:8080/dm</LocURI></Target><Source><LocURI>{device}</LocURI></Source><Cred><Meta><Format xmlns="syncml:metinf">b64</Format><Type xmlns="syncml:metinf">syncml:auth-basic</Type></Meta><Data>{cred}</Data></Cred></SyncHdr><SyncBody><Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status><Status><CmdID>2</CmdID><MsgRef>1</MsgRef><CmdRef>4</CmdRef><Cmd>Get</Cmd><TargetRef>./DevDetail/FwV</TargetRef><Data>200</Data></Status><Results><CmdID>3</CmdID><MsgRef>1</MsgRef><CmdRef>4</CmdRef><Item><Source><LocURI>./DevDetail/FwV</LocURI></Source><Meta><Format xmlns="syncml:metinf">chr</Format></Meta><Data>1.0.0</Data></Item></Results><Final/></SyncBody></SyncML>"#
    )
    .into_bytes()
}

/// Each connection has devices of its own and lets them check in one after the other, with a SessionID that is new each time.
fn check_ins(round: usize, expect: &'static [u8]) -> impl Fn(usize) -> Script + Send + 'static {
    move |connection| {
        let mut count = 0;
        Box::new(move |answer: &[u8]| {
            assert!(answer.is_empty() || answer.windows(expect.len()).any(|part| part == expect), "not the expected answer");
            let number = (connection + count * CONNECTIONS) % DEVICES;
            count += 1;
            Some(package_1(number, round * 4096 + count % 4096))
        })
    }
}

/// Every device holds one whole session: package 1 and 3.
fn sessions(expect: &'static [u8]) -> impl Fn(usize) -> Script + Send + 'static {
    let next = Arc::new(AtomicUsize::new(0));
    move |_connection| {
        let (next, mut open) = (Arc::clone(&next), None);
        Box::new(move |answer: &[u8]| {
            if let Some(number) = open.take() {
                assert!(answer.windows(expect.len()).any(|part| part == expect), "no Get: {}", String::from_utf8_lossy(answer));
                return Some(package_3(number, 7));
            }
            let number = next.fetch_add(1, Ordering::SeqCst);
            open = (number < DEVICES).then_some(number);
            open.map(|number| package_1(number, 7))
        })
    }
}

async fn server(folder: &std::path::Path) -> (Running, Portal) {
    let mut config = Config {
        public_url: "http://127.0.0.1:0".to_owned(),
        listen: Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), threads: THREADS, ..Listen::default() },
        ..Config::default()
    };
    config.store.url = format!("sqlite:{}", folder.join("dmwsi.db").display()).parse().unwrap();
    config.gateway.details_days = 0;
    let running = dmwsi::start(config, Keys::mint().unwrap(), Role::All, Clock::System).await.unwrap();
    let new = NewClient { organisation: "bench".to_owned(), name: "bench".to_owned(), scopes: Grants::all() };
    let (client, secret) = clients::add(running.store(), &Clock::System, new).await.unwrap();
    let portal = Portal::log_in(&format!("http://{}", running.address()), &client.id.to_string(), secret.reveal()).await.unwrap();
    (running, portal)
}

/// Registers every device in one call, as an external system would; their ids.
async fn register(portal: &Portal) -> Vec<String> {
    let line = |number: usize| {
        let client = json!({"auth": "BASIC", "name": identity(number), "secret": "secret"});
        let facts = json!({"manufacturer": "Acme", "model": "X1", "dmVersion": "1.2", "language": "en"});
        json!({"dmIdentity": identity(number), "account": {"serverId": "dmwsi", "client": client}, "facts": facts})
    };
    let lines: String = (0..DEVICES).map(|number| format!("{}\n", line(number))).collect();
    let verdicts = portal.import_lines(lines).await.unwrap();
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["deviceId"].as_str().unwrap().to_owned();
    verdicts.lines().map(id).collect()
}

async fn job(portal: &Portal, devices: &[String]) -> String {
    let job = portal.start(&json!({"type": "NODES_GET", "nodes": ["./DevDetail/FwV"]}), devices).await.unwrap();
    loop {
        let now = portal.call(Method::GET, &format!("/v1/jobs/{job}"), None).await.unwrap();
        if now["state"] == "RUNNING" {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_completed(portal: &Portal, job: &str) {
    loop {
        let now = portal.job(job, 30).await.unwrap();
        if now["state"] == "COMPLETED" {
            assert_eq!(now["outcome"], "SUCCEEDED", "{now}");
            return;
        }
    }
}

fn loaded(address: SocketAddr, limit: Duration, script: impl Fn(usize) -> Script + Send + 'static) -> Run {
    tokio::task::block_in_place(|| load::run(address, "/dm", limit, script))
}

fn line(what: &str, runs: &[Run]) -> (f64, f64) {
    let (rate, per_cpu) = (median(runs.iter().map(Run::rate).collect()), median(runs.iter().map(Run::per_cpu).collect()));
    let client = median(runs.iter().map(Run::client_micros).collect());
    println!("{what:52} {rate:9.0}/s   {per_cpu:9.0} per second of server CPU   client {client:5.1} us each");
    (rate, per_cpu)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let names: Vec<_> = (0..DEVICES).map(identity).collect();
    let (running, portal) = server(folder.path()).await;
    let devices = register(&portal).await;
    println!(
        "{} devices, {CONNECTIONS} connections, {THREADS} threads a listener, rounds of {} s",
        devices.len(),
        ROUND.as_secs()
    );
    let nothing = floor::start(Floor::Nothing, folder.path(), &names, THREADS);
    let read = floor::start(Floor::Read, folder.path(), &names, THREADS);
    let write = floor::start(Floor::ReadAndWrite, folder.path(), &names, THREADS);

    loaded(running.address(), ROUND / 2, check_ins(90, b"<Data>212</Data>"));
    if std::env::args().any(|argument| argument == "--profile") {
        println!("only dmwsi, to look at with a profiler");
        line("check-ins", &[loaded(running.address(), ROUND * 3, check_ins(91, b"<Data>212</Data>"))]);
        for _ in 0..ROUNDS {
            let job = job(&portal, &devices).await;
            line("sessions", &[loaded(running.address(), ROUND * 20, sessions(b"<Get>"))]);
            until_completed(&portal, &job).await;
        }
        return;
    }
    let (mut ours, mut floors, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        floors.push(loaded(read, ROUND, check_ins(round, b"212")));
        ours.push(loaded(running.address(), ROUND, check_ins(round, b"<Data>212</Data>")));
        bare.push(loaded(nothing, ROUND, check_ins(round, b"212")));
    }
    println!("\nidle check-ins");
    let bare = line("a bare handler that answers", &bare);
    let floor = line("a bare handler that parses and reads a row", &floors);
    let ours = line("dmwsi", &ours);
    println!(
        "ratio to the handler that parses and reads:  {:.2}   by server CPU {:.2}   (aim 0.6)",
        ours.0 / floor.0,
        ours.1 / floor.1
    );
    println!("ratio to the handler that only answers:      {:.2}   by server CPU {:.2}", ours.0 / bare.0, ours.1 / bare.1);

    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let job = job(&portal, &devices).await;
        floors.push(loaded(write, ROUND * 20, sessions(b"212")));
        ours.push(loaded(running.address(), ROUND * 20, sessions(b"<Get>")));
        until_completed(&portal, &job).await;
    }
    println!("\nsessions that read a node, messages");
    let floor = line("that handler, and a row in a shared commit", &floors);
    let ours = line("dmwsi", &ours);
    println!(
        "ratio:                                       {:.2}   by server CPU {:.2}   (aim 0.5)",
        ours.0 / floor.0,
        ours.1 / floor.1
    );
    running.stop().await.unwrap();
}
