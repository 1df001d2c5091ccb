//! The user's yes, without which nothing is installed.
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Desk;
use super::device::{Device, segment};
use super::guard::random;
use super::offer::Offer;
use super::page::{Trouble, page_with, see};
use crate::portal::PortalError;

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage {
    device: Device,
    offer: Offer,
    seal: String,
    once: String,
}

/// Asks for it.
pub(super) async fn ask(
    desk: web::Data<Desk>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Trouble> {
    let (device, deliverable) = path.into_inner();
    let device = Device::read(&desk, &device).await?;
    let offer = offer(&desk, &device, &deliverable).await?;
    let (seal, cookie) = desk.seal.seal(&request)?;
    page_with(&ConsentPage { device, offer, seal, once: random()? }, &cookie)
}

/// The update as it stands to the device now; missing where it does not fit (any more).
async fn offer(desk: &Desk, device: &Device, deliverable: &str) -> Result<Offer, Trouble> {
    let path = format!("/v1/devices/{}/firmware-updates?perPage=100&includeUnfit=false", device.device_id);
    let page: super::offer::Offers = serde_json::from_value(desk.portal.call(Method::GET, &path, None).await?)?;
    page.items.into_iter().find(|offer| offer.deliverable_id == deliverable).ok_or(Trouble::Missing)
}

/// The form as it comes back.
#[derive(Deserialize)]
pub(super) struct Consent {
    seal: String,
    once: String,
    agreed: Option<String>,
}

/// Takes it, and starts the update. A form that is sent twice starts one.
pub(super) async fn agree(
    desk: web::Data<Desk>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    form: web::Form<Consent>,
) -> Result<HttpResponse, Trouble> {
    let (device, deliverable) = path.into_inner();
    let (device, deliverable) = (segment(&device)?, segment(&deliverable)?);
    if !desk.seal.is_right(&request, &form.seal)? {
        return Err(Trouble::Stale);
    }
    if form.agreed.as_deref() != Some("yes") {
        return Err(Trouble::NotAgreed);
    }
    let job = json!({
        "clientCorrelator": format!("selfcare-{}", segment(&form.once)?),
        "operation": {"type": "FIRMWARE_UPDATE", "deliverableId": deliverable},
        "target": {"type": "DEVICES", "deviceIds": [device]},
    });
    let job = desk.portal.call(Method::POST, "/v1/jobs", Some(&job)).await?;
    let job = job.get("jobId").and_then(Value::as_str).ok_or(Trouble::Away(PortalError::Lacking("jobId")))?;
    desk.remember(device, job);
    Ok(see(&format!("/devices/{device}/updates/{job}")))
}
