//! What a token must be, and everything that looks like one.
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::sign::Signer;
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://dm.example.com";

struct Bench {
    files: Vec<SigningKeyFile>,
    ring: KeyRing,
    clock: Clock,
    client: ClientId,
    organisation: OrganisationId,
}

fn bench() -> Bench {
    let files: Vec<_> =
        ["k2", "k1"].map(|id| SigningKeyFile { id: id.to_owned(), pem: mint_signing_key().unwrap() }).into_iter().collect();
    let clock = Clock::manual(Timestamp::from_micros(1_795_255_200_000_000));
    Bench {
        ring: KeyRing::open(&files).unwrap(),
        files,
        client: ClientId::new(clock.new_id()),
        organisation: OrganisationId::new(clock.new_id()),
        clock,
    }
}

impl Bench {
    fn mint(&self) -> String {
        self.ring.mint(ISSUER, self.client, self.organisation, &Grants::all(), TokenLifetime::default(), &self.clock).unwrap()
    }

    fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        self.ring.verify(token, ISSUER, self.clock.now())
    }

    /// A token signed by the ring, with header and payload altered first.
    fn forge(&self, alter: impl Fn(&mut Value, &mut Value)) -> String {
        let token = self.mint();
        let [mut header, mut payload] = {
            let mut parts = token.split('.').take(2).map(|part| decode::<Value>(part).unwrap());
            [parts.next().unwrap(), parts.next().unwrap()]
        };
        alter(&mut header, &mut payload);
        self.ring.active.sign(&format!("{}.{}", encode(header.to_string()), encode(payload.to_string()))).unwrap()
    }
}

#[test]
fn a_token_says_what_it_was_made_to_say() {
    let bench = bench();
    let claims = bench.verify(&bench.mint()).unwrap();
    assert_eq!((claims.client, claims.organisation, claims.scopes), (bench.client, bench.organisation, Grants::all()));
    assert_eq!(claims.expires_at, 1_795_255_800);
}

#[test]
fn a_token_of_a_retired_key_holds_until_the_key_is_gone() {
    let bench = bench();
    let token = bench.mint();
    let rotated: Vec<_> = std::iter::once(SigningKeyFile { id: "k3".into(), pem: mint_signing_key().unwrap() })
        .chain(bench.files.iter().cloned())
        .collect();
    let verify = |files: &[SigningKeyFile]| KeyRing::open(files).unwrap().verify(&token, ISSUER, bench.clock.now());
    assert!(verify(&rotated).is_ok());
    assert_eq!(verify(&rotated[..1]), Err(TokenError::Key));
    assert!(KeyRing::open(&[bench.files[0].clone(), bench.files[0].clone()]).is_err(), "a name stands for one key");
}

#[test]
fn a_token_ends_and_begins_in_its_time() {
    let bench = bench();
    let token = bench.mint();
    bench.clock.advance(Duration::from_secs(629));
    assert!(bench.verify(&token).is_ok());
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.verify(&token), Err(TokenError::Expired));
    let tomorrow = 1_795_255_200 + 86_400;
    let early = |name: &'static str| bench.forge(move |_, payload| payload[name] = json!(tomorrow));
    assert_eq!(bench.verify(&early("nbf")), Err(TokenError::NotYet));
    assert_eq!(bench.verify(&early("iat")), Err(TokenError::NotYet));
}

#[test]
fn a_token_that_is_not_quite_ours_is_refused() {
    let bench = bench();
    let refused = |alter: &dyn Fn(&mut Value, &mut Value)| bench.verify(&bench.forge(alter)).unwrap_err();
    assert_eq!(refused(&|header, _| header["alg"] = json!("none")), TokenError::Algorithm);
    assert_eq!(refused(&|header, _| header["alg"] = json!("HS256")), TokenError::Algorithm);
    assert_eq!(refused(&|header, _| header["crit"] = json!(["b64"])), TokenError::Algorithm);
    assert_eq!(refused(&|header, _| header["typ"] = json!("JWT")), TokenError::Type);
    assert_eq!(refused(&|header, _| header["kid"] = json!("../../k2")), TokenError::Key);
    assert_eq!(refused(&|header, _| header["kid"] = json!("k1")), TokenError::Signature);
    assert_eq!(refused(&|_, payload| payload["iss"] = json!("https://evil.example.com")), TokenError::Issuer);
    assert_eq!(refused(&|_, payload| payload["iss"] = json!(format!("{ISSUER}/"))), TokenError::Issuer);
    assert_eq!(refused(&|_, payload| payload["aud"] = json!(["https://other.example.com"])), TokenError::Audience);
    assert_eq!(refused(&|_, payload| payload["scope"] = json!("devices:read admin:all")), TokenError::Malformed);
    for name in ["iss", "aud", "exp", "iat", "client_id", "org", "scope"] {
        let without = bench.forge(|_, payload| drop(payload.as_object_mut().map(|claims| claims.remove(name))));
        assert_eq!(bench.verify(&without), Err(TokenError::Malformed), "{name}");
    }
}

#[test]
fn a_token_without_signature_or_signed_by_the_public_key_is_refused() {
    let bench = bench();
    let token = bench.mint();
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(bench.verify(&format!("{signed}.")), Err(TokenError::Signature));
    assert_eq!(bench.verify(signed), Err(TokenError::Malformed));

    let claims = signed.split_once('.').unwrap().1;
    let public = bench.ring.active.public.public_key_to_pem().unwrap();
    let text = format!("{}.{claims}", encode(json!({"typ": "at+jwt", "alg": "HS256", "kid": "k2"}).to_string()));
    let key = PKey::hmac(&public).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    signer.update(text.as_bytes()).unwrap();
    assert_eq!(bench.verify(&format!("{text}.{}", encode(signer.sign_to_vec().unwrap()))), Err(TokenError::Algorithm));
}

#[test]
fn a_token_altered_or_cut_anywhere_is_refused() {
    let bench = bench();
    let token = bench.mint();
    for at in 0..token.len() {
        assert!(bench.verify(&token[..at]).is_err(), "cut at {at}");
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'g' } else { b'A' };
        assert!(bench.verify(&String::from_utf8(altered).unwrap()).is_err(), "altered at {at}");
    }
    assert_eq!(bench.verify(&"a".repeat(MAX_LENGTH + 1)), Err(TokenError::Malformed));
}
