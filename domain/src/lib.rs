//! Devices, jobs, executions and operations: their states and the rules between them.
//!
//! Nothing here does I/O: time and ids are arguments, rows and messages are turned into these values elsewhere.
pub mod client;
pub mod clock;
pub mod correlator;
pub mod error;
pub mod event;
pub mod evidence;
pub mod execution;
pub mod facts;
pub mod id;
pub mod job;
pub mod operation;
pub mod organisation;
pub mod scope;

pub use clock::{Clock, Ids, Timestamp};
pub use error::{Error, Result};
