//! Writes a tree as elements.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::Format;

use super::read::FORMATS;
use super::{Kind, Node, Properties, Tree};
use crate::encoding::{Push, Tag};

/// Writes a whole tree.
pub(super) fn tree(push: &mut impl Push, tree: &Tree) {
    push.open(Tag::MgmtTree);
    push.text(Tag::VerDtd, &tree.version);
    push.option(Tag::Man, tree.manufacturer.as_deref());
    push.option(Tag::Mod, tree.model.as_deref());
    for child in &tree.nodes {
        node(push, child);
    }
    push.close(Tag::MgmtTree);
}

fn node(push: &mut impl Push, node: &Node) {
    push.open(Tag::Node);
    push.option(Tag::NodeName, node.name.as_deref());
    push.option(Tag::Path, node.path.as_deref());
    push_properties(push, &node.properties);
    for child in &node.children {
        self::node(push, child);
    }
    if let Some(it) = &node.value {
        value(push, node.properties.format, it);
    }
    push.close(Tag::Node);
}

/// Octets stand in WBXML as they are, in XML as base64. What should be base64 and is not goes as the text that it is.
fn value<P: Push>(push: &mut P, format: Option<Format>, text: &str) {
    let octets = if format == Some(Format::Bin) && !P::BASE64 { STANDARD.decode(text).ok() } else { None };
    match octets.filter(|octets| !octets.is_empty()) {
        Some(octets) => push.binary(Tag::Value, &octets),
        None => push.text(Tag::Value, text),
    }
}

/// Writes `RTProperties`, where anything is said.
pub(crate) fn push_properties(push: &mut impl Push, properties: &Properties) {
    if *properties == Properties::default() {
        return;
    }
    push.open(Tag::RtProperties);
    push.option(Tag::Acl, properties.acl.as_deref());
    if let Some(it) = properties.format {
        push_format(push, Tag::Format, it);
    }
    push.option(Tag::Name, properties.name.as_deref());
    if let Some(size) = properties.size {
        push.number(Tag::Size, size);
    }
    push.option(Tag::Title, properties.title.as_deref());
    push.option(Tag::TStamp, properties.changed.as_deref());
    if let Some(kind) = &properties.kind {
        push.open(Tag::Type);
        match kind {
            Kind::Media(text) => push.text(Tag::Mime, text),
            Kind::Object(text) => push.text(Tag::DdfName, text),
        }
        push.close(Tag::Type);
    }
    push.option(Tag::VerNo, properties.revision.as_deref());
    push.close(Tag::RtProperties);
}

/// Writes a format: an element of its name in the element that says what it is the format of.
pub(crate) fn push_format(push: &mut impl Push, outer: Tag, format: Format) {
    push.open(outer);
    for (tag, _) in FORMATS.iter().filter(|(_, known)| *known == format) {
        push.empty(*tag);
    }
    push.close(outer);
}
