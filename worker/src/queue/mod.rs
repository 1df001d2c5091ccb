//! Everything that happens later: handlers of the queue's tasks, run by apalis over a backend of our own.
//!
//! For each queue a claimer takes no more tasks than there is room to run and hands them to an apalis worker; one keeper renews the leases of all
//! that is held; one settler writes the ends of many tasks in one transaction. A failure of the database delays each of them and ends none.
//! While a queue is idle nothing is asked of the database but a slow safety poll.
mod backend;
mod bells;
mod claimer;
mod handler;
mod held;
mod keeper;
mod running;
mod settings;
mod settler;

pub use handler::{Context, Outcome};
pub use running::{Queues, Running};
pub use settings::{Lane, Settings};
