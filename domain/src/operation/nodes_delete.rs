//! Removing nodes.
use std::collections::HashSet;

use dmwsi_objects::{Command, NodeUri};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::command_list::CommandList;
use super::node_value::{check_node, invalid};
use super::tally::Words;
use super::{Context, EndWord, Input, Phase, Step, too_many};
use crate::{Error, Result};

/// The most nodes of one operation.
const MAX_NODES: usize = 100;

const WORDS: Words = Words {
    phase: Phase { name: "DELETING", progress: 50 },
    all: EndWord::DELETED,
    some: EndWord::PARTLY_DELETED,
    none: EndWord::NOT_DELETED,
};

/// Which nodes to remove, each with all below it.
///
/// How it ends:
///
/// * `DELETED`: every node was removed.
/// * `PARTLY_DELETED`: some were. It has failed, and the results say which were not, and why.
/// * `NOT_DELETED`: none was.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"nodes": ["./Vendor/Test/Name", "./Vendor/Test/More"]}))]
pub struct NodesDeleteRequest {
    /// The addresses, 1 to 100, each once, in the order in which they are removed.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 100, max_length = 1024, example = json!(["./Vendor/Test/Name"]))]
    pub nodes: Vec<NodeUri>,
}

impl NodesDeleteRequest {
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MAX_NODES).contains(&self.nodes.len()) {
            return Err(too_many("/nodes", MAX_NODES));
        }
        let mut seen = HashSet::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let pointer = format!("/nodes/{at}");
            check_node(&pointer, node)?;
            if node.segments().next().is_none() {
                return invalid(pointer, "the root cannot be removed");
            }
            if !seen.insert(node) {
                return Err(Error::invalid(pointer, "DUPLICATE", "the node is named twice"));
            }
        }
        Ok(())
    }
}

/// Removes nodes, each by itself. It rests without a limit of its own, and the job's expiry ends it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesDelete {
    version: u8,
    list: CommandList,
}

impl NodesDelete {
    pub(super) fn begin(request: NodesDeleteRequest) -> Self {
        Self { version: 1, list: CommandList::new(request.nodes.into_iter().map(|target| Command::Delete { target })) }
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
