//! How clients of some makes write what they say, and what they do not survive to hear.
use std::collections::{BTreeMap, BTreeSet};

use dmwsi_objects::{NodeUri, Reading, Value};

use super::{Quirks, percent};
use crate::encoding::{Encoding, Family, Form, Name, PublicId};
use crate::message::{Alert, Data, Element, Item, Message, Meta, Results, Verb, alert};

/// Stands for a NUL until the message is bytes, since no encoder writes one into a text.
const NUL: &str = "\u{e000}";

impl Quirks {
    /// The form of its messages.
    #[must_use]
    pub const fn form(self, encoding: Encoding) -> Form {
        let is_named = self.named_public_id && matches!(encoding, Encoding::Wbxml);
        Form {
            encoding,
            family: if self.sync_media_types { Family::Sync } else { Family::Dm },
            public_id: if is_named { Some(PublicId::Text { name: Name::SyncMl1_2, ends: false }) } else { None },
        }
    }

    /// A message as such a device writes it.
    #[must_use]
    pub fn encode(self, encoding: Encoding, message: &Message) -> Vec<u8> {
        let bytes = self.form(encoding).encode(message);
        match encoding {
            Encoding::Xml if self.windows_elements || self.nul_after_names => self.touched_up(&bytes),
            Encoding::Wbxml | Encoding::Xml => bytes,
        }
    }

    /// What no message as a value can hold: a NUL, an element out of its place, an attribute.
    fn touched_up(self, bytes: &[u8]) -> Vec<u8> {
        let mut text = String::from_utf8_lossy(bytes).replace(NUL, "\0");
        if self.windows_elements {
            let results = text.split("<Results>").map(|part| match part.split_once("</Results>") {
                Some((results, rest)) => {
                    format!("{}</Results>{rest}", results.replacen("</CmdRef>", "</CmdRef><Cmd>Get</Cmd>", 1))
                }
                None => part.to_owned(),
            });
            text = results.collect::<Vec<_>>().join("<Results>");
            text = text.replace("<SyncBody>", "<SyncBody xmlns:msft=\"http://schemas.microsoft.com/MobileDevice/MDM\">");
            for (code, original) in [("404", "0x86000002"), ("405", "0x86000003"), ("500", "0x80004005")] {
                let told = format!("<Data msft:originalerror=\"{original}\">{code}</Data></Status>");
                text = text.replace(&format!("<Data>{code}</Data></Status>"), &told);
            }
            // Published samples have the type of this one beside the Meta that it belongs into.
            let kind = "<Type xmlns=\"syncml:metinf\">com.microsoft/MDM/LoginStatus</Type>";
            text = text.replace(&format!("<Meta>{kind}</Meta>"), &format!("<Meta></Meta>{kind}"));
        }
        text.into_bytes()
    }

    /// DevInfo as such a device tells it: these leaves, or the interior nodes that they are in before them.
    pub(super) fn dev_info(self, leaves: Vec<Reading>) -> Vec<Reading> {
        if !self.interior_dev_info {
            return leaves;
        }
        let mut interior = BTreeMap::<_, BTreeSet<_>>::new();
        for leaf in &leaves {
            let mut node = leaf.node.clone();
            while let Some(above) = node.parent().filter(|above| *above != NodeUri::root()) {
                interior.entry(above.clone()).or_default().insert(node.name().to_owned());
                node = above;
            }
        }
        let reading = |(node, names): (NodeUri, BTreeSet<String>)| {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            Reading { node, value: Value::node(&names) }
        };
        interior.into_iter().map(reading).chain(leaves).collect()
    }

    /// One element as such a device says it.
    pub(super) fn dressed(self, element: Element, encoding: Encoding) -> Element {
        match element {
            Element::Alert(Alert { code: alert::GENERIC, id, correlator, items, .. }) => {
                let items = items
                    .into_iter()
                    .map(|item| self.item(Item { meta: self.alert_meta(item.meta), ..item }, encoding))
                    .collect();
                Element::Alert(Alert { code: alert::GENERIC, id, correlator, items })
            }
            Element::Command(mut command) if command.verb == Verb::Replace => {
                if self.reversed_dev_info {
                    command.items.reverse();
                }
                if self.bare_dev_info {
                    command.items.iter_mut().for_each(|item| item.meta = Meta::default());
                }
                command.items = command.items.into_iter().map(|item| self.item(item, encoding)).collect();
                Element::Command(command)
            }
            Element::Results(results) => {
                let items = results.items.into_iter();
                let items = items.map(|item| self.item(self.ended(self.named(item)), encoding)).collect();
                Element::Results(Results { items, ..results })
            }
            Element::Status(mut status) if self.no_target_refs => {
                status.targets.clear();
                Element::Status(status)
            }
            other => other,
        }
    }

    /// The Meta of a Generic Alert.
    fn alert_meta(self, meta: Meta) -> Meta {
        Meta {
            format: if self.plain_text_alerts { Some("text/plain".to_owned()) } else { meta.format },
            media_type: meta
                .media_type
                .map(|kind| if self.prefixed_alert_types { format!(" Reversed-Domain-Name: {kind} ") } else { kind }),
            ..meta
        }
    }

    /// With the names of children percent-encoded.
    fn named(self, item: Item) -> Item {
        match item.data {
            Some(Data::Text(text)) if self.encoded_names && item.meta.format.as_deref() == Some("node") => {
                let names: Vec<_> = text.split('/').map(percent::encoded).collect();
                Item { data: Some(Data::Text(names.join("/"))), ..item }
            }
            data => Item { data, ..item },
        }
    }

    /// With a NUL after each name of a child and after the value of a property, as texts of C end.
    fn ended(self, item: Item) -> Item {
        let is_property = item.source.as_deref().is_some_and(|source| source.contains("?prop="));
        let is_interior = item.meta.format.as_deref() == Some("node");
        match item.data {
            Some(Data::Text(text)) if self.nul_after_names && !text.is_empty() && (is_property || is_interior) => {
                let names = if is_interior { text.replace('/', &format!("{NUL}/")) } else { text };
                Item { data: Some(Data::Text(format!("{names}{NUL}"))), ..item }
            }
            data => Item { data, ..item },
        }
    }

    fn item(self, item: Item, encoding: Encoding) -> Item {
        let data = match item.data {
            Some(Data::Text(text)) if self.no_empty_data && text.is_empty() => None,
            Some(Data::Text(text)) if self.opaque_data && encoding == Encoding::Wbxml => {
                Some(Data::Octets(text.replace(NUL, "\0").into_bytes()))
            }
            data => data,
        };
        let encoded =
            |address: String| if self.encoded_addresses { address.replace(' ', "%20").replace('#', "%23") } else { address };
        Item { data, source: item.source.map(encoded), ..item }
    }

    /// What in a message of the server such a device does not survive, if anything.
    pub(super) fn dies_of(self, message: &Message) -> Option<&'static str> {
        if self.fragile { message.body.iter().find_map(deadly) } else { None }
    }
}

/// What clients on libdmclient are known to crash on, or to refuse as a whole.
fn deadly(element: &Element) -> Option<&'static str> {
    let is_empty = |item: &Item| item.data.is_none() && item.target.is_none() && item.source.is_none();
    match element {
        Element::Alert(alert) if alert.items.first().is_some_and(is_empty) => Some("an empty first item of an alert"),
        Element::Atomic(group) => group.members.iter().find_map(deadly),
        Element::Command(command) => match command.verb {
            Verb::Add | Verb::Replace if command.items.iter().any(|item| item.data.is_none()) => Some("an item without Data"),
            Verb::Add if command.items.iter().any(|item| item.meta.format.is_none()) => {
                Some("an Add without a Format in its item")
            }
            _ => None,
        },
        Element::Sequence(_) => Some("a Sequence"),
        Element::Status(status) if status.id.is_empty() || status.name.is_empty() || status.command.is_empty() => {
            Some("a Status that is not whole")
        }
        _ => None,
    }
}

/// The events by which a client of Windows begins a session.
pub(super) fn windows_events() -> impl Iterator<Item = Element> {
    let events = [("com.microsoft/MDM/LoginStatus", "user"), ("com.microsoft/MDM/AADUserToken", "not a real token")];
    events.into_iter().map(|(kind, data)| {
        let meta = Meta { media_type: Some(kind.to_owned()), ..Meta::default() };
        let items = vec![Item { meta, data: Some(Data::Text(data.to_owned())), ..Item::default() }];
        Element::Alert(Alert { code: alert::CLIENT_EVENT, items, ..Alert::default() })
    })
}
