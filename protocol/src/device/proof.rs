//! How device and server prove who they are in a session of the device (OMA DM Security 1.2, 5.3 and 5.4).
use dmwsi_objects::StatusCode;
use dmwsi_objects::dmacc::AuthType;

use super::{Account, Session};
use crate::credentials::decode_nonce;
use crate::mac::Mac;
use crate::message::{Message, Status};

impl Session {
    /// The MAC that goes with a message, as it goes over the wire, in the header [`crate::mac::HEADER`]: where the device proves itself so.
    #[must_use]
    pub fn mac(&self, account: &Account, body: &[u8]) -> Option<Mac> {
        (self.proof == Some(AuthType::Hmac)).then(|| account.mac(&self.nonce, body))
    }

    /// Notes what came in the header [`crate::mac::HEADER`] with the message that is to be received next, and that message as it came over the wire.
    pub fn note_mac(&mut self, account: &Account, header: Option<&str>, body: &[u8]) {
        let mac = header.and_then(Mac::parse);
        self.signed = mac.map(|mac| account.is_mac_of_server(&mac, body));
    }

    /// What the device thinks of the server: the code for the server's header.
    pub(super) fn judge(&mut self, message: &Message, account: &Account) -> StatusCode {
        let signed = self.signed.take();
        let accepted = if account.server_each { StatusCode::OK } else { StatusCode::AUTHENTICATED };
        match (account.server_auth, &message.header.credentials) {
            (Some(AuthType::Hmac), _) => {
                self.server_authenticated |= signed == Some(true);
                if signed == Some(true) { StatusCode::OK } else { StatusCode::INVALID_CREDENTIALS }
            }
            (Some(_), _) if self.server_authenticated && !account.server_each => StatusCode::AUTHENTICATED,
            (None, None) => StatusCode::OK,
            (None, Some(_)) => accepted,
            (Some(_), None) if self.opening.quirks.zero_before_proof => StatusCode::default(),
            (Some(_), None) => StatusCode::MISSING_CREDENTIALS,
            (Some(_), Some(credentials)) if account.is_server(credentials) => {
                self.server_authenticated = true;
                accepted
            }
            (Some(_), Some(_)) => StatusCode::INVALID_CREDENTIALS,
        }
    }

    /// Takes over what the server says of the device's credentials: the nonce, the kind, and whether they are wanted again.
    pub(super) fn follow(&mut self, verdict: &Status) {
        if let Some(challenge) = &verdict.challenge {
            if verdict.code.is_challenge() {
                self.proof = AuthType::from_syncml(&challenge.kind).or(self.proof);
            }
            if let Some(nonce) = &challenge.next_nonce {
                self.nonce = decode_nonce(nonce);
            }
        }
        if verdict.code == StatusCode::AUTHENTICATED && self.proof != Some(AuthType::Hmac) {
            self.proof = None;
        }
        self.authenticated |= verdict.code.is_success();
    }
}
