//! What the next reply must say before anything else.
use dmwsi_objects::StatusCode;
use serde::{Deserialize, Serialize};

/// The Statuses that the next reply must have.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Due {
    /// The answer to the header.
    pub(super) header: StatusCode,
    /// The version that is told back, where the device speaks one that this server does not: `VerProto` and `VerDTD`.
    #[serde(default)]
    pub(super) version: Option<(String, String)>,
    /// The device gets a challenge, or the nonce for its next credentials.
    pub(super) challenge: bool,
    /// The answers to the commands, those first that did not fit into the reply before.
    pub(super) commands: Vec<Answered>,
}

/// The answer to a command.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Answered {
    /// `MsgRef`.
    pub(super) message: u32,
    /// `CmdRef`.
    pub(super) command: String,
    /// `Cmd`.
    pub(super) name: String,
    /// The code.
    pub(super) code: StatusCode,
}
