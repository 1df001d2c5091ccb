//! PostgreSQL: a pool, one transaction for each caller, and the connection that listens.
use std::collections::BTreeSet;
use std::sync::Weak;
use std::thread;
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, PooledConnection};
use diesel::sql_types::{Array, Text};
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use dmwsi_domain::{Error, Result};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::failed::{Damage, failed};
use crate::notice::Notice;
use crate::settings::Settings;
use crate::tx::{Conn, Tx};
use crate::watch::{Watch, take_damage};
use crate::writer::caught;

/// The channel of LISTEN and NOTIFY.
const CHANNEL: &str = "dmwsi";
const NOTIFY: &str = "SELECT pg_notify($1, bell) FROM UNNEST($2) AS rung (bell)";
/// How often a transaction that lost against another one is run.
const TRIES: u32 = 5;
/// How often the listening connection looks into its socket. It asks the system only, never the database.
const LISTEN_EVERY: Duration = Duration::from_millis(20);
/// Between two attempts to open the listening connection again.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

type Connections = Pool<ConnectionManager<PgConnection>>;

/// The connections of this process.
#[derive(Clone)]
pub(crate) struct Postgres {
    pool: Connections,
    url: String,
    sender: Uuid,
    most_stale: u32,
}

/// Only a transaction that says so may write. Every statement has an index to go by, and must not scan a table because there were few rows when it was
/// prepared: that plan would be kept while the table grows, until it is analysed.
const SESSION: &str = "SET default_transaction_read_only = on; SET enable_seqscan = off; SET jit = off";

#[derive(Debug)]
struct Watched(Watch);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Watched {
    fn on_acquire(&self, conn: &mut PgConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        untranslated(conn)?;
        conn.batch_execute(SESSION).map_err(diesel::r2d2::Error::QueryError)?;
        conn.set_instrumentation(self.0.clone());
        Ok(())
    }
}

/// Has the database speak English: diesel hides SQLSTATE, so a deadlock is known by its text. Where the role may not set `lc_messages` and the
/// server speaks another language, an administrator must (`ALTER DATABASE … SET lc_messages = 'C'`); until then a deadlock is an error to the
/// caller instead of being tried again.
fn untranslated(conn: &mut PgConnection) -> std::result::Result<(), diesel::r2d2::Error> {
    if conn.batch_execute("SET lc_messages = 'C'").is_ok() {
        return Ok(());
    }
    let language: String =
        diesel::select(current_setting("lc_messages")).get_result(conn).map_err(diesel::r2d2::Error::QueryError)?;
    if !["C", "POSIX", "en"].iter().any(|english| language.starts_with(english)) {
        tracing::warn!(language, "the database speaks {language} and this role may not change that: set lc_messages to C for it");
    }
    Ok(())
}

impl Postgres {
    pub(crate) fn open(url: &str, settings: &Settings, watch: Watch, sender: Uuid) -> Result<Self> {
        // The pool would try for seconds and hide the cause; one plain connection says it at once.
        drop(connect(url)?);
        let pool = Pool::builder()
            .max_size(settings.pool_size.max(1))
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(settings.wait())
            .connection_customizer(Box::new(Watched(watch)))
            .build(ConnectionManager::new(url))
            .map_err(|cause| Error::Unavailable(Box::new(cause)))?;
        Ok(Self { pool, url: url.to_owned(), sender, most_stale: settings.pool_size.max(1) })
    }

    pub(crate) fn connect(&self) -> Result<PgConnection> {
        connect(&self.url)
    }

    /// A connection with an open transaction. BEGIN also proves that the connection lives: after a restart of the database every idle one is
    /// dead, and each is thrown away once.
    fn begin(&self, sql: &str) -> Result<PooledConnection<ConnectionManager<PgConnection>>> {
        let mut dead = 0;
        loop {
            let mut conn = self.pool.get().map_err(|cause| Error::Unavailable(Box::new(cause)))?;
            match AnsiTransactionManager::begin_transaction_sql(&mut *conn, sql) {
                Ok(()) => return Ok(conn),
                Err(error) if dead >= self.most_stale => return Err(failed(error)),
                Err(_dead) => dead += 1,
            }
        }
    }

    /// Runs a closure on a snapshot.
    pub(crate) fn read<T>(&self, run: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let mut conn = self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let outcome = caught(|| run(&mut Tx::new(Conn::Pg(&mut conn))));
        // There is nothing to undo; a connection that cannot say so is broken, and the pool sees that.
        drop(AnsiTransactionManager::rollback_transaction(&mut *conn));
        outcome
    }

    /// Runs a closure without a transaction, each statement by itself, which spares two ways to the database and back. Where the database fails it runs
    /// again on a snapshot: what begins one also throws dead connections away.
    pub(crate) fn glance<T>(&self, run: impl Fn(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let mut conn = self.pool.get().map_err(|cause| Error::Unavailable(Box::new(cause)))?;
        take_damage();
        let outcome = caught(|| run(&mut Tx::new(Conn::Pg(&mut conn))));
        drop(conn);
        if outcome.is_err() && take_damage() != Damage::None { self.read(run) } else { outcome }
    }

    /// Runs a closure in a transaction, again while it loses against others; with what others are to be told now.
    pub(crate) fn write<T>(&self, run: impl Fn(&mut Tx<'_>) -> Result<T>) -> Result<(T, Vec<Notice>)> {
        let mut tries = 1;
        loop {
            match self.attempt(&run) {
                Attempt::Done(outcome) => return outcome,
                Attempt::Lost(error) if tries >= TRIES => return Err(error),
                Attempt::Lost(_again) => {
                    thread::sleep(Duration::from_millis(5) * tries);
                    tries += 1;
                }
            }
        }
    }

    fn attempt<T>(&self, run: impl Fn(&mut Tx<'_>) -> Result<T>) -> Attempt<(T, Vec<Notice>)> {
        let mut conn = match self.begin("BEGIN READ WRITE") {
            Ok(conn) => conn,
            Err(error) => return Attempt::Done(Err(error)),
        };
        take_damage();
        let mut tx = Tx::new(Conn::Pg(&mut conn));
        let outcome = caught(|| {
            let value = run(&mut tx)?;
            tx.write_deltas()?;
            Ok(value)
        });
        let notices: Vec<Notice> = tx.into_rest().0.into_iter().collect();
        // PostgreSQL answers COMMIT of a failed transaction with success and rolls back: what a closure swallowed must not pass for written.
        let outcome = match (outcome, take_damage()) {
            (Ok(_), Damage::Constraint | Damage::Database | Damage::Lost) => {
                Err(Error::internal("a transaction went on after a failed statement"))
            }
            (outcome, Damage::Lost) => return self.undo(&mut conn, outcome, Attempt::Lost),
            (outcome, _) => outcome,
        };
        let value = match outcome {
            Ok(value) => value,
            Err(error) => return self.undo(&mut conn, Err::<T, Error>(error), |error| Attempt::Done(Err(error))),
        };
        let committed = AnsiTransactionManager::commit_transaction(&mut *conn);
        match committed {
            Ok(()) => Attempt::Done(Ok((value, notices))),
            Err(error) => {
                let lost = take_damage() == Damage::Lost;
                let error = failed(error);
                drop(AnsiTransactionManager::rollback_transaction(&mut *conn));
                if lost { Attempt::Lost(error) } else { Attempt::Done(Err(error)) }
            }
        }
    }

    fn undo<T, A>(&self, conn: &mut PgConnection, outcome: Result<T>, then: impl FnOnce(Error) -> A) -> A {
        drop(AnsiTransactionManager::rollback_transaction(conn));
        then(outcome.err().unwrap_or_else(|| Error::internal("a failed transaction had no error")))
    }

    /// Tells other processes, on a connection that is opened where there is none.
    pub(crate) fn notify(&self, conn: &mut Option<PgConnection>, bells: &BTreeSet<Notice>) -> Result<()> {
        let conn = match conn {
            Some(conn) => conn,
            None => {
                let mut new = self.connect()?;
                // A bell need not outlive the database.
                new.batch_execute("SET synchronous_commit = off").map_err(failed)?;
                conn.insert(new)
            }
        };
        let bells: Vec<_> = bells.iter().map(|bell| bell.encode(self.sender)).collect();
        sql_query(NOTIFY).bind::<Text, _>(CHANNEL).bind::<Array<Text>, _>(bells).execute(conn).map(drop).map_err(failed)
    }

    /// Passes on what other processes notify, until `bell` has no owner left.
    pub(crate) fn listen(self, bell: &Weak<broadcast::Sender<Notice>>) {
        while bell.strong_count() > 0 {
            if let Err(error) = self.hear(bell) {
                tracing::warn!(cause = ?error, "the connection for notifications broke");
            }
            thread::sleep(LISTEN_AGAIN);
        }
    }

    fn hear(&self, bell: &Weak<broadcast::Sender<Notice>>) -> Result<()> {
        let mut conn = self.connect()?;
        conn.batch_execute(&format!("LISTEN {CHANNEL}")).map_err(failed)?;
        // What was notified before now went by unheard, also the first time: the listeners are older than this connection.
        if let Some(bell) = bell.upgrade() {
            drop(bell.send(Notice::Lost));
        }
        loop {
            let Some(bell) = bell.upgrade() else { return Ok(()) };
            for heard in conn.notifications_iter() {
                if let Some(notice) = Notice::decode(&heard.map_err(failed)?.payload, self.sender) {
                    drop(bell.send(notice));
                }
            }
            drop(bell);
            thread::sleep(LISTEN_EVERY);
        }
    }
}

enum Attempt<T> {
    Done(Result<T>),
    Lost(Error),
}

diesel::define_sql_function! {
    /// The value of a parameter of the session.
    fn current_setting(name: Text) -> Text;
}

fn connect(url: &str) -> Result<PgConnection> {
    PgConnection::establish(url).map_err(|cause| Error::Unavailable(Box::new(cause)))
}
