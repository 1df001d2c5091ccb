//! Devices woken through a push proxy gateway (PAP).
use dmwsi_simulator::Behaviour;
use dmwsi_worker::push::Body;
use serde_json::json;

use crate::harness::eventually;
use crate::harness::handset::Handset;
use crate::harness::wake::{ask, comes_to, push_proxy, quick, wake};

both! {
    /// S-NT-01, CC3: the gateway gets a control entity with the number and the package 0 as it is, and the device that hears it calls.
    async fn a_push_proxy_gateway_gets_the_number_and_the_package(database: Database) {
        let (url, requests) = push_proxy(&["1001"]).await;
        let (server, portal) = quick(&database, |config| {
            config.push.sms_gateway = Some(url.parse().unwrap());
            config.push.http_body = Body::Pap;
        })
        .await;
        let push = json!({"type": "SMS", "msisdn": "+491701234567"});
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        handset.device.check_in().await.unwrap();
        ask(&portal, &handset.id).await;
        eventually("a request", async || !requests.lock().unwrap().is_empty()).await;
        let (head, body) = requests.lock().unwrap()[0].clone();
        assert!(head.starts_with("POST /pap HTTP/1.1"), "{head}");
        let boundary = head.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert!(head.contains(&format!("content-type: multipart/related; boundary=\"{boundary}\"; type=\"application/xml\"")), "{head}");

        let mark = format!("--{boundary}");
        let parts: Vec<_> = split(&body, mark.as_bytes());
        let [before, control, package, after] = &parts[..] else { panic!("{} parts", parts.len()) };
        assert_eq!((before.len(), &after[..]), (0, &b"--\r\n"[..]));
        let control = String::from_utf8(control.clone()).unwrap();
        assert!(control.starts_with("\r\nContent-Type: application/xml\r\n\r\n<?xml "), "{control}");
        assert!(control.contains("address-value=\"WAPPUSH=+491701234567/TYPE=PLMN@127.0.0.1\""), "{control}");
        assert!(control.ends_with("</push-message></pap>\r\n"), "{control}");
        let head = b"\r\nContent-Type: application/vnd.syncml.notification\r\nX-Wap-Application-Id: x-wap-application:syncml.dm\r\n\
            Content-Transfer-Encoding: binary\r\n\r\n";
        let package = package.strip_prefix(&head[..]).unwrap().strip_suffix(b"\r\n").unwrap();
        let session = handset.device.hear(package).unwrap();
        handset.device.answer_call(session).await.unwrap();
        comes_to(&portal, &handset.id, "ANSWERED").await;
        server.stop().await;
    }

    /// S-NT-01: what is busy is asked again by a push of its own, what is refused is not.
    async fn what_a_push_proxy_gateway_says_decides_whether_it_is_tried_again(database: Database) {
        let (server, portal) = quick(&database, |config| config.push.http_body = Body::Pap).await;
        for (code, state, trouble) in [
            ("1000", "WAKING", None),
            ("1001", "WAKING", None),
            ("2003", "FAILED", Some("PAP_2003")),
            ("3000", "WAKING", Some("PAP_3000")),
            ("4000", "WAKING", Some("PAP_4000")),
            ("4001", "WAKING", Some("PAP_4001")),
            ("", "WAKING", Some("GATEWAY_UNCLEAR")),
        ] {
            let (url, requests) = push_proxy(&[code]).await;
            let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &json!({"type": "HTTP", "url": url})).await;
            ask(&portal, &handset.id).await;
            eventually("a request", async || !requests.lock().unwrap().is_empty()).await;
            let so = async || {
                let wake = wake(&portal, &handset.id).await;
                wake["state"] == state && wake["trouble"].as_str() == trouble && wake["attempts"].as_u64() > Some(0)
            };
            eventually(code, so).await;
            let id = |place: usize| {
                let body = String::from_utf8_lossy(&requests.lock().unwrap()[place].1).into_owned();
                assert!(body.contains("/TYPE=USER@127.0.0.1\""), "{body}");
                body.split("push-id=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
            };
            if trouble.is_some() && state == "WAKING" {
                eventually("it is tried again", async || requests.lock().unwrap().len() >= 2).await;
                assert_ne!(id(0), id(1));
            }
        }
        server.stop().await;
    }
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
