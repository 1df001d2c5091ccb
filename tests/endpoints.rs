//! Rates: of each place that is delivered to, whichever subscriptions and processes deliver there.
use std::time::{Duration, Instant};

use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::Subscription;
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
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(at("/events") + at("/events?same"), 1, "one a minute");
        drop(server);
    }

    /// OES4: none of those that share a rate keeps the others from it, however much each has to deliver.
    async fn subscriptions_to_one_endpoint_have_turns_one_after_the_other(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        for query in ["a", "b", "c"] {
            paced(&portal, &format!("{}?{query}", receiver.url), Some(240)).await;
        }
        receiver.heard("subscription-started", 3).await;
        tell(&server, &portal, device, (0..100).map(|_| alert("a", "fatal", ""))).await;
        let came = receiver.heard("device-alert", 16).await;
        for query in ["a", "b", "c"] {
            let those = came.iter().filter(|came| came.path == format!("/events?{query}")).count();
            assert!(those >= 3, "{those} of {} to {query}", came.len());
        }
        drop(server);
    }

    /// OES4: however many take turns at once, in however many processes, there are no more than the rate has; what is promised to one is had by no other.
    async fn no_more_turns_are_taken_than_a_rate_has(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let receiver = Receiver::taking().await;
        let mut all = Vec::new();
        for _ in 0..40 {
            let made = paced(&portal, &receiver.url, None).await;
            let id: SubscriptionId = serde_json::from_value(made["id"].clone()).unwrap();
            all.push(server.store().read(move |tx| tx.subscription(id)).await.unwrap());
        }
        let other = if database.is_postgres() { database.open() } else { server.store().clone() };
        let now = server.clock.now();
        let take = |store: &Store, subscription: &Subscription, now| {
            let (store, subscription) = (store.clone(), subscription.clone());
            tokio::spawn(async move { store.write(move |tx| tx.take_turns(&subscription, 1_200, 1, now)).await.unwrap() })
        };
        let asked: Vec<_> =
            all.iter().enumerate().map(|(at, one)| take(if at % 2 == 0 { server.store() } else { &other }, one, now)).collect();
        let mut times = Vec::new();
        for one in asked {
            times.push(one.await.unwrap().at);
        }
        times.sort_unstable();
        let promised = (1..=20).map(|turn| now.plus(Duration::from_millis(50 * turn)));
        assert_eq!(times, std::iter::repeat_n(now, 20).chain(promised).collect::<Vec<_>>(), "a second's worth at once, then one after the other");
        // Whoever asks once more has what was promised, and that once.
        let later = now.plus(Duration::from_secs(2));
        let mut waiting = Vec::new();
        for one in &all {
            if take(server.store(), one, now).await.unwrap().at > now {
                waiting.push(one);
            }
        }
        assert!(waiting.len() >= 20, "{}", waiting.len());
        assert!(take(&other, waiting[0], later).await.unwrap().at == later);
        assert!(take(&other, waiting[0], later).await.unwrap().at > later);
        let rows = || database.lines("SELECT endpoint AS line FROM endpoints").len();
        assert_eq!(rows(), 1);
        let forget = |until| server.store().write(move |tx| tx.sweep_endpoints(until, 10));
        assert_eq!(forget(now.minus(Duration::from_secs(60))).await.unwrap(), 0);
        assert_eq!((forget(now.plus(Duration::from_secs(3_600))).await.unwrap(), rows()), (1, 0));
        server.stop().await;
    }

    /// OES1, OES4: a client that is revoked has no say in how often others are told, nor is anything promised where a subscription no longer delivers to.
    async fn a_rate_is_wanted_by_who_is_there(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let receiver = Receiver::taking().await;
        let made = paced(&portal, &receiver.url, Some(1)).await;
        let id: SubscriptionId = serde_json::from_value(made["id"].clone()).unwrap();
        let store = server.store();
        // As a row from before endpoints were known.
        database.execute("UPDATE subscriptions SET endpoint = NULL");
        let strictest = async || store.read(move |tx| { let found = tx.subscription(id)?; tx.strictest_rate(&found) }).await.unwrap();
        assert_eq!(strictest().await, None);
        store.migrate().await.unwrap();
        assert_eq!(strictest().await, Some(1));
        receiver.heard("subscription-started", 1).await;
        let take = async || {
            let now = server.clock.now();
            store.write(move |tx| { let found = tx.subscription(id)?; tx.take_turns(&found, 1, 1, now) }).await.unwrap().at > now
        };
        assert!(take().await, "it has had its turn of this minute");
        let promised = || database.lines("SELECT subscription_id AS line FROM turns").len();
        assert_eq!(promised(), 1);
        patch(&portal, &made, json!({"sink": format!("{}/moved", receiver.url)})).await.of(200);
        assert_eq!((promised(), strictest().await), (0, Some(1)));
        let client = portal.client;
        let revoke = move |tx: &mut dmwsi_store::Tx<'_>| {
            let mut client = tx.client(client)?;
            client.revoke(dmwsi_domain::Clock::System.now());
            tx.update_client(&mut client)
        };
        store.write(revoke).await.unwrap();
        assert_eq!(strictest().await, None);
        server.stop().await;
    }
}
