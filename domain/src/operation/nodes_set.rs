//! Changing nodes.
use dmwsi_objects::{Answer, Command, Format, NodeUri, StatusCode, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::node_value::check_value;
use super::patience::Patience;
use super::tally::{Tally, Words};
use super::{Context, EndWord, Input, Next, NodeOutcome, NodeResult, Phase, Step, too_many};
use crate::evidence::Fact;
use crate::{Error, Result};

/// The most changes of one operation.
const MAX_CHANGES: usize = 100;

const WORDS: Words = Words {
    phase: Phase { name: "CHANGING", progress: 50 },
    all: EndWord::CHANGED,
    some: EndWord::PARTLY_CHANGED,
    none: EndWord::NOT_CHANGED,
};

/// Which nodes to change, and how.
///
/// How it ends:
///
/// * `CHANGED`: every change was made.
/// * `PARTLY_CHANGED`: some were, and stay. It has failed, and the results say which were not, and why.
/// * `NOT_CHANGED`: none was.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"changes": [{"node": "./Vendor/Test/Name", "value": "blue"}, {"command": "REPLACE", "node": "./Vendor/Test/Number", "format": "int", "value": "7"}]}))]
pub struct NodesSetRequest {
    /// The changes, 1 to 100, in the order in which they are sent.
    #[schema(min_items = 1, max_items = 100)]
    pub changes: Vec<Change>,
}

/// A change of one node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"node": "./Vendor/Test/Name", "value": "blue"}))]
pub struct Change {
    /// How to change it.
    #[serde(default)]
    pub command: ChangeCommand,
    /// The node.
    #[schema(value_type = String, max_length = 1024)]
    pub node: NodeUri,
    /// The format of the value: `chr` when absent.
    #[serde(default)]
    #[schema(value_type = String, max_length = 8)]
    pub format: Format,
    /// The media type of the value.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub media_type: Option<String>,
    /// The value as text, `bin` and `b64` as base64, at most 64 KiB. A `DELETE` has none, an `EXEC` may have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub value: Option<String>,
}

/// How to change a node.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChangeCommand {
    /// Create it; it must not be there.
    Add,
    /// Remove it and all below it.
    Delete,
    /// Start what it stands for.
    Exec,
    /// Give it another value; it must be there.
    Replace,
    /// Give it a value, and create it where it is not there.
    #[default]
    Set,
}

impl NodesSetRequest {
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MAX_CHANGES).contains(&self.changes.len()) {
            return Err(too_many("/changes", MAX_CHANGES));
        }
        for (at, change) in self.changes.iter().enumerate() {
            let invalid =
                |field: &str, detail: &str| Err(Error::invalid(format!("/changes/{at}/{field}"), "INVALID_ARGUMENT", detail));
            let interior = change.format == Format::Node;
            match (&change.value, change.command) {
                (Some(_), ChangeCommand::Delete) => return invalid("value", "a DELETE has no value"),
                (None, ChangeCommand::Replace | ChangeCommand::Set) => return invalid("value", "a value is needed"),
                (None, ChangeCommand::Add) if !interior => return invalid("value", "a value is needed"),
                _ => check_value(&format!("/changes/{at}"), change.format, change.value.as_deref())?,
            }
        }
        Ok(())
    }
}

/// Makes the changes one after the other. A lost answer is asked for again where that does no harm; an Exec is never sent twice. It rests without
/// a limit of its own, and the job's expiry ends it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesSet {
    version: u8,
    waiting: Vec<Waiting>,
    #[serde(default)]
    tally: Tally,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    change: Change,
    /// The node was not there when it was to be replaced, so it is added.
    #[serde(default)]
    absent: bool,
    /// It was sent, and the answer was lost.
    #[serde(default)]
    lost: bool,
    #[serde(default)]
    busy: Patience,
}

impl Waiting {
    fn command(&self) -> Command {
        let target = self.change.node.clone();
        let value = || Value {
            format: self.change.format,
            media_type: self.change.media_type.clone(),
            data: self.change.value.clone().unwrap_or_default(),
        };
        match self.change.command {
            ChangeCommand::Add => Command::Add { target, value: value() },
            ChangeCommand::Delete => Command::Delete { target },
            ChangeCommand::Exec => Command::Exec { target, correlator: None, value: self.change.value.is_some().then(value) },
            ChangeCommand::Set if self.absent => Command::Add { target, value: value() },
            ChangeCommand::Replace | ChangeCommand::Set => Command::Replace { target, value: value() },
        }
    }

    /// Whether the status says that the change is made, also by an earlier try whose answer was lost.
    fn is_made(&self, status: StatusCode) -> bool {
        status.is_success()
            || self.lost
                && matches!(
                    (self.change.command, status),
                    (ChangeCommand::Add, StatusCode::ALREADY_EXISTS) | (ChangeCommand::Delete, StatusCode::NOT_FOUND)
                )
    }
}

impl NodesSet {
    pub(super) fn begin(request: NodesSetRequest) -> Self {
        let waiting = request
            .changes
            .into_iter()
            .map(|change| Waiting { change, absent: false, lost: false, busy: Patience::default() })
            .collect();
        Self { version: 1, waiting, tally: Tally::default() }
    }

    /// The length of the longest value to be sent, in bytes of text.
    pub(super) fn longest(&self) -> usize {
        self.waiting.iter().filter_map(|waiting| waiting.change.value.as_ref()).map(String::len).max().unwrap_or_default()
    }

    pub(super) fn step(&mut self, input: Input<'_>, _cx: &Context<'_>) -> Step {
        match input {
            Input::Alert(_) => Step::default(),
            Input::Answers(answers) => self.answered(answers),
            Input::TimedOut => Step::failed(EndWord::TIMED_OUT, None),
            Input::Turn => Step::send(WORDS.phase, self.commands()),
        }
    }

    /// What to send now. A SET may turn out to be an Add in the next message; no other change that comes after it may overtake it.
    fn commands(&self) -> Vec<Command> {
        let mut undecided = false;
        let in_order = self.waiting.iter().take_while(|waiting| {
            let may_be_absent = waiting.change.command == ChangeCommand::Set && !waiting.absent;
            let goes = may_be_absent || !undecided;
            undecided |= may_be_absent;
            goes
        });
        in_order.map(Waiting::command).collect()
    }

    fn answered(&mut self, answers: &[Answer]) -> Step {
        let mut step = Step::default();
        let mut again = Vec::new();
        let mut lost = false;
        let mut answers = answers.iter();
        for mut waiting in std::mem::take(&mut self.waiting) {
            let Some(answer) = answers.next() else {
                again.push(waiting);
                continue;
            };
            let is_exec = waiting.change.command == ChangeCommand::Exec;
            match answer.status {
                status if waiting.busy.waits(NodeOutcome::of(status)) => {
                    lost = true;
                    again.push(waiting);
                }
                None if !is_exec => {
                    step.facts.push(Fact::answer(answer));
                    waiting.lost = true;
                    lost = true;
                    again.push(waiting);
                }
                Some(StatusCode::NOT_FOUND) if waiting.change.command == ChangeCommand::Set && !waiting.absent => {
                    waiting.absent = true;
                    again.push(waiting);
                }
                status => {
                    let mut result = NodeResult::of(answer);
                    if waiting.lost && status.is_some_and(|status| waiting.is_made(status)) {
                        result.outcome = NodeOutcome::Done;
                    }
                    self.tally.count(result.outcome);
                    step.facts.push(Fact::answer(answer));
                    step.results.push(result);
                }
            }
        }
        self.waiting = again;
        step.next = match (self.waiting.is_empty(), lost) {
            (true, _) => self.tally.end(&WORDS).next,
            (false, true) => Next::Rest(WORDS.phase, None),
            (false, false) => Next::Send(WORDS.phase, self.commands()),
        };
        step
    }
}
