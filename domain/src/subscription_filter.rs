//! Which events a subscription lets through.
use std::collections::BTreeSet;

use dmwsi_objects::alert::Mark;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Recorded};
use crate::id::{DeviceId, JobId};

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
    use super::*;

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
}
