//! The first page: which device it is about, or what is to be known of one that is not listed.
use actix_web::{HttpResponse, web};
use askama::Template;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Desk;
use super::device::Device;
use super::offer::Offers;
use super::page::{Trouble, page};

/// The devices that are listed.
#[derive(Deserialize)]
struct Devices {
    items: Vec<Device>,
}

#[derive(Template)]
#[template(path = "choice.html")]
struct ChoicePage {
    devices: Vec<Device>,
}

/// Lists the devices.
pub(super) async fn show(desk: web::Data<Desk>) -> Result<HttpResponse, Trouble> {
    let devices: Devices = serde_json::from_value(desk.portal.call(Method::GET, "/v1/devices?perPage=50", None).await?)?;
    page(&ChoicePage { devices: devices.items })
}

/// What a user types of a device that is not listed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Typed {
    manufacturer: String,
    model: String,
    #[serde(default)]
    firmware_version: String,
    #[serde(default)]
    hardware_version: String,
}

#[derive(Template)]
#[template(path = "check.html")]
struct CheckPage {
    typed: Typed,
    offers: Offers,
}

/// Lists what fits such a device.
pub(super) async fn check(desk: web::Data<Desk>, typed: web::Query<Typed>) -> Result<HttpResponse, Trouble> {
    let typed = typed.into_inner();
    let fields = [
        ("manufacturer", &typed.manufacturer),
        ("model", &typed.model),
        ("firmwareVersion", &typed.firmware_version),
        ("hardwareVersion", &typed.hardware_version),
    ];
    let said = fields.into_iter().map(|(name, text)| (name, text.trim())).filter(|(_name, text)| !text.is_empty());
    let particulars: Map<_, _> = said.map(|(name, text)| (name.to_owned(), Value::from(text))).collect();
    let asked = json!({"kind": "FIRMWARE", "particulars": particulars, "perPage": 50});
    let offers = serde_json::from_value(desk.portal.call(Method::POST, "/v1/deliverables/match", Some(&asked)).await?)?;
    page(&CheckPage { typed, offers })
}
