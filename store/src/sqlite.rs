//! SQLite: how a connection is prepared, the readers, and the lock that only one serving process holds.
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::{Connection, QueryResult, SqliteConnection};
use dmwsi_domain::{Error, Result};

use crate::failed::failed;
use crate::settings::{Settings, Synchronous};
use crate::watch::Watch;

/// The pages that a connection keeps, in KiB: eight times as many as SQLite would.
const CACHE_KIB: u32 = 16 * 1024;

/// Connections that only read.
pub(crate) type Readers = Pool<ConnectionManager<SqliteConnection>>;

/// What every connection is told when it opens: pragmas belong to connections, not to the file.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    busy_timeout: Duration,
    synchronous: Synchronous,
    watch: Watch,
}

impl Manner {
    pub(crate) const fn new(settings: &Settings, watch: Watch) -> Self {
        Self { busy_timeout: Duration::from_millis(settings.busy_timeout_ms), synchronous: settings.synchronous, watch }
    }

    /// Prepares a connection. `busy_timeout` comes first: the pragmas after it may have to wait for a lock themselves. What a savepoint could
    /// undo is kept in memory, not in a file of its own.
    fn apply(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let synchronous = match self.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        conn.batch_execute(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON; \
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{CACHE_KIB};",
            self.busy_timeout.as_millis()
        ))?;
        conn.set_instrumentation(self.watch.clone());
        Ok(())
    }

    /// Opens the one connection that writes, making the file when there is none.
    pub(crate) fn writer(&self, path: &Path) -> Result<SqliteConnection> {
        let mut conn = SqliteConnection::establish(text(path)?).map_err(|cause| unopened(path, &cause))?;
        self.apply(&mut conn).map_err(failed)?;
        Ok(conn)
    }

    /// Opens the connections that read.
    pub(crate) fn readers(&self, path: &Path, settings: &Settings) -> Result<Readers> {
        Pool::builder()
            .max_size(settings.readers.max(1))
            .min_idle(Some(1))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_on_check_out(false)
            .connection_timeout(settings.wait())
            .connection_customizer(Box::new(Reader(self.clone())))
            .build(ConnectionManager::new(text(path)?))
            .map_err(|cause| unopened(path, &cause))
    }
}

#[derive(Debug)]
struct Reader(Manner);

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Reader {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        self.0.apply(conn).and_then(|()| conn.batch_execute("PRAGMA query_only = ON")).map_err(diesel::r2d2::Error::QueryError)
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::internal("the path of the database is not UTF-8"))
}

fn unopened(path: &Path, cause: &dyn std::error::Error) -> Error {
    Error::Unavailable(format!("the database {} cannot be opened: {cause}", path.display()).into())
}

/// Held by the process that serves, until it is dropped. `migrate` and `client` work beside it.
#[derive(Debug)]
pub struct Exclusive(#[expect(dead_code, reason = "the lock is held by keeping the file open")] Option<File>);

impl Exclusive {
    /// PostgreSQL serves many processes.
    pub(crate) const fn shared() -> Self {
        Self(None)
    }

    /// Locks `<database>.lock`; the system frees it with the process, however that ends.
    pub(crate) fn acquire(database: &Path) -> Result<Self> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::internal)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Some(file))),
            Err(TryLockError::WouldBlock) => Err(Error::conflict(
                "DATABASE_IN_USE",
                format!(
                    "another process serves {} (it holds {}); with PostgreSQL several may",
                    database.display(),
                    path.display()
                ),
            )),
            Err(TryLockError::Error(cause)) => Err(Error::internal(cause)),
        }
    }
}
