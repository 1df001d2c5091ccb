//! The correlator of a request: the caller's or ours, in every answer, problem, log line and event.
use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use dmwsi_domain::Clock;

use crate::problem::{Code, Problem};

/// The header that carries it, there and back.
pub const X_CORRELATOR: HeaderName = HeaderName::from_static("x-correlator");

/// What it may look like, for the document.
pub const PATTERN: &str = r"^[a-zA-Z0-9-_:;.\/<>{}]{0,256}$";

/// Ties together what belongs together; as an argument of a handler, that of the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Correlator(String);

impl Correlator {
    /// Reads one; it has 1 to 256 letters, digits and `-_:;./<>{}`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits =
            (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:;./<>{}".contains(&b));
        fits.then(|| Self(text.to_owned()))
    }

    /// A new one.
    #[must_use]
    pub fn mint(clock: &Clock) -> Self {
        Self(clock.new_id().to_string())
    }

    /// The one the caller gave, or a new one where there is none or an empty one.
    pub fn of(headers: &HeaderMap, clock: &Clock) -> Result<Self, Problem> {
        let Some(value) = headers.get(X_CORRELATOR) else { return Ok(Self::mint(clock)) };
        if value.is_empty() {
            return Ok(Self::mint(clock));
        }
        let parsed = value.to_str().ok().and_then(Self::parse);
        parsed.ok_or_else(|| Problem::invalid(format!("The header x-correlator must match {PATTERN}")))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the header.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_impossible| HeaderValue::from_static(""))
    }
}

impl fmt::Display for Correlator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromRequest for Correlator {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let given = request.extensions().get::<Self>().cloned();
        ready(given.ok_or_else(|| Problem::new(Code::Internal, "The request passed no gate.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlator_has_no_blank_no_quote_and_an_end() {
        assert!(Correlator::parse("a-Z_0:9;./<>{}").is_some());
        for wrong in ["a b", "a\"b", "ä", "", &"x".repeat(257)] {
            assert_eq!(Correlator::parse(wrong), None, "{wrong}");
        }
        assert!(Correlator::parse(&"x".repeat(256)).is_some());
    }
}
