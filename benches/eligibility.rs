//! What fits a device, among 10,000 deliverables: how long the answer takes.
//!
//! `cargo bench --bench eligibility`
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

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use dmwsi::portal::Portal;
use dmwsi_domain::archive::{Header, padding};
use openssl::sha::sha256;
use reqwest::Method;
use serde_json::{Value, json};
use served::{Database, Served};

/// Models, each with a device.
const MODELS: usize = 100;
/// Versions of the firmware of each model; of each there is a whole one and an update from the version before.
const VERSIONS: usize = 50;
/// From how many versions before the whole one installs.
const REACH: usize = 5;
/// Requests that are measured, after as many as there are models.
const REQUESTS: usize = 1_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("{} deliverables for {MODELS} models, {REQUESTS} requests, one after the other", 2 * MODELS * VERSIONS);
    measure("SQLite", &Database::sqlite()).await;
    match Database::postgres() {
        Some(database) => measure("PostgreSQL", &database).await,
        None => println!("PostgreSQL is not installed: not measured"),
    }
}

async fn measure(name: &str, database: &Database) {
    let served = Served::start(database).await;
    for version in 1..=VERSIONS {
        deliver(&served, version).await;
    }
    let portal = served.portal().await;
    let devices = register(&portal).await;
    if database.is_postgres() {
        ask(&format!("{name} just filled"), &portal, &devices).await;
        // As it does by itself within a minute or so of so many new rows.
        database.execute("ANALYZE");
    }
    ask(name, &portal, &devices).await;
}

/// Asks for the firmware of one device after the other.
async fn ask(name: &str, portal: &Portal, devices: &[String]) {
    for (list, query) in [("the first page", ""), ("what fits", "?includeUnfit=false")] {
        let mut times = Vec::new();
        for number in 0..MODELS + REQUESTS {
            let path = format!("/v1/devices/{}/firmware-updates{query}", devices[number % MODELS]);
            let began = Instant::now();
            let page = portal.call(Method::GET, &path, None).await.unwrap();
            times.push(began.elapsed());
            check(&page, number % MODELS);
        }
        let mut times = times.split_off(MODELS);
        times.sort();
        let at = |share: usize| times[REQUESTS * share / 100].as_secs_f64() * 1e3;
        println!("{name}, {list:16} p50 {:6.2} ms   p99 {:6.2} ms (aim below 10)", at(50), at(99));
    }
}

/// The version that a device has: every one occurs.
fn installed(model: usize) -> usize {
    1 + model % VERSIONS
}

/// Whole ones as far as they reach and the update to the next version; nothing for who has the last.
fn check(page: &Value, model: usize) {
    let fits = page["items"].as_array().unwrap().iter().filter(|item| item["fits"] == true).count();
    let next = (VERSIONS - installed(model)).min(REACH);
    assert_eq!(fits, next + next.min(1), "{page}");
}

/// A container of one version of the firmware of every model.
async fn deliver(served: &Served, version: usize) {
    let (mut items, mut members) = (Vec::new(), Vec::new());
    for model in 0..MODELS {
        let target = |rule: Value| json!([{"manufacturer": "Acme", "models": [format!("M{model}")], "fwVersion": rule}]);
        let oldest = version.saturating_sub(REACH);
        let whole = (format!("m{model}-{version}"), target(json!({"min": format!("1.{oldest}.0")})), None);
        let before = json!({"version": format!("1.{}.0", version - 1)});
        let delta = (format!("m{model}-{version}-delta"), target(json!({"any": true})), Some(before));
        for (name, targets, precursor) in [whole, delta] {
            let (path, bytes) = (format!("payloads/{name}.bin"), name.clone().into_bytes());
            let digest = sha256(&bytes).iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            });
            let payload = json!({"payloadId": "p0", "path": path, "size": bytes.len(), "digests": {"sha-256": digest}});
            let mut item = json!({
                "deliverableId": name, "kind": "FIRMWARE", "name": format!("M{model} firmware"), "version": format!("1.{version}.0"),
                "targets": targets, "payloads": [payload]
            });
            if let Some(precursor) = precursor {
                item["precursor"] = precursor;
            }
            items.push(item);
            members.push((path, bytes));
        }
    }
    let manifest = json!({
        "formatVersion": 1, "containerId": format!("urn:bench:{version}"), "sequenceNumber": version, "createdAt": "2026-11-20T10:00:00Z",
        "deliverables": items
    });
    let mut tar = Vec::new();
    for (name, bytes) in [("manifest.json".to_owned(), manifest.to_string().into_bytes())].into_iter().chain(members) {
        let size = bytes.len() as u64;
        tar.extend(Header { name, size }.write().unwrap());
        tar.extend(bytes);
        tar.resize(tar.len() + padding(size), 0);
    }
    tar.extend([0; 1024]);
    let sent = reqwest::Client::new().post(format!("http://{}/v1/containers", served.address()));
    let sent = sent.bearer_auth(served.token().await).header("content-type", "application/vnd.dmwsi.container.v1+tar");
    let sent = sent.timeout(Duration::from_secs(60)).body(tar).send().await.unwrap();
    assert_eq!(sent.status().as_u16(), 201, "{}", sent.text().await.unwrap());
}

/// A device of every model, which has told its version.
async fn register(portal: &Portal) -> Vec<String> {
    let mut devices = Vec::new();
    for model in 0..MODELS {
        let credentials = |name: &str| json!({"auth": "DIGEST", "name": name, "secret": "correct horse battery"});
        let new = json!({
            "dmIdentity": format!("B:{model}"),
            "account": {"serverId": "dm.example.com", "client": credentials("device"), "server": credentials("dm.example.com")},
            "pushAddress": {"type": "NONE"},
            "facts": {"manufacturer": "Acme", "model": format!("M{model}"), "firmwareVersion": format!("1.{}.0", installed(model))}
        });
        let made = portal.call(Method::POST, "/v1/devices", Some(&new)).await.unwrap();
        devices.push(made["deviceId"].as_str().unwrap().to_owned());
    }
    devices
}
