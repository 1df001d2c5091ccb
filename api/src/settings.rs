//! What an operator can set of the north side.
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The section `api` of the settings; every name has a default.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The largest JSON body taken, in bytes; 1 MiB by default. Streams (imports, containers) have limits of their own.
    pub max_body_bytes: usize,
    /// The largest request for a job taken, in bytes; 8 MiB by default, which is enough for a job on 100,000 devices.
    pub max_job_bytes: usize,
    /// How long a token is valid, in seconds; 600 by default and at most.
    pub token_lifetime_seconds: TokenLifetime,
    /// How many wrong secrets one client id may give within a minute before the answer is 429; 10 by default.
    pub max_failed_logins: u32,
    /// Where the body of an import waits while it is applied, in a file without a name; the system's folder for temporary files by default.
    pub spool_folder: PathBuf,
    /// The largest body of an import, in bytes; 256 MiB by default.
    pub max_import_bytes: u64,
    /// For how many days after its last step an import can be repeated and its verdicts read again; 7 by default. Then it is forgotten.
    pub imports_kept_days: u32,
}

impl Settings {
    /// How long an import is kept after its last step.
    #[must_use]
    pub fn imports_kept(&self) -> Duration {
        Duration::from_secs(u64::from(self.imports_kept_days).saturating_mul(86_400))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_body_bytes: 1 << 20,
            max_job_bytes: 8 << 20,
            token_lifetime_seconds: TokenLifetime::default(),
            max_failed_logins: 10,
            spool_folder: std::env::temp_dir(),
            max_import_bytes: 256 << 20,
            imports_kept_days: 7,
        }
    }
}

/// The lifetime of an access token: 30 to 600 seconds. More is refused, as a token cannot be called back everywhere at once.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct TokenLifetime(u32);

impl TokenLifetime {
    /// Reads a number of seconds.
    pub fn parse(seconds: u32) -> Result<Self, TokenLifetimeError> {
        if (30..=600).contains(&seconds) { Ok(Self(seconds)) } else { Err(TokenLifetimeError) }
    }

    /// The number of seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl Default for TokenLifetime {
    fn default() -> Self {
        Self(600)
    }
}

impl TryFrom<u32> for TokenLifetime {
    type Error = TokenLifetimeError;

    fn try_from(seconds: u32) -> Result<Self, TokenLifetimeError> {
        Self::parse(seconds)
    }
}

impl From<TokenLifetime> for u32 {
    fn from(lifetime: TokenLifetime) -> Self {
        lifetime.0
    }
}

/// The number of seconds is not a lifetime.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a token lives 30 to 600 seconds")]
pub struct TokenLifetimeError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_lives_longer_than_ten_minutes() {
        assert!(serde_json::from_str::<Settings>(r#"{"tokenLifetimeSeconds": 601}"#).is_err());
        assert!(serde_json::from_str::<Settings>(r#"{"tokenLifetime": 60}"#).is_err());
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
    }
}
