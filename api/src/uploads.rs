//! Uploads that can be resumed: a container that comes in pieces, and is judged when it is whole.
use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, delete, get, options, patch, post, web};
use dmwsi_domain::Error;
use dmwsi_domain::archive::MEDIA_TYPE;
use dmwsi_domain::digest::Digests;
use dmwsi_domain::id::UploadId;
use dmwsi_store::Upload;

use crate::allowed::{Allowed, ContainersWrite};
use crate::body;
use crate::container_view::ContainerView;
use crate::containers::DeliverQuery;
use crate::correlator::Correlator;
use crate::devices::owner;
use crate::digest_header::{CONTENT_DIGEST, Check, REPR_DIGEST, promised};
use crate::prefer::Prefer;
use crate::problem::Problem;
use crate::query::Query;
use crate::upload_file::{UploadFile, unavailable};
use crate::upload_headers::{ACCEPT_PATCH, Said, UPLOAD_LIMIT, limit, show};
use crate::upload_part::{Part, find, give_up, lost, too_long};

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
    let part = Part { app, caller, correlator, prefer, upload };
    part.append(&request, payload, said, check, 0, Digests::default()).await
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
    let upload = find(&app, &caller, id.into_inner()).await?;
    let part = Part { app, caller, correlator, prefer, upload };
    part.append(&request, payload, said, check, offset, whole).await
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
    // Whoever judges it just now needs its row to the end.
    let held = UploadFile::hold(app.ingest.content(), upload.id).await?;
    give_up(&app, upload.id).await?;
    drop(held);
    Ok(HttpResponse::NoContent().finish())
}
