//! Carrying out the commands of one message, and the Statuses and Results that answer them.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::node::NodeUriError;
use dmwsi_objects::{Command, Format, NodeUri, Reading, StatusCode, Value};

use super::{Nodes, Outcome};
use crate::message::{Alert, Data, Element, Group, Item, Meta, NodeCommand, Results, Status, Verb, alert};

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
    /// The largest Results that the server can take.
    pub(super) fits: &'a dyn Fn(&Element) -> bool,
}

impl<N: Nodes> Execution<'_, N> {
    /// Carries out one element of the body.
    pub(super) fn run(&mut self, element: &Element) -> Vec<Element> {
        match element {
            Element::Alert(Alert { id, code, .. }) => {
                // What asks for the next message is part of the protocol and needs no rights; there is nobody to show the others to.
                let known = if *code == alert::NEXT_MESSAGE { StatusCode::OK } else { StatusCode::NOT_SUPPORTED };
                vec![self.status(id, "Alert", self.refusal.unwrap_or(known))]
            }
            Element::Atomic(group) => self.atomic(group),
            Element::Command(command) => self.command(command),
            Element::Results(_) | Element::Status(_) => Vec::new(),
            Element::Sequence(group) => {
                let mut out = vec![self.status(&group.id, "Sequence", self.refusal.unwrap_or(StatusCode::OK))];
                out.extend(group.members.iter().flat_map(|member| self.run(member)));
                out
            }
            Element::Unknown { id, name } => vec![self.status(id, name, self.refusal.unwrap_or(StatusCode::NOT_SUPPORTED))],
        }
    }

    /// All or nothing (OMA DM RepPro 1.2, 6.6.2): a failing member keeps its own status, the ones before it are rolled back, those after it
    /// are not begun.
    fn atomic(&mut self, group: &Group) -> Vec<Element> {
        let before = self.nodes.clone();
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
            *self.nodes = before;
            let mut out = vec![self.status(&group.id, "Atomic", self.refusal.unwrap_or(StatusCode(507)))];
            out.extend(done.into_iter().map(|answer| with_code(answer, StatusCode(216))));
            out.append(&mut answers);
            let refusal = self.refusal.get_or_insert(StatusCode::NOT_EXECUTED).to_owned();
            out.extend(members.flat_map(|member| self.run(member)));
            self.refusal = (refusal != StatusCode::NOT_EXECUTED).then_some(refusal);
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
        let outcome = match (self.refusal, read(command, item)) {
            (Some(code), _) | (None, Err(code)) => Outcome::from(code),
            (None, Ok(command)) => self.nodes.execute(&command, self.server),
        };
        let results = outcome.reading.map(|reading| {
            let (message, command) = (self.message, command.id.clone());
            Element::Results(Results { message, command, items: vec![shown(reading)], ..Results::default() })
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
        status
    }

    /// The whole item, where this is the last piece of it; none where it is no piece. The status where it is one and more is to come, or where
    /// the whole is not what was said of it.
    fn join(&mut self, item: &Item) -> Result<Option<Item>, StatusCode> {
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
        Verb::Copy => return Err(StatusCode::NOT_SUPPORTED),
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
