//! A subscription as its client sees it: without its secrets.
use dmwsi_domain::cloud_event::Payload;
use dmwsi_domain::id::{JobId, SubscriptionId};
use dmwsi_domain::subscription::{Rejected, Signing, StatusReason, Subscription, SubscriptionStatus};
use dmwsi_domain::{Result, Timestamp};
use dmwsi_store::device_id::DeviceIds;
use dmwsi_store::webhook_secrets::WebhookKey;
use serde::Serialize;
use utoipa::ToSchema;

use crate::new_subscription::SubscriptionDetail;

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Subscription, example = json!({
    "id": "sub_019a8e5d3c7b7f10a1b2c3d4e5f60718", "protocol": "HTTP", "sink": "https://receiver.example/events",
    "types": ["dmwsi.v1.device-alert"],
    "config": {"subscriptionDetail": {"markAtLeast": "WARNING"}, "payload": "THIN", "signing": "HMAC"},
    "status": "ACTIVE", "startsAt": "2026-11-21T10:15:30Z", "health": {"consecutiveFailures": 0},
    "signingKey": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
}))]
pub struct SubscriptionView {
    /// Its id.
    pub id: SubscriptionId,
    /// `HTTP`.
    #[schema(max_length = 16)]
    pub protocol: &'static str,
    /// Where events are delivered to.
    #[schema(max_length = 2048)]
    pub sink: String,
    /// The types of events that are delivered.
    #[schema(max_items = 100, max_length = 64)]
    pub types: Vec<String>,
    /// Which of them, for how long, and how.
    pub config: SubscriptionConfigView,
    /// The job that it is bound to and ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// Why, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<StatusReason>,
    /// When it was made.
    pub starts_at: Timestamp,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What is delivered where not all that was asked for is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_detail: Option<SubscriptionDetail>,
    /// What was asked for and is not delivered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 2_100)]
    pub rejected: Vec<Rejected>,
    /// What the receiver said when it was asked whether it wants the events; it is asked anew every seven days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<AgreementView>,
    /// How the receiver has been doing.
    pub health: HealthView,
    /// What deliveries are verified by: the secret `whsec_…` or the public key `whpk_…`. Shown when it was just made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub signing_key: Option<String>,
}

/// Which events, for how long, and how.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SubscriptionConfig)]
pub struct SubscriptionConfigView {
    /// Which events of the types.
    pub subscription_detail: SubscriptionDetail,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_expire_time: Option<Timestamp>,
    /// After how many events it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_max_events: Option<u64>,
    /// How much of each event is told.
    pub payload: Payload,
    /// How deliveries are signed.
    pub signing: Signing,
    /// How many events are delivered a minute at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries_per_minute: Option<u32>,
}

/// What a receiver agreed to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SubscriptionAgreement)]
pub struct AgreementView {
    /// When.
    pub agreed_at: Timestamp,
    /// How many deliveries a minute it takes at most (`WebHook-Allowed-Rate`); the subscription's own rate may be lower.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries_per_minute: Option<u32>,
}

/// How a receiver has been doing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SubscriptionHealth)]
pub struct HealthView {
    /// How many attempts have failed since the last that did not; those that end while the receiver is left alone are not counted.
    pub consecutive_failures: u32,
    /// Since when all have failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Until when the receiver is left alone; then it is tried with one delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
}

impl SubscriptionView {
    /// The view; with the key where it was just made.
    pub fn new(ids: &DeviceIds, subscription: Subscription, key: Option<&WebhookKey>) -> Result<Self> {
        let (purpose, organisation) = (subscription.purpose, subscription.organisation);
        let filter = purpose.filter;
        let detail = SubscriptionDetail {
            device_ids: filter.devices.iter().map(|device| ids.public(organisation, *device)).collect::<Result<_>>()?,
            job_ids: filter.jobs.into_iter().collect(),
            alert_types: filter.alert_types.into_iter().collect(),
            mark_at_least: filter.mark_at_least,
            sources: filter.sources.into_iter().collect(),
        };
        Ok(Self {
            id: subscription.id,
            protocol: "HTTP",
            sink: subscription.sink,
            types: purpose.types.into_iter().collect(),
            effective_detail: (!purpose.rejected.is_empty()).then(|| detail.clone()),
            config: SubscriptionConfigView {
                subscription_detail: detail,
                subscription_expire_time: subscription.expires_at,
                subscription_max_events: subscription.max_events,
                payload: purpose.payload,
                signing: subscription.signing,
                deliveries_per_minute: subscription.rate,
            },
            job_id: subscription.job,
            status: subscription.status,
            status_reason: subscription.status_reason,
            starts_at: subscription.created_at,
            expires_at: subscription.expires_at,
            rejected: purpose.rejected,
            agreement: subscription
                .agreement
                .map(|agreement| AgreementView { agreed_at: agreement.at, deliveries_per_minute: agreement.rate }),
            health: HealthView {
                consecutive_failures: subscription.health.failures,
                failing_since: subscription.health.failing_since,
                paused_until: subscription.health.open_until.filter(|_| subscription.health.failures > 0),
            },
            signing_key: key.map(WebhookKey::shown).transpose()?,
        })
    }
}
