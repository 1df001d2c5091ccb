//! Events had again: since a time and until another, once for each request; and what a subscription begins with.
use std::time::Duration;

use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::id::{EventId, JobId};
use dmwsi_domain::job::Counts;
use reqwest::Method;
use serde_json::{Value, json};

use crate::deliveries::quick;
use crate::harness::eventually;
use crate::harness::handset::{Handset, job};
use crate::harness::receiver::{Came, Receiver, says, taken};
use crate::harness::server::Server;
use crate::harness::statements::sent;
use crate::subscriptions::{SCOPES, alert, deliveries, path, subscribe, tell, wanted};

fn kinds(came: &[Came]) -> Vec<String> {
    came.iter().map(|came| came.event()["data"]["alertType"].as_str().unwrap().to_owned()).collect()
}

both! {
    /// UC-13, OES4: what happened from a moment on and before another is delivered again, in its order; a repeated request does it once.
    async fn a_part_of_the_log_is_delivered_again_once_for_each_request(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![20]).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-alert"])).await;
        receiver.heard("subscription-started", 1).await;
        let mut moments = Vec::new();
        for kind in ["a", "b", "c", "d"] {
            moments.push(server.clock.now());
            tell(&server, &portal, device, [alert(kind, "fatal", "")]).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        receiver.heard("device-alert", 4).await;
        let recover = format!("{}/recover", path(&made));
        let part = json!({"since": moments[1].to_string(), "until": moments[3].to_string(), "onlyFailed": false});
        for _ in 0..3 {
            let again = portal.call(Method::POST, &recover, &[("idempotency-key", "once")], Some(&part)).await;
            assert_eq!((again.status.as_u16(), again.text.as_str()), (202, ""));
            receiver.heard("device-alert", 6).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(kinds(&receiver.of("device-alert")), ["a", "b", "c", "d", "b", "c"]);
        let mut other = part.clone();
        other["until"] = json!(moments[2].to_string());
        portal.call(Method::POST, &recover, &[("idempotency-key", "once")], Some(&other)).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
        other["until"] = other["since"].clone();
        portal.post(&recover, &other).await.problem(400, "INVALID_ARGUMENT");

        let event = deliveries(&portal, &made).await.into_iter().rfind(|one| one["eventType"] == "dmwsi.v1.device-alert").unwrap()["eventId"].clone();
        let redeliver = format!("{}/deliveries/{}/redeliver", path(&made), event.as_str().unwrap());
        for _ in 0..3 {
            assert_eq!(portal.call(Method::POST, &redeliver, &[("idempotency-key", "twice")], None).await.status.as_u16(), 202);
            receiver.heard("device-alert", 7).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(receiver.of("device-alert").len(), 7);

        // Only what failed, and of that only what lies between.
        receiver.answer(|came, _| if came.kind() == "device-alert" { says("500 Oops") } else { taken() });
        let mut moments = Vec::new();
        for kind in ["e", "f", "g"] {
            moments.push(server.clock.now());
            tell(&server, &portal, device, [alert(kind, "fatal", "")]).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let dead = async || deliveries(&portal, &made).await.iter().filter(|one| one["state"] == "DEAD").count();
        eventually("all are dead", async || dead().await == 3).await;
        receiver.answer(|_, _| taken());
        let count = receiver.of("device-alert").len();
        let part = json!({"since": moments[1].to_string(), "until": moments[2].to_string()});
        assert_eq!(portal.post(&recover, &part).await.status.as_u16(), 202);
        receiver.heard("device-alert", count + 1).await;
        eventually("two are left", async || dead().await == 2).await;
        assert_eq!(kinds(&receiver.of("device-alert"))[count..], ["f"]);
        server.stop().await;
    }

    /// OES4: what an older version put into another order, or this one while it could not read it, comes when it is asked for, and holds up nothing.
    async fn what_was_laid_out_in_another_order_is_recovered(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-alert"])).await;
        let since = server.clock.now();
        tell(&server, &portal, device, [alert("a", "fatal", "")]).await;
        receiver.heard("device-alert", 1).await;
        let states = || database.lines("SELECT state AS line FROM deliveries");
        eventually("all is delivered", async || states().iter().all(|state| state == "DELIVERED")).await;
        database.execute("UPDATE deliveries SET order_key = ''");
        let again = json!({"since": since.to_string(), "onlyFailed": false});
        assert_eq!(portal.post(&format!("{}/recover", path(&made)), &again).await.status.as_u16(), 202);
        receiver.heard("device-alert", 2).await;
        assert_eq!(portal.post(&format!("{}/test", path(&made)), &json!({})).await.status.as_u16(), 202);
        receiver.heard("subscription-test", 1).await;
        server.stop().await;
    }

    /// OES4: what is delivered again is gathered in slices, so that nobody waits for all that others have asked for, neither for the same nor for what
    /// happens now.
    async fn a_long_recovery_holds_up_nobody(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.recovery_slice_ms = 0).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let before = server.clock.now();
        for _ in 0..5 {
            tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 1_000]).await;
        }
        tell(&server, &portal, device, [alert("a", "fatal", "")]).await;
        eventually("all is laid out", async || {
            let open = |tx: &mut dmwsi_store::Tx<'_>| Ok((tx.unnumbered_after(None)?, tx.undistributed_after(None)?));
            server.store().read(open).await.is_ok_and(|open| open == (None, None))
        }).await;
        let since = json!({"since": before.to_string(), "onlyFailed": false});
        // As many as have a place, and they are delivered nothing before all of theirs is gathered.
        let (long, short, live) = (Receiver::taking().await, Receiver::taking().await, Receiver::taking().await);
        let mut many = Vec::new();
        for _ in 0..4 {
            many.push(subscribe(&portal, &wanted(&long.url, &["device-updated"])).await);
        }
        let few = subscribe(&portal, &wanted(&short.url, &["device-alert"])).await;
        subscribe(&portal, &wanted(&live.url, &["device-wake-requested"])).await;
        long.heard("subscription-started", 4).await;
        for one in many.iter().chain([&few]) {
            assert_eq!(portal.post(&format!("{}/recover", path(one)), &since).await.status.as_u16(), 202);
        }
        tell(&server, &portal, device, [Event::DeviceWakeRequested {}]).await;
        let first = async |receiver: &Receiver, kind| receiver.heard(kind, 1).await[0].at;
        let (live, short, long) =
            (first(&live, "device-wake-requested").await, first(&short, "device-alert").await, first(&long, "device-updated").await);
        assert!(live < long && short < long, "those are not done yet");
        drop(server);
    }

    /// AD-10, EI7: faults are filtered as alerts are, and the progress of jobs by their jobs.
    async fn faults_and_progress_are_filtered(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let handset = Handset::register(&portal, server.url(), dmwsi_simulator::Behaviour::default()).await;
        let [(device, _), (other, foreign)] = server.devices(&portal, 2).await.try_into().unwrap();
        let (of_faults, of_progress) = (Receiver::taking().await, Receiver::taking().await);
        let mut new = wanted(&of_faults.url, &["device-fault", "device-updated"]);
        new["config"]["subscriptionDetail"] = json!({"alertTypes": ["org.x.*"], "markAtLeast": "CRITICAL", "sources": ["./A"]});
        subscribe(&portal, &new).await;
        let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        let read = json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]});
        let (mine, not_wanted) = (job(&portal, &handset.id, &read).await, job(&portal, &handset.id, &read).await);
        let mut new = wanted(&of_progress.url, &["job-progress"]);
        new["config"]["subscriptionDetail"] = json!({"jobIds": [id(&mine)]});
        subscribe(&portal, &new).await;
        let fault = |kind: &str, mark: &str, source: &str| Event::DeviceFault {
            alert_type: kind.to_owned(),
            mark: mark.to_owned(),
            correlator: None,
            source: Some(source.to_owned()),
            alert_event_id: EventId::new(server.clock.new_id()),
        };
        let faults = [
            fault("org.y", "FATAL", "./A"), fault("org.x.a", "MINOR", "./A"), fault("org.x.b", "FATAL", "./B"), fault("org.x.c", "CRITICAL", "./A/B"), fault("org.x.d", "FATAL", "./A"),
        ];
        tell(&server, &portal, device, faults).await;
        tell(&server, &portal, other, [Event::DeviceUpdated {}]).await;
        assert_eq!(of_faults.heard("device-updated", 1).await[0].event()["data"]["deviceId"], foreign.as_str(), "what is no alert passes");
        assert_eq!(kinds(&of_faults.heard("device-fault", 2).await), ["org.x.c", "org.x.d"]);
        let progress = |job: &str, succeeded| Recorded {
            id: EventId::new(server.clock.new_id()),
            organisation: portal.organisation,
            client: Some(portal.client),
            job: Some(serde_json::from_value::<JobId>(json!(id(job))).unwrap()),
            ordinal: None,
            device: None,
            revision: 1,
            correlator: None,
            at: server.clock.now(),
            event: Event::JobProgress { counts: Counts { succeeded, ..Counts::default() } },
        };
        let all = vec![progress(&not_wanted, 1), progress(&mine, 2), progress(&not_wanted, 3), progress(&mine, 4)];
        server.store().write(move |tx| tx.record_all(&all)).await.unwrap();
        let came = of_progress.heard("job-progress", 2).await;
        let succeeded: Vec<_> = came.iter().map(|came| came.event()["data"]["counts"]["succeeded"].clone()).collect();
        assert_eq!(succeeded, [json!(2), json!(4)]);
        server.stop().await;
    }

    /// AD-10: the last event of a device that is named comes at once, however much happened elsewhere since.
    async fn an_initial_event_of_a_named_device_is_found_however_old_it_is(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(one, public), (other, _)] = server.devices(&portal, 2).await.try_into().unwrap();
        tell(&server, &portal, one, [alert("old", "critical", ""), alert("last", "critical", ""), alert("mild", "harmless", ""), Event::DeviceUpdated {}]).await;
        for _ in 0..11 {
            tell(&server, &portal, other, vec![Event::DeviceUpdated {}; 1_000]).await;
        }
        eventually("all have numbers", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;
        let (named, any) = (Receiver::taking().await, Receiver::taking().await);
        for (receiver, detail) in [(&named, json!({"deviceIds": [public], "markAtLeast": "CRITICAL"})), (&any, json!({}))] {
            let mut new = wanted(&receiver.url, &["device-alert"]);
            new["config"]["initialEvent"] = json!(true);
            new["config"]["subscriptionDetail"] = detail;
            subscribe(&portal, &new).await;
        }
        assert_eq!(kinds(&named.heard("device-alert", 1).await), ["last"]);
        any.heard("subscription-started", 1).await;
        assert!(any.of("device-alert").is_empty(), "where no device is named only the last of the log is looked at");
        server.stop().await;
    }

    /// Where nobody has subscribed the log is gone over without a look at its events, and what is forgotten of it holds up nobody.
    async fn the_log_is_gone_over_cheaply(database: Database) {
        drop(database.store().await);
        let store = crate::harness::statements::open(&database);
        let clock = dmwsi_domain::Clock::System;
        let new = dmwsi::clients::NewClient { organisation: "quiet".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let (client, _) = dmwsi::clients::add(&store, &clock, new).await.unwrap();
        let (now, ids, organisation) = (clock.now(), clock.new_ids(), client.organisation);
        database.execute("UPDATE organisations SET next_event = 1000001");
        let empty = dmwsi_domain::subscription_index::SubscriptionIndex::default();
        let lay_out = async || {
            let empty = empty.clone();
            store.write(move |tx| tx.lay_out(organisation, &empty, 0, now, &mut ids.clone())).await.unwrap()
        };
        let statements = sent(async { assert_eq!(lay_out().await, dmwsi_store::distribution::LaidOut::Events(1_000_000)) }).await;
        assert!(statements.iter().all(|statement| !statement.contains("FROM \"events\"") && !statement.contains("FROM `events`")), "{statements:?}");
        drop(store);
        // What is not kept any more is passed by.
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        receiver.heard("subscription-started", 1).await;
        let mine = portal.organisation.uuid().simple().to_string();
        database.execute(&format!("UPDATE organisations SET distributed = 5, next_event = 5000006, first_event = 5000006 WHERE id = '{mine}'"));
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        let came = receiver.heard("device-updated", 1).await;
        assert_eq!(came[0].event()["sequence"], json!(Value::from("00000000000005000006")));
        server.stop().await;
    }
}
