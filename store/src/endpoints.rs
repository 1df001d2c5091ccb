//! Where subscriptions deliver to: the rate of each such endpoint, kept whichever subscriptions of an organisation, and whichever processes, deliver there.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use dmwsi_domain::delivery::turns;
use dmwsi_domain::subscription::Subscription;
use dmwsi_domain::{Result, Timestamp};
use openssl::sha::sha256;

use crate::column::{counted, text};
use crate::schema::endpoints;
use crate::tx::Conn;
use crate::{Tx, failed, on};

// Those that name a rate have an index of their own, which is used where the condition is written as it has it.
const STRICTEST: &str = "SELECT MIN(rate) AS rate, MIN(allowed_rate) AS allowed_rate FROM subscriptions
WHERE status = 'ACTIVE' AND (rate IS NOT NULL OR allowed_rate IS NOT NULL) AND organisation_id = $1 AND endpoint = $2";
const UNUSED: &str = "DELETE FROM endpoints WHERE (organisation_id, endpoint) IN (
    SELECT organisation_id, endpoint FROM endpoints WHERE used_until <= $1 ORDER BY used_until LIMIT $2)";

#[derive(QueryableByName)]
struct Rates {
    #[diesel(sql_type = Nullable<BigInt>)]
    rate: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    allowed_rate: Option<i64>,
}

/// The endpoint of a subscription as it stands in rows: however long its sink is, an index can hold it.
pub(crate) fn endpoint(subscription: &Subscription) -> String {
    URL_SAFE_NO_PAD.encode(sha256(subscription.endpoint().as_bytes()))
}

impl Tx<'_> {
    /// The least number of deliveries a minute that any active subscription of the organisation to the same endpoint, or its receiver, wants; none where
    /// nobody does.
    pub fn strictest_rate(&mut self, subscription: &Subscription) -> Result<Option<u32>> {
        let strictest = sql_query(STRICTEST).bind::<Text, _>(text(subscription.organisation.uuid()));
        let strictest = strictest.bind::<Text, _>(endpoint(subscription));
        let rates: Rates = on!(self, conn => strictest.get_result(conn)).map_err(failed)?;
        rates.rate.into_iter().chain(rates.allowed_rate).min().map(|rate| counted(rate, "rate")).transpose()
    }

    /// Takes turns of the rate of the endpoint that a subscription delivers to, at most `most`: how many there are now, and when the next one is.
    pub fn take_turns(&mut self, subscription: &Subscription, rate: u32, most: u32, now: Timestamp) -> Result<(u32, Timestamp)> {
        let key = (text(subscription.organisation.uuid()), endpoint(subscription));
        let new = (endpoints::organisation_id.eq(&key.0), endpoints::endpoint.eq(&key.1), endpoints::used_until.eq(0));
        let insert = diesel::insert_into(endpoints::table).values(new).on_conflict_do_nothing();
        on!(self, conn => insert.execute(conn)).map_err(failed)?;
        let row = || endpoints::table.find(key.clone());
        let used = row().select(endpoints::used_until);
        let used: i64 = match &mut self.conn {
            Conn::Pg(conn) => used.for_update().first(*conn),
            Conn::Sqlite(conn) => used.first(*conn),
        }
        .map_err(failed)?;
        let (taken, until) = turns(rate, Timestamp::from_micros(used), most, now);
        if taken > 0 {
            let update = diesel::update(row()).set(endpoints::used_until.eq(until.micros()));
            on!(self, conn => update.execute(conn)).map_err(failed)?;
        }
        Ok((taken, until))
    }

    /// Forgets endpoints whose rate was used up until `until` at most, at most `most` of them; how many they were.
    pub fn sweep_endpoints(&mut self, until: Timestamp, most: i64) -> Result<usize> {
        let unused = sql_query(UNUSED).bind::<BigInt, _>(until.micros()).bind::<BigInt, _>(most);
        on!(self, conn => unused.execute(conn)).map_err(failed)
    }
}
