//! `dmwsi serve` as a process of its own, and an external system that uses it.
#[path = "../../tests/harness/database.rs"]
mod database;
#[path = "../../tests/harness/postgres.rs"]
mod postgres;
#[path = "../../tests/harness/process.rs"]
mod process;

use dmwsi::clients::{self, NewClient};
use dmwsi::keys::Keys;
use dmwsi::portal::Portal;
use dmwsi_api::ClientSecret;
use dmwsi_domain::Clock;
use dmwsi_domain::client::Client;
use dmwsi_domain::scope::Grants;
use serde_json::Value;

pub(crate) use database::Database;
use process::Process;

/// The server, with a client that may do everything.
pub(crate) struct Served {
    process: Process,
    client: Client,
    secret: ClientSecret,
}

impl Served {
    /// Starts it on a new database.
    pub(crate) async fn start(database: &Database) -> Self {
        let store = database.store().await;
        let new = NewClient { organisation: "bench".to_owned(), name: "bench".to_owned(), scopes: Grants::all() };
        let (client, secret) = clients::add(&store, &Clock::System, new).await.unwrap();
        let process = Process::serve(database, &toml::to_string(&Keys::mint().unwrap()).unwrap());
        Self { process, client, secret }
    }

    /// Where it listens: host and port.
    pub(crate) fn address(&self) -> &str {
        self.process.base.strip_prefix("http://").unwrap()
    }

    /// Its memory, in KiB, by a line of its status such as `VmRSS`.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let size = status.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(':'));
        size.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Has the kernel take the highest use of memory (`VmHWM`) anew from now on.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.process.child.id()), "5").unwrap();
    }

    /// The external system, logged in.
    pub(crate) async fn portal(&self) -> Portal {
        Portal::log_in(&self.process.base, &self.client.id.to_string(), self.secret.reveal()).await.unwrap()
    }

    /// A token for requests that the external system makes by hand; good for some minutes.
    pub(crate) async fn token(&self) -> String {
        let asked = reqwest::Client::new().post(format!("{}/oauth2/token", self.process.base));
        let asked = asked.form(&[("grant_type", "client_credentials")]).basic_auth(self.client.id, Some(self.secret.reveal()));
        let answer: Value = asked.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }
}
