//! What a subscription keeps secret: the keys its deliveries are signed with (Standard Webhooks 1.0), what is presented to its receiver, and what
//! its client wants to hear again.
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{Signing, Subscription};
use dmwsi_domain::{Error, Result, Timestamp};
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey};
use openssl::rand::rand_bytes;
use openssl::sha::sha256;
use openssl::sign::Signer;
use serde::{Deserialize, Serialize};

use crate::column::text;
use crate::seal::{Keys, Place, Sealed};

/// How many keys go on signing beside the present one; of more than that the oldest ends.
const MOST_PREVIOUS: usize = 3;

/// A key that signs.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct WebhookKey {
    signing: Signing,
    /// The shared secret, or the seed of the private key; in base64.
    key: String,
}

/// What is presented to a receiver.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum SinkCredential {
    /// A bearer token.
    AccessToken {
        /// The token.
        token: String,
        /// When it is over.
        expires_at: Option<Timestamp>,
    },
    /// Client credentials, by which a token is had from a token endpoint (RFC 6749, 4.4).
    ClientCredentials {
        /// The token endpoint.
        token_url: String,
        /// Who asks.
        client_id: String,
        /// What proves it.
        client_secret: String,
        /// What for.
        scope: Option<String>,
    },
    /// The same, where this server proves who asks by a JWT that it signs (RFC 7523).
    PrivateKeyJwt {
        /// The token endpoint.
        token_url: String,
        /// Who asks.
        client_id: String,
        /// What for.
        scope: Option<String>,
    },
    /// A certificate that is shown when the connection is made (mutual TLS).
    Certificate {
        /// The certificate and those it was issued by, in PEM.
        certificate: String,
        /// Its private key, in PEM (PKCS #8).
        key: String,
    },
}

/// All secrets of a subscription.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct WebhookSecrets {
    /// The key that signs.
    pub current: WebhookKey,
    /// The one before, and until when it signs, too.
    previous: Option<(WebhookKey, Timestamp)>,
    /// Those before that, the latest first. They stand apart so that the version which knew of one key before reads the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<(WebhookKey, Timestamp)>,
    /// What is presented to the receiver.
    pub credential: Option<SinkCredential>,
    /// What stands in each event.
    pub callback_data: Option<String>,
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecrets(…)")
    }
}

impl fmt::Debug for SinkCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SinkCredential(…)")
    }
}

impl WebhookKey {
    /// A new key.
    pub fn mint(signing: Signing) -> Result<Self> {
        let mut key = [0; 32];
        rand_bytes(&mut key).map_err(Error::internal)?;
        Ok(Self { signing, key: STANDARD.encode(key) })
    }

    /// What the receiver verifies by: the shared secret `whsec_…`, or the public key `whpk_…`.
    pub fn shown(&self) -> Result<String> {
        match self.signing {
            Signing::Hmac => Ok(format!("whsec_{}", self.key)),
            Signing::Ed25519 => {
                let key = PKey::private_key_from_raw_bytes(&self.bytes()?, Id::ED25519).map_err(Error::internal)?;
                Ok(format!("whpk_{}", STANDARD.encode(key.raw_public_key().map_err(Error::internal)?)))
            }
        }
    }

    /// The signature of an attempt at `seconds` since 1970: `v1,…` or `v1a,…`.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> Result<String> {
        let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
        let signature = match self.signing {
            Signing::Hmac => PKey::hmac(&self.bytes()?)
                .and_then(|key| Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(&signed)),
            Signing::Ed25519 => PKey::private_key_from_raw_bytes(&self.bytes()?, Id::ED25519)
                .and_then(|key| Signer::new_without_digest(&key)?.sign_oneshot_to_vec(&signed)),
        };
        let version = if self.signing == Signing::Hmac { "v1" } else { "v1a" };
        Ok(format!("{version},{}", STANDARD.encode(signature.map_err(Error::internal)?)))
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        STANDARD.decode(&self.key).map_err(Error::internal)
    }
}

impl WebhookSecrets {
    /// Those of a new subscription.
    #[must_use]
    pub const fn new(current: WebhookKey, credential: Option<SinkCredential>, callback_data: Option<String>) -> Self {
        Self { current, previous: None, earlier: Vec::new(), credential, callback_data }
    }

    /// Signs by another key from `now` on. The one of until now goes on until its time, and so do those before it, each until its own; without a time
    /// all of them end.
    pub fn rotate(&mut self, key: WebhookKey, until: Option<Timestamp>, now: Timestamp) {
        let replaced = std::mem::replace(&mut self.current, key);
        let before = self.previous.take().into_iter().chain(std::mem::take(&mut self.earlier)).filter(|(_, until)| now < *until);
        if let Some(until) = until {
            let mut all = std::iter::once((replaced, until)).chain(before).take(MOST_PREVIOUS);
            self.previous = all.next();
            self.earlier = all.collect();
        }
    }

    /// The value of `webhook-signature`: by the present key and, until their ends, by those before.
    pub fn signatures(&self, id: &str, at: Timestamp, body: &[u8]) -> Result<String> {
        let before = self.previous.iter().chain(&self.earlier).filter(|(_, until)| at < *until).map(|(key, _)| key);
        let all: Result<Vec<_>> =
            std::iter::once(&self.current).chain(before).map(|key| key.sign(id, seconds(at), body)).collect();
        Ok(all?.join(" "))
    }
}

/// The value of `webhook-timestamp`.
#[must_use]
pub const fn seconds(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000_000)
}

impl Keys {
    /// Seals the secrets of a subscription.
    pub fn seal_webhook(&self, subscription: SubscriptionId, secrets: &WebhookSecrets) -> Result<Sealed> {
        self.seal(place(&text(subscription.uuid())), &serde_json::to_vec(secrets).map_err(Error::internal)?)
    }

    /// Opens the secrets of a subscription.
    pub fn open_webhook(&self, subscription: SubscriptionId, sealed: &[u8]) -> Result<WebhookSecrets> {
        let opened = self.open(place(&text(subscription.uuid())), sealed)?;
        // The cause would quote what it stumbled over.
        serde_json::from_slice(opened.expose()).map_err(|_secret| Error::internal("the secrets of a subscription cannot be read"))
    }
}

impl Keys {
    /// What whoever was asked at the sink of a subscription can agree by later: it names subscription and sink, and only this server makes it.
    pub fn consent(&self, subscription: &Subscription) -> Result<String> {
        let row = text(subscription.id.uuid());
        Ok(URL_SAFE_NO_PAD.encode(self.seal(consent(&row), &sha256(subscription.sink.as_bytes()))?))
    }

    /// Whether [`Self::consent`] made that for the subscription and the sink it has now.
    #[must_use]
    pub fn is_consent(&self, subscription: &Subscription, token: &str) -> bool {
        let row = text(subscription.id.uuid());
        let sealed = URL_SAFE_NO_PAD.decode(token).ok();
        let opened = sealed.and_then(|sealed| self.open(consent(&row), &sealed).ok());
        opened.is_some_and(|opened| opened.expose() == sha256(subscription.sink.as_bytes()))
    }
}

const fn consent(row: &str) -> Place<'_> {
    Place { table: "subscriptions", column: "consent", row }
}

const fn place(row: &str) -> Place<'_> {
    Place { table: "subscriptions", column: "secrets", row }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    /// The vectors of Standard Webhooks 1.0, OES2
    #[test]
    fn signatures_are_those_of_the_standard() {
        let shared = WebhookKey { signing: Signing::Hmac, key: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned() };
        assert_eq!(shared.shown().unwrap(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(shared.sign(ID, 1_614_265_330, BODY).unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let seed = URL_SAFE_NO_PAD.decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU").unwrap();
        let own = WebhookKey { signing: Signing::Ed25519, key: STANDARD.encode(seed) };
        assert_eq!(own.shown().unwrap(), "whpk_JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=");
        let signature = "v1a,DUtvzXtl5qIXze3JPo6rALmXavfKANTNhBE5t63gLd1HoLKp8vFSx57KKvKnGVHRv1wu4zZRKjF8iB6z6ginAw==";
        assert_eq!(own.sign(ID, 1_614_265_330, BODY).unwrap(), signature);
    }

    #[test]
    fn the_keys_before_sign_until_their_ends() {
        let [current, first, second] =
            [Signing::Hmac, Signing::Ed25519, Signing::Hmac].map(|signing| WebhookKey::mint(signing).unwrap());
        let [now, soon, later] = [0, 5_000_000, 10_000_000].map(Timestamp::from_micros);
        let mut secrets = WebhookSecrets::new(first.clone(), None, None);
        secrets.rotate(second.clone(), Some(later), now);
        secrets.rotate(current.clone(), Some(soon), now);
        let by = |at: Timestamp, keys: &[&WebhookKey]| -> String {
            let all: Vec<_> = keys.iter().map(|key| key.sign(ID, seconds(at), BODY).unwrap()).collect();
            all.join(" ")
        };
        for (at, keys) in [(now, vec![&current, &second, &first]), (soon, vec![&current, &first]), (later, vec![&current])] {
            assert_eq!(secrets.signatures(ID, at, BODY).unwrap(), by(at, &keys));
        }
        let mut ended = secrets.clone();
        ended.rotate(second.clone(), None, now);
        assert_eq!(ended.signatures(ID, now, BODY).unwrap(), by(now, &[&second]));
        for _ in 0..5 {
            secrets.rotate(WebhookKey::mint(Signing::Hmac).unwrap(), Some(later), now);
        }
        assert_eq!(secrets.signatures(ID, now, BODY).unwrap().split(' ').count(), 1 + MOST_PREVIOUS);
        secrets.rotate(second.clone(), Some(later.plus(std::time::Duration::from_secs(1))), later);
        assert_eq!(secrets.earlier.len(), 0, "what is over is not kept");
        assert!(!format!("{secrets:?}").contains("v1"));
    }

    /// What the version before wrote, and what it makes of this one's.
    #[test]
    fn secrets_with_one_key_before_are_read_and_written_as_ever() {
        let [current, before] = [Signing::Hmac, Signing::Ed25519].map(|signing| WebhookKey::mint(signing).unwrap());
        let until = Timestamp::from_micros(10_000_000);
        let old =
            serde_json::json!({"current": current, "previous": [before, until], "credential": null, "callback_data": "back"});
        let mut secrets: WebhookSecrets = serde_json::from_value(old.clone()).unwrap();
        assert_eq!(secrets.signatures(ID, Timestamp::default(), BODY).unwrap().split(' ').count(), 2);
        assert_eq!(serde_json::to_value(&secrets).unwrap(), old);
        secrets.rotate(WebhookKey::mint(Signing::Hmac).unwrap(), Some(until), Timestamp::default());
        assert_eq!(serde_json::to_value(&secrets).unwrap()["previous"], serde_json::json!([current, until]));
        assert_eq!(secrets.signatures(ID, Timestamp::default(), BODY).unwrap().split(' ').count(), 3);
    }
}
