//! Sealing: text only this server can read back, and only in the place it was made for.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::rand::rand_bytes;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};

use dmwsi_domain::{Error, Result};

const NONCE: usize = 12;
const TAG: usize = 16;

/// Seals with AES-256-GCM under one key; no `Debug`, so the key is never printed.
#[derive(Clone)]
pub struct Sealer([u8; 32]);

impl Sealer {
    /// With that key.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Nonce, ciphertext and tag of `plain`; `place` must be the same when it is opened.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        let mut tag = [0; TAG];
        rand_bytes(&mut nonce).map_err(Error::internal)?;
        let sealed =
            encrypt_aead(Cipher::aes_256_gcm(), &self.0, Some(&nonce), place, plain, &mut tag).map_err(Error::internal)?;
        Ok([nonce.as_slice(), &sealed, &tag].concat())
    }

    /// What was sealed, or nothing where it was sealed elsewhere, by another key, or altered.
    #[must_use]
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE)?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        decrypt_aead(Cipher::aes_256_gcm(), &self.0, Some(nonce), place, text, tag).ok()
    }

    /// As [`Self::seal`], in base64url.
    pub fn seal_text(&self, place: &[u8], plain: &[u8]) -> Result<String> {
        Ok(URL_SAFE_NO_PAD.encode(self.seal(place, plain)?))
    }

    /// As [`Self::open`], from base64url.
    #[must_use]
    pub fn open_text(&self, place: &[u8], sealed: &str) -> Option<Vec<u8>> {
        self.open(place, &URL_SAFE_NO_PAD.decode(sealed).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_only_in_its_place_and_whole() {
        let sealer = Sealer::new([7; 32]);
        let sealed = sealer.seal(b"here", b"secret").unwrap();
        assert_eq!(sealer.open(b"here", &sealed).unwrap(), b"secret");
        assert!(sealer.open(b"there", &sealed).is_none());
        assert!(Sealer::new([8; 32]).open(b"here", &sealed).is_none());
        for at in 0..sealed.len() {
            assert!(sealer.open(b"here", &sealed[..at]).is_none());
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(sealer.open(b"here", &altered).is_none(), "byte {at}");
        }
    }
}
