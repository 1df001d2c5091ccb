//! Devices: register them, read and list them, change and delete them.
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, web};
use dmwsi_domain::Error;
use dmwsi_domain::device::{Device, NewDevice, Owner};
use dmwsi_domain::device_patch::DevicePatch;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::DeviceId;
use dmwsi_domain::tag::Tag;
use dmwsi_store::DeviceFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::allowed::{Allowed, DevicesRead, DevicesWrite};
use crate::app::App;
use crate::body::{Body, MergePatch};
use crate::callers::Caller;
use crate::correlator::Correlator;
use crate::cursor::List;
use crate::device_view::DeviceView;
use crate::etag::{IfMatch, IfNoneMatch, etag};
use crate::idempotency::{Answer, Idempotency};
use crate::page::{Page, PerPage};
use crate::problem::Problem;
use crate::query::Query;

/// Register a device
///
/// Its DM identity and each of its identities must be new in the whole server: whoever has them, the answer is the same 409. Secrets are stored
/// sealed and shown again in nothing but what the device itself is told: `POST /v1/devices/{deviceId}/bootstrap`.
#[utoipa::path(
    tag = "Devices",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe.")),
    request_body = NewDevice,
    responses(
        (status = 201, description = "The device was registered.", body = DeviceView, headers(
            ("Location" = String, description = "Where the device is read."),
            ("ETag" = String, description = "Its revision.")
        )),
        (status = 409, description = "A device of that DM identity or of one of these identities exists already, or the first request with this key still runs.")
    ),
    security(("oauth2" = ["devices:write"]))
)]
#[post("/v1/devices")]
pub async fn create_device(
    allowed: Allowed<DevicesWrite>,
    correlator: Correlator,
    body: Body<NewDevice>,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let idempotency = Idempotency::of(&app, &caller, &request, &body.bytes)?;
    let (now, ids) = (app.clock.now(), app.clock.new_ids());
    app.egress.judge_push(&body.value.push_address).map_err(|forbidden| forbidden.at("/pushAddress"))?;
    let id = DeviceId::new(app.clock.new_id());
    let device = body.value.register(id, owner(&caller), now, |account| app.sealing.seal_account(id, account))?;
    let view = DeviceView::new(&app.keys.device_ids, device.clone())?;
    let answer = Answer::json(StatusCode::CREATED, &view)?.located(&view.path()).with(header::ETAG, etag(device.revision));
    let written = app.store.write(move |tx| {
        let mut ids = ids;
        idempotency.once(tx, |tx| {
            tx.create_device(&device)?;
            tx.record(&device.tells(Event::DeviceCreated {}, now, Some(correlator.as_str().to_owned()), &mut ids))?;
            Ok(answer.clone())
        })
    });
    Ok(written.await?)
}

/// Which devices a list holds; all conditions must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DevicesQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many devices a page has.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
    /// Only devices of this manufacturer, exactly as they tell it.
    #[param(max_length = 256, example = "Acme")]
    manufacturer: Option<String>,
    /// Only devices of this model, exactly as they tell it.
    #[param(max_length = 256, example = "X1")]
    model: Option<String>,
    /// Only devices with this firmware version, exactly as they tell it.
    #[param(max_length = 256, example = "1.0.0")]
    firmware_version: Option<String>,
    /// Only devices with this tag.
    #[param(value_type = Option<String>, max_length = 64, example = "pilot")]
    tag: Option<Tag>,
}

/// List devices in the order in which they were registered
///
/// Identities and subscribers are personal, so they are searched for by `POST /v1/devices/search` and never stand in an address.
#[utoipa::path(
    tag = "Devices",
    params(DevicesQuery),
    responses((status = 200, description = "A page of devices.", body = Page<DeviceView>)),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices")]
pub async fn list_devices(allowed: Allowed<DevicesRead>, query: Query<DevicesQuery>) -> Result<Page<DeviceView>, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let DevicesQuery { cursor, per_page, manufacturer, model, firmware_version, tag } = query.0;
    let list = List::new(caller.client, "devices", &(&manufacturer, &model, &firmware_version, &tag))?;
    let filter = DeviceFilter { manufacturer, model, firmware_version, tag, subscriber: None };
    page(&app, &caller, &list, filter, cursor.as_deref(), per_page).await
}

/// One page of the devices that fit the filter.
pub(crate) async fn page(
    app: &App,
    caller: &Caller,
    list: &List,
    filter: DeviceFilter,
    cursor: Option<&str>,
    per_page: PerPage,
) -> Result<Page<DeviceView>, Problem> {
    let after = list.position(&app.keys.sealer, cursor)?;
    let organisation = caller.organisation;
    let devices = app.store.read(move |tx| tx.devices(organisation, &filter, after, per_page.and_one())).await?;
    let page = Page::cut(
        devices,
        per_page,
        |last: &Device| list.cursor(&app.keys.sealer, &last.id),
        |device| DeviceView::new(&app.keys.device_ids, device),
    );
    Ok(page?)
}

/// Read a device
///
/// What your organisation registered and what the device told of itself since; secrets are never shown.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        ("If-None-Match" = Option<String>, Header, description = "The revision the caller has.")
    ),
    responses(
        (status = 200, description = "The device.", body = DeviceView, headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "It is still the revision the caller has.")
    ),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices/{deviceId}")]
pub async fn read_device(
    allowed: Allowed<DevicesRead>,
    id: web::Path<String>,
    known: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let (organisation, id) = (caller.organisation, inside(&app, &caller, &id)?);
    let device = app.store.read(move |tx| tx.device(organisation, id)).await?;
    let tag = etag(device.revision);
    if known.has(device.revision) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, tag)).finish());
    }
    Ok(HttpResponse::Ok().insert_header((header::ETAG, tag)).json(DeviceView::new(&app.keys.device_ids, device)?))
}

/// Change a device
///
/// A merge patch (RFC 7396): what is absent stays, `null` removes, lists are replaced whole. A push address of another type replaces the old one
/// whole. What the device tells of itself cannot be changed here.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        ("If-Match" = String, Header, description = "The revision the change was decided on.")
    ),
    request_body(content = DevicePatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The device as it is now.", body = DeviceView, headers(("ETag" = String, description = "Its revision."))),
        (status = 409, description = "Another device of that DM identity or of one of these identities exists already.")
    ),
    security(("oauth2" = ["devices:write"]))
)]
#[patch("/v1/devices/{deviceId}")]
pub async fn change_device(
    allowed: Allowed<DevicesWrite>,
    correlator: Correlator,
    id: web::Path<String>,
    condition: IfMatch,
    body: Body<DevicePatch, MergePatch>,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let (organisation, id) = (caller.organisation, inside(&app, &caller, &id)?);
    let (now, ids, sealing, egress) = (app.clock.now(), app.clock.new_ids(), app.sealing.clone(), app.egress.clone());
    let changed = app.store.write(move |tx| {
        let mut ids = ids;
        let mut device = tx.device(organisation, id)?;
        condition.check("device", device.revision)?;
        let before = device.clone();
        if body.value.clone().apply(&mut device, now, |side, secret| sealing.seal_secret(id, side, secret))? {
            tx.update_device(&device)?;
            if device.account.client.secret != before.account.client.secret {
                // What the device was offered by a job counts no more. Under another name it does: the device may have it.
                tx.drop_rotation(id)?;
            }
            if device.account != before.account {
                // What was tried against the account before says nothing of the new one.
                tx.clear_failed_tries(id)?;
            }
            if device.push_address != before.push_address {
                egress.judge_push(&device.push_address).map_err(|forbidden| forbidden.at("/pushAddress"))?;
                // Something may be waiting for it.
                tx.open_wakes(&[id], false, None, now, &mut ids)?;
            }
            tx.record(&device.tells(Event::DeviceUpdated {}, now, Some(correlator.as_str().to_owned()), &mut ids))?;
        }
        Ok(device)
    });
    let device = changed.await?;
    let tag = etag(device.revision);
    Ok(HttpResponse::Ok().insert_header((header::ETAG, tag)).json(DeviceView::new(&app.keys.device_ids, device)?))
}

/// Delete a device
///
/// Its identities are free again at once. It is not told: from now on it is unknown here. What a job had still to do on it ends with the outcome
/// `DEVICE_GONE`: `REFUSED` where it had not begun, `FAILED` where it had.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        ("If-Match" = String, Header, description = "The revision the decision was made on.")
    ),
    responses((status = 204, description = "The device is deleted.")),
    security(("oauth2" = ["devices:write"]))
)]
#[delete("/v1/devices/{deviceId}")]
pub async fn delete_device(
    allowed: Allowed<DevicesWrite>,
    correlator: Correlator,
    id: web::Path<String>,
    condition: IfMatch,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let (organisation, id) = (caller.organisation, inside(&app, &caller, &id)?);
    let (now, ids) = (app.clock.now(), app.clock.new_ids());
    let deleted = app.store.write(move |tx| {
        let mut ids = ids;
        let mut device = tx.device(organisation, id)?;
        condition.check("device", device.revision)?;
        tx.delete_device(&device)?;
        tx.end_executions_of(id, Some(correlator.as_str()), now, &mut ids)?;
        device.revision = device.revision.saturating_add(1);
        tx.record(&device.tells(Event::DeviceDeleted {}, now, Some(correlator.as_str().to_owned()), &mut ids))
    });
    deleted.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whose a device is that the caller registers.
pub(crate) const fn owner(caller: &Caller) -> Owner {
    Owner { organisation: caller.organisation, client: caller.client }
}

/// The device of a public id; what was not made for the caller's organisation is not there.
fn inside(app: &App, caller: &Caller, id: &str) -> Result<DeviceId, Problem> {
    app.keys.device_ids.inside(caller.organisation, id).ok_or_else(|| Error::NotFound { what: "device" }.into())
}
