//! The log, laid out: a row for each event and each subscription that is to have it.
use std::collections::{BTreeMap, HashSet};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Text};
use dmwsi_domain::event::Event;
use dmwsi_domain::id::{EventId, JobId, OrganisationId, SubscriptionId};
use dmwsi_domain::outline::Logged;
use dmwsi_domain::subscription::{StatusReason, Subscription, TerminationReason};
use dmwsi_domain::subscription_index::SubscriptionIndex;
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, number, text, uuid};
use crate::schema::{organisations, subscriptions};
use crate::subscriptions::{DELIVER, DELIVER_TROUBLED, Row};
use crate::tx::Conn;
use crate::{Kept, Tx, failed, on};

/// The bell of the distribution: it rings when events were numbered.
pub const DISTRIBUTE: &str = "log.distribute.v1";

/// How many events are laid out in a transaction.
pub const LAID_OUT_AT_ONCE: i64 = 500;

/// How many deliveries are laid out in a transaction, beside those of its last event.
const ROWS_AT_ONCE: usize = 10_000;

/// How many numbers are gone over in a transaction, where hardly anything of what happens is wanted.
const GONE_OVER_AT_ONCE: u64 = 10_000;

/// What is looked at whoever has subscribed to what: a subscription is told about itself, and one that is bound to a job ends with it.
const ALWAYS: [&str; 7] = [
    "dmwsi.v1.job-completed",
    Event::DEAD,
    "dmwsi.v1.subscription-delivery-failing",
    "dmwsi.v1.subscription-ended",
    "dmwsi.v1.subscription-started",
    "dmwsi.v1.subscription-test",
    "dmwsi.v1.subscription-updated",
];

/// The first of an order key in this statement has `next_at` unless an earlier one of that key is still pending; the others wait for it.
macro_rules! lay {
    ($from:literal) => {
        concat!(
            "INSERT INTO deliveries (subscription_id, number, event_id, order_key, state, attempt, attempts, next_at, created_at, updated_at)
            SELECT given.subscription_id, given.number, given.event_id, given.order_key, 'PENDING', 0, '[]',
                CASE WHEN given.is_first AND NOT EXISTS (
                    SELECT 1 FROM deliveries AS earlier WHERE earlier.subscription_id = given.subscription_id
                    AND earlier.order_key = given.order_key AND earlier.state = 'PENDING'
                ) THEN given.at END, given.at, given.at
            FROM ", $from, " AS given WHERE TRUE
            ON CONFLICT (subscription_id, number) DO NOTHING RETURNING number"
        )
    };
}
const LAY_POSTGRES: &str = lay!(
    "(SELECT subscription_id, number, event_id, order_key, is_first, $6::BIGINT AS at
    FROM UNNEST($1, $2, $3, $4, $5) AS u (subscription_id, number, event_id, order_key, is_first))"
);
const LAY_SQLITE: &str =
    lay!("(SELECT $1 AS subscription_id, $2 AS number, $3 AS event_id, $4 AS order_key, $5 AS is_first, $6 AS at)");

/// What came of a look at an organisation's log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LaidOut {
    /// So many events were looked at; 0 when there are no more.
    Events(u64),
    /// The subscriptions were changed: the index is to be brought up to date first.
    Changed,
}

/// An event that a subscription is to have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewDelivery {
    /// Whom it is for.
    pub subscription: SubscriptionId,
    /// The number of the event.
    pub number: u64,
    /// Its id.
    pub event: EventId,
    /// What it must keep its order with.
    pub order_key: String,
}

#[derive(QueryableByName)]
struct Laid {
    #[diesel(sql_type = BigInt)]
    #[diesel(column_name = number)]
    _number: i64,
}

impl Tx<'_> {
    /// An organisation whose log is not laid out to its end, after that one in the order of ids.
    pub fn undistributed_after(&mut self, organisation: Option<OrganisationId>) -> Result<Option<OrganisationId>> {
        let after = organisation.map(|organisation| text(organisation.uuid())).unwrap_or_default();
        let found = organisations::table
            .filter(organisations::id.gt(after))
            .filter(organisations::distributed.lt(organisations::next_event - 1))
            .order(organisations::id)
            .select(organisations::id);
        let found: Option<String> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        found.map(|id| Ok(OrganisationId::new(uuid(&id)?))).transpose()
    }

    /// The subscriptions of an organisation that were changed after that count of changes, and the count they stand for together.
    pub fn changed_subscriptions(&mut self, organisation: OrganisationId, after: i64) -> Result<(i64, Vec<Subscription>)> {
        let id = text(organisation.uuid());
        let revision = organisations::table.find(id.clone()).select(organisations::subscriptions_revision);
        let revision: i64 = on!(self, conn => revision.first(conn)).map_err(failed)?;
        let found = subscriptions::table.filter(subscriptions::organisation_id.eq(id)).filter(subscriptions::change.gt(after));
        // Who knows of none yet needs only those that may be told something.
        let active = found.clone().filter(subscriptions::status.eq("ACTIVE"));
        let rows = if after < 0 {
            on!(self, conn => active.select(Row::as_select()).load(conn))
        } else {
            on!(self, conn => found.select(Row::as_select()).load(conn))
        }
        .map_err(failed)?;
        Ok((revision, rows.into_iter().filter_map(Row::readable).collect()))
    }

    /// Lays out the next events of an organisation's log for the subscriptions of the index, which stands for `revision`. The organisation is held
    /// meanwhile, so that however many do this at once, each event is laid out once.
    pub fn lay_out(
        &mut self,
        organisation: OrganisationId,
        index: &SubscriptionIndex,
        revision: i64,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<LaidOut> {
        self.hold_organisation(organisation)?;
        let row = organisations::table.find(text(organisation.uuid()));
        let columns = (
            organisations::next_event,
            organisations::distributed,
            organisations::subscriptions_revision,
            organisations::first_event,
        );
        let columns = row.clone().select(columns);
        let (next, distributed, present, first): (i64, i64, i64, i64) = on!(self, conn => columns.first(conn)).map_err(failed)?;
        if present != revision {
            return Ok(LaidOut::Changed);
        }
        if distributed >= next.saturating_sub(1) {
            return Ok(LaidOut::Events(0));
        }
        // What is no longer kept leaves no gap that anybody could wait for.
        let after: u64 = counted(distributed.max(first.saturating_sub(1)), "number")?;
        let newest: u64 = counted(next.saturating_sub(1), "number")?;
        let last = if index.is_empty() && !self.has_subscriptions(organisation)? {
            newest
        } else {
            let until = newest.min(after.saturating_add(GONE_OVER_AT_ONCE));
            let types: Vec<_> = ALWAYS.into_iter().chain(index.types()).collect();
            let events = self.logged_events(organisation, (after, until), &types, LAID_OUT_AT_ONCE)?;
            let is_full = i64::try_from(events.len()).is_ok_and(|count| count >= LAID_OUT_AT_ONCE);
            let stopped = self.lay_out_events(index, &events, now, ids)?;
            stopped.or_else(|| events.last().filter(|_| is_full).map(|(last, _)| *last)).unwrap_or(until)
        };
        let last = number(last);
        let advance =
            diesel::update(row.filter(organisations::distributed.eq(distributed))).set(organisations::distributed.eq(last));
        if on!(self, conn => advance.execute(conn)).map_err(failed)? != 1 {
            return Err(Error::Stale { what: "log" });
        }
        Ok(LaidOut::Events(counted(last.saturating_sub(distributed), "number")?))
    }

    /// Whether an organisation ever had a subscription.
    fn has_subscriptions(&mut self, organisation: OrganisationId) -> Result<bool> {
        let found = subscriptions::table
            .filter(subscriptions::organisation_id.eq(text(organisation.uuid())))
            .select(subscriptions::id)
            .limit(1);
        let found: Option<String> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        Ok(found.is_some())
    }

    /// Lays out events, the first ones where very many want them; then the number of the last of these.
    fn lay_out_events(
        &mut self,
        index: &SubscriptionIndex,
        events: &[(u64, Logged)],
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<Option<u64>> {
        let mut wanted: BTreeMap<SubscriptionId, Vec<(u64, EventId, String, bool)>> = BTreeMap::new();
        let (mut rows, mut before, mut stopped) = (0_usize, None, None);
        for (number, logged) in events {
            if rows >= ROWS_AT_ONCE {
                stopped = before;
                break;
            }
            before = Some(*number);
            let recorded = match logged {
                Logged::Told(recorded) => recorded,
                Logged::Unreadable(outline) => {
                    // It cannot be delivered, and who might have wanted it learns that.
                    let may_want = index.may_want(outline).into_iter();
                    for subscription in may_want.filter(|subscription| *number > subscription.starts_after) {
                        let key = subscription.order_key_by(outline);
                        wanted.entry(subscription.id).or_default().push((*number, outline.id, key, true));
                        rows = rows.saturating_add(1);
                    }
                    continue;
                }
            };
            let mut add = |subscription: &Subscription, counts: bool| {
                let one = (*number, recorded.id, subscription.order_key(recorded), counts);
                wanted.entry(subscription.id).or_default().push(one);
                rows = rows.saturating_add(1);
            };
            let about = recorded.event.subscription();
            for subscription in index.wanting(recorded) {
                if Some(subscription.id) != about && *number > subscription.starts_after {
                    add(subscription, true);
                }
            }
            if let Some(about) = about {
                let is_end = matches!(recorded.event, Event::SubscriptionEnded { .. });
                match index.get(about) {
                    Some(subscription) => add(subscription, false),
                    // Its own end it is told although it is over.
                    None if is_end => match self.subscription(about) {
                        // Whose receiver never agreed is told nothing.
                        Ok(subscription) if subscription.status_reason != Some(StatusReason::HandshakeFailed) => {
                            add(&subscription, false);
                        }
                        // Nor is anything told to one that cannot be read, which a newer version wrote.
                        Ok(_) | Err(Error::NotFound { .. } | Error::Internal(_)) => {}
                        Err(error) => return Err(error),
                    },
                    None => {}
                }
            }
            if let (Event::JobCompleted { .. }, Some(job)) = (&recorded.event, recorded.job) {
                self.end_subscriptions_of(job, now, ids)?;
            }
        }
        if wanted.is_empty() {
            return Ok(stopped);
        }
        let held = self.hold_subscriptions(wanted.keys().copied())?;
        let (mut new, mut rings) = (Vec::new(), Vec::new());
        for (subscription, rows) in wanted {
            let Some(held) = held.get(&subscription) else { continue };
            let mut room = held.max_events.map_or(u64::MAX, |most| most.saturating_sub(held.events));
            let before = room;
            for (number, event, order_key, counts) in rows {
                if counts {
                    if room == 0 {
                        continue;
                    }
                    room -= 1;
                }
                new.push(NewDelivery { subscription, number, event, order_key });
            }
            // One that had its last event already ends with the next that it may not have.
            if held.max_events.is_some() && (room < before || before == 0) {
                self.count_events(subscription, before - room, room == 0, now, ids)?;
            }
            let queue = if held.is_troubled { DELIVER_TROUBLED } else { DELIVER };
            // Whom nothing is sent to before that time needs no look before it.
            let at = held.open_until.map_or(now, |until| until.max(now));
            rings.push((queue, subscription, at));
        }
        // In the order in which tasks are settled, so that neither waits for the other for ever.
        rings.sort_unstable();
        for (queue, subscription, at) in rings {
            self.ring_subscription(queue, subscription, at, now, ids)?;
        }
        self.insert_deliveries(&new, now)?;
        Ok(stopped)
    }

    /// Counts events of a subscription that may have a limited number, and ends it with the last.
    pub(crate) fn count_events(
        &mut self,
        id: SubscriptionId,
        more: u64,
        is_last: bool,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        if !is_last {
            let place = subscriptions::table.find(text(id.uuid()));
            let update = diesel::update(place).set(subscriptions::events.eq(subscriptions::events + number(more)));
            return on!(self, conn => update.execute(conn)).map(drop).map_err(failed);
        }
        let mut found = self.subscription(id)?;
        found.events = found.events.saturating_add(more);
        match found.end(TerminationReason::MaxEventsReached, now) {
            Some(event) => self.save_subscription(&found, [event], None, now, ids),
            None => Ok(()),
        }
    }

    /// Has the subscriptions that are bound to a job end a little later.
    fn end_subscriptions_of(&mut self, job: JobId, now: Timestamp, ids: &mut Ids) -> Result<()> {
        for found in self.subscriptions_of_job(job)? {
            self.hold_subscription(found.id)?;
            let mut found = self.subscription(found.id)?;
            if found.outlive_job(now) {
                self.save_subscription(&found, [], None, now, ids)?;
            }
        }
        Ok(())
    }

    /// Writes deliveries that are to be made, of each subscription in the order of the numbers; the subscriptions are held. What is there already stays
    /// as it is.
    pub(crate) fn insert_deliveries(&mut self, new: &[NewDelivery], now: Timestamp) -> Result<()> {
        let mut seen = HashSet::new();
        let first: Vec<bool> = new.iter().map(|one| seen.insert((one.subscription, one.order_key.as_str()))).collect();
        match &mut self.conn {
            Conn::Pg(conn) => {
                for (chunk, first) in new.chunks(5_000).zip(first.chunks(5_000)) {
                    let texts = |pick: fn(&NewDelivery) -> String| chunk.iter().map(pick).collect::<Vec<_>>();
                    let query = sql_query(LAY_POSTGRES)
                        .bind::<Array<Text>, _>(texts(|one| text(one.subscription.uuid())))
                        .bind::<Array<BigInt>, _>(chunk.iter().map(|one| number(one.number)).collect::<Vec<_>>())
                        .bind::<Array<Text>, _>(texts(|one| text(one.event.uuid())))
                        .bind::<Array<Text>, _>(texts(|one| one.order_key.clone()))
                        .bind::<Array<Bool>, _>(first.to_vec())
                        .bind::<BigInt, _>(now.micros());
                    query.load::<Laid>(*conn).map_err(failed)?;
                }
            }
            Conn::Sqlite(conn) => {
                for (one, first) in new.iter().zip(first) {
                    let query = sql_query(LAY_SQLITE)
                        .bind::<Text, _>(text(one.subscription.uuid()))
                        .bind::<BigInt, _>(number(one.number))
                        .bind::<Text, _>(text(one.event.uuid()))
                        .bind::<Text, _>(one.order_key.as_str())
                        .bind::<Bool, _>(first)
                        .bind::<BigInt, _>(now.micros());
                    Kept(query).load::<Laid>(*conn).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}
