//! What a server asks of a node, and what the device answers.
use serde::{Deserialize, Serialize};

use crate::{NodeUri, Prompt, StatusCode, Value};

/// What a server asks for (OMA DM RepPro 1.2, 6.6): a command on one node, several of which all or nothing is done, or a question to the user. As
/// JSON it is tagged by `command` in upper case.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "command", rename_all = "UPPERCASE")]
pub enum Command {
    /// Create the node.
    Add {
        /// The node.
        target: NodeUri,
        /// What it holds.
        value: Value,
    },
    /// Tell or ask the user something.
    Alert(Prompt),
    /// Do all of these in order, or none. It holds neither a Get nor an Exec nor another of its kind.
    Atomic {
        /// The commands.
        members: Vec<Self>,
    },
    /// Give the node the value of another one; where it is not there, create it.
    Copy {
        /// The leaf that is read.
        source: NodeUri,
        /// The node that is written.
        target: NodeUri,
    },
    /// Remove the node and all below it.
    Delete {
        /// The node.
        target: NodeUri,
    },
    /// Start what the node stands for.
    Exec {
        /// The node.
        target: NodeUri,
        /// Comes back in the alert that tells the outcome.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        correlator: Option<String>,
        /// The argument.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Value>,
    },
    /// Read the node: the value of a leaf, the children of an interior node, or what the question asks.
    Get {
        /// The node.
        target: NodeUri,
    },
    /// Change the value of a node that is there.
    Replace {
        /// The node.
        target: NodeUri,
        /// What it will hold.
        value: Value,
    },
}

impl Command {
    /// The node it is about, or the one it writes; none where it is about no single node.
    #[must_use]
    pub const fn target(&self) -> Option<&NodeUri> {
        match self {
            Self::Add { target, .. }
            | Self::Copy { target, .. }
            | Self::Delete { target }
            | Self::Exec { target, .. }
            | Self::Get { target }
            | Self::Replace { target, .. } => Some(target),
            Self::Alert(_) | Self::Atomic { .. } => None,
        }
    }

    /// The node as text; empty where it is about no single node.
    #[must_use]
    pub fn target_text(&self) -> &str {
        self.target().map_or("", NodeUri::as_str)
    }

    /// The name of the command on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "Add",
            Self::Alert(_) => "Alert",
            Self::Atomic { .. } => "Atomic",
            Self::Copy { .. } => "Copy",
            Self::Delete { .. } => "Delete",
            Self::Exec { .. } => "Exec",
            Self::Get { .. } => "Get",
            Self::Replace { .. } => "Replace",
        }
    }

    /// The commands that are done with it: those of an Atomic.
    #[must_use]
    pub fn members(&self) -> &[Self] {
        match self {
            Self::Atomic { members } => members,
            _ => &[],
        }
    }

    /// Whether it does no harm to send it again when nobody knows whether it was carried out.
    #[must_use]
    pub const fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Alert(_) | Self::Exec { .. })
    }
}

/// A node as the device described it in a Results.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reading {
    /// The node.
    pub node: NodeUri,
    /// What it holds.
    pub value: Value,
}

/// What became of one command. Answers stand in the order of the commands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// The command.
    pub command: Command,
    /// The device's status; none when the answer was lost, so that nobody knows whether the command was carried out.
    pub status: Option<StatusCode>,
    /// What a Get brought: one reading for a leaf or the children of a node, several for `?list=`.
    #[serde(default)]
    pub readings: Vec<Reading>,
    /// What the user answered: a text, or the numbers of choices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
    /// What became of the commands of an Atomic, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Self>,
    /// The device took a piece of the value for the whole, and holds that piece alone. The status says that the value is too large for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept_piece: bool,
}

impl Answer {
    /// A command of which nothing was heard.
    #[must_use]
    pub fn unheard(command: Command) -> Self {
        let members = command.members().iter().cloned().map(Self::unheard).collect();
        Self { command, status: None, readings: Vec::new(), said: Vec::new(), members, kept_piece: false }
    }

    /// A command with that status and nothing else.
    #[must_use]
    pub fn with(command: Command, status: StatusCode) -> Self {
        Self { status: Some(status), ..Self::unheard(command) }
    }

    /// Whether the device said that it did it, or that it has begun.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(StatusCode::is_success)
    }

    /// Whether it is still to be done: the device was not told, or said that it passed over it (215). Not so when the answer was lost.
    #[must_use]
    pub fn was_passed_over(&self) -> bool {
        self.status == Some(StatusCode::NOT_EXECUTED)
    }

    /// The first value that a Get brought.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        self.readings.first().map(|reading| &reading.value)
    }
}
