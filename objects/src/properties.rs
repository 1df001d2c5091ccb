//! The properties that a node has at run time (`RTProperties`, OMA DM TND 1.2, 7.7).
use crate::Format;

/// What is said of a node. What is not said is none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Properties {
    /// `ACL`, as it stands on the wire.
    pub acl: Option<String>,
    /// `Format`.
    pub format: Option<Format>,
    /// `Name`.
    pub name: Option<String>,
    /// `Size`, in bytes.
    pub size: Option<u64>,
    /// `Title`.
    pub title: Option<String>,
    /// `TStamp`: when the node was changed, as the device writes it.
    pub changed: Option<String>,
    /// `Type`.
    pub kind: Option<Kind>,
    /// `VerNo`: how often it was changed.
    pub revision: Option<String>,
}

/// `Type` of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The media type of a leaf.
    Media(String),
    /// The identifier of the management object that an interior node is.
    Object(String),
}

impl Properties {
    /// Those that no value of a node tells, by their names on the wire.
    pub fn told(&self) -> impl Iterator<Item = (&'static str, String)> {
        let named = [
            ("ACL", self.acl.clone()),
            ("Size", self.size.map(|size| size.to_string())),
            ("Title", self.title.clone()),
            ("TStamp", self.changed.clone()),
            ("VerNo", self.revision.clone()),
        ];
        named.into_iter().filter_map(|(name, text)| Some((name, text?)))
    }
}

impl Kind {
    /// The text of either.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Media(text) | Self::Object(text) => text,
        }
    }
}
