//! Reads a description out of elements.
use dmwsi_objects::ddf::{Access, Description, Kind, Node, Occurrence, Scope};

use crate::encoding::{DecodeError, Pull, Tag};
use crate::tnds::{self, format};

/// Reads a whole description.
pub(super) fn description<'a>(pull: &mut impl Pull<'a>) -> Result<Description, DecodeError> {
    if pull.child()? != Some(Tag::MgmtTree) {
        return Err(DecodeError::Malformed { at: pull.at() });
    }
    let mut description = Description::default();
    while let Some(tag) = pull.child()? {
        match tag {
            Tag::VerDtd => description.version = pull.text()?,
            Tag::Man => description.manufacturer = Some(pull.text()?),
            Tag::Mod => description.model = Some(pull.text()?),
            Tag::Node => description.nodes.push(node(pull)?),
            _ => pull.skip()?,
        }
    }
    Ok(description)
}

fn node<'a>(pull: &mut impl Pull<'a>) -> Result<Node, DecodeError> {
    let mut node = Node::default();
    while let Some(tag) = pull.child()? {
        match tag {
            Tag::NodeName => node.name = Some(pull.text()?).filter(|name| !name.is_empty()),
            Tag::Path => node.path = Some(pull.text()?),
            Tag::RtProperties => node.properties = tnds::properties(pull)?,
            Tag::DfProperties => properties(pull, &mut node)?,
            Tag::Value => node.value = Some(pull.content()?.into_text()),
            Tag::Node => node.children.push(self::node(pull)?),
            _ => pull.skip()?,
        }
    }
    Ok(node)
}

fn properties<'a>(pull: &mut impl Pull<'a>, node: &mut Node) -> Result<(), DecodeError> {
    while let Some(tag) = pull.child()? {
        match tag {
            Tag::AccessType => node.access = access(pull)?,
            Tag::DefaultValue => node.default = Some(pull.content()?.into_text()),
            Tag::Description => node.description = Some(pull.text()?),
            Tag::DfFormat => node.format = format(pull)?.unwrap_or_default(),
            Tag::Occurrence => node.occurrence = occurrence(pull)?,
            Tag::Scope => node.scope = scope(pull)?,
            Tag::DfTitle => node.title = Some(pull.text()?),
            Tag::DfType => node.kind = kind(pull)?,
            Tag::CaseSense => node.is_case_sensitive = case_sense(pull)?,
            _ => pull.skip()?,
        }
    }
    Ok(())
}

fn access<'a>(pull: &mut impl Pull<'a>) -> Result<Vec<Access>, DecodeError> {
    let mut access = Vec::new();
    while let Some(tag) = pull.child()? {
        let known = ACCESS.iter().find(|(known, _)| *known == tag);
        access.extend(known.map(|(_, command)| *command).filter(|command| !access.contains(command)));
        pull.skip()?;
    }
    Ok(access)
}

fn occurrence<'a>(pull: &mut impl Pull<'a>) -> Result<Occurrence, DecodeError> {
    let mut occurrence = Occurrence::default();
    while let Some(tag) = pull.child()? {
        let text = pull.text()?;
        let many = || text.parse().unwrap_or(u32::MAX);
        occurrence = match tag {
            Tag::One => Occurrence::One,
            Tag::OneOrMore => Occurrence::OneOrMore,
            Tag::OneOrN => Occurrence::OneOrN(many()),
            Tag::ZeroOrMore => Occurrence::ZeroOrMore,
            Tag::ZeroOrN => Occurrence::ZeroOrN(many()),
            Tag::ZeroOrOne => Occurrence::ZeroOrOne,
            _ => occurrence,
        };
    }
    Ok(occurrence)
}

fn scope<'a>(pull: &mut impl Pull<'a>) -> Result<Scope, DecodeError> {
    let mut scope = Scope::default();
    while let Some(tag) = pull.child()? {
        if tag == Tag::Permanent {
            scope = Scope::Permanent;
        }
        pull.skip()?;
    }
    Ok(scope)
}

/// Older descriptions name a media type on interior nodes too.
fn kind<'a>(pull: &mut impl Pull<'a>) -> Result<Kind, DecodeError> {
    let (mut media, mut object) = (Vec::new(), String::new());
    while let Some(tag) = pull.child()? {
        match tag {
            Tag::Mime => media.push(pull.text()?),
            Tag::DdfName => object = pull.text()?,
            _ => pull.skip()?,
        }
    }
    Ok(if media.is_empty() { Kind::Object(object) } else { Kind::Media(media) })
}

fn case_sense<'a>(pull: &mut impl Pull<'a>) -> Result<Option<bool>, DecodeError> {
    let mut sense = None;
    while let Some(tag) = pull.child()? {
        match tag {
            Tag::Cs => sense = Some(true),
            Tag::Cis => sense = Some(false),
            _ => {}
        }
        pull.skip()?;
    }
    Ok(sense)
}

/// The elements that are commands a node takes.
pub(super) const ACCESS: [(Tag, Access); 6] = [
    (Tag::Add, Access::Add),
    (Tag::Copy, Access::Copy),
    (Tag::Delete, Access::Delete),
    (Tag::Exec, Access::Exec),
    (Tag::Get, Access::Get),
    (Tag::Replace, Access::Replace),
];
