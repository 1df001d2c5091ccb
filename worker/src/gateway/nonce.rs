//! The nonces that devices are given: derived, so that giving one costs no write.
//!
//! Each is an HMAC over the device and an epoch, which stands in the device's row, and there are two kinds. A *challenge* depends on the
//! MsgID that it answers and on the time besides, so any process knows it; whoever takes one begins a new epoch in the transaction of the
//! message, so only one process does, and only once. The *next* nonce, which goes out when a device is let in, depends on a counter in the
//! memory of the process that gave it, which alone takes it, without a write; where it stands in the row of a session too, the next message
//! of that session may spend it elsewhere, which begins a new epoch as well. What is refused moves nothing: nobody can spoil the nonces of a
//! device by knocking in its name.
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use dmwsi_domain::id::DeviceId;
use dmwsi_domain::{Error, Result, Timestamp};
use lru::LruCache;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::sign::Signer;

/// Characters of a nonce: 24 of them are over 128 bits, need no padding in base64, and break no client known (some cannot hold more than
/// 50 bytes, some misread lengths that need one `=`).
pub(super) const LENGTH: usize = 24;

/// A challenge can be met for this long at least and twice as long at most, in microseconds: ten minutes.
const CHALLENGE_LASTS: i64 = 600_000_000;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Where a device's next nonce stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// Counts the times that nonces began anew.
    pub(super) epoch: u64,
    /// Counts the nonces given in this epoch; 0 where there was none yet.
    pub(super) counter: u64,
}

impl Place {
    /// The first one after all of that epoch.
    pub(super) const fn anew(epoch: u64) -> Self {
        Self { epoch: epoch.saturating_add(1), counter: 1 }
    }

    /// The next one in the same epoch.
    pub(super) const fn next(self) -> Self {
        Self { epoch: self.epoch, counter: self.counter.saturating_add(1) }
    }
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

    /// Where the nonce stands that this process gave the device last, if that still counts.
    pub(super) fn held(&self, device: DeviceId, epoch: u64) -> Option<Place> {
        self.lock().get(&device).copied().filter(|place| place.epoch == epoch && place.counter > 0)
    }

    /// Whether this process gave the device a nonce of that epoch, be it a challenge.
    pub(super) fn has_given(&self, device: DeviceId, epoch: u64) -> bool {
        self.lock().peek(&device).is_some_and(|place| place.epoch == epoch)
    }

    /// The device is challenged.
    pub(super) fn challenged(&self, device: DeviceId, epoch: u64) {
        let mut places = self.lock();
        if places.get(&device).is_none_or(|place| place.epoch < epoch) {
            places.put(device, Place { epoch, counter: 0 });
        }
    }

    /// Moves the device on within an epoch. False when another message has moved it meanwhile: then this one's nonce no longer counts.
    pub(super) fn advance(&self, device: DeviceId, from: Place, to: Place) -> bool {
        let mut places = self.lock();
        let is_there = places.get(&device) == Some(&from);
        if is_there {
            places.put(device, to);
        }
        is_there
    }

    /// The first nonce of an epoch that this process has begun: it must be written by now, or another could begin the same one.
    pub(super) fn begun(&self, device: DeviceId, at: Place) {
        self.lock().put(device, at);
    }

    /// Takes back a move that was not written.
    pub(super) fn go_back(&self, device: DeviceId, from: Place, to: Place) {
        let mut places = self.lock();
        if places.peek(&device) == Some(&from) {
            places.put(device, to);
        }
    }

    /// The device is challenged before anything else is taken from it: nobody knows whether a move was written.
    pub(super) fn forget(&self, device: DeviceId) {
        self.lock().pop(&device);
    }

    /// The challenge that a device gets in reply to its message of that number.
    pub(super) fn challenge(&self, device: DeviceId, epoch: u64, message: u32, at: Timestamp) -> Result<Vec<u8>> {
        self.derive_challenge(device.uuid().as_bytes(), epoch, message, span(at))
    }

    /// The challenges that a message of that number may answer: that of the message before, or of an earlier try under the same number.
    pub(super) fn challenges(&self, device: DeviceId, epoch: u64, message: u32, at: Timestamp) -> Result<Vec<Vec<u8>>> {
        let numbers = [message.saturating_sub(1), message];
        let spans = [span(at), span(at).saturating_sub(1)];
        let all = numbers.into_iter().flat_map(|number| spans.map(|span| (number, span)));
        all.map(|(number, span)| self.derive_challenge(device.uuid().as_bytes(), epoch, number, span)).collect()
    }

    /// The challenge that somebody unknown gets. It looks like any other and never leads to anything.
    pub(super) fn decoy(&self, identity: &str, message: u32, at: Timestamp) -> Result<Vec<u8>> {
        self.derive_challenge(identity.as_bytes(), u64::MAX, message, span(at))
    }

    /// The place among all that there may be which somebody unknown always has.
    pub(super) fn place(&self, identity: &str) -> Result<u64> {
        let key = PKey::hmac(&self.key).map_err(Error::internal)?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key).map_err(Error::internal)?;
        signer.update(b"place").map_err(Error::internal)?;
        signer.update(identity.as_bytes()).map_err(Error::internal)?;
        let bytes = signer.sign_to_vec().map_err(Error::internal)?;
        Ok(bytes.into_iter().take(8).fold(0, |place, byte| place << 8 | u64::from(byte)))
    }

    /// A nonce for this server's own credentials, which nobody knows until a device is told it.
    pub(super) fn minted(&self) -> Result<Vec<u8>> {
        let mut chance = [0; 32];
        rand_bytes(&mut chance).map_err(Error::internal)?;
        self.derive_from(&[b"minted", &chance])
    }

    fn derive_challenge(&self, whose: &[u8], epoch: u64, message: u32, span: i64) -> Result<Vec<u8>> {
        self.derive_from(&[b"challenge", &epoch.to_be_bytes(), &message.to_be_bytes(), &span.to_be_bytes(), whose])
    }

    /// The nonce of a device at a place.
    pub(super) fn derive(&self, device: DeviceId, place: Place) -> Result<Vec<u8>> {
        self.derive_from(&[&place.epoch.to_be_bytes(), &place.counter.to_be_bytes(), device.uuid().as_bytes()])
    }

    fn derive_from(&self, parts: &[&[u8]]) -> Result<Vec<u8>> {
        let key = PKey::hmac(&self.key).map_err(Error::internal)?;
        let mut nonce = Vec::with_capacity(LENGTH);
        let mut block = 0_u8;
        while nonce.len() < LENGTH {
            let mut signer = Signer::new(MessageDigest::sha256(), &key).map_err(Error::internal)?;
            signer.update(&[block]).map_err(Error::internal)?;
            for part in parts {
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

/// Counts the spans of time for which challenges are made.
const fn span(at: Timestamp) -> i64 {
    at.micros().div_euclid(CHALLENGE_LASTS)
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
    fn a_device_that_was_forgotten_or_began_anew_elsewhere_has_no_place() {
        let nonces = nonces(1);
        nonces.begun(device(1), Place { epoch: 3, counter: 9 });
        assert_eq!(nonces.held(device(1), 3), Some(Place { epoch: 3, counter: 9 }));
        assert_eq!(nonces.held(device(1), 4), None);
        nonces.begun(device(2), Place { epoch: 0, counter: 1 });
        assert_eq!(nonces.held(device(1), 3), None);
    }

    /// AD-6
    #[test]
    fn of_two_messages_with_one_nonce_only_one_moves_the_device() {
        let nonces = nonces(4);
        let first = Place::anew(2);
        let (second, third) = (first.next(), first.next().next());
        nonces.begun(device(1), first);
        assert!(nonces.advance(device(1), first, second));
        assert!(!nonces.advance(device(1), first, second));
        assert!(nonces.advance(device(1), second, third));
        nonces.go_back(device(1), third, second);
        assert_eq!(nonces.held(device(1), 3), Some(second));
    }

    /// AD-6
    #[test]
    fn a_challenge_is_known_to_every_process_until_it_is_too_old_or_the_epoch_ends() {
        let (here, elsewhere) = (nonces(4), nonces(4));
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let given = here.challenge(device(1), 5, 2, at(0)).unwrap();
        let meets = |number, epoch, message, seconds| {
            elsewhere.challenges(device(number), epoch, message, at(seconds)).unwrap().contains(&given)
        };
        assert!(meets(1, 5, 3, 0) && meets(1, 5, 2, 0) && meets(1, 5, 3, 1_199));
        assert!(!meets(2, 5, 3, 0) && !meets(1, 6, 3, 0) && !meets(1, 5, 4, 0) && !meets(1, 5, 1, 0) && !meets(1, 5, 3, 1_200));
        here.challenged(device(1), 5);
        assert!(here.has_given(device(1), 5) && !elsewhere.has_given(device(1), 5) && here.held(device(1), 5).is_none());
        here.begun(device(1), Place::anew(5));
        here.challenged(device(1), 6);
        assert_eq!(here.held(device(1), 6), Some(Place::anew(5)), "a challenge to anybody leaves the device's own nonce");
    }
}
