//! The log as a stream that stays open (Server-Sent Events).
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use dmwsi_domain::cloud_event::Payload;
use dmwsi_domain::id::{ClientId, JobId};
use dmwsi_domain::scope::Scope;
use dmwsi_domain::subscription_filter::Filter;
use dmwsi_domain::{Error, Result};
use dmwsi_store::log_times::CLOCKS;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;

use crate::allowed::{Allowed, EventsRead, JobsRead, Permission};
use crate::events::{EventsQuery, Read, Reader, kinds};
use crate::problem::{Code, Problem};
use crate::query::Query;

/// How many streams a client may have open in this process.
const STREAMS_PER_CLIENT: usize = 5;

/// How many events go into one piece of a stream.
const PIECE: usize = 100;

/// After how much silence a comment shows that the stream still lives.
const PING: Duration = Duration::from_secs(15);

/// How long a reader whose stream broke is asked to wait, in milliseconds.
const RETRY_MS: u64 = 5_000;

/// The type of the event that ends a job's stream.
const LAST: &str = "dmwsi.v1.job-completed";

/// What stands behind it.
const END: &str = "event: end\ndata: {}\n\n";

/// The streams that are open, by client.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<ClientId, usize>>>);

/// An open stream; closed when dropped.
struct Place {
    streams: Streams,
    client: ClientId,
}

impl Streams {
    fn open(&self, client: ClientId) -> Result<Place, Problem> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client).or_default();
        if *count >= STREAMS_PER_CLIENT {
            let detail = format!("A client may have {STREAMS_PER_CLIENT} streams open.");
            return Err(Problem::new(Code::TooManyRequests, detail).retry_after(RETRY_MS / 1_000));
        }
        *count = count.saturating_add(1);
        Ok(Place { streams: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

/// A stream on its way.
struct Stream {
    reader: Reader,
    after: u64,
    /// How long the caller's token is good.
    left: tokio::time::Instant,
    closing: watch::Receiver<bool>,
    /// What the caller must be allowed to as long as it goes on.
    scope: Scope,
    /// Where it is of a job: when it ends.
    of_job: Option<OfJob>,
    state: State,
    _place: Place,
}

/// A job whose end is that of its stream.
struct OfJob {
    /// The number of that end, where it is there already.
    end: Option<u64>,
    /// Whether that is told, too.
    tells_end: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Begins,
    Goes,
    Over,
}

impl Stream {
    /// The next piece; none when it is over.
    async fn next(mut self) -> Option<(Result<Bytes, Error>, Self)> {
        match self.state {
            State::Over => return None,
            State::Begins => {
                let mut text = format!("retry: {RETRY_MS}\n\n");
                self.state = State::Goes;
                if self.of_job.as_ref().and_then(|job| job.end).is_some_and(|end| end <= self.after) {
                    text.push_str(END);
                    self.state = State::Over;
                }
                return Some((Ok(Bytes::from(text)), self));
            }
            State::Goes => {}
        }
        let mut closing = self.closing.clone();
        let read = tokio::select! {
            read = self.reader.wait(self.after, PIECE, PING) => read,
            () = tokio::time::sleep_until(self.left) => return None,
            _closed = closing.wait_for(|closing| *closing) => return None,
        };
        // Who was revoked while it was waited is told nothing more.
        match self.reader.still_reads(self.scope).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_unknown) => {
                self.state = State::Over;
                return Some((Err(Error::Unavailable("nobody knows whether the client may still read".into())), self));
            }
        }
        let piece = read.and_then(|read| self.piece(&read));
        if piece.is_err() {
            self.state = State::Over;
        }
        Some((piece, self))
    }

    fn piece(&mut self, read: &Read) -> Result<Bytes> {
        self.after = read.after;
        let mut text = String::new();
        for event in &read.items {
            let ends = self.of_job.as_ref().filter(|_| event.kind == LAST);
            if ends.is_none_or(|job| job.tells_end) {
                text.push_str(&format!("id: {:020}\nevent: {}\ndata: {}\n\n", event.number, event.kind, event.json()));
            }
            if ends.is_some() {
                text.push_str(END);
                self.state = State::Over;
                break;
            }
        }
        if text.is_empty() {
            // Whoever goes on from here is not asked to begin with what is long gone.
            text.push_str(&format!("id: {:020}\n: ping\n\n", self.after));
        }
        Ok(Bytes::from(text))
    }
}

/// The number in `Last-Event-ID`, by which a reader goes on.
fn last_event(request: &HttpRequest) -> Result<Option<u64>, Problem> {
    let Some(value) = request.headers().get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| Problem::invalid("Last-Event-ID is the number of an event, as it stood in `id`."))
}

/// Opens a stream: after the event that was read last, or else from where it begins.
async fn open<S: Permission>(
    allowed: &Allowed<S>,
    request: &HttpRequest,
    reader: Reader,
    begin: impl Future<Output = Result<u64, Problem>>,
    of_job: Option<OfJob>,
) -> Result<HttpResponse, Problem> {
    let after = match last_event(request)? {
        Some(after) => after,
        None => begin.await?,
    };
    let (app, caller) = (&allowed.app, &allowed.caller);
    reader.check(after).await?;
    let place = app.streams.open(caller.client)?;
    let left = tokio::time::Instant::now() + caller.expires_at.since(app.clock.now());
    let (closing, state) = (app.closing.clone(), State::Begins);
    let stream = Stream { reader, after, left, closing, scope: S::SCOPE, of_job, state, _place: place };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // nginx would keep it back otherwise.
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        // Compressed pieces would wait for each other.
        .insert_header((actix_web::http::header::CONTENT_ENCODING, "identity"))
        .streaming(stream::unfold(stream, Stream::next)))
}

/// Follow what happens
///
/// The same events as those of `GET /v1/events`, as they come: `id` is the number, `event` the type, `data` the CloudEvent in one line. Whoever goes on with
/// `Last-Event-ID` misses nothing. A stream ends with the token; a comment every 15 seconds shows that it lives. Without `Last-Event-ID`, `after`,
/// `since` or `cursor` it begins with what is kept; where events after them are not kept any more the answer is 410. The comments carry an `id`, too.
/// `perPage` and `wait` are for pages and mean nothing here.
#[utoipa::path(
    tag = "Events",
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was read.", max_length = 20)
    ),
    responses(
        (status = 200, description = "Events, until the token ends.", body = String, content_type = "text/event-stream",
         example = json!("id: 00000000000000001234\nevent: dmwsi.v1.device-created\ndata: {\"specversion\":\"1.0\"}\n\n")),
        (status = 410, description = "Events after the last one that was read are not kept any more."),
        (status = 429, description = "The client has five streams open.")
    ),
    security(("oauth2" = ["events:read"]))
)]
#[get("/v1/events/stream")]
pub async fn stream_events(
    allowed: Allowed<EventsRead>,
    request: HttpRequest,
    query: Query<EventsQuery>,
) -> Result<HttpResponse, Problem> {
    open(&allowed, &request, query.reader(&allowed)?, query.start(&allowed), None).await
}

/// Which events of a job.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobEventsQuery {
    /// Only events of these types, with commas between them. The stream ends with the job all the same.
    #[param(max_length = 1024, example = "dmwsi.v1.execution-finished,dmwsi.v1.job-completed")]
    types: Option<String>,
    /// How much of each is told.
    #[serde(default)]
    #[param(inline)]
    payload: Payload,
}

/// Follow a job
///
/// What happens to a job and on its devices, from its beginning, as it comes; after the end of the job the event `end` ends the stream.
#[utoipa::path(
    tag = "Events",
    params(
        JobEventsQuery,
        ("id" = JobId, Path, description = "The job."),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was read.", max_length = 20)
    ),
    responses(
        (status = 200, description = "Events, until the job has ended or the token ends; of one that has ended, what is still to be read.", body = String, content_type = "text/event-stream",
         example = json!("id: 00000000000000001234\nevent: dmwsi.v1.job-completed\ndata: {\"specversion\":\"1.0\"}\n\nevent: end\ndata: {}\n\n")),
        (status = 410, description = "Events after the last one that was read are not kept any more."),
        (status = 429, description = "The client has five streams open.")
    ),
    security(("oauth2" = ["jobs:read"]))
)]
#[get("/v1/jobs/{id}/events")]
pub async fn stream_job_events(
    allowed: Allowed<JobsRead>,
    request: HttpRequest,
    id: web::Path<JobId>,
    query: Query<JobEventsQuery>,
) -> Result<HttpResponse, Problem> {
    let mut types = kinds(query.types.as_deref())?;
    let (job, client, organisation) = (id.into_inner(), allowed.caller.client, allowed.caller.organisation);
    let found = allowed.app.store.read(move |tx| tx.job_of(client, job)).await?;
    let end = match found.finished_at {
        None => None,
        Some(_) => {
            let end = allowed.app.store.read(move |tx| tx.end_of_job(job)).await?;
            end.ok_or_else(|| Problem::new(Code::CursorExpired, "What happened to this job is not kept any more."))?
        }
    };
    let begin = async {
        // Who works at it may have a clock that was behind when it was made.
        let since = found.created_at.minus(CLOCKS);
        Ok(allowed.app.store.read(move |tx| tx.number_before(organisation, since)).await?)
    };
    let tells_end = types.is_empty() || types.contains(LAST);
    if !tells_end {
        types.insert(LAST);
    }
    let filter = Filter { jobs: [job].into(), ..Filter::default() };
    let reader = Reader::new(&allowed, types, filter, query.0.payload);
    open(&allowed, &request, reader, begin, Some(OfJob { end, tells_end })).await
}
