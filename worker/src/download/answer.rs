//! The answers to requests of devices: an object or a part of it, its descriptor, thanks for a notification, or nothing.
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETag, EntityTag, HeaderValue,
    HttpDate, LastModified, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_domain::digest::Sha256Digest;
use dmwsi_domain::execution::Move;
use dmwsi_domain::{Error, Result};
use dmwsi_protocol::descriptor::{self, Descriptor, InstallStatus};
use dmwsi_store::downloads::Served;
use futures_util::stream;

use super::body::Sending;
use super::conditions::{Wanted, wanted};
use super::progress::Key;
use super::range::Part;
use super::{Downloads, PATH};

/// What an object is when its manifest does not say.
const OCTETS: &str = "application/octet-stream";

/// How often a notification is noted anew when something else of the execution changed meanwhile.
const MAX_RACES: usize = 8;

impl Downloads {
    /// What a token is for, if it is good.
    async fn find(&self, token: &str) -> Result<Option<(Key, Served)>> {
        let now = self.clock.now();
        // Only we can make a token, so nobody learns anything from how long it takes to look further.
        let Some(token) = self.tokens.open(token, now) else { return Ok(None) };
        let key = (token.job, token.ordinal, token.payload);
        let (job, ordinal, payload) = key;
        let served = self.store.read(move |tx| tx.served(job, ordinal, &payload, now)).await?;
        Ok(served.map(|served| (key, served)))
    }

    async fn object(self: &Arc<Self>, request: &HttpRequest, (key, served): (Key, Served)) -> Result<HttpResponse> {
        let content = Arc::clone(&self.content);
        let opened = tokio::task::spawn_blocking(move || content.open(&key.2)).await.map_err(Error::internal)?;
        let (file, size) = match opened {
            Ok(opened) => opened,
            // It may have been withdrawn and collected a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nothing()),
            Err(error) => return Err(Error::Unavailable(Box::new(error))),
        };
        let tag = EntityTag::new_strong(key.2.to_string());
        let seconds = u64::try_from(served.since.micros().div_euclid(1_000_000)).unwrap_or(0);
        let modified = HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds));
        let wanted = wanted(request, &tag, modified, size);
        let part = match wanted {
            Wanted::Part(part) => part,
            Wanted::NotModified => return Ok(private(StatusCode::NOT_MODIFIED).insert_header(ETag(tag)).finish()),
            Wanted::Failed => return Ok(private(StatusCode::PRECONDITION_FAILED).finish()),
        };
        let (from, end, status) = match part {
            Part::Whole => (0, size, StatusCode::OK),
            Part::Some(from, end) => (from, end, StatusCode::PARTIAL_CONTENT),
            Part::Unsatisfiable => {
                let range = (CONTENT_RANGE, format!("bytes */{size}"));
                return Ok(private(StatusCode::RANGE_NOT_SATISFIABLE).insert_header(range).insert_header(ETag(tag)).finish());
            }
        };
        let mut response = private(status);
        let kind = served.spec.media_type.as_deref().and_then(|kind| HeaderValue::from_str(kind).ok());
        response
            .insert_header((CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static(OCTETS))))
            // What partners deliver is never shown as a page of ours.
            .insert_header((CONTENT_DISPOSITION, "attachment"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((ACCEPT_RANGES, "bytes"))
            .insert_header(ETag(tag))
            .insert_header(LastModified(modified))
            .insert_header(("Repr-Digest", digest(&key.2)));
        if status == StatusCode::PARTIAL_CONTENT {
            response.insert_header((CONTENT_RANGE, format!("bytes {from}-{}/{size}", end.saturating_sub(1))));
        }
        if request.method() == Method::HEAD {
            return Ok(response.body(SizedStream::new(size, stream::empty::<io::Result<Bytes>>())));
        }
        let Some(place) = self.places.take(key) else { return Ok(self.busy()) };
        if status == StatusCode::OK {
            response.insert_header(("Content-Digest", digest(&key.2)));
        }
        self.progress.begun(key, size, from, self.clock.now());
        Ok(response.body(Sending::new(Arc::clone(self), place, key, file, size, (from, end)).into_body()))
    }

    fn busy(&self) -> HttpResponse {
        let mut response = private(StatusCode::SERVICE_UNAVAILABLE);
        response.insert_header((RETRY_AFTER, self.settings.retry_after_seconds));
        response.body("too many download at the moment\n")
    }

    fn descriptor(&self, token: &str, (_, served): &(Key, Served), size: u64) -> HttpResponse {
        let spec = &served.spec;
        let address = format!("{}{PATH}/{token}", self.public_url);
        let descriptor = Descriptor {
            name: spec.name.clone(),
            vendor: spec.vendor.clone().unwrap_or_default(),
            description: format!("version {}", spec.version),
            types: vec![spec.media_type.clone().unwrap_or_else(|| OCTETS.to_owned())],
            size,
            object: format!("{address}/object"),
            install_notify: format!("{address}/status"),
            version: descriptor::VERSION.to_owned(),
        };
        private(StatusCode::OK).insert_header((CONTENT_TYPE, descriptor::MEDIA_TYPE)).body(descriptor.encode())
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>> {
        let (content, digest) = (Arc::clone(&self.content), key.2);
        let opened = tokio::task::spawn_blocking(move || content.open(&digest)).await.map_err(Error::internal)?;
        match opened {
            Ok((_file, size)) => Ok(Some(size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Unavailable(Box::new(error))),
        }
    }

    async fn fetched(self: &Arc<Self>, request: &HttpRequest, may_describe: bool) -> Result<HttpResponse> {
        let token = request.match_info().get("token").unwrap_or_default();
        let Some(found) = self.find(token).await? else { return Ok(nothing()) };
        if !(may_describe && wants_descriptor(request)) {
            return self.object(request, found).await;
        }
        let size = self.size(&found.0).await?;
        Ok(size.map_or_else(nothing, |size| self.descriptor(token, &found, size)))
    }

    /// Notes what a device says of its download, once however often it says so. An execution that is over changes no more.
    async fn notified(&self, token: &str, body: &[u8]) -> Result<HttpResponse> {
        let now = self.clock.now();
        let Some(token) = self.tokens.open(token, now) else { return Ok(nothing()) };
        let Ok(status) = String::from_utf8_lossy(body).parse::<InstallStatus>() else {
            return Ok(private(StatusCode::BAD_REQUEST).body("the body must begin with a status such as `900 Success`\n"));
        };
        for _ in 0..MAX_RACES {
            let (ids, status) = (self.clock.new_ids(), status.clone());
            let noted = self.store.write(move |tx| {
                let mut execution = tx.execution(token.job, token.ordinal)?;
                let was = execution.state;
                if execution.install_notified(status.code, &status.text, now) {
                    tx.save_execution(was, &execution, &Move::default(), None, now, &mut ids.clone())?;
                }
                Ok(())
            });
            match noted.await {
                Ok(()) => return Ok(private(StatusCode::OK).finish()),
                Err(Error::NotFound { .. }) => return Ok(nothing()),
                Err(Error::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Stale { what: "execution" })
    }
}

/// `GET` and `HEAD` on the address of a package.
pub(super) async fn package(downloads: Data<Downloads>, request: HttpRequest) -> HttpResponse {
    answered(downloads.into_inner().fetched(&request, true).await)
}

/// `GET` and `HEAD` on the address that a descriptor names: the object, whatever is accepted.
pub(super) async fn object(downloads: Data<Downloads>, request: HttpRequest) -> HttpResponse {
    answered(downloads.into_inner().fetched(&request, false).await)
}

/// `POST` of an install notification.
pub(super) async fn status(downloads: Data<Downloads>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let token = request.match_info().get("token").unwrap_or_default();
    answered(downloads.notified(token, &body).await)
}

/// Any other address below.
pub(super) async fn elsewhere() -> HttpResponse {
    nothing()
}

fn answered(answer: Result<HttpResponse>) -> HttpResponse {
    let response = answer.unwrap_or_else(|error| {
        tracing::error!(cause = ?error, "a device's download could not be answered");
        private(StatusCode::SERVICE_UNAVAILABLE)
            .insert_header((RETRY_AFTER, "5"))
            .body("the server cannot answer at the moment\n")
    });
    metrics::counter!("dmwsi_download_requests_total", "status" => response.status().as_u16().to_string()).increment(1);
    response
}

/// The one answer to every address behind which there is nothing, whatever the reason.
fn nothing() -> HttpResponse {
    private(StatusCode::NOT_FOUND).content_type("text/plain; charset=utf-8").body("there is nothing here\n")
}

/// An answer that nobody on the way keeps: its address is a secret of the device.
fn private(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "private, no-store")).insert_header((VARY, "Accept"));
    response
}

/// Whether the request asks for a descriptor: by its very name, not by a pattern that fits everything.
fn wants_descriptor(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let named = |one: &str| {
        let mut parts = one.split(';').map(str::trim);
        let is_it = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(descriptor::MEDIA_TYPE));
        is_it && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    };
    accepted.into_iter().any(named)
}

fn digest(digest: &Sha256Digest) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(digest.as_bytes()))
}
