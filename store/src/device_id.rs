//! Public ids of devices: `dev_` and the device's UUID, encrypted for one organisation, so that two organisations cannot compare theirs.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use dmwsi_domain::id::{DeviceId, OrganisationId};
use dmwsi_domain::{Error, Result};
use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use uuid::{Uuid, Version};

/// What a public id starts with.
pub const PREFIX: &str = "dev_";

/// Makes and reads public ids, by one AES-256 block under HMAC-SHA256(master key, organisation). No table is needed, and the master key
/// is never changed. No `Debug`, so it is never printed.
pub struct DeviceIds {
    master: [u8; 32],
    ciphers: RwLock<HashMap<OrganisationId, Arc<Ciphers>>>,
}

/// Both ways under the key of one organisation, kept because OpenSSL takes longer to prepare one than to use it. Each block stands for itself
/// (ECB without padding), so nothing of one id stays for the next.
struct Ciphers {
    sealing: Mutex<CipherCtx>,
    opening: Mutex<CipherCtx>,
}

impl DeviceIds {
    /// With that master key.
    #[must_use]
    pub fn new(master: [u8; 32]) -> Self {
        Self { master, ciphers: RwLock::new(HashMap::new()) }
    }

    /// The id by which `organisation` knows `device`.
    pub fn public(&self, organisation: OrganisationId, device: DeviceId) -> Result<String> {
        let ciphers = self.ciphers(organisation).map_err(Error::internal)?;
        let block = block(&ciphers.sealing, device.uuid().as_bytes()).map_err(Error::internal)?;
        Ok(format!("{PREFIX}{}", Uuid::from_bytes(block).simple()))
    }

    /// The device that `organisation` knows by `text`; nothing where the text was not made by [`Self::public`] for that organisation.
    #[must_use]
    pub fn inside(&self, organisation: OrganisationId, text: &str) -> Option<DeviceId> {
        let hex = text.strip_prefix(PREFIX)?;
        if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return None;
        }
        let sealed = Uuid::try_parse(hex).ok()?;
        let ciphers = self.ciphers(organisation).ok()?;
        let uuid = Uuid::from_bytes(block(&ciphers.opening, sealed.as_bytes()).ok()?);
        // A foreign or invented id decrypts to noise: version and variant stop 63 of 64, the look-up by organisation the rest.
        (uuid.get_version() == Some(Version::SortRand) && uuid.get_variant() == uuid::Variant::RFC4122)
            .then(|| DeviceId::new(uuid))
    }

    fn ciphers(&self, organisation: OrganisationId) -> Result<Arc<Ciphers>, ErrorStack> {
        if let Some(ciphers) = self.ciphers.read().unwrap_or_else(PoisonError::into_inner).get(&organisation) {
            return Ok(Arc::clone(ciphers));
        }
        let master = PKey::hmac(&self.master)?;
        let mut signer = Signer::new(MessageDigest::sha256(), &master)?;
        signer.update(organisation.uuid().as_bytes())?;
        let mut key = [0; 32];
        signer.sign(&mut key)?;
        let (mut sealing, mut opening) = (CipherCtx::new()?, CipherCtx::new()?);
        sealing.encrypt_init(Some(Cipher::aes_256_ecb()), Some(&key), None)?;
        opening.decrypt_init(Some(Cipher::aes_256_ecb()), Some(&key), None)?;
        for cipher in [&mut sealing, &mut opening] {
            cipher.set_padding(false);
        }
        let ciphers = Arc::new(Ciphers { sealing: Mutex::new(sealing), opening: Mutex::new(opening) });
        self.ciphers.write().unwrap_or_else(PoisonError::into_inner).insert(organisation, Arc::clone(&ciphers));
        Ok(ciphers)
    }
}

fn block(cipher: &Mutex<CipherCtx>, input: &[u8; 16]) -> Result<[u8; 16], ErrorStack> {
    // `cipher_update` asks for room for one block more than it writes.
    let mut output = [0; 32];
    cipher.lock().unwrap_or_else(PoisonError::into_inner).cipher_update(input, Some(&mut output))?;
    Ok(*output.first_chunk::<16>().unwrap_or(&[0; 16]))
}

#[cfg(test)]
mod tests {
    use dmwsi_domain::Clock;

    use super::*;

    /// OES6: two organisations cannot tell that they speak of the same device.
    #[test]
    fn a_device_has_another_id_for_each_organisation_and_each_reads_only_its_own() {
        let ids = DeviceIds::new([1; 32]);
        let device = DeviceId::new(Clock::System.new_id());
        let [a, b] = [(); 2].map(|()| OrganisationId::new(Clock::System.new_id()));
        let (for_a, for_b) = (ids.public(a, device).unwrap(), ids.public(b, device).unwrap());
        assert_ne!(for_a, for_b);
        assert_eq!(ids.inside(a, &for_a), Some(device));
        assert_ne!(ids.inside(b, &for_a), Some(device));
        assert_eq!(DeviceIds::new([1; 32]).public(a, device).unwrap(), for_a, "no state is needed");
        for wrong in [for_a.to_uppercase(), for_a.replace("dev_", ""), for_a[..35].to_owned(), format!("{for_a}0"), String::new()]
        {
            assert_eq!(ids.inside(a, &wrong), None, "{wrong}");
        }
    }
}
