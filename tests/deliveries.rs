//! Deliveries: tried again, in order, without anybody held up, and none lost.
use std::time::{Duration, Instant};

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::egress::Egress;
use dmwsi_domain::event::Event;
use dmwsi_domain::subscription::Handshake;
use dmwsi_simulator::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::eventually;
use crate::harness::handset::Handset;
use crate::harness::receiver::{Receiver, Reply, says, taken};
use crate::harness::server::{Portal, Server};
use crate::retention::sweep;
use crate::subscriptions::{SCOPES, alert, deliveries, path, subscribe, tell, wanted};

/// More than is in the buffers between two sockets of this machine, in bytes.
const MOST_BUFFERED: usize = 16 * 1_024 * 1_024;

/// A server that does not wait long, changed further, and a client of it.
pub(crate) async fn quick(database: &Database, change: impl FnOnce(&mut Config)) -> (Server, Portal) {
    let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
        config.webhooks.retry_ms = vec![200, 200, 200, 200];
        config.webhooks.timeout_ms = 1_000;
        config.webhooks.breaker_after = 50;
        config.webhooks.breaker_first_ms = 200;
        config.webhooks.breaker_longest_ms = 200;
        change(config);
    });
    let server = server.await;
    let portal = server.portal("acme", SCOPES).await;
    (server, portal)
}

/// What stands of the delivery of the last event of that type.
async fn last(portal: &Portal, subscription: &Value, kind: &str) -> Value {
    let all = deliveries(portal, subscription).await;
    all.into_iter().rfind(|one| one["eventType"] == format!("dmwsi.v1.{kind}")).unwrap_or_default()
}

async fn comes_to(portal: &Portal, subscription: &Value, kind: &str, state: &str) -> Value {
    eventually(&format!("{kind} is {state}"), async || last(portal, subscription, kind).await["state"] == state).await;
    last(portal, subscription, kind).await
}

both! {
    /// OES4: the same event again and again, each attempt with its own time and signature, until it is taken.
    async fn what_was_not_taken_is_delivered_again(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![1_200; 6]).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(|_, _| Reply::Floods).await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        comes_to(&portal, &made, "subscription-started", "DELIVERED").await;
        assert!((1..MOST_BUFFERED).contains(&receiver.flooded()), "{} bytes of an answer were taken", receiver.flooded());
        receiver.answer(|_, count| match count {
            1 => says("500 Oops\r\ncontent-length: 6\r\n\r\nsecret"),
            2 => says("302 Found\r\nlocation: http://127.0.0.1:9/"),
            3 => Reply::Never,
            4 => Reply::Slowly(Duration::from_millis(400)),
            _ => taken(),
        });
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        let done = comes_to(&portal, &made, "device-updated", "DELIVERED").await;
        let attempts: Vec<_> = done["attempts"].as_array().unwrap().iter().map(|one| (one["responseStatus"].as_u64(), one["error"].as_str())).collect();
        assert_eq!(attempts, [(Some(500), Some("REFUSED")), (Some(302), Some("REDIRECTED")), (None, Some("TIMED_OUT")), (Some(204), None)], "{done}");
        assert!(!done.to_string().contains("secret"), "nothing of the answer is kept");
        let came = receiver.of("device-updated");
        let key = made["signingKey"].as_str().unwrap();
        assert!(came.iter().all(|one| one.is_signed_by(key) && one.header("webhook-id") == done["eventId"] && one.body == came[0].body));
        let times: Vec<u64> = came.iter().map(|one| one.header("webhook-timestamp").parse().unwrap()).collect();
        assert!(times.is_sorted() && times.first() < times.last(), "{times:?}");
        server.stop().await;
    }

    /// Events of a device keep their order through retries, while those of others flow on.
    async fn a_delivery_holds_back_only_its_own_device(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![300; 20]).await;
        let [(one, blocked), (other, _)] = server.devices(&portal, 2).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-alert"])).await;
        receiver.heard("subscription-started", 1).await;
        let stuck = blocked.clone();
        receiver.answer(move |came, _| {
            let data = &came.event()["data"];
            if data["deviceId"] == stuck && data["alertType"] == "2" { says("503 Busy") } else { taken() }
        });
        let alerts = || ["1", "2", "3", "4"].map(|kind| alert(kind, "critical", ""));
        tell(&server, &portal, one, alerts()).await;
        tell(&server, &portal, other, alerts()).await;
        let of = |device: &str| -> Vec<String> {
            let came = receiver.of("device-alert").into_iter().map(|came| came.event()["data"].clone());
            came.filter(|data| (data["deviceId"] == device) == (device == blocked)).filter(|data| data["deviceId"] == device || device.is_empty())
                .map(|data| data["alertType"].as_str().unwrap().to_owned()).collect()
        };
        let others = || receiver.of("device-alert").into_iter().filter(|came| came.event()["data"]["deviceId"] != blocked).count();
        eventually("the other's came", async || others() == 4).await;
        eventually("it was tried", async || of(&blocked).len() >= 3).await;
        assert!(of(&blocked).iter().skip(1).all(|kind| kind == "2"), "{:?}", of(&blocked));
        receiver.answer(|_, _| taken());
        eventually("all came", async || of(&blocked).last().is_some_and(|kind| kind == "4")).await;
        let mut order = of(&blocked);
        order.dedup();
        assert_eq!(order, ["1", "2", "3", "4"]);
        drop(made);
        server.stop().await;
    }

    /// What is given up is kept and can be had again; so can what was delivered, and all since a time.
    async fn dead_letters_are_read_and_had_again(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![50, 50]).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let before = server.clock.now();
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated", "device-alert"])).await;
        receiver.heard("subscription-started", 1).await;
        receiver.answer(|came, _| if came.kind().starts_with("device-") { says("500 Oops") } else { taken() });
        tell(&server, &portal, device, [Event::DeviceUpdated {}, alert("a", "fatal", "")]).await;
        let dead = comes_to(&portal, &made, "device-updated", "DEAD").await;
        assert_eq!(dead["attempts"].as_array().unwrap().len(), 3);
        comes_to(&portal, &made, "device-alert", "DEAD").await;
        let listed = portal.get(&format!("{}/deliveries?state=DEAD&perPage=1", path(&made))).await.of(200);
        assert_eq!((&listed["items"][0]["eventType"], listed["nextCursor"].is_string()), (&json!("dmwsi.v1.device-alert"), true));
        receiver.answer(|_, _| taken());
        let redeliver = |event: &Value| format!("{}/deliveries/{}/redeliver", path(&made), event["eventId"].as_str().unwrap());
        assert_eq!(portal.call(Method::POST, &redeliver(&dead), &[], None).await.status, 202);
        let again = comes_to(&portal, &made, "device-updated", "DELIVERED").await;
        assert_eq!(again["attempts"].as_array().unwrap().len(), 4);
        assert_eq!(last(&portal, &made, "device-alert").await["state"], "DEAD");
        let since = json!({"since": before.to_string()});
        assert_eq!(portal.post(&format!("{}/recover", path(&made)), &since).await.status, 202);
        comes_to(&portal, &made, "device-alert", "DELIVERED").await;
        let came = || receiver.of("device-updated").len() + receiver.of("device-alert").len();
        let count = came();
        let all = json!({"since": before.to_string(), "onlyFailed": false});
        assert_eq!(portal.post(&format!("{}/recover", path(&made)), &all).await.status, 202);
        eventually("both came once more", async || came() == count + 2).await;
        let missing = format!("{}/deliveries/evt_00000000000070008000000000000000/redeliver", path(&made));
        portal.call(Method::POST, &missing, &[], None).await.problem(404, "NOT_FOUND");
        server.stop().await;
    }

    /// OES2: while a key is replaced both sign, then only the new one; each way of signing.
    async fn a_key_is_replaced_with_an_overlap(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["config"]["signing"] = json!("ED25519");
        let made = subscribe(&portal, &new).await;
        let first = made["signingKey"].as_str().unwrap().to_owned();
        assert!(first.starts_with("whpk_"));
        let test = async |count| {
            portal.call(Method::POST, &format!("{}/test", path(&made)), &[], None).await.of(202);
            receiver.heard("subscription-test", count).await[count - 1].clone()
        };
        assert!(test(1).await.is_signed_by(&first));
        let rotate = async |seconds| portal.post(&format!("{}/secret/rotate", path(&made)), &json!({"overlapSeconds": seconds})).await;
        let second = rotate(3_600).await.of(200)["signingKey"].as_str().unwrap().to_owned();
        let both = test(2).await;
        assert!(both.is_signed_by(&first) && both.is_signed_by(&second) && first != second);
        let third = rotate(0).await.of(200)["signingKey"].as_str().unwrap().to_owned();
        let one = test(3).await;
        assert!(one.is_signed_by(&third) && !one.is_signed_by(&second) && !one.header("webhook-signature").contains(' '));
        rotate(86_401).await.problem(400, "OUT_OF_RANGE");
        server.stop().await;
    }

    /// A receiver that is gone is left alone until its client says otherwise.
    async fn a_receiver_that_is_gone_switches_its_subscription_off(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let (receiver, watcher) = (Receiver::open(|_, _| says("410 Gone")).await, Receiver::taking().await);
        subscribe(&portal, &wanted(&watcher.url, &["subscription-updated"])).await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        eventually("it is off", async || portal.get(&path(&made)).await.of(200)["statusReason"] == "GONE").await;
        let told = watcher.heard("subscription-updated", 1).await[0].event();
        assert_eq!((&told["data"]["updateReason"], &told["data"]["subscriptionId"]), (&json!("SUBSCRIPTION_INACTIVE"), &made["id"]));
        let count = receiver.all().len();
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(receiver.all().len(), count);
        receiver.answer(|_, _| taken());
        let headers = [("if-match", "*"), ("content-type", "application/merge-patch+json")];
        portal.call(Method::PATCH, &path(&made), &headers, Some(&json!({"status": "ACTIVE"}))).await.of(200);
        comes_to(&portal, &made, "subscription-started", "DELIVERED").await;
        server.stop().await;
    }

    /// A receiver that only fails is tried seldom, its client is told at 50, 90 and 100 percent, and then it is switched off.
    async fn a_receiver_that_only_fails_is_given_up_with_notice(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.retry_ms = vec![100; 200];
            config.webhooks.breaker_after = 3;
            config.webhooks.give_up_ms = 3_000;
        }).await;
        let watcher = Receiver::taking().await;
        subscribe(&portal, &wanted(&watcher.url, &["subscription-delivery-failing"])).await;
        let receiver = Receiver::open(|_, _| says("500 Oops")).await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        let notices = watcher.heard("subscription-delivery-failing", 3).await;
        let percents: Vec<_> = notices.iter().map(|came| came.event()["data"]["percent"].as_u64().unwrap()).collect();
        assert_eq!(percents, [50, 90, 100]);
        let shown = portal.get(&path(&made)).await.of(200);
        assert_eq!((&shown["status"], &shown["statusReason"]), (&json!("INACTIVE"), &json!("DELIVERY_FAILING")));
        assert!(receiver.all().len() < 25, "the breaker holds it back: {}", receiver.all().len());
        server.stop().await;
    }

    /// Who asks for less gets less; a rate is kept.
    async fn retry_after_and_the_rate_are_obeyed(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(|_, count| if count == 0 { says("429 Slow down\r\nretry-after: 2") } else { taken() }).await;
        let began = Instant::now();
        subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        eventually("it came again", async || receiver.all().len() == 2).await;
        assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
        let slow = Receiver::taking().await;
        let mut new = wanted(&slow.url, &["device-alert"]);
        new["config"]["deliveriesPerMinute"] = json!(240);
        subscribe(&portal, &new).await;
        slow.heard("subscription-started", 1).await;
        let began = Instant::now();
        tell(&server, &portal, device, (0..12).map(|_| alert("a", "fatal", ""))).await;
        slow.heard("device-alert", 12).await;
        assert!(began.elapsed() >= Duration::from_millis(1_900), "{:?}", began.elapsed());
        server.stop().await;
    }

    /// One that never answers keeps nobody else waiting.
    async fn a_receiver_that_hangs_holds_up_no_other(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.timeout_ms = 15_000;
            config.webhooks.receivers = 4;
            config.webhooks.troubled_receivers = 2;
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let (hangs, good) = (Receiver::open(|_, _| Reply::Never).await, Receiver::taking().await);
        for _ in 0..3 {
            subscribe(&portal, &wanted(&hangs.url, &["device-updated"])).await;
        }
        subscribe(&portal, &wanted(&good.url, &["device-updated"])).await;
        eventually("they hang", async || hangs.all().len() == 3).await;
        let began = Instant::now();
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        good.heard("device-updated", 1).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        drop(server);
    }

    /// API7: a sink that leads inside by now is not called, whatever it was when it was named.
    async fn no_event_goes_to_where_the_guard_forbids_it(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.egress = Egress::default();
            config.webhooks.handshake = Handshake::Off;
            config.webhooks.retry_ms = vec![50];
        }).await;
        let receiver = Receiver::taking().await;
        for (at, sink) in [receiver.url.clone(), receiver.url.replace("http", "https"), receiver.url.replace("127.0.0.1", "localhost").replace("http", "https"),
            receiver.url.replace("http://127.0.0.1", "https://[::ffff:127.0.0.1]"), "https://169.254.169.254/".to_owned()].into_iter().enumerate() {
            let made = subscribe(&portal, &wanted(&format!("https://receiver{at}.example/"), &["device-updated"])).await;
            let id = made["id"].as_str().unwrap().strip_prefix("sub_").unwrap();
            database.execute(&format!("UPDATE subscriptions SET sink = '{sink}' WHERE id = '{id}'"));
            let test = portal.call(Method::POST, &format!("{}/test", path(&made)), &[], None).await;
            assert_eq!(test.status, 202);
            eventually("it was tried", async || last(&portal, &made, "subscription-test").await["attempts"].as_array().is_some_and(|all| !all.is_empty())).await;
            let tried = last(&portal, &made, "subscription-test").await;
            assert_eq!(tried["attempts"][0]["error"], "ADDRESS_FORBIDDEN", "{sink}: {tried}");
        }
        assert!(receiver.all().is_empty());
        server.stop().await;
    }

    /// A token that is had from a token endpoint is presented, used again, and renewed when it is not taken.
    async fn a_token_is_had_and_renewed(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let endpoint = Receiver::open(|came, count| {
            assert!(came.body.contains("grant_type=client_credentials") && came.body.contains("scope=events"), "{}", came.body);
            let body = json!({"access_token": format!("t{count}"), "token_type": "bearer", "expires_in": 3600}).to_string();
            says(&format!("200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
        }).await;
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["sinkCredential"] = json!({"credentialType": "CLIENT_CREDENTIALS", "tokenUrl": endpoint.url, "clientId": "me", "clientSecret": "mine", "scope": "events"});
        let made = subscribe(&portal, &new).await;
        let test = async |count| {
            portal.call(Method::POST, &format!("{}/test", path(&made)), &[], None).await.of(202);
            receiver.heard("subscription-test", count).await[count - 1].header("authorization").to_owned()
        };
        assert_eq!((test(1).await.as_str(), test(2).await.as_str()), ("Bearer t0", "Bearer t0"));
        receiver.answer(|came, _| if came.header("authorization") == "Bearer t0" { says("401 No") } else { taken() });
        assert_eq!(test(3).await, "Bearer t0");
        eventually("it came with a new one", async || receiver.of("subscription-test").last().unwrap().header("authorization") == "Bearer t1").await;
        assert_eq!(endpoint.all().len(), 2);
        server.stop().await;
    }

    /// API7: nobody is sent events who did not say that they want them; who does may say how many.
    async fn a_receiver_is_asked_before_anything_is_delivered(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.handshake = Handshake::Required;
            config.webhooks.handshake_retry_ms = vec![100, 100];
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let silent = Receiver::taking().await;
        let made = portal.post("/v1/subscriptions", &wanted(&silent.url, &["device-updated"])).await.of(202);
        assert_eq!(made["status"], "ACTIVATION_REQUESTED");
        eventually("it is given up", async || portal.get(&path(&made)).await.of(200)["statusReason"] == "HANDSHAKE_FAILED").await;
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        portal.call(Method::DELETE, &path(&made), &[], None).await;
        let agrees = Receiver::open(|came, _| {
            if came.method != "OPTIONS" { return taken() }
            says(&format!("200 OK\r\nwebhook-allowed-origin: {}\r\nwebhook-allowed-rate: 6000", came.header("webhook-request-origin")))
        }).await;
        let made = portal.post("/v1/subscriptions", &wanted(&agrees.url, &["device-updated"])).await.of(202);
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        let came = agrees.heard("device-updated", 1).await;
        assert_eq!(came[0].header("webhook-request-origin"), "127.0.0.1");
        assert_eq!(agrees.all()[0].method, "OPTIONS");
        let shown = portal.get(&path(&made)).await.of(200);
        assert_eq!((&shown["status"], &shown["agreement"]["deliveriesPerMinute"]), (&json!("ACTIVE"), &json!(6000)));
        assert_eq!(silent.all().iter().map(|came| came.method.as_str()).collect::<Vec<_>>(), ["OPTIONS"; 3], "three requests and no more");
        server.stop().await;
    }

    /// UC-13: a job tells its own sink what becomes of it, in order, and the subscription ends with it.
    async fn a_job_with_a_sink_tells_it_how_it_goes(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let receiver = Receiver::open(|_, count| if count % 2 == 1 { says("500 Oops") } else { taken() }).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let body = json!({
            "clientCorrelator": "mine", "operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Man"]}, "target": {"type": "DEVICES", "deviceIds": [handset.id]},
            "sink": receiver.url, "callbackData": "back"
        });
        let made = portal.post("/v1/jobs", &body).await.of(202);
        let (key, subscription) = (made["subscription"]["signingKey"].as_str().unwrap(), &made["subscription"]["subscriptionId"]);
        handset.device.check_in().await.unwrap();
        let done = receiver.heard("job-completed", 1).await.remove(0);
        assert!(done.is_signed_by(key));
        let data = done.event()["data"].clone();
        assert_eq!((&data["jobId"], &data["callbackData"], &data["subscriptionId"], &data["outcome"]), (&made["jobId"], &json!("back"), subscription, &json!("SUCCEEDED")));
        receiver.heard("subscription-ended", 1).await;
        let came = receiver.all();
        let sequences: Vec<_> = came.iter().map(|came| came.event()["sequence"].as_str().unwrap().to_owned()).collect();
        assert!(sequences.is_sorted(), "in order through retries");
        let kinds: std::collections::BTreeSet<_> = came.iter().map(crate::harness::receiver::Came::kind).collect();
        for kind in ["job-accepted", "execution-started", "execution-finished", "job-completed"] {
            assert!(kinds.contains(kind), "{kind} {kinds:?}");
        }
        let shown = portal.get(&format!("/v1/subscriptions/{}", subscription.as_str().unwrap())).await.of(200);
        assert_eq!((&shown["status"], &shown["jobId"]), (&json!("EXPIRED"), &made["jobId"]));
        let again = portal.post("/v1/jobs", &body).await;
        assert!(again.status == 200 && again.json().get("subscription").is_none(), "the key is shown once: {}", again.text);
        let mut other = body.clone();
        other["sink"] = json!("http://receiver.example/");
        portal.post("/v1/jobs", &other).await.problem(400, "INVALID_SINK");
        server.stop().await;
    }

    /// OES4: what a device tells waits for what it told before, and for nothing of other devices, also where that was told later.
    async fn a_request_that_hangs_holds_up_no_other_device(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.timeout_ms = 60_000).await;
        let [(hung, hung_id), (other, _)] = server.devices(&portal, 2).await.try_into().unwrap();
        let receiver = Receiver::open(move |came, _| {
            let is_hung = came.kind() == "device-updated" && came.event()["subject"].as_str().unwrap().contains(&hung_id);
            if is_hung { Reply::Never } else { taken() }
        });
        let receiver = receiver.await;
        subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        tell(&server, &portal, hung, [Event::DeviceUpdated {}]).await;
        receiver.heard("device-updated", 1).await;
        for count in 2..6 {
            tell(&server, &portal, other, [Event::DeviceUpdated {}]).await;
            receiver.heard("device-updated", count).await;
        }
        // What hangs is not waited for.
        drop(server);
    }

    /// OES4, ES4: an event that is forgotten before it could be delivered leaves nobody waiting for it.
    async fn what_waited_for_an_event_that_is_forgotten_is_delivered(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![3_600_000; 3]).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(|came, _| if came.kind() == "device-updated" { says("500 Oops") } else { taken() }).await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated", "device-deleted"])).await;
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        receiver.heard("device-updated", 1).await;
        database.execute(&format!("UPDATE events SET created_at = created_at - {}", Duration::from_secs(31 * 86_400).as_micros()));
        tell(&server, &portal, device, [Event::DeviceDeleted {}]).await;
        eventually("it waits", async || last(&portal, &made, "device-deleted").await["state"] == "PENDING").await;
        sweep(&server).await;
        comes_to(&portal, &made, "device-deleted", "DELIVERED").await;
        assert!(deliveries(&portal, &made).await.iter().all(|one| one["eventType"] != "dmwsi.v1.device-updated"));
        server.stop().await;
    }
}
