//! Where subscriptions deliver to: the rate of each such endpoint, kept whichever subscriptions of an organisation, and whichever processes, deliver there.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use dmwsi_domain::delivery::Turns;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{Subscription, endpoint_of};
use dmwsi_domain::{Result, Timestamp};
use openssl::sha::sha256;

use crate::column::{counted, text};
use crate::schema::{endpoints, subscriptions, turns};
use crate::{Tx, failed, on};

// Each of the two has an index of its own, which is used where the condition is written as it has it.
const STRICTEST: &str = "SELECT
    (SELECT rate FROM subscriptions WHERE status = 'ACTIVE' AND rate IS NOT NULL AND organisation_id = $1 AND endpoint = $2
        AND EXISTS (SELECT 1 FROM clients WHERE clients.id = client_id AND revoked_at IS NULL) ORDER BY rate LIMIT 1) AS rate,
    (SELECT allowed_rate FROM subscriptions WHERE status = 'ACTIVE' AND allowed_rate IS NOT NULL AND organisation_id = $1 AND endpoint = $2
        AND EXISTS (SELECT 1 FROM clients WHERE clients.id = client_id AND revoked_at IS NULL) ORDER BY allowed_rate LIMIT 1) AS allowed_rate";
// Holds the row, whether or not there was one.
const HOLD: &str = "INSERT INTO endpoints (organisation_id, endpoint, rate, used_until) VALUES ($1, $2, $3, 0)
ON CONFLICT (organisation_id, endpoint) DO UPDATE SET used_until = endpoints.used_until RETURNING rate, used_until";
const MOVED: &str = "DELETE FROM turns WHERE subscription_id = $1
    AND NOT EXISTS (SELECT 1 FROM subscriptions WHERE id = $1 AND endpoint = $2)";
const UNUSED: &str = "DELETE FROM endpoints WHERE (organisation_id, endpoint) IN (
    SELECT organisation_id, endpoint FROM endpoints WHERE used_until <= $1 ORDER BY used_until LIMIT $2)";

#[derive(QueryableByName)]
struct Rates {
    #[diesel(sql_type = Nullable<BigInt>)]
    rate: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    allowed_rate: Option<i64>,
}

#[derive(QueryableByName)]
struct Used {
    #[diesel(sql_type = BigInt)]
    rate: i64,
    #[diesel(sql_type = BigInt)]
    used_until: i64,
}

#[derive(Insertable)]
#[diesel(table_name = turns)]
struct Promise {
    subscription_id: String,
    begin_at: i64,
    promised: i64,
    rate: i64,
}

/// The endpoint of a sink as it stands in rows: however long that is, an index can hold it.
pub(crate) fn endpoint(sink: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(endpoint_of(sink).as_bytes()))
}

impl Tx<'_> {
    /// The least number of deliveries a minute that any active subscription of the organisation to the same endpoint, or its receiver, wants; none where
    /// nobody does. Those of clients that are revoked want nothing.
    pub fn strictest_rate(&mut self, subscription: &Subscription) -> Result<Option<u32>> {
        let strictest = sql_query(STRICTEST).bind::<Text, _>(text(subscription.organisation.uuid()));
        let strictest = strictest.bind::<Text, _>(endpoint(&subscription.sink));
        let rates: Rates = on!(self, conn => strictest.get_result(conn)).map_err(failed)?;
        rates.rate.into_iter().chain(rates.allowed_rate).min().map(|rate| counted(rate, "rate")).transpose()
    }

    /// What a subscription was promised of that rate and waits for.
    pub fn promised_turns(&mut self, id: SubscriptionId, rate: u32) -> Result<Option<Turns>> {
        let found = turns::table.find(text(id.uuid())).filter(turns::rate.eq(i64::from(rate)));
        let found: Option<(i64, i64)> =
            on!(self, conn => found.select((turns::begin_at, turns::promised)).first(conn)).optional().map_err(failed)?;
        let promise = |(at, turns)| Ok(Turns { at: Timestamp::from_micros(at), turns: counted(turns, "number of turns")? });
        found.map(promise).transpose()
    }

    /// Takes turns of the rate of the endpoint that a subscription delivers to, at most `most`. Where it is used up they are promised to it for later: then
    /// it asks again, and no other has them meanwhile. A rate that is another than before begins anew.
    pub fn take_turns(&mut self, subscription: &Subscription, rate: u32, most: u32, now: Timestamp) -> Result<Turns> {
        let promised = self.promised_turns(subscription.id, rate)?;
        if let Some(promised) = promised.filter(|promised| promised.at > now) {
            return Ok(promised);
        }
        let place = turns::table.find(text(subscription.id.uuid()));
        on!(self, conn => diesel::delete(place).execute(conn)).map_err(failed)?;
        if let Some(Turns { turns, .. }) = promised {
            return Ok(Turns { at: now, turns });
        }
        let key = (text(subscription.organisation.uuid()), endpoint(&subscription.sink));
        let hold = sql_query(HOLD).bind::<Text, _>(&key.0).bind::<Text, _>(&key.1).bind::<BigInt, _>(i64::from(rate));
        let held: Used = on!(self, conn => hold.get_result(conn)).map_err(failed)?;
        let used = Timestamp::from_micros(held.used_until);
        let used = if held.rate == i64::from(rate) { used } else { used.min(now) };
        let (taken, until) = Turns::next(rate, used, most, now);
        let update = diesel::update(endpoints::table.find(key))
            .set((endpoints::rate.eq(i64::from(rate)), endpoints::used_until.eq(until.micros())));
        on!(self, conn => update.execute(conn)).map_err(failed)?;
        if taken.at > now {
            let promise = Promise {
                subscription_id: text(subscription.id.uuid()),
                begin_at: taken.at.micros(),
                promised: i64::from(taken.turns),
                rate: i64::from(rate),
            };
            on!(self, conn => diesel::insert_into(turns::table).values(promise).execute(conn)).map_err(failed)?;
        }
        Ok(taken)
    }

    /// Takes back what a subscription was promised, unless it still delivers to that endpoint.
    pub(crate) fn keep_promise_at(&mut self, id: SubscriptionId, endpoint: &str) -> Result<()> {
        let moved = sql_query(MOVED).bind::<Text, _>(text(id.uuid())).bind::<Text, _>(endpoint);
        on!(self, conn => moved.execute(conn)).map(drop).map_err(failed)
    }

    /// Notes the endpoints of active subscriptions from before they were known, at most `most`; how many there were.
    pub(crate) fn fill_endpoints(&mut self, most: i64) -> Result<usize> {
        let unknown = subscriptions::table.filter(subscriptions::endpoint.is_null()).filter(subscriptions::status.eq("ACTIVE"));
        let unknown = unknown.order(subscriptions::id).select((subscriptions::id, subscriptions::sink)).limit(most);
        let unknown: Vec<(String, String)> = on!(self, conn => unknown.load(conn)).map_err(failed)?;
        for (id, sink) in &unknown {
            // One whose sink is changed meanwhile has its endpoint by that.
            let place = subscriptions::table.find(id).filter(subscriptions::sink.eq(sink));
            let update = diesel::update(place).set(subscriptions::endpoint.eq(endpoint(sink)));
            on!(self, conn => update.execute(conn)).map_err(failed)?;
        }
        Ok(unknown.len())
    }

    /// Forgets endpoints whose rate was used up until `until` at most, at most `most` of them; how many they were.
    pub fn sweep_endpoints(&mut self, until: Timestamp, most: i64) -> Result<usize> {
        let unused = sql_query(UNUSED).bind::<BigInt, _>(until.micros()).bind::<BigInt, _>(most);
        on!(self, conn => unused.execute(conn)).map_err(failed)
    }
}
