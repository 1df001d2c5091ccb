//! Who is told of what, and where.
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::cloud_event::Payload;
use crate::delivery::Health;
use crate::event::{Event, Recorded};
use crate::id::{ClientId, ContainerId, DeviceId, EventId, JobId, OrganisationId, SubscriptionId};
use crate::outline::Outline;
use crate::subscription_filter::Filter;
pub use crate::subscription_status::{InitiationReason, StatusReason, SubscriptionStatus, TerminationReason, UpdateReason};
use crate::{Ids, Timestamp};

/// The most devices, and the most jobs, that a subscription may name.
pub const MAX_NAMED: usize = 1_000;

/// The most types of alerts, and the most nodes, that a subscription may name.
pub const MAX_PATTERNS: usize = 100;

/// What deliveries are signed with, by Standard Webhooks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signing {
    /// `v1`: HMAC-SHA256 by a shared secret, `whsec_…`.
    #[default]
    Hmac,
    /// `v1a`: Ed25519; the receiver has the public key, `whpk_…`.
    Ed25519,
}

/// Which receivers are asked first whether they want the events.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Handshake {
    /// None.
    Off,
    /// All but hosts that the settings name.
    #[default]
    Public,
    /// All.
    Required,
}

/// A part of what was asked for that is not granted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Where in the request it stood, as a JSON pointer.
    #[schema(max_length = 256, example = "/types/1")]
    pub pointer: String,
    /// Why: `PERMISSION_DENIED` for a type that the token may not read, `NOT_FOUND` for a device that is not the organisation's or a job that is not the
    /// client's.
    #[schema(max_length = 64, example = "PERMISSION_DENIED")]
    pub reason: String,
}

/// What a subscription is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Purpose {
    /// The types of events.
    pub types: BTreeSet<String>,
    /// Which of them.
    pub filter: Filter,
    /// How much of each is told.
    pub payload: Payload,
    /// Whether the last event that fits, of each device or job, comes first.
    #[serde(default)]
    pub initial: bool,
    /// When its client wants it to be over, however long its token lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What was asked for beyond that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
}

/// What is to be delivered again: the log after one number, up to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recovery {
    /// After this number; it grows while the work is done.
    pub after: u64,
    /// Up to this number.
    pub until: u64,
    /// Only what is dead.
    pub only_failed: bool,
}

impl Recovery {
    /// Both in one; none where that would be more than both.
    #[must_use]
    pub fn joined(self, other: Self) -> Option<Self> {
        let touch = self.after <= other.until && other.after <= self.until;
        (touch && self.only_failed == other.only_failed).then(|| Self {
            after: self.after.min(other.after),
            until: self.until.max(other.until),
            only_failed: self.only_failed,
        })
    }
}

/// What a receiver said when it was asked whether it wants the events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agreement {
    /// When.
    pub at: Timestamp,
    /// How many deliveries a minute it allows; none for any number.
    pub rate: Option<u32>,
}

/// How many deliveries a minute `WebHook-Allowed-Rate` allows; none for any number. What cannot be read allows one.
#[must_use]
pub fn allowed_rate(header: &str) -> Option<u32> {
    let rate = header.trim();
    (rate != "*").then(|| rate.parse::<u32>().unwrap_or(1).clamp(1, 1_000_000))
}

/// A subscription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose events.
    pub organisation: OrganisationId,
    /// Who is told.
    pub client: ClientId,
    /// The job that it is bound to.
    pub job: Option<JobId>,
    /// Where events are delivered to.
    pub sink: String,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// Why.
    pub status_reason: Option<StatusReason>,
    /// What it is for.
    pub purpose: Purpose,
    /// Its secrets, sealed.
    pub secrets: Vec<u8>,
    /// How deliveries are signed.
    pub signing: Signing,
    /// After so many events it is over.
    pub max_events: Option<u64>,
    /// How many there have been; counted only where `max_events` is set.
    pub events: u64,
    /// How many are delivered a minute at most, as its client wants it.
    pub rate: Option<u32>,
    /// What its receiver agreed to, where it was asked.
    pub agreement: Option<Agreement>,
    /// When it is over.
    pub expires_at: Option<Timestamp>,
    /// Why it is over then.
    pub expires_by: TerminationReason,
    /// How its receiver has been doing.
    pub health: Health,
    /// What is to be delivered again.
    pub recovery: Option<Recovery>,
    /// It is for events of higher numbers than this.
    pub starts_after: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts its changes, from 1.
    pub revision: i64,
}

impl Subscription {
    /// Whether it wants an event that its client may be told of.
    #[must_use]
    pub fn wants(&self, recorded: &Recorded) -> bool {
        let is_own = !recorded.is_private() || recorded.client == Some(self.client);
        let in_time = self.expires_at.is_none_or(|end| recorded.at < end);
        is_own && in_time && self.purpose.types.contains(recorded.event.type_name()) && self.purpose.filter.lets(recorded)
    }

    /// Whether it may want an event of which only the outline can be read; what it says of an alert does not count then.
    #[must_use]
    pub fn may_want(&self, outline: &Outline) -> bool {
        let is_own = !outline.is_private() || outline.client == Some(self.client);
        let in_time = self.expires_at.is_none_or(|end| outline.at < end);
        is_own && in_time && self.purpose.types.contains(&outline.kind) && self.purpose.filter.names(outline.device, outline.job)
    }

    /// Has it over at its own time or with its token, whichever comes first.
    pub fn set_end(&mut self, token: Option<Timestamp>) {
        let own = self.purpose.until;
        let by_token = token.filter(|token| own.is_none_or(|own| *token < own));
        self.expires_at = by_token.or(own);
        self.expires_by =
            if by_token.is_some() { TerminationReason::AccessTokenExpired } else { TerminationReason::SubscriptionExpired };
    }

    /// How many deliveries a minute there are at most, by its client and by its receiver.
    #[must_use]
    pub fn pace(&self) -> Option<u32> {
        [self.rate, self.agreement.and_then(|agreement| agreement.rate)].into_iter().flatten().min()
    }

    /// The events that it must have one after the other: those of a device, of a job, of a container; all, where it is bound to a job. What tells of
    /// deliveries that were given up stands by itself: who refuses that as well must not wait for it.
    #[must_use]
    pub fn order_key(&self, recorded: &Recorded) -> String {
        match recorded.event {
            Event::SubscriptionDeliveryDead { .. } => recorded.id.uuid().simple().to_string(),
            _ => self.subject(recorded),
        }
    }

    /// What an event is about, of which a new subscription wants the last: the device, the job or the container; all, where it is bound to a job.
    #[must_use]
    pub fn subject(&self, recorded: &Recorded) -> String {
        self.order_key_of(recorded.job, recorded.device, recorded.event.container())
    }

    /// The same of an event of which no more than that can be read.
    #[must_use]
    pub fn order_key_by(&self, outline: &Outline) -> String {
        if outline.kind == Event::DEAD {
            outline.id.uuid().simple().to_string()
        } else {
            self.order_key_of(outline.job, outline.device, None)
        }
    }

    fn order_key_of(&self, job: Option<JobId>, device: Option<DeviceId>, container: Option<ContainerId>) -> String {
        match (self.job, device, job, container) {
            (Some(job), ..) | (None, None, Some(job), _) => job.uuid().simple().to_string(),
            (None, Some(device), ..) => device.uuid().simple().to_string(),
            (None, None, None, Some(container)) => container.uuid().simple().to_string(),
            (None, None, None, None) => String::new(),
        }
    }

    /// Notes that it is another now.
    pub const fn changed(&mut self, now: Timestamp) {
        self.updated_at = now;
        self.revision = self.revision.saturating_add(1);
    }

    /// What it tells, as a row of the log.
    pub fn tells(&self, event: Event, now: Timestamp, correlator: Option<String>, ids: &mut Ids) -> Recorded {
        Recorded {
            id: EventId::new(ids.new_id()),
            organisation: self.organisation,
            client: Some(self.client),
            job: None,
            ordinal: None,
            device: None,
            revision: u64::try_from(self.revision).unwrap_or_default(),
            correlator,
            at: now,
            event,
        }
    }
}

/// Where a sink is, without its query: what a rate is kept for, whichever subscriptions of the organisation name it.
#[must_use]
pub fn endpoint_of(sink: &str) -> String {
    Url::parse(sink).map_or_else(
        |_unreadable| sink.to_owned(),
        |mut sink| {
            sink.set_query(None);
            sink.set_fragment(None);
            sink.into()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use crate::delivery::DeliveryError;
    use crate::subscription_index::tests::subscription;

    #[test]
    fn a_notice_of_what_was_given_up_waits_for_nothing_and_nothing_waits_for_it() {
        let client = ClientId::new(Clock::System.new_id());
        let plain = subscription(client, &["device-alert"], Filter::default());
        let bound = Subscription { job: Some(JobId::new(Clock::System.new_id())), ..plain.clone() };
        for subscription in [plain, bound] {
            let (subscription_id, ids) = (subscription.id, &mut Clock::System.new_ids());
            let first_event_id = EventId::new(Clock::System.new_id());
            let notice =
                Event::SubscriptionDeliveryDead { subscription_id, count: 1, first_event_id, error: DeliveryError::Refused };
            let mut told = |event| subscription.tells(event, Timestamp::default(), None, ids);
            let (one, other, test) = (told(notice.clone()), told(notice), told(Event::SubscriptionTest { subscription_id }));
            let keys = [&one, &other, &test].map(|recorded| subscription.order_key(recorded));
            assert_eq!(BTreeSet::from(keys.clone()).len(), 3, "{keys:?}");
            let outline = Outline { id: one.id, client: None, job: None, device: None, at: one.at, kind: Event::DEAD.to_owned() };
            assert_eq!(subscription.order_key_by(&outline), keys[0]);
        }
    }

    #[test]
    fn what_is_delivered_again_is_joined_only_where_nothing_more_comes_of_it() {
        let of = |after, until, only_failed| Recovery { after, until, only_failed };
        assert_eq!(of(10, 20, false).joined(of(15, 30, false)), Some(of(10, 30, false)));
        assert_eq!(of(10, 20, true).joined(of(5, 10, true)), Some(of(5, 20, true)));
        assert_eq!(of(10, 20, false).joined(of(21, 30, false)), None, "not what lies between");
        assert_eq!(of(10, 20, true).joined(of(10, 20, false)), None, "not what was delivered");
    }
}
