//! What a caller would rather have (RFC 7240): an answer now, or one worth waiting for.
use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpRequest};

use crate::problem::Problem;

/// Nobody waits longer than this many seconds.
const LONGEST_WAIT: u64 = 30;

/// The header of the answer that says what was followed.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The preferences this server knows; others are ignored, as the RFC asks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Prefer {
    /// How long the answer may be held for the outcome; at most 30 seconds.
    pub wait: Option<Duration>,
    /// `respond-async`: 202 at once, or after `wait` where both are given.
    pub respond_async: bool,
    /// `return=minimal`: no body where a header says it all.
    pub minimal: bool,
}

impl Prefer {
    /// Reads every Prefer header; of a preference given twice the first counts.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let mut minimal = None;
        for item in headers.get_all("prefer").filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')) {
            let preference = item.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => prefer.respond_async = true,
                "return" => minimal = minimal.or(Some(value.eq_ignore_ascii_case("minimal"))),
                "wait" => prefer.wait = prefer.wait.or_else(|| seconds(value)),
                _ => {}
            }
        }
        Self { minimal: minimal.unwrap_or(false), ..prefer }
    }

    /// The value of Preference-Applied when everything here was followed; nothing when nothing was asked.
    #[must_use]
    pub fn applied(&self) -> Option<HeaderValue> {
        let parts: Vec<String> = [
            self.respond_async.then(|| "respond-async".to_owned()),
            self.wait.map(|wait| format!("wait={}", wait.as_secs())),
            self.minimal.then(|| "return=minimal".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then(|| HeaderValue::from_str(&parts.join(", ")).ok()).flatten()
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // More digits than a number holds are more than we wait, too.
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)))
}

impl FromRequest for Prefer {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request.headers())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefer(lines: &[&'static str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static("prefer"), HeaderValue::from_static(line));
        }
        Prefer::of(&headers)
    }

    /// OES10
    #[test]
    fn preferences_are_read_from_one_header_or_many_and_unknown_ones_ignored() {
        let full = Prefer { wait: Some(Duration::from_secs(10)), respond_async: true, minimal: true };
        assert_eq!(prefer(&["respond-async, wait=10;x=1, return=\"minimal\", handling=strict"]), full);
        assert_eq!(prefer(&["wait = 10", "Respond-Async", "return=minimal", "wait=20"]), full);
        assert_eq!(full.applied().unwrap(), "respond-async, wait=10, return=minimal");
        assert_eq!(prefer(&[]).applied(), None);
        assert_eq!(prefer(&["wait=-1, wait=, wait=ten"]), Prefer::default());
    }

    #[test]
    fn nobody_waits_longer_than_thirty_seconds() {
        for wish in ["wait=31", "wait=9999", "wait=99999999999999999999999999"] {
            assert_eq!(prefer(&[wish]).wait, Some(Duration::from_secs(30)), "{wish}");
        }
    }
}
