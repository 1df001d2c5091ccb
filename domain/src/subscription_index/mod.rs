//! The active subscriptions of an organisation, by what could concern them: those that an event does not match cost it next to nothing.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dmwsi_objects::alert::Mark;

use crate::event::{Event, Recorded};
use crate::id::{ClientId, DeviceId, JobId, SubscriptionId};
use crate::outline::Outline;
use crate::subscription::{Subscription, SubscriptionStatus};
use crate::subscription_filter::{bare, tops};

/// What an event is looked up by, beside its type.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Slot {
    Alert(String),
    AlertsThatBegin(String),
    Any,
    Client(ClientId),
    Device(DeviceId),
    Job(JobId),
    Mark(Mark),
    NodeAndBelow(String),
}

/// By which part of its filter a subscription is found; each must fit, so one is enough.
#[derive(Clone, Copy, Debug)]
enum Way {
    AlertTypes,
    Client,
    Devices,
    Jobs,
    Mark,
    Nodes,
    TypeAlone,
}

/// A subscription, and by what it is found, for each of its types.
#[derive(Clone, Debug)]
struct Standing {
    subscription: Arc<Subscription>,
    ways: Vec<Way>,
}

/// The subscriptions, and where each is found. A change of one touches its own places only.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionIndex {
    all: HashMap<SubscriptionId, Standing>,
    places: HashMap<(String, Slot), BTreeSet<SubscriptionId>>,
    /// How many want each type.
    types: BTreeMap<String, usize>,
}

impl SubscriptionIndex {
    /// Puts a subscription in as it is now; one that is not active goes.
    pub fn put(&mut self, subscription: Subscription) {
        let id = subscription.id;
        self.take_out(id);
        if subscription.status == SubscriptionStatus::Active {
            let mut ways = Vec::with_capacity(subscription.purpose.types.len());
            for kind in &subscription.purpose.types {
                let count = self.types.entry(kind.clone()).or_default();
                *count = count.saturating_add(1);
                let way = self.best_way(&subscription, kind);
                for slot in slots(&subscription, way) {
                    self.places.entry((kind.clone(), slot)).or_default().insert(id);
                }
                ways.push(way);
            }
            self.all.insert(id, Standing { subscription: Arc::new(subscription), ways });
        }
    }

    fn take_out(&mut self, id: SubscriptionId) {
        let Some(Standing { subscription, ways }) = self.all.remove(&id) else { return };
        for (kind, way) in subscription.purpose.types.iter().zip(ways) {
            let rest = self.types.get(kind).map_or(0, |count| count.saturating_sub(1));
            if rest == 0 {
                self.types.remove(kind)
            } else {
                self.types.insert(kind.clone(), rest)
            };
            for slot in slots(&subscription, way) {
                let place = (kind.clone(), slot);
                if let Some(ids) = self.places.get_mut(&place) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.places.remove(&place);
                    }
                }
            }
        }
    }

    /// Of what a filter names, that by which the fewest are found already; else what little it says.
    fn best_way(&self, subscription: &Subscription, kind: &str) -> Way {
        let filter = &subscription.purpose.filter;
        let is_alert = Event::ALERTS.contains(&kind);
        let is_root = |node: &String| ["", "."].contains(&bare(node));
        let named = [
            (Way::Jobs, !filter.jobs.is_empty()),
            (Way::Devices, !filter.devices.is_empty()),
            (Way::AlertTypes, is_alert && !filter.alert_types.is_empty() && !filter.alert_types.contains("*")),
            (Way::Nodes, is_alert && !filter.sources.is_empty() && !filter.sources.iter().any(is_root)),
        ];
        let stand_there = |way: &Way| {
            let places = slots(subscription, *way).into_iter().map(|slot| (kind.to_owned(), slot));
            places.filter_map(|place| self.places.get(&place)).map(BTreeSet::len).max()
        };
        let named = named.into_iter().filter_map(|(way, is_named)| is_named.then_some(way));
        named.min_by_key(stand_there).unwrap_or_else(|| {
            if Event::scope_of(kind).is_some_and(Event::is_private) {
                Way::Client
            } else if is_alert && filter.mark_at_least.is_some() {
                Way::Mark
            } else {
                Way::TypeAlone
            }
        })
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
        let all = self.all.values().map(|standing| &standing.subscription);
        let mut found: Vec<_> = all.filter(|subscription| subscription.may_want(outline)).collect();
        found.sort_by_key(|subscription| subscription.id);
        found
    }

    /// The active subscription of that id.
    #[must_use]
    pub fn get(&self, id: SubscriptionId) -> Option<&Arc<Subscription>> {
        self.all.get(&id).map(|standing| &standing.subscription)
    }

    /// Those that want an event, in the order of their ids.
    #[must_use]
    pub fn wanting(&self, recorded: &Recorded) -> Vec<&Arc<Subscription>> {
        let found = self.found_by(recorded).into_iter().filter_map(|id| self.get(id));
        found.filter(|subscription| subscription.wants(recorded)).collect()
    }

    /// Those that stand where an event is looked up.
    fn found_by(&self, recorded: &Recorded) -> BTreeSet<SubscriptionId> {
        let mut slots = vec![if recorded.is_private() { recorded.client.map_or(Slot::Any, Slot::Client) } else { Slot::Any }];
        slots.extend(recorded.device.map(Slot::Device));
        slots.extend(recorded.job.map(Slot::Job));
        if let Event::DeviceAlert { alert_type, mark, source, .. } | Event::DeviceFault { alert_type, mark, source, .. } =
            &recorded.event
        {
            slots.push(Slot::Alert(alert_type.clone()));
            let beginnings = alert_type.char_indices().map(|(at, _)| at).chain([alert_type.len()]);
            slots.extend(beginnings.filter_map(|end| Some(Slot::AlertsThatBegin(alert_type.get(..end)?.to_owned()))));
            let mark = Mark::lenient(mark);
            slots.extend(Mark::ALL.into_iter().filter(|least| *least <= mark).map(Slot::Mark));
            slots.extend(tops(source.as_deref().unwrap_or_default()).map(|node| Slot::NodeAndBelow(node.to_owned())));
        }
        let kind = recorded.event.type_name();
        let found = slots.into_iter().filter_map(|slot| self.places.get(&(kind.to_owned(), slot))).flatten();
        found.copied().collect()
    }
}

/// Where a subscription stands that is found in that way.
fn slots(subscription: &Subscription, way: Way) -> Vec<Slot> {
    let filter = &subscription.purpose.filter;
    let of_type = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => Slot::AlertsThatBegin(start.to_owned()),
        None => Slot::Alert(pattern.clone()),
    };
    match way {
        Way::AlertTypes => filter.alert_types.iter().map(of_type).collect(),
        Way::Client => vec![Slot::Client(subscription.client)],
        Way::Devices => filter.devices.iter().copied().map(Slot::Device).collect(),
        Way::Jobs => filter.jobs.iter().copied().map(Slot::Job).collect(),
        Way::Mark => filter.mark_at_least.into_iter().map(Slot::Mark).collect(),
        Way::Nodes => filter.sources.iter().map(|node| Slot::NodeAndBelow(bare(node).to_owned())).collect(),
        Way::TypeAlone => vec![Slot::Any],
    }
}

#[cfg(test)]
pub(crate) mod tests;
