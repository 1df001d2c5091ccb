//! Access tokens: ES256 JWTs by RFC 9068, signed by a ring of keys of which the first signs.
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dmwsi_domain::id::{ClientId, OrganisationId};
use dmwsi_domain::scope::Grants;
use dmwsi_domain::{Clock, Timestamp};
use lru::LruCache;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::sha::sha256;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::keys::SigningKeyFile;
use crate::settings::TokenLifetime;

/// How far the clocks of two of our servers may be apart, in seconds.
const LEEWAY: i64 = 30;

/// No token of ours is longer, in bytes.
const MAX_LENGTH: usize = 4096;

/// How many good signatures are remembered; the one seen longest ago goes.
const REMEMBERED: NonZero<usize> = NonZero::new(10_000).unwrap();

/// The bytes of r and of s in a signature (RFC 7518, 3.4).
const HALF: usize = 32;

struct SigningKey {
    id: String,
    private: EcKey<Private>,
    public: EcKey<Public>,
    jwk: Jwk,
}

/// The keys that sign and verify; no `Debug`, so none is ever printed.
pub struct KeyRing {
    active: SigningKey,
    retired: Vec<SigningKey>,
    /// Digests of tokens whose signature was found good: it stays so, and costs more than all else that a small request does.
    good: Mutex<LruCache<[u8; 32], ()>>,
}

/// What a token says (RFC 9068, 2.2), in our terms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claims {
    /// The client it was given to.
    pub client: ClientId,
    /// Whose client that is.
    pub organisation: OrganisationId,
    /// What it lets its bearer do.
    pub scopes: Grants,
    /// Seconds since 1970 at which it ends.
    pub expires_at: i64,
}

/// Why a token is refused: for the log, never for the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// Its algorithm is not ES256, which is fixed, whatever the header says.
    #[error("the algorithm is not ES256")]
    Algorithm,
    /// It was made for somebody else.
    #[error("the audience is another")]
    Audience,
    /// It is over.
    #[error("it has expired")]
    Expired,
    /// Somebody else made it.
    #[error("the issuer is another")]
    Issuer,
    /// No key of that name is in the ring.
    #[error("the key is unknown")]
    Key,
    /// It is not a token of our form.
    #[error("it is malformed")]
    Malformed,
    /// It is not valid yet.
    #[error("it is not valid yet")]
    NotYet,
    /// The signature is not that of the key.
    #[error("the signature does not verify")]
    Signature,
    /// It is a JWT of another kind.
    #[error("it is not an access token")]
    Type,
}

/// A key cannot be used to sign.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// There is none.
    #[error("a signing key is needed")]
    Empty,
    /// A name is empty, too long, has other characters, or stands twice.
    #[error("the name of signing key {0} must be unique, 1 to 64 letters, digits, - or _")]
    Id(String),
    /// It is no private key on the curve P-256.
    #[error("signing key {id} is not a P-256 private key in PEM")]
    Pem {
        /// The key's name.
        id: String,
        /// What openssl says.
        source: ErrorStack,
    },
}

/// A public key as a JWK (RFC 7517).
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Jwk {
    /// The kind of key: always `EC`.
    #[schema(max_length = 8, examples("EC"))]
    kty: &'static str,
    /// The curve: always `P-256`.
    #[schema(max_length = 8, examples("P-256"))]
    crv: &'static str,
    /// What it does: always `sig`.
    #[serde(rename = "use")]
    #[schema(max_length = 8, examples("sig"))]
    purpose: &'static str,
    /// The algorithm: always `ES256`.
    #[schema(max_length = 8, examples("ES256"))]
    alg: &'static str,
    /// Its name, as tokens give it.
    #[schema(max_length = 64, examples("k1"))]
    kid: String,
    /// The first coordinate, base64url.
    #[schema(max_length = 43)]
    x: String,
    /// The second coordinate, base64url.
    #[schema(max_length = 43)]
    y: String,
}

#[derive(Deserialize, Serialize)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
    /// Extensions we would have to understand (RFC 7515, 4.1.11); we know none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    aud: Audience,
    client_id: ClientId,
    org: OrganisationId,
    iat: i64,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    scope: Grants,
}

impl KeyRing {
    /// Reads the keys; the first signs.
    pub fn open(files: &[SigningKeyFile]) -> Result<Self, KeyRingError> {
        let mut keys: Vec<SigningKey> = Vec::with_capacity(files.len());
        for file in files {
            let named =
                (1..=64).contains(&file.id.len()) && file.id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            if !named || keys.iter().any(|key| key.id == file.id) {
                return Err(KeyRingError::Id(file.id.clone()));
            }
            keys.push(SigningKey::open(file).map_err(|source| KeyRingError::Pem { id: file.id.clone(), source })?);
        }
        let mut keys = keys.into_iter();
        let active = keys.next().ok_or(KeyRingError::Empty)?;
        Ok(Self { active, retired: keys.collect(), good: Mutex::new(LruCache::new(REMEMBERED)) })
    }

    /// The public keys, the signing one first.
    #[must_use]
    pub fn jwks(&self) -> Vec<Jwk> {
        self.all().map(|key| key.jwk.clone()).collect()
    }

    /// A JWT by which this server proves to a token endpoint that it is `client_id` there (RFC 7523, 3); it holds for a minute.
    pub fn assert(&self, client_id: &str, endpoint: &str, now: Timestamp, id: Uuid) -> Result<String, ErrorStack> {
        let now = seconds(now);
        let header = serde_json::json!({"typ": "JWT", "alg": "ES256", "kid": self.active.id});
        let payload = serde_json::json!({
            "iss": client_id, "sub": client_id, "aud": endpoint, "iat": now, "exp": now.saturating_add(60), "jti": id,
        });
        self.active.sign(&format!("{}.{}", encode(header.to_string()), encode(payload.to_string())))
    }

    /// A token of `issuer` for itself: our API is the only audience.
    pub fn mint(
        &self,
        issuer: &str,
        client: ClientId,
        organisation: OrganisationId,
        scopes: &Grants,
        lifetime: TokenLifetime,
        clock: &Clock,
    ) -> Result<String, ErrorStack> {
        let now = seconds(clock.now());
        let header = serde_json::json!({"typ": "at+jwt", "alg": "ES256", "kid": self.active.id});
        let payload = serde_json::json!({
            "iss": issuer, "aud": issuer, "sub": client, "client_id": client, "org": organisation,
            "iat": now, "exp": now.saturating_add(lifetime.seconds().into()), "jti": clock.new_id(), "scope": scopes,
        });
        self.active.sign(&format!("{}.{}", encode(header.to_string()), encode(payload.to_string())))
    }

    /// What `token` says, when it is ours and holds at `now`.
    pub fn verify(&self, token: &str, issuer: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > MAX_LENGTH {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = decode(header)?;
        if !matches!(header.typ.to_ascii_lowercase().as_str(), "at+jwt" | "application/at+jwt") {
            return Err(TokenError::Type);
        }
        if header.alg != "ES256" || header.crit.is_some() {
            return Err(TokenError::Algorithm);
        }
        let key = self.all().find(|key| key.id == header.kid).ok_or(TokenError::Key)?;
        // The whole token with its signature is what is remembered, below a key that is still ours.
        let digest = sha256(token.as_bytes());
        let is_known = self.good.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).is_some();
        if !is_known {
            if !key.verifies(signed, signature) {
                return Err(TokenError::Signature);
            }
            self.good.lock().unwrap_or_else(PoisonError::into_inner).put(digest, ());
        }
        decode::<Payload>(payload)?.check(issuer, seconds(now))
    }

    fn all(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.active).chain(&self.retired)
    }
}

impl Payload {
    fn check(self, issuer: &str, now: i64) -> Result<Claims, TokenError> {
        if self.iss != issuer {
            return Err(TokenError::Issuer);
        }
        let for_us = match &self.aud {
            Audience::One(audience) => audience == issuer,
            Audience::Many(audiences) => audiences.iter().any(|audience| audience == issuer),
        };
        if !for_us {
            return Err(TokenError::Audience);
        }
        if now >= self.exp.saturating_add(LEEWAY) {
            return Err(TokenError::Expired);
        }
        let begins = self.nbf.unwrap_or(self.iat).max(self.iat);
        if begins > now.saturating_add(LEEWAY) {
            return Err(TokenError::NotYet);
        }
        Ok(Claims { client: self.client_id, organisation: self.org, scopes: self.scope, expires_at: self.exp })
    }
}

impl SigningKey {
    fn open(file: &SigningKeyFile) -> Result<Self, ErrorStack> {
        let private = PKey::private_key_from_pem(file.pem.as_bytes())?.ec_key()?;
        private.check_key()?;
        let group = p256()?;
        let mut context = BigNumContext::new()?;
        let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
        // A point of another curve is not on this one, and is refused here.
        let public = EcKey::from_public_key(&group, private.public_key())?;
        public.check_key()?;
        public.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context)?;
        let jwk = Jwk {
            kty: "EC",
            crv: "P-256",
            purpose: "sig",
            alg: "ES256",
            kid: file.id.clone(),
            x: encode(x.to_vec_padded(32)?),
            y: encode(y.to_vec_padded(32)?),
        };
        Ok(Self { id: file.id.clone(), private, public, jwk })
    }

    fn sign(&self, text: &str) -> Result<String, ErrorStack> {
        let signature = EcdsaSig::sign(&sha256(text.as_bytes()), &self.private)?;
        let raw = [signature.r().to_vec_padded(32)?, signature.s().to_vec_padded(32)?].concat();
        Ok(format!("{text}.{}", encode(raw)))
    }

    fn verifies(&self, text: &str, signature: &str) -> bool {
        let Ok(raw) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        let Some((r, s)) = raw.split_at_checked(HALF).filter(|(_, s)| s.len() == HALF) else { return false };
        let verified = || -> Result<bool, ErrorStack> {
            let signature = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
            signature.verify(&sha256(text.as_bytes()), &self.public)
        };
        verified().unwrap_or(false)
    }
}

/// A new P-256 private key as PEM (PKCS#8).
pub fn mint_signing_key() -> Result<String, ErrorStack> {
    let group = p256()?;
    let pem = PKey::from_ec_key(EcKey::generate(&group)?)?.private_key_to_pem_pkcs8()?;
    Ok(String::from_utf8_lossy(&pem).into_owned())
}

fn p256() -> Result<EcGroup, ErrorStack> {
    EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<T: serde::de::DeserializeOwned>(segment: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).map_err(|_not_base64| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_not_ours| TokenError::Malformed)
}

const fn seconds(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000_000)
}

#[cfg(test)]
mod tests;
