//! When subscriptions are over: by their own time, by their token, by the number of events, and when they are forgotten.
use std::time::Duration;

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::id::{EventId, JobId, SubscriptionId};
use dmwsi_domain::job::Counts;
use dmwsi_domain::subscription::Handshake;
use reqwest::Method;
use serde_json::json;

use crate::deliveries::quick;
use crate::harness::eventually;
use crate::harness::receiver::{Receiver, says, taken};
use crate::harness::server::Server;
use crate::retention::sweep;
use crate::subscriptions::{SCOPES, patch, path, subscribe, tell, wanted};

both! {
    /// A token that ends early does not make anybody forget when its client wanted the subscription to be over.
    async fn the_end_that_a_client_wants_outlives_a_token(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["config"]["subscriptionExpireTime"] = json!("2098-01-01T00:00:00Z");
        let token = |end: &str| json!({"credentialType": "ACCESSTOKEN", "accessToken": "t", "accessTokenExpiresUtc": end});
        new["sinkCredential"] = token("2097-01-01T00:00:00Z");
        let made = subscribe(&portal, &new).await;
        assert_eq!(made["expiresAt"], "2096-12-31T23:59:30Z", "with its token, a little earlier");
        let changed = patch(&portal, &made, json!({"sinkCredential": token("2099-01-01T00:00:00Z")})).await.of(200);
        assert_eq!(changed["expiresAt"], "2098-01-01T00:00:00Z");
        let changed = patch(&portal, &made, json!({"config": {"subscriptionExpireTime": null}})).await.of(200);
        assert_eq!(changed["expiresAt"], "2098-12-31T23:59:30Z");
        server.stop().await;
    }

    /// What happened before the end of a subscription is delivered, even if it was not laid out in time.
    async fn what_happened_before_the_end_comes_before_the_end(database: Database) {
        let keys = Keys::mint().unwrap();
        let server = Server::with(&database, keys.clone(), Clock::System, |_config| {}).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-updated"]);
        let end = server.clock.now().plus(Duration::from_secs(5));
        new["config"]["subscriptionExpireTime"] = json!(end.to_string());
        let made = subscribe(&portal, &new).await;
        receiver.heard("subscription-started", 1).await;
        server.stop().await;

        let (store, clock, organisation) = (database.open(), Clock::System, portal.organisation);
        let event = Recorded {
            id: EventId::new(clock.new_id()),
            organisation,
            client: None,
            job: None,
            ordinal: None,
            device: Some(device),
            revision: 1,
            correlator: None,
            at: end.minus(Duration::from_millis(1)),
            event: Event::DeviceUpdated {},
        };
        store.write(move |tx| tx.record(&event)).await.unwrap();
        let id: SubscriptionId = serde_json::from_value(made["id"].clone()).unwrap();
        let later = end.plus(Duration::from_secs(1));
        let expire = move |tx: &mut dmwsi_store::Tx<'_>| tx.expire_subscription(organisation, id, later, &mut Clock::System.new_ids());
        assert!(!store.write(expire).await.unwrap(), "it still has to be told of something");
        drop(store);
        eventually("its time is over", async || clock.now() > end).await;
        let server = Server::with(&database, keys, Clock::System, |_config| {}).await;
        receiver.heard("subscription-ended", 1).await;
        let kinds: Vec<_> = receiver.all().iter().map(|came| came.kind()).collect();
        assert_eq!(kinds, ["subscription-started", "device-updated", "subscription-ended"]);
        server.stop().await;
    }

    /// Events that a receiver missed while it was asked count like those that come later.
    async fn a_limited_number_of_events_is_kept_to_when_catching_up(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.webhooks.handshake = Handshake::Required;
            config.webhooks.handshake_retry_ms = vec![300; 40];
        }).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["config"]["subscriptionMaxEvents"] = json!(3);
        let made = portal.post("/v1/subscriptions", &new).await.of(202);
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 5]).await;
        eventually("they are laid out", async || server.store().read(|tx| tx.undistributed_after(None)).await.unwrap().is_none()).await;
        receiver.answer(|came, _| if came.method == "OPTIONS" { says("200 OK\r\nwebhook-allowed-origin: *") } else { taken() });
        let ended = receiver.heard("subscription-ended", 1).await;
        assert_eq!(ended[0].event()["data"]["terminationReason"], "MAX_EVENTS_REACHED");
        receiver.heard("device-updated", 3).await;
        let shown = portal.get(&path(&made)).await.of(200);
        assert_eq!((&shown["status"], receiver.of("device-updated").len()), (&json!("EXPIRED"), 3));
        server.stop().await;
    }

    /// What is told of one device waits for what was told of it before; the end of the subscription waits for all of it.
    async fn the_end_comes_after_all_that_wait_for_each_other(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        // The second is refused at first, so that the others wait for that.
        receiver.answer(|came, number| if came.kind() == "device-updated" && number == 3 { says("500 No") } else { taken() });
        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["config"]["subscriptionMaxEvents"] = json!(5);
        subscribe(&portal, &new).await;
        receiver.heard("subscription-started", 1).await;
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 8]).await;
        receiver.heard("subscription-ended", 1).await;
        let kinds: Vec<_> = receiver.all().iter().map(|came| came.kind()).collect();
        assert_eq!(kinds, [vec!["subscription-started"], vec!["device-updated"; 6], vec!["subscription-ended"]].concat());
        server.stop().await;
    }

    /// Of two who delete it at once one does, and to the other it is not there; whatever both say of its revision.
    async fn a_subscription_is_deleted_once(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let receiver = Receiver::taking().await;
        for round in 1..=8 {
            let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
            let delete = async || portal.call(Method::DELETE, &path(&made), &[("if-match", "*")], None).await.status.as_u16();
            let (one, two, three) = tokio::join!(delete(), delete(), delete());
            let mut all = [one, two, three];
            all.sort_unstable();
            assert_eq!(all, [204, 404, 404], "round {round}");
        }
        receiver.heard("subscription-ended", 8).await;
        server.stop().await;
    }

    /// What a client may not read any more is not counted, either.
    async fn what_a_client_may_not_have_any_more_does_not_count(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-updated", "job-progress"]);
        new["config"]["subscriptionMaxEvents"] = json!(4);
        let made = subscribe(&portal, &new).await;
        let progress = |count: usize| -> Vec<_> {
            let one = || Recorded {
                id: EventId::new(server.clock.new_id()),
                organisation: portal.organisation,
                client: Some(portal.client),
                job: Some(JobId::new(server.clock.new_id())),
                ordinal: None,
                device: None,
                revision: 1,
                correlator: None,
                at: server.clock.now(),
                event: Event::JobProgress { counts: Counts::default() },
            };
            (0..count).map(|_| one()).collect()
        };
        let (some, more) = (progress(1), progress(5));
        server.store().write(move |tx| tx.record_all(&some)).await.unwrap();
        receiver.heard("job-progress", 1).await;
        let client = portal.client;
        server.store().write(move |tx| {
            let mut client = tx.client(client)?;
            client.scopes = "devices:read subscriptions:read subscriptions:write".parse().unwrap();
            tx.update_client(&mut client)
        }).await.unwrap();
        server.store().write(move |tx| tx.record_all(&more)).await.unwrap();
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 2]).await;
        receiver.heard("device-updated", 2).await;
        assert_eq!(database.lines(&format!("SELECT status AS line FROM subscriptions WHERE id = '{}'", made["id"].as_str().unwrap().trim_start_matches("sub_"))), ["ACTIVE"]);
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 2]).await;
        let ended = receiver.heard("subscription-ended", 1).await;
        assert_eq!(ended[0].event()["data"]["terminationReason"], "MAX_EVENTS_REACHED");
        receiver.heard("device-updated", 3).await;
        assert_eq!((receiver.of("device-updated").len(), receiver.of("job-progress").len()), (3, 1));
        server.stop().await;
    }

    /// ES4: a subscription that is over is forgotten with the events of its time, and one that is not stays.
    async fn what_is_over_for_long_is_forgotten(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let receiver = Receiver::taking().await;
        let mut made = Vec::new();
        for _ in 0..3 {
            made.push(subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await);
        }
        receiver.heard("subscription-started", 3).await;
        for one in &made[1..] {
            portal.call(Method::DELETE, &path(one), &[], None).await;
        }
        receiver.heard("subscription-ended", 2).await;
        let id = |one: usize| made[one]["id"].as_str().unwrap().trim_start_matches("sub_").to_owned();
        let old = server.clock.now().minus(Duration::from_secs(31 * 86_400)).micros();
        database.execute(&format!("UPDATE subscriptions SET updated_at = {old} WHERE id IN ('{}', '{}')", id(0), id(1)));
        database.execute(&format!("UPDATE events SET created_at = {old}"));
        sweep(&server).await;
        let left = || database.lines("SELECT id AS line FROM subscriptions ORDER BY id");
        eventually("the old one is gone", async || left().len() == 2).await;
        assert_eq!(left(), [id(0), id(2)]);
        assert_eq!(portal.get(&path(&made[0])).await.of(200)["status"], "ACTIVE");
        server.stop().await;
    }

    /// A client has so many subscriptions that are not over, and no more.
    async fn a_client_has_twenty_thousand_subscriptions_at_most(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        let columns = "organisation_id, client_id, job_id, sink, purpose, secrets, signing, max_events, events, rate, expires_at, expires_by, \
            failures, failing_since, open_until, notice, is_troubled, recover_after, recover_until, recover_failed_only, starts_after, \
            change, created_at, updated_at, revision";
        let (id, source) = if database.is_postgres() {
            ("LPAD(i::TEXT, 32, '0')", "GENERATE_SERIES(1, 20000) AS n (i)")
        } else {
            ("PRINTF('%032d', i)", "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n) AS n")
        };
        // One of them is over, and one was made above.
        database.execute(&format!(
            "INSERT INTO subscriptions (id, status, {columns})
            SELECT {id}, CASE WHEN i = 1 THEN 'EXPIRED' ELSE 'INACTIVE' END, {columns} FROM subscriptions, {source}"
        ));
        portal.post("/v1/subscriptions", &wanted(&receiver.url, &["device-updated"])).await.problem(422, "QUOTA_EXCEEDED");
        portal.call(Method::DELETE, &path(&made), &[], None).await;
        subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        server.stop().await;
    }
}
