//! Versions of firmware and software, and the schemes by which two of them are compared.
use std::cmp::Ordering;

use semver::Version;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::{Fault, FaultCode};

/// The longest version, in bytes.
pub const MAX_VERSION: usize = 256;

/// The most versions a rule may list.
pub const MAX_LISTED: usize = 256;

/// How versions are compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VersionScheme {
    /// Numbers with dots between, compared one by one; one that is absent counts as 0.
    #[default]
    DottedNumeric,
    /// Equal or not; none is greater than another.
    Exact,
    /// Byte by byte.
    Lexical,
    /// Semantic Versioning 2.0.0, by precedence.
    Semver,
}

impl VersionScheme {
    /// How `left` stands to `right`; nothing where one of them is no version of this scheme or they have no order.
    #[must_use]
    pub fn compare(self, left: &str, right: &str) -> Option<Ordering> {
        match self {
            Self::DottedNumeric => dotted(left, right),
            Self::Exact => (left == right).then_some(Ordering::Equal),
            Self::Lexical => Some(left.cmp(right)),
            Self::Semver => Some(Version::parse(left).ok()?.cmp_precedence(&Version::parse(right).ok()?)),
        }
    }

    /// Whether `version` is a version of this scheme.
    #[must_use]
    pub fn reads(self, version: &str) -> bool {
        (1..=MAX_VERSION).contains(&version.len()) && self.compare(version, version).is_some()
    }
}

/// Compares digits without turning them into numbers, so that none is too long.
fn dotted(left: &str, right: &str) -> Option<Ordering> {
    let mut order = Ordering::Equal;
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() {
            return Some(order);
        }
        let (a, b) = (digits(a.unwrap_or("0"))?, digits(b.unwrap_or("0"))?);
        order = order.then_with(|| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    }
}

fn digits(text: &str) -> Option<&str> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.trim_start_matches('0'))
}

/// Which versions fit: any, one of a list, or from one to another. All that is given must hold.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(example = json!({"min": "2.0.0", "max": "2.3.9", "exclude": ["2.1.5"]}))]
pub struct VersionRule {
    /// Whether every version fits, also one that is not known; nothing else is given then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any: bool,
    /// One of these, compared as text.
    #[serde(rename = "in", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 256, max_length = 256)]
    pub one_of: Vec<String>,
    /// The lowest that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub min: Option<String>,
    /// The highest that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub max: Option<String>,
    /// These do not fit, compared as text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 256, max_length = 256)]
    pub exclude: Vec<String>,
}

impl VersionRule {
    /// Whether `version` fits. One that the scheme cannot place between two others does not.
    #[must_use]
    pub fn allows(&self, scheme: VersionScheme, version: &str) -> bool {
        let is = |bound: &Option<String>, wrong: Ordering| {
            bound.as_ref().is_none_or(|bound| scheme.compare(version, bound).is_some_and(|order| order != wrong))
        };
        self.any
            || ((self.one_of.is_empty() || self.one_of.iter().any(|one| one == version))
                && !self.exclude.iter().any(|one| one == version)
                && is(&self.min, Ordering::Less)
                && is(&self.max, Ordering::Greater))
    }

    /// What is wrong with the rule; pointers start at `pointer`.
    pub(crate) fn check(&self, scheme: VersionScheme, pointer: &str) -> Result<(), Fault> {
        let invalid = |detail: &str| Err(Fault::at(FaultCode::ManifestInvalid, pointer, detail));
        let bounds = self.min.iter().chain(&self.max);
        let listed = self.one_of.iter().chain(&self.exclude);
        let is_bare = self.one_of.is_empty() && self.min.is_none() && self.max.is_none() && self.exclude.is_empty();
        if self.any != is_bare {
            return invalid("must say either `any` or which versions");
        }
        if self.one_of.len().max(self.exclude.len()) > MAX_LISTED {
            return invalid("lists more than 256 versions");
        }
        if bounds.clone().chain(listed).any(|version| !(1..=MAX_VERSION).contains(&version.len())) {
            return invalid("a version has 1 to 256 bytes");
        }
        if scheme == VersionScheme::Exact && bounds.clone().next().is_some() {
            return invalid("versions of the scheme EXACT have no lowest and highest");
        }
        if bounds.clone().any(|version| !scheme.reads(version)) {
            return invalid("a bound is no version of its scheme");
        }
        match (&self.min, &self.max) {
            (Some(min), Some(max)) if scheme.compare(min, max) == Some(Ordering::Greater) => invalid("min is above max"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_their_scheme_says() {
        let cases = [
            (VersionScheme::DottedNumeric, "2.10", "2.9", Some(Ordering::Greater)),
            (VersionScheme::DottedNumeric, "2.1.0", "2.01", Some(Ordering::Equal)),
            (VersionScheme::DottedNumeric, "99999999999999999999.1", "99999999999999999998", Some(Ordering::Greater)),
            (VersionScheme::DottedNumeric, "2.x", "2.1", None),
            (VersionScheme::DottedNumeric, "", "0", None),
            (VersionScheme::Semver, "1.0.0-rc.1", "1.0.0", Some(Ordering::Less)),
            (VersionScheme::Semver, "1.0.0+a", "1.0.0+b", Some(Ordering::Equal)),
            (VersionScheme::Semver, "1.0", "1.0.0", None),
            (VersionScheme::Lexical, "B", "A10", Some(Ordering::Greater)),
            (VersionScheme::Exact, "x", "x", Some(Ordering::Equal)),
            (VersionScheme::Exact, "x", "y", None),
        ];
        for (scheme, left, right, order) in cases {
            assert_eq!(scheme.compare(left, right), order, "{scheme:?} {left} {right}");
            assert_eq!(scheme.compare(right, left), order.map(Ordering::reverse), "{scheme:?} {right} {left}");
        }
    }

    #[test]
    fn a_rule_allows_what_lies_between_and_is_not_excluded() {
        let rule: VersionRule = serde_json::from_str(r#"{"min":"2.0","max":"2.3.9","exclude":["2.1.5"]}"#).unwrap();
        let allowed = |version: &str| rule.allows(VersionScheme::DottedNumeric, version);
        assert!(allowed("2.0.0") && allowed("2.3.9") && allowed("2.1.50"));
        assert!(!allowed("1.9") && !allowed("2.4") && !allowed("2.1.5") && !allowed("strange"));
        let any: VersionRule = serde_json::from_str(r#"{"any":true}"#).unwrap();
        assert!(any.allows(VersionScheme::Semver, "strange"));
        let listed: VersionRule = serde_json::from_str(r#"{"in":["A","B"]}"#).unwrap();
        assert!(listed.allows(VersionScheme::DottedNumeric, "B") && !listed.allows(VersionScheme::DottedNumeric, "b"));
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused() {
        let scheme = VersionScheme::DottedNumeric;
        for wrong in ["{}", r#"{"any":true,"min":"1"}"#, r#"{"min":"2","max":"1"}"#, r#"{"min":"one"}"#, r#"{"in":[""]}"#] {
            assert!(serde_json::from_str::<VersionRule>(wrong).unwrap().check(scheme, "/x").is_err(), "{wrong}");
        }
        let bound: VersionRule = serde_json::from_str(r#"{"min":"1"}"#).unwrap();
        assert!(bound.check(scheme, "").is_ok() && bound.check(VersionScheme::Exact, "").is_err());
    }
}
