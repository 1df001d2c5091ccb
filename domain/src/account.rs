//! The account by which a device and this server know each other.
use std::fmt;

use dmwsi_objects::dmacc::AuthType;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// The longest server id, in bytes.
pub const MAX_SERVER_ID: usize = 64;

/// The longest name in credentials, in bytes.
pub const MAX_NAME: usize = 255;

/// The longest secret, in bytes.
pub const MAX_SECRET: usize = 255;

/// An account as it is given: with its secrets in the clear, on their way to being sealed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// What the device calls this server (DMAcc `ServerID`): 1 to 64 bytes.
    #[serde(deserialize_with = "server_id")]
    #[schema(min_length = 1, max_length = 64, example = "dm.example.com")]
    pub server_id: String,
    /// How the device proves who it is.
    pub client: Credentials,
    /// How this server proves who it is, where the device wants that. `TRANSPORT` is for devices only: a server shows its certificate anyway.
    #[serde(default, deserialize_with = "server_credentials")]
    #[schema(value_type = Option<Credentials>)]
    pub server: Option<Credentials>,
    /// Whether the device proves itself in every message, in place of once a session. With `HMAC` and `TRANSPORT` it does so anyway.
    #[serde(default)]
    pub every_message: bool,
}

/// How one side proves who it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(try_from = "Given", deny_unknown_fields)]
#[schema(example = json!({"auth": "DIGEST", "name": "device-1", "secret": "correct horse"}))]
pub struct Credentials {
    /// `BASIC`: name and password. `DIGEST`: an MD5 digest over them and a nonce. `HMAC`: a MAC over each message, in the HTTP header
    /// `x-syncml-hmac`. `TRANSPORT`: the certificate of a TLS client, which the authorities of the setting `listen.clientAuthorities` have issued.
    #[schema(value_type = String, pattern = "^(BASIC|DIGEST|HMAC|TRANSPORT)$", max_length = 9)]
    pub auth: AuthType,
    /// The user name: 1 to 255 bytes. With `TRANSPORT` what the certificate says: the common name of its subject, a DNS name or URI among its
    /// alternative names, or `sha256:` and the fingerprint of the certificate itself in hexadecimal digits.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// The password: 1 to 255 bytes. It is stored sealed, and shown in nothing but what the device is told (`bootstrap`). To be left out with
    /// `TRANSPORT`, and with nothing else.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, write_only)]
    pub secret: Option<Secret>,
}

/// Credentials as they are written, before anybody has looked at what belongs together.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    auth: AuthType,
    #[serde(deserialize_with = "name")]
    name: String,
    #[serde(default)]
    secret: Option<Secret>,
}

impl TryFrom<Given> for Credentials {
    type Error = &'static str;

    fn try_from(Given { auth, name, secret }: Given) -> Result<Self, Self::Error> {
        match (auth, &secret) {
            (AuthType::Transport, Some(_)) => Err(NO_SECRET),
            (AuthType::Basic | AuthType::Digest | AuthType::Hmac, None) => Err("missing field `secret`"),
            _ => Ok(Self { auth, name, secret }),
        }
    }
}

/// Why a secret is refused beside a certificate.
pub(crate) const NO_SECRET: &str = "a device that proves itself by its certificate has no secret";
/// Why a server cannot be known by its transport.
pub(crate) const NO_SERVER: &str =
    "TRANSPORT is for devices; leave `server` out, and the device knows this server by its certificate";

/// A password in the clear. It has no text: neither `Debug` nor a serialiser shows it.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Reads one: 1 to 255 bytes without control characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX_SECRET).contains(&text.len()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    /// The text, for what tells it to the device.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The bytes to be sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not `deserialize_str`: there serde_json itself refuses what is no text, and quotes it.
        deserializer.deserialize_any(SecretText)
    }
}

/// Reads a secret. What serde says of a value of another type quotes it, and this one must not be quoted.
struct SecretText;

impl SecretText {
    fn refuse<E: de::Error>() -> E {
        E::custom("a secret is text of 1 to 255 bytes without control characters")
    }
}

impl Visitor<'_> for SecretText {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Secret::parse(text).ok_or_else(Self::refuse)
    }

    fn visit_bool<E: de::Error>(self, _value: bool) -> Result<Secret, E> {
        Err(Self::refuse())
    }

    fn visit_i64<E: de::Error>(self, _value: i64) -> Result<Secret, E> {
        Err(Self::refuse())
    }

    fn visit_u64<E: de::Error>(self, _value: u64) -> Result<Secret, E> {
        Err(Self::refuse())
    }

    fn visit_f64<E: de::Error>(self, _value: f64) -> Result<Secret, E> {
        Err(Self::refuse())
    }
}

/// A password as it is stored: only who holds the sealing key can read it.
#[derive(Clone, Eq, PartialEq)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// An account as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedAccount {
    /// What the device calls this server.
    pub server_id: String,
    /// How the device proves who it is.
    pub client: SealedCredentials,
    /// How this server proves who it is, where the device wants that.
    pub server: Option<SealedCredentials>,
    /// Whether the device proves itself in every message.
    pub every_message: bool,
}

/// Credentials as they are stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedCredentials {
    /// How.
    pub auth: AuthType,
    /// The user name.
    pub name: String,
    /// The password; empty with [`AuthType::Transport`].
    pub secret: Sealed,
}

/// Which of the two secrets of an account is meant: each is sealed for its own place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The device.
    Client,
    /// This server.
    Server,
}

impl Account {
    /// The account with what `seal` makes of its secrets.
    pub fn seal<E>(self, mut seal: impl FnMut(Side, &Secret) -> Result<Sealed, E>) -> Result<SealedAccount, E> {
        let client = self.client.seal(|secret| seal(Side::Client, secret))?;
        let server = self.server.map(|server| server.seal(|secret| seal(Side::Server, secret))).transpose()?;
        Ok(SealedAccount { server_id: self.server_id, client, server, every_message: self.every_message })
    }
}

impl Credentials {
    /// The credentials with what `seal` makes of the secret.
    pub fn seal<E>(self, seal: impl FnOnce(&Secret) -> Result<Sealed, E>) -> Result<SealedCredentials, E> {
        let secret = self.secret.as_ref().map(seal).transpose()?;
        Ok(SealedCredentials { auth: self.auth, name: self.name, secret: secret.unwrap_or(Sealed(Vec::new())) })
    }
}

/// The name of a way to authenticate on the wire and in the row.
#[must_use]
pub const fn auth_name(auth: AuthType) -> &'static str {
    match auth {
        AuthType::Basic => "BASIC",
        AuthType::Digest => "DIGEST",
        AuthType::Hmac => "HMAC",
        AuthType::Transport => "TRANSPORT",
    }
}

/// The way to authenticate of that name.
#[must_use]
pub fn auth_named(name: &str) -> Option<AuthType> {
    ALL.into_iter().find(|auth| auth_name(*auth) == name)
}

/// Every way to authenticate.
const ALL: [AuthType; 4] = [AuthType::Basic, AuthType::Digest, AuthType::Hmac, AuthType::Transport];

/// Reads how the server proves who it is.
fn server_credentials<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Credentials>, D::Error> {
    let server = Option::<Credentials>::deserialize(deserializer)?;
    match server.as_ref().map(|server| server.auth) {
        Some(AuthType::Transport) => Err(de::Error::custom(NO_SERVER)),
        _ => Ok(server),
    }
}

/// Reads the name this server has on the device.
pub(crate) fn server_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    bounded(text, MAX_SERVER_ID).ok_or_else(|| de::Error::custom("a server id has 1 to 64 bytes and no control characters"))
}

/// Reads a user name.
pub(crate) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    bounded(text, MAX_NAME).ok_or_else(|| de::Error::custom("a user name has 1 to 255 bytes and no control characters"))
}

fn bounded(text: String, most: usize) -> Option<String> {
    ((1..=most).contains(&text.len()) && !text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = r#"{"serverId":"dm","client":{"auth":"DIGEST","name":"n","secret":"swordfish"}}"#;

    #[test]
    fn no_text_of_an_account_shows_a_secret() {
        let account: Account = serde_json::from_str(WRITTEN).unwrap();
        assert!(!format!("{account:?}").contains("swordfish"));
        let sealed = account.seal(|_, secret| Ok::<_, ()>(Sealed(secret.as_bytes().to_vec()))).unwrap();
        assert!(!format!("{sealed:?}").contains("115"), "the bytes are not shown either");
        assert_eq!(sealed.client.secret.0, b"swordfish");
        for wrong in ["13579", "-13579", "1.3579", "[13579]", r#"{"13579":1}"#, "\"13579\\u0000\""] {
            let text = WRITTEN.replace("\"swordfish\"", wrong);
            let error = serde_json::from_str::<Account>(&text).unwrap_err().to_string();
            assert!(!error.contains("3579"), "{error}");
        }
    }

    #[test]
    fn a_secret_belongs_to_every_way_but_the_certificate_and_names_to_all() {
        let read = |text: &str| serde_json::from_str::<Account>(text).map_err(|error| error.to_string());
        assert_eq!(read(&WRITTEN.replace("DIGEST", "HMAC")).unwrap().client.auth, AuthType::Hmac);
        let certified = WRITTEN.replace("DIGEST", "TRANSPORT");
        assert!(read(&certified).unwrap_err().contains("has no secret"));
        let certified = certified.replace(r#","secret":"swordfish""#, "");
        let sealed = read(&certified).unwrap().seal(|_, _| Err("there is nothing to seal")).unwrap();
        assert_eq!((sealed.client.auth, sealed.client.secret.0.len()), (AuthType::Transport, 0));
        assert!(read(&WRITTEN.replace(r#","secret":"swordfish""#, "")).unwrap_err().contains("missing field `secret`"));
        let server = certified.replace("}}", r#"},"server":{"auth":"TRANSPORT","name":"s"}}"#);
        assert!(read(&server).unwrap_err().contains("TRANSPORT is for devices"));
        assert!(serde_json::from_str::<Account>(&WRITTEN.replace("\"n\"", "\"\"")).is_err());
        assert!(serde_json::from_str::<Account>(&WRITTEN.replace("\"dm\"", "\"a\\tb\"")).is_err());
    }

    #[test]
    fn each_side_has_a_place_of_its_own() {
        let written = WRITTEN.replace("}}", r#"},"server":{"auth":"BASIC","name":"s","secret":"x"}}"#);
        let mut sides = Vec::new();
        let account: Account = serde_json::from_str(&written).unwrap();
        let sealed = account
            .seal(|side, _| {
                sides.push(side);
                Ok::<_, ()>(Sealed(vec![]))
            })
            .unwrap();
        assert_eq!((sides, sealed.server.unwrap().auth), (vec![Side::Client, Side::Server], AuthType::Basic));
        for auth in ALL {
            assert_eq!(auth_named(auth_name(auth)), Some(auth));
        }
    }
}
