//! DMAcc, `urn:oma:mo:oma-dm-dmacc:1.0`: an account by which device and server know each other (OMA DM StdObj 1.2, 5.3.2).
use serde::{Deserialize, Serialize};

/// The identifier of the object.
pub const URN: &str = "urn:oma:mo:oma-dm-dmacc:1.0";
/// Where accounts stand.
pub const ROOT: &str = "./DMAcc";
/// Where they stand on devices that kept to the place of OMA DM 1.1.
pub const OLD_ROOT: &str = "./SyncML/DMAcc";
/// Below an account: what the device calls the server.
pub const SERVER_ID: &str = "ServerID";
/// Below an account: the credentials, one node for each.
pub const APP_AUTH: &str = "AppAuth";
/// Below credentials: whose they are.
pub const AUTH_LEVEL: &str = "AAuthLevel";
/// Below credentials: the secret.
pub const AUTH_SECRET: &str = "AAuthSecret";
/// The level of the credentials by which the device proves who it is.
pub const CLIENT_LEVEL: &str = "CLCRED";

/// How one side proves who it is (`AAuthType`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuthType {
    /// Name and password in base64: `syncml:auth-basic`.
    Basic,
    /// An MD5 digest over name, password and nonce: `syncml:auth-md5`.
    Digest,
    /// A MAC over the whole message, in an HTTP header: `syncml:auth-MAC`.
    Hmac,
    /// Nothing in the messages: the transport proves it, by the certificate of a TLS client.
    Transport,
}

impl AuthType {
    /// The name used in Cred and Chal.
    #[must_use]
    pub const fn syncml(self) -> &'static str {
        match self {
            Self::Basic => "syncml:auth-basic",
            Self::Digest => "syncml:auth-md5",
            Self::Hmac => "syncml:auth-MAC",
            Self::Transport => "syncml:auth-none",
        }
    }

    /// Reads the name used in Cred and Chal, in any case.
    #[must_use]
    pub fn from_syncml(name: &str) -> Option<Self> {
        [Self::Basic, Self::Digest, Self::Hmac].into_iter().find(|known| known.syncml().eq_ignore_ascii_case(name.trim()))
    }
}
