//! Reading nodes.
use std::collections::HashSet;

use dmwsi_objects::{Answer, Command, NodeUri};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::patience::Patience;
use super::{Context, End, EndWord, Input, Next, NodeResult, Phase, Step, too_many};
use crate::evidence::Fact;
use crate::{Error, Result};

/// The most nodes of one operation.
const MAX_NODES: usize = 100;

/// The most results that one operation brings.
const MAX_RESULTS: usize = 1_000;

const READING: Phase = Phase { name: "READING", progress: 50 };

/// Which nodes to read.
///
/// How it ends:
///
/// * `READ`: every node was read.
/// * `PARTLY_READ`: some were, and the results say why the others were not. It has succeeded all the same.
/// * `NODES_UNREADABLE`: none was.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"nodes": ["./DevInfo/Man", "./DevDetail/FwV", "./DevDetail?prop=Type"]}))]
pub struct NodesGetRequest {
    /// The addresses, 1 to 100, each once; an interior node gives the names of its children, `?prop=Type` and the like ask for a property.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 100, max_length = 1024, example = json!(["./DevInfo/Man", "./DevDetail/FwV"]))]
    pub nodes: Vec<NodeUri>,
}

impl NodesGetRequest {
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MAX_NODES).contains(&self.nodes.len()) {
            return Err(too_many("/nodes", MAX_NODES));
        }
        let mut seen = HashSet::new();
        match self.nodes.iter().position(|node| !seen.insert(node)) {
            Some(at) => Err(Error::invalid(format!("/nodes/{at}"), "DUPLICATE", "the node is named twice")),
            None => Ok(()),
        }
    }
}

/// Reads what was asked for. A Get does no harm, so what was lost with a session is asked again in the next; it rests without a limit of its
/// own, and the job's expiry ends it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesGet {
    version: u8,
    waiting: Vec<NodeUri>,
    read: u32,
    refused: u32,
    /// How many results it brought.
    #[serde(default)]
    brought: usize,
    #[serde(default)]
    busy: Patience,
}

impl NodesGet {
    pub(super) fn begin(request: NodesGetRequest) -> Self {
        Self { version: 1, waiting: request.nodes, read: 0, refused: 0, brought: 0, busy: Patience::default() }
    }

    pub(super) fn step(&mut self, input: Input<'_>, _cx: &Context<'_>) -> Step {
        match input {
            Input::Alert(_) => Step::default(),
            Input::Answers(answers) => self.answered(answers),
            Input::TimedOut => Step::failed(EndWord::TIMED_OUT, None),
            Input::Turn => {
                let commands = self.waiting.iter().map(|node| Command::Get { target: node.clone() }).collect();
                Step::send(READING, commands)
            }
        }
    }

    fn answered(&mut self, answers: &[Answer]) -> Step {
        let mut step = Step::default();
        let waits = self.busy.waits_of(answers);
        for answer in answers {
            if waits(answer) {
                step.facts.push(Fact::answer(answer));
                continue;
            }
            self.waiting.retain(|node| Some(node) != answer.command.target());
            if answer.succeeded() {
                self.read = self.read.saturating_add(1)
            } else {
                self.refused = self.refused.saturating_add(1)
            }
            // A list may tell of very many.
            let room = MAX_RESULTS.saturating_sub(self.brought.saturating_add(self.waiting.len())).max(1);
            step.results.extend(NodeResult::each_of(answer).into_iter().take(room));
        }
        self.brought = self.brought.saturating_add(step.results.len());
        step.next = match (self.waiting.is_empty(), self.read, self.refused) {
            (false, ..) => Next::Rest(READING, None),
            (true, 0, _) => Step::failed(EndWord::NODES_UNREADABLE, "the device gave none of the nodes".to_owned()).next,
            (true, _, 0) => Step::done(End::Succeeded, EndWord::READ, None).next,
            (true, ..) => Step::done(End::Succeeded, EndWord::PARTLY_READ, "some nodes are absent or unreadable".to_owned()).next,
        };
        step
    }
}
