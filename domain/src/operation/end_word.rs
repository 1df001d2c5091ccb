//! The words by which executions end.
use std::collections::BTreeSet;

use dmwsi_objects::fumo::ResultCode;

use super::NodeOutcome;
use crate::eligibility::ReasonCode;

/// How an execution ended, in a word. There is no other way to have one than those of this file, so that [`Self::all`] misses none: what each
/// of them means is written with the request whose execution ends by it, and a test of the interface finds those that are not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EndWord(&'static str);

macro_rules! own {
    ($($name:ident)*) => {
        impl EndWord {
            $(
                #[doc = concat!("The word `", stringify!($name), "`.")]
                pub const $name: Self = Self(stringify!($name));
            )*

            /// Those that are neither of a node nor of a package, nor reported by a device.
            const OWN: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

own! {
    ACCOUNT_NOT_FOUND ADDED ALREADY_INSTALLED ANSWERED ANSWER_MISSING CANCELLED CHANGED COMMAND_REFUSED CONFIRMED COPIED
    CREDENTIALS_CHANGED DELETED DELIVERABLE_EXPIRED DELIVERABLE_GONE DELIVERABLE_WITHDRAWN DEVICE_BUSY DEVICE_FULL DEVICE_GONE
    DEVICE_NOT_READY DOWNLOAD_FAILED DOWNLOAD_NOT_REPORTED EXECUTED EXPIRED FIRMWARE_OBJECT_NOT_FOUND NODES_UNREADABLE NOT_ADDED
    NOT_CHANGED NOT_COPIED NOT_DELETED NOT_DISPLAYED NOT_EXECUTED NOT_ROLLED_BACK NOT_ROTATED NOT_STARTED NO_ANSWER
    NO_DELIVERY_METHOD NO_SECRET OUTCOME_UNKNOWN PACKAGE_CORRUPTED PACKAGE_TOO_LARGE PARTLY_ADDED PARTLY_CHANGED PARTLY_COPIED
    PARTLY_DELETED PARTLY_EXECUTED PARTLY_READ PERMISSION_DENIED POSTPONED READ REPORT_MISSING ROLLBACK_FAILED ROLLED_BACK
    ROTATED SHOWN STARTED TIMED_OUT UPDATED UPDATE_FAILED UPDATE_NOT_REPORTED USER_CANCELLED USER_DECLINED VERSION_UNCHANGED
    VERSION_UNREADABLE WRONG_STATE
}

impl EndWord {
    /// The word on disk and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Every word by which an execution can end.
    #[must_use]
    pub fn all() -> BTreeSet<&'static str> {
        let reported = (0..=u16::MAX).map(ResultCode).filter(|code| !code.is_success()).map(Self::from);
        let of_nodes = NodeOutcome::ALL.iter().copied().map(Self::from);
        let of_packages = ReasonCode::ALL.iter().copied().map(Self::from);
        Self::OWN.iter().copied().chain(of_nodes).chain(of_packages).chain(reported).map(Self::as_str).collect()
    }
}

impl From<NodeOutcome> for EndWord {
    fn from(outcome: NodeOutcome) -> Self {
        Self(outcome.as_str())
    }
}

impl From<ReasonCode> for EndWord {
    fn from(code: ReasonCode) -> Self {
        Self(code.as_str())
    }
}

impl From<ResultCode> for EndWord {
    fn from(code: ResultCode) -> Self {
        Self(code.name())
    }
}
