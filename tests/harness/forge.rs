//! Tokens made by hand, right and wrong, with the real keys and with others.
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::sha::sha256;
use openssl::sign::Signer;
use serde_json::{Value, json};

/// Header and payload of a token.
#[derive(Clone)]
pub(crate) struct Jwt {
    pub(crate) header: Value,
    pub(crate) payload: Value,
}

impl Jwt {
    /// Reads a token without looking at its signature.
    pub(crate) fn read(token: &str) -> Self {
        let part = |n: usize| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap();
            serde_json::from_slice(&bytes).unwrap()
        };
        Self { header: part(0), payload: part(1) }
    }

    pub(crate) fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.payload[claim] = value.into();
        self
    }

    pub(crate) fn headed(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    fn text(&self) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", encode(&self.header), encode(&self.payload))
    }

    /// Signed by ES256, whatever the header says.
    pub(crate) fn signed(&self, key: &EcKey<Private>) -> String {
        let text = self.text();
        let signature = EcdsaSig::sign(&sha256(text.as_bytes()), key).unwrap();
        let raw = [signature.r().to_vec_padded(32).unwrap(), signature.s().to_vec_padded(32).unwrap()].concat();
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(raw))
    }

    /// With no signature at all.
    pub(crate) fn unsigned(&self) -> String {
        format!("{}.", self.text())
    }

    /// Signed by HS256 with a secret that is known to everybody: the classic confusion of a public key with a secret.
    pub(crate) fn mac(&self, secret: &[u8]) -> String {
        let text = self.text();
        let key = PKey::hmac(secret).unwrap();
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        let mac = signer.sign_oneshot_to_vec(text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac))
    }
}

/// A key of its own.
pub(crate) fn stranger() -> EcKey<Private> {
    EcKey::generate(&p256()).unwrap()
}

/// The private key of a PEM.
pub(crate) fn private(pem: &str) -> EcKey<Private> {
    PKey::private_key_from_pem(pem.as_bytes()).unwrap().ec_key().unwrap()
}

/// The public key of a JWK.
pub(crate) fn public(jwk: &Value) -> EcKey<Public> {
    assert_eq!(
        (&jwk["kty"], &jwk["crv"], &jwk["alg"], &jwk["use"]),
        (&json!("EC"), &json!("P-256"), &json!("ES256"), &json!("sig"))
    );
    assert!(jwk.get("d").is_none(), "the private half is not shown");
    let number = |name: &str| BigNum::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()).unwrap();
    EcKey::from_public_key_affine_coordinates(&p256(), &number("x"), &number("y")).unwrap()
}

/// Whether openssl accepts the signature of the token.
pub(crate) fn verifies(token: &str, key: &EcKey<Public>) -> bool {
    let (text, signature) = token.rsplit_once('.').unwrap();
    let raw = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let half = |bytes: &[u8]| BigNum::from_slice(bytes).unwrap();
    let signature = EcdsaSig::from_private_components(half(&raw[..32]), half(&raw[32..])).unwrap();
    signature.verify(&sha256(text.as_bytes()), key).unwrap()
}

fn p256() -> EcGroup {
    EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()
}
