//! An open transaction, and the macro that writes a query once for both databases.
use std::collections::BTreeSet;

use diesel::{PgConnection, RunQueryDsl, SqliteConnection};
use dmwsi_domain::Result;
use uuid::Uuid;

use crate::deltas::Deltas;
use crate::failed::failed;
use crate::notice::Notice;

/// Writes a query once; the compiler checks it once for each database: `on!(self, conn => query.get_result(conn))`.
macro_rules! on {
    ($tx:expr, $conn:ident => $query:expr) => {
        match &mut $tx.conn {
            $crate::tx::Conn::Pg(inner) => {
                let $conn = &mut **inner;
                $query
            }
            $crate::tx::Conn::Sqlite(inner) => {
                let $conn = &mut **inner;
                $query
            }
        }
    };
}
pub(crate) use on;

/// An open transaction. Queries are methods on it; what it will tell others goes out when it has committed.
pub struct Tx<'c> {
    pub(crate) conn: Conn<'c>,
    pub(crate) deltas: Deltas,
    notices: BTreeSet<Notice>,
}

/// The connection a transaction runs on.
pub(crate) enum Conn<'c> {
    Pg(&'c mut PgConnection),
    Sqlite(&'c mut SqliteConnection),
}

impl<'c> Tx<'c> {
    pub(crate) fn new(conn: Conn<'c>) -> Self {
        Self { conn, deltas: Deltas::default(), notices: BTreeSet::new() }
    }

    /// Asks the database whether it answers.
    pub fn ping(&mut self) -> Result<()> {
        on!(self, conn => diesel::sql_query("SELECT 1").execute(conn)).map(drop).map_err(failed)
    }

    /// Wakes a queue after commit, here and in every other process.
    pub fn ring(&mut self, queue: &'static str) {
        self.notices.insert(Notice::Ring(queue.into()));
    }

    /// Tells those who wait for a job or for the log of an organisation, after commit, that it has changed.
    pub fn announce(&mut self, subject: Uuid) {
        self.notices.insert(Notice::Announce(subject));
    }

    /// What it will tell others, and the deltas not written yet.
    pub(crate) fn into_rest(self) -> (BTreeSet<Notice>, Deltas) {
        (self.notices, self.deltas)
    }
}

/// Inserts a slice of rows: on PostgreSQL many in a statement, which takes 65,535 values at most; on SQLite one by one, as diesel would, but
/// without a savepoint of its own.
macro_rules! insert_all {
    ($tx:expr, $table:expr, $rows:expr) => {{
        let rows = $rows;
        let inserted: diesel::QueryResult<()> = match &mut $tx.conn {
            $crate::tx::Conn::Pg(inner) => {
                rows.chunks(1_000).try_for_each(|rows| diesel::insert_into($table).values(rows).execute(&mut **inner).map(drop))
            }
            $crate::tx::Conn::Sqlite(inner) => {
                rows.iter().try_for_each(|row| diesel::insert_into($table).values(row).execute(&mut **inner).map(drop))
            }
        };
        inserted.map_err($crate::failed)
    }};
}
pub(crate) use insert_all;
