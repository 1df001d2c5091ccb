//! An event on its way to a subscriber: its attempts, when it is tried again, and what failures mean for its subscription.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// The waits after the first, second, … attempt that failed, before up to a fourth of each is taken off by chance: twelve attempts in about two days.
pub const RETRIES: [Duration; 11] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(3_600),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(4 * 3_600),
    Duration::from_secs(8 * 3_600),
    Duration::from_secs(12 * 3_600),
    Duration::from_secs(19 * 3_600),
];

/// The longest wait that a receiver can ask for by `Retry-After`.
pub const LONGEST_ASKED: Duration = Duration::from_secs(3_600);

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryState {
    /// It is still to be delivered.
    Pending,
    /// The receiver has taken it.
    Delivered,
    /// It is not tried any more, which `dmwsi.v1.subscription-delivery-dead` tells, unless it is such a notice itself or its client may not have it any
    /// more. It can be had again by `redeliver` and `recover`.
    Dead,
}

impl DeliveryState {
    /// The word on disk and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Delivered => "DELIVERED",
            Self::Dead => "DEAD",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Dead].into_iter().find(|state| state.as_str() == word)
    }
}

/// What was wrong with an attempt.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryError {
    /// The server does not connect to that address.
    AddressForbidden,
    /// No token could be had to present to the receiver.
    CredentialRefused,
    /// The receiver says that it is gone (410).
    Gone,
    /// The name of the receiver could not be resolved, no connection was made, or it broke off.
    Unreachable,
    /// The client may not be told of this event (any more).
    NotPermitted,
    /// This server could not make the event ready. That is tried again, and the receiver is not blamed for it.
    NotReady,
    /// The receiver answered by a redirect, which is never followed.
    Redirected,
    /// The receiver answered by a status other than 2xx.
    Refused,
    /// The receiver asked for less (429), or is busy (503).
    Throttled,
    /// The receiver did not answer in time.
    TimedOut,
    /// The event cannot be read. It is not tried again by itself.
    Unreadable,
}

/// One attempt at a delivery.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it was made.
    pub at: Timestamp,
    /// The status of the answer, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 100, maximum = 599)]
    pub response_status: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What was wrong with it; absent when the receiver has taken the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<DeliveryError>,
}

/// When the receiver of a subscription is tried again, and when it is given up.
#[derive(Clone, Debug)]
pub struct Patience {
    /// The waits after each attempt that failed; when they are used up the delivery is dead.
    pub retries: Vec<Duration>,
    /// After so many failures one after the other the receiver is left alone for a while, and then tried with one delivery.
    pub breaker_after: u32,
    /// The first such while; doubled for each further failure.
    pub breaker_first: Duration,
    /// The longest such while.
    pub breaker_longest: Duration,
    /// After so long with nothing but failures the subscription is switched off.
    pub give_up_after: Duration,
}

impl Patience {
    /// How long after attempt `attempt`, from 1, the next one is made; none when that was the last. `chance` is any number.
    #[must_use]
    pub fn wait(&self, attempt: u32, asked: Option<Duration>, chance: u64) -> Option<Duration> {
        let at = usize::try_from(attempt.saturating_sub(1)).ok()?;
        let whole = *self.retries.get(at)?;
        Some(whole.saturating_sub(part(whole / 4, chance)).max(asked.unwrap_or_default().min(LONGEST_ASKED)))
    }

    fn pause(&self, failures: u32, chance: u64) -> Duration {
        let doublings = failures.saturating_sub(self.breaker_after).min(20);
        let whole = self.breaker_first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        let whole = whole.min(self.breaker_longest);
        whole.saturating_sub(part(whole / 4, chance))
    }
}

fn part(most: Duration, chance: u64) -> Duration {
    let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(chance.checked_rem(most.saturating_add(1)).unwrap_or_default())
}

/// How a receiver has been doing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Health {
    /// How many attempts have failed since the last that did not; those that end while the receiver is left alone do not count.
    pub failures: u32,
    /// Since when all have failed.
    pub failing_since: Option<Timestamp>,
    /// Until when the receiver is left alone.
    pub open_until: Option<Timestamp>,
    /// Which notice was given last, in percent; 0 for none.
    pub notice: u8,
    /// Whether its deliveries run among those that give trouble.
    pub is_troubled: bool,
}

/// Turns of a rate: so many deliveries may begin from that time on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Turns {
    /// When they may begin.
    pub at: Timestamp,
    /// How many.
    pub turns: u32,
}

/// How far ahead turns are promised at most. What says more was written by a clock that was wrong.
const AHEAD: Duration = Duration::from_secs(86_400);

impl Turns {
    /// The next turns of a rate by the minute, at most `most`, and until when it is used up then, as it was until `used` before. A second's worth may come
    /// at once. Where it is used up, a later time is promised, so that whoever asks first is first and nobody asks again in vain; then for a
    /// quarter of a second's worth together.
    #[must_use]
    pub fn next(rate: u32, used: Timestamp, most: u32, now: Timestamp) -> (Self, Timestamp) {
        let (every, most) = (Duration::from_secs(60) / rate.max(1), most.max(1));
        let used = if used > now.plus(AHEAD) { now } else { used };
        let since = used.max(now.minus(Duration::from_secs(1).saturating_sub(every)));
        let (at, turns) = if since > now {
            let turns = (rate / 240).clamp(1, most);
            (since.plus(every.saturating_mul(turns - 1)), turns)
        } else {
            let free = now.since(since).as_micros().checked_div(every.as_micros()).unwrap_or_default().saturating_add(1);
            (now, u32::try_from(free).unwrap_or(u32::MAX).min(most))
        };
        (Self { at, turns }, since.plus(every.saturating_mul(turns)))
    }
}

impl Health {
    /// The same of a receiver that begins anew: its deliveries run where they ran, and nothing else is held against it.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { is_troubled: self.is_troubled, ..Self::default() }
    }

    /// Notes that the receiver has taken an event.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
        self.failing_since = None;
        self.open_until = None;
        self.notice = 0;
    }

    /// Notes an attempt that failed. Says which notice is due of 50, 90 and 100 percent of the time after which it is given up.
    pub fn failed(&mut self, patience: &Patience, asked: Option<Duration>, now: Timestamp, chance: u64) -> Option<u8> {
        let since = *self.failing_since.get_or_insert(now);
        let mut until = asked.map(|asked| now.plus(asked.min(LONGEST_ASKED)));
        // What was under way when others failed says nothing new.
        let is_left_alone = self.open_until.is_some_and(|until| until > now);
        if !is_left_alone {
            self.failures = self.failures.saturating_add(1);
        }
        if !is_left_alone && self.failures >= patience.breaker_after {
            until = until.max(Some(now.plus(patience.pause(self.failures, chance))));
        }
        self.open_until = self.open_until.max(until);
        let (over, all) = (now.since(since), patience.give_up_after);
        // One after the other: nobody is given up unwarned, however long nothing was tried.
        let next = [50_u8, 90, 100].into_iter().find(|percent| *percent > self.notice)?;
        let due = Some(next).filter(|percent| over >= all.saturating_mul(u32::from(*percent)) / 100)?;
        self.notice = due;
        Some(due)
    }

    /// Whether only one delivery is tried next, to see whether the receiver is back.
    #[must_use]
    pub const fn is_probing(&self, patience: &Patience) -> bool {
        self.failures >= patience.breaker_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience() -> Patience {
        Patience {
            retries: RETRIES.to_vec(),
            breaker_after: 5,
            breaker_first: Duration::from_secs(10),
            breaker_longest: Duration::from_secs(3_600),
            give_up_after: Duration::from_secs(5 * 86_400),
        }
    }

    #[test]
    fn twelve_attempts_are_made_within_two_days() {
        let patience = patience();
        let most: Duration = (1..=11).map(|attempt| patience.wait(attempt, None, 0).unwrap()).sum();
        assert!((Duration::from_secs(40 * 3_600)..Duration::from_secs(48 * 3_600)).contains(&most), "{most:?}");
        assert_eq!(patience.wait(12, None, 0), None);
        for chance in [1, 77, u64::MAX] {
            let wait = patience.wait(1, None, chance).unwrap();
            assert!((Duration::from_millis(3_750)..=Duration::from_secs(5)).contains(&wait), "{wait:?}");
        }
        let asked = |seconds| patience.wait(1, Some(Duration::from_secs(seconds)), 0).unwrap().as_secs();
        assert_eq!((asked(1), asked(60), asked(1_000_000)), (5, 60, 3_600), "within bounds");
    }

    #[test]
    fn a_receiver_that_fails_is_left_alone_longer_and_longer_and_given_up_after_three_notices() {
        let (patience, mut health) = (patience(), Health::default());
        let begin = Timestamp::from_micros(0);
        for _ in 0..4 {
            assert_eq!(health.failed(&patience, None, begin, 0), None);
        }
        assert!(health.open_until.is_none() && !health.is_probing(&patience));
        for _ in 0..60 {
            health.failed(&patience, None, begin, 0);
            assert_eq!(
                (health.failures, health.open_until),
                (5, Some(begin.plus(Duration::from_secs(10)))),
                "many at once are one"
            );
        }
        health.failed(&patience, None, begin.plus(Duration::from_secs(10)), 0);
        assert_eq!(health.open_until, Some(begin.plus(Duration::from_secs(30))));
        let notices: Vec<_> = (0..=5 * 24)
            .filter_map(|hour| health.failed(&patience, None, begin.plus(Duration::from_secs(hour * 3_600)), 0))
            .collect();
        assert_eq!(notices, [50, 90, 100]);
        health.succeeded();
        assert_eq!(health, Health::default());
        health.failed(&patience, None, begin, 0);
        let late = begin.plus(Duration::from_secs(30 * 86_400));
        let notices: Vec<_> = (0..4).map(|_| health.failed(&patience, None, late, 0)).collect();
        assert_eq!(notices, [Some(50), Some(90), Some(100), None], "nobody is given up unwarned");
    }

    #[test]
    fn a_rate_is_kept_whatever_is_asked_for_and_when() {
        let at = |millis: i64| Timestamp::from_micros(1_000_000_000 + millis * 1_000);
        let begin = Timestamp::default();
        let next = |rate, used, most, now| {
            let (Turns { at, turns }, used) = Turns::next(rate, used, most, now);
            (turns, at, used)
        };
        assert_eq!(next(240, begin, 64, at(0)), (4, at(0), at(250)), "a second's worth");
        assert_eq!(next(240, begin, 2, at(0)), (2, at(0), at(-250)), "the rest is left");
        assert_eq!(next(240, at(250), 64, at(249)), (1, at(250), at(500)), "what is used up is promised for later");
        assert_eq!(next(240, at(500), 64, at(249)), (1, at(500), at(750)), "and to the next one for later still");
        assert_eq!(next(240, at(250), 64, at(250)), (1, at(250), at(500)));
        assert_eq!(next(6_000, at(250), 64, at(200)), (25, at(490), at(500)), "a quarter of a second's worth together");
        assert_eq!(next(1, begin, 64, at(0)), (1, at(0), at(60_000)), "no two at once");
        assert_eq!(next(1_000_000, begin, 64, at(0)).0, 64);
        assert_eq!(next(60, at(2 * 86_400_000), 1, at(0)), (1, at(0), at(1_000)), "a clock was wrong");
        for rate in [1, 7, 59, 600, 1_000_000] {
            let (mut used, mut count, mut now) = (begin, 0, at(0));
            while now < at(120_000) {
                let (turns, begins, until) = next(rate, used, 1_000, now);
                count += if begins < at(120_000) { turns } else { 0 };
                (used, now) = (until, begins.max(now.plus(Duration::from_millis(1))));
            }
            assert!((rate * 2 - 1..=rate * 2 + rate / 40 + 1).contains(&count), "{count} at {rate}");
        }
    }
}
