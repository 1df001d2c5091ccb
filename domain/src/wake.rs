//! Waking a device: asking it by package 0 to call, again and again until it does or there is no more reason to.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::id::DeviceId;

/// For how long a device is woken that a client wants to hear of, where it has nothing to do.
pub const ASKED_FOR: Duration = Duration::from_secs(86_400);

/// How long is waited between two attempts where the most attempts were made and there is still something to do: a day.
const SELDOM: Duration = Duration::from_secs(86_400);

/// How long a device that is in a session is left alone before somebody looks again.
const SESSION: Duration = Duration::from_secs(1);

/// Where the waking of a device stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WakeState {
    /// It is being woken.
    Waking,
    /// It called because it was woken.
    Answered,
    /// It called by itself.
    Called,
    /// There was no more reason to wake it.
    Withdrawn,
    /// It did not call in time.
    Expired,
    /// It cannot be woken at its push address.
    Failed,
}

impl WakeState {
    const ALL: [Self; 6] = [Self::Waking, Self::Answered, Self::Called, Self::Withdrawn, Self::Expired, Self::Failed];

    /// The word on disk and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waking => "WAKING",
            Self::Answered => "ANSWERED",
            Self::Called => "CALLED",
            Self::Withdrawn => "WITHDRAWN",
            Self::Expired => "EXPIRED",
            Self::Failed => "FAILED",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// The last wake of a device. There is one at most, whatever it is woken for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wake {
    /// The device.
    pub device: DeviceId,
    /// The number of the session it is asked to hold, 1 to 65,535; the same in every attempt.
    pub session: u16,
    /// Where it stands.
    pub state: WakeState,
    /// Whether a client wants to hear of the device until `expires_at`, even if there is nothing to do on it.
    pub is_asked: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was last tried.
    pub attempted_at: Option<Timestamp>,
    /// What was wrong with the last attempt, as a stable code; none when package 0 was handed over.
    pub trouble: Option<String>,
    /// When it is tried next.
    pub next_at: Option<Timestamp>,
    /// Until when a client wants to hear of it; what there is to do may keep it open for longer.
    pub expires_at: Option<Timestamp>,
    /// When the device was last wanted.
    pub opened_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How patiently devices are woken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// The wait after the first attempt; doubled for each further one, less up to half by chance.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// The most attempts, after which a device that a client wants to hear of is given up. One with something to do is woken once a day from then on.
    pub attempts: u32,
}

impl Patience {
    /// How long to wait after attempt `attempt`, counted from 1; `chance` is any number.
    #[must_use]
    pub fn wait(&self, attempt: u32, chance: u64) -> Duration {
        let doublings = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(doublings).min(self.longest);
        let half = u64::try_from(whole.as_micros() / 2).unwrap_or(u64::MAX - 1);
        whole.saturating_sub(Duration::from_micros(chance % half.saturating_add(1)))
    }
}

/// What to do about a device that is to be woken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Wake it now, and once more at `next` if it does not call.
    Attempt {
        /// When to try again.
        next: Timestamp,
    },
    /// Look again then.
    Later(Timestamp),
    /// Leave it.
    End(WakeState),
}

impl Wake {
    /// What to do now that it is due. `in_session` says that the device speaks just now, `has_work` that there is something to do on it; `chance` is
    /// any number.
    #[must_use]
    pub fn due(&self, in_session: bool, has_work: bool, patience: &Patience, chance: u64, now: Timestamp) -> Verdict {
        let is_over = self.expires_at.is_some_and(|end| end <= now);
        let is_exhausted = self.attempts >= patience.attempts;
        if self.is_asked && !has_work && (is_over || is_exhausted) {
            return Verdict::End(WakeState::Expired);
        }
        if in_session {
            return Verdict::Later(now.plus(SESSION));
        }
        if !self.is_asked && !has_work {
            return Verdict::End(WakeState::Withdrawn);
        }
        let wait = patience.wait(self.attempts.saturating_add(1), chance);
        let next = now.plus(if is_exhausted { wait.max(SELDOM) } else { wait });
        Verdict::Attempt { next: self.expires_at.filter(|end| *end > now).map_or(next, |end| next.min(end)) }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const PATIENCE: Patience = Patience { first: Duration::from_secs(30), longest: Duration::from_secs(3_600), attempts: 3 };

    fn wake(is_asked: bool, attempts: u32, expires_at: Option<i64>) -> Wake {
        Wake {
            device: DeviceId::new(Uuid::from_u128(1)),
            session: 1,
            state: WakeState::Waking,
            is_asked,
            attempts,
            attempted_at: None,
            trouble: None,
            next_at: Some(Timestamp::from_micros(0)),
            expires_at: expires_at.map(Timestamp::from_micros),
            opened_at: Timestamp::from_micros(0),
            ended_at: None,
        }
    }

    #[test]
    fn each_wait_doubles_up_to_the_longest_less_up_to_half_by_chance() {
        assert_eq!(PATIENCE.wait(1, 0), Duration::from_secs(30));
        assert_eq!(PATIENCE.wait(3, 0), Duration::from_secs(120));
        assert_eq!(PATIENCE.wait(90, 0), Duration::from_secs(3_600));
        for chance in [1, 77, 14_999_999, 15_000_000, u64::MAX] {
            let wait = PATIENCE.wait(1, chance);
            assert!((Duration::from_secs(15)..=Duration::from_secs(30)).contains(&wait), "{wait:?}");
        }
    }

    #[test]
    fn a_device_is_woken_while_there_is_a_reason_and_time() {
        let now = Timestamp::from_micros(10_000_000);
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        for (what, wake, in_session, has_work, verdict) in [
            ("work", wake(false, 0, None), false, true, Verdict::Attempt { next: at(40) }),
            ("asked", wake(true, 1, None), false, false, Verdict::Attempt { next: at(70) }),
            ("little time", wake(true, 0, Some(11_000_000)), false, false, Verdict::Attempt { next: at(11) }),
            ("session", wake(true, 0, None), true, true, Verdict::Later(at(11))),
            ("nothing to do", wake(false, 0, None), false, false, Verdict::End(WakeState::Withdrawn)),
            ("too late", wake(true, 0, Some(10_000_000)), true, false, Verdict::End(WakeState::Expired)),
            ("too late, but work", wake(true, 0, Some(10_000_000)), false, true, Verdict::Attempt { next: at(40) }),
            ("too often", wake(true, 3, Some(20_000_000)), false, false, Verdict::End(WakeState::Expired)),
            ("too often, but work", wake(false, 3, None), false, true, Verdict::Attempt { next: at(10 + 86_400) }),
            ("too often, and nothing to do", wake(false, 3, None), false, false, Verdict::End(WakeState::Withdrawn)),
        ] {
            assert_eq!(wake.due(in_session, has_work, &PATIENCE, 0, now), verdict, "{what}");
        }
    }

    #[test]
    fn every_state_is_read_from_its_word() {
        for state in WakeState::ALL {
            assert_eq!(WakeState::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
