//! What is written down of sessions: who it was, how it went and, where somebody wants to see it, what was said.
use bytes::Bytes;
use dmwsi_domain::account::auth_name;
use dmwsi_domain::contact::Contact;
use dmwsi_domain::id::SessionId;
use dmwsi_domain::session_record::{Authentication, Course, FaultCode, Initiator, SessionEnd, SessionRecord, SessionWork, cut};
use dmwsi_domain::tracing::TracedMessage;
use dmwsi_domain::{Result, Timestamp};
use dmwsi_protocol::document::Document;
use dmwsi_protocol::encoding::{Encoding, Form};
use dmwsi_protocol::message::{Element, Message, alert};
use dmwsi_protocol::server::{Received, Reply, Turn};
use dmwsi_store::{MessageRow, Tx};

use super::incoming::Incoming;
use super::mask::view;
use super::work::Change;
use super::{Gateway, Refusal};

/// How often a session that goes on is written down anew, where nothing happens that must be.
const EVERY: std::time::Duration = std::time::Duration::from_secs(30);

/// The status codes of a header that speak of a version (OMA DM RepPro 1.2, 10).
const VERSION_CODES: [u16; 2] = [505, 513];

/// What is to be written down of one message.
#[derive(Debug)]
pub(super) struct Noted {
    record: SessionRecord,
    is_new: bool,
    message: Option<(MessageRow, u64)>,
}

/// A message of a known device, and what became of it.
pub(super) struct Heard<'h> {
    pub(super) incoming: &'h Incoming,
    pub(super) contact: &'h Contact,
    pub(super) received: &'h Received,
    pub(super) reply: &'h Reply,
    /// Wrong credentials prove something against the device.
    pub(super) was_wrong: bool,
    pub(super) is_authenticated: bool,
    /// It may be somebody else than the device that spoke, and the session goes on without it.
    pub(super) is_foreign: bool,
    pub(super) has_work: bool,
    pub(super) changes: &'h [Change],
}

impl Noted {
    pub(super) fn write(&self, tx: &mut Tx<'_>) -> Result<()> {
        if self.is_new {
            tx.insert_session_record(&self.record)?;
        } else {
            tx.update_session_record(&self.record)?;
        }
        match &self.message {
            Some((row, size)) => tx.keep_message(self.record.device, row, *size),
            None => Ok(()),
        }
    }
}

impl Gateway {
    /// Takes a message into the record of its session, which begins as soon as there is something to tell; and says what is to be written.
    pub(super) fn note_message(&self, record: &mut Option<Box<SessionRecord>>, heard: &Heard<'_>) -> Result<Option<Noted>> {
        let (incoming, contact, now) = (heard.incoming, heard.contact, heard.incoming.at);
        let is_traced = contact.tracing.is_some_and(|tracing| tracing.is_on(now));
        let fault = fault(heard);
        // Anybody can name a device: what nobody has proven is written down seldom.
        let is_due =
            |code| heard.is_authenticated || code != FaultCode::WrongCredentials && code != FaultCode::VersionNotSupported;
        let writes_fault = fault.as_ref().is_some_and(|(code, _)| {
            is_traced || is_due(*code) || self.strangers.is_due(&record_of(&contact_name(incoming)), now)
        });
        if record.is_none() && !(heard.has_work || writes_fault || is_traced) {
            return Ok(None);
        }
        let is_new = record.is_none();
        let kept = record.get_or_insert_with(|| Box::new(self.begin(incoming, contact)));
        let course = &mut kept.course;
        course.gateway.clone_from(&self.name);
        course.messages = course.messages.saturating_add(1);
        course.bytes_heard = course.bytes_heard.saturating_add(size(incoming.raw.len()));
        course.bytes_told = course.bytes_told.saturating_add(size(heard.reply.bytes.len()));
        course.commands = course.commands.saturating_add(commands(&heard.reply.message));
        let alerts = u32::try_from(heard.received.alerts.len()).unwrap_or(u32::MAX);
        course.alerts = course.alerts.saturating_add(alerts);
        for change in heard.changes {
            course.works_on(SessionWork { job: change.execution.job, client: change.execution.client });
        }
        authenticate(course, heard);
        let had_fault = fault.is_some();
        if let Some((code, detail)) = fault {
            course.fails(code, detail, now);
        }
        if heard.reply.ended || heard.is_foreign {
            kept.end(end(heard), now);
        }
        let is_pressing = is_new || is_traced || had_fault && writes_fault || !had_fault && heard.reply.ended;
        if !is_pressing && now.since(kept.heard_at) < EVERY {
            return Ok(None);
        }
        kept.heard_at = now;
        let message = if is_traced {
            kept.course.traced = kept.course.traced.saturating_add(1);
            let said = said(incoming.form.encoding, &incoming.raw, Some((incoming.form.encoding, &heard.reply.bytes)));
            Some(self.sealing.seal_message(kept.id, kept.course.messages, &said, now)?)
        } else {
            None
        };
        Ok(Some(Noted { record: SessionRecord::clone(kept), is_new, message }))
    }

    /// Notes with the last message of a session that it came again and was told the same. What cannot be written is lost, as below.
    pub(super) async fn note_repetition(&self, record: Option<&SessionRecord>, contact: &Contact, now: Timestamp) {
        let Some(record) = record.filter(|_| contact.tracing.is_some_and(|tracing| tracing.is_on(now))) else { return };
        let (id, message) = (record.id, record.course.messages);
        if let Err(error) = self.store.write(move |tx| tx.count_repetition(id, message)).await {
            tracing::warn!(%error, "a repeated message could not be written down");
        }
    }

    /// Writes down a message that was not let into any session. What cannot be written is lost: the device gets its answer all the same.
    pub(super) async fn note_refused(&self, incoming: &Incoming, contact: &Contact, code: FaultCode, detail: String) {
        let mut record = self.begin(incoming, contact);
        record.course.messages = 1;
        record.course.bytes_heard = size(incoming.raw.len());
        self.write_refused(record, contact, (code, detail), incoming.form.encoding, &incoming.raw, incoming.at).await;
    }

    /// The same of a body that could not be read, where it can be told which device it names.
    pub(super) async fn note_unread(&self, body: &Bytes, form: Form, refusal: &Refusal, now: Timestamp) {
        let Some(document) = Document::beginning(form.encoding, body) else { return };
        let text = |path: &[&str]| document.root.text(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let identity = text(&["SyncHdr", "Source", "LocURI"]);
        if identity.is_empty() || identity.len() > 256 {
            return;
        }
        let name = identity.clone();
        let contact = match self.store.glance(move |tx| tx.contact(&name)).await {
            Ok(Some(contact)) => contact,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "a malformed message could not be written down");
                return;
            }
        };
        let course = Course {
            session: cut(&text(&["SyncHdr", "SessionID"])).to_owned(),
            dm_identity: identity,
            gateway: self.name.clone(),
            encoding: encoding_name(form.encoding).to_owned(),
            protocol: cut(&text(&["SyncHdr", "VerProto"])).to_owned(),
            messages: 1,
            bytes_heard: size(body.len()),
            ..Course::default()
        };
        let record = SessionRecord::begin(SessionId::new(self.clock.new_id()), contact.device, course, now);
        let detail = format!("A message could not be read: {refusal}.");
        self.write_refused(record, &contact, (FaultCode::Malformed, detail), form.encoding, body, now).await;
    }

    async fn write_refused(
        &self,
        mut record: SessionRecord,
        contact: &Contact,
        (code, detail): (FaultCode, String),
        encoding: Encoding,
        body: &Bytes,
        now: Timestamp,
    ) {
        let is_traced = contact.tracing.is_some_and(|tracing| tracing.is_on(now));
        if !is_traced && !self.strangers.is_due(&record_of(&record.course.dm_identity), now) {
            return;
        }
        record.course.fails(code, detail, now);
        record.end(SessionEnd::Refused, now);
        let message = if is_traced {
            record.course.traced = 1;
            self.sealing.seal_message(record.id, 1, &said(encoding, body, None), now).map(Some)
        } else {
            Ok(None)
        };
        let written = match message {
            Ok(message) => {
                let noted = Noted { record, is_new: true, message };
                self.store.write(move |tx| noted.write(tx)).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "a refused message could not be written down");
        }
    }

    fn begin(&self, incoming: &Incoming, contact: &Contact) -> SessionRecord {
        let header = &incoming.message.header;
        let course = Course {
            session: cut(&header.session).to_owned(),
            dm_identity: cut(&header.source.uri).to_owned(),
            gateway: self.name.clone(),
            encoding: encoding_name(incoming.form.encoding).to_owned(),
            protocol: cut(header.protocol.trim()).to_owned(),
            initiated_by: initiator(&incoming.message),
            ..Course::default()
        };
        SessionRecord::begin(SessionId::new(self.clock.new_id()), contact.device, course, incoming.at)
    }
}

fn contact_name(incoming: &Incoming) -> String {
    cut(&incoming.message.header.source.uri).to_owned()
}

/// The name under which records of a device are rationed, apart from those of strangers.
fn record_of(identity: &str) -> String {
    format!("record of {identity}")
}

fn said(encoding: Encoding, heard: &Bytes, told: Option<(Encoding, &[u8])>) -> TracedMessage {
    TracedMessage {
        heard: view(encoding, heard),
        bytes_heard: size(heard.len()),
        told: told.and_then(|(encoding, body)| view(encoding, body)),
        bytes_told: told.map_or(0, |(_, body)| size(body.len())),
    }
}

fn authenticate(course: &mut Course, heard: &Heard<'_>) {
    let auth = heard.received.accepted_with;
    let refused = match heard.received.turn {
        Turn::Refused { missing, .. } => Some(missing || !heard.was_wrong),
        _ => None,
    };
    course.authentication = match (refused, heard.is_authenticated) {
        (Some(true), _) => Authentication::Challenged,
        (Some(false), _) => Authentication::Refused,
        (None, true) => Authentication::Accepted,
        (None, false) => course.authentication,
    };
    if heard.is_authenticated {
        let auth = auth.unwrap_or(heard.contact.account.client.auth);
        course.authenticated_by = Some(auth_name(auth).to_owned());
    }
}

/// What was wrong with a message, if anything was.
fn fault(heard: &Heard<'_>) -> Option<(FaultCode, String)> {
    let told = |code, detail: &str| Some((code, detail.to_owned()));
    match heard.received.turn {
        Turn::Refused { missing: false, .. } if heard.was_wrong => {
            let detail = "The device's name, its password or its nonce is another than in its account, or it proves itself in another way.";
            told(FaultCode::WrongCredentials, detail)
        }
        Turn::Aborted if heard.received.rejected => {
            let detail =
                "The device does not accept the server's credentials: name, password or kind differ from what the device has.";
            told(FaultCode::ServerNotAccepted, detail)
        }
        Turn::Aborted if has_alert(&heard.incoming.message, alert::ABORT) => {
            told(FaultCode::AbortedByDevice, "The device broke off the session (alert 1223).")
        }
        Turn::Aborted => {
            told(FaultCode::EndlessPackage, "The device was asked to go on with its package again and again, and did not end it.")
        }
        Turn::Closed if speaks_another_version(&heard.reply.message) => {
            let header = &heard.incoming.message.header;
            let (dtd, protocol) = (cut(header.dtd.trim()), cut(header.protocol.trim()));
            let detail = format!("The device speaks {protocol} with the document type {dtd}, which the server does not.");
            Some((FaultCode::VersionNotSupported, detail))
        }
        _ => None,
    }
}

fn end(heard: &Heard<'_>) -> SessionEnd {
    match heard.received.turn {
        Turn::Aborted if has_alert(&heard.incoming.message, alert::ABORT) && !heard.received.rejected => {
            SessionEnd::AbortedByDevice
        }
        Turn::Aborted => SessionEnd::AbortedByServer,
        Turn::Refused { .. } => SessionEnd::Refused,
        Turn::Closed if speaks_another_version(&heard.reply.message) => SessionEnd::Refused,
        Turn::Closed | Turn::Continue | Turn::Exhausted | Turn::Offer => SessionEnd::Completed,
    }
}

fn speaks_another_version(reply: &Message) -> bool {
    let header = reply.body.iter().find_map(|element| match element {
        Element::Status(status) => Some(status.code),
        _ => None,
    });
    header.is_some_and(|code| VERSION_CODES.contains(&code.0))
}

fn has_alert(message: &Message, code: u16) -> bool {
    message.body.iter().any(|element| matches!(element, Element::Alert(said) if said.code == code))
}

fn initiator(message: &Message) -> Option<Initiator> {
    if has_alert(message, alert::SERVER_INITIATED) {
        return Some(Initiator::Server);
    }
    has_alert(message, alert::CLIENT_INITIATED).then_some(Initiator::Device)
}

/// How many commands the device is given.
fn commands(reply: &Message) -> u32 {
    let counts = |element: &Element| match element {
        Element::Command(_) => 1,
        Element::Atomic(group) | Element::Sequence(group) => group.members.len(),
        Element::Alert(said) => usize::from((1100..1200).contains(&said.code)),
        Element::Results(_) | Element::Status(_) | Element::Unknown { .. } => 0,
    };
    u32::try_from(reply.body.iter().map(counts).sum::<usize>()).unwrap_or(u32::MAX)
}

const fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Wbxml => "WBXML",
        Encoding::Xml => "XML",
    }
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
