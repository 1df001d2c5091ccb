//! South: the device gateway, and everything that happens later.
//!
//! [`gateway`] answers devices. [`jobs`] holds the tasks, each a file of its own, which [`queue`] runs.
mod cancel;
mod ending;
mod expand;
mod expire;
mod fold;
pub mod gateway;
pub mod jobs;
pub mod queue;
mod sweep;
mod tasks;

pub use queue::Settings;
pub use tasks::spawn;
