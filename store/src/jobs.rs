//! Jobs, their targets, and the counts of their executions.
use diesel::prelude::*;
use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::id::{ClientId, EventId, JobId, OrganisationId, TaskId};
use dmwsi_domain::job::{Job, JobOutcome, JobState, Target};
use dmwsi_domain::progress::Told;
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, damaged, document, micros, moment, number, parsed, text, uuid};
use crate::queue::NewTask;
use crate::schema::{job_targets, jobs};
use crate::{Tx, failed, on};

/// The queue whose task makes a job's executions; its key is the job's id.
pub const EXPAND: &str = "job.expand.v1";
/// The queue whose task folds a job's counts and decides its end; its key is the job's id.
pub const FOLD: &str = "job.fold.v1";
/// The queue whose task cancels a job's executions; its key is the job's id.
pub const CANCEL: &str = "job.cancel.v1";
/// The queue whose task ends the executions of a job whose time is over; its key is the job's id.
pub const EXPIRE: &str = "job.expire.v1";

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = jobs)]
struct Row {
    id: String,
    organisation_id: String,
    client_id: String,
    client_correlator: Option<String>,
    fingerprint: String,
    correlator: Option<String>,
    operation_type: String,
    operation: String,
    target_type: String,
    target_count: i64,
    #[diesel(embed)]
    change: Change,
    created_at: i64,
}

/// The columns that change while a job runs.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = jobs, treat_none_as_null = true)]
struct Change {
    state: String,
    outcome: Option<String>,
    counts: String,
    expand_cursor: i64,
    expires_at: Option<i64>,
    updated_at: i64,
    finished_at: Option<i64>,
    revision: i64,
    acknowledgement: Option<String>,
    progress_at: Option<i64>,
    progress_ended: i64,
}

impl Change {
    /// The columns of that job, as its revision `revision`.
    fn of(job: &Job, revision: u64) -> Result<Self> {
        Ok(Self {
            state: job.state.as_str().to_owned(),
            outcome: job.outcome.map(|outcome| outcome.as_str().to_owned()),
            counts: document(&job.counts)?,
            expand_cursor: number(job.expanded),
            expires_at: micros(job.expires_at),
            updated_at: job.updated_at.micros(),
            finished_at: micros(job.finished_at),
            revision: number(revision),
            acknowledgement: job.acknowledgement.as_ref().map(document).transpose()?,
            progress_at: micros(job.told.at),
            progress_ended: job.told.ended,
        })
    }
}

impl TryFrom<&Job> for Row {
    type Error = Error;

    fn try_from(job: &Job) -> Result<Self> {
        Ok(Self {
            id: text(job.id.uuid()),
            organisation_id: text(job.organisation.uuid()),
            client_id: text(job.client.uuid()),
            client_correlator: job.client_correlator.clone(),
            fingerprint: job.fingerprint.clone(),
            correlator: job.correlator.clone(),
            operation_type: job.operation.type_name().to_owned(),
            operation: document(&job.operation)?,
            target_type: job.target_type.clone(),
            target_count: number(job.target_count),
            change: Change::of(job, job.revision)?,
            created_at: job.created_at.micros(),
        })
    }
}

impl TryFrom<Row> for Job {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let change = row.change;
        let outcome = |word: String| JobOutcome::parse(&word).ok_or_else(|| damaged("outcome of a job"));
        Ok(Self {
            id: JobId::new(uuid(&row.id)?),
            organisation: OrganisationId::new(uuid(&row.organisation_id)?),
            client: ClientId::new(uuid(&row.client_id)?),
            client_correlator: row.client_correlator,
            fingerprint: row.fingerprint,
            correlator: row.correlator,
            operation: parsed(&row.operation)?,
            target_type: row.target_type,
            target_count: counted(row.target_count, "number of targets")?,
            state: JobState::parse(&change.state).ok_or_else(|| damaged("state of a job"))?,
            outcome: change.outcome.map(outcome).transpose()?,
            counts: parsed(&change.counts)?,
            expanded: counted(change.expand_cursor, "number of executions")?,
            expires_at: moment(change.expires_at),
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(change.updated_at),
            finished_at: moment(change.finished_at),
            acknowledgement: change.acknowledgement.as_deref().map(parsed).transpose()?,
            told: Told { at: moment(change.progress_at), ended: change.progress_ended },
            revision: counted(change.revision, "revision")?,
        })
    }
}

/// Which jobs of a client a page holds; the newest come first.
#[derive(Clone, Debug)]
pub struct JobPage {
    /// Whose.
    pub client: ClientId,
    /// Only those made before this one; all of them when none.
    pub before: Option<JobId>,
    /// Only those in this state.
    pub state: Option<JobState>,
    /// Only those of this kind of operation.
    pub operation_type: Option<&'static str>,
    /// Only the one that the client calls so.
    pub client_correlator: Option<String>,
    /// At most so many.
    pub limit: i64,
}

impl Tx<'_> {
    /// Writes a new job and whom it is for; false, and nothing written, when its client has another of that correlator.
    pub fn insert_job(&mut self, job: &Job, target: &Target, ids: &mut Ids) -> Result<bool> {
        let row = Row::try_from(job)?;
        let insert =
            diesel::insert_into(jobs::table).values(row).on_conflict((jobs::client_id, jobs::client_correlator)).do_nothing();
        if on!(self, conn => insert.execute(conn)).map_err(failed)? == 0 {
            return Ok(false);
        }
        let target = (job_targets::job_id.eq(text(job.id.uuid())), job_targets::document.eq(document(target)?));
        on!(self, conn => diesel::insert_into(job_targets::table).values(target).execute(conn)).map_err(failed)?;
        self.ring_if_soon(job.expires_at, job.created_at, ids)?;
        Ok(true)
    }

    /// The job of that id, whosoever it is. Its counts are those of its row: [`Tx::counts`] has the present ones.
    pub fn job(&mut self, id: JobId) -> Result<Job> {
        let found = jobs::table.find(text(id.uuid()));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.ok_or(Error::NotFound { what: "job" })?.try_into()
    }

    /// The job of that id if it is that client's; another's is not found.
    pub fn job_of(&mut self, client: ClientId, id: JobId) -> Result<Job> {
        let job = self.job(id)?;
        if job.client == client { Ok(job) } else { Err(Error::NotFound { what: "job" }) }
    }

    /// The job that a client calls so.
    pub fn job_called(&mut self, client: ClientId, client_correlator: &str) -> Result<Option<Job>> {
        let found =
            jobs::table.filter(jobs::client_id.eq(text(client.uuid()))).filter(jobs::client_correlator.eq(client_correlator));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.map(Job::try_from).transpose()
    }

    /// A page of a client's jobs, the newest first. Their counts are those of their rows: [`Tx::counts`] has the present ones.
    pub fn jobs(&mut self, page: &JobPage) -> Result<Vec<Job>> {
        // Ids sort as text, and `g` comes after all of them.
        let before = page.before.map_or_else(|| "g".to_owned(), |job| text(job.uuid()));
        let limit = page.limit;
        macro_rules! found {
            ($conn:ident) => {{
                let mut found =
                    jobs::table.filter(jobs::client_id.eq(text(page.client.uuid()))).filter(jobs::id.lt(before)).into_boxed();
                if let Some(state) = page.state {
                    found = found.filter(jobs::state.eq(state.as_str()));
                }
                if let Some(kind) = page.operation_type {
                    found = found.filter(jobs::operation_type.eq(kind));
                }
                if let Some(correlator) = &page.client_correlator {
                    found = found.filter(jobs::client_correlator.eq(correlator.clone()));
                }
                found.order(jobs::id.desc()).limit(limit).select(Row::as_select()).load($conn)
            }};
        }
        let rows = on!(self, conn => found!(conn)).map_err(failed)?;
        rows.into_iter().map(Job::try_from).collect()
    }

    /// Whom a job is for.
    pub fn job_target(&mut self, job: JobId) -> Result<Target> {
        let found = job_targets::table.find(text(job.uuid())).select(job_targets::document);
        let row: Option<String> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        parsed(&row.ok_or(Error::NotFound { what: "job" })?)
    }

    /// Writes a change of a job that carries the revision it was read with, and what it tells; the row and `job` get the next revision.
    ///
    /// [`Error::Stale`] when somebody else changed it meanwhile: read again, decide again.
    pub fn save_job(
        &mut self,
        job: &mut Job,
        events: &[Event],
        correlator: Option<&str>,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        let revision = job.revision.saturating_add(1);
        let update = diesel::update(jobs::table.find(text(job.id.uuid())))
            .filter(jobs::revision.eq(number(job.revision)))
            .set(Change::of(job, revision)?);
        if on!(self, conn => update.execute(conn)).map_err(failed)? == 0 {
            return Err(Error::Stale { what: "job" });
        }
        job.revision = revision;
        self.announce(job.id.uuid());
        self.tell(job, events, correlator, now, ids)
    }

    /// Writes what a job tells.
    pub fn tell(&mut self, job: &Job, events: &[Event], correlator: Option<&str>, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let recorded = |event: &Event| Recorded {
            id: EventId::new(ids.new_id()),
            organisation: job.organisation,
            client: Some(job.client),
            job: Some(job.id),
            ordinal: None,
            device: None,
            revision: job.revision,
            correlator: correlator.map(str::to_owned),
            at: now,
            event: event.clone(),
        };
        let recorded: Vec<_> = events.iter().map(recorded).collect();
        self.record_all(&recorded)
    }

    /// The jobs whose time was over by `now`, the longest overdue first, at most `limit`.
    pub fn due_jobs(&mut self, now: Timestamp, limit: i64) -> Result<Vec<JobId>> {
        let found = jobs::table
            .filter(jobs::expires_at.le(now.micros()))
            .filter(jobs::finished_at.is_null())
            .order(jobs::expires_at)
            .limit(limit)
            .select(jobs::id);
        let rows: Vec<String> = on!(self, conn => found.load(conn)).map_err(failed)?;
        rows.iter().map(|id| uuid(id).map(JobId::new)).collect()
    }

    /// Rings the task of that queue that is about a job: [`EXPAND`], [`FOLD`], [`CANCEL`] or [`EXPIRE`]. Its payload is the job's id.
    pub fn ring_job(&mut self, queue: &'static str, job: JobId, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let task = NewTask::new(queue, job.to_string(), &job, now)?;
        self.enqueue(TaskId::new(ids.new_id()), &task, now)
    }
}
