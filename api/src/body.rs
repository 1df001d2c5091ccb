//! Bodies of requests: JSON of a declared type, within a size, with nothing in them we do not know.
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, web};
use dmwsi_domain::pointer::pointer;
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::{Code, Problem};

/// What a body says it is.
pub trait MediaType: 'static {
    /// The media type.
    const NAME: &'static str;
    /// The header that names it to whoever sent another, where there is one for the method.
    const ACCEPT: Option<HeaderName>;
}

/// `application/json`.
#[derive(Debug)]
pub enum Json {}

/// `application/merge-patch+json` (RFC 7396); the type it is read as tells an absent field from `null`.
#[derive(Debug)]
pub enum MergePatch {}

impl MediaType for Json {
    const NAME: &'static str = "application/json";
    const ACCEPT: Option<HeaderName> = None;
}

impl MediaType for MergePatch {
    const NAME: &'static str = "application/merge-patch+json";
    const ACCEPT: Option<HeaderName> = Some(HeaderName::from_static("accept-patch"));
}

/// A body in JSON of that media type; `T` denies unknown fields.
#[derive(Debug)]
pub struct Body<T, M = Json> {
    /// What it says.
    pub value: T,
    /// The bytes as they came, for a fingerprint.
    pub bytes: Bytes,
    media_type: PhantomData<M>,
}

impl<T: DeserializeOwned + 'static, M: MediaType> FromRequest for Body<T, M> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read(request, payload.take(), M::NAME);
        Box::pin(async move {
            let bytes = bytes.await.map_err(|problem| match (problem.code(), M::ACCEPT) {
                (Code::UnsupportedMediaType, Some(accept)) => problem.with_header(accept, HeaderValue::from_static(M::NAME)),
                _ => problem,
            })?;
            Ok(Self { value: parse(&bytes)?, bytes, media_type: PhantomData })
        })
    }
}

/// The body of `request` when it is of `media_type`, unencoded and not larger than the settings allow.
pub fn read(
    request: &HttpRequest,
    payload: Payload,
    media_type: &'static str,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    let limit = request.app_data::<web::Data<App>>().map_or(0, |app| app.settings.max_body_bytes);
    read_within(request, payload, media_type, limit)
}

/// As [`read`], for an operation that has a limit of its own, in bytes.
pub fn read_within(
    request: &HttpRequest,
    payload: Payload,
    media_type: &'static str,
    limit: usize,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    let checked = expect(request, media_type).and_then(|()| match content_length(request) {
        Some(length) if length > limit => Err(too_large(limit)),
        _ => Ok(()),
    });
    let mut payload = payload;
    async move {
        checked?;
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|broken| Problem::invalid(format!("The body broke off: {broken}")))?;
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// Refuses a body of another type than `media_type`, or an encoded one.
pub fn expect(request: &HttpRequest, media_type: &'static str) -> Result<(), Problem> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = given.split(';').map(str::trim);
    let same = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(media_type));
    let utf8 = parts.all(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    let plain = request.headers().get(header::CONTENT_ENCODING).is_none_or(|value| value == "identity");
    if same && utf8 && plain {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType, format!("This operation reads {media_type} in UTF-8 without content encoding.")))
}

fn content_length(request: &HttpRequest) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("The body may have {limit} bytes."))
}

/// Reads a JSON object; a fault is told with its place as a JSON pointer.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde takes the fields of a struct from an array, too, in their order; that is no interface of ours.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::invalid("The body must be a JSON object."));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path(), error.inner());
        malformed(error.inner(), Some(pointer))
    })?;
    reader.end().map_err(|error| malformed(&error, None))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error, pointer: Option<String>) -> Problem {
    let text = error.to_string();
    // serde_json adds " at line 1 column 2", which says less than the pointer where there is one.
    let detail = if error.is_data() { text.split(" at line ").next().unwrap_or_default().to_owned() } else { text };
    let problem = Problem::invalid(detail.clone());
    match pointer {
        Some(pointer) if error.is_data() => problem.at(pointer, detail),
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Outer {
        list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        number: u8,
    }

    fn place(text: &str) -> String {
        let problem = parse::<Outer>(text.as_bytes()).unwrap_err();
        assert_eq!(problem.code(), Code::InvalidArgument);
        problem.errors().first().map(|error| error.pointer.clone()).unwrap_or_default()
    }

    #[test]
    fn a_fault_in_a_body_is_told_with_its_place() {
        assert_eq!(place(r#"{"list":[{"number":1},{"number":"two"}]}"#), "/list/1/number");
        assert_eq!(place(r#"{"list":[{"number":300}]}"#), "/list/0/number");
        assert_eq!(place(r#"{"list":[{"number":1,"co/l~our":2}]}"#), "/list/0/co~1l~0our");
        assert_eq!(place(r#"{"list":[{}]}"#), "/list/0/number");
        assert_eq!(place(r#"{}"#), "/list");
        assert_eq!(place(r#"{"list":[],"list":[]}"#), "/list");
    }

    #[test]
    fn what_is_no_json_is_refused_without_a_place() {
        for text in ["", "{", r#"{"list":[]} x"#, "\u{feff}{}", &"[".repeat(100_000)] {
            assert_eq!(place(text), "", "{}", text.len());
        }
    }
}
