//! Bootstrap documents: what a device is told before its first session.
use actix_web::{HttpResponse, post, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_domain::Error;
use dmwsi_domain::bootstrap::{Bootstrap, BootstrapProfile, NewBootstrap};
use dmwsi_domain::rotation::RotationState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::allowed::{Allowed, DevicesBootstrap};
use crate::body::Body;
use crate::problem::Problem;

/// A bootstrap document, ready to be sent to its device. It holds the secrets of the account in the clear.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Bootstrap, example = json!({
    "deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543",
    "profile": "CP",
    "mediaType": "application/vnd.wap.connectivity-wbxml; SEC=1; MAC=4B1C9F5F0B6F3C7D2E8A90B1C2D3E4F5A6B7C8D9",
    "sec": "1",
    "mac": "4B1C9F5F0B6F3C7D2E8A90B1C2D3E4F5A6B7C8D9",
    "document": "AwtqAMVFAzEuMQABxgABVQGHNgYDdzcAAQEB",
    "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?><wap-provisioningdoc version=\"1.1\"><characteristic type=\"APPLICATION\"><parm name=\"APPID\" value=\"w7\"/></characteristic></wap-provisioningdoc>"
}))]
pub struct BootstrapView {
    /// The device.
    #[schema(max_length = 36, pattern = "^dev_[0-9a-f]{32}$")]
    device_id: String,
    /// In which way the device is told.
    profile: BootstrapProfile,
    /// The media type of the document, with the parameters `SEC` and `MAC` where there are any.
    #[schema(max_length = 256)]
    media_type: String,
    /// The parameter `SEC`: with `CP` a number, with `DM` a word. Absent without `security`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 32)]
    sec: Option<&'static str>,
    /// The parameter `MAC`: the HMAC-SHA1 over the document in hexadecimal digits. Absent without `security`, and where the user is told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9A-F]{40}$", max_length = 40)]
    mac: Option<String>,
    /// The bytes of the document, WBXML, in base64.
    #[schema(max_length = 65536, content_encoding = "base64")]
    document: String,
    /// The same as XML, of the media type `text/vnd.wap.connectivity-xml`; with `CP` only. The MAC is not over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    xml: Option<String>,
    /// What the user types in; with `USERPINMAC` only: the PIN and as many digits again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{10,40}$", max_length = 40)]
    user_pin: Option<String>,
}

impl BootstrapView {
    fn new(device_id: String, profile: BootstrapProfile, bootstrap: Bootstrap) -> Self {
        let Bootstrap { media_type, sec, mac, document, xml, user_pin, server_nonce: _ } = bootstrap;
        Self { device_id, profile, media_type, sec, mac, document: STANDARD.encode(document), xml, user_pin }
    }
}

/// Write what tells a device of this server
///
/// The document by which a device that knows nothing yet learns where this server is and how the two know each other: by OMA Client Provisioning
/// or by OMA DM, with the MAC that makes the device believe it. You have it sent, by a WAP push or whatever else the device takes; the device
/// then calls. It holds the secrets of the device's account in the clear. The document itself is not stored:
/// it can be asked for again, and it is current until the account is changed, by you or by a `SECRET_ROTATE`: a secret that the device said it took
/// stands in it at once, another one when the device uses it. Where this server proves itself by digests or MACs and the device has
/// not called yet, it holds the nonce of the first of these, which is the same each time.
#[utoipa::path(
    tag = "Devices",
    params(("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$")),
    request_body = NewBootstrap,
    responses(
        (status = 200, description = "The document. It must not be kept by caches.", body = BootstrapView),
        (status = 409, description = "The device proves itself by its certificate, so there is no secret that it could be told; or it called at this moment.")
    ),
    security(("oauth2" = ["devices:bootstrap"]))
)]
#[post("/v1/devices/{deviceId}/bootstrap")]
pub async fn write_bootstrap(
    allowed: Allowed<DevicesBootstrap>,
    id: web::Path<String>,
    body: Body<NewBootstrap>,
) -> Result<HttpResponse, Problem> {
    let inside = allowed.device(&id)?;
    let Allowed { app, caller, .. } = allowed;
    let (writing, organisation, profile) = (app.clone(), caller.organisation, body.value.profile);
    let written = app.store.write(move |tx| {
        let device = tx.device(organisation, inside)?;
        let mut contact = tx.contact(device.dm_identity.as_str())?.ok_or(Error::NotFound { what: "device" })?;
        if let Some(rotation) = tx.rotation(inside)?.filter(|rotation| rotation.state == RotationState::Taken) {
            contact.account.client.secret = rotation.secret;
        }
        let bootstrap = (writing.bootstrap)(&device.dm_identity, &contact, &body.value)?;
        if let Some(nonce) = &bootstrap.server_nonce {
            tx.begin_server_nonce(inside, nonce)?;
        }
        Ok(bootstrap)
    });
    let bootstrap = written.await?;
    tracing::info!(device = %inside, client = %caller.client, "what tells device {inside} of this server was given to {}", caller.client);
    // No cache keeps it: the gate says so of every answer that does not say otherwise.
    Ok(HttpResponse::Ok().json(BootstrapView::new(id.into_inner(), profile, bootstrap)))
}
