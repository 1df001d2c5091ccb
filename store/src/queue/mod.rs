//! The queue: a table of our own, written on the caller's transaction.
//!
//! At least once: a task is a bell that names rows of ours, and may ring twice. A claim has a number, which grows with each claim of the task;
//! only its holder settles it. Attempts are counted at the claim, so a task that kills its worker ends among the dead letters.
mod claim;
mod enqueue;
mod schema;
mod settle;

pub use claim::{Claimed, Depth, Found, Hold};
pub use enqueue::NewTask;
pub use settle::{Settled, Settlement};
