//! Waking devices: ask for it, and see what came of it.
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, get, post, web};
use dmwsi_domain::event::Event;
use dmwsi_domain::wake::{ASKED_FOR, Wake, WakeState};
use dmwsi_domain::{Error, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::allowed::{Allowed, DevicesRead, DevicesWake};
use crate::correlator::Correlator;
use crate::idempotency::{Answer, Idempotency};
use crate::problem::Problem;

/// How a device is being woken, or how that ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Wake, example = json!({
    "deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543",
    "state": "WAKING",
    "sessionId": "1F4A",
    "attempts": 2,
    "lastAttemptAt": "2026-11-21T10:16:02Z",
    "nextAttemptAt": "2026-11-21T10:17:01Z",
    "expiresAt": "2026-11-22T10:15:30Z",
    "requestedAt": "2026-11-21T10:15:30Z"
}))]
pub struct WakeView {
    /// The device.
    #[schema(max_length = 36, pattern = "^dev_[0-9a-f]{32}$")]
    pub device_id: String,
    /// Where it stands.
    pub state: WakeState,
    /// The SessionID that the device is asked to call with.
    #[schema(max_length = 4, pattern = "^[0-9A-F]{1,4}$")]
    pub session_id: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was last tried; absent when it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<Timestamp>,
    /// What was wrong with the last attempt, as a stable code such as `NAME_UNKNOWN`; absent when the notification was handed over. Whether it arrived
    /// nobody knows before the device calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub trouble: Option<String>,
    /// When it is tried next; absent when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// Until when it is wanted, whatever there is to do; its jobs may have it woken for longer. Absent when only they decide that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the device was last wanted.
    pub requested_at: Timestamp,
    /// When it was over; absent while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl WakeView {
    fn new(device_id: String, wake: Wake) -> Self {
        Self {
            device_id,
            state: wake.state,
            session_id: format!("{:X}", wake.session),
            attempts: wake.attempts,
            last_attempt_at: wake.attempted_at,
            trouble: wake.trouble,
            next_attempt_at: wake.next_at,
            expires_at: wake.expires_at,
            requested_at: wake.opened_at,
            ended_at: wake.ended_at,
        }
    }
}

/// Wake a device
///
/// Asks the device by a notification (package 0) at its push address to call, again and again until it does or a day has passed. Devices that
/// have a job to do are woken without being asked for. Asking again while it is being woken goes on with the same notification.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe.")
    ),
    responses(
        (status = 202, description = "The device is being woken.", body = WakeView, headers(("Location" = String, description = "Where the wake is read."))),
        (status = 409, description = "The device has no push address, or the first request with this key still runs.")
    ),
    security(("oauth2" = ["devices:wake"]))
)]
#[post("/v1/devices/{deviceId}/wake")]
pub async fn wake_device(
    allowed: Allowed<DevicesWake>,
    correlator: Correlator,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let device = allowed.device(&id)?;
    let Allowed { app, caller, .. } = allowed;
    let idempotency = Idempotency::of(&app, &caller, &request, &[])?;
    let (now, ids, organisation) = (app.clock.now(), app.clock.new_ids(), caller.organisation);
    let path = format!("/v1/devices/{id}/wake");
    let written = app.store.write(move |tx| {
        let mut ids = ids;
        idempotency.once(tx, |tx| {
            let found = tx.device(organisation, device)?;
            if tx.open_wakes(&[device], true, Some(now.plus(ASKED_FOR)), now, &mut ids)? == 0 {
                return Err(Error::conflict("NO_PUSH_ADDRESS", "the device has no push address"));
            }
            let asked = Event::DeviceWakeRequested {};
            tx.record(&found.tells(asked, now, Some(correlator.as_str().to_owned()), &mut ids))?;
            let wake = tx.wake(device)?.ok_or(Error::NotFound { what: "wake" })?;
            Ok(Answer::json(StatusCode::ACCEPTED, &WakeView::new(id.to_string(), wake))?.located(&path))
        })
    });
    Ok(written.await?)
}

/// Read how a device is being woken
///
/// The last wake of the device, whoever asked for it; 404 when it never was woken.
#[utoipa::path(
    tag = "Devices",
    params(("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$")),
    responses((status = 200, description = "The wake.", body = WakeView)),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices/{deviceId}/wake")]
pub async fn read_wake(allowed: Allowed<DevicesRead>, id: web::Path<String>) -> Result<web::Json<WakeView>, Problem> {
    let device = allowed.device(&id)?;
    let Allowed { app, caller, .. } = allowed;
    let wake = app.store.read(move |tx| {
        tx.device(caller.organisation, device)?;
        tx.wake(device)
    });
    let wake = wake.await?.ok_or_else(|| Problem::not_found("wake"))?;
    Ok(web::Json(WakeView::new(id.into_inner(), wake)))
}
