//! How many tasks run at a time, and the times of their lives.
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The section of the settings for tasks.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Settings {
    /// How long a claim holds without being renewed, in milliseconds; renewed at a third of it. A killed worker's tasks run again after it. Default
    /// 30,000. Clocks of nodes that share a database must differ by much less.
    pub lease_ms: u64,
    /// How often an idle queue looks into the database although nothing rang, in milliseconds; default 30,000.
    pub safety_poll_ms: u64,
    /// The wait before the second attempt, in milliseconds, doubled for each further one, less up to half by chance; default 1,000.
    pub retry_first_ms: u64,
    /// The longest wait between two attempts, in milliseconds; default 3,600,000 (an hour).
    pub retry_longest_ms: u64,
    /// How long running tasks may take to finish when the process stops, in milliseconds; default 20,000. Then they are interrupted and run again.
    pub stop_ms: u64,
    /// Dead letters of standing queues are given another life so often, in milliseconds; default 3,600,000 (an hour).
    pub revive_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease_ms: 30_000,
            safety_poll_ms: 30_000,
            retry_first_ms: 1_000,
            retry_longest_ms: 3_600_000,
            stop_ms: 20_000,
            revive_ms: 3_600_000,
        }
    }
}

impl Settings {
    pub(super) const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How often a queue looks for tasks by itself, should a bell have been lost.
    #[must_use]
    pub const fn safety_poll(&self) -> Duration {
        Duration::from_millis(self.safety_poll_ms)
    }

    /// The wait after attempt `attempt` failed; `chance` is any number.
    pub(super) fn backoff(&self, attempt: u32, chance: u64) -> Duration {
        let doubled = self.retry_first_ms.saturating_mul(1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX));
        let whole = doubled.min(self.retry_longest_ms);
        let half = whole / 2;
        Duration::from_millis(whole - chance % (half + 1))
    }
}

/// How one queue is run.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// Most tasks in the hands of this process, settled ones among them until that is written.
    pub room: u32,
    /// Most tasks taken with one claim.
    pub batch: u32,
    /// Its tasks must always be there: dead letters are revived by the hour.
    pub standing: bool,
}

impl Default for Lane {
    fn default() -> Self {
        Self { room: 16, batch: 8, standing: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_the_longest() {
        let settings = Settings::default();
        assert_eq!(settings.backoff(1, 0), Duration::from_secs(1));
        assert_eq!(settings.backoff(4, 0), Duration::from_secs(8));
        assert_eq!(settings.backoff(60, 0), Duration::from_secs(3_600));
        assert_eq!(settings.backoff(1_000, 0), Duration::from_secs(3_600));
        for chance in [1, 77, 500, 501, u64::MAX] {
            let wait = settings.backoff(1, chance);
            assert!((Duration::from_millis(500)..=Duration::from_secs(1)).contains(&wait), "{wait:?}");
        }
    }
}
