//! What can go wrong, told by who can act on it.
use std::error::Error as StdError;

/// The cause of a failure: for the log, never for a caller.
pub type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, told by who can act: the caller (`NotFound`, `Invalid`, `Conflict`, `Exists`, `Forbidden`), time (`Unavailable`), or us
/// (`Internal`). `Display` is fit for the caller; the cause is for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is well formed but the present state forbids it. `code` is stable and upper snake case.
    #[error("{detail}")]
    Conflict {
        /// The stable code.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
    },
    /// Something of that identity is there already.
    #[error("{what} exists already")]
    Exists {
        /// What exists, as a noun.
        what: &'static str,
    },
    /// The caller may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The fault is ours. The cause goes to the log.
    #[error("internal error")]
    Internal(#[source] Cause),
    /// The request says something that cannot be. `pointer` is a JSON pointer into the body, or empty.
    #[error("{detail}")]
    Invalid {
        /// Where in the request, as a JSON pointer (`/target/deviceIds/3`).
        pointer: String,
        /// The stable code.
        code: &'static str,
        /// A sentence for the caller.
        detail: String,
    },
    /// There is no such thing, or it is not the caller's to know of.
    #[error("there is no such {what}")]
    NotFound {
        /// What was looked for, as a noun.
        what: &'static str,
    },
    /// Somebody else changed the thing meanwhile: read again, decide again.
    #[error("the {what} was changed meanwhile")]
    Stale {
        /// What changed, as a noun.
        what: &'static str,
    },
    /// Worth trying again a little later.
    #[error("temporarily unavailable")]
    Unavailable(#[source] Cause),
}

impl Error {
    /// A fault of ours, with what caused it.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    /// A request that says something impossible at `pointer`.
    pub fn invalid(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { pointer: pointer.into(), code, detail: detail.into() }
    }

    /// A request that the present state forbids.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }
}
