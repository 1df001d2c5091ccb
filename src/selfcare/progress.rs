//! An update on its way, in words.
use actix_web::{HttpResponse, web};
use askama::Template;
use reqwest::Method;
use serde::Deserialize;

use super::Desk;
use super::device::{Device, segment};
use super::offer::bytes;
use super::page::{Trouble, page};

/// A job on a device, as the interface tells of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    state: String,
    phase: Option<String>,
    progress: u8,
    attempt: u32,
    outcome: Option<String>,
    detail: Option<String>,
    due_at: Option<String>,
    finished_at: Option<String>,
    download: Option<Download>,
}

/// What the device fetched.
#[derive(Debug, Deserialize)]
struct Download {
    size: u64,
    reached: u64,
    requests: u64,
}

impl Update {
    const fn is_live(&self) -> bool {
        self.finished_at.is_none()
    }

    fn has_succeeded(&self) -> bool {
        self.state == "SUCCEEDED"
    }

    /// Where it stands, for its user.
    fn says(&self) -> &'static str {
        match (self.state.as_str(), self.phase.as_deref().unwrap_or_default(), self.outcome.as_deref().unwrap_or_default()) {
            ("SUCCEEDED", _, "ALREADY_INSTALLED") => "Your device had this version already.",
            ("SUCCEEDED", ..) => "Done. The update is installed.",
            ("DECLINED", ..) => "The update was declined on the device. Nothing was installed.",
            ("CANCELLED", ..) => "The update was cancelled.",
            ("EXPIRED", ..) => "The device did not call in time. Nothing was installed.",
            ("REFUSED", ..) => "The update does not fit your device as it is now. Nothing was installed.",
            ("FAILED", _, outcome) => failure(outcome),
            (_, "RETRYING", _) => "It did not work yet. Your device tries again by itself.",
            (_, "DEFERRED", _) => "The update was put off on the device. It asks again later.",
            (_, "DOWNLOADING", _) => "Your device is downloading the update. Please keep it charged.",
            (_, "UPDATING", _) => "Your device is installing the update. Please do not switch it off.",
            (_, "VERIFYING", _) => "Nearly done: your device is asked for its version.",
            ("QUEUED", ..) => "Your device is being called.",
            _ => "Your device is getting ready.",
        }
    }

    fn downloaded(&self) -> Option<String> {
        let download = self.download.as_ref()?;
        let resumed = if download.requests > 1 { format!(", in {} parts", download.requests) } else { String::new() };
        Some(format!("{} of {}{resumed}", bytes(download.reached), bytes(download.size)))
    }
}

/// What went wrong, for whoever holds the device.
fn failure(outcome: &str) -> &'static str {
    match outcome {
        "BATTERY_LOW" => "The battery was too low. Please charge your device and try again.",
        "DOWNLOAD_OUT_OF_MEMORY" | "UPDATE_OUT_OF_MEMORY" | "DEVICE_FULL" | "PACKAGE_TOO_LARGE" => {
            "There is not enough room on your device. Please make some and try again."
        }
        "DOWNLOAD_NETWORK_FAILED" | "DOWNLOAD_TIMED_OUT" | "DOWNLOAD_SERVER_UNAVAILABLE" | "DOWNLOAD_SERVER_ERROR" => {
            "The download broke off too often. Please try again where the network is better."
        }
        "PACKAGE_CORRUPTED" | "PACKAGE_VALIDATION_FAILED" | "PACKAGE_DEVICE_MISMATCH" | "PACKAGE_NOT_ACCEPTABLE" => {
            "Your device did not accept the update. It was not installed."
        }
        "VERSION_UNCHANGED" => "Your device said that it was done, but it still has the old version.",
        "DOWNLOAD_NOT_REPORTED" | "UPDATE_NOT_REPORTED" => "Your device was not heard of again in time.",
        _ => "The update failed.",
    }
}

#[derive(Template)]
#[template(path = "progress.html")]
struct ProgressPage {
    device: Device,
    update: Update,
}

/// Shows it.
pub(super) async fn show(desk: web::Data<Desk>, path: web::Path<(String, String)>) -> Result<HttpResponse, Trouble> {
    let (device, job) = path.into_inner();
    let device = Device::read(&desk, &device).await?;
    let path = format!("/v1/jobs/{}/executions/{}", segment(&job)?, device.device_id);
    let update = serde_json::from_value(desk.portal.call(Method::GET, &path, None).await?)?;
    page(&ProgressPage { device, update })
}
