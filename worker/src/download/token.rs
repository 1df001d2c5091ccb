//! The tokens in download addresses: made and read without a look at the database, and of use for one execution and one payload only.
use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use dmwsi_domain::Timestamp;
use dmwsi_domain::digest::Sha256Digest;
use dmwsi_domain::id::JobId;
use openssl::memcmp;
use openssl::sha::Sha256;
use uuid::Uuid;

/// Octets of the tag: 128 bits, of which nobody guesses one.
const TAG: usize = 16;

/// Octets of what the tag vouches for: job, ordinal, digest and end.
const BODY: usize = 16 + 4 + 32 + 4;

/// Characters of a token. Some devices hold addresses of no more than 255.
const LENGTH: usize = (BODY + TAG) * 4 / 3;

/// What the tag covers before the body, so that nothing else made with the key is ever a token.
const PURPOSE: &[u8] = b"dmwsi download token 1";

/// Octets that SHA-256 takes at a time.
const BLOCK: usize = 64;

/// What a download address stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DownloadToken {
    /// The job.
    pub job: JobId,
    /// Which of its executions.
    pub ordinal: u32,
    /// The content that may be had.
    pub payload: Sha256Digest,
    /// Until when. A token holds whole seconds: a part of one counts as one.
    pub expires: Timestamp,
}

/// Makes tokens and reads them. The same token is made of the same value again, so an address stays what it is.
#[derive(Clone)]
pub struct Tokens {
    key: [u8; 32],
}

impl Tokens {
    /// Tokens under a key that is secret, the same in every process, and used for nothing else.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The token, as a part of a path: 96 letters, digits, `-` and `_`.
    #[must_use]
    pub fn mint(&self, token: &DownloadToken) -> String {
        // Rounded up, and within what 32 bits hold (the year 2106).
        let seconds = token.expires.micros().saturating_add(999_999).div_euclid(1_000_000);
        let seconds = u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
        let mut octets = Vec::with_capacity(BODY + TAG);
        octets.extend_from_slice(token.job.uuid().as_bytes());
        octets.extend_from_slice(&token.ordinal.to_be_bytes());
        octets.extend_from_slice(token.payload.as_bytes());
        octets.extend_from_slice(&seconds.to_be_bytes());
        octets.extend_from_slice(&self.tag(&octets));
        BASE64_URL_SAFE_NO_PAD.encode(octets)
    }

    /// What a token stands for; none where it is not one of ours, or no longer good.
    #[must_use]
    pub fn open(&self, text: &str, now: Timestamp) -> Option<DownloadToken> {
        let text = Some(text).filter(|text| text.len() == LENGTH)?;
        let octets = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, tag) = octets.split_at_checked(BODY)?;
        if !memcmp::eq(tag, &self.tag(body)) {
            return None;
        }
        let (job, rest) = body.split_first_chunk::<16>()?;
        let (ordinal, rest) = rest.split_first_chunk::<4>()?;
        let (payload, rest) = rest.split_first_chunk::<32>()?;
        let (seconds, _nothing) = rest.split_first_chunk::<4>()?;
        let expires = Timestamp::from_micros(i64::from(u32::from_be_bytes(*seconds)).saturating_mul(1_000_000));
        let token = DownloadToken {
            job: JobId::new(Uuid::from_bytes(*job)),
            ordinal: u32::from_be_bytes(*ordinal),
            payload: Sha256Digest::new(*payload),
            expires,
        };
        (expires > now).then_some(token)
    }

    /// HMAC-SHA-256 (RFC 2104) of the purpose and the body, cut to [`TAG`] octets.
    fn tag(&self, body: &[u8]) -> [u8; TAG] {
        let whole = hmac(&self.key, &[PURPOSE, body]);
        whole.first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

/// HMAC-SHA-256 under a key of at most a block, written out since minting must not be able to fail.
fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = [pad; BLOCK];
        block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
        let mut hash = Sha256::new();
        hash.update(&block);
        hash
    };
    let mut inner = padded(0x36);
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = padded(0x5c);
    outer.update(&inner.finish());
    outer.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;
    use openssl::sign::Signer;

    use super::*;

    fn token() -> DownloadToken {
        DownloadToken {
            job: "job_019a8e5d3c7b7f10a1b2c3d4e5f60718".parse().unwrap(),
            ordinal: 7,
            payload: Sha256Digest::new([0xa5; 32]),
            expires: Timestamp::parse("2026-11-21T10:15:30Z").unwrap(),
        }
    }

    #[test]
    fn a_token_is_read_as_what_it_was_made_of_until_it_ends() {
        let (tokens, token) = (Tokens::new([1; 32]), token());
        let text = tokens.mint(&token);
        assert_eq!((text.len(), text.clone()), (LENGTH, tokens.mint(&token)));
        assert!(text.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')), "{text}");
        let before = token.expires.minus(Duration::from_micros(1));
        assert_eq!(tokens.open(&text, before), Some(token));
        assert_eq!(tokens.open(&text, token.expires), None);
        let uneven = DownloadToken { expires: before, ..token };
        assert_eq!(tokens.open(&tokens.mint(&uneven), before), Some(token), "a part of a second counts as one");
    }

    #[test]
    fn nothing_but_a_whole_token_of_the_same_key_is_one() {
        let (tokens, token) = (Tokens::new([1; 32]), token());
        let (text, now) = (tokens.mint(&token), Timestamp::from_micros(0));
        assert_eq!(Tokens::new([2; 32]).open(&text, now), None);
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(tokens.open(std::str::from_utf8(&forged).unwrap(), now), None, "{at}");
            assert_eq!(tokens.open(&text[..at], now), None);
        }
        for other in ["", "é", &format!("{text}A"), &format!("{text}="), &text.repeat(2)] {
            assert_eq!(tokens.open(other, now), None, "{other}");
        }
    }

    #[test]
    fn the_tag_is_the_hmac_that_openssl_makes() {
        for length in [0_usize, 1, 55, 56, 64, 200] {
            let (key, message) = ([0x0b; 32], vec![7; length]);
            let pkey = PKey::hmac(&key).unwrap();
            let mut signer = Signer::new(MessageDigest::sha256(), &pkey).unwrap();
            signer.update(&message).unwrap();
            assert_eq!(hmac(&key, &[&message]).to_vec(), signer.sign_to_vec().unwrap(), "{length}");
        }
    }
}
