//! Devices are woken when their next attempt, or the time that their user named, has come.
use std::time::Duration;

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_simulator::{Behaviour, Ear};
use serde_json::json;

use crate::harness::eventually;
use crate::harness::handset::{Handset, SCOPES, ended, execution, job, outcome, package, update};
use crate::harness::server::{Portal, Server};

const MINUTE: Duration = Duration::from_secs(60);

/// The session that the device is asked to hold by the next datagram.
async fn hear(handset: &Handset, ear: &Ear) -> u16 {
    let datagram = tokio::time::timeout(Duration::from_secs(20), ear.listen()).await.expect("a datagram").unwrap();
    handset.device.hear(&datagram).expect("a notification for the device")
}

/// Whether nothing comes for a while.
async fn is_silent(ear: &Ear) -> bool {
    tokio::time::timeout(Duration::from_secs(1), ear.listen()).await.is_err()
}

both! {
    /// FU-1, CC3: nobody but the server calls, and it does so when the time has come and not before.
    async fn a_device_is_woken_when_its_retry_or_its_deferral_comes_due(database: Database) {
        let clock = Clock::manual(Clock::System.now());
        let server = Server::with(&database, Keys::mint().unwrap(), clock.clone(), |config| {
            config.tasks.safety_poll_ms = 200;
            config.gateway.seen_flush_seconds = 1;
        }).await;
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let (client, secret) = add(server.store(), &clock, new).await.unwrap();
        let package = package("2.0.0").await;
        for (deferred, phase, minutes) in [(true, "DEFERRED", 45), (false, "RETRYING", 60), (true, "DEFERRED", 3)] {
            let portal = Portal::log_in(server.url(), &client, &secret).await;
            let until = clock.now().plus(MINUTE * minutes).to_string();
            let behaviour = if deferred {
                Behaviour { defer_until: Some(until), ..Behaviour::default() }
            } else {
                Behaviour { low_battery: 1, ..Behaviour::default() }
            };
            let ear = Ear::open([127, 0, 0, 1].into(), 0).await.unwrap();
            let push = json!({"type": "UDP", "host": "127.0.0.1", "port": ear.address().port()});
            let mut handset = Handset::register_at(&portal, server.url(), behaviour, &push).await;
            let job = job(&portal, &handset.id, &update(&package, "2.0.0")).await;
            let session = hear(&handset, &ear).await;
            handset.device.answer_call(session).await.unwrap();
            handset.live().await;
            assert_eq!(execution(&portal, &job, &handset.id).await["phase"], phase);
            eventually("its call is noted", async || {
                portal.get(&format!("/v1/devices/{}/wake", handset.id)).await.of(200)["state"] != "WAKING"
            }).await;
            // An attempt is several datagrams where the nonce of the device is not known.
            while !is_silent(&ear).await {}
            clock.advance(MINUTE * (minutes - 1));
            assert!(is_silent(&ear).await, "it is not yet time");
            clock.advance(MINUTE);
            let session = hear(&handset, &ear).await;
            handset.device.answer_call(session).await.unwrap();
            handset.live().await;
            let portal = Portal::log_in(server.url(), &client, &secret).await;
            ended(&portal, &job).await;
            assert_eq!(outcome(&portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()));
        }
        server.stop().await;
    }
}
