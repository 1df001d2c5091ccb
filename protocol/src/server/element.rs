//! What the elements of a message do to a session, and the Status that each gets.
use dmwsi_objects::{Format, StatusCode};

use super::account::Limits;
use super::batch::Batch;
use super::due::Answered;
use super::received::Received;
use super::session::Session;
use super::{alert, item};
use crate::message::{Alert, Element, Group, Item, Meta, NodeCommand, Results, Verb, alert as code};

/// What a message wants of the session besides being answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    /// It asks for our next message (1222).
    pub(super) asked: bool,
    /// It breaks off (1223).
    pub(super) aborted: bool,
}

impl Session {
    /// Whether the element is the Status for the header of our last message, which is then heard.
    pub(super) fn hear_header(&mut self, element: &Element) -> bool {
        match element {
            Element::Status(status) if status.command.trim() == "0" => {
                if status.message == self.sent {
                    self.proof.hear(status);
                }
                true
            }
            _ => false,
        }
    }

    pub(super) fn answer_all(&mut self, body: &[Element], code: StatusCode) {
        self.due.header = code;
        // Members of groups are commands, too. An own stack, since groups may lie deep.
        let mut waiting: Vec<&Element> = body.iter().rev().collect();
        while let Some(element) = waiting.pop() {
            match element {
                Element::Alert(alert) => self.answer(&alert.id, "Alert", code),
                Element::Atomic(group) => {
                    self.answer(&group.id, "Atomic", code);
                    waiting.extend(group.members.iter().rev());
                }
                Element::Command(command) => self.answer(&command.id, command.verb.name(), code),
                Element::Results(_) | Element::Status(_) => {}
                Element::Sequence(group) => {
                    self.answer(&group.id, "Sequence", code);
                    waiting.extend(group.members.iter().rev());
                }
                Element::Unknown { id, name } => self.answer(id, name, code),
            }
        }
    }

    /// Notes a Status. What has no `CmdID` cannot be answered, since a Status names what it answers; nor is what has one that is no `CmdID` by its
    /// length, or stands beyond [`Limits::MAX_ANSWERED`]: names may come out of a string table, where a few octets stand for very many.
    fn answer(&mut self, id: &str, name: &str, code: StatusCode) {
        if (1..=Limits::MAX_ECHO).contains(&id.len()) && self.due.commands.len() < Limits::MAX_ANSWERED {
            let name = name.chars().take(Limits::MAX_ECHO).collect();
            self.due.commands.push(Answered { message: self.heard, command: id.to_owned(), name, code });
        }
    }

    pub(super) fn absorb(&mut self, body: &[Element], limits: &Limits, received: &mut Received) -> Heard {
        let mut heard = Heard::default();
        self.objects.begin_message();
        for element in body {
            match element {
                Element::Alert(said) => self.absorb_alert(said, limits, received, &mut heard),
                Element::Atomic(group) => self.decline("Atomic", group),
                Element::Command(command) => self.absorb_command(command, limits, received),
                Element::Results(results) => self.absorb_results(results, limits),
                Element::Sequence(group) => self.decline("Sequence", group),
                Element::Status(status) => {
                    if !self.hear_header(element)
                        && let Some(batch) = &mut self.batch
                    {
                        batch.hear(status);
                        self.whole |= batch.has_kept_piece();
                        // Of a Sequence as a whole it says so only where it takes none.
                        let is_unknown = matches!(status.code, StatusCode::NOT_SUPPORTED | StatusCode::NOT_IMPLEMENTED);
                        if !self.plain && status.name == "Sequence" && is_unknown {
                            batch.requeue();
                            (self.plain, received.no_sequence) = (true, true);
                        } else if status.name == "Sequence" {
                            batch.refuse(status.message, status.code);
                        }
                    }
                }
                Element::Unknown { id, name } => self.answer(id, name, StatusCode::NOT_SUPPORTED),
            }
        }
        self.objects.end_message();
        if let (Some(batch), Some((message, command))) = (&mut self.batch, self.objects.unanswerable()) {
            batch.settle(message, command, StatusCode::SIZE_MISMATCH);
        }
        heard
    }

    fn absorb_alert(&mut self, said: &Alert, limits: &Limits, received: &mut Received, heard: &mut Heard) {
        let status = match said.code {
            0 => StatusCode::INCOMPLETE,
            code::SERVER_INITIATED | code::CLIENT_INITIATED => StatusCode::OK,
            code::NEXT_MESSAGE => {
                heard.asked = true;
                StatusCode::OK
            }
            code::ABORT => {
                heard.aborted = true;
                StatusCode::OK
            }
            code::NO_END_OF_DATA => {
                // The device waits for no more pieces of what it was being sent.
                if let Some(batch) = &mut self.batch {
                    batch.drop_piece();
                }
                StatusCode::OK
            }
            code::CLIENT_EVENT | code::GENERIC => self.absorb_items(said, limits, received),
            _ => StatusCode::NOT_SUPPORTED,
        };
        self.answer(&said.id, "Alert", status);
    }

    fn absorb_items(&mut self, said: &Alert, limits: &Limits, received: &mut Received) -> StatusCode {
        let none = Meta::default();
        let (items, piece) = self.objects.join("Alert", &none, None, &said.items, limits.max_object);
        // Of an alert that is nothing but a piece there is nothing to tell yet.
        let (told, status) =
            if items.is_empty() && piece.is_some() { (Vec::new(), StatusCode::OK) } else { alert::told(said, &items) };
        let room = Limits::MAX_ALERTS.saturating_sub(received.alerts.len()).saturating_sub(received.events.len());
        let status = if told.len() > room { StatusCode::COMMAND_FAILED } else { status };
        let told = told.into_iter().take(room);
        if said.code == code::GENERIC {
            let begun = self.batch.as_ref().map(Batch::begun).unwrap_or_default();
            received.alerts.extend(told);
            received.begun.resize(received.alerts.len(), begun);
        } else {
            received.events.extend(told);
        }
        piece.unwrap_or(status)
    }

    /// A device may change DevInfo and nothing else.
    fn absorb_command(&mut self, command: &NodeCommand, limits: &Limits, received: &mut Received) {
        let status = match command.verb {
            Verb::Replace => self.absorb_device(command, limits, received),
            Verb::Add | Verb::Copy | Verb::Delete | Verb::Exec | Verb::Get => StatusCode::NOT_SUPPORTED,
        };
        self.answer(&command.id, command.verb.name(), status);
    }

    fn absorb_device(&mut self, command: &NodeCommand, limits: &Limits, received: &mut Received) -> StatusCode {
        let (items, piece) = self.objects.join("Replace", &command.meta, None, &command.items, limits.max_object);
        let mut status = if command.items.is_empty() { StatusCode::INCOMPLETE } else { StatusCode::OK };
        for reading in items.iter().filter_map(|said: &Item| item::reading(said, &command.meta)) {
            if reading.node.segments().next() != Some("DevInfo") {
                status = StatusCode::NOT_ALLOWED;
            } else if reading.value.format != Format::Node {
                // Some clients send the interior nodes as well.
                received.device.push(reading);
            }
        }
        piece.unwrap_or(status)
    }

    fn absorb_results(&mut self, results: &Results, limits: &Limits) {
        let answers = (results.message, results.command.as_str());
        let (items, piece) = self.objects.join("Results", &results.meta, Some(answers), &results.items, limits.max_object);
        if let Some(batch) = &mut self.batch {
            batch.read(results, &items);
            if let Some(code @ (StatusCode::SIZE_MISMATCH | StatusCode::SIZE_TOO_BIG | StatusCode::TOO_LARGE)) = piece {
                batch.settle(results.message, &results.command, code);
            }
        }
        // A Results has a Status only where all is not well or not whole.
        if let Some(code) = piece {
            self.answer(&results.id, "Results", code);
        }
    }

    fn decline(&mut self, name: &str, group: &Group) {
        let header = self.due.header;
        self.answer(&group.id, name, StatusCode::NOT_SUPPORTED);
        self.answer_all(&group.members, StatusCode::NOT_EXECUTED);
        self.due.header = header;
    }
}
