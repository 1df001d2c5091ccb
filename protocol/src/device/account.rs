//! The account under which device and server know each other.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::dmacc::AuthType;
use serde::{Deserialize, Serialize};

use crate::credentials::{account_hash, basic, body_hash, digest, same};
use crate::mac::Mac;
use crate::message::{Challenge, Credentials};

/// An account (DMAcc) with the nonces of both directions; it outlives sessions and is changed by them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The device's identity, `Source/LocURI` of its messages.
    pub device: String,
    /// The server's address, `Target/LocURI` of the device's messages.
    pub server_url: String,
    /// The server's identifier, by which access control lists name it.
    pub server_id: String,
    /// How the device proves who it is, unless the server asks otherwise.
    pub client_auth: AuthType,
    /// The device's name.
    pub client_name: String,
    /// The device's secret.
    pub client_secret: String,
    /// The nonce that the server gave for the device's next digest; empty before the first.
    #[serde(default)]
    pub client_nonce: Vec<u8>,
    /// How the server must prove who it is; none when it need not.
    pub server_auth: Option<AuthType>,
    /// Whether it must do so in every message, in place of once a session; by a MAC it always must.
    #[serde(default)]
    pub server_each: bool,
    /// The server's name.
    pub server_name: String,
    /// The server's secret.
    pub server_secret: String,
    /// The nonce that the device gave for the server's next digest; empty before the first.
    #[serde(default)]
    pub server_nonce: Vec<u8>,
}

impl Account {
    /// The device's credentials of this kind.
    pub(super) fn credentials(&self, kind: AuthType, nonce: &[u8]) -> Option<Credentials> {
        let data = proof(kind, &self.client_name, &self.client_secret, nonce)?;
        Some(Credentials { kind: kind.syncml().to_owned(), format: Some("b64".to_owned()), data })
    }

    /// Whether these are the server's credentials, of the kind that it has to use.
    pub(super) fn is_server(&self, credentials: &Credentials) -> bool {
        self.server_auth.filter(|kind| AuthType::from_syncml(&credentials.kind) == Some(*kind)).is_some_and(|kind| {
            let proof = proof(kind, &self.server_name, &self.server_secret, &self.server_nonce);
            proof.is_some_and(|proof| same(&proof, &credentials.data))
        })
    }

    /// The device's MAC over a message as it goes over the wire.
    pub(super) fn mac(&self, nonce: &[u8], body: &[u8]) -> Mac {
        Mac::of(&self.client_name, &account_hash(&self.client_name, &self.client_secret), nonce, body)
    }

    /// Whether it is the server's MAC over a message as it came over the wire.
    pub(super) fn is_mac_of_server(&self, mac: &Mac, body: &[u8]) -> bool {
        let hash = account_hash(&self.server_name, &self.server_secret);
        mac.is_by(&self.server_name) && mac.is_over(&hash, &self.server_nonce, &body_hash(body))
    }

    /// Makes `nonce` the one for the server's next digest, and tells the server.
    pub(super) fn challenge(&mut self, nonce: &[u8]) -> Option<Challenge> {
        let kind = self.server_auth?;
        let next_nonce = matches!(kind, AuthType::Digest | AuthType::Hmac).then(|| {
            self.server_nonce = nonce.to_vec();
            STANDARD.encode(nonce)
        });
        Some(Challenge { kind: kind.syncml().to_owned(), next_nonce })
    }
}

fn proof(kind: AuthType, name: &str, secret: &str, nonce: &[u8]) -> Option<String> {
    match kind {
        AuthType::Basic => Some(basic(name, secret)),
        AuthType::Digest => Some(digest(&account_hash(name, secret), nonce)),
        AuthType::Hmac | AuthType::Transport => None,
    }
}
