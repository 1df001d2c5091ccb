//! Changing several nodes together.
use dmwsi_objects::{Answer, Command, Format, NodeUri, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::node_value::{check_node, check_value, invalid, value};
use super::patience::Patience;
use super::{Context, End, EndWord, Input, NodeOutcome, NodeResult, Phase, Step, too_many};
use crate::Result;
use crate::evidence::Fact;
use crate::profile::AtomicManner;

/// The most commands of one operation.
const MAX_COMMANDS: usize = 50;

const CHANGING: Phase = Phase { name: "CHANGING", progress: 50 };

/// What to change, all of it or nothing.
///
/// How it ends:
///
/// * `CHANGED`: all of it was done.
/// * `ROLLED_BACK`: one command failed, and nothing was changed.
/// * `NOT_ROLLED_BACK`: one command failed, and others were done and stay. The results say which.
/// * `ROLLBACK_FAILED`: one command failed, and the device could not undo others.
/// * `OUTCOME_UNKNOWN`: an answer was lost, and what came later leaves open whether it had told of success.
/// * Any word of `NodeOutcome`: that is what the device said of the whole, such as `NOT_SUPPORTED` where it does not change nodes together and `TOO_LARGE` where the commands or their answers do not fit into one message. Nothing was changed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"commands": [{"command": "ADD", "node": "./Vendor/Test/Name", "value": "blue"}, {"command": "DELETE", "node": "./Vendor/Test/Old"}]}))]
pub struct NodesAtomicRequest {
    /// The commands, 1 to 50, in the order in which they are carried out. They must fit into one message of the device.
    #[schema(min_items = 1, max_items = 50)]
    pub commands: Vec<AtomicCommand>,
}

/// One of several commands that are carried out together.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"command": "REPLACE", "node": "./Vendor/Test/Text", "value": "blue"}))]
pub struct AtomicCommand {
    /// What to do.
    pub command: AtomicVerb,
    /// The node.
    #[schema(value_type = String, max_length = 1024)]
    pub node: NodeUri,
    /// The leaf that a COPY takes the value from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub source: Option<NodeUri>,
    /// The format of the value: `chr` when absent.
    #[serde(default)]
    #[schema(value_type = String, max_length = 8)]
    pub format: Format,
    /// The media type of the value.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub media_type: Option<String>,
    /// The value of an ADD or a REPLACE as text, `bin` and `b64` as base64, at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub value: Option<String>,
}

/// What can be done together with others.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AtomicVerb {
    /// Create the node; it must not be there.
    Add,
    /// Give the node the value of another one.
    Copy,
    /// Remove the node and all below it.
    Delete,
    /// Give the node another value; it must be there.
    Replace,
}

impl AtomicCommand {
    fn check(&self, pointer: &str) -> Result<()> {
        check_node(&format!("{pointer}/node"), &self.node)?;
        let has_value = matches!(self.command, AtomicVerb::Add | AtomicVerb::Replace);
        let may_lack = self.command == AtomicVerb::Add && matches!(self.format, Format::Node | Format::Null);
        match (&self.value, &self.source) {
            (Some(_), _) if !has_value => invalid(format!("{pointer}/value"), "only an ADD or a REPLACE has a value"),
            (None, _) if has_value && !may_lack => invalid(format!("{pointer}/value"), "a value is needed"),
            (_, None) if self.command == AtomicVerb::Copy => invalid(format!("{pointer}/source"), "a COPY needs a source"),
            (_, Some(_)) if self.command != AtomicVerb::Copy => invalid(format!("{pointer}/source"), "only a COPY has a source"),
            (_, Some(source)) => check_node(&format!("{pointer}/source"), source),
            _ => check_value(pointer, self.format, self.value.as_deref()),
        }
    }

    fn command(&self) -> Command {
        let target = self.node.clone();
        let value = value(self.format, self.media_type.as_ref(), self.value.as_ref());
        match (self.command, &self.source) {
            (AtomicVerb::Add, _) => Command::Add { target, value },
            (AtomicVerb::Copy, Some(source)) => Command::Copy { source: source.clone(), target },
            (AtomicVerb::Delete, _) => Command::Delete { target },
            (AtomicVerb::Copy, None) | (AtomicVerb::Replace, _) => Command::Replace { target, value },
        }
    }
}

impl NodesAtomicRequest {
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MAX_COMMANDS).contains(&self.commands.len()) {
            return Err(too_many("/commands", MAX_COMMANDS));
        }
        self.commands.iter().enumerate().try_for_each(|(at, command)| command.check(&format!("/commands/{at}")))
    }
}

/// Changes nodes together, in order: all or none. What a device makes of that which cannot do so is told command by command. It rests without a
/// limit of its own, and the job's expiry ends it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesAtomic {
    version: u8,
    members: Vec<Command>,
    /// They were sent, and the answer was lost.
    #[serde(default)]
    lost: bool,
    #[serde(default)]
    busy: Patience,
}

impl NodesAtomic {
    pub(super) fn begin(request: NodesAtomicRequest) -> Self {
        Self {
            version: 1,
            members: request.commands.iter().map(AtomicCommand::command).collect(),
            lost: false,
            busy: Patience::default(),
        }
    }

    pub(super) fn step(&mut self, input: Input<'_>, cx: &Context<'_>) -> Step {
        match input {
            Input::Alert(_) => Step::default(),
            Input::Answers(answers) => answers.first().map_or_else(|| Step::rest(CHANGING, None), |answer| self.answered(answer)),
            Input::TimedOut => Step::failed(EndWord::TIMED_OUT, None),
            Input::Turn if matches!(cx.facts.traits.atomic, Some(AtomicManner::Silent | AtomicManner::Unsupported)) => {
                let detail = "the device is known not to change nodes together: nothing was sent".to_owned();
                Step::failed(NodeOutcome::NotSupported, detail)
            }
            Input::Turn => Step::send(CHANGING, vec![Command::Atomic { members: self.members.clone() }]),
        }
    }

    fn answered(&mut self, answer: &Answer) -> Step {
        let facts = vec![Fact::answer(answer)];
        let is_unheard = answer.status.is_none() && answer.members.iter().all(|member| member.status.is_none());
        if is_unheard || answer.was_passed_over() {
            self.lost |= is_unheard;
            return Step::rest(CHANGING, None).learned(facts);
        }
        if self.busy.waits(NodeOutcome::of(answer.status)) {
            return Step::rest(CHANGING, None).learned(facts);
        }
        let results: Vec<_> = answer.members.iter().map(|member| result(member, answer.status)).collect();
        let mut end = self.end(answer, &results);
        end.results = results;
        end.learned(facts)
    }

    fn end(&self, answer: &Answer, results: &[NodeResult]) -> Step {
        let count = |outcome: NodeOutcome| results.iter().filter(|result| result.outcome == outcome).count();
        let (total, done) = (results.len(), results.iter().filter(|result| result.outcome.is_success()).count());
        let is_whole = answer.status.is_none_or(StatusCode::is_success);
        if is_whole && done == total {
            return Step::done(End::Succeeded, EndWord::CHANGED, None);
        }
        let why = results.iter().find(|result| !is_consequence(result.outcome)).map(|result| {
            format!("{} of {} failed: {}", result.command, result.node.as_deref().unwrap_or_default(), result.outcome.as_str())
        });
        let why = why.unwrap_or_else(|| match answer.status {
            Some(status) => format!("the device answered {status} to the whole"),
            None => "the device answered nothing to the whole".to_owned(),
        });
        // One that cannot be rolled back where that is asked for, or a device that only does one after the other.
        let stuck = count(NodeOutcome::RollbackFailed);
        if stuck > 0 {
            let detail = format!("{why}; {stuck} of {total} were done and could not be undone");
            return Step::failed(EndWord::ROLLBACK_FAILED, detail);
        }
        // Whatever is said of the whole: what a member did, and nobody undid, stays.
        if done > 0 {
            let stay = if is_whole {
                format!("the device does not change nodes together, and {done} of {total} changes stay")
            } else {
                format!("{done} of {total} changes were not undone")
            };
            return Step::failed(EndWord::NOT_ROLLED_BACK, format!("{why}; {stay}"));
        }
        if count(NodeOutcome::AnswerLost) > 0 || self.lost && was_made_before(answer) {
            return Step::failed(EndWord::OUTCOME_UNKNOWN, format!("{why}; an answer was lost, and may have told of success"));
        }
        let is_begun = answer.members.iter().any(|member| member.status.is_some());
        match answer.status {
            None => Step::failed(EndWord::ROLLED_BACK, format!("{why}; nothing was changed")),
            Some(status) if status.is_success() || status == StatusCode::ATOMIC_FAILED => {
                Step::failed(EndWord::ROLLED_BACK, format!("{why}; nothing was changed"))
            }
            // It is not cut: what is done together must come in one message.
            Some(StatusCode::TOO_LARGE) if !is_begun => {
                Step::failed(NodeOutcome::TooLarge, "the commands do not fit into one message of the device".to_owned())
            }
            Some(StatusCode(517)) => {
                let detail = "the answers do not fit into one message of the device; nothing was changed".to_owned();
                Step::failed(NodeOutcome::TooLarge, detail)
            }
            status if is_begun => Step::failed(NodeOutcome::of(status), format!("{why}; nothing was changed")),
            status => Step::failed(NodeOutcome::of(status), format!("the device did not begin: {why}")),
        }
    }
}

/// What became of one command, where the device may have said it of all of them only.
fn result(member: &Answer, whole: Option<StatusCode>) -> NodeResult {
    let result = NodeResult::of(member);
    let outcome = match (member.status, whole) {
        (None, Some(status)) if status.is_success() => NodeOutcome::Done,
        (None, Some(StatusCode::ATOMIC_FAILED)) => NodeOutcome::NotExecuted,
        (None, Some(status)) => NodeOutcome::of(Some(status)),
        _ => result.outcome,
    };
    NodeResult { outcome, ..result }
}

/// Whether it only follows from what became of another.
const fn is_consequence(outcome: NodeOutcome) -> bool {
    matches!(outcome, NodeOutcome::Done | NodeOutcome::NotExecuted | NodeOutcome::RolledBack | NodeOutcome::RollbackFailed)
}

/// Whether what failed may have failed because an earlier try had succeeded.
fn was_made_before(answer: &Answer) -> bool {
    answer.members.iter().any(|member| {
        let proof = (member.command.name(), member.status);
        matches!(proof, ("Add", Some(StatusCode::ALREADY_EXISTS)) | ("Delete", Some(StatusCode::NOT_FOUND)))
    })
}
