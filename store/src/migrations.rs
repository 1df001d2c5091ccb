//! The schema: both folders of migrations are built in, and run by `migrate` or undone for a test.
use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::{PgConnection, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use dmwsi_domain::{Error, Result};

use crate::failed::failed;

const POSTGRES: EmbeddedMigrations = embed_migrations!("../migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");
/// The advisory lock of PostgreSQL that keeps two `migrate` apart: "dmwsi" in ASCII.
const LOCK: i64 = 0x64_6d_77_73_69;

/// What was done to the schema, or is still to be done: names of migrations in their order.
pub type Migrations = Vec<String>;

/// What to do with the migrations.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Pending,
    Revert,
    Run,
}

pub(crate) fn postgres(conn: &mut PgConnection, step: Step) -> Result<Migrations> {
    conn.batch_execute(&format!("SET client_min_messages = warning; SELECT pg_advisory_lock({LOCK})")).map_err(failed)?;
    // The lock ends with the connection, which is this call's own.
    take(conn, POSTGRES, step)
}

pub(crate) fn sqlite(conn: &mut SqliteConnection, step: Step) -> Result<Migrations> {
    match step {
        Step::Pending => take(conn, SQLITE, step),
        // The lock is taken before the state is read, so two `migrate` do not run the same migration.
        Step::Revert | Step::Run => {
            let mut refused = None;
            let done = conn.immediate_transaction(|conn| {
                take(conn, SQLITE, step).map_err(|error| {
                    refused = Some(error);
                    diesel::result::Error::RollbackTransaction
                })
            });
            done.map_err(|error| refused.unwrap_or_else(|| failed(error)))
        }
    }
}

fn take<DB: Backend, C: MigrationHarness<DB>>(conn: &mut C, source: impl MigrationSource<DB>, step: Step) -> Result<Migrations> {
    let names = match step {
        Step::Pending => {
            conn.pending_migrations(source).map(|migrations| migrations.iter().map(|one| one.name().to_string()).collect())
        }
        Step::Run => conn.run_pending_migrations(source).map(|versions| versions.iter().map(ToString::to_string).collect()),
        Step::Revert => conn.revert_all_migrations(source).map(|versions| versions.iter().map(ToString::to_string).collect()),
    };
    names.map_err(Error::Internal)
}
