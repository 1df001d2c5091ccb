//! So many bytes a second, and no more.
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How much may be saved up while nothing is sent.
const SAVED: Duration = Duration::from_millis(250);

/// A budget of bytes a second. Who takes from it is told how long to wait, in the order of asking, so nobody starves.
#[derive(Debug)]
pub(super) struct Budget {
    rate: Option<f64>,
    /// Up to when it is spent.
    spent: Mutex<Option<Instant>>,
}

impl Budget {
    /// So many bytes a second; without end when that is 0.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a rate need not be exact")]
    pub(super) const fn new(bytes_per_second: u64) -> Self {
        Self { rate: if bytes_per_second == 0 { None } else { Some(bytes_per_second as f64) }, spent: Mutex::new(None) }
    }

    /// Takes `bytes`, and says when they may be sent.
    pub(super) fn take(&self, bytes: usize) -> Option<Instant> {
        let rate = self.rate?;
        let bytes = u32::try_from(bytes).map_or(f64::from(u32::MAX), f64::from);
        let now = Instant::now();
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(SAVED).unwrap_or(now);
        let from = spent.unwrap_or(earliest).max(earliest);
        let until = from + Duration::try_from_secs_f64(bytes / rate).unwrap_or(Duration::from_secs(3_600));
        *spent = Some(until);
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_there_is() {
        let (budget, began) = (Budget::new(100_000), Instant::now());
        let last = (0..100).filter_map(|_| budget.take(10_000)).max().unwrap();
        let took = last - began;
        assert!(took > Duration::from_millis(9_700) && took < Duration::from_secs(11), "{took:?}");
        assert_eq!(Budget::new(0).take(usize::MAX), None);
    }
}
