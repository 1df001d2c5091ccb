//! Executions driven step by step by a device that is played here: no wire, no clock, no rows.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken script must stop the test")]
mod device;
mod execution;
mod firmware_package;
mod firmware_reports;
mod firmware_supply;
mod firmware_update;
mod job;
mod node_commands;
mod node_groups;
mod nodes;
mod secret_rotate;
