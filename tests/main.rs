//! The tests that drive the real thing, on both databases, in one binary.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say so and stop"
)]
#[macro_use]
mod harness;

mod authorization;
mod command;
mod contacts;
mod contract;
mod devices;
mod executions;
mod imports;
mod jobs;
mod queue;
mod queue_processes;
mod queue_workers;
mod repeats;
mod requests;
mod schema;
mod store;
mod tls;
mod tokens;
