//! How far a device is with fetching what we keep for it.
use serde::Serialize;
use utoipa::ToSchema;

use crate::Timestamp;
use crate::execution::Execution;

/// How many percent of an execution a download is: those between the phases `DOWNLOADING` and `UPDATING`.
const SHARE: u64 = 40;

/// What was sent of a payload for one execution. The bytes are those given to the network: the device may have fewer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"size": 10485760, "reached": 4194304, "sent": 4259840, "requests": 2, "startedAt": "2026-11-21T10:16:02Z", "updatedAt": "2026-11-21T10:16:20Z"}))]
pub struct Download {
    /// How long the payload is, in bytes.
    pub size: u64,
    /// How far into it the device is, in bytes.
    pub reached: u64,
    /// How many bytes were sent in all, those of repeated parts too.
    pub sent: u64,
    /// How many requests the device made for it.
    pub requests: u64,
    /// When the first of them came.
    pub started_at: Timestamp,
    /// When something was last sent.
    pub updated_at: Timestamp,
    /// Counts changes.
    #[serde(skip)]
    pub revision: u64,
}

impl Download {
    /// How far the execution is with this download, 0 to 100. Outside of the phase in which it downloads that is what the execution itself says.
    #[must_use]
    pub fn progress(&self, execution: &Execution) -> u8 {
        if execution.state.is_finished() || execution.phase.as_deref() != Some("DOWNLOADING") {
            return execution.progress;
        }
        let part = self.reached.min(self.size).saturating_mul(SHARE).checked_div(self.size).unwrap_or(SHARE);
        execution.progress.saturating_add(u8::try_from(part).unwrap_or(0)).min(100)
    }
}
