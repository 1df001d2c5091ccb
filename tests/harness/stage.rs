//! What the tests of requests play on: a server with small limits, a client of it, and a device and a job of that client.
use std::sync::atomic::{AtomicU64, Ordering};

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::scope::Scope;
use dmwsi_domain::session_record::{Course, SessionRecord};
use dmwsi_domain::subscription::Handshake;
use reqwest::Method;
use serde_json::json;

use super::Database;
use super::archive::{Archive, TAR};
use super::document::{NO_CONTAINER, NO_DELIVERABLE, NO_EVENT, NO_SESSION, NO_SUBSCRIPTION, NO_UPLOAD, Operation};
use super::server::{Got, Portal, Server};

/// The device that the examples of the document name.
const EXAMPLE: &str = "dev_8f14e45fceea167a5a36dedd4bea2543";
/// The limit that the tests set, in bytes.
pub(crate) const LIMIT: usize = 4096;

/// A server with small limits, a client of it, and a device and a job of that client.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) portal: Portal,
    pub(crate) job: String,
    /// A job of the client that has ended.
    ended: String,
    pub(crate) device: String,
    container: String,
    deliverable: String,
    upload: String,
    subscription: String,
    event: String,
    delivered: AtomicU64,
}

impl Stage {
    pub(crate) async fn on(database: &Database) -> Self {
        let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
            config.api.max_body_bytes = LIMIT;
            // The receivers that the examples name do not answer.
            config.webhooks.handshake = Handshake::Off;
            config.api.max_job_bytes = LIMIT;
            config.api.max_import_bytes = u64::try_from(LIMIT).unwrap();
        });
        let server = server.await;
        let all_scopes = Scope::ALL.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
        let portal = server.portal("acme", &all_scopes).await;
        let (inside, device) = server.devices(&portal, 1).await.remove(0);
        // A session of it is written down under the name that the document's paths are filled in with.
        let record = SessionRecord::begin(NO_SESSION.parse().unwrap(), inside, Course::default(), server.clock.now());
        server.store().write(move |tx| tx.insert_session_record(&record)).await.unwrap();
        // It can be woken, but there is no gateway for short messages, so nothing leaves.
        let push = json!({"pushAddress": {"type": "SMS", "msisdn": "+491701234567"}});
        let headers = [("if-match", "*"), ("content-type", "application/merge-patch+json")];
        portal.call(Method::PATCH, &format!("/v1/devices/{device}"), &headers, Some(&push)).await.of(200);
        let target = json!({"type": "DEVICES", "deviceIds": [device]});
        let body = json!({"operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Man"]}, "target": target});
        let ended = portal.post("/v1/jobs", &body).await.of(202)["jobId"].as_str().unwrap().to_owned();
        portal.post(&format!("/v1/jobs/{ended}/cancel"), &json!({})).await.of(202);
        let cancelled = portal.get(&format!("/v1/jobs/{ended}?wait=20")).await.of(200);
        assert_eq!(cancelled["state"], "CANCELLED");
        let job = portal.post("/v1/jobs", &body).await.of(202)["jobId"].as_str().unwrap().to_owned();
        let container = portal.deliver("/v1/containers", &[TAR], Archive::firmware("urn:0", 1).tar()).await.of(201);
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let (container, deliverable) = (text(&container["containerId"]), text(&container["verdicts"][0]["deliverableId"]));
        let begun = portal.deliver("/v1/uploads", &[TAR, ("upload-complete", "?0")], "").await;
        let upload = begun.header("location").rsplit('/').next().unwrap().to_owned();
        let wanted = json!({"protocol": "HTTP", "sink": "https://receiver.example/", "types": ["dmwsi.v1.device-updated"], "config": {"subscriptionDetail": {}}});
        let subscription = text(&portal.post("/v1/subscriptions", &wanted).await.of(201)["id"]);
        // Its beginning is the one event it is told of.
        let deliveries = format!("/v1/subscriptions/{subscription}/deliveries");
        super::eventually("the subscription is told that it began", async || {
            !portal.get(&deliveries).await.of(200)["items"].as_array().unwrap().is_empty()
        })
        .await;
        let event = text(&portal.get(&deliveries).await.of(200)["items"][0]["eventId"]);
        Self {
            server,
            portal,
            job,
            ended,
            device,
            container,
            deliverable,
            upload,
            subscription,
            event,
            delivered: AtomicU64::new(1),
        }
    }

    /// Calls it as it should be called but for `headers`, which go before its own, and the body.
    pub(crate) async fn call(&self, operation: &Operation<'_>, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Got {
        let bearer = self.portal.bearer();
        let (own, _) = operation.sample();
        let mut all = headers.to_vec();
        let own = own.into_iter().chain([("if-match", "*"), ("authorization", bearer.as_str())]);
        all.extend(own.filter(|(name, _)| headers.iter().all(|(given, _)| given != name)));
        // An empty value stands for a header that is left away.
        all.retain(|(_, value)| !value.is_empty());
        let job = if operation.path.ends_with("/acknowledgement") { &self.ended } else { &self.job };
        let address = operation.address(job, &self.device).replace(NO_CONTAINER, &self.container);
        let address = address.replace(NO_DELIVERABLE, &self.deliverable).replace(NO_UPLOAD, &self.upload);
        let address = address.replace(NO_SUBSCRIPTION, &self.subscription).replace(NO_EVENT, &self.event);
        self.server.send(operation.method.clone(), &address, &all, body).await
    }

    /// The body of the document's example, for the device of this test; a new container where one is taken.
    pub(crate) fn body(&self, operation: &Operation<'_>) -> String {
        if operation.takes_bytes() {
            let number = self.delivered.fetch_add(1, Ordering::SeqCst) + 1;
            return String::from_utf8(Archive::firmware(&format!("urn:{number}"), number).tar()).unwrap();
        }
        String::from_utf8(operation.sample().1).unwrap().replace(EXAMPLE, &self.device)
    }
}
