//! A small self-care page: what a portal for the users of devices looks like on the public interface, which is all that it uses.
//!
//! Whoever reaches it may do all that it can, so it belongs on loopback: a real portal knows its users and which devices are theirs.
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use tokio::task::JoinHandle;

use crate::portal::Portal;
use guard::Seal;

mod choice;
mod consent;
mod device;
mod guard;
mod offer;
mod page;
mod progress;

/// The scopes that its client needs.
pub const SCOPES: &str = "containers:read devices:read jobs:read jobs:write";

/// A self-care page at work. Dropped, it goes on until its runtime ends.
pub struct Selfcare {
    address: SocketAddr,
    handle: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
}

/// What its pages share.
#[derive(Clone)]
pub(crate) struct Desk {
    portal: Portal,
    seal: Seal,
    /// The last update of each device that was asked for here, so that a user finds it again.
    updates: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Desk {
    fn update_of(&self, device: &str) -> Option<String> {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).get(device).cloned()
    }

    fn remember(&self, device: &str, job: &str) {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).insert(device.to_owned(), job.to_owned());
    }
}

impl Selfcare {
    /// Serves it on that socket, by that portal's client, whose scopes are [`SCOPES`]. Fails where the socket cannot be used or there is no
    /// randomness.
    pub fn start(listener: TcpListener, portal: Portal) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let desk = Desk { portal, seal: Seal::new(address)?, updates: Arc::default() };
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(desk.clone()))
                .app_data(web::Data::new(desk.seal.clone()))
                .wrap(from_fn(guard::guard))
                .service(web::resource("/").get(choice::show))
                .service(web::resource("/check").get(choice::check))
                .service(web::resource("/devices/{device}").get(device::show))
                .service(web::resource("/devices/{device}/install/{deliverable}").get(consent::ask).post(consent::agree))
                .service(web::resource("/devices/{device}/updates/{job}").get(progress::show))
                .service(web::resource("/style.css").get(page::style))
                .service(web::resource("/icon.svg").get(page::icon))
                .service(web::resource("/live.js").get(page::script))
                .default_service(web::to(page::missing))
        });
        let server = server.disable_signals().workers(1).listen(listener)?.run();
        Ok(Self { address, handle: server.handle(), serving: tokio::spawn(server) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it after what is being answered.
    pub async fn stop(self) -> std::io::Result<()> {
        self.handle.stop(true).await;
        self.serving.await.map_err(std::io::Error::other)?
    }
}
