//! Commands that are sent in order, each until the device has answered it.
use dmwsi_objects::{Answer, Command, StatusCode};
use serde::{Deserialize, Serialize};

use super::patience::Patience;
use super::tally::{Tally, Words};
use super::{Next, NodeOutcome, NodeResult, Step};
use crate::evidence::Fact;

/// Commands that do no harm when they are sent again: one whose answer was lost, that was passed over, or for which the device was busy, is
/// sent again in the next session.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommandList {
    waiting: Vec<Pending>,
    tally: Tally,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pending {
    command: Command,
    /// It was sent, and the answer was lost.
    #[serde(default)]
    lost: bool,
    #[serde(default)]
    busy: Patience,
}

impl CommandList {
    pub(super) fn new(commands: impl IntoIterator<Item = Command>) -> Self {
        let pending = |command| Pending { command, lost: false, busy: Patience::default() };
        Self { waiting: commands.into_iter().map(pending).collect(), tally: Tally::default() }
    }

    /// What to send now.
    pub(super) fn commands(&self) -> Vec<Command> {
        self.waiting.iter().map(|pending| pending.command.clone()).collect()
    }

    /// The length of the longest value to be sent, in bytes of text.
    pub(super) fn longest(&self) -> usize {
        let length = |pending: &Pending| match &pending.command {
            Command::Add { value, .. } | Command::Replace { value, .. } => value.data.len(),
            _ => 0,
        };
        self.waiting.iter().map(length).max().unwrap_or_default()
    }

    /// Takes the answers to what was sent last.
    pub(super) fn answered(&mut self, answers: &[Answer], words: &Words) -> Step {
        let mut step = Step::default();
        let mut answers = answers.iter();
        for mut pending in std::mem::take(&mut self.waiting) {
            let Some(answer) = answers.next() else {
                self.waiting.push(pending);
                continue;
            };
            step.facts.push(Fact::answer(answer));
            if pending.must_wait(answer) {
                self.waiting.push(pending);
                continue;
            }
            let mut result = NodeResult::of(answer);
            if pending.was_made_before(answer.status) {
                result.outcome = NodeOutcome::Done;
            }
            self.tally.count(result.outcome);
            step.results.push(result);
        }
        step.next = if self.waiting.is_empty() { self.tally.end(words).next } else { Next::Rest(words.phase, None) };
        step
    }
}

impl Pending {
    /// Whether it is to be sent again, in the next session.
    fn must_wait(&mut self, answer: &Answer) -> bool {
        let outcome = NodeOutcome::of(answer.status);
        self.lost |= outcome == NodeOutcome::AnswerLost;
        self.busy.waits_or_lost(outcome)
    }

    /// Whether the status says that an earlier try, whose answer was lost, had done it.
    fn was_made_before(&self, status: Option<StatusCode>) -> bool {
        let proof = match self.command {
            Command::Add { .. } => StatusCode::ALREADY_EXISTS,
            Command::Delete { .. } => StatusCode::NOT_FOUND,
            _ => return false,
        };
        self.lost && status == Some(proof)
    }
}
