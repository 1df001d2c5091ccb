//! A management tree in memory (OMA DM TND 1.2).
use std::collections::BTreeMap;

use dmwsi_objects::{Command, Format, NodeUri, Reading, StatusCode, Value, devinfo};
use serde::{Deserialize, Serialize};

use super::{Access, Acl, Nodes, Outcome};
use crate::encoding::Encoding;
use crate::tnds;

/// The root, which every tree has.
const ROOT: &str = ".";

/// A node of a [`Tree`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// What it holds. The children of an interior node are not listed here.
    pub value: Value,
    /// What may be done with it.
    pub access: Access,
    /// Who may do it.
    #[serde(default, skip_serializing_if = "Acl::is_empty")]
    pub acl: Acl,
    /// Whether it can neither be removed nor renamed.
    #[serde(default)]
    pub permanent: bool,
}

/// A management tree: nodes by their addresses, every one with its parent. The device itself reads and writes it freely by [`Tree::text`],
/// [`Tree::set`] and [`Tree::put`]; a server does so by commands, and is refused what access types and access control lists do not allow.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Tree(BTreeMap<String, Node>);

impl Default for Tree {
    fn default() -> Self {
        let root = Node { value: Value::node(&[]), access: Access::GET | Access::ADD, acl: Acl::open(), permanent: true };
        Self(BTreeMap::from([(ROOT.to_owned(), root)]))
    }
}

impl Tree {
    /// Puts a permanent node, and the interior nodes above it that are missing, which then can only be read. What was there is replaced.
    pub fn put(&mut self, node: &NodeUri, value: Value, access: Access) {
        if let Some(parent) = node.parent().filter(|parent| !self.0.contains_key(parent.path())) {
            self.put(&parent, Value::node(&[]), Access::GET);
        }
        self.0.insert(node.path().to_owned(), Node { value, access, acl: Acl::default(), permanent: true });
    }

    /// Drops a node and all below it, permanent or not.
    pub fn drop_below(&mut self, node: &NodeUri) {
        drop(self.take(node));
    }

    /// The text of a leaf.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).filter(|node| node.value.format != Format::Node).map(|node| node.value.data.as_str())
    }

    /// Changes the text of a leaf that is there; says whether there is one.
    pub fn set(&mut self, path: &str, data: impl Into<String>) -> bool {
        match self.0.get_mut(path).filter(|node| node.value.format != Format::Node) {
            Some(leaf) => {
                leaf.value.data = data.into();
                true
            }
            None => false,
        }
    }

    /// The node at an address.
    #[must_use]
    pub fn node(&self, path: &str) -> Option<&Node> {
        self.0.get(path)
    }

    /// Whether access type and lists let this server use the command on the node; the status it gets where they do not.
    pub fn judge(&self, target: &NodeUri, server: &str, command: Access) -> Result<(), StatusCode> {
        self.allowed(target, server, command).map(|_node| ())
    }

    fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let prefix = format!("{path}/");
        let nodes = self.0.range(prefix.clone()..);
        nodes.take_while(move |(key, _node)| key.starts_with(&prefix)).map(|(key, node)| (key.as_str(), node))
    }

    fn children(&self, path: &str) -> Vec<&str> {
        let names = self.below(path).filter_map(|(key, _node)| key.get(path.len().saturating_add(1)..));
        names.filter(|name| !name.contains('/')).collect()
    }

    /// The node a command is for, if access type and list let this server do it.
    fn allowed(&self, target: &NodeUri, server: &str, command: Access) -> Result<&Node, StatusCode> {
        let node = self.0.get(target.path()).ok_or(StatusCode::NOT_FOUND)?;
        if !node.access.allows(command) {
            return Err(StatusCode::NOT_ALLOWED);
        }
        self.permitted(target, server, command).then_some(node).ok_or(StatusCode::PERMISSION_DENIED)
    }

    /// Whether the nearest list at or above the node lets this server do it.
    fn permitted(&self, target: &NodeUri, server: &str, command: Access) -> bool {
        let mut at = Some(target.clone());
        while let Some(node) = at {
            match self.0.get(node.path()) {
                Some(found) if !found.acl.is_empty() => return found.acl.permits(server, command),
                _ => at = node.parent(),
            }
        }
        true
    }

    fn get(&self, target: &NodeUri, server: &str) -> Result<Reading, StatusCode> {
        let node = self.allowed(target, server, Access::GET)?;
        let value = match target.question().map(|question| question.split_once('=').unwrap_or((question, ""))) {
            None if node.value.format == Format::Node => {
                Value { data: self.children(target.path()).join("/"), ..node.value.clone() }
            }
            None => node.value.clone(),
            Some(("prop", "ACL")) => Value::text(node.acl.as_str()),
            Some(("prop", "Format")) => Value::text(node.value.format.as_str()),
            Some(("prop", "Name")) => Value::text(target.name()),
            Some(("prop", "Type")) => Value::text(match (&node.value.media_type, node.value.format) {
                (Some(media_type), _) => media_type.as_str(),
                (None, Format::Node) => "",
                (None, _) => "text/plain",
            }),
            Some(_) => return Err(StatusCode::NOT_SUPPORTED),
        };
        Ok(Reading { node: target.clone(), value })
    }

    /// The node and all below it that this server may read, with what leaves hold where that is wanted (OMA DM TND 1.2, 8.3).
    fn list(&self, target: &NodeUri, server: &str, with_data: bool) -> Result<Vec<Reading>, StatusCode> {
        self.allowed(target, server, Access::GET)?;
        let keys = std::iter::once(target.path()).chain(self.below(target.path()).map(|(key, _node)| key));
        let nodes = keys.filter_map(|key| NodeUri::parse(key).ok());
        let readings = nodes.filter_map(|node| {
            let found = self.allowed(&node, server, Access::GET).ok()?;
            let is_leaf = found.value.format != Format::Node;
            let data = if is_leaf && with_data { found.value.data.clone() } else { String::new() };
            Some(Reading { node, value: Value { data, ..found.value.clone() } })
        });
        Ok(readings.collect())
    }

    /// The same as one document (OMA DM TND 1.2, 9.1), with the lists of access that nodes have.
    fn serialised(&self, target: &NodeUri, server: &str) -> Result<Reading, StatusCode> {
        let nodes = self.list(target, server, true)?;
        let top = self.branch(target, &nodes);
        let path = target.parent().map(|parent| parent.path().to_owned());
        let tree = tnds::Tree { version: "1.2".to_owned(), nodes: vec![tnds::Node { path, ..top }], ..tnds::Tree::default() };
        let data = String::from_utf8(tree.encode(Encoding::Xml)).map_err(|_not_text| StatusCode::COMMAND_FAILED)?;
        let node = NodeUri::parse(target.path()).map_err(|_never| StatusCode::COMMAND_FAILED)?;
        Ok(Reading { node, value: Value { format: Format::Xml, media_type: Some(tnds::XML.to_owned()), data } })
    }

    /// A node with all of `nodes` that are below it.
    fn branch(&self, at: &NodeUri, nodes: &[Reading]) -> tnds::Node {
        let value = nodes.iter().find(|reading| reading.node.path() == at.path()).map(|reading| &reading.value);
        let format = value.map(|value| value.format).unwrap_or(Format::Node);
        let is_interior = format == Format::Node;
        let kind = value.and_then(|value| value.media_type.clone()).unwrap_or_default();
        let acl = self.0.get(at.path()).map(|node| node.acl.as_str().to_owned()).filter(|acl| !acl.is_empty());
        let children = nodes.iter().filter(|reading| reading.node.parent().is_some_and(|parent| parent.path() == at.path()));
        tnds::Node {
            name: Some(at.name().to_owned()),
            path: None,
            properties: tnds::Properties {
                acl,
                format: Some(format),
                kind: Some(if is_interior { tnds::Kind::Object(kind) } else { tnds::Kind::Media(kind) }),
                ..tnds::Properties::default()
            },
            value: value.filter(|_| !is_interior).map(|value| value.data.clone()),
            children: children.map(|reading| self.branch(&reading.node, nodes)).collect(),
        }
    }

    fn add(&mut self, target: &NodeUri, value: &Value, server: &str) -> Result<(), StatusCode> {
        if target.question().is_some() {
            return Err(StatusCode::NOT_ALLOWED);
        }
        if self.0.contains_key(target.path()) {
            return Err(StatusCode::ALREADY_EXISTS);
        }
        let value =
            Value { data: if value.format == Format::Node { String::new() } else { value.data.clone() }, ..value.clone() };
        if !fits(&value.data, value.format) {
            return Err(StatusCode::UNSUPPORTED_FORMAT);
        }
        // Parents that are missing are made on the way down from the first that is there.
        let mut missing = Vec::new();
        let mut at = target.parent().ok_or(StatusCode::NOT_ALLOWED)?;
        while !self.0.contains_key(at.path()) {
            let above = at.parent().ok_or(StatusCode::NOT_FOUND)?;
            missing.push(at);
            at = above;
        }
        let parent = self.allowed(&at, server, Access::ADD)?;
        if parent.value.format != Format::Node {
            return Err(StatusCode::NOT_ALLOWED);
        }
        let below = Access::GET | Access::REPLACE | Access::DELETE;
        let interior = below | Access::ADD;
        let mut insert = |node: &NodeUri, value: Value, access| {
            self.0.insert(node.path().to_owned(), Node { value, access, acl: Acl::default(), permanent: false });
        };
        for node in missing.iter().rev() {
            insert(node, Value::node(&[]), interior);
        }
        let access = if value.format == Format::Node { interior } else { below };
        insert(target, value, access);
        Ok(())
    }

    fn replace(&mut self, target: &NodeUri, value: &Value, server: &str) -> Result<(), StatusCode> {
        match target.question() {
            None => {}
            Some("prop=ACL") => return self.replace_acl(target, &value.data, server),
            Some("prop=Name") => return self.rename(target, &value.data, server),
            Some(question) if question.starts_with("prop=Format") || question.starts_with("prop=Type") => {
                return Err(StatusCode::NOT_ALLOWED);
            }
            Some(_) => return Err(StatusCode::NOT_SUPPORTED),
        }
        let format = self.allowed(target, server, Access::REPLACE)?.value.format;
        // Text is what a server means that names no format, and base64 is how octets travel.
        let same = value.format == format || value.format == Format::Chr || (value.format, format) == (Format::B64, Format::Bin);
        if format == Format::Node {
            return Err(StatusCode::NOT_ALLOWED);
        }
        if !same || !fits(&value.data, format) {
            return Err(StatusCode::UNSUPPORTED_FORMAT);
        }
        self.set(target.path(), value.data.as_str());
        Ok(())
    }

    fn replace_acl(&mut self, target: &NodeUri, text: &str, server: &str) -> Result<(), StatusCode> {
        let node = self.0.get(target.path()).ok_or(StatusCode::NOT_FOUND)?;
        let itself = node.value.format == Format::Node && self.permitted(target, server, Access::REPLACE);
        let parent = target.parent().is_some_and(|parent| self.permitted(&parent, server, Access::REPLACE));
        if !itself && !parent {
            return Err(StatusCode::PERMISSION_DENIED);
        }
        let acl = Acl::parse(text).ok_or(StatusCode::BAD_REQUEST)?;
        if acl.is_empty() && target.path() == ROOT {
            return Err(StatusCode::NOT_ALLOWED);
        }
        if let Some(node) = self.0.get_mut(target.path()) {
            node.acl = acl;
        }
        Ok(())
    }

    fn rename(&mut self, target: &NodeUri, name: &str, server: &str) -> Result<(), StatusCode> {
        if self.allowed(target, server, Access::REPLACE)?.permanent {
            return Err(StatusCode::NOT_ALLOWED);
        }
        let parent = target.parent().ok_or(StatusCode::NOT_ALLOWED)?;
        let new = parent.join(name).ok().filter(|new| new.parent().as_ref() == Some(&parent)).ok_or(StatusCode::BAD_REQUEST)?;
        if self.0.contains_key(new.path()) {
            return Err(StatusCode::ALREADY_EXISTS);
        }
        for (key, node) in self.take(target) {
            let rest = key.get(target.path().len()..).unwrap_or_default();
            self.0.insert(format!("{}{rest}", new.path()), node);
        }
        Ok(())
    }

    /// Leaves only; the target is made where it is not there.
    fn copy(&mut self, source: &NodeUri, target: &NodeUri, server: &str) -> Result<(), StatusCode> {
        if source.question().is_some() || target.question().is_some() {
            return Err(StatusCode::NOT_ALLOWED);
        }
        let value = self.allowed(source, server, Access::GET)?.value.clone();
        if value.format == Format::Node {
            return Err(StatusCode::FORBIDDEN);
        }
        match self.add(target, &value, server) {
            Err(StatusCode::ALREADY_EXISTS) => self.replace(target, &value, server),
            done => done,
        }
    }

    fn delete(&mut self, target: &NodeUri, server: &str) -> Result<(), StatusCode> {
        if target.question().is_some() || self.allowed(target, server, Access::DELETE)?.permanent {
            return Err(StatusCode::NOT_ALLOWED);
        }
        self.take(target);
        Ok(())
    }

    /// Takes a node and all below it out of the tree.
    fn take(&mut self, target: &NodeUri) -> Vec<(String, Node)> {
        let mut keys: Vec<String> = self.below(target.path()).map(|(key, _node)| key.to_owned()).collect();
        keys.push(target.path().to_owned());
        keys.into_iter().filter_map(|key| self.0.remove_entry(&key)).collect()
    }
}

impl Nodes for Tree {
    fn device(&self) -> Vec<Reading> {
        let leaves = self.below(devinfo::ROOT).filter(|(_key, node)| node.value.format != Format::Node);
        leaves.filter_map(|(key, node)| Some(Reading { node: NodeUri::parse(key).ok()?, value: node.value.clone() })).collect()
    }

    /// An Exec is only judged: a tree by itself has nothing to start, so one that is allowed gets 406.
    fn execute(&mut self, command: &Command, server: &str) -> Outcome {
        let done = match command {
            Command::Get { target } => {
                let found = match target.question() {
                    Some("list=Struct") => self.list(target, server, false),
                    Some("list=StructData") => self.list(target, server, true),
                    Some(question) if question.starts_with("list=TNDS") => self.serialised(target, server).map(|one| vec![one]),
                    _ => self.get(target, server).map(|reading| vec![reading]),
                };
                return found.map_or_else(Outcome::from, Outcome::read);
            }
            Command::Add { target, value } => self.add(target, value, server),
            Command::Copy { source, target } => self.copy(source, target, server),
            Command::Delete { target } => self.delete(target, server),
            // A session takes these apart itself.
            Command::Alert(_) | Command::Atomic { .. } => Err(StatusCode::NOT_SUPPORTED),
            Command::Exec { target, .. } => self.allowed(target, server, Access::EXEC).and(Err(StatusCode::NOT_SUPPORTED)),
            Command::Replace { target, value } => self.replace(target, value, server),
        };
        done.map_or_else(Outcome::from, |()| Outcome::OK)
    }
}

/// Whether a text can stand for a value of this format.
fn fits(data: &str, format: Format) -> bool {
    match format {
        Format::Bool => matches!(data, "true" | "false"),
        Format::Float => data.parse::<f32>().is_ok(),
        Format::Int => data.parse::<i32>().is_ok(),
        Format::Node | Format::Null => data.is_empty(),
        Format::B64 | Format::Bin | Format::Chr | Format::Date | Format::Time | Format::Xml => true,
    }
}
