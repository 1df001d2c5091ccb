//! Tags: words an organisation puts on its devices to find them again.
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most tags a device has.
pub const MAX_TAGS: usize = 32;

/// The longest tag, in bytes.
pub const MAX_TAG: usize = 64;

/// A word: 1 to 64 bytes without control characters, quotation marks and backslashes, and no blank at either end.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 64, example = "pilot")]
pub struct Tag(String);

impl Tag {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        let fits = (1..=MAX_TAG).contains(&text.len())
            && !text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'))
            && text.trim() == text;
        if fits { Ok(Self(text.to_owned())) } else { Err(TagError::Form) }
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, TagError> {
        Self::parse(&text)
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

/// The tags of a device: at most 32, each once, in alphabetical order.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(try_from = "Vec<Tag>")]
#[schema(value_type = Vec<Tag>, max_items = 32, example = json!(["pilot", "region:north"]))]
pub struct Tags(BTreeSet<Tag>);

impl Tags {
    /// Whether `tag` is among them.
    #[must_use]
    pub fn contains(&self, tag: &Tag) -> bool {
        self.0.contains(tag)
    }

    /// The tags, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter()
    }
}

impl TryFrom<Vec<Tag>> for Tags {
    type Error = TagError;

    fn try_from(listed: Vec<Tag>) -> Result<Self, TagError> {
        let given = listed.len();
        let tags: BTreeSet<Tag> = listed.into_iter().collect();
        if given > MAX_TAGS {
            Err(TagError::Many)
        } else if tags.len() < given {
            Err(TagError::Twice)
        } else {
            Ok(Self(tags))
        }
    }
}

/// The text is no tag, or the list no set of tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TagError {
    /// It is no tag.
    #[error("a tag has 1 to 64 bytes without control characters, quotation marks, backslashes and blanks at its ends")]
    Form,
    /// There are too many.
    #[error("a device has at most 32 tags")]
    Many,
    /// One is listed twice.
    #[error("each tag is listed once")]
    Twice,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_few_short_and_each_listed_once() {
        let read = |text: &str| serde_json::from_str::<Tags>(text).map_err(|error| error.to_string());
        assert_eq!(serde_json::to_string(&read(r#"["b","a é"]"#).unwrap()).unwrap(), r#"["a é","b"]"#);
        assert!(read(r#"["a","a"]"#).is_err());
        assert!(read(&format!("{:?}", (0..33).map(|n| n.to_string()).collect::<Vec<_>>())).is_err());
        for wrong in ["", " a", "a\"", "a\\", "a\tb", &"x".repeat(65)] {
            assert_eq!(Tag::parse(wrong), Err(TagError::Form), "{wrong:?}");
        }
    }
}
