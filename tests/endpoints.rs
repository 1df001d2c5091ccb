//! Rates: of each place that is delivered to, whichever subscriptions and processes deliver there.
use std::time::{Duration, Instant};

use dmwsi_domain::id::SubscriptionId;
use dmwsi_store::Store;
use serde_json::{Value, json};

use crate::deliveries::quick;
use crate::harness::receiver::Receiver;
use crate::harness::server::Portal;
use crate::subscriptions::{SCOPES, alert, patch, subscribe, tell, wanted};

/// A subscription to alerts there, with so many deliveries a minute where that is given.
async fn paced(portal: &Portal, sink: &str, rate: Option<u32>) -> Value {
    let mut new = wanted(sink, &["device-alert"]);
    if let Some(rate) = rate {
        new["config"]["deliveriesPerMinute"] = json!(rate);
    }
    subscribe(portal, &new).await
}

both! {
    /// OES4: subscriptions to one endpoint share its rate, whatever stands in their queries; the least that one of them wants counts for all.
    async fn subscriptions_to_one_endpoint_share_its_rate(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let slowest = paced(&portal, &receiver.url, Some(240)).await;
        paced(&portal, &format!("{}?a=1", receiver.url), Some(6_000)).await;
        paced(&portal, &format!("{}?b", receiver.url.replace("http://", "HTTP://")), None).await;
        receiver.heard("subscription-started", 3).await;
        // A second's worth may come at once.
        let began = Instant::now();
        tell(&server, &portal, device, (0..4).map(|_| alert("a", "fatal", ""))).await;
        receiver.heard("device-alert", 12).await;
        assert!(began.elapsed() >= Duration::from_millis(1_900), "{:?}", began.elapsed());
        // The rate goes with the one that wanted it: at the one before these would take half a minute, longer than anybody waits here.
        patch(&portal, &slowest, json!({"config": {"deliveriesPerMinute": 6_000}})).await.of(200);
        tell(&server, &portal, device, (0..40).map(|_| alert("a", "fatal", ""))).await;
        receiver.heard("device-alert", 12 + 120).await;
        server.stop().await;
    }

    /// OES4: another path, and the same path of another organisation, have rates of their own.
    async fn a_rate_is_that_of_one_endpoint_of_one_organisation(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let stranger = server.portal("other", SCOPES).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let [(foreign, _)] = server.devices(&stranger, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let at = |query: &str| receiver.all().iter().filter(|came| came.path == query).count();
        paced(&portal, &receiver.url, Some(1)).await;
        receiver.heard("subscription-started", 1).await;
        paced(&portal, &format!("{}?same", receiver.url), None).await;
        paced(&portal, &format!("{}/other", receiver.url), None).await;
        paced(&stranger, &format!("{}?foreign", receiver.url), None).await;
        for (portal, device) in [(&portal, device), (&stranger, foreign)] {
            tell(&server, portal, device, (0..3).map(|_| alert("a", "fatal", ""))).await;
        }
        crate::harness::eventually("those that are free have theirs", async || at("/events/other") == 4 && at("/events?foreign") == 4).await;
        assert_eq!(at("/events") + at("/events?same"), 1, "one a minute");
        drop(server);
    }

    /// OES4: however many take turns at once, in however many processes, there are no more than the rate has.
    async fn no_more_turns_are_taken_than_a_rate_has(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let receiver = Receiver::taking().await;
        let made = paced(&portal, &receiver.url, None).await;
        let id: SubscriptionId = serde_json::from_value(made["id"].clone()).unwrap();
        let subscription = server.store().read(move |tx| tx.subscription(id)).await.unwrap();
        let other = if database.is_postgres() { database.open() } else { server.store().clone() };
        let now = server.clock.now();
        let take = |store: &Store| {
            let (store, subscription) = (store.clone(), subscription.clone());
            tokio::spawn(async move { store.write(move |tx| tx.take_turns(&subscription, 1_200, 3, now)).await.unwrap().0 })
        };
        let mut all = 0;
        for one in (0..20).flat_map(|_| [take(server.store()), take(&other)]).collect::<Vec<_>>() {
            all += one.await.unwrap();
        }
        assert_eq!(all, 20, "a second's worth");
        let rows = || database.lines("SELECT endpoint AS line FROM endpoints").len();
        assert_eq!(rows(), 1);
        let forget = |until| server.store().write(move |tx| tx.sweep_endpoints(until, 10));
        assert_eq!(forget(now.minus(Duration::from_secs(60))).await.unwrap(), 0);
        assert_eq!((forget(now.plus(Duration::from_secs(60))).await.unwrap(), rows()), (1, 0));
        server.stop().await;
    }
}
