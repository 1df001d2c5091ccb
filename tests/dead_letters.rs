//! Deliveries that are given up: their client is told, once for all that end together, and not of that without end.
use std::collections::BTreeSet;
use std::time::Duration;

use dmwsi_domain::event::Event;
use serde_json::{Value, json};

use crate::deliveries::quick;
use crate::harness::Database;
use crate::harness::document::Document;
use crate::harness::eventually;
use crate::harness::receiver::{Came, Receiver, says, taken};
use crate::subscriptions::{alert, deliveries, subscribe, tell, wanted};

const NOTICE: &str = "subscription-delivery-dead";

/// What the notices said, each once however often it came.
fn told(receiver: &Receiver) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let came = receiver.of(NOTICE).into_iter().filter(|came: &Came| seen.insert(came.header("webhook-id").to_owned()));
    came.map(|came| came.event()["data"].clone()).collect()
}

fn count(notices: &[Value]) -> u64 {
    notices.iter().map(|notice| notice["count"].as_u64().unwrap()).sum()
}

/// The same of all that stand in the log.
fn logged(database: &Database) -> Vec<Value> {
    let lines = database.lines(&format!("SELECT data AS line FROM events WHERE type = 'dmwsi.v1.{NOTICE}' ORDER BY id"));
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

both! {
    /// OES4: a receiver that takes all but one type is told what it has not taken, and so is who watches over it.
    async fn what_is_given_up_is_told(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![50]).await;
        let devices = server.devices(&portal, 5).await;
        let (receiver, watcher) = (Receiver::taking().await, Receiver::taking().await);
        receiver.answer(|came, _| if came.kind() == "device-alert" { says("400 No") } else { taken() });
        subscribe(&portal, &wanted(&watcher.url, &[NOTICE])).await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-alert", "device-updated"])).await;
        for (device, _) in &devices {
            tell(&server, &portal, *device, [alert("a", "fatal", ""), Event::DeviceUpdated {}]).await;
        }
        eventually("both know all", async || [&receiver, &watcher].iter().all(|one| count(&told(one)) == 5)).await;
        let notices = told(&watcher);
        assert_eq!(notices.len(), told(&receiver).len(), "the same ones");
        let all = deliveries(&portal, &made).await;
        let dead: BTreeSet<_> = all.iter().filter(|one| one["state"] == "DEAD").map(|one| one["eventId"].as_str().unwrap()).collect();
        assert_eq!(dead.len(), 5);
        for notice in &notices {
            assert_eq!((&notice["subscriptionId"], &notice["error"]), (&made["id"], &json!("REFUSED")));
            assert!(dead.contains(notice["firstEventId"].as_str().unwrap()), "{notice}");
        }
        receiver.heard("device-updated", 5).await;
        let (came, document) = (watcher.of(NOTICE).remove(0).event(), Document::generated());
        assert_eq!(came["subject"], format!("subscriptions/{}", made["id"].as_str().unwrap()));
        let content = &document.0["webhooks"][NOTICE]["post"]["requestBody"]["content"]["application/cloudevents+json"];
        assert_eq!(document.faults(&content["schema"], &came, ""), Vec::<String>::new());
        let metrics = portal.get("/metrics").await.text;
        assert!(metrics.contains("dmwsi_deliveries_total{outcome=\"dead\"}"), "{metrics}");
        // Each notice is delivered by itself, and a newcomer is told the last one all the same.
        tell(&server, &portal, devices[0].0, [alert("b", "fatal", "")]).await;
        eventually("that is told, too", async || count(&told(&watcher)) == 6).await;
        let newcomer = Receiver::taking().await;
        let mut new = wanted(&newcomer.url, &[NOTICE]);
        new["config"]["initialEvent"] = json!(true);
        let new = subscribe(&portal, &new).await;
        newcomer.heard(NOTICE, 1).await;
        assert_eq!(Some(&newcomer.of(NOTICE)[0].event()["data"]["firstEventId"]), told(&watcher).last().map(|last| &last["firstEventId"]));
        let of_notices = async || deliveries(&portal, &new).await.iter().filter(|one| one["eventType"] == format!("dmwsi.v1.{NOTICE}")).count();
        assert_eq!(of_notices().await, 1);
        server.stop().await;
    }

    /// OES4: that a notice was given up itself is told to nobody, neither where it came from nor elsewhere.
    async fn the_end_of_a_notice_is_not_told(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![50]).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(|_, _| says("400 No")).await;
        let watcher = Receiver::open(|came, _| if came.kind() == NOTICE { says("400 No") } else { taken() }).await;
        let watching = subscribe(&portal, &wanted(&watcher.url, &[NOTICE])).await;
        watcher.heard("subscription-started", 1).await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-alert"])).await;
        tell(&server, &portal, device, [alert("a", "fatal", "")]).await;
        eventually("both are given up", async || count(&logged(&database)) == 2).await;
        let notices = logged(&database).len();
        let ended = async |subscription| {
            let all = deliveries(&portal, subscription).await;
            let of_notices = all.iter().filter(|one| one["eventType"] == format!("dmwsi.v1.{NOTICE}"));
            of_notices.filter(|one| one["state"] == "DEAD").count()
        };
        eventually("the notices are given up", async || ended(&made).await == notices && ended(&watching).await == notices).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!((logged(&database).len(), count(&logged(&database))), (notices, 2));
        server.stop().await;
    }

    /// OES7: what a client may not have any more is not lost to it, and it is not told of it.
    async fn what_a_client_may_not_have_any_more_is_not_told_as_given_up(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![300; 50]).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::open(|came, _| if came.kind() == "device-alert" { says("500 Oops") } else { taken() }).await;
        subscribe(&portal, &wanted(&receiver.url, &["device-alert"])).await;
        tell(&server, &portal, device, [alert("a", "fatal", "")]).await;
        receiver.heard("device-alert", 1).await;
        let client = portal.client;
        server.store().write(move |tx| {
            let mut client = tx.client(client)?;
            client.scopes = "subscriptions:read subscriptions:write".parse().unwrap();
            tx.update_client(&mut client)
        }).await.unwrap();
        let dead = || database.lines("SELECT attempts AS line FROM deliveries WHERE state = 'DEAD'");
        eventually("it is not delivered any more", async || dead().len() == 1).await;
        assert!(dead()[0].contains("NOT_PERMITTED"), "{:?}", dead());
        assert!(logged(&database).is_empty());
        server.stop().await;
    }
}
