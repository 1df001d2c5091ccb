//! What changes while deliveries are under way: the receiver, its pace, the subscription itself, and very many of them at a time.
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dmwsi_domain::Timestamp;
use dmwsi_domain::delivery::DeliveryState;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::Handshake;
use dmwsi_store::settlement::SettledDelivery;
use reqwest::Method;
use serde_json::json;

use crate::deliveries::quick;
use crate::harness::eventually;
use crate::harness::receiver::{Came, Receiver, Reply, says, taken};
use crate::harness::server::Server;
use crate::harness::statements::{assert_indexed, open, plan, sent};
use crate::retention::sweep;
use crate::subscriptions::{alert, deliveries, patch, path, subscribe, tell, wanted};

async fn laid_out(server: &Server) {
    eventually("all is laid out", async || {
        let open = |tx: &mut dmwsi_store::Tx<'_>| Ok((tx.unnumbered_after(None)?, tx.undistributed_after(None)?));
        server.store().read(open).await.is_ok_and(|open| open == (None, None))
    })
    .await;
}

both! {
    /// OES4: what the receiver before did is not charged to the new one, not even its last word.
    async fn another_sink_begins_anew(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.timeout_ms = 10_000).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let before = Receiver::open(|came, _| match came.kind().as_str() {
            "device-updated" => Reply::SaysSlowly(Duration::from_secs(2), "410 Gone".to_owned()),
            _ => taken(),
        });
        let (before, after) = (before.await, Receiver::taking().await);
        let made = subscribe(&portal, &wanted(&before.url, &["device-updated"])).await;
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        before.heard("device-updated", 1).await;
        patch(&portal, &made, json!({"sink": after.url})).await.of(200);
        eventually("the old one has spoken", async || {
            let all = deliveries(&portal, &made).await;
            all.iter().any(|one| one["attempts"].as_array().unwrap().iter().any(|attempt| attempt["error"] == "GONE"))
        }).await;
        after.heard("device-updated", 1).await;
        assert_eq!(portal.get(&path(&made)).await.of(200)["status"], "ACTIVE");
        server.stop().await;
    }

    /// OES4: who takes long to answer stays among those that give trouble, until it answers quickly.
    async fn a_slow_receiver_takes_no_place_of_those_that_do_well(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.timeout_ms = 10_000;
            config.webhooks.in_flight = 2;
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(|came, _| match came.kind().as_str() {
            "device-updated" => Reply::Slowly(Duration::from_millis(1_100)),
            _ => taken(),
        });
        let receiver = receiver.await;
        subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        let troubled = if database.is_postgres() { "is_troubled" } else { "is_troubled = 1" };
        let is_troubled = || !database.lines(&format!("SELECT id AS line FROM subscriptions WHERE {troubled}")).is_empty();
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 6]).await;
        receiver.heard("device-updated", 5).await;
        assert!(is_troubled(), "three slow answers in a row, and nothing quick since");
        receiver.answer(|_, _| taken());
        receiver.heard("device-updated", 6).await;
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        receiver.heard("device-updated", 7).await;
        eventually("it does well again", async || !is_troubled()).await;
        server.stop().await;
    }

    /// OES4: what happened while a receiver was asked comes before what happens after, of each device, however much it was.
    async fn what_was_missed_comes_before_what_comes(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.handshake = Handshake::Required;
            config.webhooks.handshake_retry_ms = vec![500; 40];
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let made = portal.post("/v1/subscriptions", &wanted(&receiver.url, &["device-updated"])).await.of(202);
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 600]).await;
        laid_out(&server).await;
        receiver.answer(|came, _| if came.method == "OPTIONS" { says("200 OK\r\nwebhook-allowed-origin: *") } else { taken() });
        eventually("it has agreed", async || portal.get(&path(&made)).await.of(200)["status"] == "ACTIVE").await;
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 20]).await;
        let came = receiver.heard("device-updated", 620).await;
        let numbers: Vec<_> = came.iter().map(|came| came.event()["sequence"].as_str().unwrap().to_owned()).collect();
        assert!(numbers.is_sorted(), "in order");
        server.stop().await;
    }

    /// OES4: what is delivered again while a later event is under way comes before the next attempt at that one, however often it is refused itself.
    async fn what_is_delivered_again_comes_before_what_was_under_way(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.retry_ms = vec![200; 40];
            config.webhooks.timeout_ms = 3_000;
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let of = |came: &Came| came.event()["data"]["alertType"].as_str().unwrap_or_default().to_owned();
        let receiver = Receiver::open(move |came, _| if of(came) == "b" { Reply::Never } else { taken() }).await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-alert"])).await;
        tell(&server, &portal, device, [alert("a", "critical", ""), alert("b", "critical", "")]).await;
        receiver.heard("device-alert", 2).await;
        let refused = AtomicU32::new(0);
        receiver.answer(move |came, _| {
            let is_refused = of(came) == "a" && refused.fetch_add(1, Ordering::SeqCst) < 6;
            if is_refused { says("503 Busy") } else { taken() }
        });
        let first = deliveries(&portal, &made).await.into_iter().find(|one| one["eventType"] == "dmwsi.v1.device-alert").unwrap();
        let redeliver = format!("{}/deliveries/{}/redeliver", path(&made), first["eventId"].as_str().unwrap());
        assert_eq!(portal.call(Method::POST, &redeliver, &[], None).await.status, 202);
        eventually("all is delivered", async || deliveries(&portal, &made).await.iter().all(|one| one["state"] == "DELIVERED")).await;
        let mut order: Vec<_> = receiver.of("device-alert").iter().map(of).collect();
        order.dedup();
        assert_eq!(order, ["a", "b", "a", "b"]);
        server.stop().await;
    }

    /// OES4: a rate says how many begin in a minute, not that each waits for the one before.
    async fn a_rate_does_not_make_a_slow_receiver_wait(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.timeout_ms = 60_000).await;
        let devices = server.devices(&portal, 5).await;
        let receiver = Receiver::open(|came, _| if came.kind() == "device-updated" { Reply::Never } else { taken() }).await;
        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["config"]["deliveriesPerMinute"] = json!(120);
        subscribe(&portal, &new).await;
        for (device, _) in devices {
            tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        }
        // None of them is ever answered.
        receiver.heard("device-updated", 5).await;
        drop(server);
    }

    /// OES4: a subscription with very much before it is deleted at once, and its receiver hears of the end only.
    async fn what_waits_when_a_subscription_is_deleted_is_dropped_bit_by_bit(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(|came, _| if came.kind() == "device-updated" { says("503 Busy") } else { taken() }).await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 2_500]).await;
        laid_out(&server).await;
        portal.call(Method::DELETE, &path(&made), &[], None).await;
        receiver.answer(|_, _| taken());
        receiver.forget();
        receiver.heard("subscription-ended", 1).await;
        let left = || database.lines("SELECT state AS line FROM deliveries WHERE state = 'PENDING'");
        eventually("nothing is left", async || left().is_empty()).await;
        assert!(receiver.of("device-updated").is_empty());
        server.stop().await;
    }

    /// However many are pending, what ends is found by its key: also by statistics of a moment at which nothing was pending.
    async fn what_ends_is_found_by_its_key_whatever_the_statistics_say(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 1_000]).await;
        receiver.heard("device-updated", 1_000).await;
        server.stop().await;
        database.execute("ANALYZE deliveries");
        let (store, subscription): (_, SubscriptionId) = (open(&database), made["id"].as_str().unwrap().parse().unwrap());
        let ended = SettledDelivery {
            number: 1,
            lost: None,
            order_key: device.uuid().simple().to_string(),
            attempt: 0,
            state: DeliveryState::Delivered,
            attempts: Vec::new(),
            next_at: None,
        };
        let settle = store.write(move |tx| tx.settle_deliveries(subscription, std::slice::from_ref(&ended), None, Timestamp::from_micros(1)));
        let typed = |statement: String| {
            let settled = "UNNEST($2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::BIGINT[])";
            statement.replace("UNNEST($2, $3, $4, $5, $6)", settled).replace("UNNEST($3)", "UNNEST($3::TEXT[])")
        };
        let sent = sent(settle).await.into_iter().filter(|statement| statement.starts_with("UPDATE deliveries"));
        let statements: Vec<_> = sent.map(typed).collect();
        assert_eq!(statements.len(), 2, "one that writes how it ended, one for what waits for it");
        for statement in &statements {
            let plan = plan(&database, statement);
            assert_indexed(statement, &plan);
            assert!(!database.is_postgres() || plan.contains("Tid Scan on deliveries"), "{plan}");
        }
        let plan = plan(&database, &statements[0]);
        assert!(plan.contains(if database.is_postgres() { "deliveries_pkey" } else { "(subscription_id=? AND number=?)" }), "{plan}");
    }

    /// OES4, ES4: what very many want is laid out and forgotten in parts, each once.
    async fn what_very_many_want_is_laid_out_and_forgotten_in_parts(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![3_600_000; 3]).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(|came, _| if came.kind() == "device-updated" { says("500 Oops") } else { taken() }).await;
        for _ in 0..25 {
            subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        }
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 420]).await;
        laid_out(&server).await;
        let of = |what: &str| {
            let sql = format!("SELECT order_key || subscription_id AS line FROM deliveries WHERE event_id IN (SELECT id FROM events WHERE type = '{what}')");
            database.lines(&sql).len()
        };
        assert_eq!((of("dmwsi.v1.device-updated"), of("dmwsi.v1.subscription-started")), (25 * 420, 25));
        database.execute(&format!("UPDATE events SET created_at = created_at - {}", Duration::from_secs(31 * 86_400).as_micros()));
        sweep(&server).await;
        eventually("all of it is gone", async || database.lines("SELECT state AS line FROM deliveries").is_empty()).await;
        assert!(database.lines("SELECT id AS line FROM events").is_empty());
        server.stop().await;
    }

    /// OES4: a subscription that only a newer version can read holds up neither the end of its job nor anybody's events.
    async fn a_subscription_that_cannot_be_read_holds_up_no_log(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let (receiver, other) = (Receiver::taking().await, Receiver::taking().await);
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        subscribe(&portal, &wanted(&other.url, &["device-updated"])).await;
        receiver.heard("subscription-started", 1).await;
        portal.call(Method::DELETE, &path(&made), &[], None).await;
        laid_out(&server).await;
        database.execute("UPDATE subscriptions SET purpose = '{}' WHERE status = 'DELETED'");
        let id = made["id"].as_str().unwrap();
        let ended = Event::SubscriptionEnded {
            subscription_id: serde_json::from_value(json!(id)).unwrap(),
            termination_reason: dmwsi_domain::subscription::TerminationReason::SubscriptionDeleted,
        };
        tell(&server, &portal, device, [ended, Event::DeviceUpdated {}]).await;
        other.heard("device-updated", 1).await;
        server.stop().await;
    }
}
