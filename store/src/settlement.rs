//! The ends of attempts at deliveries, many in one transaction.
use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use dmwsi_domain::delivery::{Attempt, DeliveryState, Health};
use dmwsi_domain::id::{EventId, SubscriptionId};
use dmwsi_domain::{Result, Timestamp};

use crate::column::{counted, document, micros, number, text};
use crate::tx::Conn;
use crate::{Kept, Tx, failed};

/// How many attempts are kept of a delivery, the last ones.
const KEPT: usize = 24;

// On PostgreSQL these are planned each time: a plan that is kept is one for the few rows that there were at first, and stays until the table is analysed.
// Each by its primary key and then by its place, whatever the planner believes of how many are pending: whether one is pending is asked of what was found,
// so that no other way leads to it. Statistics of a moment at which nothing was pending made it read all that were for each that was settled.
// What lost its turn to an earlier one while it was under way (`next_at` is null) has none before that is done.
const SETTLE_POSTGRES: &str = "\
UPDATE deliveries SET state = settled.state, attempt = settled.attempt + 1, attempts = settled.attempts,
    next_at = CASE WHEN deliveries.next_at IS NULL THEN NULL ELSE settled.next_at END, updated_at = $1
FROM UNNEST($2, $3, $4, $5, $6) AS settled (number, attempt, state, attempts, next_at)
CROSS JOIN LATERAL (
    SELECT own.ctid, own.attempt, own.state FROM deliveries AS own
    WHERE own.subscription_id = $7 AND own.number = settled.number OFFSET 0) AS place
WHERE deliveries.ctid = place.ctid AND place.attempt = settled.attempt AND place.state = 'PENDING' RETURNING deliveries.number";

const SETTLE_SQLITE: &str = "\
UPDATE deliveries SET state = $1, attempt = attempt + 1, attempts = $2, next_at = CASE WHEN next_at IS NULL THEN NULL ELSE $3 END, updated_at = $4
WHERE subscription_id = $5 AND number = $6 AND attempt = $7 AND state = 'PENDING' RETURNING number";

/// The next of an order key is due as soon as the one before it is done.
const PROMOTE_POSTGRES: &str = "\
UPDATE deliveries SET next_at = $1
FROM UNNEST($3) AS done (order_key)
CROSS JOIN LATERAL (
    SELECT own.ctid, own.next_at FROM deliveries AS own
    WHERE own.subscription_id = $2 AND own.order_key = done.order_key AND own.state = 'PENDING' ORDER BY own.number LIMIT 1) AS head
WHERE deliveries.ctid = head.ctid AND head.next_at IS NULL RETURNING deliveries.number";

const PROMOTE_SQLITE: &str = "\
UPDATE deliveries SET next_at = $1 WHERE subscription_id = $2 AND next_at IS NULL AND number = (
    SELECT number FROM deliveries WHERE subscription_id = $2 AND order_key = $3 AND state = 'PENDING' ORDER BY number LIMIT 1)
RETURNING number";

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct SettledDelivery {
    /// The number of the event.
    pub number: u64,
    /// Its id, where its client is told that it is given up.
    pub lost: Option<EventId>,
    /// What it keeps its order with.
    pub order_key: String,
    /// How many attempts there were before: where there were others meanwhile nothing is written.
    pub attempt: u32,
    /// Where it stands now.
    pub state: DeliveryState,
    /// All attempts, this one the last.
    pub attempts: Vec<Attempt>,
    /// When it is tried again, where it is.
    pub next_at: Option<Timestamp>,
}

#[derive(QueryableByName)]
struct Changed {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl Tx<'_> {
    /// Writes how attempts ended, has those that waited for them due, and writes how the receiver of the subscription as it was at a revision has been
    /// doing. The numbers of those that were written.
    pub fn settle_deliveries(
        &mut self,
        id: SubscriptionId,
        settled: &[SettledDelivery],
        health: Option<(i64, &Health)>,
        now: Timestamp,
    ) -> Result<BTreeSet<u64>> {
        // Whoever lays out the next of an order key must see whether one is pending.
        self.hold_subscription(id)?;
        let row = text(id.uuid());
        let histories = settled
            .iter()
            .map(|one| document(one.attempts.get(one.attempts.len().saturating_sub(KEPT)..).unwrap_or_default()))
            .collect::<Result<Vec<_>>>()?;
        let mut done: Vec<&str> =
            settled.iter().filter(|one| one.state != DeliveryState::Pending).map(|one| one.order_key.as_str()).collect();
        done.sort_unstable();
        done.dedup();
        let mut changed = Vec::new();
        match &mut self.conn {
            Conn::Pg(conn) => {
                let settle = sql_query(SETTLE_POSTGRES)
                    .bind::<BigInt, _>(now.micros())
                    .bind::<Array<BigInt>, _>(settled.iter().map(|one| number(one.number)).collect::<Vec<_>>())
                    .bind::<Array<BigInt>, _>(settled.iter().map(|one| i64::from(one.attempt)).collect::<Vec<_>>())
                    .bind::<Array<Text>, _>(settled.iter().map(|one| one.state.as_str()).collect::<Vec<_>>())
                    .bind::<Array<Text>, _>(histories)
                    .bind::<Array<Nullable<BigInt>>, _>(settled.iter().map(|one| micros(one.next_at)).collect::<Vec<_>>())
                    .bind::<Text, _>(row.as_str());
                changed.extend(settle.load::<Changed>(*conn).map_err(failed)?);
            }
            Conn::Sqlite(conn) => {
                for (one, history) in settled.iter().zip(histories) {
                    let settle = sql_query(SETTLE_SQLITE)
                        .bind::<Text, _>(one.state.as_str())
                        .bind::<Text, _>(history)
                        .bind::<Nullable<BigInt>, _>(micros(one.next_at))
                        .bind::<BigInt, _>(now.micros())
                        .bind::<Text, _>(row.as_str())
                        .bind::<BigInt, _>(number(one.number))
                        .bind::<BigInt, _>(i64::from(one.attempt));
                    changed.extend(Kept(settle).load::<Changed>(*conn).map_err(failed)?);
                }
            }
        }
        self.promote_next(id, &done, now)?;
        if let Some((revision, health)) = health {
            self.save_health(id, revision, health)?;
        }
        changed.into_iter().map(|one| counted(one.number, "number")).collect()
    }

    /// Has the first due that is pending of each of these order keys.
    pub(crate) fn promote_next(&mut self, id: SubscriptionId, keys: &[&str], now: Timestamp) -> Result<()> {
        let row = text(id.uuid());
        match &mut self.conn {
            Conn::Pg(_) if keys.is_empty() => {}
            Conn::Pg(conn) => {
                let promote =
                    sql_query(PROMOTE_POSTGRES).bind::<BigInt, _>(now.micros()).bind::<Text, _>(row).bind::<Array<Text>, _>(keys);
                promote.load::<Changed>(*conn).map_err(failed)?;
            }
            Conn::Sqlite(conn) => {
                for key in keys {
                    let promote = sql_query(PROMOTE_SQLITE)
                        .bind::<BigInt, _>(now.micros())
                        .bind::<Text, _>(row.as_str())
                        .bind::<Text, _>(*key);
                    Kept(promote).load::<Changed>(*conn).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}
