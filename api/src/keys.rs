//! The keys of the north side: those that sign tokens, one that seals cursors, one that makes device ids.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use serde::{Deserialize, Serialize};

use crate::device_id::DeviceIds;
use crate::seal::Sealer;
use crate::token::{KeyRing, KeyRingError, mint_signing_key};

/// The section `api` of the key file. Never printed: it has no `Debug`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KeyFile {
    /// The keys that sign access tokens. The first signs; the others still verify, so a new key is put in front and the old one
    /// removed ten minutes later.
    pub signing: Vec<SigningKeyFile>,
    /// Seals cursors and stored answers: 32 bytes, base64url. A new one makes old cursors and stored answers unreadable.
    pub sealing: String,
    /// Makes the public ids of devices: 32 bytes, base64url. It is made once and never changed, or every partner loses its ids.
    pub organisation: String,
}

/// One signing key.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SigningKeyFile {
    /// Its name in tokens and in the JWKS: 1 to 64 letters, digits, `-` or `_`.
    pub id: String,
    /// The private key, P-256, as PEM (PKCS#8).
    pub pem: String,
}

impl KeyFile {
    /// Fresh keys, for a first start; `id` names the signing key.
    pub fn mint(id: &str) -> Result<Self, ErrorStack> {
        Ok(Self {
            signing: vec![SigningKeyFile { id: id.to_owned(), pem: mint_signing_key()? }],
            sealing: URL_SAFE_NO_PAD.encode(random_key()?),
            organisation: URL_SAFE_NO_PAD.encode(random_key()?),
        })
    }
}

fn random_key() -> Result<[u8; 32], ErrorStack> {
    let mut key = [0; 32];
    rand_bytes(&mut key)?;
    Ok(key)
}

/// The keys, read and ready.
pub struct Keys {
    /// Signs and verifies access tokens.
    pub ring: KeyRing,
    /// Seals cursors and stored answers.
    pub sealer: Sealer,
    /// Makes and reads the public ids of devices.
    pub device_ids: DeviceIds,
}

impl Keys {
    /// Reads the keys of the file.
    pub fn open(file: &KeyFile) -> Result<Self, KeysError> {
        Ok(Self {
            ring: KeyRing::open(&file.signing)?,
            sealer: Sealer::new(secret("sealing", &file.sealing)?),
            device_ids: DeviceIds::new(secret("organisation", &file.organisation)?),
        })
    }
}

fn secret(name: &'static str, text: &str) -> Result<[u8; 32], KeysError> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    bytes.ok().and_then(|bytes| bytes.try_into().ok()).ok_or(KeysError::Malformed(name))
}

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A secret is not 32 bytes in base64url.
    #[error("the key `{0}` must be 32 bytes in base64url")]
    Malformed(&'static str),
    /// A signing key is not one.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_keys_open_and_damaged_ones_do_not() {
        let file = KeyFile::mint("k1").unwrap();
        assert!(Keys::open(&file).is_ok());
        assert!(Keys::open(&KeyFile { sealing: "short".into(), ..file.clone() }).is_err());
        assert!(Keys::open(&KeyFile { signing: vec![], ..file }).is_err());
    }
}
