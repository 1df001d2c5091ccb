//! The log of an organisation, as far as the caller may see it.
use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::{HttpRequest, HttpResponse, Responder, get};
use dmwsi_domain::cloud_event::{CloudEvent, Payload};
use dmwsi_domain::event::Event;
use dmwsi_domain::id::JobId;
use dmwsi_domain::log_entry::{LogEntry, Told};
use dmwsi_domain::scope::Scope;
use dmwsi_domain::subscription::MAX_PATTERNS;
use dmwsi_domain::subscription_filter::Filter;
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_objects::alert::Mark;
use dmwsi_store::Tx;
use dmwsi_store::log::{GONE_OVER, Wanted};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::allowed::{Allowed, EventsRead};
use crate::app::App;
use crate::callers::Caller;
use crate::cursor::List;
use crate::new_subscription::may_be_named;
use crate::page::PerPage;
use crate::problem::Problem;
use crate::query::Query;

/// How many rows of the log a request looks at; it then answers with what it found, be it nothing.
const LOOKED_AT: usize = 1_000;

/// How many rows a statement brings after the first, which brings a page.
const CHUNK: usize = 200;

/// The longest wait, in seconds.
const LONGEST_WAIT: u64 = 30;

/// A page of the log.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "items": [{
        "specversion": "1.0", "id": "evt_019a8e5d3c7b7f10a1b2c3d4e5f60718", "source": "https://dm.example.com/v1",
        "type": "dmwsi.v1.device-created", "subject": "devices/dev_8f14e45fceea167a5a36dedd4bea2543", "time": "2026-11-21T10:16:02Z",
        "datacontenttype": "application/json", "sequence": "00000000000000000001",
        "data": {"deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543"}
    }],
    "nextCursor": "b2theQ", "hasMore": false
}))]
pub struct EventPage {
    /// The events, in the order of their numbers.
    #[schema(max_items = 100, value_type = Vec<CloudEvent>)]
    pub items: Vec<Told>,
    /// Give it as `cursor` to go on, now or later: whoever always goes on with the last one misses nothing and gets nothing twice.
    #[schema(max_length = 1024)]
    pub next_cursor: String,
    /// Whether there is more at once.
    pub has_more: bool,
}

impl Responder for EventPage {
    type Body = BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        let length: usize = self.items.iter().map(|item| item.json().len().saturating_add(1)).sum();
        let mut json = String::with_capacity(length.saturating_add(128).saturating_add(self.next_cursor.len()));
        json.push_str("{\"items\":[");
        for (at, item) in self.items.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            json.push_str(item.json());
        }
        let next_cursor = serde_json::Value::from(self.next_cursor);
        json.push_str(&format!("],\"nextCursor\":{next_cursor},\"hasMore\":{}}}", self.has_more));
        HttpResponse::Ok().content_type("application/json").body(json)
    }
}

/// Which events.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many a page has at most; one may have fewer, or none, although more follow.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
    /// Without a cursor: begin after the event of this `sequence`. From the beginning of what is kept when absent.
    #[param(maximum = 9_007_199_254_740_991_u64, minimum = 0, example = 1234)]
    after: Option<u64>,
    /// Without a cursor: begin with the first event that happened at this time or later, or with the first that is kept. Times do not follow the numbers
    /// exactly: some that happened shortly before may follow it; one may be missing only where clocks or delays put times out of order by more than a
    /// minute.
    since: Option<Timestamp>,
    /// Only events of these types, with commas between them.
    #[param(max_length = 1024, example = "dmwsi.v1.job-completed,dmwsi.v1.device-alert")]
    types: Option<String>,
    /// Only events of these devices, at most 100, with commas between them.
    #[param(max_length = 3_699, pattern = "^dev_[0-9a-f]{32}(,dev_[0-9a-f]{32})*$")]
    device_id: Option<String>,
    /// Only events of these jobs, at most 100, with commas between them.
    #[param(max_length = 3_699, pattern = "^job_[0-9a-f]{32}(,job_[0-9a-f]{32})*$")]
    job_id: Option<String>,
    /// Of alerts and faults of devices only those of these types, at most 100, with commas between them; one that ends with `*` stands for all that begin
    /// so. As in a subscription, events of other types pass: say `types` to have alerts and faults alone.
    #[param(max_length = 4_096, example = "com.example.*")]
    alert_type: Option<String>,
    /// Of alerts and faults of devices only those that are at least so important.
    #[param(
        inline, value_type = Option<String>, max_length = 16, example = "WARNING",
        pattern = "^(INDETERMINATE|HARMLESS|INFORMATIONAL|WARNING|MINOR|CRITICAL|FATAL)$"
    )]
    mark: Option<Mark>,
    /// Of alerts and faults of devices only those that come from these nodes or from below them, at most 100, with commas between them; one with a comma
    /// in its name can only be named by a subscription.
    #[param(max_length = 4_096, example = "./Vendor/Battery")]
    source: Option<String>,
    /// How much of each is told.
    #[serde(default)]
    #[param(inline)]
    payload: Payload,
    /// How many seconds the answer may be held until there is an event; 0 to 30.
    #[param(minimum = 0, maximum = 30, example = 20)]
    wait: Option<u64>,
}

/// What a reader asked for, and may see.
pub(crate) struct Reader {
    app: App,
    caller: Caller,
    wanted: Wanted,
    filter: Filter,
    payload: Payload,
}

/// What was read of the log: the events, how far it was looked at, and whether there is more.
pub(crate) struct Read {
    pub(crate) items: Vec<Told>,
    pub(crate) after: u64,
    pub(crate) has_more: bool,
}

impl EventsQuery {
    pub(crate) fn reader<S>(&self, allowed: &Allowed<S>) -> Result<Reader, Problem> {
        let devices = listed("deviceId", self.device_id.as_deref())?.map(|device| allowed.device(device));
        let job = |job: &str| JobId::from_str(job).map_err(|_unknown| Problem::invalid(format!("`{job}` is no job.")));
        let filter = Filter {
            devices: devices.collect::<Result<_, _>>()?,
            jobs: listed("jobId", self.job_id.as_deref())?.map(job).collect::<Result<_, _>>()?,
            alert_types: listed("alertType", self.alert_type.as_deref())?.map(Filter::pattern).collect(),
            mark_at_least: self.mark,
            sources: listed("source", self.source.as_deref())?.map(str::to_owned).collect(),
        };
        Ok(Reader::new(allowed, kinds(self.types.as_deref())?, filter, self.payload))
    }

    /// After which number it begins: what the cursor says, or what is said in its place.
    pub(crate) async fn start<S>(&self, allowed: &Allowed<S>) -> Result<u64, Problem> {
        if self.cursor.is_some() && (self.after.is_some() || self.since.is_some()) {
            return Err(Problem::invalid("A cursor says where it begins: leave `after` and `since` away."));
        }
        match self.list(allowed)?.position(&allowed.app.keys.sealer, self.cursor.as_deref())? {
            Some(after) => Ok(after),
            None => self.begin(allowed).await,
        }
    }

    fn list<S>(&self, allowed: &Allowed<S>) -> Result<List> {
        let filters = (&self.types, &self.device_id, &self.job_id, &self.alert_type, &self.mark);
        // Without a source a cursor is what it was before there were any, and goes on being good.
        match &self.source {
            Some(source) => List::new(allowed.caller.client, "events", &(filters, source)),
            None => List::new(allowed.caller.client, "events", &filters),
        }
    }

    async fn begin<S>(&self, allowed: &Allowed<S>) -> Result<u64, Problem> {
        match (self.after, self.since) {
            (Some(_), Some(_)) => Err(Problem::invalid("Say `after` or `since`, not both.")),
            (Some(after), None) => Ok(after),
            (None, Some(since)) => {
                let organisation = allowed.caller.organisation;
                Ok(allowed.app.store.read(move |tx| tx.number_before(organisation, since)).await?)
            }
            (None, None) => {
                let organisation = allowed.caller.organisation;
                Ok(allowed.app.store.glance(move |tx| tx.first_event(organisation)).await?.saturating_sub(1))
            }
        }
    }
}

impl Reader {
    /// A reader of events of these types, or of any where none is named, that the filter lets through: the one that subscriptions have.
    pub(crate) fn new<S>(allowed: &Allowed<S>, types: BTreeSet<&'static str>, filter: Filter, payload: Payload) -> Self {
        let wanted = Wanted { types, jobs: filter.jobs.clone(), devices: filter.devices.clone() };
        Self { app: allowed.app.clone(), caller: allowed.caller.clone(), wanted, filter, payload }
    }

    fn sees(&self, entry: &LogEntry) -> bool {
        entry.is_for(self.caller.client) && self.caller.scopes.allows(entry.scope) && self.filter.lets_entry(entry)
    }

    fn view(&self, entry: LogEntry) -> Result<Told> {
        let ids = &self.app.keys.device_ids;
        let device = entry.device.map(|device| ids.public(self.caller.organisation, device)).transpose()?;
        entry.told(self.app.public_url.as_str(), device, self.payload)
    }

    /// At most `most` events after that number.
    pub(crate) async fn read(&self, after: u64, most: usize) -> Result<Read> {
        let organisation = self.caller.organisation;
        let mut read = Read { items: Vec::new(), after, has_more: true };
        let mut looked = 0;
        while read.has_more && looked < LOOKED_AT && read.after.saturating_sub(after) < GONE_OVER && read.items.len() < most {
            let (from, wanted) = (read.after, self.wanted.clone());
            let chunk = i64::try_from(if looked == 0 { most } else { CHUNK }).map_err(Error::internal)?;
            let is_all = wanted.is_all();
            let look = move |tx: &mut Tx<'_>| tx.log_after(organisation, &wanted, from, chunk);
            let stretch = if is_all { self.app.store.glance(look).await } else { self.app.store.read(look).await };
            let stretch = stretch?.ok_or_else(expired)?;
            looked = looked.saturating_add(stretch.entries.len());
            (read.after, read.has_more) = (stretch.until, stretch.has_more);
            let mut last = from;
            for entry in stretch.entries {
                if read.items.len() >= most {
                    (read.after, read.has_more) = (last, true);
                    break;
                }
                last = entry.number;
                if self.sees(&entry) {
                    let told = self.view(entry);
                    // One that is damaged holds up nobody.
                    let told =
                        told.inspect_err(|error| tracing::error!(cause = ?error, number = last, "event {last} cannot be read"));
                    read.items.extend(told);
                }
            }
        }
        Ok(read)
    }

    /// Whether the caller may still read, and what: its client may have been revoked meanwhile.
    pub(crate) async fn still_reads(&mut self, scope: Scope) -> Result<bool, Problem> {
        let Some(caller) = self.caller.again(&self.app).await? else { return Ok(false) };
        self.caller = caller;
        Ok(self.caller.scopes.allows(scope))
    }

    /// Fails where events after that number are not kept any more.
    pub(crate) async fn check(&self, after: u64) -> Result<()> {
        let organisation = self.caller.organisation;
        let first = self.app.store.glance(move |tx| tx.first_event(organisation)).await?;
        if first <= after.saturating_add(1) { Ok(()) } else { Err(expired()) }
    }

    /// The same, as soon as there is an event, or after that time with none. What was looked at once is not looked at again.
    pub(crate) async fn wait(&self, after: u64, most: usize, longest: Duration) -> Result<Read> {
        let seen = AtomicU64::new(after);
        let read = || async {
            let read = self.read(seen.load(Ordering::Relaxed), most).await?;
            seen.store(read.after, Ordering::Relaxed);
            Ok(read)
        };
        let organisation = self.caller.organisation.uuid();
        self.app.waiting.until(&self.app.store, organisation, longest, read, |read| !read.items.is_empty() || read.has_more).await
    }
}

/// The types that a query names.
pub(crate) fn kinds(names: Option<&str>) -> Result<BTreeSet<&'static str>, Problem> {
    let known = |name| Event::known(name).ok_or_else(|| Problem::invalid(format!("There is no type of event `{name}`.")));
    names.iter().flat_map(|names| names.split(',')).map(|name| Ok(known(name)?.0)).collect()
}

/// What a parameter names, with commas between.
fn listed<'q>(name: &str, value: Option<&'q str>) -> Result<impl Iterator<Item = &'q str>, Problem> {
    let texts = || value.into_iter().flat_map(|value| value.split(','));
    if texts().count() > MAX_PATTERNS || !texts().all(may_be_named) {
        return Err(Problem::invalid(format!(
            "{name} is 1 to {MAX_PATTERNS} texts of 1 to 256 characters, with commas between them."
        )));
    }
    Ok(texts())
}

fn expired() -> Error {
    Error::conflict("CURSOR_EXPIRED", "the log does not go back so far any more; begin without a cursor")
}

/// Read what happened
///
/// The log of your organisation in the order in which it is told: of devices and containers all, of jobs and subscriptions your own, each only where the
/// token may read what it is about. The filters are those of subscriptions and mean the same. Go on with `nextCursor` again and again; with `wait` an
/// answer without events is held until there is one. Events are kept for 30 days unless the operator sets another time: whoever goes on from before that
/// has missed some, and gets 410.
#[utoipa::path(
    tag = "Events",
    params(EventsQuery),
    responses(
        (status = 200, description = "A page of events.", body = EventPage),
        (status = 410, description = "Events after the cursor, or after that number, are not kept any more.")
    ),
    security(("oauth2" = ["events:read"]))
)]
#[get("/v1/events")]
pub async fn list_events(allowed: Allowed<EventsRead>, query: Query<EventsQuery>) -> Result<EventPage, Problem> {
    let reader = query.reader(&allowed)?;
    let after = query.start(&allowed).await?;
    let longest = match query.wait {
        None => Duration::ZERO,
        Some(seconds) if seconds <= LONGEST_WAIT => Duration::from_secs(seconds),
        Some(_) => return Err(Problem::invalid(format!("wait is a number of seconds from 0 to {LONGEST_WAIT}."))),
    };
    let Read { items, after, has_more } = reader.wait(after, usize::from(query.per_page.get()), longest).await?;
    let next_cursor = query.list(&allowed)?.cursor(&allowed.app.keys.sealer, &after)?;
    Ok(EventPage { items, next_cursor, has_more })
}
