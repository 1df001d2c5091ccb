//! Jobs: ask for one, watch it, cancel it.
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use dmwsi_domain::deliverable::DeliverableKind;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::{ClientId, DeliverableId, JobId, OrganisationId};
use dmwsi_domain::job::{EXPANDED_AT_ONCE, JobState, Target};
use dmwsi_domain::operation::Request;
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_store::Tx;
use dmwsi_store::jobs::{CANCEL, EXPAND, JobPage};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::allowed::{Allowed, JobsRead, JobsWrite};
use crate::app::App;
use crate::body;
use crate::correlator::Correlator;
use crate::cursor::List;
use crate::etag::IfNoneMatch;
use crate::idempotency::{Answer, Idempotency};
use crate::job_view::{JobSubscriptionView, JobView};
use crate::new_job::{NewJob, refuse_unknown};
use crate::page::{Page, PerPage};
use crate::prefer::{PREFERENCE_APPLIED, Prefer};
use crate::problem::Problem;
use crate::query::Query;
use crate::subscriptions::begin;

/// After how many seconds it is worth to look again at a job that runs.
const LOOK_AGAIN_SECONDS: u64 = 5;

/// How often a change is tried that others are faster with.
const TRIES: u32 = 10;

/// The longest wait of a read, in seconds.
const LONGEST_WAIT: u64 = 30;

/// Start a job
///
/// The same `clientCorrelator` with the same request gets the same job again; with another request it is refused.
#[utoipa::path(
    tag = "Jobs",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe."),
        ("Prefer" = Option<String>, Header, description = "`wait=N` or `respond-async`.")
    ),
    request_body = NewJob,
    responses(
        (status = 202, description = "The job was taken and runs.", body = JobView, headers(
            ("Location" = String, description = "Where the job is read."),
            ("Retry-After" = u64, description = "After how many seconds it is worth to look."),
            ("Preference-Applied" = Option<String>, description = "Which preferences were followed.")
        )),
        (status = 200, description = "The job has ended already, within the time the caller wanted to wait, or it is an earlier one.", body = JobView, headers(
            ("Location" = String, description = "Where the job is read."),
            ("Preference-Applied" = Option<String>, description = "Which preferences were followed.")
        )),
        (status = 409, description = "Another job has that clientCorrelator, the first request with this key still runs, or the deliverable is withdrawn or expired.")
    ),
    security(("oauth2" = ["jobs:write"]))
)]
#[post("/v1/jobs")]
pub async fn create_job(
    caller: Allowed<JobsWrite>,
    correlator: Correlator,
    prefer: Prefer,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = caller;
    let bytes = body::read_within(&request, payload.into_inner(), "application/json", app.settings.max_job_bytes).await?;
    let idempotency = Idempotency::of(&app, &caller, &request, &bytes)?;
    let (now, ids) = (app.clock.now(), app.clock.new_ids());
    let asked: NewJob = body::parse(&bytes)?;
    let checked = asked.check(&app, &caller, JobId::new(app.clock.new_id()), now).and_then(|(job, devices)| {
        let bound = asked.subscription(&app, &caller, job.id, now)?;
        Ok((job, Arc::new(devices), bound))
    });
    let (mut job, devices, bound) = match checked {
        Ok(checked) => checked,
        Err(problem) => {
            // What was in order when it was asked for first need not be so any more, such as the time of its end.
            let (client, fingerprint) = (caller.client, asked.fingerprint()?);
            let found = app.store.read(move |tx| earlier(tx, &client, asked.client_correlator.as_deref(), &fingerprint)).await;
            return found.ok().flatten().ok_or(problem);
        }
    };
    job.correlator = Some(correlator.as_str().to_owned());

    let named = Arc::clone(&devices);
    let wanted = job.operation.deliverable();
    let (owned, lacking) = app
        .store
        .read(move |tx| {
            let owned = tx.known_devices(caller.organisation, &named)?;
            Ok((owned, wanted.map_or(Ok(None), |id| lacking(tx, caller.organisation, id, now))?))
        })
        .await?;
    let unknown = owned.len() < devices.len();
    let target = Target::Devices { device_ids: devices.to_vec() };
    let written = insist(&app, move |tx| {
        let (mut job, mut ids) = (job.clone(), ids);
        idempotency.once(tx, |tx| {
            if let Some(earlier) = earlier(tx, &job.client, job.client_correlator.as_deref(), &job.fingerprint)? {
                return Ok(earlier);
            }
            if unknown {
                return Err(Error::invalid("/target/deviceIds", "UNPROCESSABLE", "some devices are not of your organisation"));
            }
            if let Some(lacking) = lacking {
                return Err(lacking.into());
            }
            let Target::Devices { device_ids } = &target;
            if !tx.insert_job(&job, &target, &mut ids)? {
                // Somebody with the same correlator was faster, just now.
                return Err(Error::Stale { what: "job" });
            }
            let subscription = match &bound {
                Some((made, key)) => {
                    begin(tx, made, correlator.as_str(), now, &mut ids)?;
                    Some(JobSubscriptionView { subscription_id: made.id, signing_key: key.shown()? })
                }
                None => None,
            };
            let mut events =
                vec![Event::JobAccepted { operation: job.operation.type_name().to_owned(), devices: job.target_count }];
            if device_ids.len() <= EXPANDED_AT_ONCE {
                events.extend(tx.make_executions(&mut job, device_ids, now, &mut ids)?);
            } else {
                tx.ring_job(EXPAND, job.id, now, &mut ids)?;
            }
            let correlator = job.correlator.clone();
            tx.save_job(&mut job, &events, correlator.as_deref(), now, &mut ids)?;
            let counts = job.counts;
            answer(&JobView { subscription, ..JobView::new(job.clone(), counts) })
        })
    });
    let mut answer = written.await.map_err(|error| match error {
        // All of them are named, not only that there are some.
        Error::Invalid { .. } if unknown => refuse_unknown(&devices, &owned).err().unwrap_or_else(|| error.into()),
        error => error.into(),
    })?;
    if let Some(longest) = prefer.wait {
        let Started { job_id: id, subscription } = serde_json::from_slice(&answer.body).map_err(Error::internal)?;
        let view = wait(&app, caller.client, id, longest, |view| view.state.is_finished()).await?;
        let view = JobView { subscription, ..view };
        answer = Answer { replayed: answer.replayed, ..self::answer(&view)? };
    }
    if prefer.minimal {
        answer.body.clear();
    }
    Ok(match prefer.applied() {
        Some(applied) => answer.with(PREFERENCE_APPLIED, applied),
        None => answer,
    })
}

/// Why the deliverable of a job cannot be installed on any device.
#[derive(Clone, Copy, Debug)]
enum Lacking {
    /// It is no firmware of the organisation.
    Unknown,
    /// It is withdrawn or expired.
    Over,
}

impl From<Lacking> for Error {
    fn from(lacking: Lacking) -> Self {
        let pointer = "/operation/deliverableId";
        match lacking {
            Lacking::Unknown => Self::invalid(pointer, "UNPROCESSABLE", "is no firmware of your organisation"),
            Lacking::Over => Self::conflict("INCOMPATIBLE_STATE", "the deliverable is withdrawn or expired"),
        }
    }
}

fn lacking(tx: &mut Tx<'_>, organisation: OrganisationId, id: DeliverableId, now: Timestamp) -> Result<Option<Lacking>> {
    match tx.deliverable(organisation, id) {
        Ok(found) if found.spec.kind != DeliverableKind::Firmware => Ok(Some(Lacking::Unknown)),
        Ok(found) if !found.is_distributable(now) => Ok(Some(Lacking::Over)),
        Ok(_) => Ok(None),
        Err(Error::NotFound { .. }) => Ok(Some(Lacking::Unknown)),
        Err(error) => Err(error),
    }
}

/// What is read back of an answer that may be an earlier one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    job_id: JobId,
    subscription: Option<JobSubscriptionView>,
}

/// The job that the client calls so already; another request under that name is refused.
fn earlier(tx: &mut Tx<'_>, client: &ClientId, client_correlator: Option<&str>, fingerprint: &str) -> Result<Option<Answer>> {
    let Some(name) = client_correlator else { return Ok(None) };
    let Some(job) = tx.job_called(*client, name)? else { return Ok(None) };
    if job.fingerprint != fingerprint {
        return Err(Error::conflict("CLIENT_CORRELATOR_REUSED", "another job has that clientCorrelator"));
    }
    let counts = tx.counts(&job)?;
    Ok(Some(Answer { replayed: true, ..answer(&JobView::new(job, counts))? }))
}

/// 200 for a job that has ended, 202 for one that runs.
fn answer(view: &JobView) -> Result<Answer> {
    let status = if view.state.is_finished() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let answer = Answer::json(status, view)?.located(&view.path()).with(header::ETAG, view.etag()?);
    Ok(if view.state.is_finished() { answer } else { answer.with(header::RETRY_AFTER, LOOK_AGAIN_SECONDS.into()) })
}

/// Runs a transaction again when somebody else, such as the task that folds counts, was faster. The caller named no revision, so it means
/// the job as it is.
pub(crate) async fn insist<T: Send + 'static>(
    app: &App,
    run: impl Fn(&mut Tx<'_>) -> Result<T> + Clone + Send + Sync + 'static,
) -> Result<T> {
    let mut tries = TRIES;
    loop {
        match app.store.write(run.clone()).await {
            Err(Error::Stale { .. }) if tries > 1 => tries -= 1,
            done => return done,
        }
    }
}

/// The job as soon as it is `enough`, or as it is after the longest wait.
async fn wait(app: &App, client: ClientId, id: JobId, longest: Duration, enough: impl Fn(&JobView) -> bool) -> Result<JobView> {
    let read = || app.store.read(move |tx| view(tx, client, id));
    app.waiting.until(&app.store, id.uuid(), longest, read, enough).await
}

fn view(tx: &mut Tx<'_>, client: ClientId, id: JobId) -> Result<JobView> {
    let job = tx.job_of(client, id)?;
    let counts = tx.counts(&job)?;
    Ok(JobView::new(job, counts))
}

/// Which jobs a list holds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobsQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many jobs a page has.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
    /// Only jobs in this state.
    #[param(inline)]
    state: Option<JobState>,
    /// Only jobs of this kind of operation, such as `FIRMWARE_UPDATE`.
    #[param(max_length = 32, example = "FIRMWARE_UPDATE")]
    operation_type: Option<String>,
    /// Only the job of this name.
    #[param(max_length = 128, example = "rel-2026-11")]
    client_correlator: Option<String>,
}

/// List your jobs, the newest first
///
/// The jobs of the client that calls, not those of other clients of its organisation.
#[utoipa::path(
    tag = "Jobs",
    params(JobsQuery),
    responses((status = 200, description = "A page of jobs.", body = Page<JobView>)),
    security(("oauth2" = ["jobs:read"]))
)]
#[get("/v1/jobs")]
pub async fn list_jobs(caller: Allowed<JobsRead>, query: Query<JobsQuery>) -> Result<Page<JobView>, Problem> {
    let Allowed { app, caller, .. } = caller;
    let list = List::new(caller.client, "jobs", &(query.state, &query.operation_type, &query.client_correlator))?;
    let operation_type = query.operation_type.as_deref().map(|name| {
        let known = Request::TYPES.iter().copied().find(|known| *known == name);
        known.ok_or_else(|| Problem::invalid(format!("operationType is one of {}.", Request::TYPES.join(", "))))
    });
    let page = JobPage {
        client: caller.client,
        before: list.position(&app.keys.sealer, query.cursor.as_deref())?,
        state: query.state,
        operation_type: operation_type.transpose()?,
        client_correlator: query.client_correlator.clone(),
        limit: query.per_page.and_one(),
    };
    let jobs = app.store.read(move |tx| {
        let jobs = tx.jobs(&page)?.into_iter().map(|job| {
            // Nothing is added to a job that has ended.
            let counts = if job.state.is_finished() { job.counts } else { tx.counts(&job)? };
            Ok(JobView::new(job, counts))
        });
        jobs.collect::<Result<Vec<_>>>()
    });
    Ok(Page::cut(jobs.await?, query.per_page, |last| list.cursor(&app.keys.sealer, &last.job_id), Ok)?)
}

/// How a job is read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadJobQuery {
    /// How many seconds the answer may be held until the job has ended or, with `If-None-Match`, until it is another; 0 to 30.
    #[param(minimum = 0, maximum = 30, example = 20)]
    wait: Option<u64>,
}

/// Read a job, or wait for it
///
/// With `wait` the answer is held until the job has ended or, with `If-None-Match`, until anything of it has changed.
#[utoipa::path(
    tag = "Jobs",
    params(
        ("id" = JobId, Path, description = "The job."),
        ReadJobQuery,
        ("If-None-Match" = Option<String>, Header, description = "The ETag the caller has."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`, as the parameter.")
    ),
    responses(
        (status = 200, description = "The job.", body = JobView, headers(
            ("ETag" = String, description = "Changes with whatever is shown."),
            ("Retry-After" = Option<u64>, description = "After how many seconds it is worth to look again; absent when the job has ended.")
        )),
        (status = 304, description = "The job is still as the caller knows it.")
    ),
    security(("oauth2" = ["jobs:read"]))
)]
#[get("/v1/jobs/{id}")]
pub async fn read_job(
    caller: Allowed<JobsRead>,
    id: web::Path<JobId>,
    query: Query<ReadJobQuery>,
    prefer: Prefer,
    known: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = caller;
    let longest = match query.wait {
        Some(seconds) if seconds > LONGEST_WAIT => {
            return Err(Error::invalid("", "OUT_OF_RANGE", "wait is a number of seconds from 0 to 30").into());
        }
        Some(seconds) => Duration::from_secs(seconds),
        None => prefer.wait.unwrap_or_default(),
    };
    let conditional = known != IfNoneMatch::default();
    let changed = |view: &JobView| !view.revision().is_ok_and(|revision| known.has(revision));
    let enough = |view: &JobView| if conditional { changed(view) } else { view.state.is_finished() };
    let view = wait(&app, caller.client, id.into_inner(), longest, enough).await?;
    let mut response = if changed(&view) { HttpResponse::Ok() } else { HttpResponse::NotModified() };
    response.insert_header((header::ETAG, view.etag()?));
    if let Some(applied) = prefer.applied().filter(|_| prefer.wait.is_some() && query.wait.is_none()) {
        response.insert_header((PREFERENCE_APPLIED, applied));
    }
    if !view.state.is_finished() {
        response.insert_header((header::RETRY_AFTER, HeaderValue::from(LOOK_AGAIN_SECONDS)));
    }
    Ok(if changed(&view) { response.json(view) } else { response.finish() })
}

/// Cancel a job
///
/// What a device was told already it may still do. Cancelling twice is the same as once.
#[utoipa::path(
    tag = "Jobs",
    params(("id" = JobId, Path, description = "The job.")),
    responses(
        (status = 202, description = "The job is being cancelled, or was.", body = JobView, headers(("Location" = String, description = "Where the job is read."))),
        (status = 409, description = "The job has ended already.")
    ),
    security(("oauth2" = ["jobs:write"]))
)]
#[post("/v1/jobs/{id}/cancel")]
pub async fn cancel_job(caller: Allowed<JobsWrite>, id: web::Path<JobId>, correlator: Correlator) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = caller;
    let (now, ids, id) = (app.clock.now(), app.clock.new_ids(), id.into_inner());
    let cancelled = insist(&app, move |tx| {
        let mut ids = ids;
        let mut job = tx.job_of(caller.client, id)?;
        if let Some(event) = job.cancel(now)? {
            tx.save_job(&mut job, &[event], Some(correlator.as_str()), now, &mut ids)?;
            tx.ring_job(CANCEL, id, now, &mut ids)?;
        }
        let counts = tx.counts(&job)?;
        Ok(JobView::new(job, counts))
    });
    let view = cancelled.await?;
    Ok(Answer::json(StatusCode::ACCEPTED, &view)?.located(&view.path()).with(header::ETAG, view.etag()?))
}
