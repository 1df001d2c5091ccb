//! Push gateways: notifications on their way to a device by HTTP.
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dmwsi_simulator::Behaviour;
use dmwsi_worker::push::{Body, Form};
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::handset::Handset;
use crate::harness::wake::{ask, comes_to, gateway, quick, wake};

both! {
    async fn a_gateway_gets_the_notification_as_bytes(database: Database) {
        let (server, portal) = quick(&database, |config| config.push.http_form = Form::Plain).await;
        let (url, requests) = gateway(&["202 Accepted"]).await;
        let push = json!({"type": "HTTP", "url": url});
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        handset.device.check_in().await.unwrap();
        ask(&portal, &handset.id).await;
        eventually("a request", async || !requests.lock().unwrap().is_empty()).await;
        let (head, body) = requests.lock().unwrap()[0].clone();
        assert!(head.starts_with("POST /device/1 HTTP/1.1"), "{head}");
        assert!(head.contains("content-type: application/vnd.syncml.notification"), "{head}");
        assert!(head.contains(&format!("x-dmwsi-address: {url}")), "{head}");
        let session = handset.device.hear(&body).unwrap();
        assert!(head.contains(&format!("x-dmwsi-session: {session:X}")), "{head}");
        handset.device.answer_call(session).await.unwrap();
        comes_to(&portal, &handset.id, "ANSWERED").await;
        server.stop().await;
    }

    async fn a_gateway_for_short_messages_gets_it_in_base64_with_the_number(database: Database) {
        let (url, requests) = gateway(&["503 Busy", "200 OK"]).await;
        let sms = url.clone();
        let (server, portal) = quick(&database, |config| {
            config.push.sms_gateway = Some(sms.parse().unwrap());
            config.push.http_body = Body::Json;
            config.push.http_form = Form::Udh;
        })
        .await;
        let push = json!({"type": "SMS", "msisdn": "+491701234567"});
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        handset.device.check_in().await.unwrap();
        ask(&portal, &handset.id).await;
        eventually("two requests", async || requests.lock().unwrap().len() >= 2).await;
        let (_, body) = requests.lock().unwrap()[1].clone();
        let sent: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(sent["address"], "+491701234567");
        let message = BASE64_STANDARD.decode(sent["data"].as_str().unwrap()).unwrap();
        assert_eq!(message[..7], [6, 5, 4, 0x0B, 0x84, 0xC0, 2]);
        let session = handset.device.hear(&message).unwrap();
        assert_eq!(sent["sessionId"], format!("{session:X}"));
        server.stop().await;
    }

    async fn what_a_gateway_answers_decides_whether_it_is_tried_again(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        for (answer, state, trouble) in [
            ("404 Not Found", "FAILED", Some("GATEWAY_404")),
            ("500 Oops", "WAKING", Some("GATEWAY_500")),
            ("302 Found\r\nLocation: http://127.0.0.1:1/", "FAILED", Some("GATEWAY_302")),
            ("204 No Content", "WAKING", None),
        ] {
            let (url, requests) = gateway(&[answer]).await;
            let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &json!({"type": "HTTP", "url": url})).await;
            ask(&portal, &handset.id).await;
            eventually("a request", async || !requests.lock().unwrap().is_empty()).await;
            let so = async || {
                let wake = wake(&portal, &handset.id).await;
                wake["state"] == state && wake["trouble"].as_str() == trouble && wake["attempts"].as_u64() > Some(0)
            };
            eventually(answer, so).await;
        }
        let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &json!({"type": "SMS", "msisdn": "+491701234567"})).await;
        ask(&portal, &handset.id).await;
        assert_eq!(comes_to(&portal, &handset.id, "FAILED").await["trouble"], "NO_SMS_GATEWAY");
        server.stop().await;
    }
}
