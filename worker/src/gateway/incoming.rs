//! A message as it came, and what it says of itself before anybody has looked into the session.
use bytes::Bytes;
use dmwsi_domain::Timestamp;
use dmwsi_protocol::credentials;
use dmwsi_protocol::encoding::Form;
use dmwsi_protocol::message::{Element, Message, alert};
use dmwsi_protocol::server::Session;

use super::memory::Key;

/// The parameter of the address that holds the secret of a session.
pub(super) const PASS: &str = "s";

/// The octets of that secret.
pub(super) const PASS_BYTES: usize = 16;

/// A message as it came.
pub(super) struct Incoming {
    pub(super) message: Message,
    /// In which the answer goes out.
    pub(super) form: Form,
    pub(super) body: [u8; 32],
    /// The body as it came.
    pub(super) raw: Bytes,
    /// The header User-Agent.
    pub(super) user_agent: Option<String>,
    /// The secret of a session that stood in the address, if one did.
    pub(super) pass: Option<String>,
    pub(super) at: Timestamp,
}

impl Incoming {
    pub(super) fn key(&self) -> Key {
        (self.message.header.source.uri.clone(), self.message.header.session.clone())
    }

    /// The number of the session where the device calls because it was woken: a SessionID in hexadecimal, in package 1 with that alert.
    pub(super) fn answers(&self) -> Option<u16> {
        let woken = |element: &Element| matches!(element, Element::Alert(alert) if alert.code == alert::SERVER_INITIATED);
        let is_woken = self.message.body.iter().any(woken);
        is_woken.then(|| u16::from_str_radix(&self.message.header.session, 16).ok()).flatten()
    }

    /// Whether it is a package 1, by which a session begins.
    pub(super) fn begins(&self) -> bool {
        self.message.body.iter().any(|element| {
            matches!(element, Element::Alert(alert) if matches!(alert.code, alert::SERVER_INITIATED | alert::CLIENT_INITIATED))
        })
    }

    /// Whether the message came to the address that its session gave.
    pub(super) fn is_at_respond_to(&self, session: &Session) -> bool {
        let theirs = session.respond_to().rsplit_once("?s=").map_or("", |(_, pass)| pass);
        self.pass.as_ref().is_some_and(|pass| pass.len() > PASS_BYTES && credentials::same(pass, theirs))
    }

    /// Whether a repeated message gets the reply once more: whoever proved nothing by it would learn what is not for him.
    pub(super) fn may_hear_again(&self, session: &Session) -> bool {
        let shows_credentials = self.message.header.credentials.is_some();
        shows_credentials || !session.is_authenticated() || self.is_at_respond_to(session)
    }
}
