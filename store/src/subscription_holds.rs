//! Subscriptions that are held while deliveries of theirs are written.
use std::collections::BTreeMap;

use diesel::prelude::*;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::{Result, Timestamp};

use crate::column::{counted, moment, text, uuid};
use crate::schema::subscriptions;
use crate::tx::Conn;
use crate::{Tx, failed};

/// How many subscriptions are held by a statement: SQLite takes 32,766 parameters at most.
const HELD_AT_ONCE: usize = 10_000;

type HeldRow = (String, bool, Option<i64>, i64, Option<i64>);

/// What may change of a subscription while the log is laid out.
pub(crate) struct Held {
    pub(crate) is_troubled: bool,
    pub(crate) max_events: Option<u64>,
    pub(crate) events: u64,
    pub(crate) open_until: Option<Timestamp>,
}

impl Tx<'_> {
    /// Holds subscriptions, so that no delivery of theirs is settled meanwhile, and reads what settling changes.
    pub(crate) fn hold_subscriptions(
        &mut self,
        ids: impl Iterator<Item = SubscriptionId>,
    ) -> Result<BTreeMap<SubscriptionId, Held>> {
        let mut ids: Vec<_> = ids.map(|id| text(id.uuid())).collect();
        ids.sort_unstable();
        let columns = (
            subscriptions::id,
            subscriptions::is_troubled,
            subscriptions::max_events,
            subscriptions::events,
            subscriptions::open_until,
        );
        let mut rows: Vec<HeldRow> = Vec::new();
        for ids in ids.chunks(HELD_AT_ONCE) {
            let found = subscriptions::table.filter(subscriptions::id.eq_any(ids)).order(subscriptions::id).select(columns);
            let held: Vec<HeldRow> = match &mut self.conn {
                // What only refers to them need not wait.
                Conn::Pg(conn) => found.for_no_key_update().load(*conn),
                Conn::Sqlite(conn) => found.load(*conn),
            }
            .map_err(failed)?;
            rows.extend(held);
        }
        let held = |(id, is_troubled, max_events, events, open_until): HeldRow| {
            let max_events = max_events.map(|most| counted(most, "number of events")).transpose()?;
            let (events, open_until) = (counted(events, "number of events")?, moment(open_until));
            Ok((SubscriptionId::new(uuid(&id)?), Held { is_troubled, max_events, events, open_until }))
        };
        rows.into_iter().map(held).collect()
    }

    /// Holds one subscription; false when it is gone.
    pub(crate) fn hold_subscription(&mut self, id: SubscriptionId) -> Result<bool> {
        Ok(!self.hold_subscriptions(std::iter::once(id))?.is_empty())
    }
}
