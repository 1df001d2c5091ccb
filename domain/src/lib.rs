//! Devices, jobs, executions and operations: their states and the rules between them.
//!
//! Nothing here does I/O: time and ids are arguments, rows and messages are turned into these values elsewhere.
pub mod client;
pub mod clock;
pub mod error;
pub mod id;
pub mod organisation;
pub mod scope;

pub use clock::{Clock, Timestamp};
pub use error::{Error, Result};
