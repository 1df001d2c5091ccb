//! A message as it came, and what it says of itself before anybody has looked into the session.
use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use dmwsi_domain::Timestamp;
use dmwsi_domain::account::SealedCredentials;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::credentials;
use dmwsi_protocol::encoding::{DecodeError, Form};
use dmwsi_protocol::mac::{self, Mac};
use dmwsi_protocol::message::{Element, Message, alert};
use dmwsi_protocol::server::{Arrival, Session};
use openssl::sha::Sha256;

use super::certificate::Certificate;
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
    /// The body as it came over the wire.
    body: Bytes,
    /// SHA-256 of the body and of what was shown beside it: what is told once more to who says the same.
    pub(super) hash: [u8; 32],
    /// The MAC that came with it.
    mac: Option<Mac>,
    /// The certificate of the connection.
    certificate: Option<Certificate>,
    /// The secret of a session that stood in the address, if one did.
    pub(super) pass: Option<String>,
    pub(super) at: Timestamp,
}

impl Incoming {
    /// Reads a message, and what came with it.
    pub(super) fn read(request: &HttpRequest, body: &Bytes, at: Timestamp) -> Result<Self, DecodeError> {
        let headers = request.headers();
        let form = Form::of(body, headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()));
        let message = form.decode(body)?;
        let pairs = &mut request.query_string().split('&');
        let pass = pairs.find_map(|pair| pair.strip_prefix(PASS)?.strip_prefix('=')).map(str::to_owned);
        // A header that comes twice is one with a comma between.
        let shown: Vec<_> = headers.get_all(mac::HEADER).map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let (mac, shown) = (Mac::parse(&shown.join(",")), shown.join(","));
        let certificate = request.conn_data::<Certificate>().cloned();
        let mut hash = Sha256::new();
        hash.update(body);
        hash.update(shown.as_bytes());
        hash.update(certificate.as_ref().map_or("", Certificate::fingerprint).as_bytes());
        Ok(Self { message, form, body: body.clone(), hash: hash.finish(), mac, certificate, pass, at })
    }

    /// How it came, for the session to judge.
    pub(super) fn arrival(&self, session: &Session, client: Option<&SealedCredentials>) -> Arrival<'_> {
        let certificate = self.certificate.as_ref();
        let is_certified = certificate.zip(client).is_some_and(|(own, client)| own.is_of(&client.name));
        Arrival { at_respond_to: self.is_at_respond_to(session), body: &self.body, mac: self.mac.as_ref(), is_certified }
    }

    /// Whether it shows anything of that kind.
    pub(super) fn shows(&self, auth: AuthType) -> bool {
        match auth {
            AuthType::Basic | AuthType::Digest => self.message.header.credentials.is_some(),
            AuthType::Hmac => self.mac.is_some(),
            AuthType::Transport => self.certificate.is_some(),
        }
    }

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
        let shows_anything = self.message.header.credentials.is_some() || self.mac.is_some() || self.certificate.is_some();
        shows_anything || !session.is_authenticated() || self.is_at_respond_to(session)
    }
}
