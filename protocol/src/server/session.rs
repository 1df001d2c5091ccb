//! A session, and what a message does to it.
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{Answer, StatusCode};
use serde::{Deserialize, Serialize};

use super::account::{Account, Limits, Nonces};
use super::arrival::Arrival;
use super::authentication::{Authentication, Verdict};
use super::batch::Batch;
use super::due::Due;
use super::element::Heard;
use super::fault::Fault;
use super::manners::Manners;
use super::object::Objects;
use super::proof::Proof;
use super::received::{Received, Turn};
use crate::message::{Header, Message};
use crate::version::Version;

/// The longest text of a version that is told back to who speaks none that is known.
const MAX_VERSION: usize = 16;

/// A session of the server with one device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Session {
    /// `SessionID`, echoed as it came.
    pub(super) id: String,
    /// `Source/LocURI` of the device.
    pub(super) device: String,
    /// The version that is spoken.
    #[serde(default)]
    pub(super) version: Version,
    /// `Target/LocURI` of the device's last message: where it believes the server to be.
    pub(super) address: String,
    /// `RespURI`.
    pub(super) respond_to: String,
    /// The device sends its messages elsewhere, so each needs credentials.
    #[serde(default)]
    pub(super) elsewhere: bool,
    /// `MsgID` of our last message.
    pub(super) sent: u32,
    /// `MsgID` of the device's last message.
    pub(super) heard: u32,
    /// The largest message that the device takes, in bytes, by its latest word.
    pub(super) max_message: Option<u32>,
    /// The largest value that the device takes in pieces, in bytes, by its latest word.
    #[serde(default)]
    pub(super) max_object: Option<u32>,
    /// How the device proves who it is.
    pub(super) authentication: Authentication,
    /// How the server proves who it is.
    pub(super) proof: Proof,
    /// What is outstanding.
    pub(super) batch: Option<Batch>,
    /// What the device sends in pieces.
    pub(super) objects: Objects,
    /// Whether the device takes values in pieces.
    #[serde(default)]
    pub(super) large_objects: bool,
    /// How it is spoken to.
    #[serde(skip)]
    pub(super) manners: Manners,
    /// It did not take a Sequence.
    #[serde(default)]
    pub(super) plain: bool,
    /// It took a piece of a value for the whole.
    #[serde(default)]
    pub(super) whole: bool,
    /// How many times in a row the package went on.
    pub(super) asked: u32,
    /// What the next reply must say.
    pub(super) due: Due,
    /// Whose turn it is.
    pub(super) state: State,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum State {
    /// Ours: to break off by alert 1223.
    Aborting,
    /// Ours: to ask for the next message.
    Asking,
    /// Ours: Statuses only, for the last time.
    Closing,
    /// Over; a further message gets this code.
    Ended(StatusCode),
    /// The device's.
    Listening,
    /// Ours: commands, if there are any.
    Offering,
    /// Ours: Statuses only, and it may try again.
    Refusing,
    /// The device's, after it was refused.
    Refused,
    /// Ours: the rest of the batch.
    Sending,
}

impl Session {
    /// Begins a session by the first message of a device, which is then to be received. The device will send its later messages to
    /// `respond_to` (`RespURI`, OMA SyncML RepPro 1.2, 5.1.15), until [`Session::respond_at`] names another address.
    #[must_use]
    pub fn open(first: &Message, respond_to: &str) -> Self {
        Self {
            id: first.header.session.clone(),
            device: first.header.source.uri.clone(),
            version: Version::of(&first.header).unwrap_or_default(),
            address: first.header.target.uri.clone(),
            respond_to: respond_to.to_owned(),
            elsewhere: false,
            sent: 0,
            heard: 0,
            max_message: None,
            max_object: None,
            authentication: Authentication::default(),
            proof: Proof::default(),
            batch: None,
            objects: Objects::default(),
            large_objects: false,
            manners: Manners::default(),
            plain: false,
            whole: false,
            asked: 0,
            due: Due::default(),
            state: State::Listening,
        }
    }

    /// The largest value that the device takes in pieces, in bytes as sent, where it has said so (`MaxObjSize`), or that is known.
    #[must_use]
    pub fn max_object(&self) -> Option<u32> {
        self.manners.object_limit(self.max_object)
    }

    /// `SessionID` as the device spells it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The device's `Source/LocURI`.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Where the device was told to send its later messages.
    #[must_use]
    pub fn respond_to(&self) -> &str {
        &self.respond_to
    }

    /// A session of a device that is known to send its later messages elsewhere than to the session's own address: it is told from the first
    /// to show credentials in each (status 200 in the place of 212, OMA DM Security 1.2, 5.3).
    #[must_use]
    pub fn elsewhere(self) -> Self {
        Self { elsewhere: true, ..self }
    }

    /// Whether the device is taken for one that sends its later messages elsewhere.
    #[must_use]
    pub const fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Whether the device takes values in pieces (DevDetail/LrgObj); unless it does, what is too large for one message is not sent.
    pub const fn set_large_objects(&mut self, large_objects: bool) {
        self.large_objects = large_objects;
    }

    /// How the device is spoken to in the next [`Session::reply`], and in that alone.
    pub const fn set_manners(&mut self, manners: Manners) {
        self.manners = manners;
    }

    /// From now on the device sends its messages there. For the moment at which it has proven who it is: an address that strangers were told
    /// before is no secret.
    pub fn respond_at(&mut self, address: String) {
        self.respond_to = address;
    }

    /// Whether the device has proven who it is.
    #[must_use]
    pub const fn is_authenticated(&self) -> bool {
        self.authentication.accepted
    }

    /// Whether nothing more is expected from the device.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Whether a message can be the next one of this session: if not, [`Session::receive`] would fail. A device that was refused may come again
    /// under the same number.
    #[must_use]
    pub fn continues(&self, message: &Message) -> bool {
        self.check(&message.header).is_ok()
    }

    /// Whether it ended because it began in a version that nobody speaks here: the device may begin anew in another one, under the same SessionID.
    #[must_use]
    pub const fn is_in_no_version(&self) -> bool {
        matches!(self.state, State::Ended(StatusCode::DTD_VERSION | StatusCode::PROTOCOL_VERSION))
    }

    /// Gives the session up without a word, because the device is gone or has begun another one: the answers as far as they are known, as in
    /// [`Received::answers`].
    #[must_use]
    pub fn abandon(mut self) -> Vec<Answer> {
        self.take_answers()
    }

    /// Takes a message of the device. Gateways answer an exact repetition of the last message from their memory; it is not for the session.
    ///
    /// A device that has proven who it is need not do so again in what it sends to the session's own address, unless its account says otherwise. Elsewhere
    /// anybody could go on with the session who guesses its numbers, so there each message needs credentials, and is told so by status 200. When one does
    /// not prove itself to a session that was authenticated, send the reply and keep the session as it was before: it may not have been the device that spoke.
    pub fn receive(
        mut self,
        message: &Message,
        arrival: &Arrival<'_>,
        account: &Account<'_>,
        nonces: &Nonces<'_>,
        limits: &Limits,
    ) -> Result<(Self, Received), Fault> {
        let header = &message.header;
        self.check(header)?;
        // Who speaks elsewhere is a stranger until proven to be the device: told neither the session's address nor the server's secret, and
        // not listened to.
        let was_accepted = self.authentication.accepted;
        let at_respond_to = arrival.at_respond_to && !account.is_by_message();
        let is_elsewhere = was_accepted && !at_respond_to;
        let address = if is_elsewhere { std::mem::take(&mut self.respond_to) } else { String::new() };
        self.authentication.accepted &= at_respond_to;
        self.heard = header.message;
        header.target.uri.clone_into(&mut self.address);
        self.max_message = header.max_message.or(self.max_message);
        self.max_object = header.max_object.or(self.max_object);
        let late = std::mem::take(&mut self.due).commands;
        if let Some(code) = self.shut(header) {
            self.answer_all(&message.body, code);
            self.state = State::Closing;
            return Ok((self, Received::new(Turn::Closed)));
        }
        let verdict = self.authentication.judge(header.credentials.as_ref(), arrival, account, nonces);
        let mut received = Received::new(Turn::Closed);
        if was_accepted && !matches!(verdict, Verdict::Refused { .. }) {
            self.elsewhere = !arrival.at_respond_to;
        }
        match verdict {
            Verdict::Accepted(kind, spent) => {
                received.accepted_with = Some(kind);
                received.spent = spent;
                self.due.challenge = matches!(kind, AuthType::Digest | AuthType::Hmac);
            }
            Verdict::Kept => {}
            Verdict::Refused { missing, stale } => {
                received.stale = stale;
                let is_told = missing && account.client_auth != AuthType::Hmac;
                let code = if is_told { StatusCode::MISSING_CREDENTIALS } else { StatusCode::INVALID_CREDENTIALS };
                let tries = self.refuse(message, code, is_elsewhere, limits);
                received.turn = Turn::Refused { missing, tries };
                return Ok((self, received));
            }
        }
        if is_elsewhere {
            self.respond_to = address;
        }
        self.due.commands = late;
        let once_only = self.elsewhere || account.every_message || account.client_auth == AuthType::Hmac;
        self.due.header = if self.is_ended() || once_only { StatusCode::OK } else { StatusCode::AUTHENTICATED };
        let heard = self.absorb(&message.body, limits, &mut received);
        received.server_nonce = self.proof.news();
        self.pass_turn(heard, message.last, account, limits, &mut received);
        Ok((self, received))
    }

    fn check(&self, header: &Header) -> Result<(), Fault> {
        if header.session.is_empty() {
            return Err(Fault::NoSession);
        }
        if header.source.uri.is_empty() {
            return Err(Fault::NoSource);
        }
        if header.target.uri.is_empty() {
            return Err(Fault::NoTarget);
        }
        if header.session != self.id {
            return Err(Fault::OtherSession);
        }
        if header.source.uri != self.device {
            return Err(Fault::OtherSource);
        }
        let again = self.state == State::Refused && header.message == self.heard;
        match header.message {
            0 => Err(Fault::NoMessageNumber),
            got if got > self.heard || again => Ok(()),
            got => Err(Fault::Stale { last: self.heard, got }),
        }
    }

    /// The code for all of a message that is not looked at: in another version, or in a session that ended badly.
    fn shut(&mut self, header: &Header) -> Option<StatusCode> {
        let spoken = Version::of(header);
        self.answer_in(header, spoken);
        if let State::Ended(code) = self.state
            && code != StatusCode::OK
        {
            return Some(code);
        }
        match spoken {
            Ok(version) => (version != self.version).then_some(StatusCode::PROTOCOL_VERSION),
            Err(code) => Some(code),
        }
    }

    /// Answers in the version of the message, even if this server speaks no other word of it: clients drop unread what is in another version than theirs.
    fn answer_in(&mut self, header: &Header, spoken: Result<Version, StatusCode>) {
        if spoken == Ok(self.version) {
            return;
        }
        let told = [&header.protocol, &header.dtd].map(|text| text.trim().to_owned());
        let is_text = |text: &String| (1..=MAX_VERSION).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        if told.iter().all(is_text) {
            let [protocol, dtd] = told;
            self.due.version = Some((protocol, dtd));
        }
    }

    /// Answers a message whose sender is not known with one code throughout: clients try again only when every command got it.
    fn refuse(&mut self, message: &Message, code: StatusCode, is_elsewhere: bool, limits: &Limits) -> u32 {
        // The server's own proof may need the nonce that comes along.
        for element in message.body.iter().filter(|_| !is_elsewhere) {
            self.hear_header(element);
        }
        self.proof.forget_package();
        let tries = self.authentication.tries;
        self.answer_all(&message.body, code);
        self.due.challenge = tries < limits.max_tries;
        self.state = if self.due.challenge { State::Refusing } else { State::Closing };
        tries
    }

    /// Decides what comes next, after all of a message was heard.
    fn pass_turn(&mut self, heard: Heard, last: bool, account: &Account<'_>, limits: &Limits, received: &mut Received) {
        let awaits = self.batch.as_ref().is_some_and(Batch::awaits);
        // An object may have many pieces; their number is limited by itself. Some devices ask for the next one by 213 alone.
        let sends_pieces = !awaits && self.batch.as_ref().is_some_and(Batch::is_in_pieces);
        // Who asks for the next message may have more to say first: values that are still to come are asked for once.
        let comes_more = self.asked == 0 && self.batch.as_ref().is_some_and(Batch::lacks_values);
        let has_said_all = last || heard.asked && !awaits && !comes_more || sends_pieces;
        let complete = has_said_all && !self.objects.want_more();
        let goes_on = last && complete || self.objects.want_more() || sends_pieces;
        // Some devices have not ended their package; those hear that it is over, to others saying no more says it.
        let is_exhausted = self.sent >= Limits::MAX_MESSAGES && !self.objects.go_on() && !sends_pieces;
        self.asked = if goes_on { 0 } else { self.asked.saturating_add(1) };
        (received.turn, self.state) = if self.is_ended() {
            (Turn::Closed, State::Closing)
        } else if heard.aborted {
            received.answers = self.take_answers();
            (Turn::Aborted, State::Closing)
        } else if self.asked > limits.max_next_messages {
            received.answers = self.take_answers();
            (Turn::Aborted, State::Aborting)
        } else if is_exhausted {
            received.answers = self.take_answers();
            (Turn::Exhausted, if complete { State::Closing } else { State::Aborting })
        } else if complete {
            self.end_package(account, received)
        } else {
            (Turn::Continue, State::Asking)
        };
    }

    fn end_package(&mut self, account: &Account<'_>, received: &mut Received) -> (Turn, State) {
        let a_command_was = self.batch.as_ref().is_some_and(Batch::is_refused);
        if self.proof.is_refused(a_command_was, account.server_auth.is_some()) {
            if !self.proof.can_retry(account) {
                received.rejected = true;
                received.answers = self.take_answers();
                return (Turn::Aborted, State::Aborting);
            }
            if let Some(batch) = &mut self.batch {
                batch.requeue();
            }
        }
        if self.batch.as_ref().is_some_and(Batch::has_unsent) {
            return (Turn::Continue, State::Sending);
        }
        received.answers = self.take_answers();
        (Turn::Offer, State::Offering)
    }

    fn take_answers(&mut self) -> Vec<Answer> {
        self.batch.take().map(Batch::into_answers).unwrap_or_default()
    }
}
