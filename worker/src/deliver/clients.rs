//! HTTP clients of receivers: one for all, and one of its own for each that is shown a certificate.
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::Subscription;
use dmwsi_store::webhook_secrets::{SinkCredential, WebhookSecrets};
use lru::LruCache;
use reqwest::{Certificate, Client, Identity};

use super::Settings;
use crate::egress::Guard;

/// How many clients with certificates are kept; the one used least goes.
const CAPACITY: NonZero<usize> = NonZero::new(1_000).unwrap();

/// There is nothing to deliver with.
#[derive(Debug, thiserror::Error)]
pub enum DelivererError {
    /// The authorities cannot be read.
    #[error("cannot read the certificates in {}", .0.display())]
    Authorities(PathBuf, #[source] std::io::Error),
    /// The settings make no HTTP client.
    #[error("there is no HTTP client for receivers of events")]
    Client(#[from] reqwest::Error),
}

pub(super) struct Clients {
    guard: Guard,
    timeout: Duration,
    authorities: Vec<Certificate>,
    common: Client,
    /// By which revision of its subscription each was made.
    own: Mutex<LruCache<SubscriptionId, (i64, Client)>>,
}

impl Clients {
    pub(super) fn open(guard: Guard, settings: &Settings) -> Result<Self, DelivererError> {
        let timeout = Duration::from_millis(settings.timeout_ms.max(1));
        let authorities = match &settings.authorities {
            None => Vec::new(),
            Some(file) => {
                let pem = std::fs::read(file).map_err(|error| DelivererError::Authorities(file.clone(), error))?;
                Certificate::from_pem_bundle(&pem)?
            }
        };
        let common = guard.builder(timeout).tls_certs_merge(authorities.clone()).build()?;
        Ok(Self { guard, timeout, authorities, common, own: Mutex::new(LruCache::new(CAPACITY)) })
    }

    /// That which shows nothing.
    pub(super) const fn common(&self) -> &Client {
        &self.common
    }

    /// That of a subscription; none where its certificate cannot be used.
    pub(super) fn of(&self, subscription: &Subscription, secrets: &WebhookSecrets) -> Option<Client> {
        let Some(SinkCredential::Certificate { certificate, key }) = &secrets.credential else {
            return Some(self.common.clone());
        };
        let (id, revision) = (subscription.id, subscription.revision);
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = own.get(&id).filter(|(known, _)| *known == revision) {
            return Some(client.clone());
        }
        let made = Identity::from_pkcs8_pem(certificate.as_bytes(), key.as_bytes()).and_then(|identity| {
            // A connection is one of that client's only, so nobody else's requests go over it.
            let builder = self.guard.builder(self.timeout).tls_certs_merge(self.authorities.clone());
            builder.identity(identity).build()
        });
        match made {
            Ok(client) => {
                own.put(id, (revision, client.clone()));
                Some(client)
            }
            Err(error) => {
                tracing::error!(cause = ?error, subscription = %id, "the certificate for a receiver cannot be used");
                None
            }
        }
    }
}
