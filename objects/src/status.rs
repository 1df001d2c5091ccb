//! The codes by which one side answers the other's commands.
use std::fmt;

use serde::{Deserialize, Serialize};

/// A status code (OMA SyncML RepPro 1.2, chapter 10), kept as it came: devices use codes of their own.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct StatusCode(pub u16);

impl StatusCode {
    /// Done; on the header: authenticated for this message only.
    pub const OK: Self = Self(200);
    /// Begun; the outcome is told later by an alert.
    pub const ACCEPTED: Self = Self(202);
    /// Authenticated for the session.
    pub const AUTHENTICATED: Self = Self(212);
    /// A piece of a large object was taken; the next is wanted.
    pub const CHUNK_ACCEPTED: Self = Self(213);
    /// The user cancelled.
    pub const CANCELLED: Self = Self(214);
    /// Not executed.
    pub const NOT_EXECUTED: Self = Self(215);
    /// Rolled back, since another command of its Atomic failed.
    pub const ROLLED_BACK: Self = Self(216);
    /// Not modified: the user said no.
    pub const NOT_MODIFIED: Self = Self(304);
    /// Not understood.
    pub const BAD_REQUEST: Self = Self(400);
    /// Wrong credentials.
    pub const INVALID_CREDENTIALS: Self = Self(401);
    /// Forbidden.
    pub const FORBIDDEN: Self = Self(403);
    /// No such node.
    pub const NOT_FOUND: Self = Self(404);
    /// Not allowed on this node.
    pub const NOT_ALLOWED: Self = Self(405);
    /// Not supported.
    pub const NOT_SUPPORTED: Self = Self(406);
    /// Credentials are missing.
    pub const MISSING_CREDENTIALS: Self = Self(407);
    /// The user did not answer in time.
    pub const TIMED_OUT: Self = Self(408);
    /// A part of the command is missing.
    pub const INCOMPLETE: Self = Self(412);
    /// Too large.
    pub const TOO_LARGE: Self = Self(413);
    /// The format or type is not supported.
    pub const UNSUPPORTED_FORMAT: Self = Self(415);
    /// What was announced is too large.
    pub const SIZE_TOO_BIG: Self = Self(416);
    /// Not now: try again later.
    pub const RETRY_LATER: Self = Self(417);
    /// There already.
    pub const ALREADY_EXISTS: Self = Self(418);
    /// The device is full.
    pub const DEVICE_FULL: Self = Self(420);
    /// The pieces of a large object do not add up to the announced size.
    pub const SIZE_MISMATCH: Self = Self(424);
    /// The access control list forbids it.
    pub const PERMISSION_DENIED: Self = Self(425);
    /// Failed.
    pub const COMMAND_FAILED: Self = Self(500);
    /// Not implemented.
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// That version of the DTD is not supported.
    pub const DTD_VERSION: Self = Self(505);
    /// A command of the Atomic failed.
    pub const ATOMIC_FAILED: Self = Self(507);
    /// That version of the protocol is not supported.
    pub const PROTOCOL_VERSION: Self = Self(513);
    /// The command was carried out and could not be undone when another of its Atomic failed.
    pub const ROLLBACK_FAILED: Self = Self(516);

    /// Whether the command was carried out or has begun: 200, 201 and 202, and 1200 to 1299, which some clients give to an Exec. Other codes
    /// from 200 to 299 say that it was not, not wholly or not yet.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self.0, 200..=202 | 212 | 1200..=1299)
    }

    /// Whether the peer wants credentials, or others: 401 and 407; also 0, which one client sends until the server is authenticated.
    #[must_use]
    pub const fn is_challenge(self) -> bool {
        matches!(self.0, 0 | 401 | 407)
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
