//! Results: what a job brought, of one device or of all.
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, Responder as _, get, web};
use dmwsi_domain::execution::{Execution, ExecutionState};
use dmwsi_domain::id::{ClientId, JobId};
use dmwsi_domain::operation::NodeResult;
use dmwsi_domain::{Error, Result};
use dmwsi_store::Tx;
use dmwsi_store::executions::ExecutionPage;
use futures_util::stream;
use serde::Serialize;
use utoipa::ToSchema;

use crate::allowed::{Allowed, JobsRead};
use crate::app::App;
use crate::device_id::DeviceIds;
use crate::executions::{Asked, ExecutionsQuery, device};
use crate::page::Page;
use crate::problem::{Code, Problem};
use crate::query::Query;

/// How many lines of a stream are read at a time.
const LINES_PER_READ: i64 = 200;

const NDJSON: &str = "application/x-ndjson";

/// What a job brought from one device.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Results, example = json!({
    "jobId": "job_019a8e5d3c7b7f10a1b2c3d4e5f60718",
    "deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543",
    "state": "SUCCEEDED",
    "outcome": "READ",
    "results": [{"node": "./DevInfo/Man", "command": "GET", "outcome": "DONE", "status": 200, "value": {"format": "chr", "data": "Acme"}}]
}))]
pub struct ResultsView {
    /// The job.
    job_id: JobId,
    /// The device.
    #[schema(max_length = 36, pattern = "^dev_[0-9a-f]{32}$", examples("dev_8f14e45fceea167a5a36dedd4bea2543"))]
    device_id: String,
    /// Where the execution stands; while it runs more may come.
    state: ExecutionState,
    /// How it ended, as a stable code; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, examples("READ"))]
    outcome: Option<String>,
    /// A sentence, where the code does not say all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    detail: Option<String>,
    /// Node by node, as the answers came.
    #[schema(max_items = 5000)]
    results: Vec<NodeResult>,
}

impl ResultsView {
    fn new(ids: &DeviceIds, execution: Execution, results: Vec<NodeResult>) -> Result<Self> {
        Ok(Self {
            job_id: execution.job,
            device_id: ids.public(execution.organisation, execution.device)?,
            state: execution.state,
            outcome: execution.outcome,
            detail: execution.detail,
            results,
        })
    }
}

/// Executions of a page, each with what it brought.
fn collated(tx: &mut Tx<'_>, client: ClientId, page: &ExecutionPage) -> Result<Vec<(Execution, Vec<NodeResult>)>> {
    tx.job_of(client, page.job)?;
    let executions = tx.executions(page)?;
    let ordinals: Vec<_> = executions.iter().map(|execution| execution.ordinal).collect();
    let mut results = tx.results_of(page.job, &ordinals)?.into_iter().peekable();
    // Both are in the order of the ordinals; an execution that brought nothing has no results.
    let with = |execution: Execution| {
        let own = results.next_if(|(ordinal, _)| *ordinal == execution.ordinal);
        (execution, own.map(|(_, results)| results).unwrap_or_default())
    };
    Ok(executions.into_iter().map(with).collect())
}

/// Read what a job brought, of all devices
///
/// As JSON page by page; as NDJSON (`Accept: application/x-ndjson`) everything from the cursor on, a device a line.
#[utoipa::path(
    tag = "Jobs",
    params(("id" = JobId, Path, description = "The job."), ExecutionsQuery),
    responses(
        (status = 200, description = "The results, in the order of the job's devices.", content(
            (Page<ResultsView> = "application/json"),
            (ResultsView = "application/x-ndjson")
        )),
        (status = 406, description = "Neither JSON nor NDJSON is accepted.")
    ),
    security(("oauth2" = ["jobs:read"]))
)]
#[get("/v1/jobs/{id}/results")]
pub async fn list_results(
    caller: Allowed<JobsRead>,
    id: web::Path<JobId>,
    query: Query<ExecutionsQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = caller;
    let client = caller.client;
    let Asked { list, page } = query.asked(&app, client, "results", id.into_inner())?;
    if wants_ndjson(request.headers())? {
        app.store.read(move |tx| tx.job_of(client, page.job)).await?;
        let page = ExecutionPage { limit: LINES_PER_READ, ..page };
        return Ok(HttpResponse::Ok().content_type(NDJSON).streaming(lines(app, client, page)));
    }
    let found = app.store.read(move |tx| collated(tx, client, &page)).await?;
    let next = |(last, _): &(Execution, _)| list.cursor(&app.keys.sealer, &last.ordinal);
    let view = |(execution, results)| ResultsView::new(&app.keys.device_ids, execution, results);
    Ok(Page::cut(found, query.per_page, next, view)?.respond_to(&request))
}

/// Every line from the page on, read some at a time, so that neither memory nor a transaction holds them all.
fn lines(app: App, client: ClientId, page: ExecutionPage) -> impl stream::Stream<Item = Result<Bytes>> + 'static {
    stream::try_unfold(Some((app, page)), move |rest| async move {
        let Some((app, page)) = rest else { return Ok(None) };
        let found = app.store.read(move |tx| collated(tx, client, &page)).await?;
        let Some(after) = found.last().map(|(last, _)| last.ordinal) else { return Ok(None) };
        let last = i64::try_from(found.len()).unwrap_or(i64::MAX) < page.limit;
        let mut lines = Vec::new();
        for (execution, results) in found {
            let view = ResultsView::new(&app.keys.device_ids, execution, results)?;
            serde_json::to_writer(&mut lines, &view).map_err(Error::internal)?;
            lines.push(b'\n');
        }
        let rest = (!last).then_some((app, ExecutionPage { after: Some(after), ..page }));
        Ok(Some((Bytes::from(lines), rest)))
    })
}

/// Whether the caller would rather have NDJSON; JSON where everything is welcome.
fn wants_ndjson(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut refused = false;
    for range in headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let unwanted = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)));
        match kind.as_str() {
            _ if unwanted => {}
            NDJSON => return Ok(true),
            "application/json" | "application/*" | "*/*" | "" => return Ok(false),
            _ => {}
        }
        refused = true;
    }
    if refused {
        Err(Problem::new(Code::NotAcceptable, format!("Results are given as application/json or {NDJSON}.")))
    } else {
        Ok(false)
    }
}

/// Read what a job brought, of one device
///
/// Node by node, with the status the device gave; while the execution runs more may come.
#[utoipa::path(
    tag = "Jobs",
    params(
        ("id" = JobId, Path, description = "The job."),
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$", example = "dev_8f14e45fceea167a5a36dedd4bea2543")
    ),
    responses((status = 200, description = "The results.", body = ResultsView)),
    security(("oauth2" = ["jobs:read"]))
)]
#[get("/v1/jobs/{id}/executions/{deviceId}/results")]
pub async fn read_results(
    caller: Allowed<JobsRead>,
    path: web::Path<(JobId, String)>,
) -> Result<web::Json<ResultsView>, Problem> {
    let Allowed { app, caller, .. } = caller;
    let (job, text) = path.into_inner();
    let device = device(&app.keys.device_ids, caller.organisation, &text)?;
    let found = app.store.read(move |tx| {
        tx.job_of(caller.client, job)?;
        let execution = tx.execution_on(job, device)?;
        let results = tx.results(job, execution.ordinal)?;
        Ok((execution, results))
    });
    let (execution, results) = found.await?;
    Ok(web::Json(ResultsView::new(&app.keys.device_ids, execution, results)?))
}
