//! A client of OAuth2: one program of an organisation.
use std::fmt;

use crate::clock::Timestamp;
use crate::id::{ClientId, OrganisationId};
use crate::scope::Grants;

/// The SHA-256 of a client's secret. The secret itself is random, is shown once and is not kept.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// One program of an organisation, known by its id and a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Its id, public: the `client_id` of OAuth2.
    pub id: ClientId,
    /// Whose program it is.
    pub organisation: OrganisationId,
    /// What people call it.
    pub name: String,
    /// What its secret is compared with.
    pub secret_hash: SecretHash,
    /// What it may do at most; a token may carry less.
    pub scopes: Grants,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked, if it was; a revoked client gets no token and its tokens stop.
    pub revoked_at: Option<Timestamp>,
    /// Counts its changes, from 1.
    pub revision: i64,
}

impl Client {
    /// Whether it may still act.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// Takes its rights away for good; a second time changes nothing.
    pub fn revoke(&mut self, now: Timestamp) {
        self.revoked_at.get_or_insert(now);
    }
}
