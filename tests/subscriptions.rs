//! Subscriptions: who is told of what, where, and for how long.
use std::time::Duration;

use dmwsi_domain::egress::Egress;
use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::id::{DeviceId, EventId};
use dmwsi_simulator::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

use crate::event_catalogue::faults;
use crate::harness::document::Document;
use crate::harness::eventually;
use crate::harness::handset::{Handset, ended, job};
use crate::harness::receiver::Receiver;
use crate::harness::server::{Portal, Server};
use crate::harness::wake::quick;

pub(crate) const SCOPES: &str =
    "events:read jobs:read jobs:write devices:read devices:write containers:read subscriptions:read subscriptions:write";

/// A subscription to these types there.
pub(crate) fn wanted(sink: &str, types: &[&str]) -> Value {
    let types: Vec<_> = types.iter().map(|kind| format!("dmwsi.v1.{kind}")).collect();
    json!({"protocol": "HTTP", "sink": sink, "types": types, "config": {"subscriptionDetail": {}}})
}

/// Makes it.
pub(crate) async fn subscribe(portal: &Portal, wanted: &Value) -> Value {
    portal.post("/v1/subscriptions", wanted).await.of(201)
}

/// Where it is read.
pub(crate) fn path(subscription: &Value) -> String {
    format!("/v1/subscriptions/{}", subscription["id"].as_str().unwrap())
}

/// Writes events of a device into the log.
pub(crate) async fn tell(server: &Server, portal: &Portal, device: DeviceId, events: impl IntoIterator<Item = Event>) {
    let recorded: Vec<_> = events
        .into_iter()
        .map(|event| Recorded {
            id: EventId::new(server.clock.new_id()),
            organisation: portal.organisation,
            client: None,
            job: None,
            ordinal: None,
            device: Some(device),
            revision: 1,
            correlator: None,
            at: server.clock.now(),
            event,
        })
        .collect();
    server.store().write(move |tx| tx.record_all(&recorded)).await.unwrap();
}

pub(crate) fn alert(kind: &str, mark: &str, data: &str) -> Event {
    Event::DeviceAlert {
        alert_type: kind.to_owned(),
        mark: mark.to_owned(),
        correlator: None,
        source: Some("./A/B".to_owned()),
        format: "chr".to_owned(),
        data: data.to_owned(),
    }
}

/// What the deliveries of a subscription are told as, the oldest first.
pub(crate) async fn deliveries(portal: &Portal, subscription: &Value) -> Vec<Value> {
    let page = portal.get(&format!("{}/deliveries?perPage=100", path(subscription))).await.of(200);
    let mut items = page["items"].as_array().unwrap().clone();
    items.reverse();
    items
}

pub(crate) async fn patch(portal: &Portal, subscription: &Value, change: Value) -> crate::harness::server::Got {
    let headers = [("if-match", "*"), ("content-type", "application/merge-patch+json")];
    portal.call(Method::PATCH, &path(subscription), &headers, Some(&change)).await
}

both! {
    /// OES4, EI3, UC-13, AD-14: what happens is delivered as `GET /v1/events` tells it and the document describes it, signed, with the
    /// subscription's own words.
    async fn a_subscriber_is_told_what_the_log_tells(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-created", "execution-finished", "job-completed"]);
        new["config"]["callbackData"] = json!("mine");
        new["sinkCredential"] = json!({"credentialType": "ACCESSTOKEN", "accessToken": "open-sesame", "accessTokenExpiresUtc": "2099-01-01T00:00:00Z", "accessTokenType": "bearer"});
        let made = subscribe(&portal, &new).await;
        let key = made["signingKey"].as_str().unwrap();
        assert!(key.starts_with("whsec_") && made["status"] == "ACTIVE" && !made.to_string().contains("open-sesame"), "{made}");
        let began = receiver.heard("subscription-started", 1).await;
        assert_eq!(began[0].event()["data"]["initiationReason"], "SUBSCRIPTION_CREATED");
        let document = Document::generated();
        assert_eq!(faults(&document, &began[0].event()), Vec::<String>::new());
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &read).await;
        receiver.heard("job-completed", 1).await;
        let log = portal.get("/v1/events?perPage=100").await.of(200)["items"].as_array().unwrap().clone();
        for kind in ["device-created", "execution-finished", "job-completed"] {
            let came = receiver.heard(kind, 1).await.remove(0);
            assert_eq!((came.path.as_str(), came.header("content-type")), ("/events", "application/cloudevents+json"));
            assert!(came.is_signed_by(key) && !came.is_signed_by("whsec_AAAA"));
            assert_eq!(came.header("authorization"), "Bearer open-sesame");
            let mut event = came.event();
            assert_eq!(came.header("webhook-id"), event["id"]);
            assert_eq!(faults(&document, &event), Vec::<String>::new());
            let data = event["data"].as_object_mut().unwrap();
            assert_eq!((data.remove("subscriptionId"), data.remove("callbackData")), (Some(made["id"].clone()), Some(json!("mine"))));
            assert!(log.contains(&event), "{event} is told otherwise");
        }
        assert!(receiver.of("job-accepted").is_empty() && receiver.of("execution-started").is_empty(), "of other types nothing");
        let shown = portal.get(&path(&made)).await.of(200);
        assert!(shown.get("signingKey").is_none() && !shown.to_string().contains("open-sesame") && !shown.to_string().contains("mine"), "{shown}");
        eventually("all are delivered", async || deliveries(&portal, &made).await.iter().all(|one| one["state"] == "DELIVERED")).await;
        let first = &deliveries(&portal, &made).await[0];
        assert_eq!((&first["eventType"], &first["attempts"][0]["responseStatus"]), (&json!("dmwsi.v1.subscription-started"), &json!(204)));
        server.stop().await;
    }

    /// AD-5, AD-10, UC-6: of alerts those of the types, the marks and the nodes that were chosen; the data only on demand.
    async fn only_what_the_filter_lets_through_is_delivered(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(one, public), (other, _)] = server.devices(&portal, 2).await.try_into().unwrap();
        let (chosen, full) = (Receiver::taking().await, Receiver::taking().await);
        let mut new = wanted(&chosen.url, &["device-alert", "device-updated"]);
        new["config"]["subscriptionDetail"] = json!({"deviceIds": [public], "alertTypes": ["org.x.*"], "markAtLeast": "WARNING", "sources": ["./A"]});
        let made = subscribe(&portal, &new).await;
        let mut new = wanted(&full.url, &["device-alert"]);
        new["config"]["payload"] = json!("FULL");
        subscribe(&portal, &new).await;
        let events = [alert("org.x.a", "critical", "1"), alert("org.x.a", "harmless", "2"), alert("org.y", "critical", "3"), Event::DeviceUpdated {}];
        tell(&server, &portal, one, events.clone()).await;
        tell(&server, &portal, other, events).await;
        let all = full.heard("device-alert", 6).await;
        assert_eq!(all[0].event()["data"]["data"], "1");
        chosen.heard("device-updated", 1).await;
        let alerts = chosen.heard("device-alert", 1).await;
        // That it began, the change and the one alert: all were laid out together.
        assert_eq!((alerts.len(), deliveries(&portal, &made).await.len()), (1, 3), "{alerts:?}");
        assert_eq!((&alerts[0].event()["data"]["alertType"], &alerts[0].event()["data"]["deviceId"]), (&json!("org.x.a"), &json!(public)));
        assert!(alerts[0].event()["data"].get("data").is_none());
        server.stop().await;
    }

    /// OES7, AD-10: nobody is told what they may not read; what cannot be granted is said.
    async fn what_may_not_be_read_is_rejected_and_not_delivered(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let colleague = server.portal("acme", "devices:read subscriptions:read subscriptions:write").await;
        let stranger = server.portal("other", SCOPES).await;
        let [(_, public)] = server.devices(&portal, 1).await.try_into().unwrap();
        let [(_, foreign)] = server.devices(&stranger, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-updated", "job-accepted", "container-received"]);
        new["config"]["subscriptionDetail"] = json!({"deviceIds": [public, foreign]});
        let made = subscribe(&colleague, &new).await;
        assert_eq!(made["types"], json!(["dmwsi.v1.device-updated"]));
        let rejected: Vec<_> = made["rejected"].as_array().unwrap().iter().map(|one| (one["pointer"].as_str().unwrap(), one["reason"].as_str().unwrap())).collect();
        assert_eq!(rejected, [("/types/1", "PERMISSION_DENIED"), ("/types/2", "PERMISSION_DENIED"), ("/config/subscriptionDetail/deviceIds/1", "NOT_FOUND")]);
        assert_eq!(made["effectiveDetail"]["deviceIds"], json!([public]));
        colleague.post("/v1/subscriptions", &wanted(&receiver.url, &["job-accepted"])).await.problem(422, "UNPROCESSABLE");
        new["config"]["subscriptionDetail"] = json!({"deviceIds": [foreign]});
        colleague.post("/v1/subscriptions", &new).await.problem(422, "UNPROCESSABLE");
        // Each client has its own.
        for (method, at) in [(Method::GET, ""), (Method::DELETE, ""), (Method::GET, "/deliveries"), (Method::POST, "/test")] {
            portal.call(method, &format!("{}{at}", path(&made)), &[], None).await.problem(404, "NOT_FOUND");
        }
        assert_eq!(portal.get("/v1/subscriptions").await.of(200)["items"], json!([]));
        assert_eq!(colleague.get("/v1/subscriptions").await.of(200)["items"].as_array().unwrap().len(), 1);
        server.portal("acme", "devices:read").await.get("/v1/subscriptions").await.problem(403, "PERMISSION_DENIED");
        server.stop().await;
    }

    /// A client that is revoked is told nothing any more, not even what happened before.
    async fn a_revoked_client_is_told_nothing(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        receiver.heard("device-updated", 1).await;
        let (client, now) = (portal.client, server.clock.now());
        server.store().write(move |tx| {
            let mut client = tx.client(client)?;
            client.revoked_at = Some(now);
            tx.update_client(&mut client)
        }).await.unwrap();
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(receiver.of("device-updated").len(), 1);
        server.stop().await;
    }

    /// API7: by which addresses nobody gets in.
    async fn a_sink_must_be_a_public_https_address(database: Database) {
        let (server, _) = quick(&database, |config| config.egress = Egress::allowing(["receiver.internal"]).unwrap()).await;
        let portal = server.portal("acme", SCOPES).await;
        for sink in [
            "http://receiver.example/", "https://127.0.0.1/", "https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://[::1]/",
            "https://[::ffff:10.0.0.1]/", "https://[::]/", "https://169.254.169.254/latest", "https://metadata.google.internal/", "https://[64:ff9b::a00:1]/",
            "https://[2002:a00:1::]/", "https://ok@10.0.0.1/", "https://receiver.example:22/", "ftp://receiver.example/", "file:///etc/passwd",
            "gopher://receiver.example/", "https://receiver.example/#a", "https://localhost/", "nothing", "",
        ] {
            portal.post("/v1/subscriptions", &wanted(sink, &["device-updated"])).await.problem(400, "INVALID_SINK");
        }
        for sink in ["https://receiver.example/a?b", "http://receiver.internal/", "https://receiver.example:8443/"] {
            assert!(portal.post("/v1/subscriptions", &wanted(sink, &["device-updated"])).await.status.is_success());
        }
        let good = || wanted("https://receiver.example/", &["device-updated"]);
        let refused = async |change: fn(&mut Value), status, code| {
            let mut new = good();
            change(&mut new);
            portal.post("/v1/subscriptions", &new).await.problem(status, code);
        };
        refused(|new| new["protocol"] = json!("MQTT5"), 400, "INVALID_PROTOCOL").await;
        refused(|new| new["types"] = json!(["dmwsi.v1.nothing"]), 400, "INVALID_ARGUMENT").await;
        refused(|new| new["types"] = json!([]), 400, "INVALID_ARGUMENT").await;
        refused(|new| new["id"] = json!("sub_1"), 400, "INVALID_ARGUMENT").await;
        refused(|new| new["config"]["subscriptionMaxEvents"] = json!(0), 400, "OUT_OF_RANGE").await;
        refused(|new| new["config"]["subscriptionExpireTime"] = json!("2020-01-01T00:00:00Z"), 400, "INVALID_ARGUMENT").await;
        refused(|new| new["sinkCredential"] = json!({"credentialType": "PLAIN"}), 400, "INVALID_CREDENTIAL").await;
        refused(|new| new["sinkCredential"] = json!({"credentialType": "ACCESSTOKEN", "accessToken": "a\nb"}), 400, "INVALID_CREDENTIAL").await;
        refused(|new| new["sinkCredential"] = json!({"credentialType": "ACCESSTOKEN", "accessToken": "a", "accessTokenType": "mac"}), 400, "INVALID_TOKEN").await;
        server.stop().await;
    }

    /// A subscription ends by number, by time and by its client, and its receiver is told why.
    async fn a_subscription_ends_and_says_why(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let reason = async |count| receiver.heard("subscription-ended", count).await[count - 1].event()["data"]["terminationReason"].clone();

        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["config"]["subscriptionMaxEvents"] = json!(2);
        let made = subscribe(&portal, &new).await;
        tell(&server, &portal, device, vec![Event::DeviceUpdated {}; 4]).await;
        assert_eq!(reason(1).await, "MAX_EVENTS_REACHED");
        assert_eq!(receiver.of("device-updated").len(), 2);
        let shown = portal.get(&path(&made)).await.of(200);
        assert_eq!((&shown["status"], &shown["statusReason"]), (&json!("EXPIRED"), &json!("MAX_EVENTS_REACHED")));

        let mut new = wanted(&receiver.url, &["device-updated"]);
        let end = server.clock.now().plus(Duration::from_millis(1_500));
        new["config"]["subscriptionExpireTime"] = json!(end.to_string());
        subscribe(&portal, &new).await;
        assert_eq!(reason(2).await, "SUBSCRIPTION_EXPIRED");
        assert!(server.clock.now() >= end);

        let mut new = wanted(&receiver.url, &["device-updated"]);
        let end = server.clock.now().plus(Duration::from_secs(32));
        new["sinkCredential"] = json!({"credentialType": "ACCESSTOKEN", "accessToken": "t", "accessTokenExpiresUtc": end.to_string()});
        subscribe(&portal, &new).await;
        assert_eq!(reason(3).await, "ACCESS_TOKEN_EXPIRED");

        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        portal.call(Method::DELETE, &path(&made), &[], None).await;
        assert_eq!(reason(4).await, "SUBSCRIPTION_DELETED");
        portal.get(&path(&made)).await.problem(404, "NOT_FOUND");
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(receiver.of("device-updated").len(), 2, "what is over is told nothing");
        server.stop().await;
    }

    /// A change holds from one event to the next.
    async fn a_subscription_is_changed_without_a_gap(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let (before, after) = (Receiver::taking().await, Receiver::taking().await);
        let made = subscribe(&portal, &wanted(&before.url, &["device-updated"])).await;
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        before.heard("device-updated", 1).await;
        let changed = patch(&portal, &made, json!({"sink": after.url, "types": ["dmwsi.v1.device-updated", "dmwsi.v1.device-wake-requested"]})).await.of(200);
        assert_eq!(changed["types"].as_array().unwrap().len(), 2);
        tell(&server, &portal, device, [Event::DeviceUpdated {}, Event::DeviceWakeRequested {}]).await;
        after.heard("device-wake-requested", 1).await;
        assert_eq!((before.of("device-updated").len(), after.of("device-updated").len()), (1, 1));
        let off = patch(&portal, &made, json!({"status": "INACTIVE"})).await.of(200);
        assert_eq!((&off["status"], &off["statusReason"]), (&json!("INACTIVE"), &json!("SWITCHED_OFF")));
        tell(&server, &portal, device, [Event::DeviceUpdated {}]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        patch(&portal, &made, json!({"status": "ACTIVE"})).await.of(200);
        tell(&server, &portal, device, [Event::DeviceWakeRequested {}]).await;
        after.heard("device-wake-requested", 2).await;
        assert_eq!(after.of("device-updated").len(), 1, "what happened while it was off is not delivered by itself");
        patch(&portal, &made, json!({"sink": "https://10.0.0.1/"})).await.problem(400, "INVALID_SINK");
        patch(&portal, &made, json!({"config": {"deliveriesPerMinute": 0}})).await.problem(400, "OUT_OF_RANGE");
        let headers = [("if-match", "\"1\""), ("content-type", "application/merge-patch+json")];
        portal.call(Method::PATCH, &path(&made), &headers, Some(&json!({"status": "ACTIVE"}))).await.problem(412, "FAILED_PRECONDITION");
        server.stop().await;
    }

    /// The state of things comes at once where that was asked for.
    async fn an_initial_event_is_the_last_of_each_device(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(one, _), (other, _)] = server.devices(&portal, 2).await.try_into().unwrap();
        tell(&server, &portal, one, [alert("a", "critical", ""), alert("b", "critical", "")]).await;
        tell(&server, &portal, other, [alert("c", "critical", "")]).await;
        eventually("all have numbers", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-alert"]);
        new["config"]["initialEvent"] = json!(true);
        subscribe(&portal, &new).await;
        let came = receiver.heard("device-alert", 2).await;
        let mut kinds: Vec<_> = came.iter().map(|came| came.event()["data"]["alertType"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        assert_eq!(kinds, ["b", "c"]);
        server.stop().await;
    }
}
