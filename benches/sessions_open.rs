//! Sessions that are open at the same time, each of them answered once: what memory they take in a server that is a process of its own, and that
//! every one of them ends well.
//!
//! `cargo bench --bench sessions_open`, or `cargo bench --bench sessions_open -- postgres`; `DMWSI_BENCH_SESSIONS` sets another number.
#![expect(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a measurement that cannot go on should stop, and the harness of the tests has more than is needed here"
)]
mod served;

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi::portal::Portal;
use futures_util::stream::{self, StreamExt as _};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use served::{Database, Served};

/// How many sessions, unless the environment says otherwise.
const SESSIONS: usize = 10_000;
/// How many devices talk at a time; the sessions of the others stay open meanwhile.
const CONNECTIONS: usize = 64;
/// How long everything settles before memory is looked at.
const PAUSE: Duration = Duration::from_secs(2);

/// A session that a device has begun, with the last word of the server.
struct Open {
    number: usize,
    heard: String,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let count = std::env::var("DMWSI_BENCH_SESSIONS").ok().map_or(SESSIONS, |text| text.parse().unwrap());
    if std::env::args().any(|argument| argument == "postgres") {
        measure("PostgreSQL", &Database::postgres().expect("PostgreSQL is not installed"), count).await;
    } else {
        measure("SQLite, FULL", &Database::sqlite(), count).await;
    }
}

async fn measure(name: &str, database: &Database, count: usize) {
    let served = Served::start(database).await;
    let url = format!("http://{}/dm", served.address());
    let portal = served.portal().await;
    let devices = register(&portal, 2 * count).await;
    let (first, second) = devices.split_at(count);
    let http = reqwest::Client::builder().pool_max_idle_per_host(CONNECTIONS).build().unwrap();

    // The first round warms the caches of the server, which belong to no session.
    let job = start(&portal, first).await;
    let warm = opened(&http, &url, 0..count).await;
    ended(&http, warm).await;
    until_completed(&portal, &job).await;

    let job = start(&portal, second).await;
    tokio::time::sleep(PAUSE).await;
    let before = served.memory("VmRSS");
    let began = Instant::now();
    let open = opened(&http, &url, count..2 * count).await;
    let took = began.elapsed();
    tokio::time::sleep(PAUSE).await;
    let during = served.memory("VmRSS");
    let waiting = portal.call(Method::GET, &format!("/v1/jobs/{job}"), None).await.unwrap();
    assert_ne!(waiting["state"], "COMPLETED", "they are open: {waiting}");
    let began = Instant::now();
    ended(&http, open).await;
    let ending = began.elapsed();
    until_completed(&portal, &job).await;
    tokio::time::sleep(PAUSE).await;
    let after = served.memory("VmRSS");

    let each = (during as f64 - before as f64) * 1024.0 / count as f64;
    println!("{name}: {count} sessions open at once, all of them ended well");
    println!(
        "{name}: {:.1} MiB before, {:.1} MiB while open, {:.1} MiB after: {each:.0} bytes a session",
        mib(before),
        mib(during),
        mib(after)
    );
    println!("{name}: opened in {:.1} s, ended in {:.1} s", took.as_secs_f64(), ending.as_secs_f64());
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn identity(number: usize) -> String {
    format!("BENCH:{number:06}")
}

async fn register(portal: &Portal, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for from in (0..count).step_by(10_000) {
        let line = |number: usize| {
            let client = json!({"auth": "BASIC", "name": identity(number), "secret": "secret"});
            json!({"dmIdentity": identity(number), "account": {"serverId": "dmwsi", "client": client}})
        };
        let lines: String = (from..count.min(from + 10_000)).map(|number| format!("{}\n", line(number))).collect();
        let verdicts = portal.import_lines(lines).await.unwrap();
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["deviceId"].as_str().unwrap().to_owned();
        ids.extend(verdicts.lines().map(id));
    }
    ids
}

/// Has a node of each read; the job.
async fn start(portal: &Portal, devices: &[String]) -> String {
    let job = portal.start(&json!({"type": "NODES_GET", "nodes": ["./Vendor/Open"]}), devices).await.unwrap();
    while portal.call(Method::GET, &format!("/v1/jobs/{job}"), None).await.unwrap()["state"] != "RUNNING" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    job
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

/// Package 1 of each device: the server's first word to it is the question, and there it stays.
async fn opened(http: &reqwest::Client, url: &str, numbers: std::ops::Range<usize>) -> Vec<Open> {
    let open = stream::iter(numbers).map(|number| async move {
        let cred = BASE64_STANDARD.encode(format!("{}:secret", identity(number)));
        let cred = format!("<Cred><Meta><Format xmlns=\"syncml:metinf\">b64</Format><Type xmlns=\"syncml:metinf\">syncml:auth-basic</Type></Meta><Data>{cred}</Data></Cred>");
        let body = "<Alert><CmdID>1</CmdID><Data>1201</Data></Alert><Replace><CmdID>2</CmdID>\
            <Item><Source><LocURI>./DevInfo/Man</LocURI></Source><Data>Acme</Data></Item></Replace>";
        let heard = say(http, url, number, 1, &cred, body).await;
        assert!(heard.contains("<LocURI>./Vendor/Open</LocURI>"), "{heard}");
        Open { number, heard }
    });
    open.buffer_unordered(CONNECTIONS).collect().await
}

/// The rest of each session: every question is answered, until there is none.
async fn ended(http: &reqwest::Client, open: Vec<Open>) {
    stream::iter(open)
        .for_each_concurrent(CONNECTIONS, |Open { number, mut heard }| async move {
            for message in 2..8 {
                let asked: Vec<_> = heard.split("<Get><CmdID>").skip(1).map(|part| until(part, "</CmdID>")).collect();
                if asked.is_empty() {
                    return;
                }
                let of = message - 1;
                let told = asked.iter().map(|id| {
                    let is_first = message == 2;
                    let code = if is_first { 200 } else { 404 };
                    let status = format!("<Status><CmdID>{id}0</CmdID><MsgRef>{of}</MsgRef><CmdRef>{id}</CmdRef><Cmd>Get</Cmd><Data>{code}</Data></Status>");
                    let value = "<Item><Source><LocURI>./Vendor/Open</LocURI></Source><Data>x</Data></Item>";
                    let results = format!("<Results><CmdID>{id}1</CmdID><MsgRef>{of}</MsgRef><CmdRef>{id}</CmdRef>{value}</Results>");
                    if is_first { format!("{status}{results}") } else { status }
                });
                let header = format!("<Status><CmdID>1</CmdID><MsgRef>{of}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>200</Data></Status>");
                let body = format!("{header}{}", told.collect::<String>());
                let address = until(heard.split_once("<RespURI>").unwrap().1, "</RespURI>").replace("&amp;", "&");
                heard = say(http, &address, number, message, "", &body).await;
            }
            panic!("no end: {heard}");
        })
        .await;
}

fn until<'t>(text: &'t str, end: &str) -> &'t str {
    text.split_once(end).unwrap().0
}

async fn say(http: &reqwest::Client, url: &str, number: usize, message: u32, cred: &str, body: &str) -> String {
    let device = identity(number);
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
        <SessionID>7</SessionID><MsgID>{message}</MsgID><Target><LocURI>http://127.0.0.1/dm</LocURI></Target><Source><LocURI>{device}</LocURI></Source>\
        {cred}<Meta><MaxMsgSize xmlns=\"syncml:metinf\">16384</MaxMsgSize></Meta></SyncHdr><SyncBody>{body}<Final/></SyncBody></SyncML>"
    );
    let answer = http.post(url).header(CONTENT_TYPE, "application/vnd.syncml.dm+xml").body(text).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}
