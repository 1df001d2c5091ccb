//! One device.
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use dmwsi_objects::{GenericAlert, Prompt, StatusCode, fumo};
use dmwsi_protocol::credentials::account_hash;
use dmwsi_protocol::device::{Account, End, Initiator, Nodes as _, Opening, Session, Tree, Turn};
use dmwsi_protocol::message::{Element, Message};
use dmwsi_protocol::notification::{Notification, ZERO_NONCES, udh, wsp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::behaviour::Behaviour;
use crate::download::{Fetched, Partial, fetch};
use crate::fleet::live;
use crate::fumo::Step;
use crate::handset::Handset;
use crate::profile::DeviceProfile;
use crate::random::Random;
use crate::tally::Tally;
use crate::wire::{Letter, SessionError, Wire};

/// How many octets the nonces have that a device gives.
const NONCE: usize = 24;

/// A device that holds sessions and carries out updates when told to, or by the clock in [`Device::run`].
#[derive(Clone, Debug)]
pub struct Device {
    memory: Memory,
    wire: Wire,
    /// A package that is not whole yet. A device that is switched off loses it and begins from the first byte.
    partial: Option<Partial>,
}

/// Everything a device keeps when it is switched off; it can be stored and given to [`Device::wake`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    profile: DeviceProfile,
    behaviour: Behaviour,
    account: Account,
    handset: Handset,
    alerts: Vec<GenericAlert>,
    random: Random,
    sessions: u16,
    gone: bool,
}

/// How a session went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionReport {
    /// In what way it ended.
    pub end: End,
    /// How many different messages the device sent.
    pub messages: u32,
    /// Whether the server accepted the device.
    pub authenticated: bool,
    /// Whether the server proved who it is.
    pub server_authenticated: bool,
    /// What the server answered to the header of each message.
    pub verdicts: Vec<StatusCode>,
    /// What the device answered to the commands, by name and in order. The header counts as a command here.
    pub answers: Vec<(String, StatusCode)>,
    /// How many Generic Alerts the server took note of.
    pub alerts_heard: usize,
    /// How many repeated messages were answered otherwise than before.
    pub replies_differed: u32,
}

impl Device {
    /// A device as delivered, with an account for the server at this address.
    #[must_use]
    pub fn new(profile: DeviceProfile, behaviour: Behaviour, server_url: impl Into<String>, wire: &Wire) -> Self {
        let account = Account {
            device: profile.device.clone(),
            server_url: server_url.into(),
            server_id: profile.server_id.clone(),
            client_auth: behaviour.client_auth,
            client_name: profile.client_name.clone(),
            client_secret: profile.client_secret.clone(),
            client_nonce: profile.client_nonce.clone(),
            server_auth: behaviour.server_auth,
            server_each: behaviour.server_each,
            server_name: profile.server_id.clone(),
            server_secret: profile.server_secret.clone(),
            server_nonce: profile.server_nonce.clone(),
        };
        let handset = Handset::new(&profile, &behaviour, &account);
        let random = Random::new(profile.seed, 0);
        let memory = Memory { profile, behaviour, account, handset, alerts: Vec::new(), random, sessions: 0, gone: false };
        Self { memory, wire: wire.clone(), partial: None }
    }

    /// The device that has this memory.
    #[must_use]
    pub fn wake(memory: Memory, wire: &Wire) -> Self {
        Self { memory, wire: wire.clone(), partial: None }
    }

    /// What it keeps when it is switched off.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Who it is.
    #[must_use]
    pub const fn profile(&self) -> &DeviceProfile {
        &self.memory.profile
    }

    /// How well it behaves.
    #[must_use]
    pub const fn behaviour(&self) -> &Behaviour {
        &self.memory.behaviour
    }

    /// Makes it behave otherwise from now on. Encoding, times and faults change at once; the account and the place of the update package stay.
    pub fn behave(&mut self, behaviour: Behaviour) {
        self.memory.behaviour = behaviour;
    }

    /// Its nodes.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.memory.handset.tree
    }

    /// Its nodes, for a test to change as only the device itself can.
    pub const fn tree_mut(&mut self) -> &mut Tree {
        &mut self.memory.handset.tree
    }

    /// The account under which it knows the server.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.memory.account
    }

    /// The account, for a test to damage its nonces or secrets.
    pub const fn account_mut(&mut self) -> &mut Account {
        &mut self.memory.account
    }

    /// The alerts that no server has taken note of yet.
    #[must_use]
    pub fn pending(&self) -> &[GenericAlert] {
        &self.memory.alerts
    }

    /// What its user was shown.
    #[must_use]
    pub fn shown(&self) -> &[Prompt] {
        &self.memory.handset.shown
    }

    /// Adds an alert to be told in the next session.
    pub fn tell(&mut self, alert: GenericAlert) {
        self.memory.alerts.push(alert);
    }

    /// Whether an update is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.memory.handset.fumo.is_busy()
    }

    /// Whether nothing can be heard of it: it reboots, or has gone away.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.memory.gone || self.memory.handset.fumo.is_rebooting()
    }

    /// Whether it has gone away for good.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.memory.gone
    }

    /// Holds one session that the device itself wants.
    pub async fn check_in(&mut self) -> Result<SessionReport, SessionError> {
        self.memory.sessions = self.memory.sessions.checked_add(1).unwrap_or(1);
        self.session(self.written(self.memory.sessions), Initiator::Client).await
    }

    /// The number of a session as this device writes it.
    fn written(&self, number: u16) -> String {
        if self.memory.behaviour.quirks.decimal_session_id { number.to_string() } else { format!("{number:X}") }
    }

    /// The session that a datagram asks for: package 0 of the server that the device knows, bare, as a WAP push or as a short message, with a digest over the
    /// nonce that the device gave last, or the zero nonce. A device says nothing to any other.
    #[must_use]
    pub fn hear(&self, datagram: &[u8]) -> Option<u16> {
        let push = udh::Header::decode(datagram).map_or(datagram, |(_header, data)| data);
        let readings = [Some(datagram), wsp::read(datagram).ok(), wsp::read(push).ok()];
        let account = &self.memory.account;
        let hash = account_hash(&account.server_id, &account.server_secret);
        readings.into_iter().flatten().find_map(|package| {
            let notification = Notification::decode(package).ok()?;
            let is_ours = notification.trigger.server_id() == account.server_id;
            let mut nonces = ZERO_NONCES.into_iter().chain([&account.server_nonce[..]]);
            let is_signed = nonces.any(|nonce| notification.is_signed(&hash, nonce));
            (is_ours && is_signed).then_some(notification.trigger.session())
        })
    }

    /// Holds the session that a notification of the server with this SessionID asks for.
    pub async fn answer_call(&mut self, session: u16) -> Result<SessionReport, SessionError> {
        let is_swapped = self.memory.behaviour.quirks.swapped_session_id;
        let number = if is_swapped { session.swap_bytes() } else { session };
        self.session(self.written(number), Initiator::Server).await
    }

    async fn session(&mut self, session: String, initiator: Initiator) -> Result<SessionReport, SessionError> {
        let memory = &mut self.memory;
        if memory.gone {
            return Err(SessionError::Gone);
        }
        memory.handset.tree.tell_time(now());
        // A secret that the server has changed counts from the next session on.
        if let Some(secret) = memory.handset.take_secret() {
            memory.account.client_secret = secret;
        }
        memory.handset.refusal = memory.behaviour.refuse_exec;
        memory.handset.user.clone_from(&memory.behaviour.user);
        memory.handset.omits_correlator = memory.behaviour.omit_task_correlator;
        let Behaviour { version, encoding, max_message, max_object, quirks, .. } = memory.behaviour;
        let alerts = memory.alerts.clone();
        let opening = Opening { session, initiator, alerts, version, encoding, max_message, max_object, quirks };
        let (mut session, mut message) = Session::begin(opening, &memory.account, &memory.handset);
        let mut record = Record::default();
        let ending = loop {
            record.sent(&message);
            let body = Bytes::from(quirks.encode(encoding, &message));
            let named = session.respond_to().filter(|_| !memory.behaviour.ignore_resp_uri);
            let url = named.unwrap_or(&memory.account.server_url);
            let mac = session.mac(&memory.account, &body);
            let mac = mac.map(|mac| if memory.behaviour.mac_in_hexadecimal { mac.in_hexadecimal() } else { mac });
            let letter = Letter { body, mac: mac.map(|mac| mac.to_string()) };
            let reply = record.exchange(&self.wire, url, &letter, &memory.behaviour).await?;
            session.note_mac(&memory.account, reply.mac.as_deref(), &reply.body);
            let reply = encoding.decode(&reply.body)?;
            record.received(&reply);
            let nonce = memory.random.text(NONCE);
            let was_busy = memory.handset.fumo.is_busy();
            let turn;
            (session, turn) = session.receive(&reply, &mut memory.account, &mut memory.handset, nonce.as_bytes())?;
            let begun = memory.handset.fumo.is_busy() && !was_busy;
            memory.gone |= begun && memory.behaviour.drop_after_exec && memory.behaviour.go_away;
            match turn {
                Turn::Send(_) if begun && memory.behaviour.drop_after_exec => return Err(SessionError::Dropped),
                Turn::Send(_) if memory.behaviour.drop_after_secret && memory.handset.has_new_secret() => {
                    return Err(SessionError::Dropped);
                }
                Turn::Over(ending) => break ending,
                Turn::Send(next) => message = *next,
            }
        };
        let mut heard = ending.heard.iter();
        memory.alerts.retain(|_alert| !heard.next().copied().unwrap_or(false));
        memory.alerts.extend(memory.handset.reports());
        memory.gone = memory.behaviour.go_away && memory.handset.fumo.is_busy();
        Ok(SessionReport {
            end: ending.end,
            messages: record.messages,
            authenticated: ending.authenticated,
            server_authenticated: ending.server_authenticated,
            verdicts: record.verdicts,
            answers: record.answers,
            alerts_heard: ending.heard.iter().filter(|heard| **heard).count(),
            replies_differed: record.differed,
        })
    }

    /// Goes on with an update by one phase: gives the time until the next, or nothing when there is none. A package is really fetched.
    pub async fn advance(&mut self) -> Option<Duration> {
        let Memory { behaviour, handset, alerts, gone, .. } = &mut self.memory;
        if *gone {
            return None;
        }
        handset.tree.tell_time(now());
        let step = match handset.step(behaviour) {
            Step::Fetch(url) => match fetch(&self.wire.client, &url, &mut self.partial, behaviour).await {
                Fetched::Broken => Step::Wait(Duration::from_millis(behaviour.retry_ms)),
                Fetched::Over(package) => handset.fumo.fetched(package, behaviour),
                Fetched::Vanished => {
                    *gone = true;
                    return None;
                }
            },
            step => step,
        };
        match step {
            Step::Wait(time) => Some(time),
            Step::Done(alert) => {
                alerts.extend(alert);
                None
            }
            // Only the first step of a download fetches.
            Step::Fetch(_) => Some(Duration::ZERO),
        }
    }

    /// Carries an update to its end, taking the time it takes; the alert about it is then pending.
    pub async fn work(&mut self) {
        while let Some(time) = self.advance().await {
            tokio::time::sleep(time).await;
        }
    }

    /// Lives by the clock until told to stop, beginning at once: holds sessions, works, reports. Gives itself back.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Self {
        live(&mut self, None, Duration::ZERO, &mut stop, None, &Tally::default()).await;
        self
    }

    /// The codes of the alerts that are pending, for counting what became of updates.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = bool> {
        let codes = self.memory.alerts.iter().filter_map(|alert| alert.value.data.parse().ok());
        codes.map(|code| fumo::ResultCode(code).is_success())
    }

    /// A time around the one between two sessions.
    pub(crate) fn until_next(&mut self) -> Duration {
        let Behaviour { poll_ms, jitter_ms, .. } = self.memory.behaviour;
        let least = poll_ms.saturating_sub(jitter_ms);
        let spread = jitter_ms.saturating_mul(2).saturating_add(1);
        Duration::from_millis(least.saturating_add(self.memory.random.below(spread)).max(1))
    }
}

/// The time as `TStamp` has it.
#[expect(clippy::disallowed_methods, reason = "a device has a clock of its own, which is not the server's")]
fn now() -> String {
    Utc::now().format("%Y%m%dT%H%M%SZ").to_string()
}

/// What is noted during a session.
#[derive(Debug, Default)]
struct Record {
    messages: u32,
    differed: u32,
    verdicts: Vec<StatusCode>,
    answers: Vec<(String, StatusCode)>,
}

impl Record {
    fn sent(&mut self, message: &Message) {
        self.messages = self.messages.saturating_add(1);
        self.answers.extend(message.body.iter().filter_map(|element| match element {
            Element::Status(status) => Some((status.name.clone(), status.code)),
            _ => None,
        }));
    }

    fn received(&mut self, message: &Message) {
        self.verdicts.extend(message.body.iter().filter_map(|element| match element {
            Element::Status(status) if status.command == "0" => Some(status.code),
            _ => None,
        }));
    }

    /// Sends a message and, where the behaviour wants it, once more; the last answer counts.
    async fn exchange(&mut self, wire: &Wire, url: &str, letter: &Letter, behaviour: &Behaviour) -> Result<Letter, SessionError> {
        let first = wire.exchange(url, letter, behaviour).await?;
        if !behaviour.send_twice && behaviour.lose_reply != Some(self.messages) {
            return Ok(first);
        }
        let second = wire.exchange(url, letter, behaviour).await?;
        if first != second {
            self.differed = self.differed.saturating_add(1);
        }
        Ok(second)
    }
}
