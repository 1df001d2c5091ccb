//! What executions brought: one document for each, appended as answers come in.
use diesel::prelude::*;
use dmwsi_domain::Result;
use dmwsi_domain::id::JobId;
use dmwsi_domain::operation::NodeResult;

use crate::column::{counted, document, parsed, text};
use crate::schema::execution_results;
use crate::{Kept, Tx, failed, on};

#[derive(Insertable)]
#[diesel(table_name = execution_results)]
struct Row {
    job_id: String,
    ordinal: i64,
    document: String,
}

impl Tx<'_> {
    /// What an execution has brought so far.
    pub fn results(&mut self, job: JobId, ordinal: u32) -> Result<Vec<NodeResult>> {
        let found = execution_results::table.find((text(job.uuid()), i64::from(ordinal))).select(execution_results::document);
        let row: Option<String> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        row.as_deref().map_or_else(|| Ok(Vec::new()), parsed)
    }

    /// What the executions of these ordinals have brought so far; those that brought nothing are absent.
    pub fn results_of(&mut self, job: JobId, ordinals: &[u32]) -> Result<Vec<(u32, Vec<NodeResult>)>> {
        let found = execution_results::table
            .filter(execution_results::job_id.eq(text(job.uuid())))
            .filter(execution_results::ordinal.eq_any(ordinals.iter().copied().map(i64::from).collect::<Vec<_>>()))
            .order(execution_results::ordinal)
            .select((execution_results::ordinal, execution_results::document));
        let rows: Vec<(i64, String)> = on!(self, conn => found.load(conn)).map_err(failed)?;
        rows.into_iter().map(|(ordinal, document)| Ok((counted(ordinal, "ordinal")?, parsed(&document)?))).collect()
    }

    pub(crate) fn append_results(&mut self, job: JobId, ordinal: u32, results: &[NodeResult]) -> Result<()> {
        let mut all = self.results(job, ordinal)?;
        all.extend_from_slice(results);
        let row = Row { job_id: text(job.uuid()), ordinal: i64::from(ordinal), document: document(&all)? };
        let written = diesel::insert_into(execution_results::table)
            .values(&row)
            .on_conflict((execution_results::job_id, execution_results::ordinal))
            .do_update()
            .set(execution_results::document.eq(&row.document))
            .returning(execution_results::ordinal);
        on!(self, conn => Kept(written).get_result::<i64>(conn)).map(drop).map_err(failed)
    }
}
