//! Executions: a job on each of its devices, with what happened and why.
use std::collections::HashMap;

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use dmwsi_domain::download::Download;
use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::evidence::Evidence;
use dmwsi_domain::execution::{Execution, ExecutionState};
use dmwsi_domain::id::{ClientId, DeviceId, JobId, OrganisationId};
use dmwsi_domain::{Result, Timestamp};
use dmwsi_store::executions::ExecutionPage;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::allowed::{Allowed, JobsRead};
use crate::app::App;
use crate::cursor::List;
use crate::device_id::DeviceIds;
use crate::etag::{IfNoneMatch, etag};
use crate::page::{Page, PerPage};
use crate::problem::Problem;
use crate::query::Query;

/// The most events that a timeline shows, the first ones.
const LONGEST_TIMELINE: i64 = 200;

/// A job on one device.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Execution, example = json!({
    "jobId": "job_019a8e5d3c7b7f10a1b2c3d4e5f60718",
    "deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543",
    "state": "WAITING",
    "phase": "DOWNLOADING",
    "progress": 30,
    "attempt": 1,
    "dueAt": "2026-11-22T10:15:30Z",
    "createdAt": "2026-11-21T10:15:30Z",
    "updatedAt": "2026-11-21T10:16:02Z"
}))]
pub struct ExecutionView {
    /// The job.
    pub job_id: JobId,
    /// The device.
    #[schema(max_length = 36, pattern = "^dev_[0-9a-f]{32}$", examples("dev_8f14e45fceea167a5a36dedd4bea2543"))]
    pub device_id: String,
    /// Where it stands.
    pub state: ExecutionState,
    /// Where the operation is, in its own words; absent while it has not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32, examples("DOWNLOADING"))]
    pub phase: Option<String>,
    /// How far it is, in percent.
    #[schema(minimum = 0, maximum = 100, examples(30))]
    pub progress: u8,
    /// What the device has fetched of what the server keeps for it; absent while it has not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<Download>,
    /// The attempt, from 1.
    #[schema(minimum = 1, examples(1))]
    pub attempt: u32,
    /// How it ended, as a stable code; absent while it runs. Which there are, the request of each operation says. Beside those, an execution of any
    /// kind ends with `CANCELLED` where the job was cancelled, with `EXPIRED` where the time of the job was over, with `TIMED_OUT` where that of a
    /// phase was, and with `DEVICE_GONE` where the device was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, examples("UPDATED"))]
    pub outcome: Option<String>,
    /// A sentence, where the code does not say all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub detail: Option<String>,
    /// When the time of the present phase is over; absent when only the job's expiry ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl ExecutionView {
    fn new(ids: &DeviceIds, execution: &Execution, download: Option<Download>) -> Result<Self> {
        Ok(Self {
            job_id: execution.job,
            device_id: ids.public(execution.organisation, execution.device)?,
            state: execution.state,
            phase: execution.phase.clone(),
            progress: download.as_ref().map_or(execution.progress, |download| download.progress(execution)),
            download,
            attempt: execution.attempt,
            outcome: execution.outcome.clone(),
            detail: execution.detail.clone(),
            due_at: execution.due_at,
            created_at: execution.created_at,
            updated_at: execution.updated_at,
            finished_at: execution.finished_at,
        })
    }
}

/// A job on one device, with why it says what it says and what happened when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionDetail, example = json!({
    "jobId": "job_019a8e5d3c7b7f10a1b2c3d4e5f60718",
    "deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543",
    "state": "SUCCEEDED",
    "phase": "READING",
    "progress": 100,
    "attempt": 1,
    "outcome": "READ",
    "createdAt": "2026-11-21T10:15:30Z",
    "updatedAt": "2026-11-21T10:16:02Z",
    "finishedAt": "2026-11-21T10:16:02Z",
    "evidence": [{"at": "2026-11-21T10:16:02Z", "type": "ANSWERED", "command": "Get", "node": "./DevInfo/Man", "status": 200}],
    "timeline": [{"at": "2026-11-21T10:16:01Z", "type": "dmwsi.v1.execution-started", "data": {"attempt": 1}}]
}))]
pub struct ExecutionDetailView {
    /// Where it stands.
    #[serde(flatten)]
    execution: ExecutionView,
    /// What the device answered, told and was read to hold, in order; of a long story the beginning and the end.
    #[schema(max_items = 64)]
    evidence: Vec<Evidence>,
    /// What happened, in order.
    #[schema(max_items = 200)]
    timeline: Vec<TimelineEntry>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineEntry {
    /// When.
    at: Timestamp,
    /// What.
    #[serde(flatten)]
    event: Event,
}

impl From<Recorded> for TimelineEntry {
    fn from(recorded: Recorded) -> Self {
        Self { at: recorded.at, event: recorded.event }
    }
}

/// The device that an organisation calls so, as a part of a path.
pub(crate) fn device(ids: &DeviceIds, organisation: OrganisationId, text: &str) -> Result<DeviceId, Problem> {
    ids.inside(organisation, text).ok_or_else(|| Problem::not_found("execution"))
}

/// Which executions a list holds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExecutionsQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many a page has.
    #[serde(default)]
    #[param(inline)]
    pub(crate) per_page: PerPage,
    /// Only those in this state.
    #[param(inline)]
    state: Option<ExecutionState>,
}

/// A page of a job's executions, as it was asked for.
pub(crate) struct Asked {
    /// The list that its cursors are of.
    pub(crate) list: List,
    /// Which rows it has, and one more.
    pub(crate) page: ExecutionPage,
}

impl ExecutionsQuery {
    /// What is asked for of the list `name` of a job.
    pub(crate) fn asked(&self, app: &App, client: ClientId, name: &'static str, job: JobId) -> Result<Asked, Problem> {
        let list = List::new(client, name, &(job, self.state))?;
        let after = list.position(&app.keys.sealer, self.cursor.as_deref())?;
        Ok(Asked { page: ExecutionPage { job, after, state: self.state, limit: self.per_page.and_one() }, list })
    }
}

/// List the executions of a job, in the order of its devices
///
/// One execution for each device, without evidence and timeline: those are read one by one.
#[utoipa::path(
    tag = "Jobs",
    params(("id" = JobId, Path, description = "The job."), ExecutionsQuery),
    responses((status = 200, description = "A page of executions.", body = Page<ExecutionView>)),
    security(("oauth2" = ["jobs:read"]))
)]
#[get("/v1/jobs/{id}/executions")]
pub async fn list_executions(
    caller: Allowed<JobsRead>,
    id: web::Path<JobId>,
    query: Query<ExecutionsQuery>,
) -> Result<Page<ExecutionView>, Problem> {
    let Allowed { app, caller, .. } = caller;
    let Asked { list, page } = query.asked(&app, caller.client, "executions", id.into_inner())?;
    let found = app.store.read(move |tx| {
        tx.job_of(caller.client, page.job)?;
        let executions = tx.executions(&page)?;
        let ends = executions.first().zip(executions.last());
        let downloads = ends.map_or(Ok(Vec::new()), |(first, last)| tx.downloads(page.job, first.ordinal, last.ordinal))?;
        let downloads: HashMap<u32, Download> = downloads.into_iter().collect();
        Ok(executions.into_iter().map(|one| (downloads.get(&one.ordinal).cloned(), one)).collect::<Vec<_>>())
    });
    let next = |(_, last): &(Option<Download>, Execution)| list.cursor(&app.keys.sealer, &last.ordinal);
    let view = |(download, execution): (_, Execution)| ExecutionView::new(&app.keys.device_ids, &execution, download);
    Ok(Page::cut(found.await?, query.per_page, next, view)?)
}

/// Read what a job does on one device, and why it says so
///
/// State, phase and progress, with what the device answered and reported as evidence, and what happened when.
#[utoipa::path(
    tag = "Jobs",
    params(
        ("id" = JobId, Path, description = "The job."),
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$", example = "dev_8f14e45fceea167a5a36dedd4bea2543"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag the caller has.")
    ),
    responses(
        (status = 200, description = "The execution.", body = ExecutionDetailView, headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "It is still as the caller knows it.")
    ),
    security(("oauth2" = ["jobs:read"]))
)]
#[get("/v1/jobs/{id}/executions/{deviceId}")]
pub async fn read_execution(
    caller: Allowed<JobsRead>,
    path: web::Path<(JobId, String)>,
    known: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = caller;
    let (job, text) = path.into_inner();
    let device = device(&app.keys.device_ids, caller.organisation, &text)?;
    let found = app.store.read(move |tx| {
        tx.job_of(caller.client, job)?;
        let execution = tx.execution_on(job, device)?;
        let timeline = tx.execution_events(job, execution.ordinal, LONGEST_TIMELINE)?;
        let download = tx.download(job, execution.ordinal)?;
        Ok((execution, timeline, download))
    });
    let (execution, timeline, download) = found.await?;
    // Both only grow, so their sum tells every state from those before.
    let revision = execution.revision.saturating_add(download.as_ref().map_or(0, |download| download.revision));
    let revision = i64::try_from(revision).unwrap_or(i64::MAX);
    if known.has(revision) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag(revision))).finish());
    }
    let view = ExecutionDetailView {
        execution: ExecutionView::new(&app.keys.device_ids, &execution, download)?,
        evidence: execution.evidence,
        timeline: timeline.into_iter().map(TimelineEntry::from).collect(),
    };
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag(revision))).json(view))
}
