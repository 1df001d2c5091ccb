//! The view of a document as JSON.
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Content, Document, Element};
use crate::encoding::{Name, PublicId};

/// The member beside the root that tells the public identifier of WBXML.
const PUBLIC_ID: &str = "publicId";

/// The member of an element beside its name that tells its attributes.
const ATTRIBUTES: &str = "@";

/// The only member of what stands for octets.
const BASE64: &str = "base64";

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.public_id {
            Some(PublicId::Number(number)) => map.serialize_entry(PUBLIC_ID, &number)?,
            Some(PublicId::Text { name, .. }) => map.serialize_entry(PUBLIC_ID, name.as_str())?,
            None => {}
        }
        self.root.members(&mut map)?;
        map.end()
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.members(&mut map)?;
        map.end()
    }
}

impl Element {
    fn members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(&self.name, &self.content)?;
        if self.attributes.is_empty() {
            return Ok(());
        }
        map.serialize_entry(ATTRIBUTES, &Attributes(self.attributes.clone()))
    }
}

/// Attributes in their order.
struct Attributes(Vec<(String, String)>);

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs).map(Self)
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Children(children) => children.serialize(serializer),
            Self::Empty => serializer.serialize_unit(),
            Self::Octets(octets) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(BASE64, &STANDARD.encode(octets))?;
                map.end()
            }
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Whole)
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(One)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Inside)
    }
}

/// A document.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the root element, and `{PUBLIC_ID}` if need be")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let (mut public_id, mut root, mut attributes) = (None, None, Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            if name == PUBLIC_ID {
                public_id = Some(map.next_value::<Id>()?.0);
            } else if name == ATTRIBUTES {
                attributes = map.next_value::<Attributes>()?.0;
            } else if root.is_some() {
                return Err(de::Error::custom("a document has one root"));
            } else {
                root = Some((name, map.next_value()?));
            }
        }
        let (name, content) = root.ok_or_else(|| de::Error::custom("the root element is missing"))?;
        Ok(Document { public_id, root: Element { name, attributes, content } })
    }
}

/// An element.
struct One;

impl<'de> Visitor<'de> for One {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an element: an object with its name as the only member, but for `{ATTRIBUTES}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
        let (mut element, mut attributes) = (None, Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            if name == ATTRIBUTES {
                attributes = map.next_value::<Attributes>()?.0;
            } else if element.is_some() {
                return Err(de::Error::invalid_length(2, &self));
            } else {
                element = Some((name, map.next_value()?));
            }
        }
        let (name, content) = element.ok_or_else(|| de::Error::invalid_length(0, &self))?;
        Ok(Element { name, attributes, content })
    }
}

/// Attributes.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts by the names of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// What is in an element.
struct Inside;

impl<'de> Visitor<'de> for Inside {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text, a list of elements, null or `{{\"{BASE64}\": …}}`")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Empty)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Content, E> {
        Ok(Content::Text(number.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut children = Vec::new();
        while let Some(child) = list.next_element()? {
            children.push(child);
        }
        Ok(if children.is_empty() { Content::Empty } else { Content::Children(children) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let text = match map.next_entry::<String, String>()? {
            Some((name, text)) if name == BASE64 => text,
            _ => return Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
        };
        let octets = STANDARD.decode(&text).map_err(|error| de::Error::custom(format_args!("no base64: {error}")))?;
        match map.next_key::<String>()? {
            Some(_) => Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
            None => Ok(Content::Octets(octets)),
        }
    }
}

/// A public identifier.
struct Id(PublicId);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Naming).map(Self)
    }
}

/// A public identifier.
struct Naming;

impl Visitor<'_> for Naming {
    type Value = PublicId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or the text of a public identifier of SyncML")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<PublicId, E> {
        // 0 would say that a text follows.
        let number = u32::try_from(number).ok().filter(|number| *number > 0);
        number.map(PublicId::Number).ok_or_else(|| E::custom("a public identifier has 1 to 32 bits"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PublicId, E> {
        let name =
            [Name::SyncMl1_0, Name::SyncMl1_1, Name::SyncMl1_2, Name::Tree1_2].into_iter().find(|name| name.as_str() == text);
        let name = name.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))?;
        Ok(PublicId::Text { name, ends: false })
    }
}
