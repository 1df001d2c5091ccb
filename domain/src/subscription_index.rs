//! The active subscriptions of an organisation, by what could concern them: those that an event does not match cost it next to nothing.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::event::{Event, Recorded};
use crate::id::{ClientId, DeviceId, JobId, SubscriptionId};
use crate::outline::Outline;
use crate::subscription::{Subscription, SubscriptionStatus};

/// What an event is looked up by, beside its type.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Slot {
    Alert(String),
    AlertsThatBegin(String),
    Any,
    Client(ClientId),
    Device(DeviceId),
    Job(JobId),
}

/// The subscriptions, and where each is found. A change of one touches its own places only.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionIndex {
    all: HashMap<SubscriptionId, Arc<Subscription>>,
    places: HashMap<(String, Slot), BTreeSet<SubscriptionId>>,
    /// How many want each type.
    types: BTreeMap<String, usize>,
}

impl SubscriptionIndex {
    /// Puts a subscription in as it is now; one that is not active goes.
    pub fn put(&mut self, subscription: Subscription) {
        let id = subscription.id;
        if let Some(before) = self.all.remove(&id) {
            for kind in &before.purpose.types {
                let rest = self.types.get(kind).map_or(0, |count| count.saturating_sub(1));
                if rest == 0 {
                    self.types.remove(kind)
                } else {
                    self.types.insert(kind.clone(), rest)
                };
            }
            for place in places(&before) {
                if let Some(ids) = self.places.get_mut(&place) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.places.remove(&place);
                    }
                }
            }
        }
        if subscription.status == SubscriptionStatus::Active {
            for kind in &subscription.purpose.types {
                let count = self.types.entry(kind.clone()).or_default();
                *count = count.saturating_add(1);
            }
            for place in places(&subscription) {
                self.places.entry(place).or_default().insert(id);
            }
            self.all.insert(id, Arc::new(subscription));
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The types that are wanted at all.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// Those that may want an event of which only the outline can be read, in the order of their ids.
    #[must_use]
    pub fn may_want(&self, outline: &Outline) -> Vec<&Arc<Subscription>> {
        let mut found: Vec<_> = self.all.values().filter(|subscription| subscription.may_want(outline)).collect();
        found.sort_by_key(|subscription| subscription.id);
        found
    }

    /// The active subscription of that id.
    #[must_use]
    pub fn get(&self, id: SubscriptionId) -> Option<&Arc<Subscription>> {
        self.all.get(&id)
    }

    /// Those that want an event, in the order of their ids.
    #[must_use]
    pub fn wanting(&self, recorded: &Recorded) -> Vec<&Arc<Subscription>> {
        let mut slots = vec![if recorded.is_private() { recorded.client.map_or(Slot::Any, Slot::Client) } else { Slot::Any }];
        slots.extend(recorded.device.map(Slot::Device));
        slots.extend(recorded.job.map(Slot::Job));
        if let Event::DeviceAlert { alert_type, .. } | Event::DeviceFault { alert_type, .. } = &recorded.event {
            slots.push(Slot::Alert(alert_type.clone()));
            let beginnings = alert_type.char_indices().map(|(at, _)| at).chain([alert_type.len()]);
            slots.extend(beginnings.filter_map(|end| Some(Slot::AlertsThatBegin(alert_type.get(..end)?.to_owned()))));
        }
        let kind = recorded.event.type_name();
        let found = slots.into_iter().filter_map(|slot| self.places.get(&(kind.to_owned(), slot))).flatten();
        let found: BTreeSet<_> = found.copied().collect();
        let subscriptions = found.into_iter().filter_map(|id| self.all.get(&id));
        subscriptions.filter(|subscription| subscription.wants(recorded)).collect()
    }
}

/// Where a subscription stands: with what its filter names, or with its client for what only that is told of.
fn places(subscription: &Subscription) -> Vec<(String, Slot)> {
    let filter = &subscription.purpose.filter;
    let of_type = |kind: &String| {
        let slots = if !filter.jobs.is_empty() {
            filter.jobs.iter().copied().map(Slot::Job).collect()
        } else if !filter.devices.is_empty() {
            filter.devices.iter().copied().map(Slot::Device).collect()
        } else if Event::scope_of(kind).is_some_and(Event::is_private) {
            vec![Slot::Client(subscription.client)]
        } else if Event::ALERTS.contains(&kind.as_str()) && !filter.alert_types.is_empty() {
            let slot = |pattern: &String| match pattern.strip_suffix('*') {
                Some(start) => Slot::AlertsThatBegin(start.to_owned()),
                None => Slot::Alert(pattern.clone()),
            };
            filter.alert_types.iter().map(slot).collect()
        } else {
            vec![Slot::Any]
        };
        slots.into_iter().map(|slot| (kind.clone(), slot)).collect::<Vec<_>>()
    };
    subscription.purpose.types.iter().flat_map(of_type).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cloud_event::Payload;
    use crate::delivery::Health;
    use crate::id::{EventId, OrganisationId};
    use crate::subscription::{Purpose, Signing, TerminationReason};
    use crate::subscription_filter::Filter;
    use crate::{Clock, Timestamp};

    pub(crate) fn subscription(client: ClientId, types: &[&str], filter: Filter) -> Subscription {
        Subscription {
            id: SubscriptionId::new(Clock::System.new_id()),
            organisation: OrganisationId::new(Clock::System.new_id()),
            client,
            job: None,
            sink: "https://a.example/".to_owned(),
            status: SubscriptionStatus::Active,
            status_reason: None,
            purpose: Purpose {
                types: types.iter().map(|kind| format!("dmwsi.v1.{kind}")).collect(),
                filter,
                payload: Payload::Thin,
                initial: false,
                until: None,
                rejected: vec![],
            },
            secrets: vec![],
            signing: Signing::Hmac,
            max_events: None,
            events: 0,
            rate: None,
            agreement: None,
            expires_at: None,
            expires_by: TerminationReason::SubscriptionExpired,
            health: Health::default(),
            recovery: None,
            starts_after: 0,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            revision: 1,
        }
    }

    fn recorded(event: Event, device: Option<DeviceId>, job: Option<(JobId, ClientId)>) -> Recorded {
        Recorded {
            id: EventId::new(Clock::System.new_id()),
            organisation: OrganisationId::new(Clock::System.new_id()),
            client: job.map(|(_, client)| client),
            job: job.map(|(job, _)| job),
            ordinal: None,
            device,
            revision: 1,
            correlator: None,
            at: Timestamp::default(),
            event,
        }
    }

    fn alert(alert_type: &str, mark: &str, source: &str) -> Event {
        Event::DeviceAlert {
            alert_type: alert_type.to_owned(),
            mark: mark.to_owned(),
            correlator: None,
            source: Some(source.to_owned()),
            format: "chr".to_owned(),
            data: String::new(),
        }
    }

    #[test]
    fn an_event_is_for_those_whose_filters_it_passes() {
        let [me, other] = [(); 2].map(|()| ClientId::new(Clock::System.new_id()));
        let (device, job) = (DeviceId::new(Clock::System.new_id()), JobId::new(Clock::System.new_id()));
        let mut index = SubscriptionIndex::default();
        let mut add = |types: &[&str], filter: Filter| {
            let one = subscription(me, types, filter);
            let id = one.id;
            index.put(one);
            id
        };
        let all = add(&["device-updated", "device-alert", "job-started"], Filter::default());
        let of_device = add(&["device-updated", "execution-started"], Filter { devices: [device].into(), ..Filter::default() });
        let of_job = add(&["execution-started"], Filter { jobs: [job].into(), ..Filter::default() });
        let texts = |text: &str| BTreeSet::from([text.to_owned()]);
        let of_alerts = add(
            &["device-alert"],
            Filter {
                alert_types: texts("org.x.*"),
                mark_at_least: serde_json::from_str("\"WARNING\"").unwrap(),
                sources: texts("./A"),
                ..Filter::default()
            },
        );
        let wanting = |recorded: Recorded| -> Vec<_> { index.wanting(&recorded).iter().map(|one| one.id).collect() };
        let updated = Event::DeviceUpdated {};
        assert_eq!(wanting(recorded(updated.clone(), Some(device), None)), [all, of_device]);
        assert_eq!(wanting(recorded(updated, Some(DeviceId::new(Clock::System.new_id())), None)), [all]);
        let started = Event::ExecutionStarted { attempt: 1 };
        assert_eq!(wanting(recorded(started.clone(), Some(device), Some((job, me)))), [of_device, of_job]);
        assert!(wanting(recorded(started, Some(device), Some((job, other)))).is_empty(), "another client's job");
        assert_eq!(wanting(recorded(Event::JobStarted { executions: 1 }, None, Some((job, me)))), [all]);
        for (event, told) in [
            (alert("org.x.low", "critical", "./A/B"), true),
            (alert("org.x.low", "harmless", "./A"), false),
            (alert("org.y", "critical", "./A"), false),
            (alert("org.x.", "warning", "./AB"), false),
        ] {
            assert_eq!(wanting(recorded(event, None, None)).contains(&of_alerts), told);
        }
        let mut gone = (**index.get(all).unwrap()).clone();
        gone.status = SubscriptionStatus::Inactive;
        index.put(gone);
        assert!(index.wanting(&recorded(Event::DeviceUpdated {}, None, None)).is_empty() && index.get(all).is_none());
    }
}
