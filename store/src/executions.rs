//! Executions: jobs on single devices, and what came of them.
use diesel::prelude::*;
use dmwsi_domain::event::Recorded;
use dmwsi_domain::execution::{Execution, ExecutionState, Move};
use dmwsi_domain::id::{ClientId, DeviceId, EventId, JobId, OrganisationId};
use dmwsi_domain::job::Counts;
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, damaged, document, micros, moment, number, parsed, text, uuid};
use crate::schema::executions;
use crate::{Kept, Tx, failed, insert_all, on};

/// How many unfinished executions of a device are read at first.
pub const UNFINISHED: i64 = 16;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = executions)]
struct Row {
    job_id: String,
    ordinal: i64,
    organisation_id: String,
    client_id: String,
    device_id: String,
    #[diesel(embed)]
    change: Change,
    created_at: i64,
}

/// The columns that change while an execution runs.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = executions, treat_none_as_null = true)]
struct Change {
    state: String,
    phase: Option<String>,
    attempt: i64,
    progress: Option<i64>,
    operation: String,
    evidence: String,
    outcome: Option<String>,
    detail: Option<String>,
    due_at: Option<i64>,
    updated_at: i64,
    finished_at: Option<i64>,
    revision: i64,
    rests_until: Option<i64>,
}

impl Change {
    /// The columns of that execution, as its revision `revision`.
    fn of(execution: &Execution, revision: u64) -> Result<Self> {
        Ok(Self {
            state: execution.state.as_str().to_owned(),
            phase: execution.phase.clone(),
            attempt: i64::from(execution.attempt),
            progress: Some(i64::from(execution.progress)),
            operation: document(&execution.operation)?,
            evidence: document(&execution.evidence)?,
            outcome: execution.outcome.clone(),
            detail: execution.detail.clone(),
            due_at: micros(execution.due_at),
            updated_at: execution.updated_at.micros(),
            finished_at: micros(execution.finished_at),
            revision: number(revision),
            rests_until: micros(execution.rests_until()),
        })
    }
}

impl TryFrom<&Execution> for Row {
    type Error = Error;

    fn try_from(execution: &Execution) -> Result<Self> {
        Ok(Self {
            job_id: text(execution.job.uuid()),
            ordinal: i64::from(execution.ordinal),
            organisation_id: text(execution.organisation.uuid()),
            client_id: text(execution.client.uuid()),
            device_id: text(execution.device.uuid()),
            change: Change::of(execution, execution.revision)?,
            created_at: execution.created_at.micros(),
        })
    }
}

impl TryFrom<Row> for Execution {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let change = row.change;
        Ok(Self {
            job: JobId::new(uuid(&row.job_id)?),
            ordinal: counted(row.ordinal, "ordinal")?,
            organisation: OrganisationId::new(uuid(&row.organisation_id)?),
            client: ClientId::new(uuid(&row.client_id)?),
            device: DeviceId::new(uuid(&row.device_id)?),
            state: ExecutionState::parse(&change.state).ok_or_else(|| damaged("state of an execution"))?,
            phase: change.phase,
            attempt: counted(change.attempt, "attempt")?,
            progress: counted(change.progress.unwrap_or(0), "progress")?,
            operation: parsed(&change.operation)?,
            evidence: parsed(&change.evidence)?,
            outcome: change.outcome,
            detail: change.detail,
            due_at: moment(change.due_at),
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(change.updated_at),
            finished_at: moment(change.finished_at),
            revision: counted(change.revision, "revision")?,
        })
    }
}

/// Which executions of a job a page holds.
#[derive(Clone, Copy, Debug)]
pub struct ExecutionPage {
    /// The job.
    pub job: JobId,
    /// Only those after this ordinal; all of them when none.
    pub after: Option<u32>,
    /// Only those in this state.
    pub state: Option<ExecutionState>,
    /// At most so many.
    pub limit: i64,
}

impl Tx<'_> {
    /// Writes new executions, at most [`dmwsi_domain::job::EXPANDED_PER_TURN`]. Their counts are the caller's to add to the job.
    pub fn insert_executions(&mut self, executions: &[Execution]) -> Result<()> {
        let rows = executions.iter().map(Row::try_from).collect::<Result<Vec<_>>>()?;
        insert_all!(self, executions::table, rows.as_slice())
    }

    /// What is not over on a device, the oldest job first, at most [`UNFINISHED`].
    pub fn unfinished_executions(&mut self, device: DeviceId) -> Result<Vec<Execution>> {
        self.unfinished_after(device, None, UNFINISHED)
    }

    /// What is not over on a device, in the order of the jobs, of those after `after`; at most `limit`.
    pub fn unfinished_after(&mut self, device: DeviceId, after: Option<JobId>, limit: i64) -> Result<Vec<Execution>> {
        let found = executions::table
            .filter(executions::device_id.eq(text(device.uuid())))
            .filter(executions::job_id.gt(after.map(|job| text(job.uuid())).unwrap_or_default()))
            .filter(executions::finished_at.is_null())
            .order(executions::job_id)
            .limit(limit);
        let rows = on!(self, conn => found.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(Execution::try_from).collect()
    }

    /// The execution of that key.
    pub fn execution(&mut self, job: JobId, ordinal: u32) -> Result<Execution> {
        let found = executions::table.find((text(job.uuid()), i64::from(ordinal)));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.ok_or(Error::NotFound { what: "execution" })?.try_into()
    }

    /// The execution of a job on that device.
    pub fn execution_on(&mut self, job: JobId, device: DeviceId) -> Result<Execution> {
        let found = executions::table
            .filter(executions::job_id.eq(text(job.uuid())))
            .filter(executions::device_id.eq(text(device.uuid())));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.ok_or(Error::NotFound { what: "execution" })?.try_into()
    }

    /// A page of a job's executions, by ordinal.
    pub fn executions(&mut self, page: &ExecutionPage) -> Result<Vec<Execution>> {
        let found = executions::table
            .filter(executions::job_id.eq(text(page.job.uuid())))
            .filter(executions::ordinal.gt(page.after.map_or(-1, i64::from)))
            .order(executions::ordinal)
            .limit(page.limit);
        let state = page.state.map(ExecutionState::as_str);
        let rows = match state {
            Some(state) => {
                let found = found.filter(executions::state.eq(state));
                on!(self, conn => found.select(Row::as_select()).load(conn))
            }
            None => on!(self, conn => found.select(Row::as_select()).load(conn)),
        };
        rows.map_err(failed)?.into_iter().map(Execution::try_from).collect()
    }

    /// What is not over in a job, by ordinal after `after`, at most `limit`.
    pub fn unfinished_of_job(&mut self, job: JobId, after: Option<u32>, limit: i64) -> Result<Vec<Execution>> {
        let found = executions::table
            .filter(executions::job_id.eq(text(job.uuid())))
            .filter(executions::ordinal.gt(after.map_or(-1, i64::from)))
            .filter(executions::finished_at.is_null())
            .order(executions::ordinal)
            .limit(limit);
        let rows = on!(self, conn => found.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(Execution::try_from).collect()
    }

    /// The keys of executions whose phase was over by `now`, the longest overdue first, at most `limit`.
    pub fn due_executions(&mut self, now: Timestamp, limit: i64) -> Result<Vec<(JobId, u32)>> {
        let found = executions::table
            .filter(executions::due_at.le(now.micros()))
            .order(executions::due_at)
            .limit(limit)
            .select((executions::job_id, executions::ordinal));
        let rows: Vec<(String, i64)> = on!(self, conn => found.load(conn)).map_err(failed)?;
        rows.into_iter().map(|(job, ordinal)| Ok((JobId::new(uuid(&job)?), counted(ordinal, "ordinal")?))).collect()
    }

    /// Writes a change of an execution, and all that follows from it: the delta of the job's counts and the ring for their folding, the
    /// events, the results. `was` is the state before; `execution` carries the revision it was read with, the row gets the next one.
    ///
    /// [`Error::Stale`] when somebody else changed it meanwhile: read again, step again.
    pub fn save_execution(
        &mut self,
        was: ExecutionState,
        execution: &Execution,
        moved: &Move,
        correlator: Option<&str>,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        self.write_execution(execution)?;
        let events: Vec<_> = told(execution, moved, correlator, now, ids).collect();
        self.record_all(&events)?;
        if was != execution.state {
            self.add_delta(execution.job, Counts::moved(was, execution.state), now, ids);
        }
        if !moved.results.is_empty() {
            self.append_results(execution.job, execution.ordinal, &moved.results)?;
        }
        self.ring_if_soon(execution.due_at, now, ids)
    }

    /// As [`Tx::save_execution`] for many of one job at once, with one delta for all; none of them has brought results.
    pub fn save_ended(
        &mut self,
        job: JobId,
        ended: &[(ExecutionState, Execution, Move)],
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        let mut delta = Counts::default();
        let mut events = Vec::with_capacity(ended.len());
        for (was, execution, moved) in ended {
            self.write_execution(execution)?;
            delta.add(Counts::moved(*was, execution.state));
            events.extend(told(execution, moved, None, now, ids));
        }
        if !delta.is_nothing() {
            self.add_delta(job, delta, now, ids);
        }
        self.record_all(&events)
    }

    /// Ends what is not over on a device that is being deleted: nobody else will speak for it.
    pub fn end_executions_of(&mut self, device: DeviceId, correlator: Option<&str>, now: Timestamp, ids: &mut Ids) -> Result<()> {
        loop {
            let unfinished = self.unfinished_executions(device)?;
            if unfinished.is_empty() {
                return Ok(());
            }
            for mut execution in unfinished {
                let was = execution.state;
                let moved = execution.device_gone(now);
                self.save_execution(was, &execution, &moved, correlator, now, ids)?;
            }
        }
    }

    fn write_execution(&mut self, execution: &Execution) -> Result<()> {
        let place = executions::table.find((text(execution.job.uuid()), i64::from(execution.ordinal)));
        let change = Change::of(execution, execution.revision.saturating_add(1))?;
        let update = diesel::update(place).filter(executions::revision.eq(number(execution.revision))).set(change);
        let update = Kept(update.returning(executions::revision));
        let written: Vec<i64> = on!(self, conn => update.load(conn)).map_err(failed)?;
        if written.is_empty() { Err(Error::Stale { what: "execution" }) } else { Ok(()) }
    }
}

/// The events of a change, as the revision that the change makes.
fn told(
    execution: &Execution,
    moved: &Move,
    correlator: Option<&str>,
    now: Timestamp,
    ids: &mut Ids,
) -> impl Iterator<Item = Recorded> {
    moved.events.iter().map(move |event| Recorded {
        id: EventId::new(ids.new_id()),
        organisation: execution.organisation,
        client: Some(execution.client),
        job: Some(execution.job),
        ordinal: Some(execution.ordinal),
        device: Some(execution.device),
        revision: execution.revision.saturating_add(1),
        correlator: correlator.map(str::to_owned),
        at: now,
        event: event.clone(),
    })
}
