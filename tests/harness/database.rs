//! A fresh database for one test.
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use dmwsi_store::{DatabaseUrl, Settings, Store};

use super::postgres::Server;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database that nobody else uses.
pub(crate) struct Database {
    pub(crate) url: DatabaseUrl,
    /// The folder that goes with the test.
    folder: tempfile::TempDir,
}

impl Database {
    /// A file of its own.
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: DatabaseUrl::Sqlite(folder.path().join("test.db")), folder }
    }

    /// On the server that all tests of this run share; none where PostgreSQL is not installed.
    pub(crate) fn postgres() -> Option<Self> {
        Some(Self::on(Server::shared()?))
    }

    /// On a server of the caller's.
    pub(crate) fn on(server: &Server) -> Self {
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        server.connect("postgres").batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        Self { url: server.url(&name).parse().unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    /// The folder of the content that goes with it.
    pub(crate) fn content(&self) -> std::path::PathBuf {
        self.folder.path().join("content")
    }

    /// Settings for it: few connections, for many tests run side by side.
    pub(crate) fn settings(&self) -> Settings {
        Settings { pool_size: 4, readers: 4, ..Settings::of(self.url.clone()) }
    }

    /// Opens it once more.
    pub(crate) fn open(&self) -> Store {
        Store::open(&self.settings()).unwrap()
    }

    /// Opens it with an up-to-date schema.
    pub(crate) async fn store(&self) -> Store {
        let store = self.open();
        store.migrate().await.unwrap();
        store
    }

    /// The address as text, with whatever secrets it holds.
    pub(crate) fn address(&self) -> String {
        match &self.url {
            DatabaseUrl::Postgres(url) => url.clone(),
            DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
        }
    }

    /// Whether it is PostgreSQL's.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.url, DatabaseUrl::Postgres(_))
    }

    /// Runs SQL on a connection of its own.
    pub(crate) fn execute(&self, sql: &str) {
        match &self.url {
            DatabaseUrl::Postgres(url) => {
                diesel::Connection::establish(url).map(|mut conn: diesel::PgConnection| conn.batch_execute(sql))
            }
            DatabaseUrl::Sqlite(path) => Ok(sqlite(path).batch_execute(sql)),
        }
        .unwrap()
        .unwrap();
    }

    /// Each row of a query whose one column is a text called `line`.
    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        #[derive(diesel::QueryableByName)]
        struct Line {
            #[diesel(sql_type = diesel::sql_types::Text)]
            line: String,
        }
        use diesel::{Connection, RunQueryDsl};
        let lines: Vec<Line> = match &self.url {
            DatabaseUrl::Postgres(url) => {
                diesel::sql_query(sql).get_results(&mut diesel::PgConnection::establish(url).unwrap()).unwrap()
            }
            DatabaseUrl::Sqlite(path) => diesel::sql_query(sql).get_results(&mut sqlite(path)).unwrap(),
        };
        lines.into_iter().map(|line| line.line).collect()
    }
}

/// A connection that waits for its turn as those of the server do. A server that has just stopped may still be closing the file: whoever closes it last
/// holds it for itself while the write-ahead log is cleared away, and without patience everybody else is told that it is locked.
pub(crate) fn sqlite(path: &Path) -> diesel::SqliteConnection {
    let mut conn: diesel::SqliteConnection = diesel::Connection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 20000").unwrap();
    conn
}
