//! What an operator may set about waking devices.
use std::time::Duration;

use dmwsi_domain::wake::Patience;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use url::Url;

/// The section `push` of the settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// How many devices are woken a second at most, by this process.
    pub rate: u32,
    /// How many devices may have been woken within `callWithinSeconds` without having called yet; further ones wait until these have.
    pub in_flight: u32,
    /// Within how many seconds a device that was woken should call.
    pub call_within_seconds: u64,
    /// How many devices are taken up at a time.
    pub batch: u32,
    /// The wait after the first attempt, in milliseconds; doubled for each further one, less up to half by chance.
    pub retry_first_ms: u64,
    /// The longest wait between two attempts, in milliseconds.
    pub retry_longest_ms: u64,
    /// How often a device is woken at most that a client wants to hear of; one with something to do is woken once a day from then on.
    pub max_attempts: u32,
    /// From which attempt on a notification is also sent with the zero nonce, by which a device that lost its nonce knows the server; 0 means never.
    /// A device of which no nonce is known is always woken so.
    pub zero_nonce_from: u32,
    /// What the user of a device is to see of it.
    pub ui: Ui,
    /// What stands before the notification in a datagram.
    pub udp_form: Form,
    /// What stands before the notification in a request to a gateway.
    pub http_form: Form,
    /// How a notification stands in a request to a gateway.
    pub http_body: Body,
    /// How many requests to gateways may run at a time.
    pub http_concurrency: usize,
    /// How many of them may run to one gateway, which is a scheme, a host and a port: what is left is for the others while one is slow.
    pub http_concurrency_each: usize,
    /// How long a gateway may take to answer, in seconds.
    pub http_timeout_seconds: u64,
    /// The operator's gateway that takes short messages for phone numbers; a name and password in the address are shown to it (RFC 7617). Without it such
    /// devices are not woken.
    pub sms_gateway: Option<Url>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate: 1_000,
            in_flight: 10_000,
            call_within_seconds: 30,
            batch: 500,
            retry_first_ms: 30_000,
            retry_longest_ms: 3_600_000,
            max_attempts: 100,
            zero_nonce_from: 3,
            ui: Ui::Unspecified,
            udp_form: Form::Wsp,
            http_form: Form::Plain,
            http_body: Body::Bytes,
            http_concurrency: 128,
            http_concurrency_each: 32,
            http_timeout_seconds: 10,
            sms_gateway: None,
        }
    }
}

impl Settings {
    /// How patiently devices are woken.
    #[must_use]
    pub const fn patience(&self) -> Patience {
        Patience {
            first: Duration::from_millis(self.retry_first_ms),
            longest: Duration::from_millis(self.retry_longest_ms),
            attempts: self.max_attempts,
        }
    }

    /// How many requests may run to one gateway, at least one.
    pub(super) fn per_gateway(&self) -> usize {
        self.http_concurrency_each.min(self.http_concurrency).clamp(1, Semaphore::MAX_PERMITS)
    }

    /// Within which time a device that was woken should call.
    #[must_use]
    pub const fn call_within(&self) -> Duration {
        Duration::from_secs(self.call_within_seconds)
    }
}

/// What the user of a device is to see of being woken (OMA DM Notification 1.2, 6.2.2.2).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ui {
    /// Nothing.
    Background,
    /// That it happens.
    Informative,
    /// A question first.
    Interactive,
    /// Whatever the device thinks fit.
    Unspecified,
}

/// What stands before a notification.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// Nothing.
    Plain,
    /// The header of a short message to port 2948, then that of a WAP push; in parts where it does not fit into one.
    Udh,
    /// The header of a WAP push, in six bytes.
    Wsp,
    /// The header of a WAP push with its content type as text.
    WspText,
}

/// How a notification stands in a request to a gateway.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Body {
    /// As it is.
    Bytes,
    /// In a JSON object with `address`, `sessionId`, `contentType` and, in base64, `data`.
    Json,
    /// As a push by the Push Access Protocol to `smsGateway`, a push proxy gateway, which puts its own headers before it: `httpForm` is not looked at.
    /// Gateways that are the address of one device get it as with `bytes`, since they have no client to push to.
    Pap,
}
