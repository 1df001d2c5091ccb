//! Why a message cannot be a part of a session.

/// Why a message was not taken. The session stays as it was before.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The peer's: no `MsgID`, or 0.
    #[error("the message has no number")]
    NoMessageNumber,
    /// The peer's: no `SessionID`.
    #[error("the message names no session")]
    NoSession,
    /// The peer's: no `Source/LocURI`.
    #[error("the message names no source")]
    NoSource,
    /// The peer's: no `Target/LocURI`.
    #[error("the message names no target")]
    NoTarget,
    /// The message belongs to another session: its `SessionID` differs.
    #[error("the message belongs to another session")]
    OtherSession,
    /// The message belongs to another device: its `Source/LocURI` differs.
    #[error("the message comes from another device")]
    OtherSource,
    /// The message is older than the last one, or as old and no answer to a challenge.
    #[error("message {got} came after message {last}")]
    Stale {
        /// The number of the last message taken.
        last: u32,
        /// The number of this one.
        got: u32,
    },
}
