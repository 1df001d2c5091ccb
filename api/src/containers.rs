//! Containers: deliver them, read what became of them, withdraw them.
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use dmwsi_domain::Error;
use dmwsi_domain::archive::MEDIA_TYPE;
use dmwsi_domain::container::{Container, ContainerState};
use dmwsi_domain::digest::Digests;
use dmwsi_domain::id::ContainerId;
use dmwsi_store::ContainerPage;
use dmwsi_store::ingest::pipe;
use serde::Deserialize;
use tracing::Instrument as _;
use utoipa::IntoParams;

use crate::allowed::{Allowed, ContainersRead, ContainersWrite};
use crate::app::App;
use crate::body;
use crate::callers::Caller;
use crate::container_view::{ContainerView, accepted, verdict};
use crate::correlator::Correlator;
use crate::cursor::List;
use crate::devices::owner;
use crate::digest_header::{CONTENT_DIGEST, Check, REPR_DIGEST, agreed, promised};
use crate::etag::IfNoneMatch;
use crate::idempotency::Answer;
use crate::page::{Page, PerPage};
use crate::prefer::{PREFERENCE_APPLIED, Prefer};
use crate::problem::{Code, Problem};
use crate::query::Query;
use crate::receive::Incoming;

/// How a container is delivered.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliverQuery {
    /// Whether what is good of the container may be taken when the rest is not. Without it all is taken, or nothing.
    #[serde(default)]
    #[param(required = false)]
    pub(crate) partial_accept: bool,
}

/// Deliver a container
///
/// A tar of regular files with `manifest.json` first, at most 4 GiB unless the operator says otherwise. It is read once, on its way: each payload
/// must be as long as the manifest says and hash to what it says. The answer tells the verdict on each deliverable; a refused container can be read
/// about for a while, but nothing of its content stays. The same container again gets the same answer with 200, another one under the same id is
/// refused. With `Prefer: respond-async` it is judged later, and the answer is 202.
#[utoipa::path(
    tag = "Containers",
    params(
        DeliverQuery,
        ("Prefer" = Option<String>, Header, description = "`respond-async`."),
        ("Content-Digest" = Option<String>, Header, description = "What the body hashes to (RFC 9530): `sha-256` or `sha-512`.", max_length = 512, example = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
        ("Repr-Digest" = Option<String>, Header, description = "The same; for a container that comes in one piece there is no difference.", max_length = 512)
    ),
    request_body(content = String, content_type = "application/vnd.dmwsi.container.v1+tar", description = "The container.", example = "manifest.json"),
    responses(
        (status = 201, description = "The container was taken; what was accepted of it can be distributed.", body = ContainerView, headers(
            ("Location" = String, description = "Where the container is read."),
            ("ETag" = String, description = "Its revision.")
        )),
        (status = 200, description = "It was taken before.", body = ContainerView, headers(
            ("Location" = String, description = "Where the container is read."),
            ("ETag" = String, description = "Its revision.")
        )),
        (status = 202, description = "It came whole and is being judged.", body = ContainerView, headers(
            ("Location" = String, description = "Where its verdict will be read."),
            ("Retry-After" = u64, description = "After how many seconds it is worth to look."),
            ("Preference-Applied" = Option<String>, description = "Which preferences were followed.")
        )),
        (status = 408, description = "The body came too slowly, or took longer than one request may: 15 minutes for each GiB unless the operator says otherwise. `/v1/uploads` has no such end."),
        (status = 409, description = "Another container has its id."),
        (status = 422, description = "It was refused; the errors say which deliverable and why, and Location where that can be read again. With `respond-async` also when too much of the organisation waits for its verdict already."),
        (status = 503, description = "Too many containers are coming in at the same time, of all or of your organisation.")
    ),
    security(("oauth2" = ["containers:write"]))
)]
#[post("/v1/containers")]
pub async fn create_container(
    allowed: Allowed<ContainersWrite>,
    correlator: Correlator,
    query: Query<DeliverQuery>,
    prefer: Prefer,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = allowed;
    body::expect(&request, MEDIA_TYPE)?;
    let settings = app.ingest.settings();
    within(request.headers(), settings.max_container_bytes)?;
    let check = Check::new(both(request.headers())?);
    let container = new_container(&app, &caller, query.partial_accept, &correlator);
    let (feed, source) = pipe();
    let incoming = Incoming::in_time(payload.into_inner(), settings);
    // On a task of its own: what has come whole is judged, also when the sender does not wait for it.
    let ingest = app.ingest.clone();
    if prefer.respond_async {
        let parked = tokio::spawn(async move { ingest.park(container, source).await }.in_current_span());
        let (forwarded, parked) = (incoming.forward(feed, check).await, parked.await);
        forwarded?;
        return Ok(applied(accepted(parked.map_err(Error::internal)??)?, prefer));
    }
    let judged = tokio::spawn(async move { ingest.run(container, source).await }.in_current_span());
    // When the body broke off the answer waits until nothing of it is left.
    let (forwarded, judged) = (incoming.forward(feed, check).await, judged.await);
    forwarded?;
    verdict(judged.map_err(Error::internal)??)
}

/// A container whose first byte is expected.
pub(crate) fn new_container(app: &App, caller: &Caller, partial: bool, correlator: &Correlator) -> Container {
    let id = ContainerId::new(app.clock.new_id());
    Container::receive(id, owner(caller), partial, Some(correlator.as_str().to_owned()), app.clock.now())
}

/// Says that `respond-async` was followed.
pub(crate) fn applied(answer: Answer, prefer: Prefer) -> Answer {
    match (Prefer { wait: None, minimal: false, ..prefer }).applied() {
        Some(applied) => answer.with(PREFERENCE_APPLIED, applied),
        None => answer,
    }
}

/// What both digest headers promise.
fn both(headers: &HeaderMap) -> Result<Digests, Problem> {
    agreed(promised(headers, &CONTENT_DIGEST)?, promised(headers, &REPR_DIGEST)?)
}

/// Refuses a body that says itself that it is too long.
fn within(headers: &HeaderMap, most: u64) -> Result<(), Problem> {
    let length: Option<u64> = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length| length > most) {
        return Err(Problem::new(Code::PayloadTooLarge, format!("A container may have {most} bytes.")));
    }
    Ok(())
}

/// Which containers a list holds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ContainersQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many containers a page has.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
    /// Only containers in this state.
    #[param(inline)]
    state: Option<ContainerState>,
}

/// List containers, the newest first
///
/// Those of your organisation, whichever of its clients delivered them.
#[utoipa::path(
    tag = "Containers",
    params(ContainersQuery),
    responses((status = 200, description = "A page of containers.", body = Page<ContainerView>)),
    security(("oauth2" = ["containers:read"]))
)]
#[get("/v1/containers")]
pub async fn list_containers(
    allowed: Allowed<ContainersRead>,
    query: Query<ContainersQuery>,
) -> Result<Page<ContainerView>, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let list = List::new(caller.client, "containers", &query.state)?;
    let page = ContainerPage {
        organisation: caller.organisation,
        before: list.position(&app.keys.sealer, query.cursor.as_deref())?,
        state: query.state,
        limit: query.per_page.and_one(),
    };
    let found = app.store.read(move |tx| tx.containers(&page)).await?;
    let next = |last: &Container| list.cursor(&app.keys.sealer, &last.id);
    Ok(Page::cut(found, query.per_page, next, |container| Ok(ContainerView::new(container)))?)
}

/// Read a container
///
/// Where it is, and once it is judged what became of each deliverable. A delivery that repeated an earlier one shows the earlier one.
#[utoipa::path(
    tag = "Containers",
    params(
        ("containerId" = ContainerId, Path, description = "The container."),
        ("If-None-Match" = Option<String>, Header, description = "The revision the caller has.")
    ),
    responses(
        (status = 200, description = "The container.", body = ContainerView, headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "It is still the revision the caller has.")
    ),
    security(("oauth2" = ["containers:read"]))
)]
#[get("/v1/containers/{containerId}")]
pub async fn read_container(
    allowed: Allowed<ContainersRead>,
    id: web::Path<ContainerId>,
    known: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let id = id.into_inner();
    let container = app.store.read(move |tx| tx.container(caller.organisation, id)).await?;
    let same = known.has(container.revision);
    let view = ContainerView::new(container);
    let mut response = if same { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, view.etag()));
    Ok(if same { response.finish() } else { response.json(view) })
}

/// Withdraw a container
///
/// From now on nothing of it is distributed, and its content is removed; what a device has already it keeps. Withdrawing twice is the same as once,
/// and a withdrawn container does not come back by being delivered again. A container whose `expiresAt` is over is withdrawn by the server.
#[utoipa::path(
    tag = "Containers",
    params(("containerId" = ContainerId, Path, description = "The container.")),
    responses(
        (status = 200, description = "The container is withdrawn.", body = ContainerView, headers(("ETag" = String, description = "Its revision."))),
        (status = 409, description = "It is not available, so there is nothing to withdraw.")
    ),
    security(("oauth2" = ["containers:write"]))
)]
#[post("/v1/containers/{containerId}/withdraw")]
pub async fn withdraw_container(allowed: Allowed<ContainersWrite>, id: web::Path<ContainerId>) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let (id, now, ids) = (id.into_inner(), app.clock.now(), app.clock.new_ids());
    let withdrawn = app.store.write(move |tx| {
        let mut container = tx.container(caller.organisation, id)?;
        tx.withdraw_container(&mut container, now, &mut ids.clone())?;
        Ok(container)
    });
    let view = ContainerView::new(withdrawn.await?);
    Ok(HttpResponse::Ok().insert_header((header::ETAG, view.etag())).json(view))
}
