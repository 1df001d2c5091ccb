//! Carrying out the commands of one message, and the Statuses and Results that answer them.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::node::NodeUriError;
use dmwsi_objects::{Command, Format, NodeUri, Prompt, PromptKind, Reading, StatusCode, Value};

use super::alert::generic_alert;
use super::{AtomicQuirk, Nodes, Outcome, Quirks, ReportQuirk};
use crate::message::{Alert, Data, Element, Group, Item, Meta, NodeCommand, Results, Status, Verb, alert};

/// The answers to an Atomic do not fit into one message (OMA DM RepPro 1.2, chapter 10).
const ATOMIC_TOO_LARGE: StatusCode = StatusCode(517);

/// A value that comes in pieces: its first item, and what has come of it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    first: Item,
    octets: Vec<u8>,
}

/// The work on one message of the server.
pub(super) struct Execution<'a, N> {
    /// What the commands act upon.
    pub(super) nodes: &'a mut N,
    /// The server's identifier.
    pub(super) server: &'a str,
    /// The number of the message.
    pub(super) message: u32,
    /// The value that the server has begun to send in pieces.
    pub(super) object: &'a mut Option<Object>,
    /// The largest value that is put together from pieces, in bytes.
    pub(super) max_object: u64,
    /// The status that every command gets instead of being carried out.
    pub(super) refusal: Option<StatusCode>,
    /// What it does otherwise.
    pub(super) quirks: Quirks,
    /// The largest Results that the server can take.
    pub(super) fits: &'a dyn Fn(&Element) -> bool,
}

impl<N: Nodes> Execution<'_, N> {
    /// Carries out one element of the body.
    pub(super) fn run(&mut self, element: &Element) -> Vec<Element> {
        match element {
            Element::Alert(said) => self.alert(said),
            Element::Atomic(group) => self.atomic(group),
            Element::Command(command) => self.command(command),
            Element::Results(_) | Element::Status(_) => Vec::new(),
            Element::Sequence(group) => self.sequence(group),
            Element::Unknown { id, name } => vec![self.status(id, name, self.refusal.unwrap_or(StatusCode::NOT_SUPPORTED))],
        }
    }

    /// An alert for the protocol or for the user.
    fn alert(&mut self, said: &Alert) -> Vec<Element> {
        if self.quirks.no_protocol_alerts && matches!(said.code, alert::NEXT_MESSAGE | alert::ABORT) {
            return vec![self.status(&said.id, "Alert", self.refusal.unwrap_or(StatusCode::COMMAND_FAILED))];
        }
        let (code, answers) = match (self.refusal, prompt(said)) {
            (Some(code), _) | (None, Err(code)) => (code, Vec::new()),
            (None, Ok(prompt)) => self.nodes.prompt(&prompt),
        };
        let mut status = self.status(&said.id, "Alert", code);
        if let Element::Status(status) = &mut status {
            let item = |text| Item { data: Some(Data::Text(text)), ..Item::default() };
            status.items = answers.into_iter().map(item).collect();
        }
        if code == StatusCode::CANCELLED {
            // What comes after is not done either (OMA DM Protocol 1.2, 10.2).
            self.refusal = Some(StatusCode::NOT_EXECUTED);
        }
        vec![status]
    }

    /// One after the other: a user's no ends it.
    fn sequence(&mut self, group: &Group) -> Vec<Element> {
        let mut out = vec![self.status(&group.id, "Sequence", self.refusal.unwrap_or(StatusCode::OK))];
        let mut after = self.refusal;
        let mut has_ended = false;
        for member in &group.members {
            let answers = self.run(member);
            if !has_ended {
                // Where the user cancelled, that goes beyond the sequence.
                after = self.refusal;
            }
            let said_no =
                answers.iter().any(|answer| matches!(answer, Element::Status(status) if status.code == StatusCode::NOT_MODIFIED));
            if said_no {
                has_ended = true;
                self.refusal.get_or_insert(StatusCode::NOT_EXECUTED);
            }
            out.extend(answers);
        }
        self.refusal = after;
        out
    }

    /// All or nothing (OMA DM RepPro 1.2, 6.6.2): a failing member keeps its own status, the ones before it are rolled back, those after it
    /// are not begun.
    fn atomic(&mut self, group: &Group) -> Vec<Element> {
        let only = |code| vec![self.status(&group.id, "Atomic", self.refusal.unwrap_or(code))];
        match self.quirks.atomic {
            AtomicQuirk::Irreversible | AtomicQuirk::Proper => {}
            AtomicQuirk::Overlong => return only(ATOMIC_TOO_LARGE),
            AtomicQuirk::Silent => return group.members.iter().flat_map(|member| self.run(member)).collect(),
            AtomicQuirk::Unsupported => return only(StatusCode::NOT_SUPPORTED),
        }
        let (before, refusal) = (self.nodes.clone(), self.refusal);
        let mut done = Vec::new();
        let mut members = group.members.iter();
        for member in members.by_ref() {
            let mut answers = match member {
                Element::Atomic(Group { id, .. }) => vec![self.status(id, "Atomic", StatusCode::COMMAND_FAILED)],
                Element::Command(NodeCommand { id, verb: Verb::Get, .. }) => {
                    vec![self.status(id, "Get", self.refusal.unwrap_or(StatusCode::COMMAND_FAILED))]
                }
                other => self.run(other),
            };
            if answers.iter().all(succeeded) {
                done.append(&mut answers);
                continue;
            }
            let undone = if self.quirks.atomic == AtomicQuirk::Irreversible {
                StatusCode::ROLLBACK_FAILED
            } else {
                *self.nodes = before;
                StatusCode::ROLLED_BACK
            };
            let mut out = vec![self.status(&group.id, "Atomic", refusal.unwrap_or(StatusCode::ATOMIC_FAILED))];
            out.extend(done.into_iter().map(|answer| with_code(answer, undone)));
            out.append(&mut answers);
            // Where the user cancelled, that goes beyond the group; what else failed does not.
            let after = self.refusal;
            self.refusal.get_or_insert(StatusCode::NOT_EXECUTED);
            out.extend(members.flat_map(|member| self.run(member)));
            self.refusal = after;
            return out;
        }
        let mut out = vec![self.status(&group.id, "Atomic", self.refusal.unwrap_or(StatusCode::OK))];
        out.append(&mut done);
        out
    }

    fn command(&mut self, command: &NodeCommand) -> Vec<Element> {
        if command.items.is_empty() {
            return vec![self.status(&command.id, command.verb.name(), self.refusal.unwrap_or(StatusCode::INCOMPLETE))];
        }
        command.items.iter().flat_map(|item| self.item(command, item)).collect()
    }

    fn item(&mut self, command: &NodeCommand, item: &Item) -> Vec<Element> {
        let joined = match self.join(item) {
            Ok(joined) => joined,
            Err(code) => {
                let mut status = self.status(&command.id, command.verb.name(), self.refusal.unwrap_or(code));
                if let Element::Status(status) = &mut status {
                    status.targets.extend(item.target.clone());
                }
                return vec![status];
            }
        };
        let item = joined.as_ref().unwrap_or(item);
        let understood = self.quirks.understood(item);
        let outcome = match (self.refusal.or_else(|| self.unknown(command, item)), read(command, &understood)) {
            (Some(code), _) | (None, Err(code)) => Outcome::from(code),
            (None, Ok(command)) => self.nodes.execute(&command, self.server),
        };
        let results = (!outcome.readings.is_empty()).then(|| {
            let (message, command) = (self.message, command.id.clone());
            let items = outcome.readings.into_iter().map(shown).collect();
            Element::Results(Results { message, command, items, ..Results::default() })
        });
        let (code, results) = match results {
            Some(large) if !(self.fits)(&large) => (StatusCode::TOO_LARGE, None),
            results => (outcome.status, results),
        };
        let mut status = vec![self.status(&command.id, command.verb.name(), code)];
        if let Some(Element::Status(status)) = status.first_mut() {
            status.targets.extend(item.target.clone());
        }
        status.extend(results);
        if command.verb == Verb::Exec && self.quirks.exec_report != ReportQuirk::Apart {
            let reports: Vec<_> = self.nodes.reports().iter().map(generic_alert).collect();
            let at = if self.quirks.exec_report == ReportQuirk::BeforeStatus { 0 } else { status.len() };
            status.splice(at..at, reports);
        }
        status
    }

    /// The status of what this device does not know.
    fn unknown(&self, command: &NodeCommand, item: &Item) -> Option<StatusCode> {
        let question = item.target.as_deref().and_then(|target| target.split_once('?')).map_or("", |(_, question)| question);
        let lists = |what: &str| command.verb == Verb::Get && question.starts_with(what);
        let Quirks { no_acl, no_copy, no_emptying, no_list, no_tnds, few_properties, .. } = self.quirks;
        if no_copy && command.verb == Verb::Copy {
            return Some(StatusCode::NOT_IMPLEMENTED);
        }
        let is_empty = match &item.data {
            None => true,
            Some(Data::Octets(octets)) => octets.is_empty(),
            Some(Data::Text(text)) => text.is_empty(),
        };
        if no_emptying && command.verb == Verb::Replace && question.is_empty() && is_empty {
            return Some(StatusCode::COMMAND_FAILED);
        }
        let is_few = matches!(question, "prop=Size" | "prop=Title" | "prop=TStamp" | "prop=VerNo");
        let is_unknown = no_list && lists("list=")
            || no_tnds && lists("list=TNDS")
            || no_acl && question == "prop=ACL"
            || few_properties && is_few;
        is_unknown.then_some(StatusCode::NOT_SUPPORTED)
    }

    /// The whole item, where this is the last piece of it; none where it is no piece. The status where it is one and more is to come, or where
    /// the whole is not what was said of it.
    fn join(&mut self, item: &Item) -> Result<Option<Item>, StatusCode> {
        if self.quirks.takes_pieces_for_whole {
            return Ok(item.more.then(|| Item { more: false, ..item.clone() }));
        }
        let open = self.object.take().filter(|open| open.first.target == item.target);
        if open.is_none() && !item.more {
            return Ok(None);
        }
        let mut object = open.unwrap_or_else(|| Object { first: item.clone(), octets: Vec::new() });
        let piece: &[u8] = match &item.data {
            Some(Data::Octets(octets)) => octets,
            Some(Data::Text(text)) => text.as_bytes(),
            None => &[],
        };
        object.octets.extend_from_slice(piece);
        // What is announced as too large is refused by another code than what turns out to be.
        if object.first.meta.size.is_some_and(|size| size > self.max_object) {
            return Err(StatusCode::SIZE_TOO_BIG);
        }
        if u64::try_from(object.octets.len()).is_ok_and(|size| size > self.max_object) {
            return Err(StatusCode::TOO_LARGE);
        }
        if item.more {
            *self.object = Some(object);
            return Err(StatusCode::CHUNK_ACCEPTED);
        }
        let is_octets = matches!(object.first.data, Some(Data::Octets(_)));
        let sizes = [object.octets.len(), object.octets.len().div_ceil(3).saturating_mul(4)];
        let is_whole = |size: u64| sizes.iter().any(|sent| u64::try_from(*sent) == Ok(size));
        if object.first.meta.size.is_some_and(|size| !is_whole(size)) {
            return Err(StatusCode::SIZE_MISMATCH);
        }
        let data = if is_octets {
            Data::Octets(object.octets)
        } else {
            Data::Text(String::from_utf8(object.octets).map_err(|_not_text| StatusCode::BAD_REQUEST)?)
        };
        Ok(Some(Item { data: Some(data), more: false, ..object.first }))
    }

    fn status(&self, command: &str, name: &str, code: StatusCode) -> Element {
        let (message, command, name) = (self.message, command.to_owned(), name.to_owned());
        Element::Status(Status { message, command, name, code, ..Status::default() })
    }
}

fn succeeded(answer: &Element) -> bool {
    !matches!(answer, Element::Status(status) if !status.code.is_success())
}

fn with_code(answer: Element, code: StatusCode) -> Element {
    match answer {
        Element::Status(status) => Element::Status(Status { code, ..status }),
        other => other,
    }
}

/// What an alert has to say to the user; the status that it gets by itself where it is none for the user, or not whole.
fn prompt(said: &Alert) -> Result<Prompt, StatusCode> {
    if said.code == alert::NEXT_MESSAGE {
        // It is part of the protocol and needs nobody.
        return Err(StatusCode::OK);
    }
    let kind = PromptKind::of(said.code).ok_or(StatusCode::NOT_SUPPORTED)?;
    let mut texts = said.items.iter().map(|item| match &item.data {
        Some(Data::Text(text)) => text.clone(),
        Some(Data::Octets(octets)) => String::from_utf8_lossy(octets).into_owned(),
        None => String::new(),
    });
    let (options, text) = (texts.next(), texts.next());
    let choices: Vec<_> = texts.collect();
    match (options, text) {
        (Some(options), Some(text)) if !kind.has_choices() || !choices.is_empty() => Ok(Prompt { kind, options, text, choices }),
        _ => Err(StatusCode::INCOMPLETE),
    }
}

/// The command that an item stands for, or the status it gets because it stands for none.
fn read(command: &NodeCommand, item: &Item) -> Result<Command, StatusCode> {
    let text = item.target.as_deref().ok_or(StatusCode::INCOMPLETE)?;
    let target = NodeUri::parse(text).map_err(|error| match error {
        NodeUriError::Deep | NodeUriError::Long => StatusCode(414),
        NodeUriError::Control | NodeUriError::Empty | NodeUriError::EmptySegment | NodeUriError::Relative => {
            StatusCode::BAD_REQUEST
        }
    })?;
    let value = || {
        let meta = item.meta.or(&command.meta);
        let data = match &item.data {
            Some(Data::Octets(octets)) => STANDARD.encode(octets),
            Some(Data::Text(text)) => text.clone(),
            None => String::new(),
        };
        Value { format: meta.format.as_deref().map(Format::lenient).unwrap_or_default(), media_type: meta.media_type, data }
    };
    Ok(match command.verb {
        Verb::Add => Command::Add { value: value(), target },
        Verb::Copy => {
            let source = item.source.as_deref().ok_or(StatusCode::INCOMPLETE)?;
            Command::Copy { source: NodeUri::parse(source).map_err(|_not_an_address| StatusCode::NOT_FOUND)?, target }
        }
        Verb::Delete => Command::Delete { target },
        Verb::Exec => {
            let value = item.data.is_some().then(value);
            Command::Exec { target, correlator: command.correlator.clone(), value }
        }
        Verb::Get => Command::Get { target },
        Verb::Replace => Command::Replace { value: value(), target },
    })
}

/// A node as a Results or the Replace of package 1 shows it; octets travel as base64.
pub(super) fn shown(Reading { node, value: Value { format, media_type, data } }: Reading) -> Item {
    let format = if format == Format::Bin { Format::B64 } else { format };
    let meta = Meta { format: Some(format.as_str().to_owned()), media_type, ..Meta::default() };
    Item { source: Some(node.as_str().to_owned()), meta, data: Some(Data::Text(data)), ..Item::default() }
}
