//! HTTP between device and server (OMA SyncML HTTP Binding).
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use dmwsi_protocol::device::Fault;
use dmwsi_protocol::encoding::{DecodeError, Encoding};
use dmwsi_protocol::mac;
use reqwest::header::{ACCEPT, CONNECTION, CONTENT_TYPE, USER_AGENT};
use reqwest::{Certificate, Client, Identity, StatusCode, redirect};

use crate::behaviour::Behaviour;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// The HTTP client that many devices share. A copy is the same client.
#[derive(Clone, Debug)]
pub struct Wire {
    pub(crate) client: Client,
}

/// A message as it goes over the wire, and the MAC that goes with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Letter {
    pub(crate) body: Bytes,
    pub(crate) mac: Option<String>,
}

/// Why a session came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Not a message in the encoding of the device.
    #[error("the answer cannot be read")]
    Decode(#[from] DecodeError),
    /// The device dropped out of the session.
    #[error("the device dropped out of the session")]
    Dropped,
    /// A message that the session cannot go on with.
    #[error("the answer cannot be used")]
    Fault(#[from] Fault),
    /// The device went away.
    #[error("nothing is heard of the device any more")]
    Gone,
    /// No answer at all.
    #[error("no answer")]
    Http(#[source] reqwest::Error),
    /// Larger than the device takes, in bytes.
    #[error("the answer has {0} bytes, more than the device takes")]
    Large(usize),
    /// Without a length, which real devices need to know beforehand.
    #[error("the answer does not tell its length")]
    Length,
    /// An HTTP status other than 200.
    #[error("the answer is HTTP {0}")]
    Status(u16),
    /// Another content type than that of the device's own messages.
    #[error("the answer has the content type {0:?}")]
    Type(String),
}

impl SessionError {
    /// A word for counting.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Decode(_) => "decode",
            Self::Dropped => "dropped",
            Self::Fault(_) => "fault",
            Self::Gone => "gone",
            Self::Http(_) => "http",
            Self::Large(_) => "large",
            Self::Length => "length",
            Self::Status(_) => "status",
            Self::Type(_) => "type",
        }
    }

    /// Whether the same message may be sent again: no answer came, or one that asks to wait.
    const fn is_passing(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Status(408 | 503 | 504))
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The file holds no certificate.
    #[error("the file holds no certificate")]
    Empty,
    /// The file with certificates cannot be read.
    #[error("the file with certificates cannot be read")]
    File(#[from] std::io::Error),
    /// The certificates, or TLS itself, cannot be used.
    #[error("TLS cannot be used")]
    Tls(#[from] reqwest::Error),
}

impl Wire {
    /// A client that trusts the system's authorities and those in this PEM file.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, WireError> {
        Self::with(ca_file, None)
    }

    /// The same for a device that shows a certificate where a server asks for one: the PEM files of its certificate, those of its issuers after it, and of
    /// its key (PKCS #8). Whoever shares the wire shows the same.
    pub fn certified(ca_file: Option<&Path>, certificate: &Path, key: &Path) -> Result<Self, WireError> {
        Self::with(ca_file, Some(Identity::from_pkcs8_pem(&std::fs::read(certificate)?, &std::fs::read(key)?)?))
    }

    fn with(ca_file: Option<&Path>, identity: Option<Identity>) -> Result<Self, WireError> {
        let mut builder = Client::builder()
            .user_agent(concat!("dmwsi-simulator/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .pool_max_idle_per_host(256);
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        if let Some(file) = ca_file {
            let certificates = Certificate::from_pem_bundle(&std::fs::read(file)?)?;
            if certificates.is_empty() {
                return Err(WireError::Empty);
            }
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self { client: builder.build()? })
    }

    /// Sends a message, again where no answer came, and gives the answer if it is one that a real device would read.
    pub(crate) async fn exchange(&self, url: &str, letter: &Letter, behaviour: &Behaviour) -> Result<Letter, SessionError> {
        let mut left = behaviour.retries;
        loop {
            match self.post(url, letter.clone(), behaviour).await {
                Err(error) if error.is_passing() && left > 0 => {
                    left = left.saturating_sub(1);
                    tokio::time::sleep(Duration::from_millis(behaviour.retry_ms)).await;
                }
                done => return done,
            }
        }
    }

    async fn post(&self, url: &str, letter: Letter, behaviour: &Behaviour) -> Result<Letter, SessionError> {
        let kind = behaviour.quirks.form(behaviour.encoding).content_type();
        let mut request = self
            .client
            .post(asked(url, behaviour.query.as_deref()))
            .header(CONTENT_TYPE, kind)
            .header(ACCEPT, kind)
            .body(letter.body);
        if let Some(name) = &behaviour.user_agent {
            request = request.header(USER_AGENT, name);
        }
        if behaviour.quirks.closes_connections {
            request = request.header(CONNECTION, "Close");
        }
        if let Some(mac) = letter.mac {
            request = request.header(mac::HEADER, mac);
        }
        let response = request.send().await.map_err(SessionError::Http)?;
        if response.status() != StatusCode::OK {
            return Err(SessionError::Status(response.status().as_u16()));
        }
        let answered = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_kind(answered, kind) {
            return Err(SessionError::Type(answered.to_owned()));
        }
        let length = response.content_length().filter(|length| *length > 0).ok_or(SessionError::Length)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if u32::try_from(length).map_or(true, |length| length > behaviour.max_message) {
            return Err(SessionError::Large(length));
        }
        let mac = response.headers().get(mac::HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = response.bytes().await.map_err(SessionError::Http)?;
        // Numeric references are one of the things that clients on libdmclient refuse a whole message for.
        if behaviour.quirks.fragile && behaviour.encoding == Encoding::Xml && body.windows(2).any(|two| two == b"&#") {
            return Err(SessionError::Fault(Fault::Deadly("a numeric reference")));
        }
        Ok(Letter { body, mac })
    }
}

/// An address with a query behind it, and behind the one that it has.
fn asked(url: &str, query: Option<&str>) -> String {
    match query {
        None => url.to_owned(),
        Some(query) => format!("{url}{}{query}", if url.contains('?') { '&' } else { '?' }),
    }
}

fn is_kind(content_type: &str, wanted: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_goes_behind_the_one_that_is_there() {
        assert_eq!(asked("http://a/dm", None), "http://a/dm");
        assert_eq!(asked("http://a/dm", Some("mode=Machine&Platform=WoA")), "http://a/dm?mode=Machine&Platform=WoA");
        assert_eq!(asked("http://a/dm?s=1", Some("mode=Machine")), "http://a/dm?s=1&mode=Machine");
    }
}
