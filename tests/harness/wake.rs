//! Wakes: devices that listen, a server that tries again soon, gateways that notifications are given to.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_simulator::Ear;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::handset::SCOPES;
use super::server::{Portal, Server};
use super::{Database, eventually};

/// A server that tries again soon, and a portal at it.
pub(crate) async fn quick(database: &Database, change: impl FnOnce(&mut Config)) -> (Server, Portal) {
    let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
        config.push.retry_first_ms = 200;
        config.push.retry_longest_ms = 400;
        config.gateway.seen_flush_seconds = 1;
        change(config);
    });
    let server = server.await;
    let portal = server.portal("acme", SCOPES).await;
    (server, portal)
}

/// An ear of a device, and the push address that leads to it.
pub(crate) async fn ear() -> (Ear, Value) {
    let ear = Ear::open([127, 0, 0, 1].into(), 0).await.unwrap();
    let push = json!({"type": "UDP", "host": "127.0.0.1", "port": ear.address().port()});
    (ear, push)
}

/// How many datagrams come within that time.
pub(crate) async fn heard_within(ear: &Ear, time: Duration) -> usize {
    let (began, mut count) = (Instant::now(), 0);
    while let Ok(datagram) = tokio::time::timeout(time.saturating_sub(began.elapsed()), ear.listen()).await {
        datagram.unwrap();
        count += 1;
    }
    count
}

/// The wake of a device.
pub(crate) async fn wake(portal: &Portal, id: &str) -> Value {
    portal.get(&format!("/v1/devices/{id}/wake")).await.of(200)
}

/// Asks that a device be woken.
pub(crate) async fn ask(portal: &Portal, id: &str) -> Value {
    portal.post(&format!("/v1/devices/{id}/wake"), &Value::Null).await.of(202)
}

/// The wake when it has come to that state.
pub(crate) async fn comes_to(portal: &Portal, id: &str, state: &str) -> Value {
    eventually(state, async || wake(portal, id).await["state"] == state).await;
    wake(portal, id).await
}

/// Requests as they came: the head, its names in lower case, and the body.
pub(crate) type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A gateway that answers with these statuses, the last of them again and again; its address for a device.
pub(crate) async fn gateway(answers: &[&str]) -> (String, Requests) {
    let answers: Vec<_> =
        answers.iter().map(|answer| format!("{answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")).collect();
    answering("/device/1", move |count, _body| answers.get(count).or(answers.last()).unwrap().clone()).await
}

/// A push proxy gateway that answers with the code in the last four digits of the number that is pushed to, and with no document for `0000`; its address.
pub(crate) async fn push_proxy() -> (String, Requests) {
    let answer = |_count: usize, body: &[u8]| {
        let control = String::from_utf8_lossy(body);
        let number = control.split("/TYPE=PLMN").next().unwrap_or_default();
        let code = number.get(number.len().saturating_sub(4)..).unwrap_or_default();
        let document = if code == "0000" {
            String::new()
        } else {
            format!(
                "<?xml version=\"1.0\"?><!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\">\
                <pap><push-response push-id=\"x\"><response-result code=\"{code}\" desc=\"says so\"/></push-response></pap>"
            )
        };
        let length = document.len();
        format!(
            "202 Accepted\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{document}"
        )
    };
    answering("/pap", answer).await
}

async fn answering(path: &str, answers: impl Fn(usize, &[u8]) -> String + Send + 'static) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let kept = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _peer)) = listener.accept().await {
            let mut bytes = Vec::new();
            let (head, body) = loop {
                let mut piece = [0; 4_096];
                let length = stream.read(&mut piece).await.unwrap_or(0);
                bytes.extend(&piece[..length]);
                if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                    let length = head
                        .to_lowercase()
                        .split("content-length: ")
                        .nth(1)
                        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
                    if bytes.len() >= end + 4 + length {
                        break (head, bytes[end + 4..].to_vec());
                    }
                }
                if length == 0 {
                    break (String::new(), Vec::new());
                }
            };
            let count = kept.lock().unwrap().len();
            let answer = answers(count, &body);
            kept.lock().unwrap().push((head, body));
            drop(stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    (url, requests)
}
