//! A container of 1 GiB comes in over HTTP, against hashing and copying the same file by commands; and how much memory that takes.
//!
//! `cargo bench --bench ingest`
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

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use served::{Database, Served};

/// The size of the payload, in bytes.
const SIZE: usize = 1 << 30;
/// Measured rounds of each, every one with bytes of its own; the middle one counts.
const ROUNDS: u64 = 3;

/// What a delivery came to.
struct Delivery {
    took: Duration,
    /// By how much the memory of the server grew at most, in KiB.
    growth: u64,
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
    let served = Served::start(database).await;
    let (mut floors, mut fast, mut ours, mut growths) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let container = packed(folder.path(), round);
        floors.push(floor(&container, "sha256sum c.tar && cp c.tar copy"));
        // Where the processor can hash and `sha256sum` does not use that, this is the harder one. It is durable, as a delivery is.
        fast.push(floor(&container, "openssl dgst -sha256 c.tar && cp c.tar copy && sync copy"));
        let delivery = delivered(&served, &container).await;
        ours.push(delivery.took.as_secs_f64());
        growths.push(delivery.growth as f64 / 1024.0);
    }
    let (floor, fast, ours, growth) = (median(floors), median(fast), median(ours), median(growths.clone()));
    println!("{name}: dmwsi {ours:.2} s ({:.0} MB/s)", SIZE as f64 / ours / 1e6);
    println!("{name}: sha256sum && cp {floor:.2} s, ratio {:.2} (aim 0.7)", floor / ours);
    println!("{name}: openssl dgst -sha256 && cp && sync {fast:.2} s, ratio {:.2}", fast / ours);
    let most = growths.into_iter().fold(0.0, f64::max);
    println!("{name}: the server's memory grows by {growth:.1} MiB, at most {most:.1} (aim below 64)");
}

/// Packs a container of one payload of bytes that look random, by the command.
fn packed(folder: &Path, round: u64) -> PathBuf {
    let source = folder.join("source");
    fs::create_dir_all(source.join("payloads")).unwrap();
    let mut payload = BufWriter::with_capacity(1 << 20, File::create(source.join("payloads/p0.bin")).unwrap());
    let mut state = round;
    for _ in 0..SIZE / 8 {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        payload.write_all(&state.to_le_bytes()).unwrap();
    }
    payload.into_inner().unwrap().sync_all().unwrap();
    let one = json!({
        "deliverableId": "x1", "kind": "FIRMWARE", "name": "x1", "version": "2.0.0", "targets": [{"manufacturer": "Acme", "models": ["X1"]}],
        "payloads": [{"payloadId": "p0", "path": "payloads/p0.bin"}]
    });
    let manifest = json!({
        "formatVersion": 1, "containerId": format!("urn:bench:{round}"), "sequenceNumber": round, "createdAt": "2026-11-20T10:00:00Z",
        "deliverables": [one]
    });
    fs::write(source.join("manifest.json"), manifest.to_string()).unwrap();
    let container = folder.join("c.tar");
    let pack =
        Command::new(env!("CARGO_BIN_EXE_dmwsi")).args(["container", "pack", "--output"]).args([&container, &source]).output();
    let pack = pack.unwrap();
    assert!(pack.status.success(), "{}", String::from_utf8_lossy(&pack.stderr));
    fs::remove_dir_all(source).unwrap();
    container
}

/// The seconds that a shell takes for that beside the container.
fn floor(container: &Path, line: &str) -> f64 {
    let folder = container.parent().unwrap();
    let began = Instant::now();
    let done = Command::new("sh").args(["-ec", line]).current_dir(folder).output().unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::remove_file(folder.join("copy")).unwrap();
    // What is still to be written is not to be written while the next one runs.
    assert!(Command::new("sync").arg(container).status().unwrap().success());
    took
}

/// Sends the container from its file to the socket, until the answer is there.
async fn delivered(served: &Served, container: &Path) -> Delivery {
    let token = served.token().await;
    served.forget_peak();
    let before = served.memory("VmRSS");
    let mut file = File::open(container).unwrap();
    let head = format!(
        "POST /v1/containers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/vnd.dmwsi.container.v1+tar\r\nContent-Length: {}\r\n\r\n",
        file.metadata().unwrap().len()
    );
    let began = Instant::now();
    let mut stream = TcpStream::connect(served.address()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    io::copy(&mut file, &mut stream).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let took = began.elapsed();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    Delivery { took, growth: served.memory("VmHWM").saturating_sub(before) }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
