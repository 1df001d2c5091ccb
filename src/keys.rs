//! The key file: everything secret that the server itself needs. Whoever has it can read the sealed secrets and make tokens.
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::sign::Signer;
use serde::{Deserialize, Serialize};

/// The environment variable that may hold the text of the key file, in place of a file.
pub const VARIABLE: &str = "DMWSI_KEYS";

/// The keys. Never printed: it has no `Debug`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Keys {
    /// The keys of the external side.
    pub api: dmwsi_api::KeyFile,
    /// Makes the nonces given to devices, and the tokens of their downloads: 32 bytes, base64url. A new one makes every device prove itself
    /// once more, and ends the downloads that are under way.
    pub nonces: String,
    /// Seal the secrets of devices. The one with the highest id seals; the others still open what they sealed.
    pub sealing: Vec<SealingKey>,
}

/// One key that seals.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SealingKey {
    /// Its number, which stands beside what it sealed.
    pub id: u32,
    /// 32 bytes, base64url.
    pub key: String,
}

/// The keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file is not there, or may not be read or written.
    #[error("cannot use the key file {}", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// What stands in it is no key file. The text of the cause names no secret.
    #[error("the key file is malformed: {0}")]
    Malformed(String),
    /// Others may read the file.
    #[error("the key file {} can be read by others: take their rights away (chmod 600)", .0.display())]
    Open(PathBuf),
    /// openssl has no random numbers, or refuses to derive a key.
    #[error("cannot make keys")]
    Random(#[from] ErrorStack),
    /// The keys of the external side cannot be used.
    #[error(transparent)]
    Api(#[from] dmwsi_api::KeysError),
}

impl Keys {
    /// New keys, different each time.
    pub fn mint() -> Result<Self, KeysError> {
        let name = |bytes: &[u8; 4]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let id = name(&random()?);
        let text = |bytes: [u8; 32]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Ok(Self {
            api: dmwsi_api::KeyFile::mint(&id)?,
            nonces: text(random()?),
            sealing: vec![SealingKey { id: 1, key: text(random()?) }],
        })
    }

    /// The keys of the environment, or of the file; made and written to it when there is none and `make` says so.
    pub fn load(file: &Path, make: bool) -> Result<Self, KeysError> {
        if let Ok(text) = std::env::var(VARIABLE) {
            return Self::parse(&text);
        }
        if make && !file.exists() {
            let keys = Self::mint()?;
            keys.write(file)?;
            return Ok(keys);
        }
        let failed = |error| KeysError::File(file.to_owned(), error);
        let mode = fs::metadata(file).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeysError::Open(file.to_owned()));
        }
        Self::parse(&fs::read_to_string(file).map_err(failed)?)
    }

    /// The key that nonces are derived from.
    pub fn nonce_key(&self) -> Result<[u8; 32], KeysError> {
        secret("nonces", &self.nonces)
    }

    /// The key that vouches for the tokens of downloads.
    pub fn download_key(&self) -> Result<[u8; 32], KeysError> {
        let key = PKey::hmac(&self.nonce_key()?)?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
        let derived = signer.sign_oneshot_to_vec(b"dmwsi downloads")?;
        derived.try_into().map_err(|_length| KeysError::Malformed("the key `nonces` cannot be used".to_owned()))
    }

    /// The keys that seal, ready.
    pub fn sealing_keys(&self) -> Result<dmwsi_store::Keys, KeysError> {
        let keys: Vec<_> =
            self.sealing.iter().map(|one| Ok((one.id, secret("sealing", &one.key)?))).collect::<Result<_, KeysError>>()?;
        dmwsi_store::Keys::new(keys).map_err(|error| KeysError::Malformed(error.to_string()))
    }

    fn parse(text: &str) -> Result<Self, KeysError> {
        // The cause quotes the line it stumbled over, which holds a secret; its message alone does not.
        toml::from_str(text).map_err(|error| KeysError::Malformed(error.message().to_owned()))
    }

    fn write(&self, file: &Path) -> Result<(), KeysError> {
        let failed = |error| KeysError::File(file.to_owned(), error);
        let text = toml::to_string(self).map_err(|error| KeysError::Malformed(error.to_string()))?;
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
        opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(failed)
    }
}

fn random<const N: usize>() -> Result<[u8; N], ErrorStack> {
    let mut bytes = [0; N];
    rand_bytes(&mut bytes)?;
    Ok(bytes)
}

fn secret(name: &str, text: &str) -> Result<[u8; 32], KeysError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| KeysError::Malformed(format!("the key `{name}` must be 32 bytes in base64url")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_file_and_the_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.toml");
        assert!(matches!(Keys::load(&file, false), Err(KeysError::File(..))));
        let made = Keys::load(&file, true).unwrap();
        let read = Keys::load(&file, true).unwrap();
        assert_eq!((made.nonces, made.sealing.len()), (read.nonces, 1));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::load(&file, true), Err(KeysError::Open(_))));
    }

    #[test]
    fn a_malformed_key_file_is_not_quoted() {
        let text = "nonces = \"s3cret\"\nsealing = 7\n";
        let Err(error) = Keys::parse(text) else { panic!("it was taken") };
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
