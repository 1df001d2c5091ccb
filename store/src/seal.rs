//! Sealing of secrets: AES-256-GCM under a key that is named in the sealed value, so that keys can rotate.
//!
//! A sealed value is a version byte, the key's id (four bytes, big end first), a nonce of 12 bytes, the encrypted bytes, and a tag of 16. Where it
//! stands (table, column, id) is authenticated along: a value moved to another row does not open.
use std::collections::BTreeMap;
use std::fmt;

use dmwsi_domain::{Error, Result};
use openssl::rand::rand_bytes;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};

const VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Bytes that are never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps `bytes` from being shown.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A sealed value, as it stands in a column.
pub type Sealed = Vec<u8>;

/// Where a sealed value stands; it opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    /// The table.
    pub table: &'p str,
    /// The column.
    pub column: &'p str,
    /// The row's key, as text.
    pub row: &'p str,
}

impl Place<'_> {
    fn text(&self) -> Vec<u8> {
        format!("{}/{}/{}", self.table, self.column, self.row).into_bytes()
    }
}

/// The keys that seal and open. New values are sealed under the highest id; older ones open as long as their key is here.
#[derive(Clone)]
pub struct Keys(BTreeMap<u32, [u8; 32]>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.0.keys()).finish()
    }
}

impl Keys {
    /// A ring of keys by their ids, at least one; an id given twice is refused.
    pub fn new(sealing: impl IntoIterator<Item = (u32, [u8; 32])>) -> Result<Self> {
        let mut keys = BTreeMap::new();
        for (id, key) in sealing {
            if keys.insert(id, key).is_some() {
                return Err(Error::internal(format!("the sealing key {id} is given twice")));
            }
        }
        if keys.is_empty() { Err(Error::internal("there is no sealing key")) } else { Ok(Self(keys)) }
    }

    /// Seals `plain` for one place.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Sealed> {
        let (id, key) = self.0.last_key_value().ok_or_else(|| Error::internal("there is no sealing key"))?;
        let mut nonce = [0; NONCE];
        rand_bytes(&mut nonce).map_err(Error::internal)?;
        let mut tag = [0; TAG];
        let header = header(*id);
        let aad = [header.as_slice(), &place.text()].concat();
        let body = encrypt_aead(Cipher::aes_256_gcm(), key, Some(&nonce), &aad, plain, &mut tag).map_err(Error::internal)?;
        Ok([header.as_slice(), &nonce, &body, &tag].concat())
    }

    /// Opens what was sealed for the same place.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret> {
        let damaged = || Error::internal(format!("the sealed {}.{} does not open", place.table, place.column));
        let (version, rest) = sealed.split_first().ok_or_else(damaged)?;
        let (id, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let (body, tag) = rest.split_last_chunk::<TAG>().ok_or_else(damaged)?;
        if *version != VERSION {
            return Err(damaged());
        }
        let id = u32::from_be_bytes(*id);
        let key = self.0.get(&id).ok_or_else(|| Error::internal(format!("the sealing key {id} is not here")))?;
        let aad = [header(id).as_slice(), &place.text()].concat();
        decrypt_aead(Cipher::aes_256_gcm(), key, Some(nonce), &aad, body, tag).map(Secret).map_err(|_cause| damaged())
    }

    /// Whether a value should be sealed anew, because a newer key is there.
    #[must_use]
    pub fn outdated(&self, sealed: &[u8]) -> bool {
        let newest = self.0.last_key_value().map(|(id, _key)| header(*id));
        newest.is_none_or(|newest| !sealed.starts_with(&newest))
    }
}

fn header(id: u32) -> [u8; 5] {
    let [a, b, c, d] = id.to_be_bytes();
    [VERSION, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { table: "devices", column: "client_secret", row: "1" };

    #[test]
    fn a_sealed_secret_opens_in_its_place_only() {
        let keys = Keys::new([(1, [7; 32])]).unwrap();
        let sealed = keys.seal(PLACE, b"secret").unwrap();
        assert_eq!(keys.open(PLACE, &sealed).unwrap().expose(), b"secret");
        assert_ne!(sealed, keys.seal(PLACE, b"secret").unwrap(), "a nonce serves once");
        assert!(keys.open(Place { row: "2", ..PLACE }, &sealed).is_err());
        assert!(Keys::new([(1, [8; 32])]).unwrap().open(PLACE, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(keys.open(PLACE, &damaged).is_err(), "byte {at}");
            assert!(keys.open(PLACE, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn keys_rotate_by_their_ids() {
        let old = Keys::new([(1, [7; 32])]).unwrap();
        let both = Keys::new([(2, [9; 32]), (1, [7; 32])]).unwrap();
        let sealed = old.seal(PLACE, b"secret").unwrap();
        assert!(both.outdated(&sealed) && !old.outdated(&sealed));
        assert_eq!(both.open(PLACE, &sealed).unwrap().expose(), b"secret");
        let again = both.seal(PLACE, b"secret").unwrap();
        assert!(!both.outdated(&again) && old.open(PLACE, &again).is_err());
        assert!(Keys::new([]).is_err() && Keys::new([(1, [0; 32]), (1, [1; 32])]).is_err());
        assert!(!format!("{both:?} {:?}", Secret::new(b"secret".to_vec())).contains("secret"));
    }
}
