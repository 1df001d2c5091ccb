//! Keeping what is said in a device's sessions, for a while and within bounds.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{Error, Result, Timestamp};

/// The longest that a device's messages are kept at one bidding: seven days.
pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// The most messages of a device that are kept at one bidding.
pub const MAX_MESSAGES: u32 = 1_000;

/// The most that is kept of a device's messages at one bidding, in bytes of their views.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// What an operator bids: the messages of a device are kept until then.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"until": "2126-11-21T12:00:00Z"}))]
pub struct NewTracing {
    /// Until when messages are kept: a time to come; one more than seven days ahead stands for seven days.
    pub until: Timestamp,
}

impl NewTracing {
    /// The bidding as it holds, with nothing kept yet.
    pub fn begin(self, now: Timestamp) -> Result<Tracing> {
        if self.until <= now {
            return Err(Error::invalid("/until", "OUT_OF_RANGE", "must be a time to come"));
        }
        Ok(Tracing { until: self.until.min(now.plus(LONGEST)), messages: 0, bytes: 0 })
    }
}

/// A bidding to keep messages, and how much of it is used up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tracing {
    /// Until when.
    pub until: Timestamp,
    /// How many messages were kept.
    pub messages: u32,
    /// How much that is, in bytes.
    pub bytes: u64,
}

impl Tracing {
    /// Whether a message that comes now is kept.
    #[must_use]
    pub fn is_on(&self, now: Timestamp) -> bool {
        now < self.until && self.messages < MAX_MESSAGES && self.bytes < MAX_BYTES
    }
}

/// A message of a device and the answer to it, as views without secrets.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracedMessage {
    /// What the device said; as far as it could be read.
    #[serde(default)]
    pub heard: Option<Value>,
    /// How large that was, in bytes.
    pub bytes_heard: u64,
    /// What it was told; none where it got no answer.
    #[serde(default)]
    pub told: Option<Value>,
    /// How large that was, in bytes.
    pub bytes_told: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bidding_ends_by_time_by_number_and_by_size() {
        let at = |seconds: u64| Timestamp::from_micros(0).plus(Duration::from_secs(seconds));
        assert!(NewTracing { until: at(5) }.begin(at(5)).is_err());
        let far = NewTracing { until: at(99 * 86_400) }.begin(at(0)).unwrap();
        assert_eq!(far.until, at(7 * 86_400));
        let tracing = NewTracing { until: at(10) }.begin(at(0)).unwrap();
        assert!(tracing.is_on(at(9)) && !tracing.is_on(at(10)));
        assert!(!Tracing { messages: MAX_MESSAGES, ..tracing }.is_on(at(1)));
        assert!(!Tracing { bytes: MAX_BYTES, ..tracing }.is_on(at(1)));
    }
}
