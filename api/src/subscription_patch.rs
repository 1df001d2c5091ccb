//! A change of a subscription, as a merge patch.
use dmwsi_domain::Timestamp;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::new_subscription::SubscriptionDetail;
use crate::sink::NewSinkCredential;

/// What is to be another. What is absent stays.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"status": "ACTIVE", "config": {"subscriptionMaxEvents": 5000}}))]
pub struct SubscriptionPatch {
    /// `ACTIVE` or `INACTIVE`: switches it on, also after the server has switched it off, or off.
    #[serde(default)]
    pub status: Option<Switch>,
    /// Where events are delivered to.
    #[serde(default)]
    #[schema(max_length = 2048, format = "uri")]
    pub sink: Option<String>,
    /// What is presented to the receiver; `null` for nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<NewSinkCredential>, write_only)]
    pub sink_credential: Option<Option<NewSinkCredential>>,
    /// The types of events, all of them.
    #[serde(default)]
    #[schema(max_items = 100, max_length = 64)]
    pub types: Option<Vec<String>>,
    /// Which of them, for how long, and how.
    #[serde(default)]
    pub config: Option<SubscriptionConfigPatch>,
}

/// On or off.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Switch {
    /// On.
    Active,
    /// Off.
    Inactive,
}

/// Which events, for how long, and how.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionConfigPatch {
    /// Which events of the types; it is replaced whole.
    #[serde(default)]
    pub subscription_detail: Option<SubscriptionDetail>,
    /// When it ends; `null` for never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Timestamp>)]
    pub subscription_expire_time: Option<Option<Timestamp>>,
    /// After how many events it ends, counted from its beginning; `null` for never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000)]
    pub subscription_max_events: Option<Option<u64>>,
    /// How many deliveries to the sink begin in a minute at most; `null` for any number; up to a second's worth may come at once. The limit holds for the endpoint: all
    /// active subscriptions of the organisation to the same scheme, host, port and path share it, whatever stands in the query and however many processes
    /// deliver, and the least that any of them or the receiver (`WebHook-Allowed-Rate`) wants counts.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    pub deliveries_per_minute: Option<Option<u32>>,
}

/// Tells `null` from what is absent.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
