//! What is known of a device's tree: what its answers told, node by node.
use dmwsi_objects::{Answer, Command, Format, NodeUri, StatusCode, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// The most nodes and properties that are kept of a device.
pub const MAX_KNOWN: usize = 5_000;

/// The most lessons taken from the answers to one message.
const MAX_LESSONS: usize = 2_000;

/// The longest value that is kept, in bytes of text.
const MAX_VALUE: usize = 65_536;

/// What nodes are called whose values are nobody's to see: compared without case, anywhere in the name.
const SECRETS: [&str; 8] = ["aauthdata", "secret", "password", "passwd", "passphrase", "privatekey", "presharedkey", "pincode"];

/// A node or a property of one, as it was last known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownNode {
    /// The node; a property's name stands in its question.
    pub node: NodeUri,
    /// What it holds.
    pub value: KnownValue,
    /// How that is known.
    pub by: LearnedBy,
    /// Since when.
    pub at: Timestamp,
}

/// What a node holds, as far as it is kept.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownValue {
    /// The format.
    pub format: Format,
    /// The media type.
    #[serde(default)]
    pub media_type: Option<String>,
    /// The value as text; none where it is secret or too long to be kept.
    #[serde(default)]
    pub data: Option<String>,
    /// How long it is, in bytes of text.
    pub size: u64,
}

/// How something of a node is known.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LearnedBy {
    /// The device told it.
    Read,
    /// The server wrote it, and the device said that it took it.
    Written,
}

impl LearnedBy {
    /// The word on disk and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Written => "WRITTEN",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Read, Self::Written].into_iter().find(|by| by.as_str() == word)
    }
}

/// What an answer teaches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lesson {
    /// The node has these children and no others.
    Children(NodeUri, Vec<String>),
    /// There is no such node, or nobody knows what it holds now; the same of all below it.
    Gone(NodeUri),
    /// The node holds that.
    Holds(KnownNode),
}

/// What the answers teach, in their order.
#[must_use]
pub fn lessons(answers: &[Answer], at: Timestamp) -> Vec<Lesson> {
    answers.iter().flat_map(|answer| learned(answer, at)).take(MAX_LESSONS).collect()
}

fn learned(answer: &Answer, at: Timestamp) -> Vec<Lesson> {
    let holds =
        |node: &NodeUri, value: &Value, by| Lesson::Holds(KnownNode { node: node.clone(), value: known(node, value), by, at });
    let done = answer.succeeded();
    match &answer.command {
        Command::Atomic { .. } => {
            // What was rolled back has another status, and what stands alone counts as what it is.
            answer.members.iter().flat_map(|member| learned(member, at)).collect()
        }
        Command::Get { target } if answer.status == Some(StatusCode::NOT_FOUND) && target.question().is_none() => {
            vec![Lesson::Gone(target.clone())]
        }
        Command::Get { .. } if done => answer
            .readings
            .iter()
            .flat_map(|reading| {
                let is_interior = reading.value.format == Format::Node && reading.node.question().is_none();
                let names = || reading.value.children().map(str::to_owned).collect();
                // A list tells of the children by telling of themselves.
                let children =
                    (is_interior && answer.readings.len() == 1).then(|| Lesson::Children(reading.node.clone(), names()));
                std::iter::once(holds(&reading.node, &reading.value, LearnedBy::Read)).chain(children)
            })
            .collect(),
        Command::Delete { target } if done => vec![Lesson::Gone(target.clone())],
        Command::Add { target, value } | Command::Replace { target, value } if done && target.question().is_none() => {
            vec![holds(target, value, LearnedBy::Written)]
        }
        // A property may have changed what else is known of the node.
        Command::Copy { target, .. } | Command::Replace { target, .. } if done => vec![Lesson::Gone(target.clone())],
        _ => Vec::new(),
    }
}

fn known(node: &NodeUri, value: &Value) -> KnownValue {
    let kept = (value.data.len() <= MAX_VALUE && !is_secret(node)).then(|| value.data.clone());
    KnownValue {
        format: value.format,
        media_type: value.media_type.clone(),
        data: kept,
        size: u64::try_from(value.data.len()).unwrap_or(u64::MAX),
    }
}

/// Whether the name says that what the node holds is nobody's to see.
#[must_use]
pub fn is_secret(node: &NodeUri) -> bool {
    let name = node.name().to_ascii_lowercase();
    node.question().is_none() && (name == "pin" || SECRETS.iter().any(|secret| name.contains(secret)))
}

#[cfg(test)]
mod tests {
    use dmwsi_objects::Reading;

    use super::*;

    fn node(text: &str) -> NodeUri {
        NodeUri::parse(text).unwrap()
    }

    fn lesson(command: Command, status: u16, readings: Vec<Reading>) -> Vec<Lesson> {
        let answer = Answer { readings, ..Answer::with(command, StatusCode(status)) };
        lessons(&[answer], Timestamp::from_micros(1))
    }

    #[test]
    fn what_is_read_written_and_removed_is_known_and_what_failed_is_not() {
        let get = Command::Get { target: node("./A") };
        let reading = |at: &str, value: Value| Reading { node: node(at), value };
        let learned = lesson(get.clone(), 200, vec![reading("./A", Value::node(&["b", "c"]))]);
        assert!(
            matches!(&learned[..], [Lesson::Holds(_), Lesson::Children(at, names)] if at == &node("./A") && names == &["b", "c"])
        );
        assert_eq!(lesson(get.clone(), 404, vec![]), [Lesson::Gone(node("./A"))]);
        assert_eq!(lesson(get, 425, vec![]), []);
        let replace = Command::Replace { target: node("./A/b"), value: Value::text("x") };
        let learned = lesson(replace.clone(), 200, vec![]);
        assert!(
            matches!(&learned[..], [Lesson::Holds(known)] if known.by == LearnedBy::Written && known.value.data.as_deref() == Some("x"))
        );
        assert_eq!(lesson(replace, 216, vec![]), [], "rolled back");
        assert_eq!(lesson(Command::Delete { target: node("./A") }, 200, vec![]), [Lesson::Gone(node("./A"))]);
    }

    #[test]
    fn secrets_are_known_to_be_there_and_nothing_more() {
        for name in ["./DMAcc/1/AppAuth/C/AAuthSecret", "./Wifi/Password", "./Sim/PIN"] {
            let learned = lesson(Command::Replace { target: node(name), value: Value::text("hidden") }, 200, vec![]);
            assert!(
                matches!(&learned[..], [Lesson::Holds(known)] if known.value.data.is_none() && known.value.size == 6),
                "{name}"
            );
        }
        assert!(!is_secret(&node("./Vendor/Spin")) && !is_secret(&node("./Wifi/Password?prop=ACL")));
    }
}
