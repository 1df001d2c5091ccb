//! The single things in which devices differ.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::device_patch::Change;
use crate::operation::NodeProperty;
use crate::{Error, Result};

/// The smallest limit of a message that can be set, in bytes: less takes no command at all.
const LEAST_MESSAGE: u32 = 1_000;

macro_rules! traits {
    ($($(#[doc = $doc:tt])* $(#[schema($($schema:tt)*)])? $name:ident: $kind:ty,)*) => {
        /// In what a device differs; of what is absent nobody says anything, and the standard holds.
        #[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct Traits {
            $(
                $(#[doc = $doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                $(#[schema($($schema)*)])?
                pub $name: Option<$kind>,
            )*
        }

        /// What is to change of what an operator set; `null` takes a word back.
        #[derive(Clone, Debug, Default, Deserialize, PartialEq, ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[schema(example = json!({"tnds": false, "maxMessageBytes": 8_000, "copy": null}))]
        pub struct TraitsPatch {
            $(
                $(#[doc = $doc])*
                #[serde(default)]
                #[schema(value_type = Option<$kind> $(, $($schema)*)?)]
                pub $name: Change<$kind>,
            )*
        }

        impl Traits {
            /// These, and what they say nothing of as `below` has it.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self { $($name: self.$name.or(below.$name),)* }
            }
        }

        impl TraitsPatch {
            /// Changes `traits`; true when they are other than before.
            pub fn apply(self, traits: &mut Traits) -> Result<bool> {
                let before = traits.clone();
                $(self.$name.optional(&mut traits.$name);)*
                traits.check("")?;
                Ok(*traits != before)
            }
        }
    };
}

traits! {
    /// When an alert without a correlator tells of an Exec: `BEFORE_STATUS` where it stands before the Exec's own Status.
    alert_order: AlertOrder,
    /// How it takes an Atomic; with another word than `PROPER` none is sent, and the operation says so.
    atomic: AtomicManner,
    /// Whether it takes a Copy. Where not, the server reads and writes.
    copy: bool,
    /// Whether it takes a correlator with an Exec. Where not, its alerts are known by where they come from.
    correlator: bool,
    /// Whether every Add and Replace has a Data element, one without a value, too: so unless this is false.
    data_always: bool,
    /// Whether it takes values in pieces, whatever it says in DevDetail/LrgObj.
    large_objects: bool,
    /// Whether it answers `?list=Struct` and `?list=StructData`. Where not, trees are read node by node.
    lists: bool,
    /// The most commands in one message.
    #[schema(minimum = 1, maximum = 1_000)]
    max_commands: u32,
    /// The largest message that it takes, in bytes. What the device says itself holds where that is less; observed, what it said last.
    #[schema(minimum = 1_000)]
    max_message_bytes: u32,
    /// The largest value that it takes in pieces, in bytes, likewise.
    #[schema(minimum = 1)]
    max_object_bytes: u32,
    /// The properties that it answers. A tree is read without the others.
    #[schema(max_items = 8)]
    properties: Vec<NodeProperty>,
    /// Whether it takes a Sequence, which the commands of one message then are: only where this is true.
    sequence: bool,
    /// Whether it answers `?list=TNDS`.
    tnds: bool,
}

/// Where an alert that tells of an Exec stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlertOrder {
    /// After the Status of the Exec, mostly in a later session.
    AfterStatus,
    /// In the same message as the Status, and before it.
    BeforeStatus,
}

/// How a device takes an Atomic.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AtomicManner {
    /// As the standard says: all or nothing.
    Proper,
    /// It does one after the other, and has no Status for the whole.
    Silent,
    /// It takes none.
    Unsupported,
}

impl Traits {
    /// Whether the numbers are within their bounds; the pointer of an error begins with `at`.
    pub(super) fn check(&self, at: &str) -> Result<()> {
        let bounds = [
            ("maxCommands", self.max_commands, 1..=1_000),
            ("maxMessageBytes", self.max_message_bytes, LEAST_MESSAGE..=u32::MAX),
            ("maxObjectBytes", self.max_object_bytes, 1..=u32::MAX),
        ];
        match bounds.into_iter().find(|(_, value, bounds)| value.is_some_and(|value| !bounds.contains(&value))) {
            Some((name, _, bounds)) => {
                let detail = format!("must be {} to {}", bounds.start(), bounds.end());
                Err(Error::invalid(format!("{at}/{name}"), "OUT_OF_RANGE", detail))
            }
            None => Ok(()),
        }
    }

    /// Whether a property is answered, as far as anybody says.
    #[must_use]
    pub fn answers(&self, property: NodeProperty) -> bool {
        self.properties.as_ref().is_none_or(|known| known.contains(&property))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_sets_takes_back_and_keeps_to_its_bounds() {
        let mut traits = Traits { copy: Some(false), ..Traits::default() };
        let patch = |text: &str| serde_json::from_str::<TraitsPatch>(text).unwrap();
        assert!(patch(r#"{"copy": null, "atomic": "SILENT", "properties": ["ACL"]}"#).apply(&mut traits).unwrap());
        assert_eq!((traits.copy, traits.atomic), (None, Some(AtomicManner::Silent)));
        assert!(traits.answers(NodeProperty::Acl) && !traits.answers(NodeProperty::Type));
        assert!(!patch(r#"{"atomic": "SILENT"}"#).apply(&mut traits).unwrap());
        assert!(patch(r#"{"maxMessageBytes": 999}"#).apply(&mut traits).is_err());
        assert!(serde_json::from_str::<TraitsPatch>(r#"{"colour": "blue"}"#).is_err());
    }
}
