//! What devices do otherwise than the standard says.
use dmwsi_objects::StatusCode;
use serde::{Deserialize, Serialize};

use crate::message::{Element, Status};

/// What a device does otherwise than the standard says. The default is a device that keeps to it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Quirks {
    /// How it treats an Atomic.
    pub atomic: AtomicQuirk,
    /// It knows no Copy, and says so by 501.
    pub no_copy: bool,
    /// It knows no `?list=TNDS`, and says so by 406.
    pub no_tnds: bool,
    /// It knows no question that begins with `list=`, and says so by 406.
    pub no_list: bool,
    /// It tells what it answers from the end to the beginning, Results before Statuses.
    pub reversed: bool,
    /// It answers 413 in place of sending a value in pieces.
    pub no_pieces: bool,
    /// It sends every Status twice.
    pub repeats_statuses: bool,
    /// It sends Statuses for commands that nobody sent, among those that somebody did.
    pub stray_statuses: bool,
}

/// How a device treats an Atomic.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AtomicQuirk {
    /// All or nothing.
    #[default]
    Proper,
    /// One after the other, whatever becomes of them, without a Status for the Atomic itself.
    Silent,
    /// Not at all: 406.
    Unsupported,
}

impl Quirks {
    /// The answers to a message of the server, as such a device tells them.
    pub(super) fn told(self, mut answers: Vec<Element>, message: u32) -> Vec<Element> {
        if self.repeats_statuses {
            let twice = |answer: Element| {
                let again = matches!(answer, Element::Status(_)).then(|| answer.clone());
                std::iter::once(answer).chain(again)
            };
            answers = answers.into_iter().flat_map(twice).collect();
        }
        if self.stray_statuses && !answers.is_empty() {
            let stray = |message: u32, command: &str, code: u16| {
                let (command, name) = (command.to_owned(), "Get".to_owned());
                Element::Status(Status { message, command, name, code: StatusCode(code), ..Status::default() })
            };
            answers.insert(0, stray(message, "4711", 500));
            answers.push(stray(message.saturating_add(40), "2", 404));
            answers.push(stray(message, "none", 418));
        }
        if self.reversed {
            answers.reverse();
        }
        answers
    }
}
