//! Whole branches of a tree in one answer (OMA DM TND 1.2, 8.3 and 9.1).
use dmwsi_objects::{Format, NodeUri, Reading, StatusCode, Value};

use super::Access;
use super::tree::{Node, Tree};
use crate::encoding::Encoding;
use crate::tnds;

/// What can be asked of each node in a serialised tree. Names stand in it always.
const PARTS: [&str; 8] = ["ACL", "Format", "Name", "Title", "TStamp", "Type", "VerNo", "Value"];

/// Which of the [`PARTS`] are wanted: those that are named behind `+`, all but those behind `-`, or all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Selection {
    wanted: [bool; PARTS.len()],
    /// They are wanted by their names.
    is_named: bool,
}

impl Selection {
    /// Reads `list=TNDS+ACL+Value` or `list=TNDS-ACL`. What is named otherwise, or both ways, is not supported.
    pub(super) fn parse(question: &str) -> Result<Self, StatusCode> {
        let named = question.strip_prefix("list=TNDS").ok_or(StatusCode::NOT_SUPPORTED)?;
        let Some(sign) = named.chars().next() else {
            return Ok(Self { wanted: [true; PARTS.len()], is_named: false });
        };
        if !matches!(sign, '+' | '-') {
            return Err(StatusCode::NOT_SUPPORTED);
        }
        let is_named = sign == '+';
        let mut wanted = [!is_named; PARTS.len()];
        for name in named.split(sign).skip(1) {
            let place = PARTS.iter().position(|part| *part == name).ok_or(StatusCode::NOT_SUPPORTED)?;
            if let Some(part) = wanted.get_mut(place) {
                *part = is_named;
            }
        }
        Ok(Self { wanted, is_named })
    }

    fn wants(self, part: &str) -> bool {
        PARTS.into_iter().zip(self.wanted).any(|(name, wanted)| wanted && name == part)
    }
}

impl Tree {
    /// The node and all below it that this server may read, with what leaves hold where that is wanted.
    pub(super) fn list(&self, target: &NodeUri, server: &str, with_data: bool) -> Result<Vec<Reading>, StatusCode> {
        let readings = self.readable(target, server)?.into_iter().map(|(node, found)| {
            let is_leaf = found.value.format != Format::Node;
            let data = if is_leaf && with_data { found.value.data.clone() } else { String::new() };
            Reading { node, value: Value { data, ..found.value.clone() } }
        });
        Ok(readings.collect())
    }

    /// The same as one document, with what is selected of each node.
    pub(super) fn serialised(&self, target: &NodeUri, server: &str, selection: Selection) -> Result<Reading, StatusCode> {
        let nodes = self.readable(target, server)?;
        let path = target.parent().map(|parent| parent.path().to_owned());
        let top = tnds::Node { path, ..branch(target, &nodes, selection) };
        let tree = tnds::Tree { version: "1.2".to_owned(), nodes: vec![top], ..tnds::Tree::default() };
        let data = String::from_utf8(tree.encode(Encoding::Xml)).map_err(|_not_text| StatusCode::COMMAND_FAILED)?;
        let node = NodeUri::parse(target.path()).map_err(|_never| StatusCode::COMMAND_FAILED)?;
        Ok(Reading { node, value: Value { format: Format::Xml, media_type: Some(tnds::XML.to_owned()), data } })
    }

    fn readable(&self, target: &NodeUri, server: &str) -> Result<Vec<(NodeUri, &Node)>, StatusCode> {
        self.allowed(target, server, Access::GET)?;
        let keys = std::iter::once(target.path()).chain(self.below(target.path()).map(|(key, _node)| key));
        let nodes = keys.filter_map(|key| NodeUri::parse(key).ok());
        Ok(nodes.filter_map(|node| Some((node.clone(), self.allowed(&node, server, Access::GET).ok()?))).collect())
    }
}

/// A node with all of `nodes` that are below it.
fn branch(at: &NodeUri, nodes: &[(NodeUri, &Node)], selection: Selection) -> tnds::Node {
    let found = nodes.iter().find(|(node, _)| node.path() == at.path()).map(|(_, found)| *found);
    let children = nodes.iter().filter(|(node, _)| node.parent().is_some_and(|parent| parent.path() == at.path()));
    let value = found.filter(|node| node.value.format != Format::Node && selection.wants("Value"));
    tnds::Node {
        name: Some(at.name().to_owned()),
        path: None,
        properties: found.map_or_else(tnds::Properties::default, |node| properties(node, selection)),
        value: value.map(|node| node.value.data.clone()),
        children: children.map(|(node, _)| branch(node, nodes, selection)).collect(),
    }
}

fn properties(node: &Node, selection: Selection) -> tnds::Properties {
    let kind = node.value.media_type.clone().unwrap_or_default();
    let kind = if node.value.format == Format::Node { tnds::Kind::Object(kind) } else { tnds::Kind::Media(kind) };
    tnds::Properties {
        acl: Some(node.acl.as_str().to_owned()).filter(|acl| !acl.is_empty() && selection.wants("ACL")),
        format: selection.wants("Format").then_some(node.value.format),
        title: node.title.clone().filter(|_| selection.wants("Title")),
        changed: node.changed.clone().filter(|_| selection.wants("TStamp")),
        kind: selection.wants("Type").then_some(kind),
        // That a node was never changed is not said unasked.
        revision: (selection.wants("VerNo") && (selection.is_named || node.revision > 0)).then(|| node.revision.to_string()),
        ..tnds::Properties::default()
    }
}
