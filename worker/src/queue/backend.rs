//! The backend of apalis: claimed tasks from a channel. Claiming, leases and settling are not its worker's, so a busy worker starves none of them.
use std::convert::Infallible;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::layers::Identity;
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::context::WorkerContext;
use tokio::sync::{mpsc, watch};

use super::held::Held;

/// What has been claimed for one queue.
pub(super) struct Claims {
    pub(super) claimed: mpsc::Receiver<Held>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Backend for Claims {
    type Task = Task<Held>;
    type Error = Infallible;

    fn poll_ready(&mut self, _cx: &mut Context<'_>, _worker: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _worker: &WorkerContext) -> Poll<Option<Result<Task<Held>, Infallible>>> {
        loop {
            match self.claimed.poll_recv(cx) {
                // Dropped unstarted, hence put back.
                Poll::Ready(Some(held)) if *self.stopping.borrow() => drop(held),
                Poll::Ready(Some(held)) => {
                    let hold = held.claimed.hold;
                    // A task claimed again is another one to apalis.
                    let id = TaskId::String(format!("{}-{}", hold.id, hold.claim));
                    return Poll::Ready(Some(Ok(TaskBuilder::new(held).task_id(id).build())));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Infallible>> {
        // The end of the tasks does not end an apalis worker; being stopped does.
        if !worker.is_shutting_down()
            && let Err(error) = worker.stop()
        {
            tracing::warn!(cause = %error, "the worker of a queue could not be stopped");
        }
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Claims {
    type Args = Held;
    type Id = String;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _worker: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
