//! What a session acts upon.
use dmwsi_objects::{Command, GenericAlert, Prompt, Reading, StatusCode};

/// A device's nodes, as a session needs them. A copy is taken before an `Atomic` and put back when a member of it fails.
pub trait Nodes: Clone {
    /// The leaves of DevInfo, for package 1.
    fn device(&self) -> Vec<Reading>;

    /// Carries out a command of the server with this identifier.
    fn execute(&mut self, command: &Command, server: &str) -> Outcome;

    /// What is to be told of the Execs that were carried out last, by a device that tells it in the message of their Statuses.
    fn reports(&mut self) -> Vec<GenericAlert> {
        Vec::new()
    }

    /// Shows the user something: the status to answer, and what the user answered. Not supported by what has no screen.
    fn prompt(&mut self, prompt: &Prompt) -> (StatusCode, Vec<String>) {
        let _nobody = prompt;
        (StatusCode::NOT_SUPPORTED, Vec::new())
    }
}

/// What became of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The status to answer.
    pub status: StatusCode,
    /// What a Get brought: several for `?list=`.
    pub readings: Vec<Reading>,
}

impl Outcome {
    /// Done, with nothing to show.
    pub const OK: Self = Self { status: StatusCode::OK, readings: Vec::new() };

    /// Done, with something to show.
    #[must_use]
    pub const fn read(readings: Vec<Reading>) -> Self {
        Self { status: StatusCode::OK, readings }
    }
}

impl From<StatusCode> for Outcome {
    fn from(status: StatusCode) -> Self {
        Self { status, readings: Vec::new() }
    }
}
