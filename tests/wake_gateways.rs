//! Gateways that answer slowly keep nobody waiting but their own devices.
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_simulator::{Behaviour, Ear};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::harness::eventually;
use crate::harness::handset::{Handset, SCOPES};
use crate::harness::server::{Portal, Server};

/// A gateway that answers nobody until it is told to.
#[derive(Clone, Default)]
struct Gateway {
    /// The paths it was asked for.
    heard: Arc<Mutex<BTreeSet<String>>>,
    waiting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gateway {
    /// Its address, and how it is told to answer.
    async fn open() -> (Self, String, watch::Sender<bool>) {
        let (tell, told) = watch::channel(false);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let gateway = Self::default();
        let own = gateway.clone();
        tokio::spawn(async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                let (gateway, mut told) = (own.clone(), told.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    gateway.most.fetch_max(gateway.waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    gateway.heard.lock().unwrap().insert(line.split(' ').nth(1).unwrap_or_default().to_owned());
                    drop(told.wait_for(|open| *open).await);
                    gateway.waiting.fetch_sub(1, Ordering::SeqCst);
                    drop(stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await);
                    drop(stream.shutdown().await);
                });
            }
        });
        (gateway, url, tell)
    }
}

/// Has a device woken for its own sake.
async fn ask(portal: &Portal, id: &str) {
    portal.post(&format!("/v1/devices/{id}/wake"), &Value::Null).await.of(202);
}

both! {
    /// CC3: datagrams go out while requests hang, no more requests hang than may run, and all of them are made in the end.
    async fn a_gateway_that_does_not_answer_holds_up_no_datagram(database: Database) {
        const DEVICES: usize = 30;
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| {
            config.push.http_concurrency = 2;
            config.push.http_timeout_seconds = 60;
            config.push.retry_first_ms = 600_000;
        }).await;
        let portal = server.portal("acme", SCOPES).await;
        let (gateway, url, tell) = Gateway::open().await;
        for number in 0..DEVICES {
            let push = json!({"type": "HTTP", "url": format!("{url}/{number}")});
            let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
            ask(&portal, &handset.id).await;
        }
        eventually("requests hang", async || gateway.waiting.load(Ordering::SeqCst) == 2).await;
        for _ in 0..3 {
            let ear = Ear::open([127, 0, 0, 1].into(), 0).await.unwrap();
            let push = json!({"type": "UDP", "host": "127.0.0.1", "port": ear.address().port()});
            let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
            ask(&portal, &handset.id).await;
            let datagram = tokio::time::timeout(Duration::from_secs(5), ear.listen()).await.expect("a datagram").unwrap();
            assert!(handset.device.hear(&datagram).is_some());
        }
        assert_eq!((gateway.waiting.load(Ordering::SeqCst), gateway.heard.lock().unwrap().len()), (2, 2));
        tell.send(true).unwrap();
        eventually("all were asked for", async || gateway.heard.lock().unwrap().len() == DEVICES).await;
        assert_eq!(gateway.most.load(Ordering::SeqCst), 2);
        server.stop().await;
    }

    /// CC3: one gateway that does not answer has its share of the requests and no more; whoever is woken by another one does not wait for it.
    async fn a_gateway_that_does_not_answer_holds_up_no_other_gateway(database: Database) {
        const DEVICES: usize = 30;
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| {
            config.push.http_concurrency = 4;
            config.push.http_concurrency_each = 2;
            config.push.http_timeout_seconds = 60;
            config.push.retry_first_ms = 600_000;
        }).await;
        let portal = server.portal("acme", SCOPES).await;
        let (slow, slow_url, tell) = Gateway::open().await;
        let (quick, quick_url, answer) = Gateway::open().await;
        answer.send(true).unwrap();
        let wake = async |url: &str, number: usize| {
            let push = json!({"type": "HTTP", "url": format!("{url}/{number}")});
            let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
            ask(&portal, &handset.id).await;
        };
        for number in 0..DEVICES {
            wake(&slow_url, number).await;
        }
        eventually("requests hang", async || slow.waiting.load(Ordering::SeqCst) == 2).await;
        let began = Instant::now();
        for number in 0..DEVICES {
            wake(&quick_url, number).await;
        }
        eventually("the other gateway was asked", async || quick.heard.lock().unwrap().len() == DEVICES).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!((slow.waiting.load(Ordering::SeqCst), slow.heard.lock().unwrap().len()), (2, 2));
        // Those for the slow one that did not fit were left where they are, and nothing was tried in vain.
        let tried = database.lines("SELECT device_id AS line FROM wakes WHERE attempts > 0").len();
        assert!(tried < 2 * DEVICES, "{tried}");
        assert!(database.lines("SELECT trouble AS line FROM wakes WHERE trouble IS NOT NULL").is_empty());
        tell.send(true).unwrap();
        eventually("all were asked for", async || slow.heard.lock().unwrap().len() == DEVICES).await;
        assert_eq!(slow.most.load(Ordering::SeqCst), 2);
        server.stop().await;
    }
}
