//! How the device proves who it is (OMA DM Security 1.2, 5.3).
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::dmacc::AuthType;
use serde::{Deserialize, Serialize};

use super::account::{Account, Nonces};
use super::arrival::Arrival;
use crate::credentials;
use crate::message::Credentials;
use crate::notification::ZERO_NONCES;

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
        /// The secret is right, but the nonce is one that everybody knows.
        stale: bool,
    },
}

/// What credentials show.
enum Evidence {
    /// The secret, and which nonce they spend, if they are of a kind that has one.
    Right(Option<usize>),
    /// The secret, over a nonce that everybody knows: what a device shows that has lost the nonces, and what anybody can show who once heard it.
    Stale,
    Wrong,
}

impl Authentication {
    /// Judges the credentials of a message. Where they are shown they must be right, even in a session that needs none any more.
    pub(super) fn judge(
        &mut self,
        shown: Option<&Credentials>,
        arrival: &Arrival<'_>,
        account: &Account<'_>,
        nonces: &Nonces<'_>,
    ) -> Verdict {
        let evidence = evidence(shown, arrival, account, nonces);
        match evidence {
            None if self.accepted => return Verdict::Kept,
            Some(Evidence::Right(spent)) => {
                self.accepted = true;
                return Verdict::Accepted(account.client_auth, spent);
            }
            _ => self.accepted = false,
        }
        // The first message may come without, since the device cannot know what is wanted.
        if self.asked || evidence.is_some() {
            self.tries = self.tries.saturating_add(1);
        }
        self.asked = true;
        Verdict::Refused { missing: evidence.is_none(), stale: matches!(evidence, Some(Evidence::Stale)) }
    }
}

/// What a message shows; none where it shows nothing.
fn evidence(shown: Option<&Credentials>, arrival: &Arrival<'_>, account: &Account<'_>, nonces: &Nonces<'_>) -> Option<Evidence> {
    let hash = || credentials::account_hash(account.client_name, account.client_secret);
    match account.client_auth {
        AuthType::Transport if arrival.is_certified => Some(Evidence::Right(None)),
        AuthType::Hmac if let Some(mac) = arrival.mac => {
            let (hash, body) = (hash(), credentials::body_hash(arrival.body));
            let is = |nonce: &[u8]| mac.is_over(&hash, nonce, &body);
            Some(if mac.is_by(account.client_name) { over(nonces, is) } else { Evidence::Wrong })
        }
        kind => shown.map(|shown| {
            if AuthType::from_syncml(&shown.kind) != Some(kind) {
                return Evidence::Wrong;
            }
            match kind {
                AuthType::Basic => {
                    let expected = credentials::basic(account.client_name, account.client_secret);
                    let is = credentials::same(expected.trim_end_matches('='), shown.data.trim().trim_end_matches('='));
                    if is { Evidence::Right(None) } else { Evidence::Wrong }
                }
                AuthType::Digest => {
                    let hash = hash();
                    over(nonces, |nonce| credentials::same_digest(&credentials::digest(&hash, nonce), &shown.data))
                }
                AuthType::Hmac | AuthType::Transport => Evidence::Wrong,
            }
        }),
    }
}

/// Over which nonce a digest is. Some clients forget to decode it.
fn over(nonces: &Nonces<'_>, is: impl Fn(&[u8]) -> bool) -> Evidence {
    let found = nonces.expected.iter().position(|nonce| is(nonce) || is(BASE64_STANDARD.encode(nonce).as_bytes()));
    match found {
        Some(place) => Evidence::Right(Some(place)),
        None if ZERO_NONCES.into_iter().chain([&[][..]]).any(is) => Evidence::Stale,
        None => Evidence::Wrong,
    }
}
