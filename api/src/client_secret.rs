//! The secret of a client: random, shown once, kept as its hash.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dmwsi_domain::client::SecretHash;
use openssl::error::ErrorStack;
use openssl::memcmp;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;

/// 32 random bytes in base64url. No `Debug`: it is never printed but on purpose.
pub struct ClientSecret(String);

impl ClientSecret {
    /// A new one.
    pub fn mint() -> Result<Self, ErrorStack> {
        let mut bytes = [0; 32];
        rand_bytes(&mut bytes)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The text to show to its owner, once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(sha256(self.0.as_bytes()))
    }
}

/// Whether `presented` is the secret of `kept`, in a time that does not tell how wrong it is.
#[must_use]
pub fn is_secret_of(kept: &SecretHash, presented: &str) -> bool {
    memcmp::eq(&kept.0, &sha256(presented.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_hash_alone() {
        let secret = ClientSecret::mint().unwrap();
        assert_eq!(secret.reveal().len(), 43);
        assert!(is_secret_of(&secret.hash(), secret.reveal()));
        assert!(!is_secret_of(&secret.hash(), ""));
        assert!(!is_secret_of(&secret.hash(), ClientSecret::mint().unwrap().reveal()));
    }
}
