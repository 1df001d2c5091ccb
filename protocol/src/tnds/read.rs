//! Reads a tree out of elements.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::Format;

use super::{Kind, Node, Properties, Tree};
use crate::encoding::{Content, DecodeError, Pull, Tag, is_text};

/// Reads a whole tree.
pub(super) fn tree<'a>(pull: &mut impl Pull<'a>) -> Result<Tree, DecodeError> {
    if pull.child()? != Some(Tag::MgmtTree) {
        return Err(DecodeError::Malformed { at: pull.at() });
    }
    let mut tree = Tree::default();
    while let Some(tag) = pull.child()? {
        match tag {
            Tag::VerDtd => tree.version = pull.text()?,
            Tag::Man => tree.manufacturer = Some(pull.text()?),
            Tag::Mod => tree.model = Some(pull.text()?),
            Tag::Node => tree.nodes.push(node(pull)?),
            _ => pull.skip()?,
        }
    }
    Ok(tree)
}

fn node<'a>(pull: &mut impl Pull<'a>) -> Result<Node, DecodeError> {
    let mut node = Node::default();
    let mut value = None;
    while let Some(tag) = pull.child()? {
        match tag {
            Tag::NodeName => node.name = Some(pull.text()?),
            Tag::Path => node.path = Some(pull.text()?),
            Tag::RtProperties => node.properties = properties(pull)?,
            Tag::Value => value = Some(pull.content()?),
            Tag::Node => node.children.push(self::node(pull)?),
            _ => pull.skip()?,
        }
    }
    node.value = value.map(|content| match content {
        Content::Opaque(octets) if node.properties.format == Some(Format::Bin) || !is_text(&octets) => STANDARD.encode(octets),
        content => content.into_text(),
    });
    Ok(node)
}

/// What `RTProperties` says.
pub(crate) fn properties<'a>(pull: &mut impl Pull<'a>) -> Result<Properties, DecodeError> {
    let mut properties = Properties::default();
    while let Some(tag) = pull.child()? {
        match tag {
            Tag::Acl => properties.acl = Some(pull.text()?),
            Tag::Format => properties.format = format(pull)?,
            Tag::Name => properties.name = Some(pull.text()?),
            Tag::Size => properties.size = pull.text()?.parse().ok(),
            Tag::Title => properties.title = Some(pull.text()?),
            Tag::TStamp => properties.changed = Some(pull.text()?),
            Tag::Type => properties.kind = kind(pull)?,
            Tag::VerNo => properties.revision = Some(pull.text()?),
            _ => pull.skip()?,
        }
    }
    Ok(properties)
}

fn kind<'a>(pull: &mut impl Pull<'a>) -> Result<Option<Kind>, DecodeError> {
    let mut kind = None;
    while let Some(tag) = pull.child()? {
        match tag {
            Tag::Mime => kind = Some(Kind::Media(pull.text()?)),
            Tag::DdfName => kind = Some(Kind::Object(pull.text()?)),
            _ => pull.skip()?,
        }
    }
    Ok(kind)
}

/// The format that an element of its name says; the last one where there are several.
pub(crate) fn format<'a>(pull: &mut impl Pull<'a>) -> Result<Option<Format>, DecodeError> {
    let mut format = None;
    while let Some(tag) = pull.child()? {
        format = FORMATS.iter().find(|(known, _)| *known == tag).map(|(_, format)| *format).or(format);
        pull.skip()?;
    }
    Ok(format)
}

/// The elements that are formats.
pub(crate) const FORMATS: [(Tag, Format); 11] = [
    (Tag::B64, Format::B64),
    (Tag::Bin, Format::Bin),
    (Tag::Bool, Format::Bool),
    (Tag::Chr, Format::Chr),
    (Tag::Date, Format::Date),
    (Tag::Float, Format::Float),
    (Tag::Int, Format::Int),
    (Tag::NodeFormat, Format::Node),
    (Tag::Null, Format::Null),
    (Tag::Time, Format::Time),
    (Tag::Xml, Format::Xml),
];
