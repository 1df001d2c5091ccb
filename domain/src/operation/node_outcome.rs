//! What a status code means to whoever asked.
use dmwsi_objects::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $code:tt;)*) => {
        /// What became of a command on a device, whatever code the device has for it.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
        #[schema(example = "DONE")]
        pub enum NodeOutcome {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl NodeOutcome {
            /// Every outcome.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

outcomes! {
    /// The node's address is longer or deeper than the device takes (414).
    AddressTooLong = "ADDRESS_TOO_LONG";
    /// The node is there already (418).
    AlreadyExists = "ALREADY_EXISTS";
    /// The answer was lost: nobody knows whether the device carried it out.
    AnswerLost = "ANSWER_LOST";
    /// One of the commands that are done together failed, so none was done (507).
    AtomicFailed = "ATOMIC_FAILED";
    /// The device is busy and wants to be asked later (417, 503).
    Busy = "BUSY";
    /// The user cancelled (214).
    Cancelled = "CANCELLED";
    /// The node's present state forbids it (403, 409).
    Conflict = "CONFLICT";
    /// The user said no (304).
    Declined = "DECLINED";
    /// Something in the device failed (500 and those above that have no word of their own).
    DeviceError = "DEVICE_ERROR";
    /// The device has no room (420).
    DeviceFull = "DEVICE_FULL";
    /// It is done (200, 212 and 1200 to 1299).
    Done = "DONE";
    /// It was begun, and the device reported that it failed.
    FaultReported = "FAULT_REPORTED";
    /// The node cannot be used so: it is permanent, or of another kind (405).
    NotAllowed = "NOT_ALLOWED";
    /// The device passed over it (215).
    NotExecuted = "NOT_EXECUTED";
    /// There is no such node (404, 410).
    NotFound = "NOT_FOUND";
    /// The device does not know that command, question or property (406, 501).
    NotSupported = "NOT_SUPPORTED";
    /// The node's access control list does not let this server do it (425).
    PermissionDenied = "PERMISSION_DENIED";
    /// It was begun, and the device reported how it ended.
    Reported = "REPORTED";
    /// It was done and could not be undone when another of the commands that are done together failed (516).
    RollbackFailed = "ROLLBACK_FAILED";
    /// It was done and undone, since another of the commands that are done together failed (216).
    RolledBack = "ROLLED_BACK";
    /// The device does not accept this server's credentials (401, 407).
    ServerRefused = "SERVER_REFUSED";
    /// The pieces of a value do not add up to what was announced (411, 424).
    SizeMismatch = "SIZE_MISMATCH";
    /// It has begun (202).
    Started = "STARTED";
    /// The user did not answer in time (408).
    TimedOut = "TIMED_OUT";
    /// The value, or the answer, is larger than one side takes (413, 416, 517).
    TooLarge = "TOO_LARGE";
    /// The device did not understand it, or misses a part of it (400, 412).
    Unintelligible = "UNINTELLIGIBLE";
    /// A code that says nothing to this server.
    Unrecognised = "UNRECOGNISED";
    /// The node does not take a value of that format or type (415).
    UnsupportedFormat = "UNSUPPORTED_FORMAT";
}

impl NodeOutcome {
    /// What that status says; none stands for an answer that was lost.
    #[must_use]
    pub const fn of(status: Option<StatusCode>) -> Self {
        let Some(StatusCode(number)) = status else { return Self::AnswerLost };
        match number {
            0 | 401 | 407 => Self::ServerRefused,
            200 | 212 | 1200..=1299 => Self::Done,
            202 => Self::Started,
            214 => Self::Cancelled,
            215 => Self::NotExecuted,
            216 => Self::RolledBack,
            304 => Self::Declined,
            400 | 412 => Self::Unintelligible,
            403 | 409 => Self::Conflict,
            404 | 410 => Self::NotFound,
            405 => Self::NotAllowed,
            406 | 501 => Self::NotSupported,
            408 => Self::TimedOut,
            411 | 424 => Self::SizeMismatch,
            413 | 416 | 517 => Self::TooLarge,
            414 => Self::AddressTooLong,
            415 => Self::UnsupportedFormat,
            417 | 503 => Self::Busy,
            418 => Self::AlreadyExists,
            420 => Self::DeviceFull,
            425 => Self::PermissionDenied,
            507 => Self::AtomicFailed,
            516 => Self::RollbackFailed,
            500..=599 => Self::DeviceError,
            _ => Self::Unrecognised,
        }
    }

    /// Whether what was asked for is done, or has begun.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Done | Self::Reported | Self::Started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes that RepPro 1.2 lists for the commands of DM, with those that clients are known to send beside them.
    #[test]
    fn every_status_of_the_standard_has_a_meaning_of_its_own() {
        let listed = [
            0, 200, 202, 212, 214, 215, 216, 304, 400, 401, 403, 404, 405, 406, 407, 408, 412, 413, 414, 415, 416, 417, 418, 420,
            424, 425, 500, 501, 503, 507, 510, 516, 517, 1200,
        ];
        for code in listed {
            assert_ne!(NodeOutcome::of(Some(StatusCode(code))), NodeOutcome::Unrecognised, "{code}");
        }
        for code in 0..=u16::MAX {
            let outcome = NodeOutcome::of(Some(StatusCode(code)));
            assert_eq!(outcome.is_success(), StatusCode(code).is_success(), "{code}");
        }
    }

    #[test]
    fn every_outcome_is_written_as_its_word() {
        for outcome in NodeOutcome::ALL {
            assert_eq!(serde_json::to_string(outcome).unwrap(), format!("\"{}\"", outcome.as_str()));
        }
    }
}
