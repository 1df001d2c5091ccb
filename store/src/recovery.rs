//! What is delivered again: a part of the log, as its client asked, and what a new subscriber is told first.
use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use dmwsi_domain::event::Recorded;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::scope::Grants;
use dmwsi_domain::subscription::{Recovery, Subscription};
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, number, text};
use crate::distribution::NewDelivery;
use crate::schema::deliveries;
use crate::subscriptions::RECOVER;
use crate::{Tx, failed, on};

/// How many events are looked at in a transaction when they are to be delivered again.
const RECOVERED_AT_ONCE: i64 = 500;

/// In how many of the last numbers of a log an initial event is looked for, where no devices are named.
const LOOKED_BACK: u64 = 10_000;

/// How many of the events there are looked at that have one of the types.
const LOOKED_AT: i64 = 1_000;

/// The same of each device that is named, however long ago they happened.
const LOOKED_AT_EACH: i64 = 100;

impl Tx<'_> {
    /// Has what `recovery` says delivered again, a part of it at a time by a task; a conflict where something else is under way that it cannot be joined with.
    pub fn begin_recovery(
        &mut self,
        subscription: &Subscription,
        recovery: Recovery,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        let recovery = match subscription.recovery {
            None => recovery,
            Some(before) => before.joined(recovery).ok_or_else(|| {
                Error::conflict("INCOMPATIBLE_STATE", "something else is being laid out to be delivered again; try again later")
            })?,
        };
        self.save_recovery(subscription.id, Some(recovery))?;
        self.ring_subscription(RECOVER, subscription.id, now, now, ids)
    }

    /// Goes on with what is to be delivered again, as far as the client's `grants` go; false when nothing is left.
    pub fn recover_some(&mut self, id: SubscriptionId, grants: &Grants, now: Timestamp, ids: &mut Ids) -> Result<bool> {
        // Its end, should this be the last of a limited number, changes the organisation, too.
        let limited = Some(self.subscription(id)?).filter(|subscription| subscription.max_events.is_some());
        if let Some(subscription) = limited {
            self.hold_organisation(subscription.organisation)?;
        }
        if !self.hold_subscription(id)? {
            return Ok(false);
        }
        let subscription = self.subscription(id)?;
        let Some(recovery) = subscription.recovery.filter(|_| !subscription.status.is_over()) else { return Ok(false) };
        let (keys, last) = if recovery.only_failed {
            self.recover_dead(id, &recovery)?
        } else {
            self.recover_log(&subscription, &recovery, grants, now, ids)?
        };
        self.put_in_order(id, &keys, now)?;
        let rest = last.filter(|last| *last < recovery.until).map(|after| Recovery { after, ..recovery });
        self.save_recovery(id, rest)?;
        if rest.is_none() {
            // Nothing was delivered meanwhile.
            self.ring_deliveries(&subscription, now, ids)?;
        }
        Ok(rest.is_some())
    }

    /// The order keys of some that were dead and are not any more, and the number of the last; none when there are no more.
    fn recover_dead(&mut self, id: SubscriptionId, recovery: &Recovery) -> Result<(BTreeSet<String>, Option<u64>)> {
        let found = deliveries::table
            .filter(deliveries::subscription_id.eq(text(id.uuid())))
            .filter(deliveries::state.eq("DEAD"))
            .filter(deliveries::number.gt(number(recovery.after)))
            .filter(deliveries::number.le(number(recovery.until)))
            .order(deliveries::number)
            .limit(RECOVERED_AT_ONCE)
            .select(deliveries::number);
        let numbers: Vec<i64> = on!(self, conn => found.load(conn)).map_err(failed)?;
        let is_full = i64::try_from(numbers.len()).is_ok_and(|count| count >= RECOVERED_AT_ONCE);
        let last = numbers.last().filter(|_| is_full).map(|last| counted(*last, "number")).transpose()?;
        let keys = self.renew_deliveries(id, numbers, false)?;
        Ok((keys, last))
    }

    /// The same of all that the subscription wants, also of what it never had.
    fn recover_log(
        &mut self,
        subscription: &Subscription,
        recovery: &Recovery,
        grants: &Grants,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<(BTreeSet<String>, Option<u64>)> {
        let range = (recovery.after, recovery.until);
        let types: Vec<_> = subscription.purpose.types.iter().map(String::as_str).collect();
        let events = self.logged_events(subscription.organisation, range, &types, RECOVERED_AT_ONCE)?;
        let is_full = i64::try_from(events.len()).is_ok_and(|count| count >= RECOVERED_AT_ONCE);
        let last = events.last().filter(|_| is_full).map(|(last, _)| *last);
        let wanted = |recorded: &&Recorded| subscription.wants(recorded) && grants.allows(recorded.event.scope());
        let mut new: Vec<_> = events
            .iter()
            .filter_map(|(number, logged)| Some((*number, logged.told().filter(wanted)?)))
            .map(|(number, recorded)| NewDelivery {
                subscription: subscription.id,
                number,
                event: recorded.id,
                order_key: subscription.order_key(recorded),
            })
            .collect();
        self.take_allowed(subscription, &mut new, now, ids)?;
        let mut keys = self.renew_deliveries(subscription.id, new.iter().map(|one| number(one.number)).collect(), false)?;
        self.insert_deliveries(&new, now)?;
        keys.extend(new.into_iter().map(|one| one.order_key));
        Ok((keys, last))
    }

    /// Counts those that a subscription with a limited number of events has never had, drops those beyond it, and ends it with the last.
    fn take_allowed(
        &mut self,
        subscription: &Subscription,
        new: &mut Vec<NewDelivery>,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        let Some(most) = subscription.max_events else { return Ok(()) };
        let known = deliveries::table
            .filter(deliveries::subscription_id.eq(text(subscription.id.uuid())))
            .filter(deliveries::number.eq_any(new.iter().map(|one| number(one.number)).collect::<Vec<_>>()))
            .select(deliveries::number);
        let known: BTreeSet<i64> = on!(self, conn => known.load(conn)).map_err(failed)?.into_iter().collect();
        let before = most.saturating_sub(subscription.events);
        let mut room = before;
        new.retain(|one| {
            let has_had = known.contains(&number(one.number));
            let is_allowed = has_had || room > 0;
            room = room.saturating_sub(u64::from(!has_had));
            is_allowed
        });
        if before > room {
            self.count_events(subscription.id, before.saturating_sub(room), room == 0, now, ids)?;
        }
        Ok(())
    }

    /// Has the last event delivered at once that a new subscription wants of each device or job: of the devices that it names, otherwise of those that
    /// something happened to lately; none with a number after `until`. The organisation is held.
    pub fn lay_out_last(&mut self, subscription: &Subscription, until: u64, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let types: Vec<_> = subscription.purpose.types.iter().map(String::as_str).collect();
        let devices = &subscription.purpose.filter.devices;
        let mut events = Vec::new();
        for device in devices {
            events.extend(self.last_device_events(*device, &types, LOOKED_AT_EACH)?);
        }
        if devices.is_empty() {
            let range = (until.saturating_sub(LOOKED_BACK), until);
            events = self.last_events(subscription.organisation, range, &types, LOOKED_AT)?;
        }
        let mut newest = BTreeMap::new();
        for (number, logged) in events.iter().filter(|(number, _)| *number <= until) {
            if let Some(recorded) = logged.told().filter(|recorded| subscription.wants(recorded)) {
                newest.entry(subscription.subject(recorded)).or_insert((*number, recorded));
            }
        }
        let most = subscription.max_events.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let mut new: Vec<_> = newest
            .into_values()
            .map(|(number, recorded)| NewDelivery {
                subscription: subscription.id,
                number,
                event: recorded.id,
                order_key: subscription.order_key(recorded),
            })
            .collect();
        new.sort_by_key(|one| one.number);
        new.truncate(most);
        self.insert_deliveries(&new, now)?;
        self.count_initial(subscription.id, new.len())?;
        self.ring_deliveries(subscription, now, ids)
    }
}
