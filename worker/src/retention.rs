//! Forgets what is older than the log of events is kept.
use std::time::Duration;

use dmwsi_domain::{Clock, Result, Timestamp};
use dmwsi_store::Store;
use serde::{Deserialize, Serialize};

/// How many events are forgotten in one transaction.
const AT_ONCE: i64 = 500;

/// How many such transactions a run has at most.
const TURNS: usize = 20;

/// The section `events` of the settings.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// For how many days an event can be read; 3 to 3,650, and 30 by default. The timeline of an execution goes with its events, the execution itself stays.
    /// Subscriptions that are over are forgotten as long after their end.
    pub keep_days: KeepDays,
}

impl Settings {
    /// How long an event can be read.
    #[must_use]
    pub fn kept(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_days.0).saturating_mul(86_400))
    }
}

/// A number of days: 3 to 3,650. Fewer would be shorter than deliveries are tried again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct KeepDays(u32);

impl Default for KeepDays {
    fn default() -> Self {
        Self(30)
    }
}

impl TryFrom<u32> for KeepDays {
    type Error = KeepDaysError;

    fn try_from(days: u32) -> Result<Self, KeepDaysError> {
        if (3..=3_650).contains(&days) { Ok(Self(days)) } else { Err(KeepDaysError) }
    }
}

impl From<KeepDays> for u32 {
    fn from(days: KeepDays) -> Self {
        days.0
    }
}

/// The number of days is not one for which events are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("events are kept for 3 to 3,650 days")]
pub struct KeepDaysError;

/// Forgets events from before that time, the oldest first, in small transactions; whether there are more.
pub(crate) async fn forget_events(store: &Store, clock: &Clock, before: Timestamp) -> Result<bool> {
    for _ in 0..TURNS {
        let Some((organisation, at)) = store.glance(|tx| tx.oldest_event()).await? else { return Ok(false) };
        if at >= before {
            return Ok(false);
        }
        // None, where an event with a lower number is younger: both go when that is old.
        let (now, ids) = (clock.now(), clock.new_ids());
        let forgotten = store.write(move |tx| tx.forget_events(organisation, before, AT_ONCE, now, &mut ids.clone()));
        if forgotten.await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_kept_longer_than_deliveries_are_tried() {
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap().kept(), Duration::from_secs(30 * 86_400));
        assert!(serde_json::from_str::<Settings>(r#"{"keepDays": 2}"#).is_err());
        assert!(serde_json::from_str::<Settings>(r#"{"keepDays": 3}"#).is_ok());
    }
}
