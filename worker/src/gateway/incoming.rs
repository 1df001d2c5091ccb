//! A message as it came, and what it says of itself before anybody has looked into the session.
use actix_web::HttpRequest;
use actix_web::http::header::USER_AGENT;
use bytes::Bytes;
use dmwsi_domain::Timestamp;
use dmwsi_domain::account::SealedCredentials;
use dmwsi_domain::profile::Engine;
use dmwsi_domain::session_record::cut;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::credentials;
use dmwsi_protocol::encoding::{DecodeError, Form};
use dmwsi_protocol::mac::{self, Mac};
use dmwsi_protocol::message::{Element, Item, Message, Verb, alert};
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
    pub(super) raw: Bytes,
    /// SHA-256 of the body and of what was shown beside it: what is told once more to who says the same.
    pub(super) hash: [u8; 32],
    /// The MAC that came with it.
    mac: Option<Mac>,
    /// The certificate of the connection.
    certificate: Option<Certificate>,
    /// The header User-Agent.
    pub(super) user_agent: Option<String>,
    /// The secret of a session that stood in the address, if one did.
    pub(super) pass: Option<String>,
    pub(super) at: Timestamp,
}

impl Incoming {
    /// Reads a message, and what came with it.
    pub(super) fn read(request: &HttpRequest, body: &Bytes, form: Form, at: Timestamp) -> Result<Self, DecodeError> {
        let headers = request.headers();
        let message = form.decode(body)?;
        let pass = Self::pass_in(request.query_string());
        // A header that comes twice is one with a comma between.
        let shown: Vec<_> = headers.get_all(mac::HEADER).map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let shown = shown.join(",");
        let mac = Mac::parse(&shown);
        let certificate = request.conn_data::<Certificate>().cloned();
        let mut hash = Sha256::new();
        hash.update(body);
        hash.update(shown.as_bytes());
        hash.update(certificate.as_ref().map_or("", Certificate::fingerprint).as_bytes());
        let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(|agent| cut(agent).to_owned());
        Ok(Self { message, form, raw: body.clone(), user_agent, hash: hash.finish(), mac, certificate, pass, at })
    }

    /// How it came, for the session to judge.
    pub(super) fn arrival(&self, session: &Session, client: Option<&SealedCredentials>) -> Arrival<'_> {
        let certificate = self.certificate.as_ref();
        let is_certified = certificate.zip(client).is_some_and(|(own, client)| own.is_of(&client.name));
        Arrival { at_respond_to: self.is_at_respond_to(session), body: &self.raw, mac: self.mac.as_ref(), is_certified }
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

    /// The numbers that the session may have where the device calls because it was woken, in package 1 with that alert: a SessionID is in hexadecimal, but
    /// clients of Windows write it in decimal.
    pub(super) fn answers(&self) -> Option<[Option<u16>; 2]> {
        let woken = |element: &Element| matches!(element, Element::Alert(alert) if alert.code == alert::SERVER_INITIATED);
        let is_woken = self.message.body.iter().any(woken);
        let read = |radix| u16::from_str_radix(&self.message.header.session, radix).ok();
        is_woken.then(|| [read(16), read(10)]).filter(|numbers| *numbers != [None; 2])
    }

    /// Whether it is a package 1, by which a session begins: by its alert, or by DevInfo in a first message, since some clients forget the alert.
    pub(super) fn begins(&self) -> bool {
        let is_first = self.message.header.message == 1;
        self.message.body.iter().any(|element| match element {
            Element::Alert(alert) => matches!(alert.code, alert::SERVER_INITIATED | alert::CLIENT_INITIATED),
            Element::Command(command) if command.verb == Verb::Replace && is_first => command.items.iter().any(is_devinfo),
            _ => false,
        })
    }

    /// The software of the client, where it can be told by how a session begins. One on libdmclient tells DevInfo with the interior nodes, as nobody
    /// else is known to do, and neither a name of its own nor how large an object may be.
    pub(super) fn engine(&self) -> Option<Engine> {
        let header = &self.message.header;
        let is_interior = |item: &Item| {
            let format = item.meta.format.as_deref().unwrap_or_default();
            is_devinfo(item) && format.trim().eq_ignore_ascii_case("node")
        };
        let tells_interior = self.message.body.iter().any(|element| match element {
            Element::Command(command) if command.verb == Verb::Replace => command.items.iter().any(is_interior),
            _ => false,
        });
        let is_bare = header.source.name.is_none() && header.max_object.is_none();
        (is_bare && tells_interior).then_some(Engine::Libdmclient)
    }

    /// Whether the message came to the address that its session gave.
    pub(super) fn is_at_respond_to(&self, session: &Session) -> bool {
        let theirs = session.respond_to().rsplit_once("?s=").map_or("", |(_, pass)| pass);
        self.pass.as_ref().is_some_and(|pass| pass.len() > PASS_BYTES && credentials::same(pass, theirs))
    }

    /// The secret of a session that stands in the query of an address. Windows appends a second query to the address that it was given.
    fn pass_in(query: &str) -> Option<String> {
        let pass = query.split('&').find_map(|pair| pair.strip_prefix(PASS)?.strip_prefix('='))?;
        let end = pass.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')));
        Some(end.and_then(|end| pass.get(..end)).unwrap_or(pass).to_owned())
    }

    /// Whether a repeated message gets the reply once more: whoever proved nothing by it would learn what is not for him.
    pub(super) fn may_hear_again(&self, session: &Session) -> bool {
        let shows_anything = self.message.header.credentials.is_some() || self.mac.is_some() || self.certificate.is_some();
        shows_anything || !session.is_authenticated() || self.is_at_respond_to(session)
    }
}

/// Whether the item tells a part of DevInfo.
fn is_devinfo(item: &Item) -> bool {
    let node = item.source.as_deref().or(item.target.as_deref()).unwrap_or_default().trim();
    node.strip_prefix("./").unwrap_or(node).split('/').next() == Some("DevInfo")
}

#[cfg(test)]
mod tests {
    use dmwsi_protocol::message::{Header, NodeCommand};

    use super::*;

    fn incoming(number: u32, body: Vec<Element>) -> Incoming {
        let header = Header { session: "1".to_owned(), message: number, ..Header::default() };
        let message = Message { header, body, last: true };
        let form = Form::of(b"<SyncML/>", None);
        let (raw, at) = (Bytes::new(), Timestamp::from_micros(0));
        Incoming { message, form, raw, user_agent: None, hash: [0; 32], mac: None, certificate: None, pass: None, at }
    }

    fn command(verb: Verb, node: &str) -> Element {
        let items = vec![Item { source: Some(node.to_owned()), ..Item::default() }];
        Element::Command(NodeCommand { id: "1".to_owned(), verb, correlator: None, meta: Default::default(), items })
    }

    #[test]
    fn a_session_begins_with_devinfo_as_well_where_the_alert_is_missing() {
        assert!(incoming(1, vec![command(Verb::Replace, "./DevInfo/Man")]).begins());
        assert!(incoming(1, vec![command(Verb::Replace, " DevInfo/DevId ")]).begins());
        assert!(!incoming(2, vec![command(Verb::Replace, "./DevInfo/Man")]).begins());
        assert!(!incoming(1, vec![command(Verb::Replace, "./DevInformation")]).begins());
        assert!(!incoming(1, vec![command(Verb::Get, "./DevInfo/Man")]).begins());
    }

    #[test]
    fn a_client_on_libdmclient_is_known_by_the_interior_nodes_of_its_dev_info() {
        let telling = |node: &str, format: &str, name: Option<&str>| {
            let mut replace = command(Verb::Replace, node);
            if let Element::Command(told) = &mut replace {
                told.items[0].meta.format = Some(format.to_owned());
            }
            let mut incoming = incoming(1, vec![replace]);
            incoming.message.header.source.name = name.map(str::to_owned);
            incoming.engine()
        };
        assert_eq!(telling("./DevInfo/Ext", "node", None), Some(Engine::Libdmclient));
        for other in [("./DevInfo/Man", "chr", None), ("./DevInfo/Ext", "node", Some("me")), ("./Other", "node", None)] {
            assert_eq!(telling(other.0, other.1, other.2), None, "{other:?}");
        }
    }

    #[test]
    fn the_secret_of_a_session_ends_where_the_client_goes_on_by_itself() {
        let pass = |query| Incoming::pass_in(query);
        assert_eq!(pass("s=aB3-_x").as_deref(), Some("aB3-_x"));
        assert_eq!(pass("s=aB3-_x?mode=Maintenance&Platform=WoA").as_deref(), Some("aB3-_x"));
        assert_eq!(pass("mode=Machine&s=aB3%20").as_deref(), Some("aB3"));
        assert_eq!(pass("mode=Machine"), None);
    }
}
