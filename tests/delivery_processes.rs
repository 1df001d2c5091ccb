//! Several processes deliver the same log, and some of them are killed.
use std::collections::BTreeMap;
use std::time::Duration;

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::event::Recorded;
use dmwsi_domain::id::{DeviceId, EventId};
use dmwsi_store::Store;

use crate::harness::process::Process;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::server::Portal;
use crate::harness::{Database, eventually};
use crate::subscriptions::{SCOPES, alert, subscribe, wanted};

const DEVICES: usize = 6;
const SUBSCRIPTIONS: usize = 4;
const ROUNDS: usize = 6;
const EACH: usize = 10;

/// The next events of each device, by their numbers.
async fn tell(store: &Store, portal: &Portal, devices: &[DeviceId], round: usize) {
    let clock = Clock::System;
    let mut recorded = Vec::new();
    for number in round * EACH..(round + 1) * EACH {
        for device in devices {
            recorded.push(Recorded {
                id: EventId::new(clock.new_id()),
                organisation: portal.organisation,
                client: None,
                job: None,
                ordinal: None,
                device: Some(*device),
                revision: u64::try_from(number).unwrap() + 1,
                correlator: None,
                at: clock.now(),
                event: alert(&number.to_string(), "critical", ""),
            });
        }
    }
    store.write(move |tx| tx.record_all(&recorded)).await.unwrap();
}

/// The numbers that came of each device, in the order in which they came.
fn came(receiver: &Receiver) -> BTreeMap<String, Vec<usize>> {
    let mut of = BTreeMap::<_, Vec<_>>::new();
    for came in receiver.of("device-alert") {
        let data = came.event()["data"].clone();
        let number = data["alertType"].as_str().unwrap().parse().unwrap();
        of.entry(data["deviceId"].as_str().unwrap().to_owned()).or_default().push(number);
    }
    of
}

/// OES4, OES10: three processes deliver at once; two of them are killed in the middle and one comes new. Each event arrives, those of a device in their
/// order; what comes twice had come before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_killed_lose_nothing_and_keep_the_order() {
    let Some(database) = Database::postgres() else { return };
    let store = database.store().await;
    let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
    let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
    let keys = toml::to_string(&Keys::mint().unwrap()).unwrap();
    let settings = [
        ("DMWSI__TASKS__LEASE_MS", "2000"),
        ("DMWSI__TASKS__SAFETY_POLL_MS", "200"),
        ("DMWSI__WEBHOOKS__IN_FLIGHT", "8"),
        ("DMWSI__WEBHOOKS__RETRY_MS", "[200,200,200,200,200]"),
    ];
    let worker = || Process::serve_as(&database, &keys, "worker", &settings);
    let api = Process::serve_as(&database, &keys, "api", &settings);
    let portal = Portal::log_in(&api.base, &client, &secret).await;
    let mut workers = vec![worker(), worker(), worker()];
    let devices: Vec<_> = (0..DEVICES).map(|_| DeviceId::new(Clock::System.new_id())).collect();
    let mut receivers = Vec::new();
    for _ in 0..SUBSCRIPTIONS {
        let receiver = Receiver::open(|_, _| Reply::Slowly(Duration::from_millis(15))).await;
        subscribe(&portal, &wanted(&receiver.url, &["device-alert"])).await;
        receivers.push(receiver);
    }
    let total = || receivers.iter().map(|receiver| receiver.of("device-alert").len()).sum::<usize>();
    let each = DEVICES * EACH * SUBSCRIPTIONS;
    for round in 0..ROUNDS {
        tell(&store, &portal, &devices, round).await;
        if round % 2 == 1 {
            // In the middle of what is under way.
            eventually("it goes on", async || total() > each * round).await;
            workers.remove(0).kill();
        }
        if round == 3 {
            workers.push(worker());
        }
    }
    let all = |receiver: &Receiver| came(receiver).values().all(|numbers| numbers.last() == Some(&(ROUNDS * EACH - 1)));
    eventually("everything came", async || receivers.iter().all(|receiver| came(receiver).len() == DEVICES && all(receiver)))
        .await;
    for receiver in &receivers {
        for (device, numbers) in came(receiver) {
            let mut next = 0;
            for number in &numbers {
                assert!(*number <= next, "{device}: {number} where {next} was to come: {numbers:?}");
                next = next.max(number + 1);
            }
            assert_eq!(next, ROUNDS * EACH);
        }
        let ids: std::collections::BTreeSet<_> =
            receiver.of("device-alert").iter().map(|came| came.header("webhook-id").to_owned()).collect();
        assert_eq!(ids.len(), DEVICES * EACH * ROUNDS, "each has one id, however often it came");
    }
    drop((api, workers));
}
