//! What a device does otherwise than the standard says: as the product's file knows its kind, as it was observed, and as an operator set it.
//!
//! An operator's word goes over what was observed, and that over the file; each trait by itself.
mod book;
mod observed;
mod traits;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::facts::Facts;

pub use book::{Book, BookError, Entry, Pattern};
pub use observed::{Engine, Observed, Stated};
pub use traits::{AlertOrder, AtomicManner, Traits, TraitsPatch};

/// Who says so.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Origin {
    /// The file of known devices.
    File,
    /// The device itself, by what it answered or told.
    Observed,
    /// An operator.
    Operator,
}

/// What is known of one device, whatever its kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownTraits {
    /// What an operator set.
    pub set: Traits,
    /// What was observed.
    pub observed: Observed,
}

/// All that is known of how a device behaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// The names of the entries of the file that are about it, those that go over others last.
    pub entries: Vec<String>,
    /// What they say.
    pub file: Traits,
    /// What was observed.
    pub observed: Observed,
    /// What an operator set.
    pub set: Traits,
}

impl Profile {
    /// What is known of a device that told these facts.
    #[must_use]
    pub fn of(book: &Book, facts: &Facts, KnownTraits { set, mut observed }: KnownTraits) -> Self {
        observed.renew(facts.firmware_version.as_deref());
        let entries = book.about(facts, &observed);
        let file = entries.iter().fold(Traits::default(), |below, entry| entry.traits.clone().over(below));
        Self { entries: entries.into_iter().map(|entry| entry.name.clone()).collect(), file, observed, set }
    }

    /// What holds: the operator's word over what was observed over the file.
    #[must_use]
    pub fn traits(&self) -> Traits {
        self.set.clone().over(self.observed.traits.clone().over(self.file.clone()))
    }

    /// The limits that somebody else than the device set.
    #[must_use]
    pub fn limits(&self) -> Traits {
        self.set.clone().over(self.file.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_goes_over_what_was_observed_and_that_over_the_file() {
        let text = "[[device]]\nname = 'a'\nmodel = 'X*'\ntraits = {tnds = true, copy = false, sequence = true}";
        let book = Book::parse(text).unwrap();
        let facts = Facts { model: Some("x1".to_owned()), ..Facts::default() };
        let observed =
            Observed { traits: Traits { tnds: Some(false), copy: Some(false), ..Traits::default() }, ..Observed::default() };
        let set = Traits { copy: Some(true), ..Traits::default() };
        let traits = Profile::of(&book, &facts, KnownTraits { set, observed }).traits();
        assert_eq!((traits.sequence, traits.tnds, traits.copy), (Some(true), Some(false), Some(true)));
    }
}
