//! What a task's handler gets and says.
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::{Result, Timestamp};
use dmwsi_store::queue::Hold;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::held::Holds;

/// How a handler ended. An error instead of it means: try again after a while that grows with each attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It can never succeed: a dead letter.
    Dead(String),
    /// There is nothing left to do.
    Done,
    /// It got somewhere and goes on at a time, with all its attempts. A handler that knows of later work says so here: a ring's time is a hint only.
    Progress(Timestamp),
    /// It failed and was told when to come again.
    RetryAfter(Duration, String),
}

/// What a handler knows of its run.
#[derive(Clone, Debug)]
pub struct Context {
    /// This attempt, from 1. An earlier one may have done part of the work.
    pub attempt: u32,
    /// The last attempt there may be.
    pub max_attempts: u32,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) claim: (Holds, Hold),
}

impl Context {
    /// Whether the claim is certainly still this process's. Once its lease has run out, because the process stood still or the database could not be
    /// reached, another may be at the same work: what goes out into the world should not go out any more.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let (holds, hold) = &self.claim;
        holds.has(*hold)
    }

    /// Whether the process is about to stop: a long task should end with [`Outcome::Progress`].
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// A handler's future.
pub(super) type Run = Pin<Box<dyn Future<Output = Result<Outcome>> + Send>>;

/// A handler of any payload; an error says that the payload cannot be read.
pub(super) type Handler = Arc<dyn Fn(&str, Context) -> Result<Run, serde_json::Error> + Send + Sync>;

/// Makes a handler of a function over its payload's type.
pub(super) fn handler<P, F, R>(run: F) -> Handler
where
    P: DeserializeOwned,
    F: Fn(P, Context) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Outcome>> + Send + 'static,
{
    Arc::new(move |payload, context| {
        let payload = serde_json::from_str(payload)?;
        Ok(Box::pin(run(payload, context)))
    })
}
