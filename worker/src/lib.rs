//! South: the device gateway, and everything that happens later.
pub mod gateway;
pub mod queue;
