//! Deliveries survive `kill -9` of the built command.
use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use serde_json::json;

use crate::harness::process::Process;
use crate::harness::receiver::{Receiver, says, taken};
use crate::harness::server::Portal;
use crate::subscriptions::{SCOPES, subscribe, wanted};

both! {
    /// OES4, OES10: killed between attempts and with events that were never tried, everything comes, in order.
    async fn a_killed_server_loses_no_event(database: Database) {
        let store = database.store().await;
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
        drop(store);
        let keys = toml::to_string(&Keys::mint().unwrap()).unwrap();
        let serve = || Process::serve_as(&database, &keys, "all", &[("DMWSI__TASKS__LEASE_MS", "1000"), ("DMWSI__WEBHOOKS__RETRY_MS", "[300,300,300,300,300,300,300,300,300,300]"), ("DMWSI__WEBHOOKS__BREAKER_AFTER", "1000")]);
        let receiver = Receiver::open(|_, count| if count % 3 == 2 { taken() } else { says("500 Oops") }).await;
        let mut process = serve();
        let portal = Portal::log_in(&process.base, &client, &secret).await;
        subscribe(&portal, &wanted(&receiver.url, &["device-created"])).await;
        let mut devices = Vec::new();
        for round in 0..3 {
            let portal = Portal::log_in(&process.base, &client, &secret).await;
            for number in 0..5 {
                let account = json!({"serverId": "s", "client": {"auth": "BASIC", "name": "n", "secret": "s"}});
                let made = portal.post("/v1/devices", &json!({"dmIdentity": format!("IMEI:{round}{number}"), "account": account})).await.of(201);
                devices.push(made["deviceId"].as_str().unwrap().to_owned());
            }
            process.kill();
            process = serve();
        }
        receiver.answer(|_, _| taken());
        crate::harness::eventually("everything came", async || {
            let came = receiver.of("device-created");
            devices.iter().all(|device| came.iter().any(|one| one.event()["data"]["deviceId"] == *device))
        }).await;
        process.kill();
    }
}
