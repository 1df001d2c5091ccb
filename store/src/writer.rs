//! The one thread that writes to SQLite: many closures in one transaction, one commit for all of them.
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use diesel::SqliteConnection;
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use dmwsi_domain::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, broadcast, oneshot};

use crate::deltas::Deltas;
use crate::failed::{Damage, failed};
use crate::notice::Notice;
use crate::sqlite::Manner;
use crate::tx::{Conn, Tx};
use crate::watch::take_damage;

/// A closure that waits for its turn, and whoever waits for its answer.
pub(crate) struct Write<T, F> {
    run: F,
    answer: oneshot::Sender<Result<T>>,
    outcome: Option<Result<T>>,
    notices: BTreeSet<Notice>,
    deltas: Deltas,
    /// Freed with the answer, not with the caller: a closure whose caller went away still takes room.
    _room: OwnedSemaphorePermit,
}

impl<T, F> Write<T, F> {
    pub(crate) fn new(run: F, answer: oneshot::Sender<Result<T>>, room: OwnedSemaphorePermit) -> Self {
        Self { run, answer, outcome: None, notices: BTreeSet::new(), deltas: Deltas::default(), _room: room }
    }

    /// Answers. What the closure holds goes before: whoever hears the answer may count on holding it alone.
    fn tell(self, outcome: Result<T>) {
        drop(self.run);
        drop(self.answer.send(outcome));
    }
}

/// What the thread knows of a [`Write`] of any type.
pub(crate) trait Work: Send {
    /// Runs the closure within the open savepoint and keeps its outcome.
    fn run(&mut self, conn: &mut SqliteConnection) -> Verdict;
    /// Takes what the closure leaves to be written before the commit.
    fn deltas(&mut self) -> Deltas;
    /// Answers with what the closure said. Only after commit.
    fn answer(self: Box<Self>, bell: &broadcast::Sender<Notice>);
    /// Answers that the database failed, by the closure's own error where it has one.
    fn fail(self: Box<Self>);
    /// Answers with a failure.
    fn refuse(self: Box<Self>, error: Error);
}

/// What becomes of a closure's savepoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Keep,
    Undo,
    /// The database failed: the batch is spoilt.
    Spoilt,
}

impl<T: Send, F: Fn(&mut Tx<'_>) -> Result<T> + Send> Work for Write<T, F> {
    fn run(&mut self, conn: &mut SqliteConnection) -> Verdict {
        take_damage();
        let mut tx = Tx::new(Conn::Sqlite(conn));
        let outcome = caught(|| (self.run)(&mut tx));
        let (outcome, verdict) = match (outcome, take_damage()) {
            (outcome, Damage::Database | Damage::Lost) => (outcome, Verdict::Spoilt),
            // PostgreSQL cannot go on here, so neither may SQLite.
            (Ok(_), Damage::Constraint) => {
                (Err(Error::internal("a transaction went on after a failed statement")), Verdict::Undo)
            }
            (Ok(value), Damage::None) => (Ok(value), Verdict::Keep),
            (Err(error), Damage::None | Damage::Constraint) => (Err(error), Verdict::Undo),
        };
        (self.notices, self.deltas) = if verdict == Verdict::Keep { tx.into_rest() } else { Default::default() };
        self.outcome = Some(outcome);
        verdict
    }

    fn deltas(&mut self) -> Deltas {
        std::mem::take(&mut self.deltas)
    }

    fn answer(mut self: Box<Self>, bell: &broadcast::Sender<Notice>) {
        for notice in std::mem::take(&mut self.notices) {
            drop(bell.send(notice));
        }
        let outcome = self.outcome.take().unwrap_or_else(|| Err(Error::internal("the write was not run")));
        self.tell(outcome);
    }

    fn fail(mut self: Box<Self>) {
        let error = self.outcome.take().and_then(Result::err);
        self.refuse(error.unwrap_or_else(|| Error::Unavailable("the transaction failed".into())));
    }

    fn refuse(self: Box<Self>, error: Error) {
        self.tell(Err(error));
    }
}

/// What a closure brings; a panic in it is a failure like another.
pub(crate) fn caught<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!("a transaction panicked: {}", text.unwrap_or("no message")))
}

/// The state of the writing thread.
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) manner: Manner,
    pub(crate) conn: SqliteConnection,
    pub(crate) bell: broadcast::Sender<Notice>,
    pub(crate) most: usize,
    pub(crate) longest: Duration,
}

impl Writer {
    /// Writes until everybody who could ask has gone.
    pub(crate) fn serve(mut self, asked: &Receiver<Box<dyn Work>>) {
        while let Ok(first) = asked.recv() {
            self.batch(first, asked);
        }
    }

    /// One turn: one transaction for what waits, up to the caps; then the answers.
    fn batch(&mut self, first: Box<dyn Work>, asked: &Receiver<Box<dyn Work>>) {
        let began = Instant::now();
        let mut done: Vec<Box<dyn Work>> = Vec::new();
        let mut deltas = Deltas::default();
        let mut next = Some(first);
        if let Err(error) = self.begin() {
            return self.give_up(next, &error);
        }
        let mut sound = true;
        while let Some(mut work) = next.take() {
            sound = self.savepoint(&mut *work);
            deltas.add(work.deltas());
            done.push(work);
            if !sound || done.len() >= self.most || began.elapsed() >= self.longest {
                break;
            }
            next = asked.try_recv().ok();
        }
        metrics::histogram!("dmwsi_store_batch_writes").record(u32::try_from(done.len()).unwrap_or(u32::MAX));
        match if sound { self.commit(deltas) } else { Err(Error::internal("a statement failed")) } {
            Ok(()) => done.into_iter().for_each(|work| work.answer(&self.bell)),
            Err(error) => {
                tracing::warn!(cause = ?error, writes = done.len(), "a batch of {} writes failed and is rerun one by one", done.len());
                self.abandon();
                for work in done {
                    self.alone(work);
                }
            }
        }
    }

    /// Runs one closure of a spoilt batch in a transaction of its own; this time what fails has failed.
    fn alone(&mut self, mut work: Box<dyn Work>) {
        if let Err(error) = self.begin() {
            return self.give_up([work], &error);
        }
        if self.savepoint(&mut *work) {
            match self.commit(work.deltas()) {
                Ok(()) => return work.answer(&self.bell),
                Err(error) => work.refuse(error),
            }
        } else {
            work.fail();
        }
        self.abandon();
    }

    /// Runs one closure in its savepoint; false when the transaction is spoilt.
    fn savepoint(&mut self, work: &mut dyn Work) -> bool {
        if self.conn.batch_execute("SAVEPOINT write").is_err() {
            return false;
        }
        let end = match work.run(&mut self.conn) {
            Verdict::Keep => "RELEASE write",
            Verdict::Undo => "ROLLBACK TO write; RELEASE write",
            Verdict::Spoilt => return false,
        };
        self.conn.batch_execute(end).is_ok()
    }

    fn begin(&mut self) -> Result<()> {
        // By diesel's own bookkeeping: it makes a savepoint of its own where it writes many rows at once.
        AnsiTransactionManager::begin_transaction_sql(&mut self.conn, "BEGIN IMMEDIATE").map_err(failed)
    }

    fn commit(&mut self, deltas: Deltas) -> Result<()> {
        let mut tx = Tx::new(Conn::Sqlite(&mut self.conn));
        tx.deltas = deltas;
        tx.write_deltas()?;
        let (notices, _written) = tx.into_rest();
        AnsiTransactionManager::commit_transaction(&mut self.conn).map_err(failed)?;
        for notice in notices {
            // Nobody listening is no failure.
            drop(self.bell.send(notice));
        }
        Ok(())
    }

    /// Ends a spoilt transaction by opening another connection: what SQLite left of the old one need not be known.
    fn abandon(&mut self) {
        // The error that matters was told already; SQLite may have rolled back by itself.
        drop(self.conn.batch_execute("ROLLBACK"));
        match self.manner.writer(&self.path) {
            Ok(conn) => self.conn = conn,
            Err(error) => tracing::error!(cause = ?error, "the writing connection could not be opened again"),
        }
    }

    fn give_up(&mut self, works: impl IntoIterator<Item = Box<dyn Work>>, error: &Error) {
        tracing::error!(cause = ?error, "no transaction could be begun");
        for work in works {
            work.refuse(Error::Unavailable("no transaction could be begun".into()));
        }
        self.abandon();
    }
}
