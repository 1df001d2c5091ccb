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
    /// These are right; a digest is over the expected nonce at that place.
    Accepted(AuthType, Option<usize>),
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
            Some(shown) => match proven(shown, account, nonces) {
                Some(spent) => {
                    self.accepted = true;
                    Verdict::Accepted(account.client_auth, spent)
                }
                None => {
                    self.accepted = false;
                    self.asked = true;
                    self.tries = self.tries.saturating_add(1);
                    Verdict::Refused { missing: false }
                }
            },
        }
    }
}

/// None where the credentials are wrong; else which nonce they spend, if they are of a kind that has one.
fn proven(shown: &Credentials, account: &Account<'_>, nonces: &Nonces<'_>) -> Option<Option<usize>> {
    if AuthType::from_syncml(&shown.kind) != Some(account.client_auth) {
        return None;
    }
    match account.client_auth {
        AuthType::Basic => {
            let expected = credentials::basic(account.client_name, account.client_secret);
            credentials::same(expected.trim_end_matches('='), shown.data.trim().trim_end_matches('=')).then_some(None)
        }
        AuthType::Digest => {
            let hash = credentials::account_hash(account.client_name, account.client_secret);
            let is = |nonce: &[u8]| credentials::same_digest(&credentials::digest(&hash, nonce), &shown.data);
            // Some clients forget to decode the nonce.
            let is_over = |nonce: &Vec<u8>| is(nonce) || is(BASE64_STANDARD.encode(nonce).as_bytes());
            nonces.expected.iter().position(is_over).map(Some)
        }
        AuthType::Hmac => None,
    }
}
