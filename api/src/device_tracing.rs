//! Having the messages of a device kept.
use actix_web::http::header;
use actix_web::{HttpResponse, delete, get, put, web};
use dmwsi_domain::Timestamp;
use dmwsi_domain::event::Event;
use dmwsi_domain::tracing::{MAX_BYTES, MAX_MESSAGES, NewTracing, Tracing};
use serde::Serialize;
use utoipa::ToSchema;

use crate::allowed::{Allowed, DevicesRead, DevicesTrace};
use crate::body::Body;
use crate::correlator::Correlator;
use crate::etag::{IfMatch, etag};
use crate::problem::Problem;

/// Whether the messages of a device are kept, and how much of the room for them is used up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tracing, example = json!({
    "isOn": true,
    "until": "2026-11-22T10:00:00Z",
    "messages": 12,
    "maxMessages": 1_000,
    "bytes": 38_112,
    "maxBytes": 8_388_608
}))]
pub struct TracingView {
    /// Whether the next message is kept.
    is_on: bool,
    /// Until when messages are kept; absent where nobody has asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// How many were kept since that was asked for.
    messages: u32,
    /// How many are kept at most.
    max_messages: u32,
    /// How large they are, in bytes of their views.
    bytes: u64,
    /// How large they may become.
    max_bytes: u64,
}

impl TracingView {
    fn new(tracing: Option<Tracing>, now: Timestamp) -> Self {
        Self {
            is_on: tracing.is_some_and(|tracing| tracing.is_on(now)),
            until: tracing.map(|tracing| tracing.until),
            messages: tracing.map_or(0, |tracing| tracing.messages),
            max_messages: MAX_MESSAGES,
            bytes: tracing.map_or(0, |tracing| tracing.bytes),
            max_bytes: MAX_BYTES,
        }
    }
}

/// Read whether the messages of a device are kept
///
/// Where nobody has asked for it, `until` is absent.
#[utoipa::path(
    tag = "Devices",
    params(("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$")),
    responses((status = 200, description = "Whether they are kept.", body = TracingView, headers(("ETag" = String, description = "The revision of the device.")))),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices/{deviceId}/tracing")]
pub async fn read_tracing(allowed: Allowed<DevicesRead>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let device = allowed.device(&id)?;
    let Allowed { app, caller, .. } = allowed;
    let found = app
        .store
        .read(move |tx| Ok((tx.device(caller.organisation, device)?.revision, tx.tracing(caller.organisation, device)?)));
    let (revision, tracing) = found.await?;
    Ok(shown(revision, tracing, app.clock.now()))
}

/// Have the messages of a device kept for a while
///
/// From now on what the device says and what it is told is kept, also where it is refused, until that time, 1,000 messages or 8 MiB of them have
/// come: `GET /v1/devices/{deviceId}/sessions/{sessionId}/messages`. Asking again begins to count anew. A `device-updated` event tells that it was asked for.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        ("If-Match" = String, Header, description = "The revision of the device that the change was decided on.")
    ),
    request_body = NewTracing,
    responses((status = 200, description = "The messages are kept.", body = TracingView, headers(("ETag" = String, description = "The revision of the device.")))),
    security(("oauth2" = ["devices:trace"]))
)]
#[put("/v1/devices/{deviceId}/tracing")]
pub async fn set_tracing(
    allowed: Allowed<DevicesTrace>,
    correlator: Correlator,
    id: web::Path<String>,
    condition: IfMatch,
    body: Body<NewTracing>,
) -> Result<HttpResponse, Problem> {
    let now = allowed.app.clock.now();
    let tracing = body.value.begin(now)?;
    let revision = change(allowed, &correlator, &id, condition, Some(tracing)).await?;
    Ok(shown(revision, Some(tracing), now))
}

/// Have the messages of a device kept no longer
///
/// What was kept stays until its session is forgotten.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        ("If-Match" = String, Header, description = "The revision of the device that the change was decided on.")
    ),
    responses((status = 204, description = "They are kept no longer.")),
    security(("oauth2" = ["devices:trace"]))
)]
#[delete("/v1/devices/{deviceId}/tracing")]
pub async fn end_tracing(
    allowed: Allowed<DevicesTrace>,
    correlator: Correlator,
    id: web::Path<String>,
    condition: IfMatch,
) -> Result<HttpResponse, Problem> {
    change(allowed, &correlator, &id, condition, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn change(
    allowed: Allowed<DevicesTrace>,
    correlator: &Correlator,
    id: &str,
    condition: IfMatch,
    tracing: Option<Tracing>,
) -> Result<i64, Problem> {
    let device = allowed.device(id)?;
    let Allowed { app, caller, .. } = allowed;
    let (now, ids, correlator) = (app.clock.now(), app.clock.new_ids(), correlator.as_str().to_owned());
    let written = app.store.write(move |tx| {
        let mut ids = ids;
        let mut found = tx.device(caller.organisation, device)?;
        condition.check("device", found.revision)?;
        tx.set_tracing(device, tracing)?;
        found.revision = tx.touch_device(device, now)?;
        tx.record(&found.tells(Event::DeviceUpdated {}, now, Some(correlator.clone()), &mut ids))?;
        Ok(found.revision)
    });
    Ok(written.await?)
}

fn shown(revision: i64, tracing: Option<Tracing>, now: Timestamp) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::ETAG, etag(revision))).json(TracingView::new(tracing, now))
}
