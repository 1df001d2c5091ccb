//! Deliveries as rows: what is due, what became of each, and what is to be delivered once more.
use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Text};
use dmwsi_domain::delivery::{Attempt, DeliveryState};
use dmwsi_domain::event::Recorded;
use dmwsi_domain::id::{EventId, SubscriptionId};
use dmwsi_domain::outline::Logged;
use dmwsi_domain::scope::Grants;
use dmwsi_domain::subscription::{Recovery, Subscription};
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, damaged, moment, number, parsed, text, uuid};
use crate::distribution::NewDelivery;
use crate::events;
use crate::schema::{deliveries, events as log};
use crate::subscriptions::{DELIVER, DELIVER_TROUBLED, RECOVER};
use crate::tx::Conn;
use crate::{Tx, failed, on};

/// How many events are looked at in a transaction when they are to be delivered again.
const RECOVERED_AT_ONCE: i64 = 500;

/// In how many of the last numbers of a log an initial event is looked for, where no devices are named.
const LOOKED_BACK: u64 = 10_000;

/// How many of the events there are looked at that have one of the types.
const LOOKED_AT: i64 = 1_000;

/// The same of each device that is named, however long ago they happened.
const LOOKED_AT_EACH: i64 = 100;

const DEMOTE_POSTGRES: &str = "
UPDATE deliveries SET next_at = NULL
FROM (SELECT order_key, (
    SELECT number FROM deliveries AS next WHERE next.subscription_id = $1 AND next.order_key = given.order_key AND next.state = 'PENDING'
    ORDER BY number LIMIT 1) AS number FROM UNNEST($2) AS given (order_key)) AS head
WHERE deliveries.subscription_id = $1 AND deliveries.order_key = head.order_key AND deliveries.state = 'PENDING'
    AND deliveries.next_at IS NOT NULL AND deliveries.number > head.number";

const DEMOTE_SQLITE: &str = "UPDATE deliveries SET next_at = NULL
WHERE subscription_id = $1 AND order_key = $2 AND state = 'PENDING' AND next_at IS NOT NULL AND number > (
    SELECT number FROM deliveries WHERE subscription_id = $1 AND order_key = $2 AND state = 'PENDING' ORDER BY number LIMIT 1)";

/// A delivery that is due, with its event.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The number of the event.
    pub number: u64,
    /// What it keeps its order with.
    pub order_key: String,
    /// How many attempts there were.
    pub attempt: u32,
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// The event.
    pub event: Logged,
}

/// A delivery as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The number of the event.
    pub number: u64,
    /// Its id.
    pub event: EventId,
    /// Its type.
    pub kind: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// The attempts, at most the last ones.
    pub attempts: Vec<Attempt>,
    /// When it is tried next.
    pub next_at: Option<Timestamp>,
    /// When it was laid out.
    pub created_at: Timestamp,
}

/// Which deliveries of a subscription a page holds, the newest first.
#[derive(Clone, Debug)]
pub struct DeliveryPage {
    /// Whose.
    pub subscription: SubscriptionId,
    /// Only those of events with a lower number.
    pub before: Option<u64>,
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// At most so many.
    pub limit: i64,
}

impl Tx<'_> {
    /// Deliveries that are due by `now`, the longest due first, at most `limit`. Where one is not done the next of its order is not due.
    pub fn due_deliveries(&mut self, id: SubscriptionId, now: Timestamp, limit: i64) -> Result<Vec<Due>> {
        let columns = (deliveries::number, deliveries::order_key, deliveries::attempt, deliveries::attempts);
        let found = deliveries::table
            .inner_join(log::table.on(log::id.eq(deliveries::event_id)))
            .filter(deliveries::subscription_id.eq(text(id.uuid())))
            .filter(deliveries::next_at.le(now.micros()))
            .order((deliveries::next_at, deliveries::number))
            .limit(limit);
        type Columns = (i64, String, i64, String);
        let rows: Vec<(Columns, events::Row)> =
            on!(self, conn => found.select((columns, events::Row::as_select())).load(conn)).map_err(failed)?;
        let due = |((number, order_key, attempt, attempts), event): (Columns, events::Row)| {
            Ok(Due {
                number: counted(number, "number")?,
                order_key,
                attempt: counted(attempt, "number of attempts")?,
                // Nothing of them decides what is to be done.
                attempts: parsed(&attempts).unwrap_or_default(),
                event: event.logged()?,
            })
        };
        rows.into_iter().map(due).collect()
    }

    /// When the next delivery of a subscription is due.
    pub fn next_delivery(&mut self, id: SubscriptionId) -> Result<Option<Timestamp>> {
        let found = deliveries::table
            .filter(deliveries::subscription_id.eq(text(id.uuid())))
            .filter(deliveries::next_at.is_not_null())
            .order(deliveries::next_at)
            .select(deliveries::next_at);
        let found: Option<Option<i64>> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        Ok(moment(found.flatten()))
    }

    /// A page of a subscription's deliveries.
    pub fn deliveries(&mut self, page: &DeliveryPage) -> Result<Vec<Delivery>> {
        let before = page.before.map_or(i64::MAX, number);
        let columns = (
            deliveries::number,
            deliveries::event_id,
            deliveries::state,
            deliveries::attempts,
            deliveries::next_at,
            deliveries::created_at,
            log::type_,
        );
        macro_rules! found {
            ($conn:ident) => {{
                let mut found = deliveries::table
                    .inner_join(log::table.on(log::id.eq(deliveries::event_id)))
                    .filter(deliveries::subscription_id.eq(text(page.subscription.uuid())))
                    .filter(deliveries::number.lt(before))
                    .into_boxed();
                if let Some(state) = page.state {
                    found = found.filter(deliveries::state.eq(state.as_str()));
                }
                found.order(deliveries::number.desc()).limit(page.limit).select(columns).load($conn)
            }};
        }
        type Columns = (i64, String, String, String, Option<i64>, i64, String);
        let rows: Vec<Columns> = on!(self, conn => found!(conn)).map_err(failed)?;
        let delivery = |(number, event, state, attempts, next_at, created_at, kind): Columns| {
            Ok(Delivery {
                number: counted(number, "number")?,
                event: EventId::new(uuid(&event)?),
                kind,
                state: DeliveryState::parse(&state).ok_or_else(|| damaged("state of a delivery"))?,
                attempts: parsed(&attempts)?,
                next_at: moment(next_at),
                created_at: Timestamp::from_micros(created_at),
            })
        };
        rows.into_iter().map(delivery).collect()
    }

    /// Has one event delivered again, whatever became of it; the subscription is held. False when it never was to be delivered.
    pub fn redeliver(&mut self, subscription: &Subscription, event: EventId, now: Timestamp, ids: &mut Ids) -> Result<bool> {
        let found = deliveries::table
            .filter(deliveries::event_id.eq(text(event.uuid())))
            .filter(deliveries::subscription_id.eq(text(subscription.id.uuid())))
            .select((deliveries::number, deliveries::order_key));
        let found: Option<(i64, String)> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        let Some((number, order_key)) = found else { return Ok(false) };
        self.renew_deliveries(subscription.id, vec![number], true)?;
        self.put_in_order(subscription.id, &BTreeSet::from([order_key]), now)?;
        self.ring_deliveries(subscription, now, ids)?;
        Ok(true)
    }

    /// Has what `recovery` says delivered again, a part of it at a time by a task.
    pub fn begin_recovery(
        &mut self,
        subscription: &Subscription,
        recovery: Recovery,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        // One that is under way already is widened.
        let recovery = subscription.recovery.map_or(recovery, |before| Recovery {
            after: before.after.min(recovery.after),
            until: before.until.max(recovery.until),
            only_failed: before.only_failed && recovery.only_failed,
        });
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
        if !keys.is_empty() {
            self.ring_deliveries(&subscription, now, ids)?;
        }
        let rest = last.filter(|last| *last < recovery.until).map(|after| Recovery { after, ..recovery });
        self.save_recovery(id, rest)?;
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
            .select((deliveries::number, deliveries::order_key));
        let rows: Vec<(i64, String)> = on!(self, conn => found.load(conn)).map_err(failed)?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= RECOVERED_AT_ONCE);
        let last = rows.last().filter(|_| is_full).map(|(last, _)| counted(*last, "number")).transpose()?;
        let (numbers, keys) = rows.into_iter().unzip::<_, _, Vec<_>, BTreeSet<_>>();
        self.renew_deliveries(id, numbers, false)?;
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
        self.renew_deliveries(subscription.id, new.iter().map(|one| number(one.number)).collect(), false)?;
        self.insert_deliveries(&new, now)?;
        Ok((new.into_iter().map(|one| one.order_key).collect(), last))
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
                newest.entry(subscription.order_key(recorded)).or_insert((*number, recorded.id));
            }
        }
        let most = subscription.max_events.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let mut new: Vec<_> = newest
            .into_iter()
            .map(|(order_key, (number, event))| NewDelivery { subscription: subscription.id, number, event, order_key })
            .collect();
        new.sort_by_key(|one| one.number);
        new.truncate(most);
        self.insert_deliveries(&new, now)?;
        self.count_initial(subscription.id, new.len())?;
        self.ring_deliveries(subscription, now, ids)
    }

    /// Makes deliveries pending again, with all their attempts before them; those that are pending only when `all`.
    fn renew_deliveries(&mut self, id: SubscriptionId, numbers: Vec<i64>, all: bool) -> Result<()> {
        let those = || {
            deliveries::table
                .filter(deliveries::subscription_id.eq(text(id.uuid())))
                .filter(deliveries::number.eq_any(numbers.clone()))
        };
        let change = (deliveries::state.eq("PENDING"), deliveries::attempt.eq(0), deliveries::next_at.eq(None::<i64>));
        if all {
            on!(self, conn => diesel::update(those()).set(change).execute(conn))
        } else {
            let those = those().filter(deliveries::state.ne("PENDING"));
            on!(self, conn => diesel::update(those).set(change).execute(conn))
        }
        .map(drop)
        .map_err(failed)
    }

    /// Of each of these order keys the first that is pending is due, and no other.
    pub(crate) fn put_in_order(&mut self, id: SubscriptionId, keys: &BTreeSet<String>, now: Timestamp) -> Result<()> {
        let (row, keys): (_, Vec<&str>) = (text(id.uuid()), keys.iter().map(String::as_str).collect());
        match &mut self.conn {
            Conn::Pg(conn) => {
                let demote = sql_query(DEMOTE_POSTGRES).bind::<Text, _>(row).bind::<Array<Text>, _>(&keys);
                demote.execute(*conn).map_err(failed)?;
            }
            Conn::Sqlite(conn) => {
                for key in &keys {
                    let demote = sql_query(DEMOTE_SQLITE).bind::<Text, _>(row.as_str()).bind::<Text, _>(*key);
                    demote.execute(*conn).map_err(failed)?;
                }
            }
        }
        self.promote_next(id, &keys, now)
    }

    /// Rings the task that delivers to a subscription.
    pub fn ring_deliveries(&mut self, subscription: &Subscription, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let queue = if subscription.health.is_troubled { DELIVER_TROUBLED } else { DELIVER };
        self.ring_subscription(queue, subscription.id, now, now, ids)
    }

    /// The number of the last event of an organisation that has one.
    pub fn last_number(&mut self, organisation: dmwsi_domain::id::OrganisationId) -> Result<u64> {
        let row = crate::schema::organisations::table.find(text(organisation.uuid()));
        let next: Option<i64> =
            on!(self, conn => row.select(crate::schema::organisations::next_event).first(conn)).optional().map_err(failed)?;
        counted(next.ok_or(Error::NotFound { what: "organisation" })?.saturating_sub(1), "number")
    }

    /// The number up to which an organisation's log was laid out for its subscriptions. What is laid out for one of them otherwise must not go beyond:
    /// it would come twice.
    pub fn distributed(&mut self, organisation: dmwsi_domain::id::OrganisationId) -> Result<u64> {
        let row = crate::schema::organisations::table.find(text(organisation.uuid()));
        let distributed: Option<i64> =
            on!(self, conn => row.select(crate::schema::organisations::distributed).first(conn)).optional().map_err(failed)?;
        counted(distributed.ok_or(Error::NotFound { what: "organisation" })?, "number")
    }
}
