use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

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

#[test]
fn those_that_an_event_does_not_match_are_not_looked_at() {
    let me = ClientId::new(Clock::System.new_id());
    let texts = |text: String| BTreeSet::from([text]);
    let of = |number: usize| match number % 6 {
        0 => Filter { mark_at_least: Some([Mark::Critical, Mark::Fatal][number / 6 % 2]), ..Filter::default() },
        1 => Filter { sources: texts(format!("./A/{number}")), ..Filter::default() },
        2 => Filter { alert_types: texts("*".to_owned()), sources: texts(format!("./A/{number}/")), ..Filter::default() },
        3 => {
            let mark_at_least = Some(Mark::Fatal);
            Filter { alert_types: texts("*".to_owned()), sources: texts("./".to_owned()), mark_at_least, ..Filter::default() }
        }
        4 => Filter { alert_types: texts(format!("org.x.{number}")), ..Filter::default() },
        _ => Filter { devices: [DeviceId::new(Clock::System.new_id())].into(), ..Filter::default() },
    };
    let mut index = SubscriptionIndex::default();
    (0..600).for_each(|number| index.put(subscription(me, &["device-alert"], of(number))));
    let device = Some(DeviceId::new(Clock::System.new_id()));
    let event = recorded(alert("org.x.low", "minor", "./A/B"), device, None);
    assert_eq!(index.found_by(&event), BTreeSet::new());

    // Those that name the same type differ by the node, and the other way round; the first ones stand where the event looks.
    for number in 0..100 {
        let (alert_types, sources) = (texts("org.x.low".to_owned()), texts(format!("./B/{number}")));
        index.put(subscription(me, &["device-alert"], Filter { alert_types, sources, ..Filter::default() }));
        let (alert_types, sources) = (texts(format!("org.x.l{number}")), texts("./A/B".to_owned()));
        index.put(subscription(me, &["device-alert"], Filter { alert_types, sources, ..Filter::default() }));
    }
    assert!(index.wanting(&event).is_empty() && index.found_by(&event).len() <= 2, "{:?}", index.found_by(&event));
}

const PATTERNS: [&str; 7] = ["*", "a*", "a", "ab", "abc*", "A", "a**"];
const NODES: [&str; 12] = ["", "/", "/A", ".", "./", "./A", "./A/", "./A//", "./A/B", "./AB", "./ä", "A"];
const SOURCES: [&str; 13] = ["", "/", "/A", "/A/B", ".", "./", "./A", "./A/B", "./A//B", "./AB/C", "./ä/B", "A/", "a"];
const WORDS: [&str; 8] = ["indeterminate", "Harmless", "INFORMATIONAL", "warning", "minor", "critical", "fatal", "?"];
const TYPES: [&str; 5] = ["device-alert", "device-fault", "device-updated", "execution-started", "job-started"];

fn numbered<T: std::fmt::Debug>(new: impl Fn(uuid::Uuid) -> T) -> impl Strategy<Value = T> {
    (0_u128..2).prop_map(move |number| new(uuid::Uuid::from_u128(number)))
}

fn some_of<T: Clone + std::fmt::Debug + Ord + 'static>(all: &'static [T]) -> impl Strategy<Value = BTreeSet<T>> {
    prop::collection::btree_set(select(all), 0..3)
}

fn subscriptions() -> impl Strategy<Value = Subscription> {
    let named =
        (prop::collection::btree_set(numbered(DeviceId::new), 0..2), prop::collection::btree_set(numbered(JobId::new), 0..2));
    let of_alerts = (some_of(&PATTERNS), prop::option::of(select(&Mark::ALL)), some_of(&NODES));
    let whose = ((0_u128..12), numbered(ClientId::new), prop::bool::weighted(0.8));
    (whose, some_of(&TYPES), named, of_alerts).prop_map(|((id, client, is_active), types, (devices, jobs), of_alerts)| {
        let texts = |texts: BTreeSet<&str>| texts.into_iter().map(str::to_owned).collect();
        let (alert_types, mark_at_least, sources) = of_alerts;
        let filter = Filter { devices, jobs, alert_types: texts(alert_types), mark_at_least, sources: texts(sources) };
        let mut one = subscription(client, &types.into_iter().collect::<Vec<_>>(), filter);
        one.id = SubscriptionId::new(uuid::Uuid::from_u128(id));
        one.status = if is_active { SubscriptionStatus::Active } else { SubscriptionStatus::Inactive };
        one
    })
}

fn events() -> impl Strategy<Value = Recorded> {
    let alerts = (select(&["", "a", "ab", "abcd", "b", "a*"]), select(&WORDS), prop::option::of(select(&SOURCES)));
    let of = (prop::option::of(numbered(DeviceId::new)), prop::option::of((numbered(JobId::new), numbered(ClientId::new))));
    (0..TYPES.len(), alerts, of).prop_map(|(kind, (alert_type, mark, source), (device, job))| {
        let (alert_type, mark, source) = (alert_type.to_owned(), mark.to_owned(), source.map(str::to_owned));
        let event = match kind {
            0 => Event::DeviceAlert { alert_type, mark, correlator: None, source, format: "chr".to_owned(), data: String::new() },
            1 => {
                let alert_event_id = EventId::new(uuid::Uuid::nil());
                Event::DeviceFault { alert_type, mark, correlator: None, source, alert_event_id }
            }
            2 => Event::DeviceUpdated {},
            3 => Event::ExecutionStarted { attempt: 1 },
            _ => Event::JobStarted { executions: 1 },
        };
        recorded(event, device, job)
    })
}

proptest! {
    #[test]
    fn what_is_found_is_what_a_look_at_all_would_find(
        puts in prop::collection::vec(subscriptions(), 0..40),
        events in prop::collection::vec(events(), 1..20),
    ) {
        let (mut index, mut all) = (SubscriptionIndex::default(), BTreeMap::new());
        for one in puts {
            index.put(one.clone());
            all.insert(one.id, one);
        }
        for event in &events {
            let active = all.values().filter(|one| one.status == SubscriptionStatus::Active);
            let wanted: Vec<_> = active.filter(|one| one.wants(event)).map(|one| one.id).collect();
            let found: Vec<_> = index.wanting(event).iter().map(|one| one.id).collect();
            prop_assert_eq!(found, wanted, "{:?}", event);
        }
        for mut one in all.into_values() {
            one.status = SubscriptionStatus::Deleted;
            index.put(one);
        }
        prop_assert!(index.is_empty() && index.places.is_empty() && index.types.is_empty(), "{:?}", index);
    }
}
