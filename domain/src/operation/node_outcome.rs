//! What a status code means to whoever asked.
use dmwsi_objects::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! outcomes {
    ($($(#[doc = $doc:tt])* $name:ident = $code:tt;)*) => {
        /// What became of a command on a device, whatever code the device has for it.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
        #[schema(
            example = "DONE",
            description = concat!(
                "What became of a command on a device, whatever code the device has for it; the numbers are those of the device:\n",
                $("\n* `", $code, "`:", $($doc,)*)*
            )
        )]
        pub enum NodeOutcome {
            $($(#[doc = $doc])* #[serde(rename = $code)] $name,)*
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
    /// It was cancelled, most often by the user (214, 514).
    Cancelled = "CANCELLED";
    /// The node's present state forbids it (403, 409, 419, 423, 427).
    Conflict = "CONFLICT";
    /// The user said no (304).
    Declined = "DECLINED";
    /// Something in the device failed (428, 500 and those up to 599 that have no word of their own).
    DeviceError = "DEVICE_ERROR";
    /// The device has no room (420).
    DeviceFull = "DEVICE_FULL";
    /// It is done (200, 212 and 1200 to 1299).
    Done = "DONE";
    /// It was begun, and the device reported that it failed, by an alert or, for an EXEC, by the code of its object (1400 to 1599).
    FaultReported = "FAULT_REPORTED";
    /// What is asked for is elsewhere, by what the device says (300 to 303, 305).
    Moved = "MOVED";
    /// The node cannot be used so: it is permanent, or of another kind (405).
    NotAllowed = "NOT_ALLOWED";
    /// The device passed over it (215).
    NotExecuted = "NOT_EXECUTED";
    /// There is no such node (404, 410).
    NotFound = "NOT_FOUND";
    /// The device does not know that command, question or property (406, 421, 501).
    NotSupported = "NOT_SUPPORTED";
    /// It was done in part, in another way or not yet (101, 203 to 211, 213).
    PartlyDone = "PARTLY_DONE";
    /// The node's access control list does not let this server do it (425).
    PermissionDenied = "PERMISSION_DENIED";
    /// It was begun, and the device reported how it ended.
    Reported = "REPORTED";
    /// It was done and could not be undone when another of the commands that are done together failed (516).
    RollbackFailed = "ROLLBACK_FAILED";
    /// It was done and undone, since another of the commands that are done together failed (216).
    RolledBack = "ROLLED_BACK";
    /// The device does not accept this server's credentials (401, 407), or wants to be paid first (402).
    ServerRefused = "SERVER_REFUSED";
    /// The pieces of a value do not add up to what was announced, or one of them was not taken (411, 424, 426).
    SizeMismatch = "SIZE_MISMATCH";
    /// It has begun (202).
    Started = "STARTED";
    /// The user did not answer in time (408).
    TimedOut = "TIMED_OUT";
    /// The value, or the answer, is larger than one side takes (413, 416, 517).
    TooLarge = "TOO_LARGE";
    /// The device did not understand it, or misses a part of it (400, 412, 422).
    Unintelligible = "UNINTELLIGIBLE";
    /// A code that the standard does not have, such as one of a maker's own.
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
            0 | 401 | 402 | 407 => Self::ServerRefused,
            101 | 203..=211 | 213 => Self::PartlyDone,
            200 | 201 | 212 | 1200..=1299 => Self::Done,
            202 => Self::Started,
            214 | 514 => Self::Cancelled,
            215 => Self::NotExecuted,
            216 => Self::RolledBack,
            300..=303 | 305 => Self::Moved,
            304 => Self::Declined,
            400 | 412 | 422 => Self::Unintelligible,
            403 | 409 | 419 | 423 | 427 => Self::Conflict,
            404 | 410 => Self::NotFound,
            405 => Self::NotAllowed,
            406 | 421 | 501 => Self::NotSupported,
            408 => Self::TimedOut,
            411 | 424 | 426 => Self::SizeMismatch,
            413 | 416 | 517 => Self::TooLarge,
            414 => Self::AddressTooLong,
            415 => Self::UnsupportedFormat,
            417 | 503 => Self::Busy,
            418 => Self::AlreadyExists,
            420 => Self::DeviceFull,
            425 => Self::PermissionDenied,
            507 => Self::AtomicFailed,
            516 => Self::RollbackFailed,
            428 | 500..=599 => Self::DeviceError,
            1400..=1599 => Self::FaultReported,
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

    /// Those of RepPro 1.2, chapter 10, with those that clients are known to send beside them.
    const STANDARD: &[(NodeOutcome, &[u16])] = &[
        (NodeOutcome::AddressTooLong, &[414]),
        (NodeOutcome::AlreadyExists, &[418]),
        (NodeOutcome::AtomicFailed, &[507]),
        (NodeOutcome::Busy, &[417, 503]),
        (NodeOutcome::Cancelled, &[214, 514]),
        (NodeOutcome::Conflict, &[403, 409, 419, 423, 427]),
        (NodeOutcome::Declined, &[304]),
        (NodeOutcome::DeviceError, &[428, 500, 502, 504, 505, 506, 508, 509, 510, 511, 512, 513, 515]),
        (NodeOutcome::DeviceFull, &[420]),
        (NodeOutcome::Done, &[200, 201, 212, 1200, 1299]),
        (NodeOutcome::FaultReported, &[1400, 1499, 1500, 1599]),
        (NodeOutcome::Moved, &[300, 301, 302, 303, 305]),
        (NodeOutcome::NotAllowed, &[405]),
        (NodeOutcome::NotExecuted, &[215]),
        (NodeOutcome::NotFound, &[404, 410]),
        (NodeOutcome::NotSupported, &[406, 421, 501]),
        (NodeOutcome::PartlyDone, &[101, 203, 204, 205, 206, 207, 208, 209, 210, 211, 213]),
        (NodeOutcome::PermissionDenied, &[425]),
        (NodeOutcome::RollbackFailed, &[516]),
        (NodeOutcome::RolledBack, &[216]),
        (NodeOutcome::ServerRefused, &[0, 401, 402, 407]),
        (NodeOutcome::SizeMismatch, &[411, 424, 426]),
        (NodeOutcome::Started, &[202]),
        (NodeOutcome::TimedOut, &[408]),
        (NodeOutcome::TooLarge, &[413, 416, 517]),
        (NodeOutcome::Unintelligible, &[400, 412, 422]),
        (NodeOutcome::UnsupportedFormat, &[415]),
    ];

    #[test]
    fn every_status_that_the_standard_has_is_told_by_the_word_that_is_documented_for_it() {
        for (outcome, codes) in STANDARD {
            for code in *codes {
                assert_eq!(NodeOutcome::of(Some(StatusCode(*code))), *outcome, "{code}");
            }
        }
        let listed: Vec<u16> = STANDARD.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let classes = [200..=216, 300..=305, 400..=428, 500..=517];
        let missed: Vec<u16> = classes.into_iter().flatten().filter(|code| !listed.contains(code)).collect();
        assert!(missed.is_empty(), "{missed:?}");
        for code in [1, 100, 217, 299, 399, 499, 600, 700, 799, 1199, 1300, 1600] {
            assert_eq!(NodeOutcome::of(Some(StatusCode(code))), NodeOutcome::Unrecognised, "{code}");
        }
    }

    #[test]
    fn an_outcome_is_a_success_where_its_status_is_one() {
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
