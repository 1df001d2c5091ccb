//! Devices, jobs, executions and operations: their states and the rules between them.
//!
//! Nothing here does I/O: time and ids are arguments, rows and messages are turned into these values elsewhere.
pub mod account;
pub mod acknowledgement;
pub mod alert_filter;
pub mod archive;
pub mod client;
pub mod clock;
pub mod cloud_event;
pub mod contact;
pub mod container;
pub mod correlator;
pub mod deliverable;
pub mod delivery;
pub mod device;
pub mod device_patch;
pub mod digest;
pub mod download;
pub mod egress;
pub mod eligibility;
pub mod error;
pub mod event;
mod event_example;
pub mod evidence;
pub mod execution;
pub mod facts;
pub mod fault;
pub mod id;
pub mod identity;
pub mod import;
pub mod job;
pub mod known_tree;
pub mod manifest;
pub mod operation;
pub mod organisation;
pub mod pointer;
pub mod progress;
pub mod push_address;
pub mod scope;
pub mod subscription;
pub mod subscription_index;
pub mod tag;
pub mod version;
pub mod wake;

pub use clock::{Clock, Ids, Timestamp};
pub use error::{Error, Result};
