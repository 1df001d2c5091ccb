//! How the server proves who it is to the device (OMA DM Security 1.2, 5.3).
use dmwsi_objects::StatusCode;
use dmwsi_objects::dmacc::AuthType;
use serde::{Deserialize, Serialize};

use super::account::{Account, Nonces};
use super::octets::Octets;
use crate::credentials;
use crate::mac::Mac;
use crate::message::{Challenge, Credentials, Status};

/// How far the server's proof has come.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Proof {
    /// The device accepts the server for the whole session (212).
    accepted: bool,
    /// The device asked for this way, in place of the account's.
    asked_for: Option<AuthType>,
    /// The device asked for a way that this server does not know.
    impossible: bool,
    /// The latest nonce of the device in this session.
    nonce: Option<Octets>,
    /// The nonce has not been told to the caller.
    untold: bool,
    /// The device has answered the header of a message, in the package that it is sending.
    answered: bool,
    /// It refused the server in that package.
    refused: bool,
    /// It said 0, or nothing that is a code, which one client means as a refusal.
    #[serde(default)]
    unclear: bool,
    /// How many packages refused the server.
    refusals: u32,
}

impl Proof {
    /// Hears the device's Status for the header of the last message.
    pub(super) fn hear(&mut self, status: &Status) {
        self.answered = true;
        if status.code == StatusCode::AUTHENTICATED {
            self.accepted = true;
        } else if status.code.is_challenge() {
            self.accepted = false;
            self.refused |= status.code != StatusCode(0);
            self.unclear |= status.code == StatusCode(0);
        }
        if let Some(challenge) = &status.challenge {
            self.take(challenge, status.code.is_challenge());
        }
    }

    fn take(&mut self, challenge: &Challenge, is_demand: bool) {
        if is_demand && !challenge.kind.trim().is_empty() {
            self.asked_for = AuthType::from_syncml(&challenge.kind);
            self.impossible = self.asked_for.is_none();
        }
        if let Some(nonce) = &challenge.next_nonce {
            self.nonce = Some(Octets(credentials::decode_nonce(nonce)));
            self.untold = true;
        }
    }

    /// The nonce for the server's next credentials, once.
    pub(super) fn news(&mut self) -> Option<Vec<u8>> {
        let nonce = self.nonce.as_ref().filter(|_nonce| self.untold).map(|nonce| nonce.0.clone());
        self.untold = false;
        nonce
    }

    /// Forgets what the device said in the package that it is sending, since it has not proven who it is. Nonce and acceptance stay: they can only fail.
    pub(super) const fn forget_package(&mut self) {
        self.answered = false;
        self.refused = false;
        self.unclear = false;
    }

    /// Whether the package that has just ended refused the server: by the Status of the header or, where that is missing, by one of a command.
    /// What is no clear refusal is one only where the server `has_credentials` to show.
    pub(super) fn is_refused(&mut self, a_command_was: bool, has_credentials: bool) -> bool {
        let a_command_was = a_command_was && !self.answered && !self.accepted;
        let refused = self.refused || has_credentials && (self.unclear || a_command_was);
        self.refusals = self.refusals.saturating_add(u32::from(refused));
        self.forget_package();
        refused
    }

    /// Whether another try makes sense: it was refused once only, and the server can do what the device wants.
    pub(super) fn can_retry(&self, account: &Account<'_>) -> bool {
        self.refusals <= 1 && !self.impossible && account.server_auth.is_some()
    }

    /// The credentials for the next message. A password goes in the clear only to a device that has proven who it is.
    pub(super) fn credentials(&self, account: &Account<'_>, nonces: &Nonces<'_>, trusted: bool) -> Option<Credentials> {
        let kind = self.kind(account).filter(|_kind| !self.accepted)?;
        let data = match kind {
            AuthType::Basic if trusted => credentials::basic(account.server_name, account.server_secret),
            AuthType::Digest => {
                let hash = credentials::account_hash(account.server_name, account.server_secret);
                credentials::digest(&hash, self.nonce(nonces))
            }
            AuthType::Basic | AuthType::Hmac | AuthType::Transport => return None,
        };
        Some(Credentials { kind: kind.syncml().to_owned(), format: Some("b64".to_owned()), data })
    }

    /// The MAC over the next message. Where it is by MACs, the server proves who it is in each.
    pub(super) fn mac(&self, account: &Account<'_>, nonces: &Nonces<'_>, body: &[u8]) -> Option<Mac> {
        self.kind(account).filter(|kind| *kind == AuthType::Hmac)?;
        let hash = credentials::account_hash(account.server_name, account.server_secret);
        Some(Mac::of(account.server_name, &hash, self.nonce(nonces), body))
    }

    fn kind(&self, account: &Account<'_>) -> Option<AuthType> {
        account.server_auth.map(|agreed| self.asked_for.unwrap_or(agreed))
    }

    fn nonce<'n>(&'n self, nonces: &Nonces<'n>) -> &'n [u8] {
        self.nonce.as_ref().map_or(nonces.server, |nonce| nonce.0.as_slice())
    }
}
