//! Statements that stay prepared.
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, RunQueryDsl};

/// A statement whose text is always the same, so that a connection prepares it once. Diesel says so itself of what it builds from
/// selects and single inserts; of updates, upserts and statements written by hand it cannot know. Only for `load` and `get_result`, so with
/// `RETURNING`: `execute` asks diesel's own reference to the statement, which does not ask this.
///
/// Nor for those that take many rows at once on PostgreSQL: their plan would be kept, too, and a plan for the few rows of a new table is slow when there
/// are many, until the table is analysed.
///
/// Not for statements whose text depends on values, as lists of values do: each text would stay prepared for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<Q>(pub(crate) Q);

impl<Q> QueryId for Kept<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Kept<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q: Query> Query for Kept<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, Conn> RunQueryDsl<Conn> for Kept<Q> {}
