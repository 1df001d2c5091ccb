//! Subscriptions as rows. Whoever changes one holds its organisation first, so that the log is laid out for what was before or for what is after.
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use dmwsi_domain::delivery::Health;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::{ClientId, JobId, OrganisationId, SubscriptionId, TaskId};
use dmwsi_domain::subscription::{
    Agreement, Recovery, Signing, StatusReason, Subscription, SubscriptionStatus, TerminationReason,
};
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, damaged, document, micros, moment, number, parsed, text, uuid};
use crate::endpoints::endpoint;
use crate::queue::NewTask;
use crate::schema::{organisations, subscriptions};
use crate::{Tx, failed, on};

/// The queue of deliveries to receivers that do well; the key is the subscription's id.
pub const DELIVER: &str = "deliver.v1";
/// The queue of deliveries to receivers that give trouble; the key is the subscription's id.
pub const DELIVER_TROUBLED: &str = "deliver.troubled.v1";
/// The queue whose task lays out again what is to be delivered again; the key is the subscription's id.
pub const RECOVER: &str = "subscription.recover.v1";
/// The queue whose task asks a receiver whether it wants the events; the key is the subscription's id.
pub const HANDSHAKE: &str = "subscription.handshake.v1";

// What is not over has indexes of its own, which are used where the condition is written as they have it.
const OPEN: &str = "SELECT COUNT(*) AS number FROM subscriptions WHERE client_id = $1 AND status NOT IN ('EXPIRED', 'DELETED')";

#[derive(QueryableByName)]
pub(crate) struct Number {
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(crate) number: Option<i64>,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = subscriptions, treat_none_as_null = true)]
pub(crate) struct Row {
    id: String,
    organisation_id: String,
    client_id: String,
    job_id: Option<String>,
    sink: String,
    endpoint: Option<String>,
    status: String,
    status_reason: Option<String>,
    purpose: String,
    secrets: Vec<u8>,
    signing: String,
    max_events: Option<i64>,
    events: i64,
    rate: Option<i64>,
    expires_at: Option<i64>,
    expires_by: String,
    #[diesel(embed)]
    health: HealthRow,
    agreed_at: Option<i64>,
    allowed_rate: Option<i64>,
    recover_after: Option<i64>,
    recover_until: Option<i64>,
    recover_failed_only: bool,
    starts_after: i64,
    created_at: i64,
    updated_at: i64,
    revision: i64,
}

impl Row {
    /// The subscription, if it can be read: one that cannot, since a newer version wrote it, must not keep all others from their events.
    pub(crate) fn readable(self) -> Option<Subscription> {
        let id = self.id.clone();
        Subscription::try_from(self)
            .inspect_err(|error| tracing::error!(cause = ?error, subscription = id, "subscription {id} cannot be read"))
            .ok()
    }
}

/// How a receiver has been doing, written with the ends of deliveries.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = subscriptions, treat_none_as_null = true)]
pub(crate) struct HealthRow {
    failures: i64,
    failing_since: Option<i64>,
    open_until: Option<i64>,
    notice: i64,
    is_troubled: bool,
}

impl From<&Health> for HealthRow {
    fn from(health: &Health) -> Self {
        Self {
            failures: i64::from(health.failures),
            failing_since: micros(health.failing_since),
            open_until: micros(health.open_until),
            notice: i64::from(health.notice),
            is_troubled: health.is_troubled,
        }
    }
}

const fn signing_word(signing: Signing) -> &'static str {
    match signing {
        Signing::Hmac => "HMAC",
        Signing::Ed25519 => "ED25519",
    }
}

impl TryFrom<&Subscription> for Row {
    type Error = Error;

    fn try_from(one: &Subscription) -> Result<Self> {
        Ok(Self {
            id: text(one.id.uuid()),
            organisation_id: text(one.organisation.uuid()),
            client_id: text(one.client.uuid()),
            job_id: one.job.map(|job| text(job.uuid())),
            sink: one.sink.clone(),
            endpoint: Some(endpoint(&one.sink)),
            status: one.status.as_str().to_owned(),
            status_reason: one.status_reason.map(|reason| reason.as_str().to_owned()),
            purpose: document(&one.purpose)?,
            secrets: one.secrets.clone(),
            signing: signing_word(one.signing).to_owned(),
            max_events: one.max_events.map(number),
            events: number(one.events),
            rate: one.rate.map(i64::from),
            expires_at: micros(one.expires_at),
            expires_by: one.expires_by.as_str().to_owned(),
            health: HealthRow::from(&one.health),
            agreed_at: micros(one.agreement.map(|agreement| agreement.at)),
            allowed_rate: one.agreement.and_then(|agreement| agreement.rate).map(i64::from),
            recover_after: one.recovery.map(|recovery| number(recovery.after)),
            recover_until: one.recovery.map(|recovery| number(recovery.until)),
            recover_failed_only: one.recovery.is_some_and(|recovery| recovery.only_failed),
            starts_after: number(one.starts_after),
            created_at: one.created_at.micros(),
            updated_at: one.updated_at.micros(),
            revision: one.revision,
        })
    }
}

impl TryFrom<Row> for Subscription {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let health = row.health;
        let recovery = match (row.recover_after, row.recover_until) {
            (Some(after), Some(until)) => Some(Recovery {
                after: counted(after, "number")?,
                until: counted(until, "number")?,
                only_failed: row.recover_failed_only,
            }),
            _ => None,
        };
        let reason = |word: String| StatusReason::parse(&word).ok_or_else(|| damaged("reason of a subscription"));
        Ok(Self {
            id: SubscriptionId::new(uuid(&row.id)?),
            organisation: OrganisationId::new(uuid(&row.organisation_id)?),
            client: ClientId::new(uuid(&row.client_id)?),
            job: row.job_id.as_deref().map(uuid).transpose()?.map(JobId::new),
            sink: row.sink,
            status: SubscriptionStatus::parse(&row.status).ok_or_else(|| damaged("status of a subscription"))?,
            status_reason: row.status_reason.map(reason).transpose()?,
            purpose: parsed(&row.purpose)?,
            secrets: row.secrets,
            signing: if row.signing == signing_word(Signing::Hmac) { Signing::Hmac } else { Signing::Ed25519 },
            max_events: row.max_events.map(|most| counted(most, "number of events")).transpose()?,
            events: counted(row.events, "number of events")?,
            rate: row.rate.map(|rate| counted(rate, "rate")).transpose()?,
            agreement: match moment(row.agreed_at) {
                Some(at) => Some(Agreement { at, rate: row.allowed_rate.map(|rate| counted(rate, "rate")).transpose()? }),
                None => None,
            },
            expires_at: moment(row.expires_at),
            expires_by: TerminationReason::parse(&row.expires_by).ok_or_else(|| damaged("reason of a subscription"))?,
            health: Health {
                failures: counted(health.failures, "number of failures")?,
                failing_since: moment(health.failing_since),
                open_until: moment(health.open_until),
                notice: counted(health.notice, "notice")?,
                is_troubled: health.is_troubled,
            },
            recovery,
            starts_after: counted(row.starts_after, "number")?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            revision: row.revision,
        })
    }
}

/// Which subscriptions of a client a page holds, the newest first.
#[derive(Clone, Debug)]
pub struct SubscriptionPage {
    /// Whose.
    pub client: ClientId,
    /// Only those made before this one.
    pub before: Option<SubscriptionId>,
    /// At most so many.
    pub limit: i64,
}

impl Tx<'_> {
    /// Holds an organisation and counts a change of its subscriptions; the new count.
    fn count_change(&mut self, organisation: OrganisationId) -> Result<i64> {
        let row = organisations::table.find(text(organisation.uuid()));
        let next = organisations::subscriptions_revision.eq(organisations::subscriptions_revision + 1);
        let update = diesel::update(row).set(next).returning(organisations::subscriptions_revision);
        on!(self, conn => update.get_result(conn)).map_err(failed)
    }

    /// Writes a new subscription, unless its client has `most` already. It is for what gets its number from now on.
    pub fn insert_subscription(&mut self, subscription: &Subscription, most: i64) -> Result<()> {
        let change = self.count_change(subscription.organisation)?;
        let open = sql_query(OPEN).bind::<Text, _>(text(subscription.client.uuid()));
        let open = on!(self, conn => open.get_result::<Number>(conn)).map_err(failed)?.number.unwrap_or_default();
        if open >= most {
            return Err(Error::conflict("QUOTA_EXCEEDED", format!("a client has {most} subscriptions at most")));
        }
        let starts_after = number(self.last_number(subscription.organisation)?);
        let row = Row { starts_after, ..Row::try_from(subscription)? };
        let insert = diesel::insert_into(subscriptions::table).values((row, subscriptions::change.eq(change)));
        on!(self, conn => insert.execute(conn)).map(drop).map_err(failed)
    }

    /// The subscription of that id, over or not, whosoever it is.
    pub fn subscription(&mut self, id: SubscriptionId) -> Result<Subscription> {
        let found = subscriptions::table.find(text(id.uuid()));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.ok_or(Error::NotFound { what: "subscription" })?.try_into()
    }

    /// The same, if it is there and can be read.
    pub(crate) fn readable_subscription(&mut self, id: SubscriptionId) -> Result<Option<Subscription>> {
        let found = subscriptions::table.find(text(id.uuid()));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        Ok(row.and_then(Row::readable))
    }

    /// The subscription of that id if it is that client's and was not deleted.
    pub fn subscription_of(&mut self, client: ClientId, id: SubscriptionId) -> Result<Subscription> {
        let found = self.subscription(id)?;
        let is_there = found.client == client && found.status != SubscriptionStatus::Deleted;
        if is_there { Ok(found) } else { Err(Error::NotFound { what: "subscription" }) }
    }

    /// The same, to be changed: its organisation is held until this transaction has ended.
    pub fn subscription_held(
        &mut self,
        organisation: OrganisationId,
        client: ClientId,
        id: SubscriptionId,
    ) -> Result<Subscription> {
        self.hold_organisation(organisation)?;
        self.hold_subscription(id)?;
        self.subscription_of(client, id)
    }

    /// A page of a client's subscriptions; those that were deleted are left out.
    pub fn subscriptions(&mut self, page: &SubscriptionPage) -> Result<Vec<Subscription>> {
        // Ids sort as text, and `g` comes after all of them.
        let before = page.before.map_or_else(|| "g".to_owned(), |id| text(id.uuid()));
        let found = subscriptions::table
            .filter(subscriptions::client_id.eq(text(page.client.uuid())))
            .filter(subscriptions::id.lt(before))
            .filter(subscriptions::status.ne("DELETED"))
            .order(subscriptions::id.desc())
            .limit(page.limit);
        let rows = on!(self, conn => found.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(Subscription::try_from).collect()
    }

    /// The subscriptions that are bound to a job.
    pub fn subscriptions_of_job(&mut self, job: JobId) -> Result<Vec<Subscription>> {
        let found = subscriptions::table.filter(subscriptions::job_id.eq(text(job.uuid())));
        let rows = on!(self, conn => found.select(Row::as_select()).load(conn)).map_err(failed)?;
        Ok(rows.into_iter().filter_map(Row::readable).collect())
    }

    /// Writes a change of a subscription and what it tells. [`Error::Stale`] when it has another revision by now than the one before.
    pub fn save_subscription(
        &mut self,
        subscription: &Subscription,
        events: impl IntoIterator<Item = Event>,
        correlator: Option<&str>,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        let change = self.count_change(subscription.organisation)?;
        self.keep_promise_at(subscription.id, &endpoint(&subscription.sink))?;
        let place = subscriptions::table
            .find(text(subscription.id.uuid()))
            .filter(subscriptions::revision.eq(subscription.revision.saturating_sub(1)));
        let update = diesel::update(place).set((Row::try_from(subscription)?, subscriptions::change.eq(change)));
        if on!(self, conn => update.execute(conn)).map_err(failed)? == 0 {
            return Err(Error::Stale { what: "subscription" });
        }
        let recorded: Vec<_> =
            events.into_iter().map(|event| subscription.tells(event, now, correlator.map(str::to_owned), ids)).collect();
        self.record_all(&recorded)
    }

    /// Has the subscriptions of a client looked at anew, as it may be told of something else now.
    pub(crate) fn touch_subscriptions(&mut self, organisation: OrganisationId, client: ClientId) -> Result<()> {
        let change = self.count_change(organisation)?;
        let place = subscriptions::table.filter(subscriptions::client_id.eq(text(client.uuid())));
        let update = diesel::update(place).set(subscriptions::change.eq(change));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// Writes how a receiver has been doing, unless its subscription has another revision by now.
    pub fn save_health(&mut self, id: SubscriptionId, revision: i64, health: &Health) -> Result<()> {
        let place = subscriptions::table.find(text(id.uuid())).filter(subscriptions::revision.eq(revision));
        let update = diesel::update(place).set(HealthRow::from(health));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// Writes what is still to be delivered again.
    pub fn save_recovery(&mut self, id: SubscriptionId, recovery: Option<Recovery>) -> Result<()> {
        let update = diesel::update(subscriptions::table.find(text(id.uuid()))).set((
            subscriptions::recover_after.eq(recovery.map(|recovery| number(recovery.after))),
            subscriptions::recover_until.eq(recovery.map(|recovery| number(recovery.until))),
            subscriptions::recover_failed_only.eq(recovery.is_some_and(|recovery| recovery.only_failed)),
        ));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// Counts the events that a subscription began with.
    pub(crate) fn count_initial(&mut self, id: SubscriptionId, count: usize) -> Result<()> {
        let update = diesel::update(subscriptions::table.find(text(id.uuid()))).set(subscriptions::events.eq(number(count)));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// Rings a task that is about a subscription: one of [`DELIVER`], [`DELIVER_TROUBLED`], [`RECOVER`] and [`HANDSHAKE`].
    pub fn ring_subscription(
        &mut self,
        queue: &'static str,
        id: SubscriptionId,
        at: Timestamp,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        let task = NewTask::new(queue, id.to_string(), &id, at)?;
        self.enqueue(TaskId::new(ids.new_id()), &task, now)
    }
}
