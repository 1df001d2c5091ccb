//! A scripted device talks to a session, which is stored and read back between every two steps.
mod alerts;
mod any_order;
mod authentication;
mod batches;
mod bodies;
mod groups;
mod limits;
mod manners;
mod objects;
mod packages;
mod proof;

use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{Command, NodeUri, StatusCode, Value};

use super::{Account, Arrival, Fault, Limits, Manners, Nonces, Received, Reply, Session};
use crate::credentials;
use crate::encoding::Encoding;
use crate::mac::Mac;
use crate::message::{
    Alert, Challenge, Credentials, Data, Element, Header, Item, Message, Meta, NodeCommand, Party, Results, Status, Verb,
    alert as code,
};

const SERVER: &str = "https://dm.example/dm?mode=Maintenance";
const DEVICE: &str = "IMEI:490154203237518";
const NONCE: &[u8] = b"abcdefghijklmnopqrstuvwx";
const NEXT: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWX";
const SERVER_NONCE: &[u8] = b"before";

/// A session and the device at its other end.
struct Scene {
    session: Option<Session>,
    encoding: Encoding,
    client_auth: AuthType,
    every_message: bool,
    /// The secret and the nonce of the device's MAC over what it says next.
    signs: Option<(&'static str, &'static [u8])>,
    is_certified: bool,
    /// `VerProto` and `VerDTD` of the device.
    version: (&'static str, &'static str),
    server_auth: Option<AuthType>,
    expected: Option<&'static [u8]>,
    limits: Limits,
    /// `MsgID` of the device's last message.
    number: u32,
    /// The largest message that the device takes.
    takes: Option<u32>,
    /// How it is spoken to.
    manners: Manners,
}

/// One scene for each encoding.
fn scenes() -> [Scene; 2] {
    [Encoding::Xml, Encoding::Wbxml].map(|encoding| Scene {
        session: None,
        encoding,
        client_auth: AuthType::Digest,
        every_message: false,
        signs: None,
        is_certified: false,
        version: ("DM/1.2", "1.2"),
        server_auth: Some(AuthType::Digest),
        expected: Some(NONCE),
        limits: Limits { max_message: 65_536, max_object: 1000, max_commands: 20, max_tries: 3, max_next_messages: 4 },
        number: 0,
        takes: Some(16_384),
        manners: Manners::default(),
    })
}

impl Scene {
    fn with<T>(&self, run: impl FnOnce(&Account<'_>, &Nonces<'_>) -> T) -> T {
        let account = Account {
            server_id: "dm.example",
            client_auth: self.client_auth,
            every_message: self.every_message,
            client_name: "device",
            client_secret: "secret",
            server_auth: self.server_auth,
            server_name: "server",
            server_secret: "hidden",
        };
        let expected: Vec<_> = self.expected.into_iter().map(<[u8]>::to_vec).collect();
        run(&account, &Nonces { expected: &expected, next: NEXT, server: SERVER_NONCE })
    }

    /// A message of the device; its elements are numbered.
    fn message(&mut self, mut body: Vec<Element>) -> Message {
        self.number += 1;
        for (element, id) in body.iter_mut().zip(1..) {
            match element {
                Element::Alert(Alert { id: own, .. })
                | Element::Command(NodeCommand { id: own, .. })
                | Element::Results(Results { id: own, .. })
                | Element::Status(Status { id: own, .. })
                | Element::Unknown { id: own, .. } => *own = id.to_string(),
                Element::Atomic(group) | Element::Sequence(group) => group.id = id.to_string(),
            }
        }
        Message {
            header: Header {
                dtd: self.version.1.to_owned(),
                protocol: self.version.0.to_owned(),
                session: "1A".to_owned(),
                message: self.number,
                target: Party { uri: SERVER.to_owned(), name: None },
                source: Party { uri: DEVICE.to_owned(), name: None },
                max_message: self.takes,
                ..Header::default()
            },
            body,
            last: true,
        }
    }

    /// Package 1 with these credentials.
    fn first(&mut self, credentials: Option<Credentials>) -> Message {
        let mut message = self.message(vec![said(code::CLIENT_INITIATED), device()]);
        message.header.credentials = credentials;
        message
    }

    /// Package 1 of a device that knows what it must.
    fn begin(&mut self) -> Received {
        let message = self.first(Some(right(self.client_auth)));
        self.hear(message)
    }

    fn try_hear(&mut self, message: &Message) -> Result<Received, Fault> {
        let body = self.encoding.encode(message);
        let message = self.encoding.decode(&body).unwrap();
        let mac = self.signs.map(|(secret, nonce)| Mac::of("device", &credentials::account_hash("device", secret), nonce, &body));
        let arrival = Arrival { mac: mac.as_ref(), body: &body, is_certified: self.is_certified, ..Arrival::bare(true) };
        let session = self.session.take().unwrap_or_else(|| Session::open(&message, "https://dm.example/dm?s=1"));
        let heard = self.with(|account, nonces| session.clone().receive(&message, &arrival, account, nonces, &self.limits));
        heard
            .map(|(session, received)| {
                self.session = Some(stored(&session));
                received
            })
            .inspect_err(|_fault| self.session = Some(session))
    }

    fn hear(&mut self, message: Message) -> Received {
        self.try_hear(&message).unwrap()
    }

    fn say(&mut self, commands: Vec<Command>) -> Reply {
        let mut session = self.session.take().unwrap();
        session.set_manners(self.manners);
        let (session, reply) = self.with(|account, nonces| session.reply(commands, account, nonces, self.encoding, &self.limits));
        self.session = Some(stored(&session));
        let read = self.encoding.decode(&reply.bytes).unwrap();
        assert_eq!(self.encoding.encode(&read), reply.bytes, "what is on the wire is what was meant");
        for (element, id) in reply.message.body.iter().zip(1..) {
            let own = match element {
                Element::Alert(alert) => &alert.id,
                Element::Command(command) => &command.id,
                Element::Status(status) => &status.id,
                // Nothing stands after it.
                Element::Atomic(group) | Element::Sequence(group) => &group.id,
                other => panic!("a server does not send {other:?}"),
            };
            // A Sequence of one command is none, and its number is free.
            assert!(*own == id.to_string() || self.manners.sequence && *own == (id + 1).to_string());
        }
        reply
    }
}

fn stored(session: &Session) -> Session {
    let read = serde_json::from_str(&serde_json::to_string(session).unwrap()).unwrap();
    assert_eq!(&read, session);
    read
}

/// The credentials that the server wants.
fn right(kind: AuthType) -> Credentials {
    shown(kind, "secret", NONCE)
}

fn shown(kind: AuthType, secret: &str, nonce: &[u8]) -> Credentials {
    let data = match kind {
        AuthType::Basic => credentials::basic("device", secret),
        _ => credentials::digest(&credentials::account_hash("device", secret), nonce),
    };
    Credentials { kind: kind.syncml().to_owned(), format: Some("b64".to_owned()), data }
}

/// The server's digest over a nonce.
fn server_digest(nonce: &[u8]) -> String {
    credentials::digest(&credentials::account_hash("server", "hidden"), nonce)
}

fn said(code: u16) -> Element {
    Element::Alert(Alert { code, ..Alert::default() })
}

fn leaf(node: &str, data: &str) -> Item {
    Item { source: Some(node.to_owned()), data: Some(text(data)), ..Item::default() }
}

fn text(data: &str) -> Data {
    Data::Text(data.to_owned())
}

/// The Replace of DevInfo.
fn device() -> Element {
    replace(vec![leaf("./DevInfo/DevId", DEVICE), leaf("./DevInfo/Man", "Acme"), leaf("./DevInfo/Mod", "X1")])
}

fn replace(items: Vec<Item>) -> Element {
    Element::Command(NodeCommand { id: String::new(), verb: Verb::Replace, correlator: None, meta: Meta::default(), items })
}

fn get(node: &str) -> Command {
    Command::Get { target: uri(node) }
}

fn set(node: &str, data: &str) -> Command {
    Command::Replace { target: uri(node), value: Value::text(data) }
}

fn exec(node: &str) -> Command {
    Command::Exec { target: uri(node), correlator: Some("c1".to_owned()), value: None }
}

fn uri(node: &str) -> NodeUri {
    NodeUri::parse(node).unwrap()
}

/// A Status for the header of a message.
fn header_status(message: u32, code: u16) -> Element {
    status(message, 0, code)
}

fn status(message: u32, command: u32, code: u16) -> Element {
    Element::Status(Status {
        message,
        command: command.to_string(),
        name: if command == 0 { "SyncHdr" } else { "Get" }.to_owned(),
        code: StatusCode(code),
        ..Status::default()
    })
}

/// A Status for the header with a challenge for the server.
fn challenging(message: u32, code: u16, kind: &str, nonce: &str) -> Element {
    Element::Status(Status {
        message,
        command: "0".to_owned(),
        name: "SyncHdr".to_owned(),
        challenge: Some(Challenge { kind: kind.to_owned(), next_nonce: Some(nonce.to_owned()) }),
        code: StatusCode(code),
        ..Status::default()
    })
}

fn results(message: u32, command: u32, items: Vec<Item>) -> Element {
    Element::Results(Results { message, command: command.to_string(), items, ..Results::default() })
}

/// The Statuses of a reply: what is answered, and how.
fn statuses(reply: &Reply) -> Vec<(String, String, u16)> {
    let status = |element: &Element| match element {
        Element::Status(status) => Some((status.command.clone(), status.name.clone(), status.code.0)),
        _ => None,
    };
    reply.message.body.iter().filter_map(status).collect()
}

/// The codes of a reply's Statuses.
fn codes(reply: &Reply) -> Vec<u16> {
    statuses(reply).into_iter().map(|(_, _, code)| code).collect()
}

fn header_challenge(reply: &Reply) -> Option<Challenge> {
    match &reply.message.body[0] {
        Element::Status(status) => status.challenge.clone(),
        other => panic!("the first element is {other:?}"),
    }
}

/// The commands of a reply: `CmdID`, name and address.
fn sent(reply: &Reply) -> Vec<(u32, &'static str, String)> {
    let command = |element: &Element| match element {
        Element::Command(command) => {
            Some((command.id.parse().unwrap(), command.verb.name(), command.items[0].target.clone().unwrap_or_default()))
        }
        _ => None,
    };
    reply.message.body.iter().filter_map(command).collect()
}

/// The codes of a reply's alerts.
fn alerts(reply: &Reply) -> Vec<u16> {
    let alert = |element: &Element| match element {
        Element::Alert(alert) => Some(alert.code),
        _ => None,
    };
    reply.message.body.iter().filter_map(alert).collect()
}
