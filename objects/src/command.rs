//! What a server asks of a node, and what the device answers.
use serde::{Deserialize, Serialize};

use crate::{NodeUri, StatusCode, Value};

/// A command on one node (OMA DM RepPro 1.2, 6.6). As JSON it is tagged by `command` in upper case.
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
    /// The node it is about.
    #[must_use]
    pub const fn target(&self) -> &NodeUri {
        match self {
            Self::Add { target, .. }
            | Self::Delete { target }
            | Self::Exec { target, .. }
            | Self::Get { target }
            | Self::Replace { target, .. } => target,
        }
    }

    /// The name of the command on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "Add",
            Self::Delete { .. } => "Delete",
            Self::Exec { .. } => "Exec",
            Self::Get { .. } => "Get",
            Self::Replace { .. } => "Replace",
        }
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
}

impl Answer {
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
