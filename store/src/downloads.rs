//! Downloads of devices: what may be fetched, and how much of it was sent.
use std::collections::{BTreeSet, HashMap, HashSet};

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use dmwsi_domain::container::ContainerState;
use dmwsi_domain::deliverable::DeliverableSpec;
use dmwsi_domain::digest::Sha256Digest;
use dmwsi_domain::download::Download;
use dmwsi_domain::id::JobId;
use dmwsi_domain::operation::Request;
use dmwsi_domain::{Result, Timestamp};

use crate::column::{counted, document, number, parsed, text};
use crate::schema::{containers, content_references, deliverables, downloads, executions, jobs};
use crate::tx::Conn;
use crate::{Tx, failed, on};

/// What a device fetches: for which job, which of its executions, which content.
pub type Fetched = (JobId, u32, Sha256Digest);

/// How many downloads are asked for in one statement.
const ASKED_AT_ONCE: usize = 1_000;

const UNFINISHED_POSTGRES: &str =
    "SELECT executions.job_id, executions.ordinal FROM unnest($1::text[], $2::bigint[]) AS asked (job_id, ordinal)
JOIN executions ON executions.job_id = asked.job_id AND executions.ordinal = asked.ordinal WHERE executions.finished_at IS NULL";

const UNFINISHED_SQLITE: &str = "SELECT executions.job_id, executions.ordinal FROM json_each($1) AS asked
JOIN executions ON executions.job_id = asked.value ->> 0 AND executions.ordinal = asked.value ->> 1 WHERE executions.finished_at IS NULL";

/// What was sent since it was last written. Written by several processes, and in any order, it adds up to the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    /// The job.
    pub job: JobId,
    /// Which of its executions.
    pub ordinal: u32,
    /// The content.
    pub payload: Sha256Digest,
    /// How long the content is, in bytes.
    pub size: u64,
    /// How many bytes of it were sent.
    pub sent: u64,
    /// Up to where, in bytes.
    pub reached: u64,
    /// How many requests were begun.
    pub requests: u64,
    /// When the last of it was sent.
    pub at: Timestamp,
}

/// Content that a device may fetch.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// What its manifest says of the deliverable it belongs to.
    pub spec: DeliverableSpec,
    /// Since when it is what it is.
    pub since: Timestamp,
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = downloads)]
struct Row {
    job_id: String,
    ordinal: i64,
    payload: String,
    size: i64,
    sent: i64,
    reached: i64,
    requests: i64,
    started_at: i64,
    updated_at: i64,
    revision: i64,
}

impl TryFrom<Row> for Download {
    type Error = dmwsi_domain::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            size: counted(row.size, "download")?,
            reached: counted(row.reached, "download")?,
            sent: counted(row.sent, "download")?,
            requests: counted(row.requests, "download")?,
            started_at: Timestamp::from_micros(row.started_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            revision: counted(row.revision, "download")?,
        })
    }
}

impl Tx<'_> {
    /// What a device may fetch of that content for that execution: that of the deliverable which the job names. Nothing once the execution is
    /// over or the deliverable is distributed no more, whoever else brought the same content.
    pub fn served(&mut self, job: JobId, ordinal: u32, payload: &Sha256Digest, now: Timestamp) -> Result<Option<Served>> {
        let unfinished = executions::table
            .inner_join(jobs::table.on(jobs::id.eq(executions::job_id)))
            .filter(executions::job_id.eq(text(job.uuid())))
            .filter(executions::ordinal.eq(i64::from(ordinal)))
            .filter(executions::finished_at.is_null())
            .select((executions::organisation_id, jobs::operation));
        let row: Option<(String, String)> = on!(self, conn => unfinished.first(conn)).optional().map_err(failed)?;
        let Some((organisation, operation)) = row else { return Ok(None) };
        let Some(named) = parsed::<Request>(&operation)?.deliverable() else { return Ok(None) };
        let found = distributed(now)
            .filter(content_references::digest.eq(payload.to_string()))
            .filter(deliverables::id.eq(text(named.uuid())))
            .filter(containers::organisation_id.eq(organisation))
            .select((deliverables::document, deliverables::created_at));
        let row: Option<(String, i64)> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        let served =
            |(document, since): (String, i64)| Ok(Served { spec: parsed(&document)?, since: Timestamp::from_micros(since) });
        row.map(served).transpose()
    }

    /// Which of these a device may fetch no more, as [`Tx::served`] has it: three statements for each thousand of them.
    pub fn served_no_more(&mut self, asked: &[Fetched], now: Timestamp) -> Result<Vec<Fetched>> {
        let mut over = Vec::new();
        for chunk in asked.chunks(ASKED_AT_ONCE) {
            let unfinished = self.unfinished_of(chunk)?;
            let jobs: BTreeSet<_> = unfinished.iter().map(|(job, _)| job).collect();
            let named = jobs::table.filter(jobs::id.eq_any(jobs)).select((jobs::id, jobs::organisation_id, jobs::operation));
            let rows: Vec<(String, String, String)> = on!(self, conn => named.load(conn)).map_err(failed)?;
            let mut named = HashMap::new();
            for (job, organisation, operation) in rows {
                if let Some(deliverable) = parsed::<Request>(&operation)?.deliverable() {
                    named.insert(job, (organisation, text(deliverable.uuid())));
                }
            }
            let deliverables: BTreeSet<_> = named.values().map(|(_, deliverable)| deliverable).collect();
            let payloads: BTreeSet<_> = chunk.iter().map(|(.., payload)| payload.to_string()).collect();
            let found = distributed(now)
                .filter(content_references::digest.eq_any(payloads))
                .filter(deliverables::id.eq_any(deliverables))
                .select((containers::organisation_id, deliverables::id, content_references::digest));
            let found: Vec<(String, String, String)> = on!(self, conn => found.load(conn)).map_err(failed)?;
            let found: HashSet<_> = found.into_iter().collect();
            let is_served = |(job, ordinal, payload): &Fetched| {
                let job = text(job.uuid());
                let of = named.get(&job).map(|(organisation, id)| (organisation.clone(), id.clone(), payload.to_string()));
                of.is_some_and(|of| found.contains(&of)) && unfinished.contains(&(job, i64::from(*ordinal)))
            };
            over.extend(chunk.iter().filter(|one| !is_served(one)));
        }
        Ok(over)
    }

    /// The executions of these that are not over: job and ordinal.
    fn unfinished_of(&mut self, asked: &[Fetched]) -> Result<HashSet<(String, i64)>> {
        #[derive(QueryableByName)]
        struct Unfinished {
            #[diesel(sql_type = Text)]
            job_id: String,
            #[diesel(sql_type = BigInt)]
            ordinal: i64,
        }
        let asked = asked.iter().map(|(job, ordinal, _)| (text(job.uuid()), i64::from(*ordinal)));
        let rows: Vec<Unfinished> = match &mut self.conn {
            Conn::Pg(conn) => {
                let (jobs, ordinals): (Vec<_>, Vec<_>) = asked.unzip();
                sql_query(UNFINISHED_POSTGRES).bind::<Array<Text>, _>(jobs).bind::<Array<BigInt>, _>(ordinals).load(*conn)
            }
            Conn::Sqlite(conn) => {
                let asked = document(&asked.collect::<Vec<_>>())?;
                sql_query(UNFINISHED_SQLITE).bind::<Text, _>(asked).load(*conn)
            }
        }
        .map_err(failed)?;
        Ok(rows.into_iter().map(|row| (row.job_id, row.ordinal)).collect())
    }

    /// Adds what was sent. What was sent for an execution that is no longer there is forgotten.
    pub fn add_sent(&mut self, all: &[Sent]) -> Result<()> {
        for one in all {
            if self.add_to_download(one)? {
                continue;
            }
            let execution = executions::table.find((text(one.job.uuid()), i64::from(one.ordinal))).select(executions::ordinal);
            let there: Option<i64> = on!(self, conn => execution.first(conn)).optional().map_err(failed)?;
            if there.is_some() {
                let row = Row {
                    job_id: text(one.job.uuid()),
                    ordinal: i64::from(one.ordinal),
                    payload: one.payload.to_string(),
                    size: number(one.size),
                    sent: 0,
                    reached: 0,
                    requests: 0,
                    started_at: one.at.micros(),
                    updated_at: one.at.micros(),
                    revision: 0,
                };
                // Another process may begin it at this moment.
                let insert = diesel::insert_into(downloads::table).values(&row).on_conflict_do_nothing();
                on!(self, conn => insert.execute(conn)).map_err(failed)?;
                self.add_to_download(one)?;
            }
        }
        Ok(())
    }

    /// Adds to the row; false when there is none.
    fn add_to_download(&mut self, one: &Sent) -> Result<bool> {
        let (reached, at) = (number(one.reached), one.at.micros());
        let row = downloads::table.find((text(one.job.uuid()), i64::from(one.ordinal), one.payload.to_string()));
        let further = case_when(downloads::reached.lt(reached), reached.into_sql::<BigInt>()).otherwise(downloads::reached);
        let later = case_when(downloads::updated_at.lt(at), at.into_sql::<BigInt>()).otherwise(downloads::updated_at);
        let update = diesel::update(row).set((
            downloads::sent.eq(downloads::sent + number(one.sent)),
            downloads::requests.eq(downloads::requests + number(one.requests)),
            downloads::reached.eq(further),
            downloads::updated_at.eq(later),
            downloads::revision.eq(downloads::revision + 1),
        ));
        Ok(on!(self, conn => update.execute(conn)).map_err(failed)? > 0)
    }

    /// What was sent for an execution; of several payloads the one that was last sent from.
    pub fn download(&mut self, job: JobId, ordinal: u32) -> Result<Option<Download>> {
        Ok(self.downloads(job, ordinal, ordinal)?.pop().map(|(_ordinal, download)| download))
    }

    /// What was sent for a job's executions from `first` to `last`, by ordinal and time.
    pub fn downloads(&mut self, job: JobId, first: u32, last: u32) -> Result<Vec<(u32, Download)>> {
        let found = downloads::table
            .filter(downloads::job_id.eq(text(job.uuid())))
            .filter(downloads::ordinal.between(i64::from(first), i64::from(last)))
            .order((downloads::ordinal, downloads::updated_at));
        let rows: Vec<Row> = on!(self, conn => found.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(|row| Ok((counted(row.ordinal, "ordinal")?, row.try_into()?))).collect()
    }
}

/// What belongs to deliverables that are distributed at that moment.
#[diesel::dsl::auto_type(no_type_alias)]
fn distributed(now: Timestamp) -> _ {
    let (now, state): (i64, &'static str) = (now.micros(), ContainerState::Available.as_str());
    content_references::table
        .inner_join(deliverables::table.on(content_references::deliverable_id.eq(deliverables::id.nullable())))
        .inner_join(containers::table.on(content_references::container_id.eq(containers::id)))
        .filter(deliverables::state.eq(state))
        .filter(containers::expires_at.is_null().or(containers::expires_at.gt(now)))
}
