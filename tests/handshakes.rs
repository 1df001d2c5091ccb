//! Receivers are asked whether they want events: they may agree later, are asked anew, and say how many they take.
use std::cell::Cell;
use std::time::{Duration, Instant};

use dmwsi_domain::event::Event;
use dmwsi_domain::subscription::Handshake;
use reqwest::Method;
use serde_json::{Value, json};

use crate::deliveries::quick;
use crate::harness::eventually;
use crate::harness::receiver::{Came, Receiver, Reply, says, taken};
use crate::harness::server::{Portal, Server};
use crate::subscriptions::{alert, patch, path, tell, wanted};

/// Agrees, and takes everything; at most so many a minute, where that is given.
fn agrees(rate: Option<u32>) -> impl Fn(&Came, usize) -> Reply + Send + Sync + 'static {
    move |came, _| {
        let rate = rate.map(|rate| format!("\r\nwebhook-allowed-rate: {rate}")).unwrap_or_default();
        if came.method == "OPTIONS" { says(&format!("200 OK\r\nwebhook-allowed-origin: *{rate}")) } else { taken() }
    }
}

fn questions(receiver: &Receiver) -> Vec<Came> {
    receiver.all().into_iter().filter(|came| came.method == "OPTIONS").collect()
}

async fn asked(portal: &Portal, wanted: &Value) -> Value {
    portal.post("/v1/subscriptions", wanted).await.of(202)
}

async fn comes_to(portal: &Portal, subscription: &Value, status: &str) -> Value {
    eventually(status, async || portal.get(&path(subscription)).await.of(200)["status"] == status).await;
    portal.get(&path(subscription)).await.of(200)
}

/// The status of a request without a token to the path of an address that the server gave out.
async fn call(server: &Server, method: Method, address: &str, headers: &[(&str, &str)]) -> u16 {
    let path = url::Url::parse(address).unwrap().path().to_owned();
    server.send(method, &path, headers, "").await.status.as_u16()
}

both! {
    /// API7, OES4: who cannot say at once agrees by the address that came with the question, even when the asking is over; nobody else can.
    async fn a_receiver_agrees_later(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.handshake = Handshake::Required;
            config.webhooks.handshake_retry_ms = vec![200];
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        for (method, is_late, rate) in [(Method::GET, false, "*"), (Method::POST, true, "90")] {
            let (receiver, other) = (Receiver::taking().await, Receiver::taking().await);
            let made = asked(&portal, &wanted(&receiver.url, &["device-updated"])).await;
            let foreign = asked(&portal, &wanted(&other.url, &["device-updated"])).await;
            eventually("both were asked", async || !questions(&receiver).is_empty() && !questions(&other).is_empty()).await;
            tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
            if is_late {
                assert_eq!(comes_to(&portal, &made, "INACTIVE").await["statusReason"], "HANDSHAKE_FAILED");
            }
            let callback = questions(&receiver)[0].header("webhook-request-callback").to_owned();
            let token = callback.rsplit('/').next().unwrap();
            let of_other = callback.replace(made["id"].as_str().unwrap(), foreign["id"].as_str().unwrap());
            for wrong in [format!("{callback}A"), callback.replace(token, &token.to_uppercase()), of_other, callback.replace(token, "x")] {
                assert_eq!(call(&server, method.clone(), &wrong, &[]).await, 404, "{wrong}");
            }
            assert!(receiver.of("device-updated").is_empty());
            for _ in 0..2 {
                assert_eq!(call(&server, method.clone(), &callback, &[("webhook-allowed-rate", rate)]).await, 204, "once is as good as twice");
            }
            let shown = comes_to(&portal, &made, "ACTIVE").await;
            assert_eq!(shown["agreement"]["deliveriesPerMinute"].as_u64(), rate.parse().ok());
            receiver.heard("subscription-started", 1).await;
            receiver.heard("device-updated", 1).await;
            assert!(other.of("device-updated").is_empty(), "that one has not agreed");
            portal.call(Method::DELETE, &path(&made), &[], None).await;
            assert_eq!(call(&server, method, &callback, &[]).await, 404, "it is over");
        }
        server.stop().await;
    }

    /// OES4: a consent does not hold for ever; who takes it back is told nothing more, and is told what it has missed when it agrees again.
    async fn a_receiver_is_asked_anew(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.handshake = Handshake::Required;
            config.webhooks.handshake_retry_ms = vec![100];
            config.webhooks.handshake_renew_ms = 700;
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let (receiver, watcher) = (Receiver::open(agrees(None)).await, Receiver::open(agrees(None)).await);
        asked(&portal, &wanted(&watcher.url, &["subscription-updated"])).await;
        let made = asked(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        let first = comes_to(&portal, &made, "ACTIVE").await["agreement"]["agreedAt"].clone();
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        receiver.heard("device-updated", 1).await;
        eventually("it was asked three times", async || questions(&receiver).len() >= 3).await;
        let shown = portal.get(&path(&made)).await;
        assert_eq!(shown.header("etag"), "\"2\"", "asking changes nothing that a client has seen");
        assert!(shown.json()["agreement"]["agreedAt"].as_str() > first.as_str());
        receiver.answer(|_, _| taken());
        assert_eq!(comes_to(&portal, &made, "INACTIVE").await["statusReason"], "HANDSHAKE_FAILED");
        let told = watcher.heard("subscription-updated", 1).await[0].event();
        assert_eq!((&told["data"]["updateReason"], &told["data"]["statusReason"]), (&json!("SUBSCRIPTION_INACTIVE"), &json!("HANDSHAKE_FAILED")));
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let count = questions(&receiver).len();
        assert_eq!(receiver.of("device-updated").len(), 1, "nothing is delivered meanwhile");
        receiver.answer(agrees(None));
        assert_eq!(patch(&portal, &made, json!({"status": "ACTIVE"})).await.of(200)["status"], "ACTIVATION_REQUESTED");
        comes_to(&portal, &made, "ACTIVE").await;
        assert!(questions(&receiver).len() > count);
        receiver.heard("device-updated", 2).await;
        assert_eq!(watcher.heard("subscription-updated", 2).await[1].event()["data"]["updateReason"], "SUBSCRIPTION_ACTIVE");
        server.stop().await;
    }

    /// OES4: whatever happens while a receiver takes its consent back, is switched on again and agrees once more, comes exactly once and in order.
    async fn nothing_is_missed_or_mixed_up_while_a_subscription_is_switched_on_again(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.handshake = Handshake::Required;
            config.webhooks.handshake_retry_ms = vec![50; 3];
            config.webhooks.handshake_renew_ms = 300;
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(agrees(None)).await;
        let made = asked(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        comes_to(&portal, &made, "ACTIVE").await;
        let (told, is_over) = (Cell::new(0), Cell::new(false));
        let telling = async {
            while !is_over.get() {
                tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
                told.set(told.get() + 1);
                // One device's events go one after the other, each when the one before is settled.
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        };
        let switching = async {
            for _ in 0..2 {
                receiver.answer(|_, _| taken());
                comes_to(&portal, &made, "INACTIVE").await;
                let (count, came) = (told.get(), receiver.of("device-updated").len());
                eventually("more has happened", async || told.get() > count + 8).await;
                assert!(came < told.get(), "there is a gap");
                receiver.answer(agrees(None));
                patch(&portal, &made, json!({"status": "ACTIVE"})).await.of(200);
                comes_to(&portal, &made, "ACTIVE").await;
                receiver.heard("device-updated", count + 8).await;
            }
            is_over.set(true);
        };
        tokio::join!(telling, switching);
        let came = receiver.heard("device-updated", told.get()).await;
        let numbers: Vec<_> = came.iter().map(|came| came.event()["sequence"].as_str().unwrap().to_owned()).collect();
        let log = database.lines("SELECT CAST(number AS TEXT) AS line FROM events WHERE type = 'dmwsi.v1.device-updated' ORDER BY number");
        assert_eq!(numbers.iter().map(|number| number.trim_start_matches('0')).collect::<Vec<_>>(), log);
        server.stop().await;
    }

    /// What a receiver allows is kept, whatever its client wishes; a client may wish for less.
    async fn a_receiver_gets_no_more_than_it_allows(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.handshake = Handshake::Required).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(agrees(Some(240))).await;
        let mut new = wanted(&receiver.url, &["device-alert"]);
        new["config"]["deliveriesPerMinute"] = json!(6_000);
        let made = asked(&portal, &new).await;
        comes_to(&portal, &made, "ACTIVE").await;
        assert_eq!(questions(&receiver)[0].header("webhook-request-rate"), "6000");
        let shown = patch(&portal, &made, json!({"config": {"deliveriesPerMinute": null}})).await.of(200);
        assert_eq!((shown["config"].get("deliveriesPerMinute"), &shown["agreement"]["deliveriesPerMinute"]), (None, &json!(240)));
        receiver.heard("subscription-started", 1).await;
        let mut arrivals = Vec::new();
        tell(&server, &portal, device, (0..12).map(|_| alert("a", "fatal", ""))).await;
        for count in 1..=12 {
            receiver.heard("device-alert", count).await;
            arrivals.push(Instant::now());
        }
        assert!(arrivals[11] - arrivals[0] >= Duration::from_millis(1_700), "{:?}", arrivals[11] - arrivals[0]);
        server.stop().await;
    }

    /// API7: who is somewhere else now is asked once more; the old place cannot agree for the new one.
    async fn another_sink_is_asked_before_it_gets_anything(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.handshake = Handshake::Required;
            config.webhooks.handshake_retry_ms = vec![60_000];
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let (before, after) = (Receiver::open(agrees(Some(60))).await, Receiver::taking().await);
        let made = asked(&portal, &wanted(&before.url, &["device-updated"])).await;
        comes_to(&portal, &made, "ACTIVE").await;
        let callback = questions(&before)[0].header("webhook-request-callback").to_owned();
        let moved = patch(&portal, &made, json!({"sink": after.url})).await.of(200);
        assert_eq!((&moved["status"], moved.get("agreement")), (&json!("ACTIVATION_REQUESTED"), None));
        eventually("the new one was asked", async || !questions(&after).is_empty()).await;
        assert_eq!(call(&server, Method::GET, &callback, &[]).await, 404);
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        let callback = questions(&after)[0].header("webhook-request-callback").to_owned();
        assert!(after.all().iter().all(|came| came.method == "OPTIONS"));
        assert_eq!(call(&server, Method::POST, &callback, &[]).await, 204);
        after.heard("device-updated", 1).await;
        server.stop().await;
    }

    /// API7: whatever is switched or moved meanwhile, nothing is sent to a receiver that was not asked.
    async fn switching_off_and_on_again_spares_no_receiver_the_question(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.handshake = Handshake::Required;
            config.webhooks.handshake_retry_ms = vec![60_000];
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let (agreeing, silent) = (Receiver::open(agrees(None)).await, Receiver::taking().await);
        let unanswered = asked(&portal, &wanted(&silent.url, &["device-updated"])).await;
        let agreed = asked(&portal, &wanted(&agreeing.url, &["device-updated"])).await;
        comes_to(&portal, &agreed, "ACTIVE").await;
        for made in [&unanswered, &agreed] {
            patch(&portal, made, json!({"status": "INACTIVE"})).await.of(200);
            patch(&portal, made, json!({"sink": silent.url})).await.of(200);
            let on = patch(&portal, made, json!({"status": "ACTIVE"})).await.of(200);
            assert_eq!(on["status"], "ACTIVATION_REQUESTED", "{on}");
        }
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        eventually("it is asked for both", async || questions(&silent).len() >= 2).await;
        assert!(silent.all().iter().all(|came| came.method == "OPTIONS"));
        // One that has agreed and stays where it is need not be asked again.
        patch(&portal, &agreed, json!({"sink": agreeing.url})).await.of(200);
        comes_to(&portal, &agreed, "ACTIVE").await;
        let questions_before = questions(&agreeing).len();
        patch(&portal, &agreed, json!({"status": "INACTIVE"})).await.of(200);
        assert_eq!(patch(&portal, &agreed, json!({"status": "ACTIVE"})).await.of(200)["status"], "ACTIVE");
        assert_eq!(questions(&agreeing).len(), questions_before);
        server.stop().await;
    }
}
