//! Wrong secrets, counted for each client id, so that guessing is slowed down and seen.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dmwsi_domain::Timestamp;
use dmwsi_domain::id::ClientId;

/// How long wrong secrets are remembered.
const WINDOW: Duration = Duration::from_secs(60);

/// How many client ids are remembered; beyond it the old ones are forgotten.
const CAPACITY: usize = 10_000;

struct Tries {
    since: Timestamp,
    failed: u32,
}

/// A bounded memory of this process. It turns the answer to a wrong secret from 401 to 429, and never stands in the way of the right one:
/// otherwise anybody could lock out a client whose id is known, and 32 random bytes are not found by trying.
pub struct FailedLogins {
    limit: u32,
    tries: Mutex<HashMap<ClientId, Tries>>,
}

impl FailedLogins {
    /// Lets `limit` wrong secrets a minute pass.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit, tries: Mutex::new(HashMap::new()) }
    }

    /// Counts a wrong secret; beyond the limit, the seconds until the minute is over.
    pub fn count(&self, client: ClientId, now: Timestamp) -> Option<u64> {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= CAPACITY && !tries.contains_key(&client) {
            tries.retain(|_, entry| now.since(entry.since) < WINDOW);
            if tries.len() >= CAPACITY {
                tries.clear();
            }
        }
        let entry = tries.entry(client).or_insert(Tries { since: now, failed: 0 });
        if now.since(entry.since) >= WINDOW {
            *entry = Tries { since: now, failed: 0 };
        }
        entry.failed = entry.failed.saturating_add(1);
        (entry.failed > self.limit).then(|| WINDOW.saturating_sub(now.since(entry.since)).as_secs().max(1))
    }
}

#[cfg(test)]
mod tests {
    use dmwsi_domain::Clock;

    use super::*;

    #[test]
    fn wrong_secrets_are_counted_for_each_client_and_forgotten_after_a_minute() {
        let clock = Clock::manual(Timestamp::from_micros(0));
        let logins = FailedLogins::new(2);
        let [a, b] = [(); 2].map(|()| ClientId::new(clock.new_id()));
        assert_eq!([(); 3].map(|()| logins.count(a, clock.now())), [None, None, Some(60)]);
        assert_eq!(logins.count(b, clock.now()), None);
        clock.advance(Duration::from_secs(50));
        assert_eq!(logins.count(a, clock.now()), Some(10));
        clock.advance(Duration::from_secs(10));
        assert_eq!(logins.count(a, clock.now()), None);
    }

    #[test]
    fn the_memory_of_wrong_secrets_is_bounded() {
        let logins = FailedLogins::new(1);
        for number in 0..25_000u128 {
            logins.count(ClientId::new(uuid::Uuid::from_u128(number)), Timestamp::from_micros(0));
        }
        assert!(logins.tries.lock().unwrap().len() <= CAPACITY);
    }
}
