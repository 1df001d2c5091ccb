//! The server under test: its processes as they are started in earnest, and whatever may happen to them.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_api::ClientSecret;
use dmwsi_domain::Clock;
use dmwsi_domain::client::Client;

use super::dice::Dice;
use super::front::Front;
use super::planted::Planted;
use crate::harness::Database;
use crate::harness::postgres::Server;
use crate::harness::process::Process;

/// All that the load needs.
const SCOPES: &str =
    "events:read jobs:read jobs:write devices:read devices:write containers:read subscriptions:read subscriptions:write";

/// How long a process may take to start, the database's own start included.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// What is quick here so that a round is short: leases, retries, patience with receivers. All else is as it is delivered.
const SETTINGS: [(&str, &str); 11] = [
    ("DMWSI__TASKS__LEASE_MS", "1500"),
    ("DMWSI__TASKS__RETRY_FIRST_MS", "100"),
    ("DMWSI__TASKS__RETRY_LONGEST_MS", "500"),
    ("DMWSI__PUSH__RETRY_FIRST_MS", "200"),
    ("DMWSI__GATEWAY__SEEN_FLUSH_SECONDS", "1"),
    ("DMWSI__WEBHOOKS__HANDSHAKE", "OFF"),
    ("DMWSI__WEBHOOKS__TIMEOUT_MS", "700"),
    ("DMWSI__WEBHOOKS__RETRY_MS", RETRIES),
    ("DMWSI__WEBHOOKS__BREAKER_AFTER", "5"),
    ("DMWSI__WEBHOOKS__BREAKER_FIRST_MS", "100"),
    ("DMWSI__WEBHOOKS__BREAKER_LONGEST_MS", "400"),
];

/// Enough of them that no delivery is given up.
const RETRIES: &str = "[50,100,150,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,\
200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200,200]";

/// A place for a process.
struct Seat {
    role: &'static str,
    process: Mutex<Option<Process>>,
}

/// Processes on one database.
pub(crate) struct Cluster {
    pub(crate) database: Arc<Database>,
    /// Where the database is a server of our own.
    server: Option<Server>,
    keys: String,
    seats: Vec<Seat>,
    /// Before what serves external systems.
    pub(crate) api: Front,
    /// Before what serves devices.
    pub(crate) gateways: Front,
    pub(crate) client: Client,
    pub(crate) secret: ClientSecret,
    pub(crate) planted: Option<Planted>,
}

impl Cluster {
    /// A process for each of these roles, with a fault or without.
    pub(crate) async fn start(
        database: Database,
        server: Option<Server>,
        roles: &[&'static str],
        planted: Option<Planted>,
        dice: &Dice,
    ) -> Arc<Self> {
        let store = database.store().await;
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
        drop(store);
        if let Some(planted) = planted {
            planted.plant(&database);
        }
        let seats = roles.iter().map(|role| Seat { role, process: Mutex::default() }).collect();
        let (api, gateways) = (Front::open(dice.clone(), true).await, Front::open(dice.clone(), true).await);
        let keys = toml::to_string(&Keys::mint().unwrap()).unwrap();
        let database = Arc::new(database);
        let cluster = Arc::new(Self { database, server, keys, seats, api, gateways, client, secret, planted });
        for seat in 0..roles.len() {
            cluster.begin(seat).await;
        }
        cluster
    }

    pub(crate) fn seats(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn role(&self, seat: usize) -> &'static str {
        self.seats[seat].role
    }

    pub(crate) const fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// Starts the process of a seat, again and again while its database is away.
    pub(crate) async fn begin(self: &Arc<Self>, seat: usize) {
        let (cluster, began) = (Arc::clone(self), Instant::now());
        let started = tokio::task::spawn_blocking(move || {
            loop {
                match cluster.try_begin(seat) {
                    Ok(process) => return process,
                    Err(said) => assert!(began.elapsed() < STARTED_WITHIN, "it does not start: {said}"),
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let process = started.await.unwrap();
        let address = process.base.trim_start_matches("http://").parse().unwrap();
        let role = self.role(seat);
        for (front, serves) in [(&self.api, "api"), (&self.gateways, "gateway")] {
            if role == serves || role == "all" {
                front.add(seat, address);
            }
        }
        *self.seats[seat].process.lock().unwrap() = Some(process);
    }

    fn try_begin(&self, seat: usize) -> Result<Process, String> {
        let role = self.role(seat);
        let front = if role == "gateway" { self.gateways.url() } else { self.api.url() };
        // Who acts on the database behind the server's back rings no bell.
        let poll = if self.planted.is_some() { "50" } else { "30000" };
        let own = [("DMWSI__PUBLIC_URL", front.as_str()), ("DMWSI__TASKS__SAFETY_POLL_MS", poll)];
        let environment: Vec<_> = SETTINGS.into_iter().chain(own).collect();
        Process::try_serve_as(&self.database, &self.keys, role, &environment)
    }

    /// `kill -9` of the process of a seat.
    pub(crate) fn kill(&self, seat: usize) {
        self.api.remove(seat);
        self.gateways.remove(seat);
        let process = self.seats[seat].process.lock().unwrap().take();
        if let Some(process) = process {
            process.kill();
        }
        if let Some(planted) = self.planted {
            planted.forget(&self.database);
        }
    }

    /// `kill -9` of the database, all its processes at once; it is then started again.
    pub(crate) async fn kill_database(self: &Arc<Self>) {
        let cluster = Arc::clone(self);
        let killed = tokio::task::spawn_blocking(move || cluster.server.as_ref().unwrap().kill());
        killed.await.unwrap();
    }
}
