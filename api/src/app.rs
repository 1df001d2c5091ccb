//! The application: everything a handler works with, and how it is mounted on a server.
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use actix_web::middleware::{Next, from_fn};
use actix_web::web;
use dmwsi_domain::bootstrap::{Bootstrap, NewBootstrap};
use dmwsi_domain::contact::Contact;
use dmwsi_domain::egress::Egress;
use dmwsi_domain::identity::DmIdentity;
use dmwsi_domain::profile::Book;
use dmwsi_domain::subscription::Handshake;
use dmwsi_domain::{Clock, Result};
use dmwsi_store::Store;
use dmwsi_store::ingest::Ingest;
use tokio::sync::watch;
use url::Url;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::callers::Clients;
use crate::docs::{Document, swagger_ui};
use crate::event_stream::Streams;
use crate::failed_logins::FailedLogins;
use crate::gate::{gate, nothing_here};
use crate::keys::Keys;
use crate::problem::Problem;
use crate::public_url::PublicUrl;
use crate::routes::routes;
use crate::settings::Settings;
use crate::upload_file::Appending;
use crate::waiting::Waiting;

/// The application; a clone is the same one.
#[derive(Clone)]
pub struct App(Arc<Assembled>);

/// Writes what a device is told before its first session.
pub type Bootstrapping = Box<dyn Fn(&DmIdentity, &Contact, &NewBootstrap) -> Result<Bootstrap> + Send + Sync>;

/// What the application is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Store,
    /// What the operator set.
    pub settings: Settings,
    /// The keys.
    pub keys: Keys,
    /// The keys that seal the secrets of devices.
    pub sealing: dmwsi_store::Keys,
    /// Where the world reaches us.
    pub public_url: PublicUrl,
    /// What brings containers in.
    pub ingest: Ingest,
    /// Where devices and this server may be sent to.
    pub egress: Egress,
    /// Which receivers of events are asked first.
    pub handshake: Handshake,
    /// Becomes true when the server stops, which ends streams.
    pub closing: watch::Receiver<bool>,
    /// The time, and new ids.
    pub clock: Clock,
    /// What is known of kinds of devices.
    pub book: Book,
    /// What devices are told before their first session.
    pub bootstrap: Bootstrapping,
}

/// The parts, and what the application remembers while it runs.
pub struct Assembled {
    parts: Parts,
    pub(crate) clients: Clients,
    pub(crate) failed_logins: FailedLogins,
    pub(crate) document: Document,
    pub(crate) waiting: Waiting,
    pub(crate) streams: Streams,
    pub(crate) appending: Appending,
}

impl App {
    /// Puts the application together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Assembled {
            clients: Clients::default(),
            failed_logins: FailedLogins::new(parts.settings.max_failed_logins),
            document: Document::render(),
            waiting: Waiting::default(),
            streams: Streams::default(),
            appending: Appending::default(),
            parts,
        }))
    }
}

impl App {
    /// Whether the receiver at that address is asked first whether it wants events.
    pub(crate) fn asks(&self, sink: &str) -> bool {
        match self.handshake {
            Handshake::Off => false,
            Handshake::Public => !Url::parse(sink).is_ok_and(|url| self.egress.names_host(&url)),
            Handshake::Required => true,
        }
    }
}

impl Deref for App {
    type Target = Assembled;

    fn deref(&self) -> &Assembled {
        &self.0
    }
}

impl Deref for Assembled {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// Mounts the application. It answers every address, so whatever else the server has (gateway, health, metrics) is mounted before it.
pub fn configure(app: App) -> impl FnOnce(&mut web::ServiceConfig) {
    mount(app, routes)
}

/// As [`configure`], with those routes.
pub(crate) fn mount(app: App, routes: fn(&mut ServiceConfig<'_>)) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let gated = app.clone();
        let scope = web::scope("")
            .app_data(web::Data::new(app))
            .app_data(web::PathConfig::default().error_handler(|_malformed, _request| Problem::not_found("thing").into()))
            .configure(|config| routes(&mut ServiceConfig::new(config)))
            .service(web::redirect("/docs", "docs/"))
            .service(swagger_ui())
            .default_service(web::to(nothing_here))
            .wrap(from_fn(move |request: ServiceRequest, next: Next<_>| gate(gated.clone(), request, next)));
        config.service(scope);
    }
}
