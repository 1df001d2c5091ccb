//! A subscription as a client asks for it: read, and checked against what the client may be told of.
use std::collections::BTreeSet;

use dmwsi_domain::cloud_event::Payload;
use dmwsi_domain::delivery::Health;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::{JobId, SubscriptionId};
use dmwsi_domain::subscription::{
    MAX_NAMED, MAX_PATTERNS, Purpose, Rejected, Signing, Subscription, SubscriptionStatus, TerminationReason,
};
use dmwsi_domain::subscription_filter::Filter;
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_objects::alert::Mark;
use dmwsi_store::webhook_secrets::WebhookSecrets;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::callers::Caller;
use crate::problem::{Code, Problem};
use crate::sink::{NewSinkCredential, Receiver};

/// A subscription to events.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "protocol": "HTTP",
    "sink": "https://receiver.example/events",
    "types": ["dmwsi.v1.device-alert", "dmwsi.v1.execution-finished"],
    "config": {
        "subscriptionDetail": {"deviceIds": ["dev_8f14e45fceea167a5a36dedd4bea2543"], "markAtLeast": "WARNING"},
        "subscriptionMaxEvents": 1000
    }
}))]
pub struct NewSubscription {
    /// `HTTP`.
    #[schema(max_length = 16, example = "HTTP")]
    pub protocol: String,
    /// Where events are delivered to by POST: an `https` address.
    #[schema(max_length = 2048, format = "uri", example = "https://receiver.example/events")]
    pub sink: String,
    /// What is presented to the receiver. It is stored sealed and never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub sink_credential: Option<NewSinkCredential>,
    /// The types of events.
    #[schema(min_items = 1, max_items = 100, max_length = 64)]
    pub types: Vec<String>,
    /// Which of them, for how long, and how.
    pub config: NewSubscriptionConfig,
}

/// Which events, for how long, and how.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSubscriptionConfig {
    /// Which events of the types.
    pub subscription_detail: SubscriptionDetail,
    /// When the subscription ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_expire_time: Option<Timestamp>,
    /// After how many events it ends; those about the subscription itself are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub subscription_max_events: Option<u64>,
    /// Whether the last event that fits, of each device or job, is delivered at once. It counts. Of devices that the filter names it is looked for among the
    /// last 100 events that each has of the types, as long as these are kept; where it names none, among the last 10,000 events of the log, and there
    /// among the last 1,000 of the types.
    #[serde(default)]
    pub initial_event: bool,
    /// How much of each event is told.
    #[serde(default)]
    pub payload: Payload,
    /// How deliveries are signed.
    #[serde(default)]
    pub signing: Signing,
    /// How many deliveries to the sink begin in a minute at most; up to a second's worth may come at once. The limit holds for the endpoint: all
    /// active subscriptions of the organisation to the same scheme, host, port and path share it, whatever stands in the query and however many processes
    /// deliver, and the least that any of them or the receiver (`WebHook-Allowed-Rate`) wants counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub deliveries_per_minute: Option<u32>,
    /// Stands in the data of each event. It is stored sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub callback_data: Option<String>,
}

/// Which events. What is absent or empty does not restrict.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionDetail {
    /// Only of these devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1_000, max_length = 36, pattern = "^dev_[0-9a-f]{32}$")]
    pub device_ids: Vec<String>,
    /// Only of these jobs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1_000)]
    pub job_ids: Vec<JobId>,
    /// Of alerts and faults only those of these types; one that ends with `*` stands for all that begin so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100, max_length = 256)]
    pub alert_types: Vec<String>,
    /// Of alerts and faults only those that are at least so important: `INDETERMINATE`, `HARMLESS`, `INFORMATIONAL`, `WARNING`, `MINOR`, `CRITICAL`,
    /// `FATAL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 16, pattern = "^(INDETERMINATE|HARMLESS|INFORMATIONAL|WARNING|MINOR|CRITICAL|FATAL)$")]
    pub mark_at_least: Option<Mark>,
    /// Of alerts and faults only those that come from these nodes or from below them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100, max_length = 256)]
    pub sources: Vec<String>,
}

impl SubscriptionDetail {
    /// Takes what the caller may be told of. Whether the devices are there the store says: see [`Self::confirm`].
    pub(crate) fn grant(&self, app: &App, caller: &Caller, types: &[String]) -> Result<Purpose, Problem> {
        if !(1..=100).contains(&types.len()) {
            return Err(Problem::invalid("A subscription has 1 to 100 types.").at("/types", "must have 1 to 100 items"));
        }
        let place = |field: &str| format!("/config/subscriptionDetail/{field}");
        for (field, count, most) in [
            ("deviceIds", self.device_ids.len(), MAX_NAMED),
            ("jobIds", self.job_ids.len(), MAX_NAMED),
            ("alertTypes", self.alert_types.len(), MAX_PATTERNS),
            ("sources", self.sources.len(), MAX_PATTERNS),
        ] {
            if count > most {
                return Err(Problem::invalid("The subscription names too much.")
                    .at(place(field), format!("must have at most {most} items")));
            }
        }
        for (field, texts) in [("alertTypes", &self.alert_types), ("sources", &self.sources)] {
            if let Some(at) = texts.iter().position(|text| !may_be_named(text)) {
                return Err(Problem::invalid("A text is empty or too long.")
                    .at(format!("{}/{at}", place(field)), "must have 1 to 256 characters"));
            }
        }
        let (mut granted, mut rejected) = (BTreeSet::new(), Vec::new());
        let reject = |pointer: String, reason: &str| Rejected { pointer, reason: reason.to_owned() };
        for (at, kind) in types.iter().enumerate() {
            let unknown = || {
                Problem::invalid(format!("There is no type of event `{kind}`.")).at(format!("/types/{at}"), "is no type of event")
            };
            let scope = Event::scope_of(kind).ok_or_else(unknown)?;
            if caller.scopes.allows(scope) {
                granted.insert(kind.clone());
            } else {
                rejected.push(reject(format!("/types/{at}"), "PERMISSION_DENIED"));
            }
        }
        if granted.is_empty() {
            let problem = Problem::new(Code::Unprocessable, "The token may read none of these types of events.");
            return Err(problem.at("/types", "needs the scopes of what the events are about"));
        }
        let mut devices = BTreeSet::new();
        for (at, text) in self.device_ids.iter().enumerate() {
            match app.keys.device_ids.inside(caller.organisation, text) {
                Some(device) => drop(devices.insert(device)),
                None => rejected.push(reject(format!("{}/{at}", place("deviceIds")), "NOT_FOUND")),
            }
        }
        let filter = Filter {
            devices,
            jobs: self.job_ids.iter().copied().collect(),
            alert_types: self.alert_types.iter().map(|text| Filter::pattern(text)).collect(),
            mark_at_least: self.mark_at_least,
            sources: self.sources.iter().cloned().collect(),
        };
        Ok(Purpose { types: granted, filter, payload: Payload::Thin, initial: false, until: None, rejected })
    }

    /// Moves what is not there, or not the caller's, to what was rejected. An error where nothing is left of what was named.
    pub(crate) fn confirm(
        &self,
        tx: &mut dmwsi_store::Tx<'_>,
        ids: &dmwsi_store::device_id::DeviceIds,
        caller: &Caller,
        purpose: &mut Purpose,
    ) -> Result<()> {
        let named: Vec<_> = purpose.filter.devices.iter().copied().collect();
        let known = tx.known_devices(caller.organisation, &named)?;
        for (at, text) in self.device_ids.iter().enumerate() {
            if let Some(device) = ids.inside(caller.organisation, text).filter(|device| !known.contains(device))
                && purpose.filter.devices.remove(&device)
            {
                purpose.rejected.push(Rejected {
                    pointer: format!("/config/subscriptionDetail/deviceIds/{at}"),
                    reason: "NOT_FOUND".to_owned(),
                });
            }
        }
        for (at, job) in self.job_ids.iter().enumerate() {
            match tx.job_of(caller.client, *job) {
                Ok(_) => {}
                Err(Error::NotFound { .. }) => {
                    if purpose.filter.jobs.remove(job) {
                        purpose.rejected.push(Rejected {
                            pointer: format!("/config/subscriptionDetail/jobIds/{at}"),
                            reason: "NOT_FOUND".to_owned(),
                        });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let lost =
            |field: &str| Error::invalid(format!("/config/subscriptionDetail/{field}"), "UNPROCESSABLE", "none of them is there");
        if !self.device_ids.is_empty() && purpose.filter.devices.is_empty() {
            return Err(lost("deviceIds"));
        }
        if !self.job_ids.is_empty() && purpose.filter.jobs.is_empty() {
            return Err(lost("jobIds"));
        }
        Ok(())
    }
}

/// Whether a filter may name a type of alerts, or a node, so.
pub(crate) fn may_be_named(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= 256 && !text.chars().any(char::is_control)
}

/// A number of events, as it is if it is not out of range.
pub(crate) fn in_range<T: Copy + Into<u64>>(number: Option<T>, pointer: &str) -> Result<Option<T>, Problem> {
    if number.is_none_or(|number| (1..=1_000_000).contains(&number.into())) {
        return Ok(number);
    }
    Err(Problem::new(Code::OutOfRange, "A number is out of range.").at(pointer, "must be 1 to 1000000"))
}

impl NewSubscription {
    /// The subscription of that id, as far as the request alone can tell, and its secrets.
    pub(crate) fn check(
        &self,
        app: &App,
        caller: &Caller,
        id: SubscriptionId,
        now: Timestamp,
    ) -> Result<(Subscription, WebhookSecrets), Problem> {
        if self.protocol != "HTTP" {
            return Err(Problem::new(Code::InvalidProtocol, "Events are delivered by HTTP only.").at("/protocol", "must be HTTP"));
        }
        let NewSubscriptionConfig { subscription_detail, subscription_expire_time, subscription_max_events, .. } = &self.config;
        if subscription_expire_time.is_some_and(|end| end <= now) {
            return Err(Problem::invalid("A subscription ends in the future.")
                .at("/config/subscriptionExpireTime", "must lie in the future"));
        }
        let receiver = Receiver {
            sink: &self.sink,
            credential: self.sink_credential.as_ref(),
            callback_data: self.config.callback_data.as_deref(),
            signing: self.config.signing,
            callback_pointer: "/config/callbackData",
        };
        let (secrets, token_ends) = receiver.check(app, now)?;
        let mut purpose = subscription_detail.grant(app, caller, &self.types)?;
        (purpose.payload, purpose.initial) = (self.config.payload, self.config.initial_event);
        let mut subscription = subscription(caller, id, self.sink.clone(), purpose, self.config.signing, now);
        subscription.secrets = app.sealing.seal_webhook(id, &secrets)?;
        subscription.max_events = in_range(*subscription_max_events, "/config/subscriptionMaxEvents")?;
        subscription.rate = in_range(self.config.deliveries_per_minute, "/config/deliveriesPerMinute")?;
        subscription.purpose.until = *subscription_expire_time;
        subscription.set_end(token_ends);
        if app.asks(&self.sink) {
            subscription.status = SubscriptionStatus::ActivationRequested;
        }
        Ok((subscription, secrets))
    }
}

/// An active subscription without secrets and without an end.
pub(crate) fn subscription(
    caller: &Caller,
    id: SubscriptionId,
    sink: String,
    purpose: Purpose,
    signing: Signing,
    now: Timestamp,
) -> Subscription {
    Subscription {
        id,
        organisation: caller.organisation,
        client: caller.client,
        job: None,
        sink,
        status: SubscriptionStatus::Active,
        status_reason: None,
        purpose,
        secrets: Vec::new(),
        signing,
        max_events: None,
        events: 0,
        rate: None,
        agreement: None,
        expires_at: None,
        expires_by: TerminationReason::SubscriptionExpired,
        health: Health::default(),
        recovery: None,
        starts_after: 0,
        created_at: now,
        updated_at: now,
        revision: 1,
    }
}
