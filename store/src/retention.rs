//! The log is kept for a limited time. What is forgotten is always the beginning of an organisation's log, so that what is left has no gap.
use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use dmwsi_domain::id::{OrganisationId, SubscriptionId};
use dmwsi_domain::{Ids, Result, Timestamp};

use crate::column::{counted, text, uuid};
use crate::schema::{deliveries, events, organisations};
use crate::{Tx, failed, on};

/// How many deliveries are forgotten in a transaction, beside those of a single event.
const DELIVERIES_AT_ONCE: i64 = 10_000;

impl Tx<'_> {
    /// The number of the first event of an organisation that is kept, or would be, were there one: whoever has read all before it has missed none.
    pub fn first_event(&mut self, organisation: OrganisationId) -> Result<u64> {
        let found = organisations::table.find(text(organisation.uuid())).select(organisations::first_event);
        let first: Option<i64> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        counted(first.unwrap_or(1), "number")
    }

    /// Whose the oldest event of all is, and of when, in the order of ids.
    pub fn oldest_event(&mut self) -> Result<Option<(OrganisationId, Timestamp)>> {
        let found = events::table.order(events::id).select((events::organisation_id, events::created_at));
        let found: Option<(String, i64)> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        found.map(|(id, at)| Ok((OrganisationId::new(uuid(&id)?), Timestamp::from_micros(at)))).transpose()
    }

    /// Forgets the first events of an organisation, as long as they are from before that time, at most `most`, and what became of
    /// their deliveries; what waited for one that was still to be made is due now. How many they were.
    pub fn forget_events(
        &mut self,
        organisation: OrganisationId,
        before: Timestamp,
        most: i64,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<usize> {
        let id = text(organisation.uuid());
        let of = events::table.filter(events::organisation_id.eq(id.clone())).filter(events::number.is_not_null());
        let oldest = of.order(events::number).limit(most).select((events::number.assume_not_null(), events::created_at));
        let oldest: Vec<(i64, i64)> = on!(self, conn => oldest.load(conn)).map_err(failed)?;
        let mut old: Vec<_> = oldest.into_iter().take_while(|(_, at)| *at < before.micros()).map(|(number, _)| number).collect();
        while old.len() > 1 && self.has_many_deliveries(&id, old.last().copied().unwrap_or_default())? {
            old.truncate(old.len() / 2);
        }
        let Some(last) = old.pop() else { return Ok(0) };
        // The organisation first and its events then, as who numbers them does: so neither waits for the other for ever.
        let first = organisations::first_event.eq(last.saturating_add(1));
        let update = diesel::update(organisations::table.find(id.clone())).set(first);
        on!(self, conn => update.execute(conn)).map_err(failed)?;
        let old = || events::table.filter(events::organisation_id.eq(id.clone())).filter(events::number.le(last));
        let of_old = || deliveries::table.filter(deliveries::event_id.eq_any(old().select(events::id)));
        let awaited =
            of_old().filter(deliveries::state.eq("PENDING")).select((deliveries::subscription_id, deliveries::order_key));
        let awaited: Vec<(String, String)> = on!(self, conn => awaited.distinct().load(conn)).map_err(failed)?;
        let mut keys: BTreeMap<SubscriptionId, BTreeSet<String>> = BTreeMap::new();
        for (subscription, key) in awaited {
            keys.entry(SubscriptionId::new(uuid(&subscription)?)).or_default().insert(key);
        }
        self.hold_subscriptions(keys.keys().copied())?;
        let of_old = of_old();
        on!(self, conn => diesel::delete(of_old).execute(conn)).map_err(failed)?;
        for (subscription, keys) in keys {
            self.put_in_order(subscription, &keys, now)?;
            // Nothing is delivered to one that cannot be read, and what is old goes all the same.
            if let Some(subscription) = self.readable_subscription(subscription)? {
                self.ring_deliveries(&subscription, now, ids)?;
            }
        }
        let old = old();
        on!(self, conn => diesel::delete(old).execute(conn)).map_err(failed)
    }

    /// Whether the events of an organisation up to that number have more deliveries than should go in one transaction.
    fn has_many_deliveries(&mut self, organisation: &str, last: i64) -> Result<bool> {
        let old = events::table.filter(events::organisation_id.eq(organisation)).filter(events::number.le(last));
        let many = deliveries::table
            .filter(deliveries::event_id.eq_any(old.select(events::id)))
            .select(deliveries::number)
            .offset(DELIVERIES_AT_ONCE)
            .limit(1);
        let many: Option<i64> = on!(self, conn => many.first(conn)).optional().map_err(failed)?;
        Ok(many.is_some())
    }
}
