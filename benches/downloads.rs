//! Downloads of a package through the real listener, against a bare actix file handler that serves the same file.
//!
//! `cargo bench --bench downloads`
#![expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that cannot go on should stop, and counts are shown as fractions"
)]
#[expect(dead_code, reason = "of the client that sends messages only the clock and the middle are used here")]
#[path = "load/mod.rs"]
mod load;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use dmwsi::clients::{self, NewClient};
use dmwsi::config::{Config, Listen};
use dmwsi::keys::Keys;
use dmwsi::portal::Portal;
use dmwsi::{Role, Running};
use dmwsi_domain::Clock;
use dmwsi_domain::archive::{Header, padding};
use dmwsi_domain::digest::Sha256Digest;
use dmwsi_domain::scope::Grants;
use dmwsi_simulator::{DeviceProfile, sample_package};
use dmwsi_worker::download::{DownloadToken, Tokens};
use load::{median, process_time};
use openssl::sha::sha256;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The size of the package, in bytes.
const SIZE: usize = 64 << 20;
/// Devices that download at the same time.
const DEVICES: usize = 8;
/// Downloads of each device in a round.
const DOWNLOADS: usize = 8;
/// Measured rounds of each; the middle one counts.
const ROUNDS: usize = 5;
/// Threads of each listener.
const THREADS: usize = 2;

/// Bytes a second, and for each second of processor time that everything but the client used.
type Speed = (f64, f64);

/// What a server needs so that a device may fetch the package from it: the path.
async fn offer(running: &Running, keys: &Keys) -> String {
    let new = NewClient { organisation: "bench".to_owned(), name: "bench".to_owned(), scopes: Grants::all() };
    let (client, secret) = clients::add(running.store(), &Clock::System, new).await.unwrap();
    let base = format!("http://{}", running.address());
    let portal = Portal::log_in(&base, &client.id.to_string(), secret.reveal()).await.unwrap();
    let http = reqwest::Client::new();
    let token = http.post(format!("{base}/oauth2/token")).form(&[("grant_type", "client_credentials")]);
    let token = token.basic_auth(client.id, Some(secret.reveal())).send().await.unwrap();
    let token: serde_json::Value = token.json().await.unwrap();

    let package = sample_package("2.0.0", SIZE);
    let hash = sha256(&package);
    let digest = Sha256Digest::new(hash);
    let payload = json!({"payloadId": "p0", "path": "payloads/p0.bin", "size": SIZE, "digests": {"sha-256": digest}});
    let profile = DeviceProfile::nth(1, 1);
    let targets = json!([{"manufacturer": profile.manufacturer, "models": [profile.model]}]);
    let one = json!({"deliverableId": "x1", "kind": "FIRMWARE", "name": "x1", "version": "2.0.0", "targets": targets, "payloads": [payload]});
    let manifest = json!({"formatVersion": 1, "containerId": "urn:bench", "sequenceNumber": 1, "createdAt": "2026-11-20T10:00:00Z", "deliverables": [one]});
    let mut tar = Vec::new();
    for (name, bytes) in [("manifest.json", manifest.to_string().into_bytes()), ("payloads/p0.bin", package)] {
        let size = bytes.len() as u64;
        tar.extend(Header { name: name.to_owned(), size }.write().unwrap());
        tar.extend(bytes);
        tar.resize(tar.len() + padding(size), 0);
    }
    tar.extend([0; 1024]);
    let sent = http.post(format!("{base}/v1/containers")).bearer_auth(token["access_token"].as_str().unwrap());
    let sent = sent.header("content-type", "application/vnd.dmwsi.container.v1+tar").body(tar).send().await.unwrap();
    assert_eq!(sent.status().as_u16(), 201);
    let judged: serde_json::Value = sent.json().await.unwrap();

    let device = portal.register(&profile, None).await.unwrap();
    let update = json!({"type": "FIRMWARE_UPDATE", "deliverableId": judged["verdicts"][0]["deliverableId"]});
    let job = portal.start(&update, &[device]).await.unwrap();
    let expires = Clock::System.now().plus(Duration::from_secs(86_400));
    let token = DownloadToken { job: job.parse().unwrap(), ordinal: 0, payload: digest, expires };
    format!("/downloads/{}", Tokens::new(keys.download_key().unwrap()).mint(&token))
}

/// The file of the package in a content folder.
fn file_in(folder: &Path) -> PathBuf {
    let digest = Sha256Digest::new(sha256(&sample_package("2.0.0", SIZE))).to_string();
    folder.join("content/sha256").join(&digest[..2]).join(&digest[2..])
}

/// The floor: the file handler that everybody uses.
fn bare(file: PathBuf) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handler = async |file: Data<PathBuf>| actix_files::NamedFile::open(file.as_path());
    let server = HttpServer::new(move || App::new().app_data(Data::new(file.clone())).route("/file", web::get().to(handler)));
    tokio::spawn(server.workers(THREADS).disable_signals().listen(listener).unwrap().run());
    address
}

/// Every device downloads, on a thread of their own whose cost is measured apart.
fn fetched(address: SocketAddr, path: &str) -> Speed {
    let (before, path) = (process_time("/proc/self/stat"), path.to_owned());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stat = format!("/proc/{}/stat", std::fs::read_link("/proc/thread-self").unwrap().display());
        let began = Instant::now();
        runtime.block_on(async {
            let mut all = JoinSet::new();
            for _ in 0..DEVICES {
                all.spawn(download(address, path.clone()));
            }
            while let Some(done) = all.join_next().await {
                done.unwrap();
            }
        });
        (began.elapsed(), process_time(&stat))
    });
    let (took, client) = tokio::task::block_in_place(|| thread.join().unwrap());
    let server = process_time("/proc/self/stat").saturating_sub(before + client);
    let bytes = (SIZE * DEVICES * DOWNLOADS) as f64;
    (bytes / took.as_secs_f64(), bytes / server.as_secs_f64())
}

async fn download(address: SocketAddr, path: String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut buffer = vec![0; 256 << 10];
    for _ in 0..DOWNLOADS {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let (mut head, mut body) = (Vec::new(), None);
        while body.is_none_or(|body: usize| body < SIZE) {
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the server hung up after {}", String::from_utf8_lossy(&head));
            body = match body {
                Some(body) => Some(body + count),
                None => {
                    head.extend_from_slice(&buffer[..count]);
                    head.windows(4).position(|four| four == b"\r\n\r\n").map(|end| head.len() - end - 4)
                }
            };
        }
        assert!(head.starts_with(b"HTTP/1.1 200") && body == Some(SIZE));
    }
}

fn line(what: &str, speeds: &[Speed]) -> Speed {
    let middle = (median(speeds.iter().map(|one| one.0).collect()), median(speeds.iter().map(|one| one.1).collect()));
    println!("{what:32} {:8.0} MB/s   {:8.0} MB per second of server CPU", middle.0 / 1e6, middle.1 / 1e6);
    middle
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let mut config = Config {
        public_url: "http://127.0.0.1:0".to_owned(),
        listen: Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), threads: THREADS, ..Listen::default() },
        ..Config::default()
    };
    config.store.url = format!("sqlite:{}", folder.path().join("dmwsi.db").display()).parse().unwrap();
    let keys = Keys::mint().unwrap();
    let running = dmwsi::start(config, keys.clone(), Role::All, Clock::System).await.unwrap();
    let path = offer(&running, &keys).await;
    let floor = bare(file_in(folder.path()));
    println!("{DEVICES} connections, each {DOWNLOADS} times {} MiB a round, {THREADS} threads a listener", SIZE >> 20);

    fetched(floor, "/file");
    fetched(running.address(), &path);
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(fetched(floor, "/file"));
        ours.push(fetched(running.address(), &path));
    }
    let floor = line("a bare actix file handler", &floors);
    let ours = line("dmwsi", &ours);
    println!("ratio:                           {:.2}   by server CPU {:.2}   (aim 0.8)", ours.0 / floor.0, ours.1 / floor.1);
    running.stop().await.unwrap();
}
