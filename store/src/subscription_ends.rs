//! Subscriptions whose time is over.
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use dmwsi_domain::id::{OrganisationId, SubscriptionId};
use dmwsi_domain::{Ids, Result, Timestamp};

use crate::column::{moment, number, text, uuid};
use crate::schema::events;
use crate::subscriptions::Number;
use crate::{Tx, failed, on};

// What is not over has an index of its own, which is used where the condition is written as it has it.
const DUE: &str = "SELECT organisation_id, id FROM subscriptions
WHERE expires_at IS NOT NULL AND status NOT IN ('EXPIRED', 'DELETED') AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
const OLD: &str = "DELETE FROM subscriptions WHERE id IN (
    SELECT id FROM subscriptions WHERE status IN ('EXPIRED', 'DELETED') AND updated_at <= $1
        AND NOT EXISTS (SELECT 1 FROM deliveries WHERE subscription_id = subscriptions.id) ORDER BY updated_at LIMIT $2)";
const NEXT: &str =
    "SELECT MIN(expires_at) AS number FROM subscriptions WHERE expires_at IS NOT NULL AND status NOT IN ('EXPIRED', 'DELETED')";

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Text)]
    organisation_id: String,
    #[diesel(sql_type = Text)]
    id: String,
}

impl Tx<'_> {
    /// Subscriptions whose time was over by `now`, at most `limit`.
    pub fn due_subscriptions(&mut self, now: Timestamp, limit: i64) -> Result<Vec<(OrganisationId, SubscriptionId)>> {
        let due = sql_query(DUE).bind::<BigInt, _>(now.micros()).bind::<BigInt, _>(limit);
        let rows: Vec<Due> = on!(self, conn => due.get_results(conn)).map_err(failed)?;
        rows.iter()
            .map(|row| Ok((OrganisationId::new(uuid(&row.organisation_id)?), SubscriptionId::new(uuid(&row.id)?))))
            .collect()
    }

    /// Forgets subscriptions that were over by `until`, and whose deliveries are forgotten, at most `most`; how many they were.
    pub fn sweep_subscriptions(&mut self, until: Timestamp, most: i64) -> Result<usize> {
        let old = sql_query(OLD).bind::<BigInt, _>(until.micros()).bind::<BigInt, _>(most);
        on!(self, conn => old.execute(conn)).map_err(failed)
    }

    /// When the next subscription is over.
    pub fn next_subscription_end(&mut self) -> Result<Option<Timestamp>> {
        let next = sql_query(NEXT);
        Ok(moment(on!(self, conn => next.get_result::<Number>(conn)).map_err(failed)?.number))
    }

    /// Ends a subscription whose time is over, if that is still so. False when it still has to be told of something from before its end.
    pub fn expire_subscription(
        &mut self,
        organisation: OrganisationId,
        id: SubscriptionId,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<bool> {
        self.hold_organisation(organisation)?;
        self.hold_subscription(id)?;
        let mut found = self.subscription(id)?;
        let Some(end) = found.expires_at.filter(|end| *end <= now) else { return Ok(true) };
        if self.has_undistributed_before(organisation, end)? {
            return Ok(false);
        }
        let reason = found.expires_by;
        if let Some(event) = found.end(reason, now) {
            self.save_subscription(&found, [event], None, now, ids)?;
        }
        Ok(true)
    }

    /// Whether something happened before that moment that is not laid out yet.
    fn has_undistributed_before(&mut self, organisation: OrganisationId, end: Timestamp) -> Result<bool> {
        let distributed = number(self.distributed(organisation)?);
        let of = events::table.filter(events::organisation_id.eq(text(organisation.uuid())));
        let before = of.filter(events::created_at.lt(end.micros())).select(events::id).limit(1);
        let unnumbered = before.clone().filter(events::number.is_null());
        let waiting = before.filter(events::number.gt(distributed));
        let unnumbered: Option<String> = on!(self, conn => unnumbered.first(conn)).optional().map_err(failed)?;
        let waiting: Option<String> = on!(self, conn => waiting.first(conn)).optional().map_err(failed)?;
        Ok(unnumbered.or(waiting).is_some())
    }
}
