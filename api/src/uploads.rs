//! Uploads that can be resumed: a container that comes in pieces, and is judged when it is whole.
use std::sync::Arc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder as _, delete, get, options, patch, post, web};
use dmwsi_domain::Error;
use dmwsi_domain::archive::MEDIA_TYPE;
use dmwsi_domain::container::ContainerState;
use dmwsi_domain::id::UploadId;
use dmwsi_store::Upload;
use dmwsi_store::ingest::Judged;
use tracing::Instrument as _;

use crate::allowed::{Allowed, ContainersWrite};
use crate::app::App;
use crate::body;
use crate::callers::Caller;
use crate::container_view::{ContainerView, accepted, verdict};
use crate::containers::{DeliverQuery, applied, new_container};
use crate::correlator::Correlator;
use crate::devices::owner;
use crate::digest_header::{CONTENT_DIGEST, Check, REPR_DIGEST, promised};
use crate::idempotency::Answer;
use crate::prefer::Prefer;
use crate::problem::{Code, Problem};
use crate::query::Query;
use crate::receive::Incoming;
use crate::upload_file::{Appended, UploadFile, unavailable};
use crate::upload_headers::{ACCEPT_PATCH, Said, UPLOAD_COMPLETE, UPLOAD_LIMIT, UPLOAD_OFFSET, completeness, limit, show};

/// What the parts of an upload are sent as.
const PART: &str = "application/partial-upload";

/// Learn how large an upload may be
///
/// The header `Upload-Limit` says how many bytes an upload may have and how many seconds it may take.
#[utoipa::path(
    tag = "Containers",
    responses((status = 204, description = "What an upload may be.", headers(
        ("Upload-Limit" = String, description = "`max-size` in bytes, `max-age` in seconds."),
        ("Accept-Patch" = String, description = "What the parts are sent as.")
    ))),
    security(("oauth2" = ["containers:write"]))
)]
#[options("/v1/uploads")]
pub async fn read_upload_limits(allowed: Allowed<ContainersWrite>) -> HttpResponse {
    let limit = (UPLOAD_LIMIT, limit(allowed.app.ingest.settings()));
    HttpResponse::NoContent().insert_header(limit).insert_header((ACCEPT_PATCH, PART)).finish()
}

/// Begin an upload
///
/// For a container that may break off on its way (IETF draft, Resumable Uploads for HTTP). The body may be empty, the first part, or with
/// `Upload-Complete: ?1` already the whole; then the answer is that of `POST /v1/containers`.
#[utoipa::path(
    tag = "Containers",
    params(
        DeliverQuery,
        ("Upload-Complete" = String, Header, description = "`?1` where the body is all of it, else `?0`.", max_length = 2, example = "?0"),
        ("Upload-Length" = Option<String>, Header, description = "How many bytes the whole has.", max_length = 15, example = "10485760"),
        ("Repr-Digest" = Option<String>, Header, description = "What the whole hashes to; looked at when it is complete.", max_length = 512),
        ("Content-Digest" = Option<String>, Header, description = "What this body hashes to.", max_length = 512),
        ("Prefer" = Option<String>, Header, description = "`respond-async`.")
    ),
    request_body(content = String, content_type = "application/vnd.dmwsi.container.v1+tar", description = "The first part of the container.", example = "manifest.json"),
    responses(
        (status = 201, description = "The upload has begun; or it is complete, and the container was taken.", body = ContainerView, headers(
            ("Location" = String, description = "Where the upload goes on; or where the container is read."),
            ("Upload-Complete" = String, description = "Whether all of it is there."),
            ("Upload-Offset" = Option<u64>, description = "How many bytes are there."),
            ("Upload-Limit" = Option<String>, description = "What an upload may be.")
        )),
        (status = 200, description = "It is complete, and was taken before.", body = ContainerView),
        (status = 202, description = "It is complete and is being judged.", body = ContainerView),
        (status = 408, description = "The body came too slowly; what came is there."),
        (status = 409, description = "The client has too many uploads open, or another container has its id."),
        (status = 422, description = "The container was refused; the errors say why. Or too much of the organisation waits already, for the rest of its bytes or its verdict: an upload without `Upload-Length` counts as the largest container."),
        (status = 503, description = "Too many containers are coming in at the same time.")
    ),
    security(("oauth2" = ["containers:write"]))
)]
#[post("/v1/uploads")]
pub async fn create_upload(
    allowed: Allowed<ContainersWrite>,
    correlator: Correlator,
    query: Query<DeliverQuery>,
    prefer: Prefer,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    body::expect(&request, MEDIA_TYPE)?;
    let said = Said::of(request.headers())?;
    let settings = app.ingest.settings();
    if said.length.is_some_and(|length| length > settings.max_container_bytes) {
        return Err(too_long(&app));
    }
    let now = app.clock.now();
    let upload = Upload {
        id: UploadId::new(app.clock.new_id()),
        owner: owner(&caller),
        length: said.length,
        digests: promised(request.headers(), &REPR_DIGEST)?,
        partial: query.partial_accept,
        container: None,
        created_at: now,
        expires_at: now.plus(settings.upload_lives()),
        revision: 1,
    };
    let check = Check::new(promised(request.headers(), &CONTENT_DIGEST)?);
    app.ingest.in_place().await?;
    let (row, limits) = (upload.clone(), settings.clone());
    let begun = app.store.write(move |tx| {
        tx.hold_waiting(row.owner.organisation, row.length.unwrap_or(limits.max_container_bytes), &limits)?;
        tx.insert_upload(&row, limits.uploads_per_client)
    });
    begun.await?;
    let (content, id) = (Arc::clone(app.ingest.content()), upload.id);
    web::block(move || content.begin(&id.to_string())).await.map_err(Error::internal)?.map_err(unavailable)?;
    let work = Work { app, caller, correlator, prefer, upload };
    work.append(&request, payload, said, check, 0).await
}

/// Read how far an upload is
///
/// `Upload-Offset` says how many bytes are there: the next part begins with the byte that follows. HEAD does the same.
#[utoipa::path(
    tag = "Containers",
    params(("uploadId" = inline(UploadId), Path, description = "The upload.")),
    responses((status = 204, description = "How far it is.", headers(
        ("Upload-Offset" = u64, description = "How many bytes are there."),
        ("Upload-Complete" = String, description = "Whether that is all."),
        ("Upload-Length" = Option<u64>, description = "How many bytes the whole has, where that was said."),
        ("Upload-Limit" = String, description = "What an upload may be.")
    )), (status = 409, description = "Another request appends to it just now.")),
    security(("oauth2" = ["containers:write"]))
)]
#[get("/v1/uploads/{uploadId}")]
pub async fn read_upload(allowed: Allowed<ContainersWrite>, id: web::Path<UploadId>) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let upload = find(&app, &caller, id.into_inner()).await?;
    let offset = match upload.container {
        Some(_) => upload.length.unwrap_or_default(),
        None => {
            // Whoever appended until now has lost its client, or that one would not ask.
            drop(app.appending.take_over(upload.id));
            UploadFile::hold(app.ingest.content(), upload.id).await?.ok_or_else(lost)?.length
        }
    };
    let mut response = HttpResponse::NoContent();
    show(&mut response, &upload, offset, app.ingest.settings());
    Ok(response.finish())
}

/// Send the next part of an upload
///
/// With `Upload-Complete: ?1` it is the last one, and the answer is that of `POST /v1/containers`; where that answer was lost, the same request
/// without a body brings it again.
#[utoipa::path(
    tag = "Containers",
    params(
        ("uploadId" = inline(UploadId), Path, description = "The upload."),
        ("Upload-Offset" = String, Header, description = "Where this part begins: how many bytes are there.", max_length = 15, example = "0"),
        ("Upload-Complete" = String, Header, description = "`?1` where this is the last part, else `?0`.", max_length = 2, example = "?1"),
        ("Upload-Length" = Option<String>, Header, description = "How many bytes the whole has.", max_length = 15),
        ("Content-Digest" = Option<String>, Header, description = "What this part hashes to.", max_length = 512),
        ("Repr-Digest" = Option<String>, Header, description = "What the whole hashes to; looked at when it is complete.", max_length = 512),
        ("Prefer" = Option<String>, Header, description = "`respond-async`, with the last part.")
    ),
    request_body(content = String, content_type = "application/partial-upload", description = "The part.", example = "manifest.json"),
    responses(
        (status = 204, description = "The part is there.", headers(
            ("Upload-Offset" = u64, description = "How many bytes are there."),
            ("Upload-Complete" = String, description = "`?0`.")
        )),
        (status = 201, description = "It is complete, and the container was taken.", body = ContainerView, headers(
            ("Location" = String, description = "Where the container is read."),
            ("Upload-Complete" = String, description = "`?1`.")
        )),
        (status = 200, description = "It is complete, and was taken before.", body = ContainerView),
        (status = 202, description = "It is complete and is being judged.", body = ContainerView),
        (status = 408, description = "The body came too slowly; what came is there."),
        (status = 409, description = "The part begins elsewhere than what is there ends (`Upload-Offset` says where that is), or another container has its id."),
        (status = 422, description = "The container was refused; the errors say why."),
        (status = 503, description = "Too many containers are coming in at the same time.")
    ),
    security(("oauth2" = ["containers:write"]))
)]
#[patch("/v1/uploads/{uploadId}")]
pub async fn append_upload(
    allowed: Allowed<ContainersWrite>,
    correlator: Correlator,
    id: web::Path<UploadId>,
    prefer: Prefer,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    body::expect(&request, PART).map_err(|problem| problem.with_header(ACCEPT_PATCH, HeaderValue::from_static(PART)))?;
    let said = Said::of(request.headers())?;
    let offset = said.offset.ok_or_else(|| Problem::invalid("The header Upload-Offset says where the part begins."))?;
    let check = Check::new(promised(request.headers(), &CONTENT_DIGEST)?);
    let whole = promised(request.headers(), &REPR_DIGEST)?;
    let mut upload = find(&app, &caller, id.into_inner()).await?;
    upload.digests.sha_256 = upload.digests.sha_256.or(whole.sha_256);
    upload.digests.sha_512 = upload.digests.sha_512.or(whole.sha_512);
    let work = Work { app, caller, correlator, prefer, upload };
    if let Some(container) = work.upload.container {
        let length = work.upload.length.unwrap_or_default();
        if !said.is_complete || offset != length {
            return Err(mismatch(length).with_header(UPLOAD_COMPLETE, completeness(true)));
        }
        let found = work.app.store.read(move |tx| tx.delivery(container)).await?;
        let answer = if found.state == ContainerState::Verifying {
            Ok(accepted(found)?)
        } else {
            verdict(Judged { container: found, again: false })
        };
        return finished(answer, &request);
    }
    work.append(&request, payload, said, check, offset).await
}

/// Give an upload up
///
/// What has come of it is removed. A container that is complete stays.
#[utoipa::path(
    tag = "Containers",
    params(("uploadId" = inline(UploadId), Path, description = "The upload.")),
    responses((status = 204, description = "It is gone.")),
    security(("oauth2" = ["containers:write"]))
)]
#[delete("/v1/uploads/{uploadId}")]
pub async fn delete_upload(allowed: Allowed<ContainersWrite>, id: web::Path<UploadId>) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let upload = find(&app, &caller, id.into_inner()).await?;
    drop(app.appending.take_over(upload.id));
    give_up(&app, upload.id).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn find(app: &App, caller: &Caller, id: UploadId) -> Result<Upload, Problem> {
    let (client, now) = (caller.client, app.clock.now());
    Ok(app.store.read(move |tx| tx.upload(client, id, now)).await?)
}

/// Removes row and file of an upload.
async fn give_up(app: &App, id: UploadId) -> Result<(), Problem> {
    app.store.write(move |tx| tx.delete_upload(id)).await?;
    let content = Arc::clone(app.ingest.content());
    web::block(move || content.discard(&id.to_string())).await.map_err(Error::internal)?.map_err(unavailable)
}

/// One request that brings a part.
struct Work {
    app: App,
    caller: Caller,
    correlator: Correlator,
    prefer: Prefer,
    upload: Upload,
}

impl Work {
    /// Adds the body where it belongs; judges the container when that was the last part.
    async fn append(
        mut self,
        request: &HttpRequest,
        payload: web::Payload,
        said: Said,
        check: Check,
        offset: u64,
    ) -> Result<HttpResponse, Problem> {
        let settings = self.app.ingest.settings();
        let ended = self.app.appending.take_over(self.upload.id);
        let mut file = UploadFile::hold(self.app.ingest.content(), self.upload.id).await?.ok_or_else(lost)?;
        if file.length != offset {
            return Err(mismatch(file.length).with_header(UPLOAD_COMPLETE, completeness(false)));
        }
        let known = self.upload.length;
        if known.is_some() && said.length.is_some() && known != said.length {
            return Err(inconsistent());
        }
        self.upload.length = known.or(said.length);
        let most = self.upload.length.unwrap_or(u64::MAX).min(settings.max_container_bytes);
        let incoming = Incoming::new(payload.into_inner(), settings);
        let appended = file.append(incoming, check, most, &ended).await?;
        if matches!(appended, Appended::TooLong) {
            drop(file);
            give_up(&self.app, self.upload.id).await?;
            return Err(if self.upload.length.is_some() { inconsistent() } else { too_long(&self.app) });
        }
        if said.is_complete {
            return self.complete(file, request).await;
        }
        if self.upload.length != known {
            let mut row = self.upload.clone();
            row = self
                .app
                .store
                .write(move |tx| {
                    let mut row = row.clone();
                    tx.update_upload(&mut row).map(|()| row)
                })
                .await?;
            self.upload = row;
        }
        let begun = offset == 0 && request.method() == actix_web::http::Method::POST;
        let mut response = if begun { HttpResponse::Created() } else { HttpResponse::NoContent() };
        if begun {
            response.insert_header((header::LOCATION, format!("/v1/uploads/{}", self.upload.id)));
        }
        show(&mut response, &self.upload, file.length, settings);
        Ok(response.finish())
    }

    /// All of it is there: looks at its digest and has it judged.
    async fn complete(mut self, file: UploadFile, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        if self.upload.length.is_some_and(|length| length != file.length) {
            return Err(inconsistent());
        }
        self.upload.length = Some(file.length);
        if let Err(problem) = file.verify(self.upload.digests).await {
            // Nobody can say which of its bytes are wrong.
            drop(file);
            give_up(&self.app, self.upload.id).await?;
            return Err(problem);
        }
        let container = new_container(&self.app, &self.caller, self.upload.partial, &self.correlator);
        let (ingest, content, id) = (self.app.ingest.clone(), Arc::clone(self.app.ingest.content()), self.upload.id);
        if self.prefer.respond_async {
            let upload = self.upload;
            let placed = Arc::clone(&content);
            let place = move |name: &str| placed.link(&id.to_string(), name);
            let expected = ingest.expect(container, place, move |tx, container| {
                tx.update_upload(&mut Upload { container: Some(container.id), ..upload.clone() })
            });
            let answer = applied(accepted(expected.await?)?, self.prefer);
            // Its first name goes only now: until the row is durable the upload could still be asked for.
            web::block(move || content.discard(&id.to_string())).await.map_err(Error::internal)?.map_err(unavailable)?;
            return finished(Ok(answer), request);
        }
        let (store, upload, reader) = (self.app.store.clone(), self.upload, file.reader()?);
        // On a task of its own: once it is whole it is judged, also when the sender does not wait for it.
        let judged = tokio::spawn(
            async move {
                let judged = ingest.run(container, reader).await?;
                let container = judged.container.id;
                store.write(move |tx| tx.update_upload(&mut Upload { container: Some(container), ..upload.clone() })).await?;
                drop(file);
                let discarded = tokio::task::spawn_blocking(move || content.discard(&id.to_string())).await;
                discarded.map_err(Error::internal)?.map_err(|error| Error::Unavailable(Box::new(error)))?;
                Ok::<_, Error>(judged)
            }
            .in_current_span(),
        );
        finished(verdict(judged.await.map_err(Error::internal)??), request)
    }
}

/// The answer to the last part.
fn finished(answer: Result<Answer, Problem>, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    match answer {
        Ok(answer) => Ok(answer.with(UPLOAD_COMPLETE, completeness(true)).respond_to(request)),
        Err(problem) => Err(problem.with_header(UPLOAD_COMPLETE, completeness(true))),
    }
}

fn mismatch(offset: u64) -> Problem {
    let problem =
        Problem::new(Code::MismatchingUploadOffset, format!("There are {offset} bytes, so the next part begins there."));
    problem.with_header(UPLOAD_OFFSET, offset.into())
}

fn inconsistent() -> Problem {
    Problem::new(Code::InconsistentUploadLength, "The upload is not as long as its Upload-Length says.")
}

fn too_long(app: &App) -> Problem {
    let settings = app.ingest.settings();
    let problem = Problem::new(Code::PayloadTooLarge, format!("A container may have {} bytes.", settings.max_container_bytes));
    problem.with_header(UPLOAD_LIMIT, limit(settings))
}

/// Its file is gone: there is nothing to go on with.
fn lost() -> Problem {
    Problem::not_found("upload")
}
