//! The nonces that devices are given: derived, so that giving one costs no write.
//!
//! A nonce is HMAC(key, device, epoch, counter). The epoch stands in the device's row, the counter in the memory of the process that
//! last answered the device, and moves with each use. A process that holds no counter for a device accepts no digest of it: it writes a
//! new epoch and challenges with that, so a nonce is never accepted twice, whichever process is asked and whatever crashed.
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use dmwsi_domain::id::DeviceId;
use dmwsi_domain::{Error, Result};
use lru::LruCache;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// Characters of a nonce: 24 of them are over 128 bits, need no padding in base64, and break no client known (some cannot hold more than
/// 50 bytes, some misread lengths that need one `=`).
pub(super) const LENGTH: usize = 24;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Where a device's nonces stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// Counts the times that somebody had to start anew.
    pub(super) epoch: u64,
    /// Counts the nonces given in this epoch.
    pub(super) counter: u64,
}

/// Derives nonces and remembers which one each device was last given.
pub(super) struct Nonces {
    key: [u8; 32],
    places: Mutex<LruCache<DeviceId, Place>>,
}

impl Nonces {
    /// Remembers at most `capacity` devices; one that is forgotten is challenged once more.
    pub(super) fn new(key: [u8; 32], capacity: NonZeroUsize) -> Self {
        Self { key, places: Mutex::new(LruCache::new(capacity)) }
    }

    /// Where the device stands, if this process gave the last nonce and nobody else has started anew since.
    pub(super) fn place(&self, device: DeviceId, epoch: u64) -> Option<Place> {
        self.lock().get(&device).copied().filter(|place| place.epoch == epoch)
    }

    /// The place after this one. Where another process gave the last nonce, that process must not take it once more, so an epoch begins.
    pub(super) fn after(&self, device: DeviceId, place: Place) -> Place {
        let is_own = place.counter == 0 || self.lock().peek(&device) == Some(&place);
        let Place { epoch, counter } = place;
        if is_own {
            Place { epoch, counter: counter.saturating_add(1) }
        } else {
            Place { epoch: epoch.saturating_add(1), counter: 1 }
        }
    }

    /// Moves the device on. False when another message has moved it meanwhile: then this one's nonce no longer counts.
    pub(super) fn advance(&self, device: DeviceId, from: Place, to: Place) -> bool {
        let mut places = self.lock();
        if places.get(&device).is_some_and(|place| place.epoch >= to.epoch && *place != from) {
            return false;
        }
        places.put(device, to);
        true
    }

    /// Takes back a move that could not be written.
    pub(super) fn go_back(&self, device: DeviceId, from: Place, to: Place) {
        let mut places = self.lock();
        if places.peek(&device) != Some(&from) {
            return;
        }
        if to.epoch == from.epoch && to.counter > 0 {
            places.put(device, to);
        } else {
            places.pop(&device);
        }
    }

    /// The nonce of a device at a place.
    pub(super) fn derive(&self, device: DeviceId, place: Place) -> Result<Vec<u8>> {
        self.derive_for(device.uuid().as_bytes(), place)
    }

    /// The nonce that somebody unknown is challenged with. It looks like any other and never leads to anything.
    pub(super) fn decoy(&self, identity: &str, message: u64) -> Result<Vec<u8>> {
        self.derive_for(identity.as_bytes(), Place { epoch: u64::MAX, counter: message })
    }

    fn derive_for(&self, whose: &[u8], place: Place) -> Result<Vec<u8>> {
        let key = PKey::hmac(&self.key).map_err(Error::internal)?;
        let mut nonce = Vec::with_capacity(LENGTH);
        let mut block = 0_u8;
        while nonce.len() < LENGTH {
            let mut signer = Signer::new(MessageDigest::sha256(), &key).map_err(Error::internal)?;
            for part in [&[block][..], &place.epoch.to_be_bytes(), &place.counter.to_be_bytes(), whose] {
                signer.update(part).map_err(Error::internal)?;
            }
            let bytes = signer.sign_to_vec().map_err(Error::internal)?;
            // 248 is four times 62: what lies above would make some characters likelier than others.
            let even = bytes.into_iter().filter(|byte| *byte < 248);
            nonce.extend(even.filter_map(|byte| ALPHABET.get(usize::from(byte) % ALPHABET.len())));
            block = block.wrapping_add(1);
        }
        nonce.truncate(LENGTH);
        Ok(nonce)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<DeviceId, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").field("places", &self.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn nonces(capacity: usize) -> Nonces {
        Nonces::new([7; 32], NonZeroUsize::new(capacity).unwrap())
    }

    fn device(number: u128) -> DeviceId {
        DeviceId::new(Uuid::from_u128(number))
    }

    #[test]
    fn a_nonce_is_24_plain_characters_and_differs_with_device_epoch_and_counter() {
        let nonces = nonces(4);
        let at = |number, epoch, counter| nonces.derive(device(number), Place { epoch, counter }).unwrap();
        let first = at(1, 0, 0);
        assert_eq!(first.len(), LENGTH);
        assert!(first.iter().all(u8::is_ascii_alphanumeric));
        assert_eq!(first, at(1, 0, 0));
        for other in [at(2, 0, 0), at(1, 1, 0), at(1, 0, 1)] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_device_that_was_forgotten_or_started_anew_elsewhere_has_no_place() {
        let nonces = nonces(1);
        let moved = |number, place: Place| nonces.advance(device(number), Place { counter: 0, ..place }, place);
        assert!(moved(1, Place { epoch: 3, counter: 9 }));
        assert_eq!(nonces.place(device(1), 3), Some(Place { epoch: 3, counter: 9 }));
        assert_eq!(nonces.place(device(1), 4), None);
        assert!(moved(2, Place { epoch: 0, counter: 1 }));
        assert_eq!(nonces.place(device(1), 3), None);
    }

    /// AD-6
    #[test]
    fn of_two_messages_with_one_nonce_only_one_moves_the_device() {
        let nonces = nonces(4);
        let [first, second, third] = [1, 2, 3].map(|counter| Place { epoch: 3, counter });
        assert!(nonces.advance(device(1), Place { epoch: 3, counter: 0 }, first));
        assert_eq!(nonces.after(device(1), first), second);
        assert!(nonces.advance(device(1), first, second));
        assert!(!nonces.advance(device(1), first, second));
        assert!(nonces.advance(device(1), second, third));
        nonces.go_back(device(1), third, second);
        assert_eq!(nonces.place(device(1), 3), Some(second));
    }

    /// AD-6
    #[test]
    fn a_nonce_that_another_process_gave_is_followed_by_a_new_epoch() {
        let (here, elsewhere) = (nonces(4), nonces(4));
        let given = Place { epoch: 5, counter: 2 };
        assert!(here.advance(device(1), Place { epoch: 5, counter: 0 }, given));
        let next = elsewhere.after(device(1), given);
        assert_eq!(next, Place { epoch: 6, counter: 1 });
        assert!(elsewhere.advance(device(1), given, next));
        assert_eq!(here.place(device(1), next.epoch), None);
        elsewhere.go_back(device(1), next, given);
        assert_eq!(elsewhere.place(device(1), given.epoch), None);
    }
}
