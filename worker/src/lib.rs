//! South: the device gateway, and everything that happens later.
//!
//! [`distributor`] lays the log out for its subscribers and [`deliver`] brings it to them. [`gateway`] answers devices, [`download`] serves them what they fetch. [`jobs`] holds the tasks, each a file of its own, which [`queue`] runs.
pub mod deliver;
pub mod distributor;
pub mod download;
pub mod egress;
pub mod gateway;
pub mod jobs;
pub mod push;
pub mod queue;
pub mod retention;
pub mod sequencer;

mod bell;
mod cancel;
mod containers;
mod ending;
mod expand;
mod expire;
mod fold;
mod sweep;
