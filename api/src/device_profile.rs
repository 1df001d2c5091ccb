//! What a device does otherwise than the standard says: by its kind, as observed, and as an operator sets it.
use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::{HttpResponse, get, patch, web};
use dmwsi_domain::device::Device;
use dmwsi_domain::event::Event;
use dmwsi_domain::profile::{KnownTraits, Origin, Profile, Traits, TraitsPatch};
use dmwsi_domain::{Error, Result, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::allowed::{Allowed, DevicesRead, DevicesWrite};
use crate::app::App;
use crate::body::{Body, MergePatch};
use crate::correlator::Correlator;
use crate::etag::{IfMatch, etag};
use crate::problem::Problem;

/// What a device does otherwise than the standard says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceProfile, example = json!({
    "deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543",
    "entries": ["libdmclient"],
    "traits": {
        "copy": {"value": false, "origin": "FILE"},
        "maxMessageBytes": {"value": 16_384, "origin": "OBSERVED"},
        "tnds": {"value": true, "origin": "OPERATOR"}
    },
    "userAgent": "SyncML_DM Client",
    "observedFirmwareVersion": "1.0.0",
    "observedAt": "2026-11-21T10:16:02Z"
}))]
pub struct ProfileView {
    /// The device.
    #[schema(max_length = 36, pattern = "^dev_[0-9a-f]{32}$")]
    device_id: String,
    /// The entries of the file of known devices that are about it; later ones go over earlier ones.
    entries: Vec<String>,
    /// What holds, by name: an operator's word over what was observed, and that over the file. Of what is absent nobody says anything, and the
    /// standard holds.
    traits: BTreeMap<String, TraitView>,
    /// The header User-Agent of the device, as it last came while it had something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    user_agent: Option<String>,
    /// The firmware with which it was observed; what was observed with another one is forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    observed_firmware_version: Option<String>,
    /// When something new was observed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_at: Option<Timestamp>,
}

/// One trait.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trait, example = json!({"value": false, "origin": "OBSERVED"}))]
pub struct TraitView {
    /// Its value, as in the body of a change.
    value: Value,
    /// Who says so.
    origin: Origin,
}

impl ProfileView {
    fn new(app: &App, public_id: String, device: &Device, known: KnownTraits) -> Result<Self> {
        let profile = Profile::of(&app.book, &device.facts, known);
        let mut traits = BTreeMap::new();
        let layers =
            [(Origin::File, &profile.file), (Origin::Observed, &profile.observed.traits), (Origin::Operator, &profile.set)];
        for (origin, layer) in layers {
            for (name, value) in members(layer)? {
                traits.insert(name, TraitView { value, origin });
            }
        }
        Ok(Self {
            device_id: public_id,
            entries: profile.entries,
            traits,
            user_agent: profile.observed.user_agent,
            observed_firmware_version: profile.observed.firmware_version,
            observed_at: profile.observed.at,
        })
    }
}

fn members(traits: &Traits) -> Result<serde_json::Map<String, Value>> {
    match serde_json::to_value(traits).map_err(Error::internal)? {
        Value::Object(members) => Ok(members),
        _ => Err(Error::internal("traits are no object")),
    }
}

/// Read what a device does otherwise than the standard says
///
/// The server keeps to it: what a device is known not to take is not sent, or is said in another way.
#[utoipa::path(
    tag = "Devices",
    params(("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$")),
    responses((status = 200, description = "What is known.", body = ProfileView, headers(("ETag" = String, description = "The revision of the device.")))),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices/{deviceId}/profile")]
pub async fn read_profile(allowed: Allowed<DevicesRead>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let inside = allowed.device(&id)?;
    let Allowed { app, caller, .. } = allowed;
    let found =
        app.store.read(move |tx| Ok((tx.device(caller.organisation, inside)?, tx.known_traits(caller.organisation, inside)?)));
    let (device, known) = found.await?;
    let view = ProfileView::new(&app, id.into_inner(), &device, known)?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag(device.revision))).json(view))
}

/// Set what a device does otherwise
///
/// A merge patch (RFC 7396) of what an operator has set: what is absent stays, `null` takes the operator's word back, and what was observed or stands in
/// the file of known devices holds again. The next message of the device is answered accordingly.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        ("If-Match" = String, Header, description = "The revision the change was decided on.")
    ),
    request_body(content = TraitsPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "What is known now.", body = ProfileView, headers(("ETag" = String, description = "The revision of the device.")))),
    security(("oauth2" = ["devices:write"]))
)]
#[patch("/v1/devices/{deviceId}/profile")]
pub async fn change_profile(
    allowed: Allowed<DevicesWrite>,
    correlator: Correlator,
    id: web::Path<String>,
    condition: IfMatch,
    body: Body<TraitsPatch, MergePatch>,
) -> Result<HttpResponse, Problem> {
    let inside = allowed.device(&id)?;
    let Allowed { app, caller, .. } = allowed;
    let (now, ids) = (app.clock.now(), app.clock.new_ids());
    let changed = app.store.write(move |tx| {
        let mut ids = ids;
        let mut device = tx.device(caller.organisation, inside)?;
        condition.check("device", device.revision)?;
        let mut known = tx.known_traits(caller.organisation, inside)?;
        if body.value.clone().apply(&mut known.set)? {
            tx.set_traits(inside, &known.set)?;
            device.revision = tx.touch_device(inside, now)?;
            tx.record(&device.tells(Event::DeviceUpdated {}, now, Some(correlator.as_str().to_owned()), &mut ids))?;
        }
        Ok((device, known))
    });
    let (device, known) = changed.await?;
    let view = ProfileView::new(&app, id.into_inner(), &device, known)?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag(device.revision))).json(view))
}
