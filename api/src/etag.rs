//! Revisions as entity tags, and the conditions callers put on them (RFC 9110, 13).
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{FromRequest, HttpRequest};
use dmwsi_domain::{Error, Result};

use crate::problem::{Code, Problem};

/// The strong entity tag of a revision: `"17"`.
#[must_use]
pub fn etag(revision: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or_else(|_impossible| HeaderValue::from_static("\"\""))
}

/// The condition of a change: the caller must have decided on the present revision. As an argument of a handler it makes If-Match
/// mandatory (428 without, 412 when another revision is there).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IfMatch(Vec<Option<i64>>);

impl IfMatch {
    /// Reads the header; none is 428, a malformed one 400.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let given = tags(headers, header::IF_MATCH)?;
        if given.is_empty() {
            return Err(Problem::new(Code::PreconditionRequired, "This change needs the header If-Match."));
        }
        Ok(Self(given))
    }

    /// Whether the revision is one the caller named, `*` being any; the error becomes 412.
    pub fn check(&self, what: &'static str, revision: i64) -> Result<()> {
        let named = self.0.iter().any(|tag| tag.is_none_or(|tag| tag == revision));
        if named { Ok(()) } else { Err(Error::Stale { what }) }
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Self::of(request.headers()))
    }
}

/// The condition of a read: only when it is another revision than those the caller has (else 304).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IfNoneMatch(Vec<Option<i64>>);

impl IfNoneMatch {
    /// Whether the caller has this revision already.
    #[must_use]
    pub fn has(&self, revision: i64) -> bool {
        self.0.iter().any(|tag| tag.is_none_or(|tag| tag == revision))
    }
}

impl FromRequest for IfNoneMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(tags(request.headers(), header::IF_NONE_MATCH).map(Self))
    }
}

/// The revisions a header names; `*` is `None`, and a tag that was never ours matches nothing.
fn tags(headers: &HeaderMap, name: header::HeaderName) -> Result<Vec<Option<i64>>, Problem> {
    let mut tags = Vec::new();
    for value in headers.get_all(&name) {
        for item in value.to_str().unwrap_or("?").split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let weak = name == header::IF_NONE_MATCH;
            let strong = if weak { item.strip_prefix("W/").unwrap_or(item) } else { item };
            let quoted = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            match (item, quoted) {
                ("*", _) => tags.push(None),
                (_, Some(tag)) => tags.push(Some(tag.parse().unwrap_or(-1))),
                // A weak tag never matches strongly (RFC 9110, 8.8.3.2).
                (_, None) if item.starts_with("W/\"") => tags.push(Some(-1)),
                (_, None) => return Err(Problem::invalid(format!("The header {name} is not a list of entity tags."))),
            }
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(text: &'static str) -> Result<IfMatch, Code> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_static(text));
        IfMatch::of(&headers).map_err(|problem| problem.code())
    }

    #[test]
    fn a_change_names_the_revision_it_was_decided_on() {
        assert_eq!(etag(17), "\"17\"");
        assert!(if_match("\"17\"").unwrap().check("device", 17).is_ok());
        assert!(if_match("\"3\", \"17\"").unwrap().check("device", 17).is_ok());
        assert!(if_match("*").unwrap().check("device", 17).is_ok());
        for other in ["\"16\"", "W/\"17\"", "\"v17\""] {
            assert!(matches!(if_match(other).unwrap().check("device", 17), Err(Error::Stale { .. })), "{other}");
        }
        assert_eq!(if_match("17"), Err(Code::InvalidArgument));
        assert_eq!(if_match(""), Err(Code::PreconditionRequired));
        assert_eq!(IfMatch::of(&HeaderMap::new()).map_err(|problem| problem.code()), Err(Code::PreconditionRequired));
    }
}
