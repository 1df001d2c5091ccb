//! `Idempotency-Key`: a request that is repeated has its effect once, and gets the same answer again.
use actix_web::body::BoxBody;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{StatusCode, Uri};
use actix_web::{HttpRequest, HttpResponse, Responder};
use dmwsi_domain::id::ClientId;
use dmwsi_domain::{Error, Result};
use dmwsi_store::Tx;
use dmwsi_store::idempotency::{Begun, IdempotencyClaim, StoredAnswer};
use openssl::sha::Sha256;
use serde::Serialize;

use crate::app::App;
use crate::callers::Caller;
use crate::problem::Problem;
use crate::seal::Sealer;

/// Says that an answer is the first one again.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key taken, in bytes.
const LONGEST: usize = 255;

/// An answer that can be stored: made once, given as often as asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers that belong to the answer (Location, ETag, …).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The JSON, or nothing.
    pub body: Vec<u8>,
    /// Whether this is an earlier answer again.
    pub replayed: bool,
}

impl Answer {
    /// A JSON answer of that status.
    pub fn json(status: StatusCode, view: &impl Serialize) -> Result<Self> {
        Ok(Self { status, headers: Vec::new(), body: serde_json::to_vec(view).map_err(Error::internal)?, replayed: false })
    }

    /// An answer without a body.
    #[must_use]
    pub const fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), replayed: false }
    }

    /// The same answer with a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same answer with the address of what was made.
    #[must_use]
    pub fn located(self, path: &str) -> Self {
        match path.parse::<Uri>().ok().and_then(|_| HeaderValue::from_str(path).ok()) {
            Some(value) => self.with(header::LOCATION, value),
            None => self,
        }
    }
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for header in self.headers {
            response.append_header(header);
        }
        if self.replayed {
            response.insert_header((IDEMPOTENCY_REPLAYED, "true"));
        }
        if self.body.is_empty() { response.finish() } else { response.content_type("application/json").body(self.body) }
    }
}

/// A request as far as repeating it goes. Without the header its effect simply happens.
#[derive(Clone)]
pub struct Idempotency {
    claim: Option<IdempotencyClaim>,
    sealer: Sealer,
}

impl Idempotency {
    /// Reads the header of `request`, whose body is `body`.
    pub fn of(app: &App, caller: &Caller, request: &HttpRequest, body: &[u8]) -> Result<Self, Problem> {
        let key = key(request.headers())?;
        let now = app.clock.now();
        let claim = key.map(|key| IdempotencyClaim {
            client: caller.client,
            key,
            fingerprint: fingerprint(caller.client, request, body),
            now,
        });
        Ok(Self { claim, sealer: app.keys.sealer.clone() })
    }

    /// Runs `effect` within the transaction, unless it ran before: then its answer comes again. A failed effect leaves no trace.
    pub fn once(&self, tx: &mut Tx<'_>, effect: impl FnOnce(&mut Tx<'_>) -> Result<Answer>) -> Result<Answer> {
        let Some(claim) = &self.claim else { return effect(tx) };
        match tx.idempotent_begin(claim)? {
            Begun::Before(stored) => self.open(claim, stored),
            Begun::Now => {
                let answer = effect(tx)?;
                tx.idempotent_finish(claim, &self.close(claim, &answer)?)?;
                Ok(answer)
            }
        }
    }

    /// Sealed, as the answer may hold a secret.
    fn close(&self, claim: &IdempotencyClaim, answer: &Answer) -> Result<StoredAnswer> {
        let headers = answer.headers.iter().map(|(name, value)| {
            let value = value.to_str().map_err(Error::internal)?;
            Ok((name.as_str().to_owned(), value.to_owned()))
        });
        Ok(StoredAnswer {
            status: answer.status.as_u16(),
            headers: headers.collect::<Result<_>>()?,
            body: self.sealer.seal(&claim.fingerprint, &answer.body)?,
        })
    }

    fn open(&self, claim: &IdempotencyClaim, stored: StoredAnswer) -> Result<Answer> {
        let headers = stored.headers.into_iter().map(|(name, value)| {
            Ok((name.parse().map_err(Error::internal)?, HeaderValue::from_str(&value).map_err(Error::internal)?))
        });
        Ok(Answer {
            status: StatusCode::from_u16(stored.status).map_err(Error::internal)?,
            headers: headers.collect::<Result<_>>()?,
            body: self.sealer.open(&claim.fingerprint, &stored.body).ok_or_else(|| {
                Error::conflict("IDEMPOTENCY_KEY_IN_USE", "The answer was stored under a sealing key that is gone.")
            })?,
            replayed: true,
        })
    }
}

/// The key: a quoted string (RFC 8941) or a bare token; 1 to 255 visible characters.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY);
    let Some(value) = given.next() else { return Ok(None) };
    let malformed =
        || Problem::invalid("The header Idempotency-Key is one key of 1 to 255 visible ASCII characters, quoted or bare.");
    let text = value.to_str().ok().map(str::trim).filter(|_| given.next().is_none()).ok_or_else(malformed)?;
    let key = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or_else(malformed)?,
        None => text,
    };
    let visible = key.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'));
    if visible && (1..=LONGEST).contains(&key.len()) { Ok(Some(key.to_owned())) } else { Err(malformed()) }
}

fn fingerprint(client: ClientId, request: &HttpRequest, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [request.method().as_str().as_bytes(), request.path().as_bytes(), request.query_string().as_bytes()] {
        hash.update(part);
        hash.update(b"\0");
    }
    hash.update(client.uuid().as_bytes());
    hash.update(body);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(text).unwrap());
        key(&headers).ok().flatten()
    }

    #[test]
    fn a_key_is_quoted_or_bare() {
        assert_eq!(read("\"8e03-x\""), Some("8e03-x".to_owned()));
        assert_eq!(read(" 8e03-x "), Some("8e03-x".to_owned()));
        for wrong in ["", "\"\"", "\"a", "a\"b", "a b", &"x".repeat(256), "\"a\\b\""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(key(&HeaderMap::new()).map_err(|problem| problem.code()), Ok(None));
    }
}
