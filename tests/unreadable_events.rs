//! What cannot be read holds nobody up.
use std::time::Duration;

use dmwsi_domain::event::Event;
use serde_json::Value;

use crate::deliveries::quick;
use crate::harness::eventually;
use crate::harness::receiver::{Receiver, says, taken};
use crate::harness::server::{Portal, Server};
use crate::retention::sweep;
use crate::subscriptions::{SCOPES, alert, deliveries, subscribe, tell, wanted};

/// What the deliveries of events of a type came to.
async fn ends(portal: &Portal, subscription: &Value, kind: &str) -> Vec<(String, String)> {
    let of_kind = |one: &Value| one["eventType"] == format!("dmwsi.v1.{kind}");
    let end = |one: Value| {
        let error = one["attempts"].as_array().unwrap().last().map_or(Value::Null, |last| last["error"].clone());
        (one["state"].as_str().unwrap().to_owned(), error.as_str().unwrap_or_default().to_owned())
    };
    deliveries(portal, subscription).await.into_iter().filter(of_kind).map(end).collect()
}

fn delivered() -> (String, String) {
    ("DELIVERED".to_owned(), String::new())
}

fn dead() -> (String, String) {
    ("DEAD".to_owned(), "UNREADABLE".to_owned())
}

async fn numbered(server: &Server) {
    eventually("all have numbers", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;
}

both! {
    /// OES4: an event that is damaged while it waits is a dead letter that says why; the next of its device comes all the same.
    async fn an_event_that_was_damaged_on_its_way_holds_up_nothing(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![400; 9]).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-alert"])).await;
        receiver.heard("subscription-started", 1).await;
        receiver.answer(|_, _| says("500 Oops"));
        tell(&server, &portal, device, ["a", "b", "c"].map(|kind| alert(kind, "critical", ""))).await;
        receiver.heard("device-alert", 1).await;
        database.execute("UPDATE events SET data = '{\"no\": \"alert\"}' WHERE alert_type IN ('a', 'b') AND type = 'dmwsi.v1.device-alert'");
        receiver.answer(|_, _| taken());
        eventually("the last came", async || receiver.of("device-alert").iter().any(|came| came.event()["data"]["alertType"] == "c")).await;
        eventually("all is settled", async || ends(&portal, &made, "device-alert").await == [dead(), dead(), delivered()]).await;
        server.stop().await;
    }

    /// OES4: one that cannot be read from the first, damaged or of a type that this version does not know, is skipped by who cannot want it and dead at who might.
    async fn an_event_that_nobody_can_read_holds_up_no_log(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, public), (other, foreign)] = server.devices(&portal, 2).await.try_into().unwrap();
        let (receiver, elsewhere, without) = (Receiver::taking().await, Receiver::taking().await, Receiver::taking().await);
        let mut new = wanted(&receiver.url, &["device-alert"]);
        new["config"]["subscriptionDetail"]["deviceIds"] = serde_json::json!([public]);
        let made = subscribe(&portal, &new).await;
        let mut new = wanted(&elsewhere.url, &["device-alert"]);
        new["config"]["subscriptionDetail"]["deviceIds"] = serde_json::json!([foreign]);
        let of_other = subscribe(&portal, &new).await;
        let of_updates = subscribe(&portal, &wanted(&without.url, &["device-updated"])).await;
        tell(&server, &portal, device, [alert("a", "critical", "")]).await;
        receiver.heard("device-alert", 1).await;
        numbered(&server).await;
        for (number, kind, data) in [(1, "dmwsi.v1.device-alert", "{"), (2, "dmwsi.v9.device-unheard-of", "{}")] {
            database.execute(&format!(
                "INSERT INTO events (id, organisation_id, client_id, type, job_id, ordinal, device_id, revision, data, correlator, created_at, alert_type)
                SELECT '0000000000007000800000000000000{number}', organisation_id, client_id, '{kind}', job_id, ordinal, device_id, revision, '{data}', correlator, created_at, alert_type
                FROM events WHERE alert_type = 'a' AND id > '00000000000070009'"
            ));
        }
        for of in [device, other] {
            tell(&server, &portal, of, [alert("b", "critical", ""), Event::DeviceUpdated {}]).await;
        }
        receiver.heard("device-alert", 2).await;
        elsewhere.heard("device-alert", 1).await;
        without.heard("device-updated", 2).await;
        eventually("all is settled", async || ends(&portal, &made, "device-alert").await == [delivered(), dead(), delivered()]).await;
        assert_eq!(ends(&portal, &of_other, "device-alert").await, [delivered()]);
        assert!(ends(&portal, &of_updates, "device-alert").await.is_empty());
        server.stop().await;
    }

    /// OES4: where the log of an organisation cannot be laid out at all, that of every other is, and its own as soon as it can be.
    async fn an_organisation_whose_log_is_damaged_holds_up_no_other(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let (first, last) = (server.portal("a-neighbour", SCOPES).await, server.portal("z-neighbour", SCOPES).await);
        // In the order in which their logs are gone over: the damaged one stands between the others.
        let mut all = [&first, &portal, &last];
        all.sort_by_key(|one| one.organisation);
        let mut receivers = Vec::new();
        for one in all {
            let receiver = Receiver::taking().await;
            subscribe(one, &wanted(&receiver.url, &["device-updated"])).await;
            receiver.heard("subscription-started", 1).await;
            let [(device, _)] = server.devices(one, 1).await.try_into().unwrap();
            receivers.push((one, receiver, device));
        }
        let (damaged, receiver, device) = &receivers[1];
        numbered(&server).await;
        // It has a number, and what it is about is nothing that could ever be.
        let id = damaged.organisation.uuid().simple();
        database.execute(&format!(
            "INSERT INTO events (id, organisation_id, type, device_id, revision, data, created_at)
            VALUES ('00000000000070008000000000000001', '{id}', 'dmwsi.v1.device-updated', 'nothing', 1, '{{}}', {})",
            server.clock.now().micros(),
        ));
        tell(&server, damaged, *device, [Event::DeviceUpdated {}]).await;
        numbered(&server).await;
        for (one, receiver, device) in [&receivers[0], &receivers[2]] {
            tell(&server, one, *device, vec![Event::DeviceUpdated {}; 2]).await;
            receiver.heard("device-updated", 2).await;
        }
        assert!(receiver.of("device-updated").is_empty(), "nobody skips what might have been theirs");
        database.execute("UPDATE events SET device_id = NULL WHERE device_id = 'nothing'");
        receiver.heard("device-updated", 2).await;
        server.stop().await;
    }

    /// OES4: a subscription that cannot be read costs no other its events.
    async fn a_damaged_subscription_holds_up_no_other(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let damaged = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        receiver.heard("subscription-started", 1).await;
        let id = damaged["id"].as_str().unwrap().strip_prefix("sub_").unwrap();
        database.execute(&format!("UPDATE subscriptions SET purpose = '{{' WHERE id = '{id}'"));
        // Whatever is told of next makes everybody look anew.
        let good = Receiver::taking().await;
        subscribe(&portal, &wanted(&good.url, &["device-alert"])).await;
        database.execute("UPDATE subscriptions SET change = change + 1; UPDATE organisations SET subscriptions_revision = subscriptions_revision + 1");
        tell(&server, &portal, device, [alert("a", "critical", "")]).await;
        good.heard("device-alert", 1).await;
        server.stop().await;
    }

    /// OES4, ES4: what a damaged subscription should have had is forgotten in its time, and so is what is old of every other organisation.
    async fn a_damaged_subscription_keeps_nothing_from_being_forgotten(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![3_600_000; 3]).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(|came, _| if came.kind() == "device-updated" { says("500 Oops") } else { taken() }).await;
        let damaged = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        receiver.heard("device-updated", 1).await;
        let neighbour = server.portal("a-neighbour", SCOPES).await;
        let [(device, _)] = server.devices(&neighbour, 1).await.try_into().unwrap();
        tell(&server, &neighbour, device, [Event::DeviceUpdated {}]).await;
        numbered(&server).await;
        let id = damaged["id"].as_str().unwrap().strip_prefix("sub_").unwrap();
        database.execute(&format!("UPDATE subscriptions SET purpose = '{{' WHERE id = '{id}'"));
        database.execute(&format!("UPDATE events SET created_at = created_at - {}", Duration::from_secs(31 * 86_400).as_micros()));
        sweep(&server).await;
        eventually("all of it is gone", async || database.lines("SELECT id AS line FROM events").is_empty()).await;
        assert!(database.lines("SELECT state AS line FROM deliveries").is_empty());
        server.stop().await;
    }
}
