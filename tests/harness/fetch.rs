//! Something to download: content that was delivered, and an execution whose device may fetch it.
use std::time::Duration;

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::container::ContainerState;
use dmwsi_domain::digest::Sha256Digest;
use dmwsi_domain::execution::Move;
use dmwsi_domain::id::JobId;
use dmwsi_domain::operation::Request;
use dmwsi_simulator::{Behaviour, sample_package};
use dmwsi_store::{DeliverablePage, Store};
use dmwsi_worker::download::{DownloadToken, Tokens};
use openssl::sha::sha256;
use reqwest::Method;
use serde_json::{Value, json};

use super::Database;
use super::archive::{Archive, TAR};
use super::handset::{self, Handset, execution, update};
use super::server::{Got, Portal, Server};

/// All that the tests of downloads need.
pub(crate) const SCOPES: &str = "jobs:read jobs:write devices:read devices:write containers:read containers:write";

/// A server with a package in it, and a device that was told to fetch that.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) portal: Portal,
    pub(crate) handset: Handset,
    /// Where the job is.
    pub(crate) job: String,
    pub(crate) token: DownloadToken,
    pub(crate) bytes: Vec<u8>,
    /// Where the container is.
    pub(crate) container: String,
}

impl Scene {
    /// With a package of that size.
    pub(crate) async fn on(database: &Database, size: usize, behaviour: Behaviour, change: impl FnOnce(&mut Config)) -> Self {
        let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
            config.downloads.flush_seconds = 1;
            change(config);
        });
        let server = server.await;
        let portal = server.portal("acme", SCOPES).await;
        let bytes = sample_package("2.0.0", size);
        let container = deliver(&portal, "urn:a", 1, &bytes).await;
        let handset = Handset::register(&portal, server.url(), behaviour).await;
        let (job, token) = ordered(server.store(), &server.keys, server.url(), &portal, &handset, &bytes).await;
        Self { server, portal, handset, job, token, bytes, container }
    }

    pub(crate) fn tokens(&self) -> Tokens {
        tokens(&self.server.keys)
    }

    /// The path that stands for the token.
    pub(crate) fn path(&self) -> String {
        format!("/downloads/{}", self.tokens().mint(&self.token))
    }

    /// A request for the package.
    pub(crate) async fn get(&self, headers: &[(&str, &str)]) -> Got {
        self.server.send(Method::GET, &self.path(), headers, "").await
    }

    pub(crate) async fn execution(&self) -> Value {
        execution(&self.portal, &self.job, &self.handset.id).await
    }
}

/// The tokens that a server with these keys makes.
pub(crate) fn tokens(keys: &Keys) -> Tokens {
    Tokens::new(keys.download_key().unwrap())
}

/// Delivers a firmware; the path of its container.
pub(crate) async fn deliver(portal: &Portal, name: &str, sequence: u64, bytes: &[u8]) -> String {
    let archive = Archive::new(name, sequence).with("FIRMWARE", "x1-2.0.0", bytes);
    let container = portal.deliver("/v1/containers", &[TAR], archive.tar()).await.of(201);
    format!("/v1/containers/{}", container["containerId"].as_str().unwrap())
}

/// Has a device update to the newest deliverable with that content, which it is to fetch from `base`: the job, and the token the device is given.
pub(crate) async fn ordered(
    store: &Store,
    keys: &Keys,
    base: &str,
    portal: &Portal,
    handset: &Handset,
    bytes: &[u8],
) -> (String, DownloadToken) {
    let payload = Sha256Digest::new(sha256(bytes));
    let page = DeliverablePage {
        organisation: portal.organisation,
        before: None,
        kind: None,
        state: Some(ContainerState::Available),
        container: None,
        reference: None,
        limit: 100,
    };
    let all = store.read(move |tx| tx.deliverables(&page)).await.unwrap();
    let one = all.iter().find(|one| one.content().is_some_and(|(digest, _size)| digest == payload)).unwrap();
    let job = handset::job(portal, &handset.id, &json!({"type": "FIRMWARE_UPDATE", "deliverableId": one.id})).await;
    let id: JobId = job.trim_start_matches("/v1/jobs/").parse().unwrap();
    let expires = Clock::System.now().plus(Duration::from_secs(3_600));
    let token = DownloadToken { job: id, ordinal: 0, payload, expires };
    let url = format!("{base}/downloads/{}", tokens(keys).mint(&token));
    // The device is told the address that the test wants.
    let told: Request = serde_json::from_value(update(&url, "2.0.0")).unwrap();
    let (now, ids) = (Clock::System.now(), Clock::System.new_ids());
    let pointed = store.write(move |tx| {
        let mut execution = tx.execution(id, 0)?;
        execution.operation = told.begin();
        tx.save_execution(execution.state, &execution, &Move::default(), None, now, &mut ids.clone())
    });
    pointed.await.unwrap();
    (job, token)
}

/// What an update comes to when all goes well.
pub(crate) fn updated() -> (String, String) {
    ("SUCCEEDED".to_owned(), "UPDATED".to_owned())
}
