//! The shape of a document before anybody believes it: how deep it is, how many values it has, and that no object has a name twice.
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// Walks a JSON document; an error says what is wrong with its shape. Nothing is kept of it but names, object by object.
pub(super) struct Shape<'a> {
    /// How many levels may follow.
    pub(super) depth: usize,
    /// How many values may follow.
    pub(super) values: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let left = self.values.checked_sub(1).ok_or_else(|| de::Error::custom("has too many values"))?;
        *self.values = left;
        deserializer.deserialize_any(self)
    }
}

impl Shape<'_> {
    fn within<E: de::Error>(&self) -> Result<usize, E> {
        self.depth.checked_sub(1).ok_or_else(|| E::custom("is nested too deep"))
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _value: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = self.within()?;
        while items.next_element_seed(Shape { depth, values: &mut *self.values })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let depth = self.within()?;
        let mut names = BTreeSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            if names.contains(&name) {
                return Err(de::Error::custom(format_args!("has the name `{name}` twice")));
            }
            names.insert(name);
            fields.next_value_seed(Shape { depth, values: &mut *self.values })?;
        }
        Ok(())
    }
}
