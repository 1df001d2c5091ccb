//! Writes a description as elements.
use dmwsi_objects::ddf::{Description, Kind, Node, Occurrence, Scope};

use super::read::ACCESS;
use crate::encoding::{Push, Tag};
use crate::tnds::{push_format, push_properties};

/// Writes a whole description.
pub(super) fn description(push: &mut impl Push, description: &Description) {
    push.open(Tag::MgmtTree);
    push.text(Tag::VerDtd, &description.version);
    push.option(Tag::Man, description.manufacturer.as_deref());
    push.option(Tag::Mod, description.model.as_deref());
    for child in &description.nodes {
        node(push, child);
    }
    push.close(Tag::MgmtTree);
}

fn node(push: &mut impl Push, node: &Node) {
    push.open(Tag::Node);
    match &node.name {
        Some(name) => push.text(Tag::NodeName, name),
        None => push.empty(Tag::NodeName),
    }
    push.option(Tag::Path, node.path.as_deref());
    push_properties(push, &node.properties);
    properties(push, node);
    for child in &node.children {
        self::node(push, child);
    }
    push.option(Tag::Value, node.value.as_deref());
    push.close(Tag::Node);
}

fn properties(push: &mut impl Push, node: &Node) {
    push.open(Tag::DfProperties);
    push.open(Tag::AccessType);
    for command in &node.access {
        for (tag, _) in ACCESS.iter().filter(|(_, known)| known == command) {
            push.empty(*tag);
        }
    }
    push.close(Tag::AccessType);
    push.option(Tag::DefaultValue, node.default.as_deref());
    push.option(Tag::Description, node.description.as_deref());
    push_format(push, Tag::DfFormat, node.format);
    push.open(Tag::Occurrence);
    match node.occurrence {
        Occurrence::One => push.empty(Tag::One),
        Occurrence::OneOrMore => push.empty(Tag::OneOrMore),
        Occurrence::OneOrN(most) => push.number(Tag::OneOrN, most),
        Occurrence::ZeroOrMore => push.empty(Tag::ZeroOrMore),
        Occurrence::ZeroOrN(most) => push.number(Tag::ZeroOrN, most),
        Occurrence::ZeroOrOne => push.empty(Tag::ZeroOrOne),
    }
    push.close(Tag::Occurrence);
    push.open(Tag::Scope);
    push.empty(match node.scope {
        Scope::Dynamic => Tag::Dynamic,
        Scope::Permanent => Tag::Permanent,
    });
    push.close(Tag::Scope);
    push.option(Tag::DfTitle, node.title.as_deref());
    push.open(Tag::DfType);
    match &node.kind {
        Kind::Media(types) => types.iter().for_each(|kind| push.text(Tag::Mime, kind)),
        Kind::Object(name) => push.text(Tag::DdfName, name),
    }
    push.close(Tag::DfType);
    if let Some(is_sensitive) = node.is_case_sensitive {
        push.open(Tag::CaseSense);
        push.empty(if is_sensitive { Tag::Cs } else { Tag::Cis });
        push.close(Tag::CaseSense);
    }
    push.close(Tag::DfProperties);
}
