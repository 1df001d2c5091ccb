//! Deliveries as rows: what is due, what became of each, and what is to be delivered once more.
use std::collections::BTreeSet;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Bool, Text};
use dmwsi_domain::delivery::{Attempt, DeliveryState};
use dmwsi_domain::id::{EventId, SubscriptionId};
use dmwsi_domain::outline::Logged;
use dmwsi_domain::subscription::Subscription;
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, damaged, moment, number, parsed, text, uuid};
use crate::events;
use crate::schema::{deliveries, events as log};
use crate::subscriptions::{DELIVER, DELIVER_TROUBLED};
use crate::tx::Conn;
use crate::{Tx, failed, on};

/// How many deliveries are dropped in a transaction.
const DROPPED_AT_ONCE: i64 = 1_000;

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

/// Whether nothing has to come before a delivery, beside what its order key says: the end of a subscription is told last.
macro_rules! has_come {
    ($id:ident) => {{
        let earlier = diesel::alias!(deliveries as earlier);
        let pending = earlier
            .filter(earlier.field(deliveries::subscription_id).eq(text($id.uuid())))
            .filter(earlier.field(deliveries::state).eq("PENDING"))
            .filter(earlier.field(deliveries::number).lt(deliveries::number));
        log::type_.ne(ENDED).or(not(exists(pending)))
    }};
}

/// The type of the end of a subscription.
const ENDED: &str = "dmwsi.v1.subscription-ended";

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
            .filter(has_come!(id))
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
            .inner_join(log::table.on(log::id.eq(deliveries::event_id)))
            .filter(deliveries::subscription_id.eq(text(id.uuid())))
            .filter(deliveries::next_at.is_not_null())
            .filter(has_come!(id))
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
            .select(deliveries::number);
        let found: Option<i64> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        let Some(number) = found else { return Ok(false) };
        let keys = self.renew_deliveries(subscription.id, vec![number], true)?;
        self.put_in_order(subscription.id, &keys, now)?;
        self.ring_deliveries(subscription, now, ids)?;
        Ok(true)
    }

    /// Makes deliveries pending again, with all their attempts before them; those that are pending only when `all`. The order keys of what it changed,
    /// as they are kept: an event that could not be read, or that an older version laid out, may have another than it would have now.
    pub(crate) fn renew_deliveries(&mut self, id: SubscriptionId, numbers: Vec<i64>, all: bool) -> Result<BTreeSet<String>> {
        let those = deliveries::table
            .filter(deliveries::subscription_id.eq(text(id.uuid())))
            .filter(deliveries::number.eq_any(numbers))
            .filter(deliveries::state.ne("PENDING").or(all.into_sql::<Bool>()));
        let change = (deliveries::state.eq("PENDING"), deliveries::attempt.eq(0), deliveries::next_at.eq(None::<i64>));
        let renew = diesel::update(those).set(change).returning(deliveries::order_key);
        let keys: Vec<String> = on!(self, conn => renew.get_results(conn)).map_err(failed)?;
        Ok(keys.into_iter().collect())
    }

    /// Drops some of what is still to be delivered to a subscription, up to that number; whether there may be more.
    pub fn drop_pending(&mut self, id: SubscriptionId, until: u64, now: Timestamp) -> Result<bool> {
        self.hold_subscription(id)?;
        let of = || deliveries::table.filter(deliveries::subscription_id.eq(text(id.uuid())));
        let pending = of()
            .filter(deliveries::state.eq("PENDING"))
            .filter(deliveries::number.le(number(until)))
            .order(deliveries::number)
            .limit(DROPPED_AT_ONCE)
            .select((deliveries::number, deliveries::order_key));
        let rows: Vec<(i64, String)> = on!(self, conn => pending.load(conn)).map_err(failed)?;
        if rows.is_empty() {
            return Ok(false);
        }
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= DROPPED_AT_ONCE);
        let (numbers, keys) = rows.into_iter().unzip::<_, _, Vec<i64>, BTreeSet<_>>();
        let dropped = of().filter(deliveries::number.eq_any(numbers));
        on!(self, conn => diesel::delete(dropped).execute(conn)).map_err(failed)?;
        self.put_in_order(id, &keys, now)?;
        Ok(is_full)
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
