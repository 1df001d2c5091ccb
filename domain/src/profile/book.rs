//! The file of known devices: which kinds there are, and what each does otherwise.
use serde::{Deserialize, Deserializer, de};

use super::{Engine, Observed, Traits};
use crate::facts::Facts;

/// What ships with the product.
const KNOWN: &str = include_str!("../../profiles.toml");

/// The most entries of one file.
const MAX_ENTRIES: usize = 10_000;

/// Known kinds of devices. Where several entries are about a device, a later one goes over an earlier one, trait by trait.
#[derive(Clone, Debug, Default)]
pub struct Book(Vec<Entry>);

/// A kind of devices. All conditions that it has must hold; it has at least one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// DevInfo/Man.
    #[serde(default)]
    pub manufacturer: Option<Pattern>,
    /// DevInfo/Mod.
    #[serde(default)]
    pub model: Option<Pattern>,
    /// DevInfo/DmV.
    #[serde(default)]
    pub dm_version: Option<Pattern>,
    /// DevDetail/FwV.
    #[serde(default)]
    pub firmware_version: Option<Pattern>,
    /// The header User-Agent of HTTP.
    #[serde(default)]
    pub user_agent: Option<Pattern>,
    /// What its client was recognised as.
    #[serde(default)]
    pub engine: Option<Engine>,
    /// What is known of it.
    pub traits: Traits,
}

/// A text in which `*` stands for any number of any characters; compared without case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern(String);

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// An entry is about every device.
    #[error("the entry {0} has no condition")]
    Boundless(String),
    /// It is no TOML, or says something unknown.
    #[error(transparent)]
    Malformed(#[from] toml::de::Error),
    /// It has too many entries.
    #[error("there are more than {MAX_ENTRIES} entries")]
    Many,
    /// A value is out of its bounds.
    #[error("the entry {0}: {1}")]
    Value(String, String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    device: Vec<Entry>,
}

impl Book {
    /// The one that ships with the product.
    pub fn known() -> Result<Self, BookError> {
        Self::parse(KNOWN)
    }

    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self, BookError> {
        let File { device } = toml::from_str(text)?;
        if device.len() > MAX_ENTRIES {
            return Err(BookError::Many);
        }
        for entry in &device {
            if !entry.has_condition() {
                return Err(BookError::Boundless(entry.name.clone()));
            }
            entry.traits.check("").map_err(|error| BookError::Value(entry.name.clone(), error.to_string()))?;
        }
        Ok(Self(device))
    }

    /// This one and then `further`, which goes over it.
    #[must_use]
    pub fn and(mut self, further: Self) -> Self {
        self.0.extend(further.0);
        self
    }

    /// The entries about a device, in their order.
    #[must_use]
    pub fn about(&self, facts: &Facts, observed: &Observed) -> Vec<&Entry> {
        self.0.iter().filter(|entry| entry.is_about(facts, observed)).collect()
    }
}

impl Entry {
    const fn has_condition(&self) -> bool {
        self.manufacturer.is_some()
            || self.model.is_some()
            || self.dm_version.is_some()
            || self.firmware_version.is_some()
            || self.user_agent.is_some()
            || self.engine.is_some()
    }

    fn is_about(&self, facts: &Facts, observed: &Observed) -> bool {
        let conditions = [
            (&self.manufacturer, facts.manufacturer.as_deref()),
            (&self.model, facts.model.as_deref()),
            (&self.dm_version, facts.dm_version.as_deref()),
            (&self.firmware_version, facts.firmware_version.as_deref()),
            (&self.user_agent, observed.user_agent.as_deref()),
        ];
        let holds = |(pattern, fact): (&Option<Pattern>, Option<&str>)| {
            pattern.as_ref().is_none_or(|pattern| fact.is_some_and(|fact| pattern.fits(fact)))
        };
        conditions.into_iter().all(holds) && self.engine.is_none_or(|engine| observed.engine == Some(engine))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?.trim().to_lowercase();
        // One that fits everything is no condition.
        if text.chars().all(|c| c == '*') {
            return Err(de::Error::custom("a pattern has more than `*` in it"));
        }
        Ok(Self(text))
    }
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        let text = text.trim().to_lowercase();
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == text };
        let Some(mut left) = text.strip_prefix(first) else { return false };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let Some(last) = parts.pop() else { return true };
        for part in parts {
            match left.split_once(part) {
                Some((_, after)) => left = after,
                None => return false,
            }
        }
        left.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_with_the_product_is_read_and_finds_its_devices() {
        let book = Book::known().unwrap();
        let names = |observed: Observed| -> Vec<String> {
            book.about(&Facts::default(), &observed).into_iter().map(|entry| entry.name.clone()).collect()
        };
        assert!(names(Observed::default()).is_empty());
        let user_agent = Some("MSFT OMA DM Client/1.2.0.1".to_owned());
        assert_eq!(names(Observed { user_agent, ..Observed::default() }), ["Windows"]);
        assert_eq!(names(Observed { engine: Some(Engine::Libdmclient), ..Observed::default() }), ["libdmclient"]);
    }

    #[test]
    fn the_file_that_ships_tells_of_every_trait() {
        let schema = serde_json::to_value(<crate::profile::TraitsPatch as utoipa::PartialSchema>::schema()).unwrap();
        let traits: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        let told: Vec<_> = KNOWN.lines().filter_map(|line| line.strip_prefix("#   ")?.split_whitespace().next()).collect();
        assert_eq!(told, traits);
    }

    #[test]
    fn a_pattern_has_stars_for_anything_and_knows_no_case() {
        let fits = |pattern: &str, text: &str| Pattern(pattern.to_lowercase()).fits(text);
        assert!(fits("Acme", " ACME ") && !fits("Acme", "Acme 2"));
        assert!(fits("acme*", "Acme 2") && fits("*2", "Acme 2") && fits("a*e*2", "Acme 2") && fits("a*", "a"));
        assert!(!fits("a*a", "a") && !fits("a*x*2", "Acme 2") && !fits("*3", "Acme 2"));
    }

    #[test]
    fn an_entry_without_a_condition_or_with_an_unknown_word_is_refused() {
        for text in [
            "[[device]]\nname = 'a'\ntraits = {}",
            "[[device]]\nname = 'a'\nmodel = '*'\ntraits = {}",
            "[[device]]\nname = 'a'\nmodel = 'x'\ntraits = {colour = 'blue'}",
            "[[device]]\nname = 'a'\nmodel = 'x'\ntraits = {maxCommands = 0}",
            "[[divice]]\nname = 'a'",
        ] {
            assert!(Book::parse(text).is_err(), "{text}");
        }
        assert!(Book::parse("").unwrap().about(&Facts::default(), &Observed::default()).is_empty());
    }

    #[test]
    fn a_later_entry_goes_over_an_earlier_one() {
        let entry = |firmware: &str, copy: bool| {
            format!("[[device]]\nname = '{firmware}'\nfirmwareVersion = '{firmware}'\ntraits = {{copy = {copy}}}\n")
        };
        let book = Book::parse(&entry("1.*", false)).unwrap().and(Book::parse(&entry("1.4*", true)).unwrap());
        let copy = |version: &str| {
            let facts = Facts { firmware_version: Some(version.to_owned()), ..Facts::default() };
            super::super::Profile::of(&book, &facts, super::super::KnownTraits::default()).traits().copy
        };
        assert_eq!((copy("1.3"), copy("1.4.1"), copy("2.0")), (Some(false), Some(true), None));
    }
}
