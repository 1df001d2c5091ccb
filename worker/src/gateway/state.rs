//! What is stored of a session between two messages.
use bytes::Bytes;
use dmwsi_domain::id::JobId;
use dmwsi_domain::session_record::SessionRecord;
use dmwsi_protocol::server::{Reply, Session};
use dmwsi_store::SEALED_SESSION;
use serde::{Deserialize, Serialize};

/// The key of an execution.
pub(super) type ExecutionKey = (JobId, u32);

/// What is said to a device.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// The message.
    pub(super) bytes: Bytes,
    /// The MAC over it, as its header says it.
    pub(super) mac: Option<String>,
}

impl From<Reply> for Said {
    fn from(reply: Reply) -> Self {
        Self { bytes: Bytes::from(reply.bytes), mac: reply.mac.map(|mac| mac.to_string()) }
    }
}

/// The last message of a session and its reply. Only its exact repetition is answered with the same bytes.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    /// The MsgID.
    pub(super) message: u32,
    /// SHA-256 of it and of what was shown with it.
    pub(super) hash: [u8; 32],
    /// What was said.
    pub(super) reply: Said,
}

impl Answered {
    /// Whether that message is the same.
    pub(super) fn is(&self, message: u32, hash: &[u8; 32]) -> bool {
        self.message == message && self.hash == *hash
    }
}

/// A session with work, as it stands in its row.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct State {
    /// The session.
    pub(super) session: Session,
    /// The execution whose commands are out.
    pub(super) current: Option<ExecutionKey>,
    /// The executions that had their turn and have nothing more to say in this session.
    pub(super) visited: Vec<ExecutionKey>,
    /// Whether the device was asked for its details in this session.
    pub(super) asked_details: bool,
    /// The MAC that went out with the last reply.
    #[serde(default)]
    pub(super) mac: Option<String>,
    /// What tells the secret by which the device has proven itself; none where it did so before that mattered.
    #[serde(default)]
    pub(super) proven_by: Option<String>,
    /// What is written down of it.
    #[serde(default)]
    pub(super) record: Option<Box<SessionRecord>>,
}

impl State {
    /// What stands in a row; none where it cannot be read, as after a change of its form: such a session is over.
    pub(super) fn read(document: &str) -> Option<Self> {
        // Who has no key for it goes on without.
        if document.starts_with(SEALED_SESSION) {
            return None;
        }
        let read = serde_json::from_str(document);
        if let Err(error) = &read {
            // Not the error itself: it may quote what it stumbled over.
            let (line, column) = (error.line(), error.column());
            tracing::warn!(line, column, "the stored state of a session cannot be read; the session is given up");
        }
        read.ok()
    }

    /// A session that has done nothing yet.
    pub(super) const fn new(session: Session) -> Self {
        Self { session, current: None, visited: Vec::new(), asked_details: false, mac: None, proven_by: None, record: None }
    }
}
