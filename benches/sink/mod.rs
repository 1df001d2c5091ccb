//! A receiver that costs next to nothing: it takes what comes on a thread of its own and notes when.
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What came, by `webhook-id`.
type Came = Arc<Mutex<HashMap<String, Instant>>>;

/// The receiver.
pub(crate) struct Sink {
    port: u16,
    came: Came,
    bytes: Arc<AtomicUsize>,
}

impl Sink {
    /// One that answers at once.
    pub(crate) fn open() -> Self {
        Self::with(false)
    }

    /// One that takes connections and never answers.
    pub(crate) fn hanging() -> Self {
        Self::with(true)
    }

    fn with(hangs: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let sink = Self { port: listener.local_addr().unwrap().port(), came: Came::default(), bytes: Arc::default() };
        let (came, bytes) = (Arc::clone(&sink.came), Arc::clone(&sink.bytes));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(take(stream, Arc::clone(&came), Arc::clone(&bytes), hangs));
                }
            });
        });
        sink
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    /// The length of the last body.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Begins anew.
    pub(crate) fn forget(&self) {
        self.came.lock().unwrap().clear();
    }

    /// Waits until all of these have come.
    pub(crate) async fn wait(&self, told: &[(String, Instant)]) {
        let began = Instant::now();
        for (id, _) in told {
            while !self.came.lock().unwrap().contains_key(id) {
                assert!(began.elapsed() < Duration::from_secs(180), "{id} did not come");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// When each came.
    pub(crate) fn times(&self) -> HashMap<String, Instant> {
        self.came.lock().unwrap().clone()
    }
}

async fn take(mut stream: TcpStream, came: Came, bytes: Arc<AtomicUsize>, hangs: bool) {
    stream.set_nodelay(true).unwrap();
    let mut read = Vec::with_capacity(8192);
    loop {
        let (id, length, end) = loop {
            if let Some(found) = complete(&read) {
                break found;
            }
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        bytes.store(length, Ordering::Relaxed);
        came.lock().unwrap().insert(id, Instant::now());
        read.drain(..end);
        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
            return;
        }
    }
}

/// The `webhook-id`, the length of the body and the end of a request, once all of it is there.
fn complete(read: &[u8]) -> Option<(String, usize, usize)> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&read[..end]).unwrap().to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let length = field("content-length")?.parse::<usize>().unwrap();
    let id = field("webhook-id").unwrap_or_default().to_owned();
    (read.len() >= end + length).then_some((id, length, end + length))
}
