//! The database, opened: reads on snapshots, writes that are durable when they are answered.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use dmwsi_domain::{Clock, Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, oneshot};

use crate::bells::Bells;
use crate::failed::failed;
use crate::migrations::{self, Migrations, Step};
use crate::notice::Notice;
use crate::postgres::Postgres;
use crate::settings::{DatabaseUrl, Settings};
use crate::sqlite::{Exclusive, Manner, Readers};
use crate::tx::{Conn, Tx};
use crate::watch::Watch;
use crate::writer::{Work, Write, Writer, caught};

/// Notices a slow listener may lag behind before it is told that it lost some.
const NOTICES: usize = 4_096;

/// How many rows are completed in a transaction after the migrations.
const FILLED_AT_ONCE: i64 = 500;

/// The database. Cheap to clone; closed when the last clone is dropped, after what was asked has been written.
#[derive(Clone)]
pub struct Store(Arc<Opened>);

struct Opened {
    settings: Settings,
    statements: Arc<AtomicU64>,
    bell: Arc<broadcast::Sender<Notice>>,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    place: Place,
}

enum Place {
    Postgres { postgres: Postgres, listening: OnceLock<()>, bells: Bells },
    Sqlite { manner: Manner, readers: Readers, thread: WriterThread },
}

/// Ends with its sender: then everything that was asked has been written.
struct WriterThread {
    asked: Option<mpsc::Sender<Box<dyn Work>>>,
    handle: Option<JoinHandle<()>>,
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        drop(self.asked.take());
        let Some(handle) = self.handle.take() else { return };
        // The last clone may have lived in a closure on that very thread, which cannot wait for itself.
        if handle.thread().id() != thread::current().id() && handle.join().is_err() {
            tracing::error!("the writing thread panicked");
        }
    }
}

impl Store {
    /// Opens the database; on SQLite the file is made when there is none. The schema is left as it is: see [`Store::migrate`].
    pub fn open(settings: &Settings) -> Result<Self> {
        let statements = Arc::new(AtomicU64::new(0));
        let watch = Watch::new(Arc::clone(&statements), Duration::from_millis(settings.slow_query_ms));
        let bell = Arc::new(broadcast::Sender::new(NOTICES));
        let (place, readers) = match &settings.url {
            DatabaseUrl::Postgres(url) => {
                let postgres = Postgres::open(url, settings, watch, Clock::System.new_id())?;
                let bells = Bells::start(postgres.clone())?;
                (Place::Postgres { postgres, listening: OnceLock::new(), bells }, settings.pool_size)
            }
            DatabaseUrl::Sqlite(path) => {
                let manner = Manner::new(settings, watch);
                let conn = manner.writer(path)?;
                let readers = manner.readers(path, settings)?;
                let writer = Writer {
                    path: path.clone(),
                    manner: manner.clone(),
                    conn,
                    bell: (*bell).clone(),
                    most: usize::try_from(settings.batch_writes.max(1)).unwrap_or(usize::MAX),
                    longest: Duration::from_millis(settings.batch_ms),
                };
                let (asked, asking) = mpsc::channel();
                let handle = thread::Builder::new()
                    .name("dmwsi-writer".into())
                    .spawn(move || writer.serve(&asking))
                    .map_err(Error::internal)?;
                let thread = WriterThread { asked: Some(asked), handle: Some(handle) };
                (Place::Sqlite { manner, readers, thread }, settings.readers)
            }
        };
        let permits = |count: u32| Arc::new(Semaphore::new(usize::try_from(count.max(1)).unwrap_or(1)));
        let reads = permits(readers);
        // On PostgreSQL reads and writes share the pool, so they share the places before it.
        let writes = if matches!(place, Place::Sqlite { .. }) { permits(settings.waiting_writes) } else { Arc::clone(&reads) };
        Ok(Self(Arc::new(Opened { settings: settings.clone(), statements, bell, reads, writes, place })))
    }

    /// Runs `run` on a snapshot of the database, away from the threads that serve requests. It cannot write.
    pub async fn read<T: Send + 'static>(&self, run: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let permit = self.permit(&self.0.reads).await?;
        let store = self.clone();
        blocking(permit, move || match &store.0.place {
            Place::Postgres { postgres, .. } => postgres.read(run),
            Place::Sqlite { readers, .. } => {
                let mut conn = readers.get().map_err(|cause| Error::Unavailable(Box::new(cause)))?;
                conn.batch_execute("BEGIN").map_err(failed)?;
                let outcome = caught(|| run(&mut Tx::new(Conn::Sqlite(&mut conn))));
                conn.batch_execute("ROLLBACK").map_err(failed)?;
                outcome
            }
        })
        .await
    }

    /// As [`Store::read`] for a few rows that indexes find, each statement by itself, with a state of its own. On SQLite it runs at once where it is
    /// called, since the way to another thread and back takes longer than the reading. It may run more than once.
    pub async fn glance<T: Send + 'static>(&self, run: impl Fn(&mut Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        match &self.0.place {
            Place::Sqlite { readers, .. } => match readers.try_get() {
                Some(mut conn) => caught(|| run(&mut Tx::new(Conn::Sqlite(&mut conn)))),
                None => self.read(run).await,
            },
            Place::Postgres { postgres, .. } => {
                let (permit, postgres) = (self.permit(&self.0.reads).await?, postgres.clone());
                blocking(permit, move || postgres.glance(run)).await
            }
        }
    }

    /// Runs `run` in a transaction and answers once it is durable. It may run more than once, so time and ids are its arguments. An error
    /// undoes what it wrote, and nothing else.
    pub async fn write<T: Send + 'static>(&self, run: impl Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static) -> Result<T> {
        let permit = self.permit(&self.0.writes).await?;
        match &self.0.place {
            Place::Postgres { postgres, bells, .. } => {
                let (postgres, bell, others) = (postgres.clone(), Arc::clone(&self.0.bell), bells.sender());
                blocking(permit, move || {
                    let (value, notices) = postgres.write(run)?;
                    for notice in notices {
                        drop(bell.send(notice.clone()));
                        drop(others.as_ref().map(|others| others.send(notice)));
                    }
                    Ok(value)
                })
                .await
            }
            Place::Sqlite { thread, .. } => {
                let (answer, answered) = oneshot::channel();
                let span = tracing::Span::current();
                let work = Box::new(Write::new(move |tx: &mut Tx<'_>| span.in_scope(|| run(tx)), answer, permit));
                let asked = thread.asked.as_ref();
                asked.and_then(|asked| asked.send(work).ok()).ok_or_else(|| Error::internal("the writing thread has ended"))?;
                answered.await.map_err(|_dropped| Error::internal("the writing thread has ended"))?
            }
        }
    }

    /// Hears what transactions ring and announce, here and, on PostgreSQL, in other processes within 50 ms. The first call starts the one
    /// connection that listens.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        let heard = self.0.bell.subscribe();
        if let Place::Postgres { postgres, listening, .. } = &self.0.place {
            listening.get_or_init(|| {
                let (postgres, bell) = (postgres.clone(), Arc::downgrade(&self.0.bell));
                let started = thread::Builder::new().name("dmwsi-listener".into()).spawn(move || postgres.listen(&bell));
                if let Err(error) = started {
                    tracing::error!(cause = ?error, "no thread for notifications: waking relies on the safety poll");
                }
            });
        }
        heard
    }

    /// Statements sent to the database since it was opened, the beginnings and ends of transactions among them.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// Claims the database for the one process that serves; refused with `DATABASE_IN_USE` where another holds it. On PostgreSQL many may.
    pub fn exclusive(&self) -> Result<Exclusive> {
        match &self.0.settings.url {
            DatabaseUrl::Sqlite(path) => Exclusive::acquire(path),
            DatabaseUrl::Postgres(_) => Ok(Exclusive::shared()),
        }
    }

    /// Brings the schema up to date and says which migrations that took.
    pub async fn migrate(&self) -> Result<Migrations> {
        let migrations = self.step(Step::Run).await?;
        // What SQL cannot work out. An older program beside this one may leave more of it.
        while self.write(|tx| tx.fill_endpoints(FILLED_AT_ONCE)).await? > 0 {}
        Ok(migrations)
    }

    /// The migrations that `migrate` would run.
    pub async fn pending(&self) -> Result<Migrations> {
        self.step(Step::Pending).await
    }

    /// Undoes every migration. All data is lost.
    pub async fn revert(&self) -> Result<Migrations> {
        self.step(Step::Revert).await
    }

    async fn step(&self, step: Step) -> Result<Migrations> {
        let store = self.clone();
        let permit = self.permit(&self.0.reads).await?;
        blocking(permit, move || match (&store.0.place, &store.0.settings.url) {
            (Place::Postgres { postgres, .. }, _) => migrations::postgres(&mut postgres.connect()?, step),
            (Place::Sqlite { manner, .. }, DatabaseUrl::Sqlite(path)) => migrations::sqlite(&mut manner.writer(path)?, step),
            (Place::Sqlite { .. }, DatabaseUrl::Postgres(_)) => Err(Error::internal("a SQLite store without a path")),
        })
        .await
    }

    async fn permit(&self, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
        match tokio::time::timeout(self.0.settings.wait(), Arc::clone(places).acquire_owned()).await {
            Ok(permit) => permit.map_err(Error::internal),
            Err(elapsed) => Err(Error::Unavailable(Box::new(elapsed))),
        }
    }
}

/// Runs `run` where it may block. The permit goes along: a caller who leaves does not free the place of a closure that still runs.
async fn blocking<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    run: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let span = tracing::Span::current();
    let ran = tokio::task::spawn_blocking(move || {
        let outcome = span.in_scope(run);
        drop(permit);
        outcome
    });
    ran.await.map_err(Error::internal)?
}
