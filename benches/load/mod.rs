//! A client that loads a server over real connections, on a thread of its own whose cost is measured apart.
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How many connections the client keeps busy.
pub(crate) const CONNECTIONS: usize = 64;

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Requests answered.
    pub(crate) requests: u64,
    /// In how much time.
    pub(crate) took: Duration,
    /// The processor time of the client's thread.
    pub(crate) client: Duration,
    /// The processor time of everything else in the process: the server.
    pub(crate) server: Duration,
}

impl Run {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// Requests for each second of the server's processor time.
    pub(crate) fn per_cpu(&self) -> f64 {
        self.requests as f64 / self.server.as_secs_f64()
    }

    /// Microseconds of the client's processor time for each request.
    pub(crate) fn client_micros(&self) -> f64 {
        self.client.as_secs_f64() * 1e6 / self.requests as f64
    }
}

/// One connection's script: given the last answer's body (empty at first), the next request's body, or none when it is over.
pub(crate) type Script = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

/// Runs a script on each of [`CONNECTIONS`] connections until all are over or the time is.
pub(crate) fn run(
    address: SocketAddr,
    path: &'static str,
    limit: Duration,
    script: impl Fn(usize) -> Script + Send + 'static,
) -> Run {
    let before = process_time("/proc/self/stat");
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stat = format!("/proc/{}/stat", fs::read_link("/proc/thread-self").unwrap().display());
        let (began, requests) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        runtime.block_on(async {
            let mut all = JoinSet::new();
            for number in 0..CONNECTIONS {
                all.spawn(talk(address, path, script(number), began + limit, Arc::clone(&requests)));
            }
            while let Some(done) = all.join_next().await {
                done.unwrap();
            }
        });
        (requests.load(Ordering::Relaxed), began.elapsed(), process_time(&stat))
    });
    let (requests, took, client) = thread.join().unwrap();
    Run { requests, took, client, server: process_time("/proc/self/stat").saturating_sub(before + client) }
}

async fn talk(address: SocketAddr, path: &str, mut script: Script, until: Instant, requests: Arc<AtomicU64>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut answer, mut body) = (Vec::with_capacity(8192), Vec::new());
    while Instant::now() < until {
        let Some(next) = script(&body) else { return };
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/vnd.syncml.dm+xml\r\nContent-Length: {}\r\n\r\n",
            next.len()
        )
        .into_bytes();
        request.extend_from_slice(&next);
        stream.write_all(&request).await.unwrap();
        answer.clear();
        let end = loop {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the server hung up");
            if let Some(end) = complete(&answer) {
                break end;
            }
        };
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        body = answer[end..].to_vec();
        requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where the body begins, once all of it is there.
fn complete(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..end]).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse::<usize>().unwrap();
    (answer.len() >= end + length).then_some(end)
}

/// The processor time of a process or thread by its `stat` file; the kernel counts in hundredths of a second.
pub(crate) fn process_time(stat: &str) -> Duration {
    let text = fs::read_to_string(stat).unwrap();
    let fields: Vec<_> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// The middle one.
pub(crate) fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}
