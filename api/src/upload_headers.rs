//! The headers of uploads that can be resumed (IETF draft, Resumable Uploads for HTTP): structured fields (RFC 9651).
use actix_web::HttpResponseBuilder;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use dmwsi_store::Upload;
use dmwsi_store::content::Settings;

use crate::problem::Problem;

pub(crate) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
pub(crate) const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
pub(crate) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const UPLOAD_LIMIT: HeaderName = HeaderName::from_static("upload-limit");
pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// What a request says of the upload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Said {
    /// Whether its body is the last part.
    pub(crate) is_complete: bool,
    /// How long the whole is.
    pub(crate) length: Option<u64>,
    /// Where its body begins.
    pub(crate) offset: Option<u64>,
}

impl Said {
    /// Reads the headers; `Upload-Complete` must be there.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let is_complete = match one(headers, &UPLOAD_COMPLETE)? {
            Some("?1") => true,
            Some("?0") => false,
            _ => {
                return Err(Problem::invalid(
                    "The header Upload-Complete is ?1 where this is the last part, and ?0 where it is not.",
                ));
            }
        };
        Ok(Self { is_complete, length: number(headers, &UPLOAD_LENGTH)?, offset: number(headers, &UPLOAD_OFFSET)? })
    }
}

fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut given = headers.get_all(name);
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(value.to_str().ok().map(str::trim)),
        (Some(_), Some(_)) => Err(Problem::invalid(format!("The header {name} stands there twice."))),
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let Some(text) = one(headers, name)? else { return Ok(None) };
    // An Integer of RFC 9651 has at most 15 digits.
    let digits = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let read = text.parse().ok().filter(|_| digits).map(Some);
    read.ok_or_else(|| Problem::invalid(format!("The header {name} is a number of bytes.")))
}

/// The value of `Upload-Complete`.
pub(crate) fn completeness(is_complete: bool) -> HeaderValue {
    HeaderValue::from_static(if is_complete { "?1" } else { "?0" })
}

/// The value of `Upload-Limit`.
pub(crate) fn limit(settings: &Settings) -> HeaderValue {
    let text = format!("max-size={}, max-age={}", settings.max_container_bytes, settings.upload_seconds);
    HeaderValue::from_str(&text).unwrap_or_else(|_impossible| HeaderValue::from_static("min-size=0"))
}

/// Puts in where an upload stands.
pub(crate) fn show(response: &mut HttpResponseBuilder, upload: &Upload, offset: u64, settings: &Settings) {
    response.insert_header((UPLOAD_COMPLETE, completeness(upload.container.is_some())));
    response.insert_header((UPLOAD_OFFSET, offset));
    if let Some(length) = upload.length {
        response.insert_header((UPLOAD_LENGTH, length));
    }
    response.insert_header((UPLOAD_LIMIT, limit(settings)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[(&'static str, &'static str)]) -> Option<Said> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Said::of(&headers).ok()
    }

    #[test]
    fn headers_are_read_as_structured_fields() {
        let whole = said(&[("upload-complete", "?1"), ("upload-offset", "10"), ("upload-length", "20")]);
        assert_eq!(whole, Some(Said { is_complete: true, length: Some(20), offset: Some(10) }));
        assert_eq!(said(&[("upload-complete", "?0")]), Some(Said { is_complete: false, length: None, offset: None }));
        for wrong in ["1", "?2", "true", ""] {
            assert_eq!(said(&[("upload-complete", wrong)]), None, "{wrong}");
        }
        for wrong in ["-1", "1.0", "x", "", "+1", "1234567890123456"] {
            assert_eq!(said(&[("upload-complete", "?1"), ("upload-offset", wrong)]), None, "{wrong}");
        }
        assert_eq!(said(&[("upload-complete", "?1"), ("upload-complete", "?1")]), None);
    }
}
