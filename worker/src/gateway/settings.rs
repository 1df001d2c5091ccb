//! What an operator may set about the device side.
use std::path::PathBuf;
use std::time::Duration;

use dmwsi_objects::dmacc::AuthType;
use serde::{Deserialize, Serialize};

/// The section `gateway` of the settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The largest message taken from a device and sent to one, in bytes; told to devices as `MaxMsgSize`. Larger ones get HTTP 413. A
    /// device that names no limit of its own is sent 16,000 bytes at most.
    pub max_message_bytes: u32,
    /// The largest object taken from a device in pieces, in bytes; also told to devices as `MaxObjSize`.
    pub max_object_bytes: u32,
    /// How many commands go into one message at most.
    pub max_commands: usize,
    /// How often a device may fail to prove itself in one session before the session is over.
    pub max_tries: u32,
    /// How often in a row a device is asked to go on with its package before the session is broken off.
    pub max_next_messages: u32,
    /// How often a device may fail to prove itself, each time within `lockoutSeconds` of the last, before it is locked out. Anybody who knows
    /// its name can bring that about, so it stops what can be guessed at and nothing else: new sessions with basic credentials are refused
    /// without a look, the right ones too. A device with digests is let in, since a digest must be over a fresh nonce, and whoever can guess
    /// one knows the secret: make those long. A session whose device has proven itself goes on at the address of its `RespURI`.
    pub max_failed_tries: u32,
    /// For how long a device that failed too often is locked out, in seconds; new credentials from the portal end it at once.
    pub lockout_seconds: u64,
    /// After how long without a message a session is given up, in seconds. A user has up to 480 seconds to answer a question: with less than 540
    /// here late answers are lost.
    pub session_idle_seconds: u64,
    /// How many sessions without work are remembered; the eldest are forgotten first and start with a challenge.
    pub remembered_sessions: usize,
    /// How many devices' nonces are remembered; the eldest are forgotten first and are challenged once more.
    pub remembered_nonces: usize,
    /// How often the times at which devices called are written, in seconds; those of devices that were being woken are written at once.
    pub seen_flush_seconds: u64,
    /// After how many days a device is asked for its details (DevDetail) again; 0 means never to ask.
    pub details_days: u32,
    /// How many unknown callers are remembered for the operator.
    pub max_strangers: u32,
    /// For how many days it is kept what became of a session that had work, went wrong or was traced, and what was said in it: at least one.
    pub sessions_kept_days: u32,
    /// A file of known kinds of devices, of the form of the one that ships with the product, over which it goes.
    pub profiles: Option<PathBuf>,
    /// What this process is called in records of sessions; its host and its number when empty.
    pub name: String,
    /// The server identifier told to devices that are not known; known ones have theirs in their account. Whoever is not known is answered as the
    /// known ones are, so that nobody learns by asking who is known: set this and `unknownServerName` as in the accounts.
    pub server_id: String,
    /// How devices that are not known are asked to prove who they are: `BASIC`, `DIGEST` or `HMAC`. When absent, each always in the same way, and all
    /// of them as the known ones are, in the same shares.
    pub unknown_client_auth: Option<AuthType>,
    /// How the server seems to prove itself to them: `BASIC`, `DIGEST` or `HMAC`; not at all when absent. Without `unknownClientAuth` it counts for
    /// nothing, and the server seems to do so as it does to the known ones.
    pub unknown_server_auth: Option<AuthType>,
    /// The server's name in those credentials: `serverId` when empty.
    pub unknown_server_name: String,
}

impl Settings {
    /// After how long without a message a session is given up.
    #[must_use]
    pub const fn session_idle(&self) -> Duration {
        Duration::from_secs(self.session_idle_seconds)
    }

    /// For how long it is kept what became of a session.
    #[must_use]
    pub fn sessions_kept(&self) -> Duration {
        Duration::from_secs(u64::from(self.sessions_kept_days.max(1)).saturating_mul(86_400))
    }

    /// What this process is called in records of sessions.
    pub(super) fn process_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let host = std::env::var("HOSTNAME").ok().filter(|host| !host.is_empty());
        format!("{}-{}", host.as_deref().unwrap_or("gateway"), std::process::id())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_message_bytes: 262_144,
            max_object_bytes: 1_048_576,
            max_commands: 20,
            max_tries: 3,
            max_next_messages: 64,
            max_failed_tries: 12,
            lockout_seconds: 300,
            session_idle_seconds: 600,
            remembered_sessions: 100_000,
            remembered_nonces: 2_000_000,
            seen_flush_seconds: 2,
            details_days: 7,
            max_strangers: 10_000,
            sessions_kept_days: 30,
            profiles: None,
            name: String::new(),
            server_id: "dmwsi".to_owned(),
            unknown_client_auth: None,
            unknown_server_auth: None,
            unknown_server_name: String::new(),
        }
    }
}
