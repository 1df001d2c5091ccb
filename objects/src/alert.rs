//! Generic Alerts: what a device tells on its own.
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fumo::{Completion, ResultCode};
use crate::{NodeUri, Value};

/// The type of a Generic Alert, normalised: trimmed, lower case, without `Reversed-Domain-Name:` or `Content-Type:` before it.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct AlertType(String);

impl AlertType {
    /// Reads a type as clients spell it (OMA DM Protocol 1.2, 8.7).
    #[must_use]
    pub fn lenient(text: &str) -> Self {
        let lower = text.trim().to_ascii_lowercase();
        let bare =
            ["reversed-domain-name:", "content-type:"].iter().find_map(|prefix| lower.strip_prefix(prefix)).unwrap_or(&lower);
        Self(bare.trim().to_owned())
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AlertType {
    /// Whether what it tells is a secret: with each package 1, clients of Windows send the token of whoever is logged on.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.0 == "com.microsoft/mdm/aadusertoken"
    }
}

impl fmt::Display for AlertType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How important the device thinks its alert is (Meta `Mark`).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mark {
    /// It cannot tell.
    Indeterminate,
    /// Nothing to care about.
    Harmless,
    /// Worth knowing; what an alert means that has no mark.
    #[default]
    Informational,
    /// May become a fault.
    Warning,
    /// A small fault.
    Minor,
    /// A fault.
    Critical,
    /// The end of something.
    Fatal,
}

impl Mark {
    /// All of them, the least important first.
    pub const ALL: [Self; 7] =
        [Self::Indeterminate, Self::Harmless, Self::Informational, Self::Warning, Self::Minor, Self::Critical, Self::Fatal];

    /// Reads the word of the wire; an unknown one is [`Mark::Informational`].
    #[must_use]
    pub fn lenient(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "fatal" => Self::Fatal,
            "critical" => Self::Critical,
            "minor" => Self::Minor,
            "warning" => Self::Warning,
            "harmless" => Self::Harmless,
            "indeterminate" => Self::Indeterminate,
            _ => Self::Informational,
        }
    }

    /// The word of the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Indeterminate => "indeterminate",
            Self::Harmless => "harmless",
            Self::Informational => "informational",
            Self::Warning => "warning",
            Self::Minor => "minor",
            Self::Critical => "critical",
            Self::Fatal => "fatal",
        }
    }
}

/// One item of a Generic Alert (1226; OMA DM Protocol 1.2, 8.7).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GenericAlert {
    /// What kind of alert it is.
    #[serde(rename = "type")]
    pub alert_type: AlertType,
    /// What the server gave with the Exec that this alert answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlator: Option<String>,
    /// The node it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<NodeUri>,
    /// The node it is about, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<NodeUri>,
    /// How important it is.
    #[serde(default)]
    pub mark: Mark,
    /// What it says. Its type is [`GenericAlert::alert_type`], so the value's own media type is empty.
    pub value: Value,
}

impl GenericAlert {
    /// Whether the device tells of a fault: by its mark, or by the result of an update that failed. That a user declined or deferred one is none.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        let result =
            || Completion::from_alert(&self.alert_type).and_then(|_| self.value.data.trim().parse().ok()).map(ResultCode);
        let failed = |code: ResultCode| !code.is_success() && code != ResultCode::USER_CANCELLED && code != ResultCode::DEFERRED;
        self.mark >= Mark::Minor || result().is_some_and(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_known_by_its_mark_or_by_the_result_of_an_update() {
        let update = "org.openmobilealliance.dm.firmwareupdate.update";
        for (kind, mark, data, is_fault) in [
            ("com.example.low", Mark::Warning, "9", false),
            ("com.example.low", Mark::Indeterminate, "410", false),
            ("com.example.low", Mark::Minor, "", true),
            ("com.example.low", Mark::Fatal, "", true),
            (update, Mark::Informational, "200", false),
            (update, Mark::Informational, "410", true),
            (update, Mark::Informational, "401", false),
            (update, Mark::Informational, "450", false),
            (update, Mark::Informational, "nonsense", false),
        ] {
            let alert_type = AlertType::lenient(kind);
            let alert = GenericAlert { alert_type, correlator: None, source: None, target: None, mark, value: Value::text(data) };
            assert_eq!(alert.is_fault(), is_fault, "{kind} {mark:?} {data}");
        }
    }

    #[test]
    fn a_type_is_the_same_however_a_client_spells_it() {
        let plain = AlertType::lenient("org.openmobilealliance.dm.firmwareupdate.update");
        assert_eq!(AlertType::lenient(" Reversed-Domain-Name: org.openmobilealliance.DM.firmwareupdate.update "), plain);
        assert_eq!(AlertType::lenient("Content-Type:text/plain").as_str(), "text/plain");
        assert!(AlertType::lenient("com.microsoft/MDM/AADUserToken").is_secret() && !plain.is_secret());
    }
}
