//! Which events a subscription lets through.
use std::collections::BTreeSet;

use dmwsi_objects::alert::Mark;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Recorded};
use crate::id::{DeviceId, JobId};
use crate::log_entry::{LogEntry, ToldAlert};

/// Which events, of those of its types. An empty set does not restrict.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Filter {
    /// Only of these devices.
    pub devices: BTreeSet<DeviceId>,
    /// Only of these jobs.
    pub jobs: BTreeSet<JobId>,
    /// Of alerts only those of these types; one that ends with `*` stands for all that begin so.
    pub alert_types: BTreeSet<String>,
    /// Of alerts only those that are at least so important.
    pub mark_at_least: Option<Mark>,
    /// Of alerts only those that come from these nodes or from below them.
    pub sources: BTreeSet<String>,
}

impl Filter {
    /// Whether an event gets through.
    #[must_use]
    pub fn lets(&self, recorded: &Recorded) -> bool {
        let lets_alert = match &recorded.event {
            Event::DeviceAlert { alert_type, mark, source, .. } | Event::DeviceFault { alert_type, mark, source, .. } => {
                self.lets_alert(alert_type, mark, source.as_deref())
            }
            _ => true,
        };
        lets_alert && self.names(recorded.device, recorded.job)
    }

    /// The same of an event as it is read from the log.
    #[must_use]
    pub fn lets_entry(&self, entry: &LogEntry) -> bool {
        let lets_alert = |alert: ToldAlert| self.lets_alert(&alert.alert_type, &alert.mark, alert.source.as_deref());
        let chooses = !self.alert_types.is_empty() || self.mark_at_least.is_some() || !self.sources.is_empty();
        let is_chosen = !chooses || !Event::ALERTS.contains(&entry.kind) || entry.alert().is_some_and(lets_alert);
        is_chosen && self.names(entry.device, entry.job)
    }

    /// Whether it lets events of that device and that job through, whatever they say.
    #[must_use]
    pub fn names(&self, device: Option<DeviceId>, job: Option<JobId>) -> bool {
        let named = self.devices.is_empty() || device.is_some_and(|device| self.devices.contains(&device));
        named && (self.jobs.is_empty() || job.is_some_and(|job| self.jobs.contains(&job)))
    }

    /// Whether it lets an alert of that type and mark through that comes from that node.
    #[must_use]
    pub fn lets_alert(&self, alert_type: &str, mark: &str, source: Option<&str>) -> bool {
        let typed = self.alert_types.is_empty() || self.alert_types.iter().any(|pattern| fits(pattern, alert_type));
        let marked = self.mark_at_least.is_none_or(|least| Mark::lenient(mark) >= least);
        let from = source.unwrap_or_default();
        let sourced = self.sources.is_empty() || self.sources.iter().any(|node| is_at_or_below(from, node));
        typed && marked && sourced
    }
}

impl Filter {
    /// A type of alerts as it stands in a filter, or the beginning of some.
    #[must_use]
    pub fn pattern(text: &str) -> String {
        text.trim().to_ascii_lowercase()
    }
}

fn fits(pattern: &str, alert_type: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == alert_type, |start| alert_type.starts_with(start))
}

fn is_at_or_below(node: &str, top: &str) -> bool {
    node.strip_prefix(bare(top)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A node of a filter without the `/` that may stand at its end.
pub(crate) fn bare(node: &str) -> &str {
    node.trim_end_matches('/')
}

/// The node and all that it is below of; whoever names one of them, bare, means it, too.
pub(crate) fn tops(node: &str) -> impl Iterator<Item = &str> {
    node.match_indices('/').filter_map(|(end, _)| node.get(..end)).chain([node])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Clock;
    use crate::id::{EventId, OrganisationId};

    #[test]
    fn a_type_stands_for_itself_or_for_all_that_begin_so() {
        for (alert_type, mark_at_least, lets) in [
            (Some("com.example.low"), None, true),
            (Some("com.example.*"), Some(Mark::Warning), true),
            (Some("*"), Some(Mark::Minor), false),
            (Some("com.example"), None, false),
            (None, Some(Mark::Harmless), true),
        ] {
            let alert_types = alert_type.map(str::to_owned).into_iter().collect();
            let filter = Filter { alert_types, mark_at_least, ..Filter::default() };
            assert_eq!(filter.lets_alert("com.example.low", "WARNING", None), lets, "{filter:?}");
        }
    }

    #[test]
    fn an_event_gets_through_alike_when_it_is_pushed_and_when_it_is_read() {
        let ids = [(); 2].map(|()| Clock::System.new_id());
        let [device, other] = ids.map(DeviceId::new);
        let [job, _] = ids.map(JobId::new);
        let alert = |alert_type: &str, mark: &str, source: Option<&str>| {
            let data = json!({"alertType": alert_type, "mark": mark, "source": source, "format": "chr", "data": "17 %"});
            serde_json::from_value(json!({"type": "dmwsi.v1.device-alert", "data": data})).unwrap()
        };
        let events: [(Event, _, _); 5] = [
            (alert("com.example.low", "WARNING", Some("./A/B")), Some(device), None),
            (alert("com.example.low", "FATAL", Some("./AB")), Some(other), None),
            (alert("org.example", "loud", None), Some(device), None),
            (Event::DeviceUpdated {}, Some(device), None),
            (Event::JobCancelling {}, None, Some(job)),
        ];
        let text = |text: &str| BTreeSet::from([text.to_owned()]);
        let filters = [
            (Filter::default(), [true; 5]),
            (Filter { sources: text("./A"), ..Filter::default() }, [true, false, false, true, true]),
            (Filter { alert_types: text("com.*"), ..Filter::default() }, [true, true, false, true, true]),
            (Filter { mark_at_least: Some(Mark::Minor), ..Filter::default() }, [false, true, false, true, true]),
            (Filter { devices: [device].into(), ..Filter::default() }, [true, false, true, true, false]),
            (Filter { devices: [device, other].into(), ..Filter::default() }, [true, true, true, true, false]),
            (Filter { jobs: [job].into(), ..Filter::default() }, [false, false, false, false, true]),
        ];
        for (filter, lets) in filters {
            for ((event, device, job), lets) in events.iter().zip(lets) {
                let recorded = Recorded {
                    id: EventId::new(Clock::System.new_id()),
                    organisation: OrganisationId::new(Clock::System.new_id()),
                    client: None,
                    job: *job,
                    ordinal: None,
                    device: *device,
                    revision: 1,
                    correlator: None,
                    at: Clock::System.now(),
                    event: event.clone(),
                };
                let entry = LogEntry {
                    number: 1,
                    id: recorded.id,
                    kind: event.type_name(),
                    scope: event.scope(),
                    client: None,
                    job: *job,
                    device: *device,
                    correlator: None,
                    at: recorded.at,
                    data: serde_json::to_value(event).unwrap()["data"].to_string(),
                };
                assert_eq!((filter.lets(&recorded), filter.lets_entry(&entry)), (lets, lets), "{filter:?} {event:?}");
            }
        }
    }
}
