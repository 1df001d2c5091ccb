//! Where the server does not connect to, whoever names it.
use std::time::Duration;

use dmwsi_domain::egress::Egress;
use dmwsi_simulator::Behaviour;
use serde_json::json;

use crate::harness::handset::{Handset, update};
use crate::harness::wake::{ask, comes_to, ear, gateway, heard_within, quick};

both! {
    /// API7
    async fn no_notification_goes_to_where_the_guard_forbids_it(database: Database) {
        let (ear, _) = ear().await;
        let (url, requests) = gateway(&["200 OK"]).await;
        let port = ear.address().port();
        let (server, portal) = quick(&database, |config| config.egress = Egress::default()).await;
        // Devices may have been registered when the operator still allowed it, or their names stand for something else by now.
        for push in [
            json!({"type": "UDP", "host": "127.0.0.1", "port": port}),
            json!({"type": "UDP", "host": "::ffff:127.0.0.1", "port": port}),
            json!({"type": "UDP", "host": "localhost", "port": port}),
            json!({"type": "UDP", "host": "0x7f000001", "port": port}),
            json!({"type": "UDP", "host": "169.254.169.254", "port": port}),
            json!({"type": "UDP", "host": "10.0.0.1", "port": port}),
            json!({"type": "HTTP", "url": url}),
            json!({"type": "HTTP", "url": url.replace("127.0.0.1", "localhost")}),
            json!({"type": "HTTP", "url": url.replace("127.0.0.1", "[::ffff:127.0.0.1]")}),
        ] {
            let handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
            let change = json!({"pushAddress": push});
            let path = format!("/v1/devices/{}", handset.id);
            let headers = [("if-match", "*"), ("content-type", "application/merge-patch+json")];
            portal.call(reqwest::Method::PATCH, &path, &headers, Some(&change)).await.problem(422, "ADDRESS_FORBIDDEN");
            let mut new = json!({"dmIdentity": format!("at {push}"), "account": {"serverId": "s", "client": {"auth": "BASIC", "name": "n", "secret": "s"}}});
            new["pushAddress"] = push.clone();
            portal.post("/v1/devices", &new).await.problem(422, "ADDRESS_FORBIDDEN");
            let headers = [("content-type", "application/x-ndjson")];
            let verdicts = portal.send("/v1/devices/imports", &headers, new.to_string()).await.text().await.unwrap();
            assert!(verdicts.contains("ADDRESS_FORBIDDEN") && verdicts.contains("/pushAddress"), "{verdicts}");
            let device = portal.get(&format!("/v1/devices/{}", handset.id)).await.of(200);
            database.execute(&format!(
                "UPDATE devices SET push_address = '{push}' WHERE dm_identity = '{}'",
                device["dmIdentity"].as_str().unwrap()
            ));
            ask(&portal, &handset.id).await;
            assert_eq!(comes_to(&portal, &handset.id, "FAILED").await["trouble"], "ADDRESS_FORBIDDEN", "{push}");
        }
        assert_eq!(heard_within(&ear, Duration::from_millis(100)).await, 0);
        assert!(requests.lock().unwrap().is_empty());
        server.stop().await;
    }

    /// API7
    async fn a_package_at_a_forbidden_address_is_refused(database: Database) {
        let (server, portal) = quick(&database, |config| config.egress = Egress::allowing(["packages.internal"]).unwrap()).await;
        let handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        for url in ["http://127.0.0.1/a", "http://0x7f.1/a", "https://[::1]/a", "http://169.254.169.254/a", "https://localhost/a", "https://a.internal/a", "http://packages.example:22/a"] {
            let body = json!({"operation": update(url, "2"), "target": {"type": "DEVICES", "deviceIds": [handset.id]}});
            let refused = portal.post("/v1/jobs", &body).await;
            refused.problem(422, "ADDRESS_FORBIDDEN");
            assert_eq!(refused.pointers(), ["/operation/packageUrl"]);
        }
        for url in ["https://packages.example/a", "http://packages.internal/a"] {
            let body = json!({"operation": update(url, "2"), "target": {"type": "DEVICES", "deviceIds": [handset.id]}});
            portal.post("/v1/jobs", &body).await.of(202);
        }
        server.stop().await;
    }
}
