//! The answer to a message.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{Command, NodeUri, StatusCode, devinfo};

use super::account::{Account, Limits, Nonces};
use super::batch::{Batch, Fit};
use super::due::Answered;
use super::manners::Manners;
use super::on_wire::{next_id, on_wire};
use super::piece::{piece, value_size};
use super::session::{Session, State};
use crate::encoding::Form;
use crate::mac::Mac;
use crate::message::{Alert, Challenge, Element, Group, Header, Item, Message, Party, Status, alert as code};
use crate::version::Version;

/// The largest message, in bytes, for a device that names none.
const QUIET_MAX_MESSAGE: u32 = 16_000;

/// A message for the device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The message.
    pub message: Message,
    /// The same, as it goes over the wire.
    pub bytes: Vec<u8>,
    /// The MAC that goes out with it, in the header [`crate::mac::HEADER`].
    pub mac: Option<Mac>,
    /// Nothing more is expected from the device in this session.
    pub ended: bool,
}

impl Session {
    /// Answers the message that was received last. `commands` are taken with [`super::Turn::Offer`] and must be none otherwise; they are sent in order, over
    /// as many messages as the device's limits and [`Limits::max_commands`] demand; an Exec, an Atomic and a question to the user each in a message
    /// of its own. The reply has the form of the message.
    #[must_use]
    pub fn reply(
        mut self,
        commands: Vec<Command>,
        account: &Account<'_>,
        nonces: &Nonces<'_>,
        form: impl Into<Form>,
        limits: &Limits,
    ) -> (Self, Reply) {
        let form = form.into();
        debug_assert!(commands.is_empty() || self.state == State::Offering, "commands out of turn");
        if self.state == State::Offering && !commands.is_empty() {
            let spoken = |command| if self.version == Version::V1_1 { without_correlators(command) } else { command };
            self.batch = Some(Batch::new(commands.into_iter().map(spoken).collect()));
            self.state = State::Sending;
        }
        self.sent = self.sent.saturating_add(1);
        let header = self.header(account, nonces, limits);
        let mut message = Message { header, body: vec![self.header_status(account, nonces)], last: self.state != State::Asking };
        let all_said = self.push_statuses(&mut message, form, limits);
        if !all_said && self.state == State::Offering {
            // There is nothing else to say, and these are not yet said.
            self.state = State::Listening;
            message.last = false;
        }
        if let Some(dropped) = self.objects.take_dropped().filter(|_| self.version == Version::V1_2) {
            let about = Item { source: Some(dropped.address), ..Item::default() };
            push_alert(&mut message, code::NO_END_OF_DATA, vec![about]);
        }
        match self.state {
            State::Aborting => push_alert(&mut message, code::ABORT, Vec::new()),
            State::Asking => push_alert(&mut message, code::NEXT_MESSAGE, Vec::new()),
            State::Sending => self.push_commands(&mut message, form, limits),
            State::Closing | State::Ended(_) | State::Listening | State::Offering | State::Refused | State::Refusing => {}
        }
        self.state = match self.state {
            State::Asking | State::Listening | State::Sending => State::Listening,
            State::Refused | State::Refusing => State::Refused,
            State::Aborting | State::Closing | State::Ended(_) | State::Offering => State::Ended(self.last_word()),
        };
        if self.state != State::Listening {
            self.due.commands.clear();
        }
        self.manners = Manners::default();
        let bytes = form.encode(&message);
        let ended = self.is_ended();
        let mac = self.proof.mac(account, nonces, &bytes);
        (self, Reply { message, bytes, mac, ended })
    }

    /// What a message gets that comes after the end.
    fn last_word(&self) -> StatusCode {
        if self.due.header == StatusCode::AUTHENTICATED { StatusCode::OK } else { self.due.header }
    }

    fn header(&self, account: &Account<'_>, nonces: &Nonces<'_>, limits: &Limits) -> Header {
        let name = if account.server_auth.is_some() { account.server_name } else { account.server_id };
        let (protocol, dtd) = match &self.due.version {
            Some((protocol, dtd)) => (protocol.as_str(), dtd.as_str()),
            None => (self.version.protocol(), self.version.dtd()),
        };
        Header {
            dtd: dtd.to_owned(),
            protocol: protocol.to_owned(),
            session: self.id.clone(),
            message: self.sent,
            target: Party { uri: self.device.clone(), name: None },
            source: Party { uri: self.address.clone(), name: Some(name.to_owned()) },
            respond_to: Some(self.respond_to.clone()).filter(|address| !address.is_empty()),
            credentials: self.proof.credentials(account, nonces, self.authentication.accepted),
            max_message: Some(limits.max_message),
            max_object: Some(limits.max_object),
        }
    }

    fn header_status(&self, account: &Account<'_>, nonces: &Nonces<'_>) -> Element {
        // Who lacks the certificate of a device hears nothing of it, but what anybody unknown hears.
        let kind = if account.client_auth == AuthType::Transport { AuthType::Digest } else { account.client_auth };
        let challenge = self.due.challenge.then(|| Challenge {
            kind: kind.syncml().to_owned(),
            next_nonce: (kind != AuthType::Basic).then(|| BASE64_STANDARD.encode(nonces.next)),
        });
        Element::Status(Status {
            id: "1".to_owned(),
            message: self.heard,
            command: "0".to_owned(),
            name: "SyncHdr".to_owned(),
            targets: vec![self.address.clone()],
            sources: vec![self.device.clone()],
            challenge,
            code: self.due.header,
            items: Vec::new(),
        })
    }

    /// Puts the answers to commands into the message, as many as the device takes; where commands are to follow, into half of what is left. What
    /// does not fit goes into the next reply, at least one at a time. Whether all of them are in.
    fn push_statuses(&mut self, message: &mut Message, form: Form, limits: &Limits) -> bool {
        let mut used = form.encode(message).len();
        let left = self.room(limits).saturating_sub(used);
        let room = used.saturating_add(if self.state == State::Sending { left / 2 } else { left });
        let mut said = 0_usize;
        for Answered { message: answers, command, name, code } in &self.due.commands {
            let id = next_id(message).to_string();
            let (command, name) = (command.clone(), name.clone());
            let status = Element::Status(Status { id, message: *answers, command, name, code: *code, ..Status::default() });
            used = used.saturating_add(form.encoding.size_of(&status));
            if used > room && said > 0 {
                break;
            }
            message.body.push(status);
            said = said.saturating_add(1);
        }
        self.due.commands.drain(..said);
        self.due.commands.is_empty()
    }

    /// The largest message for the device, in bytes.
    fn room(&self, limits: &Limits) -> usize {
        let theirs = self.manners.message_limit(self.max_message).unwrap_or(QUIET_MAX_MESSAGE).min(limits.max_message);
        // Clients count differently, so a twentieth stays free.
        usize::try_from(theirs - theirs / 20).unwrap_or(usize::MAX)
    }

    fn push_commands(&mut self, message: &mut Message, form: Form, limits: &Limits) {
        let room = self.room(limits);
        let Some(batch) = &mut self.batch else { return };
        let encoding = form.encoding;
        let manners = self.manners;
        let most_commands = manners.max_commands.unwrap_or(usize::MAX).min(limits.max_commands);
        let is_sequence = manners.sequence && !self.plain && !batch.is_in_pieces();
        if is_sequence {
            let id = next_id(message).to_string();
            message.body.push(Element::Sequence(Group { id, members: Vec::new() }));
        }
        let mut used = form.encode(message).len();
        let mut count = 0_usize;
        let mut full = false;
        let (in_pieces, max_object) = (self.large_objects && !self.whole, self.manners.object_limit(self.max_object));
        let mut unfinished = false;
        batch.send(self.sent, |command, begun| {
            let id = next_id(message);
            let element = on_wire(command, id, &manners);
            if begun > 0 {
                // Nothing may come between two pieces.
                return match piece(command, begun, id, room.saturating_sub(used), encoding) {
                    Some((element, end)) => {
                        count = count.saturating_add(1);
                        full = true;
                        message.body.push(element);
                        unfinished = end.is_some();
                        (end.map_or(Fit::In, Fit::Part), id)
                    }
                    None => (Fit::Never, id),
                };
            }
            let size = used.saturating_add(encoding.size_of(&element));
            let is_alone = matches!(command, Command::Alert(_) | Command::Atomic { .. } | Command::Exec { .. });
            if count > 0 && (full || is_alone || size > room) {
                return (Fit::Later, id);
            }
            if size > room {
                let fits = max_object.is_none_or(|most| value_size(command, encoding) <= u64::from(most));
                let first = if in_pieces && fits { piece(command, 0, id, room.saturating_sub(used), encoding) } else { None };
                let Some((element, Some(end))) = first else { return (Fit::Never, id) };
                count = count.saturating_add(1);
                message.body.push(element);
                unfinished = true;
                return (Fit::Part(end), id);
            }
            used = size;
            count = count.saturating_add(1);
            full = is_alone || count >= most_commands;
            put(message, is_sequence, element);
            (Fit::In, id)
        });
        message.last &= !unfinished;
        if is_sequence {
            unwrap_single(message);
        }
        // A device does not answer a message without commands, and the answers would be lost with the session: ask for what every device has.
        if count == 0
            && let Ok(target) = NodeUri::parse(devinfo::DEV_ID)
        {
            let id = next_id(message);
            message.body.push(on_wire(&Command::Get { target }, id, &manners));
        }
    }
}

/// A command as OMA DM 1.1 knows it.
fn without_correlators(command: Command) -> Command {
    match command {
        Command::Exec { target, value, .. } => Command::Exec { target, correlator: None, value },
        Command::Atomic { members } => Command::Atomic { members: members.into_iter().map(without_correlators).collect() },
        other => other,
    }
}

/// Puts a command into the message, or into the Sequence that stands at its end.
fn put(message: &mut Message, is_sequence: bool, element: Element) {
    match message.body.last_mut() {
        Some(Element::Sequence(group)) if is_sequence => group.members.push(element),
        _ => message.body.push(element),
    }
}

/// A Sequence of one command, or of none, is none.
fn unwrap_single(message: &mut Message) {
    if let Some(at) = message.body.iter().position(|one| matches!(one, Element::Sequence(group) if group.members.len() < 2))
        && let Element::Sequence(group) = message.body.remove(at)
    {
        let rest = message.body.split_off(at);
        message.body.extend(group.members);
        message.body.extend(rest);
    }
}

fn push_alert(message: &mut Message, code: u16, items: Vec<Item>) {
    let id = next_id(message).to_string();
    message.body.push(Element::Alert(Alert { id, code, correlator: None, items }));
}
