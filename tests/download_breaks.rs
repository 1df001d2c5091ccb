//! Downloads that break on the way, counted byte by byte between the server and the device.
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use dmwsi_simulator::Behaviour;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::eventually;
use crate::harness::fetch::{Scene, ordered};
use crate::harness::handset::{Handset, ended, execution, outcome};

/// How often a download breaks.
const BREAKS: usize = 100;

/// What stands between a server and its devices: it passes downloads on, breaks them at certain bytes, and counts what it passed.
#[derive(Clone)]
struct Gap {
    server: String,
    breaks: Arc<Mutex<BTreeSet<usize>>>,
    /// How often each byte was passed.
    passed: Arc<Mutex<Vec<u32>>>,
}

impl Gap {
    /// Its address.
    async fn open(server: &str, size: usize, breaks: BTreeSet<usize>) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = server.trim_start_matches("http://").to_owned();
        let gap = Self { server, breaks: Arc::new(Mutex::new(breaks)), passed: Arc::new(Mutex::new(vec![0; size])) };
        let own = gap.clone();
        tokio::spawn(async move {
            while let Ok((device, _peer)) = listener.accept().await {
                let gap = own.clone();
                tokio::spawn(async move { gap.pass(device).await });
            }
        });
        (gap, address)
    }

    /// One request and its answer, up to the next byte at which it breaks.
    async fn pass(&self, mut device: TcpStream) {
        let request = head(&mut device).await;
        let mut server = TcpStream::connect(&self.server).await.unwrap();
        server.write_all(request.as_bytes()).await.unwrap();
        let answer = head(&mut server).await;
        let line = |name: &str| answer.lines().find_map(|line| line.to_lowercase().strip_prefix(name).map(str::to_owned));
        let mut at: usize = line("content-range: bytes ").map_or(0, |range| range.split('-').next().unwrap().parse().unwrap());
        let end = at + line("content-length: ").unwrap().parse::<usize>().unwrap();
        let stop = self.breaks.lock().unwrap().range(at + 1..).next().copied().unwrap_or(end);
        self.breaks.lock().unwrap().remove(&stop);
        let answer = answer.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        device.write_all(answer.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 16_384];
        while at < stop {
            let room = buffer.len().min(stop - at);
            let count = server.read(&mut buffer[..room]).await.unwrap();
            assert!(count > 0, "the server broke off at {at}");
            device.write_all(&buffer[..count]).await.unwrap();
            self.passed.lock().unwrap()[at..at + count].iter_mut().for_each(|passed| *passed += 1);
            at += count;
        }
        drop(device.shutdown().await);
    }
}

/// Everything up to the empty line, and not a byte more.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// The same numbers for the same seed, each from 1 to below `end` (xorshift).
fn numbers(mut seed: u64, end: usize) -> impl Iterator<Item = usize> {
    std::iter::repeat_with(move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        1 + usize::try_from(seed % u64::try_from(end - 1).unwrap()).unwrap()
    })
}

both! {
    /// FU-1: broken at a hundred random bytes, it is resumed at each, and no byte crosses the gap twice.
    async fn each_byte_of_a_download_broken_a_hundred_times_is_sent_once(database: Database) {
        const SIZE: usize = 3_000_000;
        // To run it again with the numbers of a failure, put its seed here.
        let seed = u64::from(std::process::id()) << 32 | u64::from(std::time::Instant::now().elapsed().subsec_nanos()) | 1;
        println!("seed {seed}");
        let mut breaks = BTreeSet::new();
        breaks.extend([1, SIZE - 1]);
        breaks.extend(numbers(seed, SIZE).filter(|at| *at > 1).take(BREAKS - 2));
        let requests = breaks.len() + 1;
        let scene = Scene::on(&database, SIZE, Behaviour::default(), |_| ()).await;
        let (gap, address) = Gap::open(scene.server.url(), SIZE, breaks).await;
        let behaviour = Behaviour { retry_ms: 1, ..Behaviour::default() };
        let mut handset = Handset::register(&scene.portal, scene.server.url(), behaviour).await;
        let (job, _token) = ordered(scene.server.store(), &scene.server.keys, &address, &scene.portal, &handset, &scene.bytes).await;
        handset.live().await;
        ended(&scene.portal, &job).await;
        assert_eq!(outcome(&scene.portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()), "seed {seed}");
        assert!(gap.breaks.lock().unwrap().is_empty(), "seed {seed}");
        let passed = gap.passed.lock().unwrap().clone();
        let wrong: Vec<_> = passed.iter().enumerate().filter(|(_, times)| **times != 1).take(5).collect();
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?}");
        eventually("all is counted", async || {
            let download = execution(&scene.portal, &job, &handset.id).await["download"].clone();
            download["requests"] == requests && download["reached"] == SIZE
        }).await;
        scene.server.stop().await;
    }
}
