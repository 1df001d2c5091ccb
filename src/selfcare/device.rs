//! A device as its user sees it: what it is, what can be installed, and why the rest cannot.
use actix_web::{HttpResponse, web};
use askama::Template;
use reqwest::Method;
use serde::Deserialize;

use super::Desk;
use super::offer::Offers;
use super::page::{Trouble, page};

/// A device, as the interface tells of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device {
    pub(super) device_id: String,
    #[serde(default)]
    pub(super) facts: Facts,
    pub(super) last_seen_at: Option<String>,
}

/// What it told of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Facts {
    manufacturer: Option<String>,
    model: Option<String>,
    pub(super) firmware_version: Option<String>,
    pub(super) software_version: Option<String>,
    pub(super) hardware_version: Option<String>,
}

impl Device {
    pub(super) async fn read(desk: &Desk, id: &str) -> Result<Self, Trouble> {
        let device = desk.portal.call(Method::GET, &format!("/v1/devices/{}", segment(id)?), None).await?;
        Ok(serde_json::from_value(device)?)
    }

    /// Its make and model.
    pub(super) fn name(&self) -> String {
        let words: Vec<_> = [&self.facts.manufacturer, &self.facts.model].into_iter().flatten().map(String::as_str).collect();
        if words.is_empty() { "Your device".to_owned() } else { words.join(" ") }
    }
}

/// A part of a path that names something, when it is nothing but that: what a browser asks for goes into the server's addresses.
pub(super) fn segment(id: &str) -> Result<&str, Trouble> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !id.is_empty() && id.bytes().all(plain) { Ok(id) } else { Err(Trouble::Missing) }
}

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    device: Device,
    offers: Offers,
    update: Option<String>,
}

/// Where a list goes on.
#[derive(Deserialize)]
pub(super) struct Further {
    cursor: Option<String>,
}

/// Shows it.
pub(super) async fn show(
    desk: web::Data<Desk>,
    id: web::Path<String>,
    further: web::Query<Further>,
) -> Result<HttpResponse, Trouble> {
    let device = Device::read(&desk, &id).await?;
    let mut path = format!("/v1/devices/{}/firmware-updates?perPage=50", device.device_id);
    if let Some(cursor) = &further.cursor {
        path.push_str("&cursor=");
        path.extend(url::form_urlencoded::byte_serialize(cursor.as_bytes()));
    }
    let offers = serde_json::from_value(desk.portal.call(Method::GET, &path, None).await?)?;
    let update = desk.update_of(&device.device_id);
    page(&DevicePage { device, offers, update })
}
