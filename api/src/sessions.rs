//! What became of sessions with a device, and what was said in them while somebody wanted to see it.
use actix_web::{get, web};
use dmwsi_domain::id::{JobId, SessionId};
use dmwsi_domain::session_record::{Authentication, Initiator, SessionEnd, SessionFault, SessionRecord};
use dmwsi_domain::{Result, Timestamp};
use dmwsi_store::{MessageRow, RecordPage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::allowed::{Allowed, DevicesRead, DevicesTrace};
use crate::app::App;
use crate::callers::Caller;
use crate::cursor::List;
use crate::page::{Page, PerPage};
use crate::problem::Problem;
use crate::query::Query;

/// A session with a device.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeviceSession, example = json!({
    "sessionId": "ses_019a8e5d3c7b7f10a1b2c3d4e5f60718",
    "dmSessionId": "1F4A",
    "dmIdentity": "IMEI:490154203237518",
    "gateway": "gateway-1",
    "encoding": "XML",
    "protocol": "DM/1.2",
    "initiatedBy": "SERVER",
    "authentication": "ACCEPTED",
    "authenticatedBy": "DIGEST",
    "messages": 3,
    "bytesReceived": 2418,
    "bytesSent": 3190,
    "commands": 2,
    "alerts": 0,
    "jobIds": ["job_019a8e5d3c7b7f10a1b2c3d4e5f60718"],
    "tracedMessages": 0,
    "beganAt": "2026-11-21T10:16:02Z",
    "lastHeardAt": "2026-11-21T10:16:03Z",
    "endedAt": "2026-11-21T10:16:03Z",
    "ending": "COMPLETED"
}))]
pub struct SessionView {
    /// Its name.
    session_id: SessionId,
    /// The SessionID of the protocol, as the device spells it.
    #[schema(max_length = 256)]
    dm_session_id: String,
    /// As whom the device presented itself.
    #[schema(max_length = 256)]
    dm_identity: String,
    /// The process that answered last.
    #[schema(max_length = 256)]
    gateway: String,
    /// `XML` or `WBXML`.
    #[schema(max_length = 5)]
    encoding: String,
    /// The version of the protocol, as the device names it.
    #[schema(max_length = 256)]
    protocol: String,
    /// Who wanted it; absent where that was not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    initiated_by: Option<Initiator>,
    /// Whether the device proved who it is.
    authentication: Authentication,
    /// By which means: `BASIC`, `DIGEST`, `HMAC` or `TRANSPORT`, the certificate of its TLS client; absent where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 9)]
    authenticated_by: Option<String>,
    /// How many messages of the device were answered or refused.
    messages: u32,
    /// How large they were, in bytes.
    bytes_received: u64,
    /// How large the answers were, in bytes.
    bytes_sent: u64,
    /// How many commands the device was sent.
    commands: u32,
    /// How many alerts it told.
    alerts: u32,
    /// The jobs of the caller that went on in it, up to 16.
    #[schema(max_items = 16)]
    job_ids: Vec<JobId>,
    /// What was wrong, the last of several; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<SessionFault>,
    /// How many of its messages were kept.
    traced_messages: u32,
    /// When it began.
    began_at: Timestamp,
    /// When the device was last heard in it; up to a minute ago while it goes on.
    last_heard_at: Timestamp,
    /// When it ended; absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// How it ended; absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<SessionEnd>,
}

impl SessionView {
    fn new(caller: &Caller, record: SessionRecord) -> Self {
        let course = record.course;
        let own = course.works.iter().filter(|work| work.client == caller.client);
        Self {
            job_ids: own.map(|work| work.job).collect(),
            session_id: record.id,
            dm_session_id: course.session,
            dm_identity: course.dm_identity,
            gateway: course.gateway,
            encoding: course.encoding,
            protocol: course.protocol,
            initiated_by: course.initiated_by,
            authentication: course.authentication,
            authenticated_by: course.authenticated_by,
            messages: course.messages,
            bytes_received: course.bytes_heard,
            bytes_sent: course.bytes_told,
            commands: course.commands,
            alerts: course.alerts,
            fault: course.fault,
            traced_messages: course.traced,
            began_at: record.began_at,
            last_heard_at: record.heard_at,
            ended_at: record.ended_at,
            ending: record.ended_as,
        }
    }
}

/// A message of a device and the answer to it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionMessage, example = json!({
    "number": 1,
    "at": "2026-11-21T10:16:02Z",
    "received": {"SyncML": [{"SyncHdr": [{"VerDTD": "1.2"}, {"VerProto": "DM/1.2"}, {"SessionID": "1F4A"}, {"MsgID": "1"}]}]},
    "bytesReceived": 806,
    "sent": {"SyncML": [{"SyncHdr": [{"VerDTD": "1.2"}, {"VerProto": "DM/1.2"}, {"SessionID": "1F4A"}, {"MsgID": "1"}]}]},
    "bytesSent": 1063,
    "repeats": 0
}))]
pub struct MessageView {
    /// Its place in the session, from 1.
    number: u32,
    /// When it came.
    at: Timestamp,
    /// What the device said, as far as it could be read: each element an object with its name as the only member.
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<Value>,
    /// How large that was, in bytes.
    bytes_received: u64,
    /// What it was told; absent where it got no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Value>,
    /// How large that was, in bytes.
    bytes_sent: u64,
    /// How often the same came again while messages were kept, and was told the same again.
    repeats: u32,
}

impl MessageView {
    fn new(app: &App, row: &MessageRow) -> Result<Self> {
        let (number, at, said) = app.sealing.open_message(row)?;
        Ok(Self {
            number,
            at,
            received: said.heard,
            bytes_received: said.bytes_heard,
            sent: said.told,
            bytes_sent: said.bytes_told,
            repeats: row.repeats()?,
        })
    }
}

/// Where a list goes on, and how much of it a page has.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SessionsQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many things a page has.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
}

/// List the sessions with a device, the latest first
///
/// Those in which something was done, something was wrong, or messages were kept; a device that calls, has nothing to do and is well leaves no
/// trace. They are forgotten after a time that the operator sets, 30 days where he does not. What anybody does in the name of a device without
/// proving to be it is written down once a minute at most.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        SessionsQuery
    ),
    responses((status = 200, description = "A page of sessions.", body = Page<SessionView>)),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices/{deviceId}/sessions")]
pub async fn list_sessions(
    allowed: Allowed<DevicesRead>,
    id: web::Path<String>,
    query: Query<SessionsQuery>,
) -> Result<Page<SessionView>, Problem> {
    let device = allowed.device(&id)?;
    let Allowed { app, caller, .. } = allowed;
    let SessionsQuery { cursor, per_page } = query.0;
    let list = List::new(caller.client, "sessions", &id.as_str())?;
    let before: Option<SessionId> = list.position(&app.keys.sealer, cursor.as_deref())?;
    let page = RecordPage { device, before, limit: per_page.and_one() };
    let organisation = caller.organisation;
    let records = app.store.read(move |tx| {
        tx.device(organisation, device)?;
        tx.session_records(page)
    });
    let next = |last: &SessionRecord| list.cursor(&app.keys.sealer, &last.id);
    Ok(Page::cut(records.await?, per_page, next, |record| dmwsi_domain::Result::Ok(SessionView::new(&caller, record)))?)
}

/// Read what became of a session
///
/// Who it was, how it went, how it ended and what was wrong.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        ("sessionId" = SessionId, Path, description = "The session.")
    ),
    responses((status = 200, description = "The session.", body = SessionView)),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices/{deviceId}/sessions/{sessionId}")]
pub async fn read_session(
    allowed: Allowed<DevicesRead>,
    path: web::Path<(String, String)>,
) -> Result<web::Json<SessionView>, Problem> {
    let device = allowed.device(&path.0)?;
    let session: SessionId = path.1.parse().map_err(|_malformed| Problem::not_found("session"))?;
    let Allowed { app, caller, .. } = allowed;
    let organisation = caller.organisation;
    let record = app.store.read(move |tx| {
        tx.device(organisation, device)?;
        tx.session_record(device, session)
    });
    Ok(web::Json(SessionView::new(&caller, record.await?)))
}

/// Read what was said in a session, message by message
///
/// Only what came while messages of the device were kept (`PUT /v1/devices/{deviceId}/tracing`). Passwords, credentials, nonces, the addresses that
/// let a device in, and what nodes hold whose names say that it is secret stand as `***`; long values are cut. Messages are stored sealed.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        ("sessionId" = SessionId, Path, description = "The session."),
        SessionsQuery
    ),
    responses((status = 200, description = "A page of messages, in the order in which they came.", body = Page<MessageView>)),
    security(("oauth2" = ["devices:trace"]))
)]
#[get("/v1/devices/{deviceId}/sessions/{sessionId}/messages")]
pub async fn list_session_messages(
    allowed: Allowed<DevicesTrace>,
    path: web::Path<(String, String)>,
    query: Query<SessionsQuery>,
) -> Result<Page<MessageView>, Problem> {
    let device = allowed.device(&path.0)?;
    let session: SessionId = path.1.parse().map_err(|_malformed| Problem::not_found("session"))?;
    let Allowed { app, caller, .. } = allowed;
    let SessionsQuery { cursor, per_page } = query.0;
    let list = List::new(caller.client, "session-messages", &(path.0.as_str(), path.1.as_str()))?;
    let after: Option<u32> = list.position(&app.keys.sealer, cursor.as_deref())?;
    let rows = app.store.read(move |tx| {
        tx.device(caller.organisation, device)?;
        tx.session_record(device, session)?;
        tx.session_messages(session, after.unwrap_or_default(), per_page.and_one())
    });
    let next = |last: &MessageRow| list.cursor(&app.keys.sealer, &last.number()?);
    Ok(Page::cut(rows.await?, per_page, next, |row| MessageView::new(&app, &row))?)
}
