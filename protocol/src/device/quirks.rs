//! What devices do otherwise than the standard says.
use dmwsi_objects::StatusCode;
use serde::{Deserialize, Serialize};

use super::percent;
use crate::message::{Element, Item, Status};

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
    /// It knows no lists of access, and says so by 406.
    pub no_acl: bool,
    /// It keeps neither size, title, time of change nor number of changes of a node, and says so by 406.
    pub few_properties: bool,
    /// It tells what it answers from the end to the beginning, Results before Statuses.
    pub reversed: bool,
    /// It answers 413 in place of sending a value in pieces.
    pub no_pieces: bool,
    /// It sends every Status twice.
    pub repeats_statuses: bool,
    /// It sends Statuses for commands that nobody sent, among those that somebody did.
    pub stray_statuses: bool,
    /// It takes a piece of a value for the whole, and says 200 to it.
    pub takes_pieces_for_whole: bool,
    /// It says 0 to every command, and asks for nothing, of a server that shows no credentials where it should.
    pub zero_before_proof: bool,
    /// It sends its first package in several messages, and no message with more than eight elements.
    pub splits_packages: bool,
    /// It tells DevInfo from the end to the beginning.
    pub reversed_dev_info: bool,
    /// It tells the interior nodes of DevInfo as well, with the names of what is in them.
    pub interior_dev_info: bool,
    /// It does not say by which name it shows credentials (`LocName`).
    pub no_local_name: bool,
    /// Where it tells what came of an Exec that takes no time.
    pub exec_report: ReportQuirk,
    /// It tells DevInfo without a word on formats and types.
    pub bare_dev_info: bool,
    /// It ends names of children and values of properties by NUL.
    pub nul_after_names: bool,
    /// It tells names of children percent-encoded, and knows nodes by such names.
    pub encoded_names: bool,
    /// In WBXML it sends every value as opaque octets.
    pub opaque_data: bool,
    /// It has no Data where a value is empty.
    pub no_empty_data: bool,
    /// It answers 500 to a Replace that empties a leaf.
    pub no_emptying: bool,
    /// It answers 500 to the alerts 1222 and 1223, and goes on.
    pub no_protocol_alerts: bool,
    /// Its Statuses do not say which node they are about.
    pub no_target_refs: bool,
    /// It calls the format of every Generic Alert `text/plain`.
    pub plain_text_alerts: bool,
    /// It puts `Reversed-Domain-Name:` and blanks around the types of Generic Alerts.
    pub prefixed_alert_types: bool,
    /// It writes blanks in addresses by their numbers.
    pub encoded_addresses: bool,
    /// It begins sessions with events about who is logged on, and has elements and attributes of Microsoft's in its XML.
    pub windows_elements: bool,
    /// Its WBXML names the version by a text.
    pub named_public_id: bool,
    /// It uses the media types of data synchronisation.
    pub sync_media_types: bool,
    /// It closes every connection.
    pub closes_connections: bool,
    /// It writes the number of a session in decimal digits.
    pub decimal_session_id: bool,
    /// It reads the number of the session that a notification asks for with its bytes swapped.
    pub swapped_session_id: bool,
    /// It does not survive what clients on libdmclient crash on.
    pub fragile: bool,
}

/// How a device treats an Atomic.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AtomicQuirk {
    /// What it did before a member failed it cannot undo: 516.
    Irreversible,
    /// What it would have to answer does not fit into one message, so that it does nothing: 517.
    Overlong,
    /// All or nothing.
    #[default]
    Proper,
    /// One after the other, whatever becomes of them, without a Status for the Atomic itself.
    Silent,
    /// Not at all: 406.
    Unsupported,
}

/// Where a device tells what came of an Exec.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReportQuirk {
    /// In a session of its own.
    #[default]
    Apart,
    /// In the message of the Exec's Status, and before it.
    BeforeStatus,
    /// In the message of the Exec's Status, and behind it.
    BehindStatus,
}

impl Quirks {
    /// What such a device takes an item of a command for.
    pub(super) fn understood(self, item: &Item) -> Item {
        let understood = |address: &String| {
            let address = if self.encoded_names { percent::decoded_address(address) } else { address.clone() };
            match address.split_once("?list=TNDS") {
                Some((node, parts)) if self.few_properties => format!("{node}?list=TNDS{}", kept(parts)),
                _ => address,
            }
        };
        Item { target: item.target.as_ref().map(understood), source: item.source.as_ref().map(understood), ..item.clone() }
    }

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

/// What is left of the parts of a serialised tree that are asked for where few properties are kept.
fn kept(parts: &str) -> String {
    const ABSENT: [&str; 3] = ["Title", "TStamp", "VerNo"];
    let Some(named) = parts.strip_prefix('+') else { return format!("{parts}-{}", ABSENT.join("-")) };
    // The name stands there always, so that it means nothing else.
    std::iter::once("+Name".to_owned())
        .chain(named.split('+').filter(|part| !ABSENT.contains(part)).map(|part| format!("+{part}")))
        .collect()
}
