//! Items as nodes and values.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::{Format, NodeUri, Reading, Value};

use crate::encoding::{Encoding, into_text, is_text};
use crate::message::{Data, Item, Meta};
use crate::tnds;

/// The address that an item carries, wherever it stands; none when it is no node address. Clients are known to put blanks around it.
pub(super) fn node(address: Option<&str>) -> Option<NodeUri> {
    NodeUri::parse(address?.trim()).ok()
}

/// The node an item from the device is about: its Source, or else its Target.
pub(super) fn subject(item: &Item) -> Option<&str> {
    item.source.as_deref().or(item.target.as_deref())
}

/// What an item says, its Meta completed by `outer`.
pub(super) fn value(item: &Item, outer: &Meta) -> Value {
    let meta = item.meta.or(outer);
    let format = meta.format.as_deref().map_or_else(Format::default, Format::lenient);
    let (format, data) = match &item.data {
        None => (format, String::new()),
        Some(Data::Text(text)) => (format, text.clone()),
        // Some clients leave a NUL at the end of what they call nothing in particular.
        Some(Data::Octets(octets)) if meta.format.is_none() && is_text(octets) => (format, into_text(octets.into())),
        // Octets are no text, whatever the device calls them.
        Some(Data::Octets(octets)) => (if format == Format::B64 { format } else { Format::Bin }, BASE64_STANDARD.encode(octets)),
    };
    Value { format, media_type: meta.media_type, data }
}

/// The nodes and properties of a serialised tree, if the value is one that can be read; `asked` is what was asked for. Some clients have no type
/// for it, so that the question and the beginning must tell.
pub(super) fn tree(value: &Value, asked: &NodeUri) -> Option<Vec<Reading>> {
    let octets = || BASE64_STANDARD.decode(&value.data).ok();
    let Some(media_type) = value.media_type.as_deref() else {
        asked.question().filter(|question| question.starts_with("list=TNDS"))?;
        let body = match value.format {
            Format::B64 | Format::Bin => octets()?,
            _ => value.data.clone().into_bytes(),
        };
        let tree = tnds::Tree::decode(Encoding::sniff(&body, None), &body).ok();
        return tree.map(|tree| tree.told(asked)).filter(|told| !told.is_empty());
    };
    let media_type = media_type.split(';').next()?.trim();
    let tree = if media_type.eq_ignore_ascii_case(tnds::XML) {
        tnds::Tree::decode(
            Encoding::Xml,
            if value.format == Format::Bin { octets()? } else { value.data.clone().into_bytes() }.as_slice(),
        )
    } else if media_type.eq_ignore_ascii_case(tnds::WBXML) {
        tnds::Tree::decode(Encoding::Wbxml, octets()?.as_slice())
    } else {
        return None;
    };
    tree.ok().map(|tree| tree.told(asked))
}

/// The reading that an item is, if it names a node.
pub(super) fn reading(item: &Item, outer: &Meta) -> Option<Reading> {
    node(subject(item)).map(|node| Reading { node, value: value(item, outer) })
}

/// An item that carries `value`. Meta stands inside of it with a Format, and Data is there even when empty, since clients crash without.
pub(super) fn carry(target: &NodeUri, value: &Value) -> Item {
    let octets = (value.format == Format::Bin).then(|| BASE64_STANDARD.decode(&value.data).ok()).flatten();
    Item {
        meta: Meta { format: Some(value.format.as_str().to_owned()), media_type: value.media_type.clone(), ..Meta::default() },
        data: Some(octets.map_or_else(|| Data::Text(value.data.clone()), Data::Octets)),
        ..Item::target(target)
    }
}
