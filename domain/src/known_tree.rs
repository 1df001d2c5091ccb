//! What is known of a device's tree: what its answers told, node by node.
use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::{Answer, Command, Format, NodeUri, Reading, StatusCode, Value};
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
const SECRETS: [&str; 10] =
    ["aauthdata", "clientpw", "passphrase", "passwd", "password", "pincode", "presharedkey", "privatekey", "secret", "serverpw"];

/// How much of a value is looked at to tell whether it is a document, in bytes; a multiple of four.
const BEGINNING: usize = 512;

/// What stands at the beginning of a part of a tree as a document: its outermost element in XML, its type of document in either encoding.
const DOCUMENTS: [&[u8]; 2] = [b"<MgmtTree", b"//DTD-DM-DDF"];

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
    /// How long it is, in bytes of text; 0 where it is secret.
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
        Command::Get { target } if done => {
            let listed = listed(target, &answer.readings);
            let learned = answer.readings.iter().flat_map(|reading| {
                let is_interior = reading.value.format == Format::Node && reading.node.question().is_none();
                let names = || {
                    let listed = listed.get(reading.node.path()).into_iter().flatten().copied();
                    reading.value.children().chain(listed).map(str::to_owned).collect()
                };
                let tells = answer.readings.len() == 1 || !reading.value.data.is_empty() || !listed.is_empty();
                let children = (is_interior && tells).then(|| Lesson::Children(reading.node.clone(), names()));
                std::iter::once(holds(&reading.node, &reading.value, LearnedBy::Read)).chain(children)
            });
            learned.collect()
        }
        Command::Delete { target } if done => vec![Lesson::Gone(target.clone())],
        // It holds the beginning of what was written, and nobody knows how much of it.
        Command::Add { target, .. } | Command::Replace { target, .. } if answer.kept_piece => vec![Lesson::Gone(target.clone())],
        Command::Add { target, value } | Command::Replace { target, value } if done && target.question().is_none() => {
            vec![holds(target, value, LearnedBy::Written)]
        }
        // A property may have changed what else is known of the node.
        Command::Copy { target, .. } | Command::Replace { target, .. } if done => vec![Lesson::Gone(target.clone())],
        _ => Vec::new(),
    }
}

/// The nodes of a list, as the children of those above them. Some lists tell of children by nothing but telling of them; one that holds all
/// below its node says as well which nodes have none. Empty where the answer is none.
fn listed<'r>(target: &NodeUri, readings: &'r [Reading]) -> BTreeMap<&'r str, Vec<&'r str>> {
    let is_list = target.question().is_some_and(|question| question.starts_with("list=")) && readings.len() > 1;
    let mut listed = BTreeMap::<_, Vec<_>>::new();
    for reading in readings.iter().filter(|reading| is_list && reading.node.question().is_none()) {
        if let Some((above, name)) = reading.node.path().rsplit_once('/') {
            listed.entry(above).or_default().push(name);
        }
    }
    listed
}

fn known(node: &NodeUri, value: &Value) -> KnownValue {
    let (is_secret, size) = (is_secret(node), u64::try_from(value.data.len()).unwrap_or(u64::MAX));
    // A part of the tree as a document may hold secrets, whatever the node is called that it came from.
    let is_kept = !is_secret && value.data.len() <= MAX_VALUE && !is_document(value);
    KnownValue {
        format: value.format,
        media_type: value.media_type.clone(),
        data: is_kept.then(|| value.data.clone()),
        size: if is_secret { 0 } else { size },
    }
}

/// Whether the name says that what the node holds is nobody's to see; how long it is neither.
#[must_use]
pub fn is_secret(node: &NodeUri) -> bool {
    let name = node.name().to_ascii_lowercase();
    let tells = node.question().is_none_or(|question| question.eq_ignore_ascii_case("prop=Size"));
    tells && (name == "pin" || SECRETS.iter().any(|secret| name.contains(secret)))
}

/// Whether the value is a part of a tree as one document (TNDS): by its media type or, since some clients have none, by its beginning.
#[must_use]
pub(crate) fn is_document(value: &Value) -> bool {
    if value.media_type.as_deref().is_some_and(|kind| kind.to_ascii_lowercase().contains("dmtnds")) {
        return true;
    }
    let begins = |octets: &[u8]| {
        let begin = octets.get(..BEGINNING).unwrap_or(octets);
        DOCUMENTS.iter().any(|mark| begin.windows(mark.len()).any(|part| part.eq_ignore_ascii_case(mark)))
    };
    let as_base64 = || {
        let begin = value.data.as_bytes().get(..BEGINNING).unwrap_or(value.data.as_bytes());
        BASE64_STANDARD.decode(begin.get(..begin.len() / 4 * 4)?).ok()
    };
    begins(value.data.as_bytes()) || as_base64().is_some_and(|octets| begins(&octets))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
    fn nobody_knows_what_a_node_holds_that_kept_a_piece_of_a_value() {
        let (target, value) = (node("./A"), Value::text("long"));
        let commands = [Command::Add { target: target.clone(), value: value.clone() }, Command::Replace { target, value }];
        for command in commands {
            let refused = Answer::with(command, StatusCode::TOO_LARGE);
            assert_eq!(lessons(std::slice::from_ref(&refused), Timestamp::from_micros(1)), [], "it was refused as a whole");
            let kept = Answer { kept_piece: true, ..refused };
            assert_eq!(lessons(&[kept], Timestamp::from_micros(1)), [Lesson::Gone(node("./A"))]);
        }
    }

    #[test]
    fn secrets_are_known_to_be_there_and_nothing_more() {
        for name in ["./DMAcc/1/AppAuth/C/AAuthSecret", "./Wifi/Password", "./Sim/PIN"] {
            let learned = lesson(Command::Replace { target: node(name), value: Value::text("hidden") }, 200, vec![]);
            assert!(
                matches!(&learned[..], [Lesson::Holds(known)] if known.value.data.is_none() && known.value.size == 0),
                "{name}"
            );
        }
        assert!(!is_secret(&node("./Vendor/Spin")) && !is_secret(&node("./Wifi/Password?prop=ACL")));
        assert!(is_secret(&node("./Wifi/Password?prop=Size")));
    }

    #[test]
    fn nothing_is_kept_of_a_document_that_nobody_could_read() {
        let tree = "<?xml version='1.0'?>\n<MgmtTree xmlns='syncml:dmddf1.2'><Node><NodeName>AAuthSecret</NodeName><Value>hidden</Value>";
        let typed = |kind: &str, data: &str| Value { media_type: Some(kind.to_owned()), ..Value::text(data) };
        let bin = |octets: &[u8]| Value { format: Format::Bin, ..Value::text(BASE64_STANDARD.encode(octets)) };
        let documents = [
            Value::text(tree),
            typed("Application/vnd.syncml.dmtnds+xml", "<broken"),
            bin(tree.as_bytes()),
            bin(b"\x02\x00\x00\x6a\x1a-//OMA//DTD-DM-DDF 1.2//EN\x60"),
        ];
        for value in documents {
            let readings = vec![Reading { node: node("./DMAcc"), value: value.clone() }];
            let learned = lesson(Command::Get { target: node("./DMAcc?list=TNDS") }, 200, readings);
            assert!(
                matches!(&learned[..], [Lesson::Holds(known)] if known.value.data.is_none() && known.value.size > 0),
                "{value:?}"
            );
        }
        assert!(!is_document(&Value::text("MgmtTree")) && !is_document(&Value::text("")));
    }

    #[test]
    fn what_a_whole_tree_does_not_name_any_more_is_gone() {
        let reading = |at: &str, value: Value| Reading { node: node(at), value };
        let told = [
            // A serialised tree names children, a list does not, and a node may have lost all that it had.
            ("./A?list=TNDS", vec![Value::node(&["b", "c"]), Value::node(&["d"]), Value::text("1"), Value::node(&[])]),
            ("./A?list=StructData", vec![Value::node(&[]), Value::node(&[]), Value::text("1"), Value::node(&[])]),
        ];
        for (question, values) in told {
            let readings = ["./A", "./A/b", "./A/b/d", "./A/c"].into_iter().zip(values).map(|(at, value)| reading(at, value));
            let learned = lesson(Command::Get { target: node(question) }, 200, readings.collect());
            let children: Vec<_> = learned
                .iter()
                .filter_map(|lesson| match lesson {
                    Lesson::Children(node, names) => Some((node.as_str(), names.iter().collect::<BTreeSet<_>>())),
                    _ => None,
                })
                .map(|(node, names)| (node, names.into_iter().cloned().collect::<Vec<_>>().join("/")))
                .collect();
            assert_eq!(children, [("./A", "b/c".to_owned()), ("./A/b", "d".to_owned()), ("./A/c", String::new())]);
        }
    }
}
