//! Which answers mean that the same is asked again in a later session.
use dmwsi_objects::Answer;
use serde::{Deserialize, Serialize};

use super::NodeOutcome;

/// How often a device may say that it is busy.
const MAX_BUSY: u8 = 3;

/// How often a device has said that it is busy, of one question or of one message after the other.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Patience(u8);

impl Patience {
    /// Whether what has that outcome was not begun and is to be sent again: the device passed over it, or is busy, though not for the third time.
    pub(super) fn waits(&mut self, outcome: NodeOutcome) -> bool {
        match outcome {
            NodeOutcome::NotExecuted => true,
            NodeOutcome::Busy => {
                self.0 = self.0.saturating_add(1);
                self.0 < MAX_BUSY
            }
            _ => false,
        }
    }

    /// The same of what does no harm when it is sent twice: it is sent again where the answer was lost, too.
    pub(super) fn waits_or_lost(&mut self, outcome: NodeOutcome) -> bool {
        outcome == NodeOutcome::AnswerLost || self.waits(outcome)
    }

    /// The same of all the questions of a message, of which each does no harm: a busy device has said so once, whatever it was asked. One message
    /// without that, and it has all its patience again.
    pub(super) fn waits_of(&mut self, answers: &[Answer]) -> impl Fn(&Answer) -> bool + use<> {
        let is_busy = answers.iter().any(|answer| NodeOutcome::of(answer.status) == NodeOutcome::Busy);
        let waits = is_busy && self.waits(NodeOutcome::Busy);
        if !is_busy {
            self.0 = 0;
        }
        move |answer| match NodeOutcome::of(answer.status) {
            NodeOutcome::Busy => waits,
            outcome => Self::default().waits_or_lost(outcome),
        }
    }
}
