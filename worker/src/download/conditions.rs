//! Conditional requests for a payload (RFC 9110, section 13), whose content never changes while it has the address.
use std::time::SystemTime;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    EntityTag, Header, HttpDate, IF_RANGE, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, RANGE,
};

use super::range::{Part, part};

/// What the conditions of a request leave of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wanted {
    /// A part, or all.
    Part(Part),
    /// The caller has it.
    NotModified,
    /// The caller wants another.
    Failed,
}

/// Judges a request for content of that tag, date and length.
pub(super) fn wanted(request: &HttpRequest, tag: &EntityTag, modified: HttpDate, length: u64) -> Wanted {
    let fails = match given(request) {
        Some(IfMatch::Any) => false,
        Some(IfMatch::Items(tags)) => !tags.iter().any(|one| one.strong_eq(tag)),
        None => given(request).is_some_and(|IfUnmodifiedSince(since)| SystemTime::from(modified) > SystemTime::from(since)),
    };
    if fails {
        return Wanted::Failed;
    }
    match given(request) {
        Some(IfNoneMatch::Any) => return Wanted::NotModified,
        Some(IfNoneMatch::Items(tags)) if tags.iter().any(|one| one.weak_eq(tag)) => return Wanted::NotModified,
        Some(IfNoneMatch::Items(_)) => {}
        None => {
            if given(request).is_some_and(|IfModifiedSince(since)| SystemTime::from(modified) <= SystemTime::from(since)) {
                return Wanted::NotModified;
            }
        }
    }
    Wanted::Part(ranged(request, tag, modified, length))
}

/// The part that is asked for, if it is to be had of what the caller has the rest of.
fn ranged(request: &HttpRequest, tag: &EntityTag, modified: HttpDate, length: u64) -> Part {
    let mut ranges = request.headers().get_all(RANGE);
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Part::Whole };
    // Only of GET does a range mean anything.
    let Some(range) = range.to_str().ok().filter(|_| request.method() == Method::GET) else { return Part::Whole };
    let is_same = match (request.headers().contains_key(IF_RANGE), given(request)) {
        (false, _) => true,
        (true, Some(IfRange::EntityTag(theirs))) => theirs.strong_eq(tag),
        (true, Some(IfRange::Date(theirs))) => SystemTime::from(theirs) == SystemTime::from(modified),
        (true, None) => false,
    };
    if is_same { part(range, length) } else { Part::Whole }
}

fn given<H: Header>(request: &HttpRequest) -> Option<H> {
    request.headers().contains_key(H::name()).then(|| H::parse(request).ok()).flatten()
}
