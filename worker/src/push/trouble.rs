//! Why a notification could not be handed over.
use std::io;
use std::time::Duration;

use dmwsi_domain::Timestamp;
use dmwsi_store::wakes::{Trouble, Woken};

use crate::egress::Unreachable;

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// It would be the same the next time.
    Final { code: String },
    /// The server does not connect to that address.
    Forbidden,
    /// It is worth another attempt, perhaps at a time that somebody named.
    Passing { code: String, not_before: Option<Duration> },
}

impl Failure {
    pub(super) fn passing(code: &str) -> Self {
        Self::Passing { code: code.to_owned(), not_before: None }
    }

    pub(super) fn lasting(code: &str) -> Self {
        Self::Final { code: code.to_owned() }
    }

    /// What is written of it.
    pub(super) fn of(self, woken: &Woken, now: Timestamp) -> Trouble {
        let (code, not_before, is_final) = match self {
            Self::Final { code } => (code, None, true),
            Self::Forbidden => ("ADDRESS_FORBIDDEN".to_owned(), None, true),
            Self::Passing { code, not_before } => (code, not_before.map(|wait| now.plus(wait)), false),
        };
        let Woken { device, attempt, .. } = woken;
        Trouble { device: *device, attempt: *attempt, code, not_before, is_final }
    }
}

impl From<Unreachable> for Failure {
    fn from(error: Unreachable) -> Self {
        match error {
            Unreachable::Forbidden(_) => Self::Forbidden,
            Unreachable::Name(_) => Self::passing("NAME_UNKNOWN"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(_error: io::Error) -> Self {
        Self::passing("DATAGRAM_NOT_SENT")
    }
}
