//! How the device proves who it is (OMA DM Security 1.2, 5.3).
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::dmacc::AuthType;
use serde::{Deserialize, Serialize};

use super::account::{Account, Nonces};
use crate::credentials;
use crate::message::Credentials;

/// What is known of the device's identity.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Authentication {
    /// It has proven who it is, for the whole session.
    pub(super) accepted: bool,
    /// It was told that credentials are missing.
    asked: bool,
    /// How often it failed.
    pub(super) tries: u32,
}

/// What came of the credentials of one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// These are right.
    Accepted(AuthType),
    /// There are none, and none are needed.
    Kept,
    /// There are none, or wrong ones.
    Refused {
        /// There are none.
        missing: bool,
    },
}

impl Authentication {
    /// Judges the credentials of a message. Where they are shown they must be right, even in a session that needs none any more.
    pub(super) fn judge(&mut self, shown: Option<&Credentials>, account: &Account<'_>, nonces: &Nonces<'_>) -> Verdict {
        match shown {
            None if self.accepted => Verdict::Kept,
            None => {
                // The first message may come without, since the device cannot know what is wanted.
                if self.asked {
                    self.tries = self.tries.saturating_add(1);
                }
                self.asked = true;
                Verdict::Refused { missing: true }
            }
            Some(shown) if is_right(shown, account, nonces) => {
                self.accepted = true;
                Verdict::Accepted(account.client_auth)
            }
            Some(_) => {
                self.accepted = false;
                self.asked = true;
                self.tries = self.tries.saturating_add(1);
                Verdict::Refused { missing: false }
            }
        }
    }
}

fn is_right(shown: &Credentials, account: &Account<'_>, nonces: &Nonces<'_>) -> bool {
    if AuthType::from_syncml(&shown.kind) != Some(account.client_auth) {
        return false;
    }
    match account.client_auth {
        AuthType::Basic => {
            let expected = credentials::basic(account.client_name, account.client_secret);
            credentials::same(expected.trim_end_matches('='), shown.data.trim().trim_end_matches('='))
        }
        AuthType::Digest => nonces.expected.is_some_and(|nonce| {
            let hash = credentials::account_hash(account.client_name, account.client_secret);
            let is = |nonce: &[u8]| credentials::same_digest(&credentials::digest(&hash, nonce), &shown.data);
            // Some clients forget to decode the nonce.
            is(nonce) || is(BASE64_STANDARD.encode(nonce).as_bytes())
        }),
        AuthType::Hmac => false,
    }
}
