//! Which ends of an update are worth another attempt.
//!
//! | the device reports (OMA FUMO 1.0, 5.5) | class | what follows |
//! |---|---|---|
//! | 406, 407, 412, 500, 503, 550 to 599 | the way to the package broke | another attempt after 5, 15, 45 … minutes, with a new address |
//! | 402 | the package came damaged | the same |
//! | 451, 501, 502 | the battery is low, memory is full | another attempt after an hour, then after two, four … |
//! | 401 | the user said no | never |
//! | 401 or 450 with a time after it | the user named a time | asked again then, and that counts as no attempt |
//! | all others | it cannot succeed | never |
//!
//! | it answers to a command | class | what follows |
//! |---|---|---|
//! | 417 | it has something else to do | another attempt after 5, 15, 45 … minutes |
//! | 424 | the package came damaged, within the messages | the same |
//! | 403 to Update after a download | it no longer has the package | the same, with another download if its state says so |
//! | 420 | memory is full | another attempt after an hour, then after two, four … |
//! | all others | it cannot succeed | never |
//!
//! 450 and 451 lie in the range that OMA leaves to vendors; this server and its simulator use them so. A time follows the code after a blank or
//! a semicolon, as in `450;2026-11-22T08:00:00Z`.
use std::time::Duration;

use dmwsi_objects::StatusCode;
use dmwsi_objects::fumo::ResultCode;

use crate::Timestamp;

/// How often an update is tried when the request does not say.
pub(super) const ATTEMPTS: u32 = 3;

/// The most attempts that a request may ask for.
pub(super) const MAX_ATTEMPTS: u32 = 10;

/// The pause after the way to the package broke for the first time: 5 minutes; each later one is three times as long.
const BROKEN: Duration = Duration::from_secs(5 * 60);

/// The pause after the device had no room or no power for the first time: an hour; each later one is twice as long.
const POOR: Duration = Duration::from_secs(3_600);

/// The longest pause: a day.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// The latest time that a user may name: 30 days ahead.
const LATEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How long to wait before the attempt after `attempt` (from 1) that ended with that code; nothing where another one is in vain.
pub(super) fn pause(code: ResultCode, attempt: u32) -> Option<Duration> {
    match code {
        ResultCode(402 | 406 | 407 | 412 | 500 | 503 | 550..=599) => Some(broken(attempt)),
        ResultCode::BATTERY_LOW | ResultCode(501 | 502) => Some(poor(attempt)),
        _ => None,
    }
}

/// The same for an attempt that ended with that answer to a command; `in_wrong_state` says that a 403 can only mean that the package is not there.
pub(super) fn pause_after_status(status: StatusCode, in_wrong_state: bool, attempt: u32) -> Option<Duration> {
    match status {
        StatusCode::RETRY_LATER | StatusCode::SIZE_MISMATCH => Some(broken(attempt)),
        StatusCode::FORBIDDEN if in_wrong_state => Some(broken(attempt)),
        StatusCode::DEVICE_FULL => Some(poor(attempt)),
        _ => None,
    }
}

fn broken(attempt: u32) -> Duration {
    BROKEN.saturating_mul(3_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST)
}

fn poor(attempt: u32) -> Duration {
    POOR.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST)
}

/// The code of a report, with the time at which the user wants to be asked again, where one was named.
pub(super) fn report(data: &str) -> (ResultCode, Option<Timestamp>) {
    let (code, rest) = data.trim().split_once([';', ' ', ',']).unwrap_or((data.trim(), ""));
    let code = code.trim().parse().map_or(ResultCode(0), ResultCode);
    let may_defer = matches!(code, ResultCode::USER_CANCELLED | ResultCode::DEFERRED);
    (code, Timestamp::parse(rest.trim()).ok().filter(|_| may_defer))
}

/// How long it is until the time that the user named, at most 30 days.
pub(super) fn until(named: Timestamp, now: Timestamp) -> Duration {
    named.since(now).min(LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_a_refusal_is_not() {
        let minutes = |code, attempt| pause(ResultCode(code), attempt).map(|pause| pause.as_secs() / 60);
        for code in [402, 406, 407, 412, 500, 503, 550, 599] {
            assert_eq!([1, 2, 3, 9].map(|attempt| minutes(code, attempt)), [Some(5), Some(15), Some(45), Some(1_440)], "{code}");
        }
        for code in [451, 501, 502] {
            assert_eq!([1, 2, 9].map(|attempt| minutes(code, attempt)), [Some(60), Some(120), Some(1_440)], "{code}");
        }
        for code in [0, 200, 400, 401, 403, 404, 405, 408, 409, 410, 411, 450, 452, 499, 504, 600] {
            assert_eq!(minutes(code, 1), None, "{code}");
        }
    }

    #[test]
    fn what_a_device_cannot_do_now_is_asked_again() {
        let minutes =
            |status, lost, attempt| pause_after_status(StatusCode(status), lost, attempt).map(|pause| pause.as_secs() / 60);
        for (status, lost, first, second) in [(417, false, 5, 15), (424, false, 5, 15), (403, true, 5, 15), (420, false, 60, 120)]
        {
            assert_eq!((minutes(status, lost, 1), minutes(status, lost, 2)), (Some(first), Some(second)), "{status}");
        }
        for status in [214, 304, 400, 401, 403, 404, 405, 406, 407, 413, 414, 415, 416, 425, 500, 510] {
            assert_eq!(minutes(status, false, 1), None, "{status}");
        }
    }

    #[test]
    fn a_time_after_the_code_is_read() {
        let at = Timestamp::parse("2026-11-22T08:00:00Z").unwrap();
        assert_eq!(report("450;2026-11-22T08:00:00Z"), (ResultCode::DEFERRED, Some(at)));
        assert_eq!(report(" 401 2026-11-22T08:00:00Z "), (ResultCode::USER_CANCELLED, Some(at)));
        assert_eq!(report("450"), (ResultCode::DEFERRED, None));
        assert_eq!(report("503;2026-11-22T08:00:00Z"), (ResultCode(503), None));
        assert_eq!(report("no code"), (ResultCode(0), None));
    }
}
