//! The address of a node in a device's tree.
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest address accepted, in bytes. Devices tell smaller limits of their own in `DevDetail/URI/MaxTotLen`.
pub const MAX_LENGTH: usize = 1024;

/// The deepest address accepted, in segments.
pub const MAX_DEPTH: usize = 64;

/// The address of a node, such as `./FUMO/State`, known to be well formed (OMA DM TND 1.2, 8.2).
///
/// It always starts at the root (`.`); `A/B` and `./A/B` are the same node and are kept as the latter. A question after the
/// address (`?prop=Type`, `?list=Struct`) belongs to it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeUri(String);

/// Why a text is no node address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NodeUriError {
    /// A control character stands in it.
    #[error("a node address has no control characters")]
    Control,
    /// It has more than [`MAX_DEPTH`] segments.
    #[error("a node address has at most {MAX_DEPTH} segments")]
    Deep,
    /// It is empty.
    #[error("a node address is not empty")]
    Empty,
    /// A segment is empty: `//`, a leading or a trailing `/`.
    #[error("a node address has no empty segment")]
    EmptySegment,
    /// It is longer than [`MAX_LENGTH`] bytes.
    #[error("a node address has at most {MAX_LENGTH} bytes")]
    Long,
    /// `.` or `..` stands where a name belongs.
    #[error("`.` stands only at the start of a node address, `..` nowhere")]
    Relative,
}

impl NodeUri {
    /// The root of the tree.
    #[must_use]
    pub fn root() -> Self {
        Self(".".to_owned())
    }

    /// Reads an address, absolute or relative to the root.
    pub fn parse(text: &str) -> Result<Self, NodeUriError> {
        if text.is_empty() {
            return Err(NodeUriError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(NodeUriError::Long);
        }
        if text.chars().any(char::is_control) {
            return Err(NodeUriError::Control);
        }
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let names = match path {
            "." => "",
            _ => path.strip_prefix("./").unwrap_or(path),
        };
        let mut whole = ".".to_owned();
        if path != "." {
            let mut depth = 0_usize;
            for name in names.split('/') {
                match name {
                    "" => return Err(NodeUriError::EmptySegment),
                    "." | ".." => return Err(NodeUriError::Relative),
                    _ => depth = depth.saturating_add(1),
                }
                whole.push('/');
                whole.push_str(name);
            }
            if depth > MAX_DEPTH {
                return Err(NodeUriError::Deep);
            }
        }
        if let Some(query) = query {
            whole.push('?');
            whole.push_str(query);
        }
        Ok(Self(whole))
    }

    /// The address as text, starting with `.`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names from the root to the node; none for the root itself.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1)
    }

    /// The address without its question.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.split_once('?').map_or(self.0.as_str(), |(path, _question)| path)
    }

    /// What is asked of the node instead of its value, such as `prop=Type`.
    #[must_use]
    pub fn question(&self) -> Option<&str> {
        self.0.split_once('?').map(|(_path, question)| question)
    }

    /// The last name of the address; `.` for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path().rsplit('/').next().unwrap_or(".")
    }

    /// The node above; none above the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.path().rsplit_once('/').map(|(parent, _name)| Self(parent.to_owned()))
    }

    /// The node `below` this one, where `below` is one name or several (`Download/PkgURL`).
    pub fn join(&self, below: &str) -> Result<Self, NodeUriError> {
        Self::parse(&format!("{}/{below}", self.path()))
    }

    /// The same node, asked for `question` (`prop=Type`) in place of its value.
    #[must_use]
    pub fn ask(&self, question: &str) -> Self {
        Self(format!("{}?{question}", self.path()))
    }

    /// Whether this is `other` or lies below it. Names are compared after percent-decoding, since devices differ in what they encode.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let mut mine = self.segments();
        other.segments().all(|name| mine.next().is_some_and(|own| decoded(own) == decoded(name)))
    }

    /// Whether both name the same node, whatever is asked of it and however the names are percent-encoded.
    #[must_use]
    pub fn is_same_node(&self, other: &Self) -> bool {
        self.segments().count() == other.segments().count() && self.is_within(other)
    }
}

/// A name with its percent-encoding undone; what is not valid encoding or not UTF-8 stays as it is.
#[must_use]
pub fn decoded(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%').then(|| tail.first_chunk::<2>()).flatten();
        let byte = hex.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(name), Cow::Owned)
}

impl fmt::Display for NodeUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeUri {
    type Err = NodeUriError;

    fn from_str(text: &str) -> Result<Self, NodeUriError> {
        Self::parse(text)
    }
}

impl Serialize for NodeUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> NodeUri {
        NodeUri::parse(text).unwrap()
    }

    #[test]
    fn an_address_starts_at_the_root_whether_it_says_so_or_not() {
        assert_eq!(uri("DevInfo/Man"), uri("./DevInfo/Man"));
        assert_eq!(uri("."), NodeUri::root());
        assert_eq!(uri("./A?prop=Type").question(), Some("prop=Type"));
        assert_eq!(uri("./A?prop=Type").path(), "./A");
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        assert_eq!(NodeUri::parse(""), Err(NodeUriError::Empty));
        assert_eq!(NodeUri::parse("/A"), Err(NodeUriError::EmptySegment));
        assert_eq!(NodeUri::parse("./A/"), Err(NodeUriError::EmptySegment));
        assert_eq!(NodeUri::parse("./A//B"), Err(NodeUriError::EmptySegment));
        assert_eq!(NodeUri::parse("./A/../B"), Err(NodeUriError::Relative));
        assert_eq!(NodeUri::parse("./A/./B"), Err(NodeUriError::Relative));
        assert_eq!(NodeUri::parse("./A\0"), Err(NodeUriError::Control));
        assert_eq!(NodeUri::parse(&"a".repeat(MAX_LENGTH + 1)), Err(NodeUriError::Long));
        assert_eq!(NodeUri::parse(&"a/".repeat(MAX_DEPTH + 1)[..2 * MAX_DEPTH + 1]), Err(NodeUriError::Deep));
    }

    #[test]
    fn nodes_are_compared_by_names_not_by_text() {
        assert!(uri("./A%20B/c").is_same_node(&uri("A B/c")));
        assert!(uri("./FUMO/p1/State").is_within(&uri("./FUMO/p1")));
        assert!(!uri("./FUMO/p10").is_within(&uri("./FUMO/p1")));
        assert!(uri("./FUMO").is_within(&NodeUri::root()));
        assert!(uri("./A%2").is_same_node(&uri("./A%2")));
    }

    #[test]
    fn a_node_knows_its_parent_and_children() {
        assert_eq!(uri("./FUMO/p1").parent(), Some(uri("./FUMO")));
        assert_eq!(uri("./FUMO").parent(), Some(NodeUri::root()));
        assert_eq!(NodeUri::root().parent(), None);
        assert_eq!(uri("./FUMO").join("Download/PkgURL"), Ok(uri("./FUMO/Download/PkgURL")));
        assert_eq!(uri("./FUMO").ask("prop=Type").as_str(), "./FUMO?prop=Type");
    }
}
