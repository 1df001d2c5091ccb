//! The counts of a job's executions change by deltas that are appended, so that no row is hot; a task folds them.
use std::collections::BTreeMap;

use diesel::prelude::*;
use dmwsi_domain::id::{JobId, TaskId};
use dmwsi_domain::job::{Counts, Job};
use dmwsi_domain::{Ids, Result, Timestamp};
use uuid::Uuid;

use crate::column::{document, parsed, text, uuid};
use crate::jobs::FOLD;
use crate::queue::NewTask;
use crate::schema::job_deltas;
use crate::{Tx, failed, on};

/// The most ids named in one statement.
const IDS_PER_STATEMENT: usize = 500;

/// The most deltas folded in one transaction.
const DELTAS_PER_FOLD: i64 = 5_000;

/// What a transaction adds to the counts of jobs. It is written just before the commit: closures that share a commit share a row for each
/// job, and a ring of its task.
#[derive(Debug, Default)]
pub(crate) struct Deltas(BTreeMap<JobId, Delta>);

#[derive(Debug)]
struct Delta {
    counts: Counts,
    id: Uuid,
    task: TaskId,
    at: Timestamp,
}

impl Deltas {
    /// Takes in those of another closure.
    pub(crate) fn add(&mut self, others: Self) {
        for (job, delta) in others.0 {
            self.add_one(job, delta);
        }
    }

    fn add_one(&mut self, job: JobId, delta: Delta) {
        match self.0.get_mut(&job) {
            Some(known) => {
                known.counts.add(delta.counts);
                known.id = known.id.max(delta.id);
            }
            None => drop(self.0.insert(job, delta)),
        }
    }
}

impl Tx<'_> {
    /// Adds a delta to the counts of a job and rings the task that folds it. Its id follows those of the events that tell of the change.
    pub(crate) fn add_delta(&mut self, job: JobId, counts: Counts, now: Timestamp, ids: &mut Ids) {
        self.deltas.add_one(job, Delta { counts, id: ids.new_id(), task: TaskId::new(ids.new_id()), at: now });
    }

    /// Writes what [`Tx::add_delta`] gathered.
    pub(crate) fn write_deltas(&mut self) -> Result<()> {
        for (job, delta) in std::mem::take(&mut self.deltas).0 {
            let row = (
                job_deltas::id.eq(text(delta.id)),
                job_deltas::job_id.eq(text(job.uuid())),
                job_deltas::counts.eq(document(&delta.counts)?),
            );
            on!(self, conn => diesel::insert_into(job_deltas::table).values(row).execute(conn)).map_err(failed)?;
            let task = NewTask::new(FOLD, job.to_string(), &job, delta.at)?;
            self.enqueue(delta.task, &task, delta.at)?;
        }
        Ok(())
    }

    /// How many executions of a job stand in which state at present: its counts and every change not folded into them yet.
    pub fn counts(&mut self, job: &Job) -> Result<Counts> {
        self.write_deltas()?;
        let found = job_deltas::table.filter(job_deltas::job_id.eq(text(job.id.uuid()))).select(job_deltas::counts);
        let rows: Vec<String> = on!(self, conn => found.load(conn)).map_err(failed)?;
        let mut counts = job.counts;
        for delta in &rows {
            counts.add(parsed(delta)?);
        }
        Ok(counts)
    }

    /// Takes deltas of a job away, at most 5,000, and adds them to its counts, which the caller then saves; how many they were. From here
    /// on `ids` follow the events of these changes, whatever the clocks said of those who wrote them: the end of a job is told last.
    pub fn fold_deltas(&mut self, job: &mut Job, ids: &mut Ids) -> Result<usize> {
        self.write_deltas()?;
        let found = job_deltas::table
            .filter(job_deltas::job_id.eq(text(job.id.uuid())))
            .order(job_deltas::id)
            .limit(DELTAS_PER_FOLD)
            .select((job_deltas::id, job_deltas::counts));
        let rows: Vec<(String, String)> = on!(self, conn => found.load(conn)).map_err(failed)?;
        for (id, delta) in &rows {
            job.counts.add(parsed(delta)?);
            ids.follow(uuid(id)?);
        }
        // By id, not by range: on PostgreSQL a delta with an earlier id may be committed later.
        for chunk in rows.chunks(IDS_PER_STATEMENT) {
            let ids: Vec<_> = chunk.iter().map(|(id, _)| id.clone()).collect();
            let deletion = diesel::delete(job_deltas::table.filter(job_deltas::id.eq_any(ids)));
            on!(self, conn => deletion.execute(conn)).map_err(failed)?;
        }
        Ok(rows.len())
    }
}
