//! A session of OMA DM 1.2 as the device holds it (OMA DM Protocol 1.2, chapters 8 and 9; OMA DM Security 1.2, 5.3).
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{GenericAlert, StatusCode};

use super::alert::{generic_alert, has_alert, plain_alert};
use super::dress::windows_events;
use super::execution::{Execution, Object, shown};
use super::outbox::{Outbox, item_count};
use super::{Account, Nodes, Quirks};
use crate::encoding::Encoding;
use crate::message::{Element, Header, Message, Meta, NodeCommand, Party, Status, Verb, alert};
use crate::version::Version;

/// How often package 1 is repeated because the server did not accept the device's credentials.
const MAX_REPEATS: u32 = 2;
/// How many messages of a server may come without credentials that are accepted.
const MAX_STRANGE: u32 = 3;
/// The longest session, in messages of the device.
const MAX_MESSAGES: u32 = 250;
/// The largest value that is put together from pieces by a device that tells no other, in bytes.
const MAX_OBJECT: u64 = 2 * 1024 * 1024;
/// What a server takes that does not say how much, in bytes.
const USUAL_ROOM: u32 = 16_000;

/// Who wanted the session.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Initiator {
    /// The device itself (1201).
    Client,
    /// The server, by a notification (1200).
    Server,
}

/// What a session begins with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The SessionID; at most four characters are usual.
    pub session: String,
    /// Who wanted it.
    pub initiator: Initiator,
    /// The Generic Alerts to tell.
    pub alerts: Vec<GenericAlert>,
    /// The version that is spoken.
    pub version: Version,
    /// How messages are encoded, by which sizes are counted.
    pub encoding: Encoding,
    /// The largest message the device takes, in bytes.
    pub max_message: u32,
    /// The largest value it takes in pieces, in bytes as sent, where it says so (`MaxObjSize`).
    pub max_object: Option<u32>,
    /// What it does otherwise than the standard says.
    pub quirks: Quirks,
}

/// A session, stepped by [`Session::receive`].
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) opening: Opening,
    heard: Vec<bool>,
    sent: u32,
    told: Vec<(u32, String, usize)>,
    outbox: Outbox,
    object: Option<Object>,
    respond_to: Option<String>,
    room: u32,
    pub(super) nonce: Vec<u8>,
    pub(super) proof: Option<AuthType>,
    pub(super) authenticated: bool,
    pub(super) server_authenticated: bool,
    repeats: u32,
    strange: u32,
    aborting: bool,
    wants_proof: bool,
    /// Whether the message that is to be received has a MAC, and the right one.
    pub(super) signed: Option<bool>,
}

/// What to do after a message of the server.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Nothing more is to be sent.
    Over(Ending),
    /// Send this message and give the answer to [`Session::receive`].
    Send(Box<Message>),
}

/// How a session ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ending {
    /// In what way.
    pub end: End,
    /// Whether the server accepted the device.
    pub authenticated: bool,
    /// Whether the server proved who it is.
    pub server_authenticated: bool,
    /// For each alert of the opening, whether a server that is trusted took note of it.
    pub heard: Vec<bool>,
}

/// In what way a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The server aborted it (1223).
    Aborted,
    /// The server had nothing more to ask.
    Complete,
    /// The server did not accept the device's credentials, or answered the header with this other code.
    Refused(StatusCode),
    /// The server did not prove who it is, and was told so.
    ServerRefused,
}

/// A message of the server that a session cannot go on with.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Such a device does not survive what the message has.
    #[error("the device crashed on {0}")]
    Deadly(&'static str),
    /// The session takes no end.
    #[error("the session has more than {MAX_MESSAGES} messages")]
    Endless,
    /// It has no Status for the header of the last message.
    #[error("no Status answers the header of message {0}")]
    NoHeaderStatus(u32),
    /// It belongs to another session.
    #[error("the message belongs to session {0:?}")]
    Session(String),
    /// It asks for credentials of a kind that this side does not speak.
    #[error("the server wants credentials of the kind {0:?}")]
    UnknownChallenge(String),
    /// It is in another version than the session.
    #[error("the message is {protocol:?} with DTD {dtd:?}")]
    Version {
        /// `VerProto`.
        protocol: String,
        /// `VerDTD`.
        dtd: String,
    },
}

impl Session {
    /// Begins a session: gives it and its first message, package 1.
    pub fn begin<N: Nodes>(opening: Opening, account: &Account, nodes: &N) -> (Self, Message) {
        let mut session = Self {
            heard: vec![false; opening.alerts.len()],
            opening,
            sent: 0,
            told: Vec::new(),
            outbox: Outbox::default(),
            object: None,
            respond_to: None,
            room: USUAL_ROOM,
            nonce: account.client_nonce.clone(),
            proof: Some(account.client_auth),
            authenticated: false,
            server_authenticated: false,
            repeats: 0,
            strange: 0,
            aborting: false,
            wants_proof: account.server_auth.is_some(),
            signed: None,
        };
        session.first_package(nodes);
        let message = session.message(None, true, account);
        (session, message)
    }

    /// Where the next message goes, if the server named another address than that of the account (`RespURI`).
    #[must_use]
    pub fn respond_to(&self) -> Option<&str> {
        self.respond_to.as_deref()
    }

    /// Takes a message of the server. `fresh_nonce` goes to the server for its next digest where one is due; nonces of the account change.
    /// A fault leaves account and nodes as they were.
    pub fn receive<N: Nodes>(
        mut self,
        message: &Message,
        account: &mut Account,
        nodes: &mut N,
        fresh_nonce: &[u8],
    ) -> Result<(Self, Turn), Fault> {
        if let Some(what) = self.opening.quirks.dies_of(message) {
            return Err(Fault::Deadly(what));
        }
        let verdict = self.check(message)?;
        if let Some(uri) = &message.header.respond_to {
            self.respond_to = Some(uri.clone());
        }
        self.room = message.header.max_message.unwrap_or(self.room);
        if self.aborting {
            return Ok(self.over(End::ServerRefused));
        }
        if has_alert(message, alert::ABORT) && !self.opening.quirks.no_protocol_alerts {
            return Ok(self.over(End::Aborted));
        }
        let known = self.server_authenticated;
        let own = self.judge(message, account);
        let trusted = !own.is_challenge();
        let repeat = verdict.code.is_challenge();
        if repeat {
            self.authenticated = false;
            if self.repeats >= MAX_REPEATS || verdict.challenge.is_none() {
                return Ok(self.over(End::Refused(verdict.code)));
            }
            self.repeats = self.repeats.saturating_add(1);
        } else if !verdict.code.is_success() {
            return Ok(self.over(End::Refused(verdict.code)));
        }
        self.follow(verdict);
        if trusted {
            account.client_nonce.clone_from(&self.nonce);
        }
        if repeat {
            self.first_package(nodes);
        } else {
            self.note_alerts(message);
            self.execute(message, account, nodes, (!trusted).then_some(own));
        }
        let asked = message.body.iter().any(|element| !matches!(element, Element::Status(_) | Element::Results(_)));
        // What a stranger says of alerts does not count, so it is asked once for better credentials, although it has nothing to ask itself.
        let at_stake = !trusted && self.strange == 0 && !self.heard.is_empty();
        if !asked && message.last && self.outbox.is_empty() && !at_stake {
            return Ok(self.over(End::Complete));
        }
        // A server that asks for the rest of the device's package ends none of its own by that.
        let complete = message.last || has_alert(message, alert::NEXT_MESSAGE);
        if !trusted {
            self.strange = self.strange.saturating_add(1);
        }
        if self.strange > MAX_STRANGE {
            self.aborting = true;
            self.outbox = Outbox::default();
            self.outbox.push(plain_alert(alert::ABORT));
        } else if !complete {
            self.outbox.push(plain_alert(alert::NEXT_MESSAGE));
        }
        // A server that has proved itself keeps the nonce it was given for the next session; one that has not gets another to try with.
        let each = account.server_each || account.server_auth == Some(AuthType::Hmac);
        let has_nonce = matches!(account.server_auth, Some(AuthType::Digest | AuthType::Hmac));
        let proved = has_nonce && self.server_authenticated && (each || !known);
        let is_mute = own == StatusCode::default();
        let challenge = if (proved || !trusted) && !self.aborting && !is_mute { account.challenge(fresh_nonce) } else { None };
        let status = Status {
            message: message.header.message,
            command: "0".to_owned(),
            name: "SyncHdr".to_owned(),
            targets: vec![message.header.target.uri.clone()],
            sources: vec![message.header.source.uri.clone()],
            challenge,
            code: own,
            ..Status::default()
        };
        let reply = self.message(Some(Element::Status(status)), complete || self.aborting, account);
        Ok((self, Turn::Send(Box::new(reply))))
    }

    /// Whether the message belongs here, and the Status it has for the header of the last message sent.
    fn check<'m>(&self, message: &'m Message) -> Result<&'m Status, Fault> {
        let Header { dtd, protocol, session, .. } = &message.header;
        let version = self.opening.version;
        if dtd != version.dtd() || protocol != version.protocol() {
            return Err(Fault::Version { protocol: protocol.clone(), dtd: dtd.clone() });
        }
        if *session != self.opening.session {
            return Err(Fault::Session(session.clone()));
        }
        if self.sent >= MAX_MESSAGES {
            return Err(Fault::Endless);
        }
        let header = statuses(message).find(|status| status.command == "0" && status.message == self.sent);
        let status = header.ok_or(Fault::NoHeaderStatus(self.sent))?;
        match &status.challenge {
            Some(challenge) if AuthType::from_syncml(&challenge.kind).is_none() => {
                Err(Fault::UnknownChallenge(challenge.kind.clone()))
            }
            _ => Ok(status),
        }
    }

    /// Notes which Generic Alerts the server has answered; one refused for lack of credentials is told again.
    fn note_alerts(&mut self, message: &Message) {
        for status in statuses(message).filter(|status| !status.code.is_challenge() && status.code.0 < 500) {
            let place = self.told.iter().find(|(sent, id, _place)| *sent == status.message && *id == status.command);
            if let Some(heard) = place.and_then(|(_sent, _id, place)| self.heard.get_mut(*place)) {
                *heard = true;
            }
        }
    }

    fn execute<N: Nodes>(&mut self, message: &Message, account: &Account, nodes: &mut N, refusal: Option<StatusCode>) {
        let encoding = self.opening.encoding;
        let is_refused = |status: &Status| status.name == "Results" && status.code != StatusCode::CHUNK_ACCEPTED;
        if statuses(message).any(is_refused) {
            self.outbox.drop_pieces();
        }
        // A Results shares its message with the header, the Status for it and its own Status.
        let room = self.bytes().saturating_sub(1_500);
        let quirks = self.opening.quirks;
        let mut execution = Execution {
            nodes,
            server: &account.server_id,
            object: &mut self.object,
            max_object: self.opening.max_object.map_or(MAX_OBJECT, u64::from),
            message: message.header.message,
            refusal,
            quirks,
            fits: &|results| !quirks.no_pieces && item_count(results) == 1 || encoding.size_of(results) <= room,
        };
        let answers: Vec<_> = message.body.iter().flat_map(|element| execution.run(element)).collect();
        for answer in quirks.told(answers, message.header.message) {
            match answer {
                Element::Results(results) => self.outbox.push_results(results, room, encoding),
                answer => self.outbox.push(answer),
            }
        }
    }

    /// Puts package 1 in the place of whatever was still to be said.
    fn first_package<N: Nodes>(&mut self, nodes: &N) {
        self.outbox = Outbox::default();
        self.outbox.push(plain_alert(match self.opening.initiator {
            Initiator::Client => alert::CLIENT_INITIATED,
            Initiator::Server => alert::SERVER_INITIATED,
        }));
        let items = self.opening.quirks.dev_info(nodes.device()).into_iter().map(shown).collect();
        let (id, meta) = (String::new(), Meta::default());
        self.outbox.push(Element::Command(NodeCommand { id, verb: Verb::Replace, correlator: None, meta, items }));
        if self.opening.quirks.windows_elements {
            windows_events().for_each(|event| self.outbox.push(event));
        }
        for (place, alert) in self.opening.alerts.iter().enumerate() {
            self.outbox.push_alert(generic_alert(alert), place);
        }
    }

    /// The next message of the device; `complete` says whether it may end the package.
    fn message(&mut self, status: Option<Element>, complete: bool, account: &Account) -> Message {
        let name = (!self.opening.quirks.no_local_name).then(|| account.client_name.clone());
        self.sent = self.sent.saturating_add(1);
        let header = Header {
            dtd: self.opening.version.dtd().to_owned(),
            protocol: self.opening.version.protocol().to_owned(),
            session: self.opening.session.clone(),
            message: self.sent,
            target: Party { uri: account.server_url.clone(), name: None },
            source: Party { uri: account.device.clone(), name },
            respond_to: None,
            credentials: self.proof.and_then(|kind| account.credentials(kind, &self.nonce)),
            max_message: Some(self.opening.max_message),
            max_object: self.opening.max_object,
        };
        let mut message = Message { header, body: Vec::new(), last: true };
        let room = self.bytes().saturating_sub(self.opening.encoding.encode(&message).len());
        let Opening { encoding, quirks, .. } = self.opening;
        let most = match (quirks.splits_packages, self.sent) {
            (false, _) => usize::MAX,
            (true, 1) => 1,
            (true, _) => 8,
        };
        let load = self.outbox.take(status, (room, most), encoding);
        self.told.extend(load.alerts.into_iter().map(|(id, place)| (self.sent, id, place)));
        message.body = load.elements.into_iter().map(|element| quirks.dressed(element, encoding)).collect();
        message.last = complete && self.outbox.is_empty();
        message
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.room).unwrap_or(usize::MAX)
    }

    fn over(self, end: End) -> (Self, Turn) {
        let trusted = self.server_authenticated || !self.wants_proof;
        let ending = Ending {
            end,
            authenticated: self.authenticated,
            server_authenticated: self.server_authenticated,
            heard: self.heard.iter().map(|heard| *heard && trusted).collect(),
        };
        (self, Turn::Over(ending))
    }
}

fn statuses(message: &Message) -> impl Iterator<Item = &Status> {
    message.body.iter().filter_map(|element| match element {
        Element::Status(status) => Some(status),
        _ => None,
    })
}
