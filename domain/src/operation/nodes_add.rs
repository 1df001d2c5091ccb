//! Creating nodes.
use dmwsi_objects::{Command, Format, NodeUri};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::command_list::CommandList;
use super::node_value::{check_node, check_value, invalid, value};
use super::tally::Words;
use super::{Context, EndWord, Input, Phase, Step, too_many};
use crate::Result;

/// The most nodes of one operation.
const MAX_NODES: usize = 100;

const WORDS: Words = Words {
    phase: Phase { name: "ADDING", progress: 50 },
    all: EndWord::ADDED,
    some: EndWord::PARTLY_ADDED,
    none: EndWord::NOT_ADDED,
};

/// Which nodes to create.
///
/// How it ends:
///
/// * `ADDED`: every node was created.
/// * `PARTLY_ADDED`: some were, and stay. It has failed, and the results say which were not, and why.
/// * `NOT_ADDED`: none was.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"nodes": [{"node": "./Vendor/Test/Name", "value": "blue"}, {"node": "./Vendor/Test/More", "format": "node"}]}))]
pub struct NodesAddRequest {
    /// The nodes, 1 to 100, in the order in which they are created: a parent stands before its children.
    #[schema(min_items = 1, max_items = 100)]
    pub nodes: Vec<NewNode>,
}

/// A node that is not there yet.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"node": "./Vendor/Test/Name", "format": "chr", "type": "text/plain", "value": "blue"}))]
pub struct NewNode {
    /// Its address.
    #[schema(value_type = String, max_length = 1024)]
    pub node: NodeUri,
    /// The format of its value: `chr` when absent; `node` for an interior node.
    #[serde(default)]
    #[schema(value_type = String, max_length = 8)]
    pub format: Format,
    /// The media type of its value, or the identifier of a management object on an interior node.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub media_type: Option<String>,
    /// The value as text, `bin` and `b64` as base64, at most 64 KiB. An interior node has none, a leaf has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub value: Option<String>,
}

impl NewNode {
    fn check(&self, pointer: &str) -> Result<()> {
        check_node(&format!("{pointer}/node"), &self.node)?;
        if self.node.segments().next().is_none() {
            return invalid(format!("{pointer}/node"), "the root is always there");
        }
        if self.value.is_none() && !matches!(self.format, Format::Node | Format::Null) {
            return invalid(format!("{pointer}/value"), "a leaf needs a value");
        }
        check_value(pointer, self.format, self.value.as_deref())
    }

    fn command(&self) -> Command {
        let value = value(self.format, self.media_type.as_ref(), self.value.as_ref());
        Command::Add { target: self.node.clone(), value }
    }
}

impl NodesAddRequest {
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MAX_NODES).contains(&self.nodes.len()) {
            return Err(too_many("/nodes", MAX_NODES));
        }
        self.nodes.iter().enumerate().try_for_each(|(at, node)| node.check(&format!("/nodes/{at}")))
    }
}

/// Creates nodes, each by itself: one that is refused does not keep the others from being made. It rests without a limit of its own, and the
/// job's expiry ends it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesAdd {
    version: u8,
    list: CommandList,
}

impl NodesAdd {
    pub(super) fn begin(request: NodesAddRequest) -> Self {
        Self { version: 1, list: CommandList::new(request.nodes.iter().map(NewNode::command)) }
    }

    /// The length of the longest value to be sent, in bytes of text.
    pub(super) fn longest(&self) -> usize {
        self.list.longest()
    }

    pub(super) fn step(&mut self, input: Input<'_>, _cx: &Context<'_>) -> Step {
        match input {
            Input::Alert(_) => Step::default(),
            Input::Answers(answers) => self.list.answered(answers, &WORDS),
            Input::TimedOut => Step::failed(EndWord::TIMED_OUT, None),
            Input::Turn => Step::send(WORDS.phase, self.list.commands()),
        }
    }
}
