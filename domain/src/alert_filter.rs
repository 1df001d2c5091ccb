//! Which alerts of devices somebody wants.
use dmwsi_objects::alert::Mark;

/// Alerts and faults of devices, by type and mark.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AlertFilter {
    alert_type: Option<String>,
    mark: Option<Mark>,
}

impl AlertFilter {
    /// Those of that type, or of all types that begin so where it ends with `*`, and at least so important. None where neither is asked for.
    #[must_use]
    pub fn new(alert_type: Option<&str>, mark: Option<Mark>) -> Option<Self> {
        let alert_type = alert_type.map(str::to_ascii_lowercase);
        (alert_type.is_some() || mark.is_some()).then_some(Self { alert_type, mark })
    }

    /// Whether an alert of that type and mark is one of them.
    #[must_use]
    pub fn lets(&self, alert_type: &str, mark: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => alert_type.starts_with(start),
            None => pattern == alert_type,
        };
        self.alert_type.as_ref().is_none_or(fits) && self.mark.is_none_or(|least| Mark::lenient(mark) >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_stands_for_itself_or_for_all_that_begin_so() {
        for (alert_type, mark, lets) in [
            (Some("com.example.low"), None, true),
            (Some("com.Example.*"), Some(Mark::Warning), true),
            (Some("*"), Some(Mark::Minor), false),
            (Some("com.example"), None, false),
            (None, Some(Mark::Harmless), true),
        ] {
            assert_eq!(
                AlertFilter::new(alert_type, mark).map(|filter| filter.lets("com.example.low", "WARNING")),
                Some(lets),
                "{alert_type:?} {mark:?}"
            );
        }
        assert_eq!(AlertFilter::new(None, None), None);
    }
}
