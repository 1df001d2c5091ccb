//! Waking devices: package 0 to wherever they can be reached, until they call.
use std::time::{Duration, Instant};

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_protocol::credentials::account_hash;
use dmwsi_protocol::notification::{Notification, wsp};
use dmwsi_simulator::{Behaviour, Ear, Fleet, Pace};
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::handset::{Handset, SCOPES, ended, execution, job, outcome, package, update};
use crate::harness::process::Process;
use crate::harness::server::Portal;
use crate::harness::wake::{ask, comes_to, ear, heard_within, quick, wake};

/// The next datagram.
async fn listen(ear: &Ear) -> Vec<u8> {
    tokio::time::timeout(Duration::from_secs(10), ear.listen()).await.expect("a datagram").unwrap()
}

/// The session that the device is asked to hold by the next datagram.
async fn hear(handset: &Handset, ear: &Ear) -> u16 {
    let patience = Duration::from_secs(10);
    let heard = tokio::time::timeout(patience, async {
        loop {
            if let Some(session) = handset.device.hear(&ear.listen().await.unwrap()) {
                return session;
            }
        }
    });
    heard.await.expect("a notification")
}

fn read(node: &str) -> Value {
    json!({"type": "NODES_GET", "nodes": [node]})
}

both! {
    /// UC-7, CC3, S-PK-01
    async fn a_sleeping_device_is_woken_by_a_datagram_and_runs_its_job(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let (ear, push) = ear().await;
        let behaviour = Behaviour { poll_ms: 3_600_000, jitter_ms: 0, ..Behaviour::default() };
        let handset = Handset::register_at(&portal, server.url(), behaviour, &push).await;
        let package = package("2.0.0").await;
        // By the clock it would call in an hour.
        let asleep = Fleet::start_listening([(handset.device, Some(ear))], Pace::default());
        eventually("its first call", async || asleep.snapshot().sessions_ok == 1).await;
        let job = job(&portal, &handset.id, &update(&package, "2.0.0")).await;
        ended(&portal, &job).await;
        assert_eq!(outcome(&portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()));
        let wake = comes_to(&portal, &handset.id, "ANSWERED").await;
        assert!(wake["nextAttemptAt"].is_null() && wake["endedAt"].is_string(), "{wake}");
        asleep.stop().await;
        server.stop().await;
    }

    /// UC-7, CC3: what comes right after a device has done its work wakes it again: it does not heed the notification that it has answered.
    async fn a_job_right_after_another_wakes_the_device_again(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let (ear, push) = ear().await;
        let behaviour = Behaviour { poll_ms: 3_600_000, jitter_ms: 0, ..Behaviour::default() };
        let handset = Handset::register_at(&portal, server.url(), behaviour, &push).await;
        let asleep = Fleet::start_listening([(handset.device, Some(ear))], Pace::default());
        eventually("its first call", async || asleep.snapshot().sessions_ok == 1).await;
        for _ in 0..3 {
            let job = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
            ended(&portal, &job).await;
        }
        asleep.stop().await;
        server.stop().await;
    }

    /// CC3, S-NT-01: the bytes are those of the specification, with a digest over the nonce that the device gave last; before that, over both zero nonces.
    async fn package_0_is_signed_with_the_nonce_that_the_device_gave(database: Database) {
        let (server, portal) = quick(&database, |config| config.push.retry_first_ms = 60_000).await;
        let (ear, push) = ear().await;
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        let asked = ask(&portal, &handset.id).await;
        assert_eq!(asked["state"], "WAKING");
        let session = u16::from_str_radix(asked["sessionId"].as_str().unwrap(), 16).unwrap();
        let account = handset.device.account().clone();
        let hash = account_hash(&account.server_id, &account.server_secret);
        let [low, high] = session.to_le_bytes();
        let mut trigger = vec![0x02, 0xC8, 0, 0, 0, high, low, u8::try_from(account.server_id.len()).unwrap()];
        trigger.extend(account.server_id.as_bytes());
        for nonce in [&b"\0\0\0\0"[..], b"0x00000000"] {
            let datagram = listen(&ear).await;
            let digest = dmwsi_protocol::credentials::notification_digest(&hash, nonce, &trigger);
            assert_eq!(datagram, [&[low, 6, 3, 0xC4, 0xAF, 0x87][..], &digest, &trigger].concat());
            assert_eq!(handset.device.hear(&datagram), Some(session), "by the zero nonce");
        }
        handset.device.answer_call(session).await.unwrap();
        comes_to(&portal, &handset.id, "ANSWERED").await;
        let asked = ask(&portal, &handset.id).await;
        let next = u16::from_str_radix(asked["sessionId"].as_str().unwrap(), 16).unwrap();
        assert_eq!(next, session % 65_535 + 1, "another notification has another session");
        let datagram = listen(&ear).await;
        let read = Notification::decode(wsp::read(&datagram).unwrap()).unwrap();
        let nonce = &handset.device.account().server_nonce;
        assert!(!nonce.is_empty() && read.is_signed(&hash, nonce));
        assert_eq!((read.trigger.session(), read.trigger.version()), (next, 11));
        server.stop().await;
    }

    async fn a_lost_datagram_is_sent_again_until_the_device_calls_and_then_no_more(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let (ear, push) = ear().await;
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        handset.device.check_in().await.unwrap();
        let job = job(&portal, &handset.id, &read("./DevInfo/Man")).await;
        let first = hear(&handset, &ear).await;
        let began = Instant::now();
        assert_eq!(hear(&handset, &ear).await, first, "the same notification");
        assert!(began.elapsed() >= Duration::from_millis(90), "{:?}", began.elapsed());
        assert_eq!(hear(&handset, &ear).await, first);
        assert_eq!(outcome(&portal, &job, &handset.id).await.0, "QUEUED");
        handset.device.answer_call(first).await.unwrap();
        ended(&portal, &job).await;
        let wake = comes_to(&portal, &handset.id, "ANSWERED").await;
        assert!(wake["attempts"].as_u64().unwrap() >= 3, "{wake}");
        heard_within(&ear, Duration::from_millis(100)).await;
        assert_eq!(heard_within(&ear, Duration::from_millis(1_200)).await, 0);
        server.stop().await;
    }

    async fn a_device_that_calls_by_itself_is_woken_no_more_and_comes_to_no_harm(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let (ear, push) = ear().await;
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        ask(&portal, &handset.id).await;
        let session = hear(&handset, &ear).await;
        // Its wake ends by what calls later than it began, to the second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        handset.device.check_in().await.unwrap();
        comes_to(&portal, &handset.id, "CALLED").await;
        let late = handset.device.answer_call(session).await.unwrap();
        assert!(late.authenticated);
        assert_eq!(wake(&portal, &handset.id).await["state"], "CALLED");
        server.stop().await;
    }

    /// Some clients read the number of the session the wrong way round.
    async fn a_session_with_its_bytes_swapped_answers_the_notification(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let (ear, push) = ear().await;
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        let job = job(&portal, &handset.id, &read("./DevInfo/Mod")).await;
        let session = hear(&handset, &ear).await;
        handset.device.answer_call(session.swap_bytes()).await.unwrap();
        ended(&portal, &job).await;
        comes_to(&portal, &handset.id, "ANSWERED").await;
        server.stop().await;
    }

    /// AD-6: what anybody else sends is not heard.
    async fn a_notification_with_a_wrong_digest_is_met_with_silence(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let (ear, push) = ear().await;
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        handset.device.check_in().await.unwrap();
        ask(&portal, &handset.id).await;
        let good = listen(&ear).await;
        assert!(handset.device.hear(&good).is_some());
        for at in 6..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(handset.device.hear(&bad), None, "byte {at}");
        }
        for length in 0..good.len() {
            assert_eq!(handset.device.hear(&good[..length]), None, "{length} bytes");
        }
        server.stop().await;
    }

    async fn no_more_devices_are_woken_than_may_be_awaited(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.push.in_flight = 2;
            config.push.call_within_seconds = 3_600;
            config.push.retry_first_ms = 3_600_000;
            config.push.retry_longest_ms = 3_600_000;
        })
        .await;
        let mut sleepers = Vec::new();
        for _ in 0..5 {
            let (ear, push) = ear().await;
            let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
            handset.device.check_in().await.unwrap();
            sleepers.push((handset, ear));
        }
        // By then they are no longer taken to be in the session.
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        let ids: Vec<_> = sleepers.iter().map(|(handset, _)| handset.id.clone()).collect();
        let body = json!({"operation": read("./DevInfo/Man"), "target": {"type": "DEVICES", "deviceIds": ids}});
        portal.post("/v1/jobs", &body).await.of(202);
        for round in 1..=3 {
            let mut awake = Vec::new();
            for (at, (handset, ear)) in sleepers.iter().enumerate() {
                if let Ok(datagram) = tokio::time::timeout(Duration::from_millis(if round == 1 { 700 } else { 1_500 }), ear.listen()).await {
                    awake.push((at, handset.device.hear(&datagram.unwrap()).unwrap()));
                }
            }
            assert_eq!(awake.len(), if round == 3 { 1 } else { 2 }, "round {round}");
            for (at, session) in awake.into_iter().rev() {
                let (mut handset, _ear) = sleepers.remove(at);
                handset.device.answer_call(session).await.unwrap();
                comes_to(&portal, &handset.id, "ANSWERED").await;
            }
        }
        server.stop().await;
    }

    async fn the_rate_is_kept(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.push.rate = 10;
            config.push.retry_first_ms = 3_600_000;
            config.push.retry_longest_ms = 3_600_000;
        })
        .await;
        let (ear, push) = ear().await;
        let mut ids = Vec::new();
        for _ in 0..12 {
            let handset = Handset::register_at(&portal, server.url(), Behaviour { server_auth: None, ..Behaviour::default() }, &push).await;
            ids.push(handset.id);
        }
        let began = Instant::now();
        let body = json!({"operation": read("./DevInfo/Man"), "target": {"type": "DEVICES", "deviceIds": ids}});
        portal.post("/v1/jobs", &body).await.of(202);
        // Two to each, as nothing is known of their nonces.
        for _ in 0..24 {
            tokio::time::timeout(Duration::from_secs(10), ear.listen()).await.unwrap().unwrap();
        }
        assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
        server.stop().await;
    }

    async fn a_wake_without_a_reason_is_withdrawn(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let (ear, push) = ear().await;
        let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        let job = job(&portal, &handset.id, &read("./DevInfo/Man")).await;
        hear(&handset, &ear).await;
        portal.post(&format!("{job}/cancel"), &Value::Null).await.of(202);
        comes_to(&portal, &handset.id, "WITHDRAWN").await;
        server.stop().await;
    }

    /// CC3
    async fn whoever_may_asks_that_a_device_be_woken_and_sees_what_came_of_it(database: Database) {
        let (server, portal) = quick(&database, |config| config.push.max_attempts = 2).await;
        let (ear, push) = ear().await;
        let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        let path = format!("/v1/devices/{}/wake", handset.id);
        portal.get(&path).await.problem(404, "NOT_FOUND");
        let key = [("Idempotency-Key", "care-1")];
        let first = portal.call(reqwest::Method::POST, &path, &key, None).await;
        assert_eq!(first.header("location"), path);
        let again = portal.call(reqwest::Method::POST, &path, &key, None).await;
        assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &first.text));
        assert_eq!(first.of(202)["attempts"], 0);
        listen(&ear).await;
        let over = comes_to(&portal, &handset.id, "EXPIRED").await;
        assert_eq!(over["attempts"], 2);
        let told = database.lines("SELECT data AS line FROM events WHERE type = 'dmwsi.v1.device-not-woken'");
        assert_eq!(told.len(), 1, "{told:?}");

        let deaf = Handset::register(&portal, server.url(), Behaviour::default()).await;
        portal.post(&format!("/v1/devices/{}/wake", deaf.id), &Value::Null).await.problem(409, "NO_PUSH_ADDRESS");
        let reader = server.portal("acme", "devices:read devices:write").await;
        reader.post(&path, &Value::Null).await.problem(403, "PERMISSION_DENIED");
        let stranger = server.portal("other", SCOPES).await;
        stranger.post(&path, &Value::Null).await.problem(404, "NOT_FOUND");
        stranger.get(&path).await.problem(404, "NOT_FOUND");
        server.stop().await;
    }

    /// AD-12
    async fn a_wake_outlives_a_server_that_is_killed_between_attempts(database: Database) {
        let store = database.store().await;
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
        let keys = toml::to_string(&Keys::mint().unwrap()).unwrap();
        drop(store);
        let settings = [
            ("DMWSI__TASKS__LEASE_MS", "1000"),
            ("DMWSI__PUSH__RETRY_FIRST_MS", "500"),
            ("DMWSI__PUSH__RETRY_LONGEST_MS", "500"),
        ];
        let serve = || Process::serve_as(&database, &keys, "all", &settings);
        let mut process = serve();
        let portal = Portal::log_in(&process.base, &client, &secret).await;
        let (ear, push) = ear().await;
        let mut handset = Handset::register_at(&portal, &process.base, Behaviour::default(), &push).await;
        let job = job(&portal, &handset.id, &read("./DevInfo/Man")).await;
        let session = hear(&handset, &ear).await;
        for _ in 0..2 {
            process.kill();
            heard_within(&ear, Duration::from_millis(50)).await;
            process = serve();
            assert_eq!(hear(&handset, &ear).await, session, "the same notification as before");
        }
        handset.device.account_mut().server_url = format!("{}/dm", process.base);
        handset.device.answer_call(session).await.unwrap();
        let portal = Portal::log_in(&process.base, &client, &secret).await;
        ended(&portal, &job).await;
        assert_eq!(execution(&portal, &job, &handset.id).await["state"], "SUCCEEDED");
        comes_to(&portal, &handset.id, "ANSWERED").await;
    }
}
