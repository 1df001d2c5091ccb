//! Devices woken through a push proxy gateway (PAP).
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_simulator::Behaviour;
use dmwsi_worker::push::Body;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::handset::Handset;
use crate::harness::server::{Portal, Server};
use crate::harness::wake::{ask, comes_to, gateway, push_proxy, quick, wake};

both! {
    /// S-NT-01, CC3: the gateway gets its credentials, a control entity with the number and the package 0 as it is, and the device that hears it calls.
    async fn a_push_proxy_gateway_gets_the_number_and_the_package(database: Database) {
        let (url, requests) = push_proxy().await;
        let (server, portal) = quick(&database, |config| {
            config.push.sms_gateway = Some(url.replace("://", "://dmwsi:a%2Fb@").parse().unwrap());
            config.push.http_body = Body::Pap;
        })
        .await;
        let push = json!({"type": "SMS", "msisdn": "+491701231001"});
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        handset.device.check_in().await.unwrap();
        ask(&portal, &handset.id).await;
        eventually("a request", async || !requests.lock().unwrap().is_empty()).await;
        let (head, body) = requests.lock().unwrap()[0].clone();
        assert!(head.starts_with("POST /pap HTTP/1.1"), "{head}");
        assert!(head.contains(&format!("authorization: Basic {}\r\n", STANDARD.encode("dmwsi:a/b"))), "{head}");
        let boundary = head.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert!(head.contains(&format!("content-type: multipart/related; boundary=\"{boundary}\"; type=\"application/xml\"")), "{head}");

        let mark = format!("--{boundary}");
        let parts: Vec<_> = split(&body, mark.as_bytes());
        let [before, control, package, after] = &parts[..] else { panic!("{} parts", parts.len()) };
        assert_eq!((before.len(), &after[..]), (0, &b"--\r\n"[..]));
        let control = String::from_utf8(control.clone()).unwrap();
        assert!(control.starts_with("\r\nContent-Type: application/xml\r\n\r\n<?xml "), "{control}");
        assert!(control.contains("address-value=\"WAPPUSH=+491701231001/TYPE=PLMN@127.0.0.1\""), "{control}");
        assert!(control.ends_with("</push-message></pap>\r\n"), "{control}");
        let head = b"\r\nContent-Type: application/vnd.syncml.notification\r\nX-Wap-Application-Id: x-wap-application:syncml.dm\r\n\
            Content-Transfer-Encoding: binary\r\n\r\n";
        let package = package.strip_prefix(&head[..]).unwrap().strip_suffix(b"\r\n").unwrap();
        let session = handset.device.hear(package).unwrap();
        handset.device.answer_call(session).await.unwrap();
        comes_to(&portal, &handset.id, "ANSWERED").await;
        server.stop().await;
    }

    /// S-NT-01: what a gateway says of a push is what is wrong with the attempt, or that nothing is.
    async fn what_a_push_proxy_gateway_says_decides_whether_it_is_tried_again(database: Database) {
        let (url, requests) = push_proxy().await;
        let (server, portal) = quick(&database, |config| {
            config.push.sms_gateway = Some(url.parse().unwrap());
            config.push.http_body = Body::Pap;
            // No further attempt: what is written stays what was said of the first.
            config.push.retry_first_ms = 60_000;
            config.push.retry_longest_ms = 60_000;
        })
        .await;
        let taken = ["1000", "1001", "2007"];
        let mut devices = Vec::new();
        for code in taken {
            devices.push(called(&server, &portal, code).await);
        }
        // Each is called with both zero nonces, since nothing is known of it.
        eventually("all were taken", async || requests.lock().unwrap().len() == 2 * taken.len()).await;
        for (code, state, trouble) in [
            ("2000", "FAILED", "PAP_2000"),
            ("2001", "WAKING", "PAP_2001"),
            ("2003", "FAILED", "PAP_2003"),
            ("3000", "WAKING", "PAP_3000"),
            ("3001", "FAILED", "PAP_3001"),
            ("4000", "WAKING", "PAP_4000"),
            ("4001", "WAKING", "PAP_4001"),
            ("0000", "WAKING", "GATEWAY_UNCLEAR"),
        ] {
            let id = called(&server, &portal, code).await;
            let so = async || {
                let wake = wake(&portal, &id).await;
                (wake["state"].as_str(), wake["trouble"].as_str()) == (Some(state), Some(trouble))
            };
            eventually(code, so).await;
        }
        // Of answers that came before all of these, all is known by now.
        for id in devices {
            let wake = wake(&portal, &id).await;
            assert_eq!((&wake["state"], &wake["trouble"], &wake["attempts"]), (&json!("WAKING"), &Value::Null, &json!(1)), "{wake}");
        }
        server.stop().await;
    }

    /// S-NT-01: what is busy is asked again, by a push of its own.
    async fn a_further_attempt_is_a_further_push(database: Database) {
        let (url, requests) = push_proxy().await;
        let (server, portal) = quick(&database, |config| {
            config.push.sms_gateway = Some(url.parse().unwrap());
            config.push.http_body = Body::Pap;
        })
        .await;
        called(&server, &portal, "4001").await;
        eventually("it is tried again", async || requests.lock().unwrap().len() >= 2).await;
        let id = |place: usize| {
            let body = String::from_utf8_lossy(&requests.lock().unwrap()[place].1).into_owned();
            body.split("push-id=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
        };
        assert_ne!(id(0), id(1));
        server.stop().await;
    }

    /// S-NT-01: the address of one device is no push proxy gateway.
    async fn an_address_of_one_device_gets_the_package_as_it_is(database: Database) {
        let (url, requests) = gateway(&["202 Accepted"]).await;
        let (server, portal) = quick(&database, |config| config.push.http_body = Body::Pap).await;
        let push = json!({"type": "HTTP", "url": url});
        let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        ask(&portal, &handset.id).await;
        eventually("a request", async || !requests.lock().unwrap().is_empty()).await;
        let (head, body) = requests.lock().unwrap()[0].clone();
        assert!(head.contains("content-type: application/vnd.syncml.notification\r\n"), "{head}");
        assert!(handset.device.hear(&body).is_some());
        server.stop().await;
    }
}

/// A device that was asked to be woken, at a number that ends so.
async fn called(server: &Server, portal: &Portal, end: &str) -> String {
    let push = json!({"type": "SMS", "msisdn": format!("+4917000{end}")});
    let handset = Handset::register_at(portal, server.url(), Behaviour::default(), &push).await;
    ask(portal, &handset.id).await;
    handset.id
}

/// What stands before, between and after the marks.
fn split(bytes: &[u8], mark: &[u8]) -> Vec<Vec<u8>> {
    let (mut parts, mut part) = (Vec::new(), Vec::new());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(mark) {
            parts.push(std::mem::take(&mut part));
            rest = tail;
        } else {
            part.push(*first);
            rest = tail;
        }
    }
    parts.push(part);
    parts
}
