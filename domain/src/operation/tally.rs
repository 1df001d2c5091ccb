//! How many of several commands succeeded, and what that makes of the whole.
use serde::{Deserialize, Serialize};

use super::{End, EndWord, NodeOutcome, Phase, Step};

/// What a list of commands is called while it runs and when it has ended.
pub(super) struct Words {
    /// While it runs.
    pub(super) phase: Phase,
    /// When all succeeded.
    pub(super) all: EndWord,
    /// When some did.
    pub(super) some: EndWord,
    /// When none did.
    pub(super) none: EndWord,
}

/// How many succeeded.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tally {
    done: u32,
    refused: u32,
    /// What became of the first that did not succeed.
    #[serde(default)]
    why: Option<NodeOutcome>,
}

impl Tally {
    /// Counts one.
    pub(super) fn count(&mut self, outcome: NodeOutcome) {
        if outcome.is_success() {
            self.done = self.done.saturating_add(1);
        } else {
            self.refused = self.refused.saturating_add(1);
            self.why = self.why.or(Some(outcome));
        }
    }

    /// The end, when all are counted.
    pub(super) fn end(&self, words: &Words) -> Step {
        let total = self.done.saturating_add(self.refused);
        let detail = self.why.map(|why| match total {
            1 => format!("it did not succeed: {}", why.as_str()),
            _ => format!("{} of {total} did not succeed, the first of them: {}", self.refused, why.as_str()),
        });
        match (self.done, self.refused) {
            (_, 0) => Step::done(End::Succeeded, words.all, None),
            (0, _) => Step::failed(words.none, detail),
            _ => Step::failed(words.some, detail),
        }
    }
}
