//! What an operator may set about downloads.
use serde::{Deserialize, Serialize};

/// The section `downloads` of the settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// How many bytes a second a process sends to all devices that download, together; 0, which is the default, is as many as it can.
    pub bytes_per_second: u64,
    /// How many bytes a second one download gets at most of a process, by however many connections; 0, which is the default, is as many as there are.
    pub bytes_per_second_each: u64,
    /// The most downloads that a process has open; 1,000 by default. Who comes then is told to come again.
    pub max_open: usize,
    /// After how many seconds a device that is turned away, since too many download, should come again; 30 by default.
    pub retry_after_seconds: u64,
    /// After how many seconds in which it takes nothing a download gives its place to another; 60 by default. The device resumes it.
    pub stalled_seconds: u64,
    /// How many bytes are read from the content folder at a time; 65,536 by default, and fewer under a small budget.
    pub chunk_bytes: u32,
    /// How often what was sent is written to the database, in seconds; 2 by default. At the same time what may no longer be fetched is broken off.
    pub flush_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bytes_per_second: 0,
            bytes_per_second_each: 0,
            max_open: 1_000,
            retry_after_seconds: 30,
            stalled_seconds: 60,
            chunk_bytes: 65_536,
            flush_seconds: 2,
        }
    }
}
