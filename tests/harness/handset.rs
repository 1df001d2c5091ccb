//! Simulated devices at a server, and packages for them.
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dmwsi::portal::device_that;
use dmwsi_simulator::{Behaviour, Device, DeviceProfile, Make, Wire, sample_package};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::server::Portal;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// All that a portal needs to register devices and to give them work.
pub(crate) const SCOPES: &str = "jobs:read jobs:write devices:read devices:wake devices:write";

/// A registered device.
pub(crate) struct Handset {
    pub(crate) device: Device,
    /// How the portal calls it.
    pub(crate) id: String,
}

impl Handset {
    /// Registers one through the API of the server at `base`.
    pub(crate) async fn register(portal: &Portal, base: &str, behaviour: Behaviour) -> Self {
        Self::register_at(portal, base, behaviour, &json!({"type": "NONE"})).await
    }

    /// Registers one that can be woken at that push address.
    pub(crate) async fn register_at(portal: &Portal, base: &str, behaviour: Behaviour, push: &Value) -> Self {
        Self::register_over(portal, base, behaviour, push, |_profile| Wire::new(None).unwrap()).await
    }

    /// Registers one that talks over the wire that is made for it.
    pub(crate) async fn register_over(
        portal: &Portal,
        base: &str,
        behaviour: Behaviour,
        push: &Value,
        wire: impl FnOnce(&DeviceProfile) -> Wire,
    ) -> Self {
        Self::enrol(portal, base, Self::next(), behaviour, push, wire).await
    }

    /// Registers one of that make.
    pub(crate) async fn register_as(portal: &Portal, base: &str, make: Make, behaviour: Behaviour) -> Self {
        let profile = make.device(Self::next());
        Self::enrol(portal, base, profile, make.of(behaviour), &json!({"type": "NONE"}), |_profile| Wire::new(None).unwrap())
            .await
    }

    fn next() -> DeviceProfile {
        DeviceProfile::nth(7, NUMBER.fetch_add(1, Ordering::SeqCst))
    }

    async fn enrol(
        portal: &Portal,
        base: &str,
        profile: DeviceProfile,
        behaviour: Behaviour,
        push: &Value,
        wire: impl FnOnce(&DeviceProfile) -> Wire,
    ) -> Self {
        let account = device_that(&profile, None, &behaviour)["account"].clone();
        let made = portal
            .post("/v1/devices", &json!({"dmIdentity": profile.device, "account": account, "pushAddress": push}))
            .await
            .of(201);
        let id = made["deviceId"].as_str().unwrap().to_owned();
        let wire = wire(&profile);
        let device = Device::new(profile, behaviour, format!("{base}/dm"), &wire);
        Self { device, id }
    }

    /// Calls, works and calls again, until it has nothing to do and nothing to tell.
    pub(crate) async fn live(&mut self) {
        for _ in 0..6 {
            self.device.check_in().await.unwrap();
            self.device.work().await;
            if self.device.pending().is_empty() && !self.device.is_busy() {
                return;
            }
        }
    }

    /// What the device says its firmware is.
    pub(crate) fn firmware(&self) -> &str {
        self.device.tree().text("./DevDetail/FwV").unwrap_or_default()
    }
}

/// Starts a job on one device; its path.
pub(crate) async fn job(portal: &Portal, id: &str, operation: &Value) -> String {
    let body = json!({"operation": operation, "target": {"type": "DEVICES", "deviceIds": [id]}});
    let job = portal.post("/v1/jobs", &body).await.of(202);
    format!("/v1/jobs/{}", job["jobId"].as_str().unwrap())
}

/// The job on that device, as it stands.
pub(crate) async fn execution(portal: &Portal, job: &str, id: &str) -> Value {
    portal.get(&format!("{job}/executions/{id}")).await.of(200)
}

/// State and outcome of the job on that device.
pub(crate) async fn outcome(portal: &Portal, job: &str, id: &str) -> (String, String) {
    let execution = execution(portal, job, id).await;
    let text = |field: &str| execution[field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("outcome"))
}

/// The job when it has ended.
pub(crate) async fn ended(portal: &Portal, job: &str) -> Value {
    let ended = portal.get(&format!("{job}?wait=20")).await.of(200);
    assert!(ended["outcome"].is_string(), "not ended: {ended}");
    ended
}

/// An update to a version, as a request.
pub(crate) fn update(package: &str, version: &str) -> Value {
    json!({"type": "FIRMWARE_UPDATE", "packageUrl": package, "packageVersion": version, "expectedFirmwareVersion": version})
}

/// Serves a package of that version until the test ends; its address.
pub(crate) async fn package(version: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/{version}.bin", listener.local_addr().unwrap());
    let body = sample_package(version, 4_096);
    tokio::spawn(async move {
        while let Ok((mut stream, _peer)) = listener.accept().await {
            let mut request = [0; 4_096];
            drop(stream.read(&mut request).await);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            drop(stream.write_all(&[head.as_bytes(), &body].concat()).await);
            drop(stream.shutdown().await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    url
}
