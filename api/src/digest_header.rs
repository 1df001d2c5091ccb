//! `Content-Digest` and `Repr-Digest` (RFC 9530): what a sender promises that its bytes hash to.
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_domain::digest::{Digests, Sha256Digest, Sha512Digest};
use openssl::sha::{Sha256, Sha512};

use crate::problem::{Code, Problem};

/// Over the bytes of this request.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// Over the whole thing that is delivered.
pub(crate) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

const WANT_CONTENT_DIGEST: HeaderName = HeaderName::from_static("want-content-digest");

/// The digests of that header; empty where it is absent. One that names no algorithm that is read here is refused.
pub(crate) fn promised(headers: &HeaderMap, name: &HeaderName) -> Result<Digests, Problem> {
    let mut digests = Digests::default();
    let mut given = false;
    for item in headers.get_all(name).flat_map(|value| value.to_str().unwrap_or("?").split(',')) {
        given = true;
        let (algorithm, value) = item.trim().split_once('=').ok_or_else(|| malformed(name))?;
        let bytes = value.split(';').next().and_then(|text| text.trim().strip_prefix(':')?.strip_suffix(':'));
        let bytes = bytes.and_then(|text| BASE64_STANDARD.decode(text).ok()).ok_or_else(|| malformed(name))?;
        match algorithm.trim() {
            "sha-256" => digests.sha_256 = Some(Sha256Digest::new(bytes.try_into().map_err(|_length| malformed(name))?)),
            "sha-512" => digests.sha_512 = Some(Sha512Digest::new(bytes.try_into().map_err(|_length| malformed(name))?)),
            _ => {}
        }
    }
    if given && digests.is_empty() {
        let problem = Problem::invalid(format!("{name} must promise sha-256 or sha-512; no other algorithm counts."));
        return Err(problem.with_header(WANT_CONTENT_DIGEST, HeaderValue::from_static("sha-256=10, sha-512=5")));
    }
    Ok(digests)
}

/// Both promises as one; refused where they contradict each other.
pub(crate) fn agreed(one: Digests, other: Digests) -> Result<Digests, Problem> {
    let sha_256 = one.sha_256.or(other.sha_256);
    let sha_512 = one.sha_512.or(other.sha_512);
    let kept = |digests: Digests| {
        digests.sha_256.is_none_or(|digest| sha_256 == Some(digest))
            && digests.sha_512.is_none_or(|digest| sha_512 == Some(digest))
    };
    if kept(one) && kept(other) {
        return Ok(Digests { sha_256, sha_512 });
    }
    Err(Problem::new(
        Code::DigestMismatchedValues,
        "Different bytes are promised: two digests of one kind contradict each other.",
    ))
}

fn malformed(name: &HeaderName) -> Problem {
    Problem::invalid(format!("{name} is written as sha-256=:base64:."))
}

/// Hashes what was promised, and nothing that was not.
pub(crate) struct Check {
    promised: Digests,
    sha_256: Option<Sha256>,
    sha_512: Option<Sha512>,
}

impl Check {
    pub(crate) fn new(promised: Digests) -> Self {
        Self { promised, sha_256: promised.sha_256.map(|_| Sha256::new()), sha_512: promised.sha_512.map(|_| Sha512::new()) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.sha_256 {
            hash.update(bytes);
        }
        if let Some(hash) = &mut self.sha_512 {
            hash.update(bytes);
        }
    }

    /// Whether every promise was kept.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let sha_256 = self.sha_256.map(|hash| Sha256Digest::new(hash.finish()));
        let sha_512 = self.sha_512.map(|hash| Sha512Digest::new(hash.finish()));
        if (Digests { sha_256, sha_512 }) == self.promised {
            return Ok(());
        }
        Err(Problem::new(Code::DigestMismatchedValues, "The bytes that came do not hash to what the request promises."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Digests, Code> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_DIGEST, HeaderValue::from_static(text));
        promised(&headers, &CONTENT_DIGEST).map_err(|problem| problem.code())
    }

    /// OES2: the vector of RFC 9530, appendix B.
    #[test]
    fn the_bytes_must_be_those_that_were_promised() {
        let digests = read("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, md5=:AAAA:").unwrap();
        for (body, kept) in [("{\"hello\": \"world\"}", true), ("{\"hello\": \"worle\"}", false)] {
            let mut check = Check::new(digests);
            body.as_bytes().chunks(5).for_each(|piece| check.update(piece));
            assert_eq!(check.finish().is_ok(), kept);
        }
        assert_eq!(promised(&HeaderMap::new(), &CONTENT_DIGEST).map_err(|problem| problem.code()), Ok(Digests::default()));
        for wrong in ["sha-256", "sha-256=X48E", "sha-256=:AAAA:", "md5=:AAAA:", ""] {
            assert_eq!(read(wrong), Err(Code::InvalidArgument), "{wrong}");
        }
    }
}
