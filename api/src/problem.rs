//! What went wrong, as problem details (RFC 9457): one table of public codes, one translation from the domain.
mod code;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use dmwsi_domain::Error;
use dmwsi_domain::error::Cause;
use serde::Serialize;
use utoipa::ToSchema;

use crate::correlator::Correlator;
use crate::public_url::PublicUrl;

pub use code::Code;

/// After how many seconds a caller may come back when something is unavailable.
const RETRY_AFTER_SECONDS: u64 = 2;

/// One place of the request that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where in the body, as a JSON pointer (RFC 6901).
    #[schema(max_length = 1024, examples("/target/deviceIds/3"))]
    pub pointer: String,
    /// What is wrong there.
    #[schema(max_length = 1024, examples("is listed twice"))]
    pub detail: String,
}

/// Problem details (RFC 9457) with a stable code, as the body says them.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Names the kind of problem; explains it when opened.
    #[serde(rename = "type")]
    #[schema(format = "uri", max_length = 256, examples("https://dm.example.com/problems/invalid-argument"))]
    kind: String,
    /// The kind of problem in words, always the same for one type.
    #[schema(max_length = 128, examples("The request cannot be understood"))]
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599, examples(400))]
    status: u16,
    /// This occurrence in words; not to be parsed.
    #[schema(max_length = 1024, examples("unknown field `colour`"))]
    detail: String,
    /// The address the request went to.
    #[schema(max_length = 2048, examples("/v1/jobs"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The stable code for programs.
    #[schema(max_length = 96, pattern = "^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$", examples("INVALID_ARGUMENT"))]
    code: &'static str,
    /// The correlator of the request, as in the header `x-correlator`.
    #[schema(max_length = 256, examples("b4333c46-49c0-4f62-80d7-f0ef930f1c46"))]
    correlator: String,
    /// Where in the request the faults are; empty when no place can be named.
    #[schema(max_items = 100)]
    errors: Vec<FieldError>,
}

/// A failure on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    headers: HeaderMap,
    cause: Option<Cause>,
}

impl Problem {
    /// A problem of that code; `detail` is shown to the caller.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), headers: HeaderMap::new(), cause: None }
    }

    /// A request that is not of its form.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, detail)
    }

    /// Something that is not there, or not for this caller.
    pub fn not_found(what: &'static str) -> Self {
        Error::NotFound { what }.into()
    }

    /// The same problem with one more place named.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// The same problem with a header of its own.
    #[must_use]
    pub fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same problem, told when to come back.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// This occurrence in words.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The places it names.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// What failed, for the log.
    #[must_use]
    pub const fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// The answer. `conditional` says that the request carried If-Match: then a lost race is a failed precondition.
    #[must_use]
    pub fn response(&self, base: &PublicUrl, instance: &str, correlator: &Correlator, conditional: bool) -> HttpResponse {
        let code = if conditional && self.code == Code::Aborted { Code::FailedPrecondition } else { self.code };
        let body = ProblemBody {
            kind: base.join(&format!("/problems/{}", code.slug())),
            title: code.title(),
            status: code.status().as_u16(),
            detail: self.detail.clone(),
            instance: (!instance.is_empty()).then(|| instance.to_owned()),
            code: code.as_str(),
            correlator: correlator.as_str().to_owned(),
            errors: self.errors.clone(),
        };
        let mut response = HttpResponse::build(code.status()).json(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(cause.as_ref()),
            None => None,
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// Bare: the gate, which every answer passes, puts the body in, as it knows the correlator.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.code.status())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Conflict { code, .. } => Self::new(Code::named(code).unwrap_or(Code::IncompatibleState), detail),
            Error::Exists { .. } => Self::new(Code::AlreadyExists, detail),
            Error::Forbidden(_) => Self::new(Code::PermissionDenied, detail),
            Error::Internal(cause) => Self { cause: Some(cause), ..Self::new(Code::Internal, "The server failed.") },
            Error::Invalid { pointer, code, detail } => {
                let code = Code::named(code).unwrap_or(Code::InvalidArgument);
                let problem = Self::new(code, detail.clone());
                if pointer.is_empty() { problem } else { problem.at(pointer, detail) }
            }
            Error::NotFound { .. } => Self::new(Code::NotFound, detail),
            Error::Stale { .. } => Self::new(Code::Aborted, detail),
            Error::Unavailable(cause) => {
                Self { cause: Some(cause), ..Self::new(Code::Unavailable, detail) }.retry_after(RETRY_AFTER_SECONDS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_never_shows_its_cause() {
        let problem = Problem::from(Error::internal("the password is swordfish"));
        assert!(!format!("{problem}").contains("swordfish"));
        assert_eq!(problem.code(), Code::Internal);
        assert!(problem.cause().is_some());
    }

    #[test]
    fn a_lost_race_is_a_failed_precondition_only_when_one_was_named() {
        let base = PublicUrl::parse("https://dm.example.com").unwrap();
        let correlator = Correlator::parse("c").unwrap();
        let problem = Problem::from(Error::Stale { what: "device" });
        assert_eq!(problem.response(&base, "", &correlator, true).status(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(problem.response(&base, "", &correlator, false).status(), StatusCode::CONFLICT);
    }
}
