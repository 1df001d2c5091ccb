//! The server, started and stopped.
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use clap::ValueEnum;
use dmwsi_api::PublicUrl;
use dmwsi_domain::profile::Book;
use dmwsi_domain::{Clock, Error};
use dmwsi_store::ingest::Ingest;
use dmwsi_store::sweep::Ages;
use dmwsi_store::{DatabaseUrl, Exclusive, Store};
use dmwsi_worker::deliver::{Deliverer, DelivererError, Means};
use dmwsi_worker::distributor::distribute;
use dmwsi_worker::download::{Downloads, Tokens};
use dmwsi_worker::egress::Guard;
use dmwsi_worker::gateway::{Gateway, bootstrapping};
use dmwsi_worker::push::{Pusher, PusherError};
use dmwsi_worker::queue::Queues;
use dmwsi_worker::sequencer::number_events;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Config, ConfigError};
use crate::health::{Health, recorder};
use crate::keys::{Keys, KeysError};
use crate::listener::{ListenError, Mount, bind, serve};
use crate::place::Place;

/// What a process of the server does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Role {
    /// Everything.
    All,
    /// Serves external systems.
    Api,
    /// Serves devices.
    Gateway,
    /// Does the tasks.
    Worker,
}

impl Role {
    const fn has_api(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    const fn has_gateway(self) -> bool {
        matches!(self, Self::All | Self::Gateway)
    }

    const fn has_worker(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Gateway => "gateway",
            Self::Worker => "worker",
        })
    }
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The folder of the content cannot be used.
    #[error("cannot use the content folder {}", .0.display())]
    Content(std::path::PathBuf, #[source] std::io::Error),
    /// The counters cannot be set up.
    #[error("cannot set up the metrics")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// There is nothing to wake devices with.
    #[error(transparent)]
    Push(#[from] PusherError),
    /// There is nothing to deliver events with.
    #[error(transparent)]
    Deliver(#[from] DelivererError),
    /// The file of known devices cannot be used.
    #[error("gateway.profiles: {}: {}", .0.display(), .1)]
    Profiles(std::path::PathBuf, String),
    /// The schema is not that of this version.
    #[error("the database lacks {0} migrations: run `dmwsi migrate` first")]
    Schema(usize),
    /// SQLite is one process.
    #[error("on SQLite one process does everything: --role {0} needs PostgreSQL")]
    RoleOnSqlite(Role),
    /// The public address is none.
    #[error("publicUrl: {0}")]
    PublicUrl(#[from] dmwsi_api::PublicUrlError),
    /// The database cannot be used.
    #[error("cannot use the database")]
    Store(#[from] Error),
}

/// A server that runs. Dropping it leaves it running; [`Running::stop`] it.
pub struct Running {
    address: SocketAddr,
    device_address: SocketAddr,
    store: Store,
    servers: Vec<ServerHandle>,
    tasks: Option<dmwsi_worker::queue::Running>,
    stopping: watch::Sender<bool>,
    /// Ends what is streamed, which the listeners would wait for.
    closing: watch::Sender<bool>,
    background: JoinSet<()>,
    stop_within: Duration,
    _exclusive: Exclusive,
}

/// Opens the database of the settings, with what is needed to read its sealed columns.
pub fn open_store(config: &Config) -> Result<Store, StartError> {
    Ok(Store::open(&config.store)?)
}

/// Starts a server. An empty SQLite database is given its schema; any other must have it.
pub async fn start(config: Config, keys: Keys, role: Role, clock: Clock) -> Result<Running, StartError> {
    let guard = Guard::new(config.egress.clone());
    start_behind(config, keys, role, clock, guard).await
}

/// The same with a guard of one's own before everything that connects to where external systems say.
pub async fn start_behind(config: Config, keys: Keys, role: Role, clock: Clock, guard: Guard) -> Result<Running, StartError> {
    config.check()?;
    let store = open_store(&config)?;
    let is_sqlite = matches!(config.store.url, DatabaseUrl::Sqlite(_));
    if is_sqlite && role != Role::All {
        return Err(StartError::RoleOnSqlite(role));
    }
    let exclusive = store.exclusive()?;
    let pending = store.pending().await?;
    if is_sqlite {
        store.migrate().await?;
    } else if !pending.is_empty() {
        return Err(StartError::Schema(pending.len()));
    }

    let metrics = recorder()?;
    let listen = &config.listen;
    let main = bind(listen.address)?;
    let address = main.local_addr().map_err(|error| ListenError::Bind(listen.address, error))?;
    let public_url = match config.public_url.trim_end_matches('/').strip_suffix(":0") {
        Some(host) => format!("{host}:{}", address.port()),
        None => config.public_url.clone(),
    };
    let (stopping, stopped) = watch::channel(false);
    let closing = watch::Sender::new(false);
    let mut background = JoinSet::new();
    let mut servers = Vec::new();

    let place = Place::open(&store, &config).await?;
    let ingest = Ingest::new(store.clone(), place.content(), Some(place.marker()), config.content.clone(), clock.clone());
    let sealing = keys.sealing_keys()?;
    let nonce_key = keys.nonce_key()?;
    let tokens = Tokens::new(keys.download_key()?);
    let book = profiles(config.gateway.profiles.as_deref())?;
    let gateway = role.has_gateway().then(|| {
        let (store, settings) = (store.clone(), config.gateway.clone());
        let gateway = Gateway::new(
            store,
            clock.clone(),
            settings,
            &public_url,
            nonce_key,
            sealing.clone(),
            (tokens.clone(), place.content()),
        );
        Arc::new(gateway.knowing(book.clone()))
    });
    if let Some(gateway) = &gateway {
        let (gateway, stopped) = (Arc::clone(gateway), stopped.clone());
        background.spawn(async move { gateway.flush_seen(until(stopped)).await });
    }
    let downloads = role.has_gateway().then(|| {
        let settings = config.downloads.clone();
        Arc::new(Downloads::new(store.clone(), clock.clone(), place.content(), settings, tokens, &public_url))
    });
    if let Some(downloads) = &downloads {
        let (downloads, stopped) = (Arc::clone(downloads), stopped.clone());
        background.spawn(async move { downloads.keep_up(until(stopped)).await });
    }
    let devices = gateway.zip(downloads);
    let sealing_for_push = sealing.clone();
    let app = if role.has_api() {
        let keys = dmwsi_api::Keys::open(&keys.api).map_err(KeysError::from)?;
        let bootstrap = Box::new(bootstrapping(sealing.clone(), nonce_key, &public_url, clock.clone()));
        let public_url = PublicUrl::parse(&public_url)?;
        Some(dmwsi_api::App::new(dmwsi_api::Parts {
            store: store.clone(),
            settings: config.api.clone(),
            keys,
            sealing,
            public_url,
            ingest: ingest.clone(),
            egress: config.egress.clone(),
            handshake: config.webhooks.handshake,
            closing: closing.subscribe(),
            clock: clock.clone(),
            book,
            bootstrap,
        }))
    } else {
        None
    };
    let tasks = if role.has_worker() {
        let distributing = stopped.clone();
        let (log, poll, stopped) = (store.clone(), config.tasks.safety_poll(), stopped.clone());
        background.spawn(async move { number_events(log, poll, until(stopped)).await });
        let (log, time, poll, stopped) = (store.clone(), clock.clone(), config.tasks.safety_poll(), distributing);
        background.spawn(async move { distribute(log, time, poll, until(stopped)).await });
        dmwsi_worker::jobs::install(&store, &clock).await?;
        let queues = Queues::new(store.clone(), clock.clone(), config.tasks.clone());
        let ages = Ages {
            session_idle: config.gateway.session_idle(),
            imports_kept: config.api.imports_kept(),
            events_kept: config.events.kept(),
            sessions_kept: config.gateway.sessions_kept(),
        };
        let queues = dmwsi_worker::jobs::handle(queues, &store, &clock, &ingest, ages);
        dmwsi_worker::push::install(&store, &clock).await?;
        let api_keys = dmwsi_api::Keys::open(&keys.api).map_err(KeysError::from)?;
        let (ring, ids) = (api_keys.ring, clock.clone());
        let courier = Means {
            store: store.clone(),
            clock: clock.clone(),
            settings: config.webhooks.clone(),
            sealing: sealing_for_push.clone(),
            guard: guard.clone(),
            device_ids: api_keys.device_ids,
            public_url: PublicUrl::parse(&public_url)?.as_str().to_owned(),
            assert: Box::new(move |client, endpoint, now| {
                ring.assert(client, endpoint, now, ids.new_id()).map_err(Error::internal)
            }),
        };
        let queues = dmwsi_worker::deliver::handle(queues, Deliverer::open(courier)?);
        let pusher = Pusher::open(store.clone(), clock.clone(), config.push.clone(), sealing_for_push, guard).await?;
        Some(dmwsi_worker::push::handle(queues, pusher).start())
    } else {
        None
    };

    let health = Health { store: store.clone(), place, metrics };
    let beside = config.listen.devices.is_none();
    let own_metrics = config.listen.metrics.is_some();
    let main_mount = Mount { health: (!own_metrics).then(|| health.clone()), devices: devices.clone().filter(|_| beside), app };
    servers.push(serve(main, listen, listen.threads, main_mount)?);
    let mut device_address = address;
    if let (Some(at), Some(devices)) = (config.listen.devices, devices) {
        let listener = bind(at)?;
        device_address = listener.local_addr().map_err(|error| ListenError::Bind(at, error))?;
        let mount = Mount { health: None, devices: Some(devices), app: None };
        servers.push(serve(listener, listen, listen.device_threads, mount)?);
    }
    if let Some(at) = config.listen.metrics {
        let mount = Mount { health: Some(health), devices: None, app: None };
        servers.push(serve(bind(at)?, listen, 1, mount)?);
    }
    let handles = servers.iter().map(Server::handle).collect();
    for server in servers {
        background.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(cause = ?error, "a listener broke down");
            }
        });
    }
    Ok(Running {
        address,
        device_address,
        store,
        servers: handles,
        tasks,
        stopping,
        closing,
        background,
        stop_within: Duration::from_secs(config.stop_seconds),
        _exclusive: exclusive,
    })
}

impl Running {
    /// Where external systems reach it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where devices reach it.
    #[must_use]
    pub const fn device_address(&self) -> SocketAddr {
        self.device_address
    }

    /// The database it works on.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Takes no more requests, finishes what runs, puts back what has not begun, and ends. What takes longer than the settings allow is cut.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.closing.send_replace(true);
        for server in &self.servers {
            server.stop(true).await;
        }
        if let Some(tasks) = self.tasks.take() {
            tasks.stop().await;
        }
        self.stopping.send_replace(true);
        let all = async { while self.background.join_next().await.is_some() {} };
        if tokio::time::timeout(self.stop_within, all).await.is_err() {
            tracing::warn!("what still ran was cut; its tasks will be taken up again when their leases end");
        }
        Ok(())
    }
}

/// What is known of kinds of devices: what ships with the product, and the operator's own file over it.
fn profiles(further: Option<&std::path::Path>) -> Result<Book, StartError> {
    let wrong = |file: &std::path::Path, why: &dyn fmt::Display| StartError::Profiles(file.to_owned(), why.to_string());
    let known = Book::known().map_err(|error| wrong("profiles.toml".as_ref(), &error))?;
    let Some(file) = further else { return Ok(known) };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(file, &error))?;
    Ok(known.and(Book::parse(&text).map_err(|error| wrong(file, &error))?))
}

/// Completes when the server is told to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the server is gone, which is a stop, too.
    drop(stopped.wait_for(|stopped| *stopped).await);
}
