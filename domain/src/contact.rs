//! What the gateway needs of a device to let it in.
use crate::Timestamp;
use crate::account::SealedAccount;
use crate::facts::Facts;
use crate::id::{DeviceId, OrganisationId};
use crate::profile::KnownTraits;
use crate::tracing::Tracing;

/// A device as the gateway sees it: who it is, how it proves that, and where its nonces stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// The device.
    pub device: DeviceId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// How it and this server prove who they are; the secrets are still sealed.
    pub account: SealedAccount,
    /// The epoch of the nonces it is given.
    pub nonce_epoch: u64,
    /// The nonce it gave this server last; empty before the first.
    pub server_nonce: Vec<u8>,
    /// How often it failed to prove who it is since it last did.
    pub failed_tries: u32,
    /// When it last failed.
    pub failed_at: Option<Timestamp>,
    /// What it told of itself.
    pub facts: Facts,
    /// When it last spoke, to within a minute.
    pub last_seen_at: Option<Timestamp>,
    /// Counts the changes of the device.
    pub revision: i64,
    /// Whether it has an open session or an unfinished execution. A device without is idle: nothing more needs to be read.
    pub has_work: bool,
    /// Which opening of its wake is open: the device is called for what it is told now. None while nobody calls it.
    pub wake: Option<u64>,
    /// Whether what it says is to be kept; none where nobody bids so.
    pub tracing: Option<Tracing>,
    /// What an operator set of it, and what was observed: how it differs from the standard.
    pub profile: KnownTraits,
}

/// Why somebody who knocked was not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StrangerReason {
    /// The device is known, its credentials were wrong.
    Credentials,
    /// No device is registered by that DM identity.
    Unknown,
}

impl StrangerReason {
    /// The name in the row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "CREDENTIALS",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Credentials, Self::Unknown].into_iter().find(|reason| reason.as_str() == name)
    }
}

/// Somebody who knocked and was not let in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stranger {
    /// The DM identity it gave.
    pub dm_identity: String,
    /// Why it was not let in.
    pub reason: StrangerReason,
    /// What it told of itself.
    pub description: String,
    /// When it first knocked.
    pub first_seen_at: Timestamp,
    /// When it last knocked.
    pub last_seen_at: Timestamp,
    /// How often.
    pub times: u64,
}
