//! What changes where a subscription stands: its client, its receiver and time; and what each change tells.
use std::time::Duration;

use crate::event::Event;
use crate::subscription::{
    Agreement, InitiationReason, Recovery, StatusReason, Subscription, SubscriptionStatus, TerminationReason, UpdateReason,
};
use crate::{Error, Result, Timestamp};

/// How long after its job a subscription ends: clocks differ, and something may still come that happened before.
const AFTER_JOB: Duration = Duration::from_secs(5);

/// The same where its receiver has not said yet whether it wants the events.
const ASKED_AFTER_JOB: Duration = Duration::from_secs(2 * 3_600);

impl Subscription {
    /// Takes the place of `before`, of which it is a copy with what its client changed, and is switched on or off where that is wanted; what that
    /// tells. `asks` where receivers at its sink are asked first; `laid_out` is the number up to which the log was laid out.
    pub fn replace(
        &mut self,
        before: &Self,
        on: Option<bool>,
        asks: bool,
        laid_out: u64,
        now: Timestamp,
    ) -> Result<Option<Event>> {
        let has_moved = self.sink != before.sink;
        // What the receiver before did and agreed to says nothing of one that is somewhere else.
        self.health = if has_moved { before.health.anew() } else { before.health.clone() };
        self.agreement = before.agreement.filter(|_| !has_moved);
        (self.recovery, self.events) = (before.recovery, before.events);
        let reason = on.filter(|on| !on).map(|_off| StatusReason::SwitchedOff);
        let told = on.map(|on| self.switch(on, reason, now)).transpose()?.flatten();
        let begins = self.status == SubscriptionStatus::Active && (has_moved || before.status != SubscriptionStatus::Active);
        if begins {
            // What is not laid out yet comes by itself, as soon as the receiver agrees; what was laid out before is had by `recover`.
            self.starts_after = self.starts_after.max(laid_out);
        }
        self.revision = before.revision;
        self.changed(now);
        if begins && asks && self.agreement.is_none() {
            self.ask();
            return Ok(None);
        }
        Ok(told)
    }

    /// Switches it on or off, and says what that tells; none when it is so already. What is over stays over.
    pub fn switch(&mut self, on: bool, reason: Option<StatusReason>, now: Timestamp) -> Result<Option<Event>> {
        if self.status.is_over() || (on && self.status == SubscriptionStatus::ActivationRequested) {
            return Err(Error::conflict("INCOMPATIBLE_STATE", "the subscription is over, or its receiver has not agreed yet"));
        }
        if on && self.status_reason == Some(StatusReason::HandshakeFailed) {
            // It is asked once more.
            self.ask();
            self.changed(now);
            return Ok(None);
        }
        let status = if on { SubscriptionStatus::Active } else { SubscriptionStatus::Inactive };
        if self.status == status {
            return Ok(None);
        }
        if on {
            self.health = self.health.anew();
        }
        Ok(Some(self.stands(status, reason, now)))
    }

    /// Notes that its receiver agreed, and says what that tells where it waited for that: then it goes on, with what it has missed of the log that was
    /// laid out up to `laid_out`.
    pub fn agree(&mut self, agreement: Agreement, laid_out: u64, now: Timestamp) -> Option<Event> {
        // One that had agreed before goes on.
        let has_begun = self.agreement.replace(agreement).is_some();
        if !self.is_unanswered() {
            return None;
        }
        if self.starts_after < laid_out {
            // All of it, whatever else was to be delivered again.
            let after = self.recovery.map_or(self.starts_after, |before| before.after.min(self.starts_after));
            self.recovery = Some(Recovery { after, until: laid_out, only_failed: false });
        }
        let goes_on = self.stands(SubscriptionStatus::Active, None, now);
        let began =
            Event::SubscriptionStarted { subscription_id: self.id, initiation_reason: InitiationReason::SubscriptionCreated };
        Some(if has_begun { goes_on } else { began })
    }

    /// Notes that its receiver did not agree, and says what that tells: nothing more is delivered, until it does or is asked again.
    pub fn disagree(&mut self, laid_out: u64, now: Timestamp) -> Event {
        if self.status == SubscriptionStatus::Active {
            // From here on it has missed what happens, should it agree later.
            self.starts_after = self.starts_after.max(laid_out);
        }
        self.stands(SubscriptionStatus::Inactive, Some(StatusReason::HandshakeFailed), now)
    }

    /// Ends it, and says what that tells; none when it is over already.
    pub fn end(&mut self, reason: TerminationReason, now: Timestamp) -> Option<Event> {
        if self.status.is_over() {
            return None;
        }
        let failed = Some(StatusReason::HandshakeFailed);
        let is_refused = self.status == SubscriptionStatus::ActivationRequested || self.status_reason == failed;
        self.status_reason = match reason {
            // Its receiver never agreed, and is not told of the end either.
            _ if is_refused => failed,
            TerminationReason::AccessTokenExpired => Some(StatusReason::AccessTokenExpired),
            TerminationReason::MaxEventsReached => Some(StatusReason::MaxEventsReached),
            TerminationReason::SubscriptionExpired => Some(StatusReason::SubscriptionExpired),
            TerminationReason::SubscriptionDeleted => None,
        };
        self.status = match reason {
            TerminationReason::SubscriptionDeleted => SubscriptionStatus::Deleted,
            _ => SubscriptionStatus::Expired,
        };
        self.changed(now);
        Some(Event::SubscriptionEnded { subscription_id: self.id, termination_reason: reason })
    }

    /// Deletes it, and says what that tells: nothing, where it was over already. What was laid out before is not delivered any more.
    pub fn delete(&mut self, laid_out: u64, now: Timestamp) -> Option<Event> {
        self.starts_after = laid_out;
        let told = self.end(TerminationReason::SubscriptionDeleted, now);
        if told.is_none() {
            self.status = SubscriptionStatus::Deleted;
            self.changed(now);
        }
        told
    }

    /// Has one that is bound to a job end a little after that is completed; false when it is over already.
    pub fn outlive_job(&mut self, now: Timestamp) -> bool {
        if self.status.is_over() {
            return false;
        }
        // While its receiver is asked nothing has been delivered yet.
        let is_asked = self.status == SubscriptionStatus::ActivationRequested;
        let end = now.plus(if is_asked { ASKED_AFTER_JOB } else { AFTER_JOB });
        if self.expires_at.is_none_or(|own| own > end) {
            self.purpose.until = Some(end);
            self.set_end(None);
        }
        self.changed(now);
        true
    }

    /// Whether its receiver could still agree: it is being asked, or did not agree when it was.
    fn is_unanswered(&self) -> bool {
        let has_failed = self.status == SubscriptionStatus::Inactive && self.status_reason == Some(StatusReason::HandshakeFailed);
        has_failed || self.status == SubscriptionStatus::ActivationRequested
    }

    /// Has its receiver asked before anything (more) is delivered.
    const fn ask(&mut self) {
        (self.status, self.status_reason) = (SubscriptionStatus::ActivationRequested, None);
    }

    fn stands(&mut self, status: SubscriptionStatus, status_reason: Option<StatusReason>, now: Timestamp) -> Event {
        (self.status, self.status_reason) = (status, status_reason);
        self.changed(now);
        let is_active = status == SubscriptionStatus::Active;
        let update_reason = if is_active { UpdateReason::SubscriptionActive } else { UpdateReason::SubscriptionInactive };
        Event::SubscriptionUpdated { subscription_id: self.id, update_reason, status_reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use crate::id::ClientId;
    use crate::subscription_index::tests::subscription;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);
    const AGREEMENT: Agreement = Agreement { at: NOW, rate: None };

    fn standing(status: SubscriptionStatus, status_reason: Option<StatusReason>) -> Subscription {
        let mut one = subscription(ClientId::new(Clock::System.new_id()), &["device-updated"], Default::default());
        (one.status, one.status_reason, one.starts_after) = (status, status_reason, 10);
        one
    }

    fn kind(told: Option<Event>) -> Option<&'static str> {
        told.map(|event| match event {
            Event::SubscriptionStarted { .. } => "started",
            Event::SubscriptionUpdated { update_reason: UpdateReason::SubscriptionActive, .. } => "on",
            Event::SubscriptionUpdated { .. } => "off",
            _ => "ended",
        })
    }

    #[test]
    fn each_state_is_left_as_its_client_may_leave_it() {
        use SubscriptionStatus::{ActivationRequested, Active, Deleted, Expired, Inactive};
        let failed = Some(StatusReason::HandshakeFailed);
        for (status, reason, on, becomes) in [
            (ActivationRequested, None, true, Err(())),
            (ActivationRequested, None, false, Ok((Inactive, Some("off")))),
            (Active, None, true, Ok((Active, None))),
            (Active, None, false, Ok((Inactive, Some("off")))),
            (Inactive, Some(StatusReason::Gone), true, Ok((Active, Some("on")))),
            (Inactive, failed, true, Ok((ActivationRequested, None))),
            (Inactive, failed, false, Ok((Inactive, None))),
            (Expired, None, true, Err(())),
            (Expired, None, false, Err(())),
            (Deleted, None, true, Err(())),
            (Deleted, None, false, Err(())),
        ] {
            let before = standing(status, reason);
            let mut next = before.clone();
            let told = next.replace(&before, Some(on), false, 20, NOW).map_err(drop);
            assert_eq!(told.map(|told| (next.status, kind(told))), becomes, "{status:?} {on}");
            if becomes.is_ok() {
                let begins = becomes == Ok((Active, Some("on")));
                assert_eq!((next.revision, next.starts_after), (2, if begins { 20 } else { 10 }), "{status:?} {on}");
            }
        }
    }

    #[test]
    fn who_is_somewhere_else_has_done_and_agreed_to_nothing() {
        let mut before = standing(SubscriptionStatus::Active, None);
        (before.agreement, before.health.failures, before.health.is_troubled) = (Some(AGREEMENT), 3, true);
        for (moves, asks, status, starts_after) in [
            (false, true, SubscriptionStatus::Active, 10),
            (true, false, SubscriptionStatus::Active, 20),
            (true, true, SubscriptionStatus::ActivationRequested, 20),
        ] {
            let mut next = before.clone();
            if moves {
                "https://b.example/".clone_into(&mut next.sink);
            }
            assert_eq!(next.replace(&before, None, asks, 20, NOW).unwrap(), None);
            assert_eq!((next.status, next.starts_after, next.revision), (status, starts_after, 2));
            assert_eq!((next.health.failures, next.agreement.is_none()), (if moves { 0 } else { 3 }, moves));
            assert!(next.health.is_troubled, "its deliveries run where they ran");
        }
        // Off and on again, without an agreement, is asked; with one it is not.
        for (agreement, status, told) in
            [(None, SubscriptionStatus::ActivationRequested, None), (Some(AGREEMENT), SubscriptionStatus::Active, Some("on"))]
        {
            let mut before = standing(SubscriptionStatus::Inactive, Some(StatusReason::SwitchedOff));
            before.agreement = agreement;
            let mut next = before.clone();
            assert_eq!(kind(next.replace(&before, Some(true), true, 20, NOW).unwrap()), told);
            assert_eq!((next.status, next.starts_after), (status, 20));
        }
    }

    #[test]
    fn who_agrees_gets_what_was_missed() {
        let failed = Some(StatusReason::HandshakeFailed);
        let recovery = |after, until, only_failed| Some(Recovery { after, until, only_failed });
        for (status, reason, had, known, laid_out, told, missed) in [
            (SubscriptionStatus::ActivationRequested, None, None, None, 10, Some("started"), None),
            (SubscriptionStatus::ActivationRequested, None, None, None, 15, Some("started"), recovery(10, 15, false)),
            (SubscriptionStatus::ActivationRequested, None, Some(AGREEMENT), None, 15, Some("on"), recovery(10, 15, false)),
            (SubscriptionStatus::Inactive, failed, Some(AGREEMENT), recovery(4, 8, true), 15, Some("on"), recovery(4, 15, false)),
            (SubscriptionStatus::Inactive, failed, Some(AGREEMENT), recovery(4, 8, true), 10, Some("on"), recovery(4, 8, true)),
            (SubscriptionStatus::Active, None, Some(AGREEMENT), None, 15, None, None),
            (SubscriptionStatus::Inactive, Some(StatusReason::SwitchedOff), None, None, 15, None, None),
        ] {
            let mut one = standing(status, reason);
            (one.agreement, one.recovery) = (had, known);
            assert_eq!(kind(one.agree(AGREEMENT, laid_out, NOW)), told, "{status:?}");
            assert_eq!((one.agreement, one.recovery), (Some(AGREEMENT), missed));
            assert_eq!(one.status == SubscriptionStatus::Active, told.is_some() || status == SubscriptionStatus::Active);
        }
    }

    #[test]
    fn who_takes_the_agreement_back_misses_what_happens_from_then_on() {
        for (status, starts_after) in [(SubscriptionStatus::Active, 20), (SubscriptionStatus::ActivationRequested, 10)] {
            let mut one = standing(status, None);
            assert_eq!(kind(Some(one.disagree(20, NOW))), Some("off"));
            assert_eq!((one.status_reason, one.starts_after), (Some(StatusReason::HandshakeFailed), starts_after));
        }
    }

    #[test]
    fn what_is_deleted_was_over_or_says_so() {
        for (status, told) in [(SubscriptionStatus::Active, Some("ended")), (SubscriptionStatus::Expired, None)] {
            let mut one = standing(status, None);
            assert_eq!(kind(one.delete(20, NOW)), told);
            assert_eq!((one.status, one.starts_after, one.revision), (SubscriptionStatus::Deleted, 20, 2));
        }
        let mut asked = standing(SubscriptionStatus::ActivationRequested, None);
        assert_eq!(kind(asked.end(TerminationReason::MaxEventsReached, NOW)), Some("ended"));
        assert_eq!((asked.status, asked.status_reason), (SubscriptionStatus::Expired, Some(StatusReason::HandshakeFailed)));
    }

    #[test]
    fn a_subscription_outlives_its_job_a_little() {
        let ends = |status, own: Option<u64>| {
            let mut one = standing(status, None);
            one.expires_at = own.map(|own| NOW.plus(Duration::from_secs(own)));
            (one.outlive_job(NOW), one.expires_at.map(|end| end.since(NOW).as_secs()))
        };
        assert_eq!(ends(SubscriptionStatus::Active, None), (true, Some(5)));
        assert_eq!(ends(SubscriptionStatus::Active, Some(2)), (true, Some(2)));
        assert_eq!(ends(SubscriptionStatus::ActivationRequested, Some(86_400)), (true, Some(7_200)));
        assert_eq!(ends(SubscriptionStatus::Expired, None), (false, None));
    }
}
