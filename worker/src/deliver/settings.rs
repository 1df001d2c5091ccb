//! What an operator may set about deliveries to subscribers.
use std::path::PathBuf;
use std::time::Duration;

use dmwsi_domain::delivery::{Patience, RETRIES};
use dmwsi_domain::subscription::Handshake;
use serde::{Deserialize, Serialize};
use url::Url;

/// The section `webhooks` of the settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// Which receivers are asked first whether they want the events: `REQUIRED` all, `PUBLIC` all but hosts that `egress.allow` names, `OFF` none.
    pub handshake: Handshake,
    /// The waits before a receiver that did not agree is asked again, in milliseconds; then its subscription is switched off.
    pub handshake_retry_ms: Vec<u64>,
    /// After so long a receiver that agreed is asked again, in milliseconds; seven days.
    pub handshake_renew_ms: u64,
    /// The proxy through which all deliveries, handshakes and requests for tokens go (`http://proxy.example:3128`); none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Url>,
    /// A file of certificates (PEM) of authorities that receivers' certificates may be issued by, beside those that the system knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorities: Option<PathBuf>,
    /// How many deliveries to one receiver are under way at a time at most.
    pub in_flight: usize,
    /// How many receivers that do well are served at a time by this process.
    pub receivers: u32,
    /// How many receivers that give trouble, or take long to answer, are tried at a time by this process; they have places of their own.
    pub troubled_receivers: u32,
    /// How long what is to be delivered again is gathered for one subscription before others that wait for the same have their turn, in milliseconds.
    pub recovery_slice_ms: u64,
    /// How long a receiver may take to answer, in milliseconds.
    pub timeout_ms: u64,
    /// The waits after each attempt that failed, in milliseconds; with the last of them used up a delivery is dead.
    pub retry_ms: Vec<u64>,
    /// After so many failures one after the other a receiver is left alone for a while.
    pub breaker_after: u32,
    /// The first such while, in milliseconds; doubled for each further failure.
    pub breaker_first_ms: u64,
    /// The longest such while, in milliseconds.
    pub breaker_longest_ms: u64,
    /// After so long with nothing but failures a subscription is switched off, in milliseconds; five days.
    pub give_up_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            handshake: Handshake::Public,
            handshake_retry_ms: vec![60_000, 1_800_000],
            handshake_renew_ms: 7 * 86_400_000,
            proxy: None,
            authorities: None,
            in_flight: 64,
            receivers: 1_000,
            troubled_receivers: 1_000,
            recovery_slice_ms: 5_000,
            timeout_ms: 15_000,
            retry_ms: RETRIES.iter().map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)).collect(),
            breaker_after: 5,
            breaker_first_ms: 10_000,
            breaker_longest_ms: 3_600_000,
            give_up_ms: 5 * 86_400_000,
        }
    }
}

impl Settings {
    /// When a receiver is tried again, and when it is given up.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience {
            retries: self.retry_ms.iter().copied().map(Duration::from_millis).collect(),
            breaker_after: self.breaker_after.max(1),
            breaker_first: Duration::from_millis(self.breaker_first_ms),
            breaker_longest: Duration::from_millis(self.breaker_longest_ms),
            give_up_after: Duration::from_millis(self.give_up_ms.max(1)),
        }
    }
}
