//! How fast notifications may be sent.
use std::time::Duration;

use tokio::time::Instant;

/// A bucket of permissions that fills by the clock; it holds those of a fifth of a second.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u32,
    free_at: Instant,
}

/// For how long permissions are saved up.
const SAVED: Duration = Duration::from_millis(200);

impl Pace {
    /// At most so many a second.
    pub(super) fn new(rate: u32) -> Self {
        Self { rate: rate.max(1), free_at: Instant::now() }
    }

    /// How many may go at once, at least one.
    pub(super) fn most(&self) -> u32 {
        let saved = u64::from(self.rate).saturating_mul(u64::try_from(SAVED.as_millis()).unwrap_or(0)) / 1_000;
        u32::try_from(saved).unwrap_or(u32::MAX).max(1)
    }

    /// Waits until the next may go.
    pub(super) async fn wait(&self) {
        tokio::time::sleep_until(self.free_at).await;
    }

    /// So many have gone.
    pub(super) fn spend(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let now = Instant::now();
        let from = self.free_at.max(now.checked_sub(SAVED).unwrap_or(now));
        self.free_at = from + Duration::from_secs(1).saturating_mul(count) / self.rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_go_in_a_second_than_may() {
        let mut pace = Pace::new(1_000);
        let (began, mut gone) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_millis(500) {
            pace.wait().await;
            gone += pace.most();
            pace.spend(usize::try_from(pace.most()).unwrap());
        }
        // What was saved up before goes at once.
        assert!((400..=900).contains(&gone), "{gone}");
    }
}
