//! A management tree in memory (OMA DM TND 1.2).
use std::collections::BTreeMap;

use dmwsi_objects::{Command, Format, NodeUri, Reading, StatusCode, Value, devinfo};
use serde::{Deserialize, Serialize};

use super::listing::Selection;
use super::{Access, Acl, Nodes, Outcome};

/// The root, which every tree has.
pub(super) const ROOT: &str = ".";

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
    /// What it is called for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// When it was changed last, where somebody has told the time since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// How often it was changed; after the highest number comes 0.
    #[serde(default)]
    pub revision: u16,
}

impl Node {
    /// A node that nobody has changed yet, with no list of its own.
    const fn new(value: Value, access: Access, permanent: bool) -> Self {
        Self { value, access, acl: Acl::EMPTY, permanent, title: None, changed: None, revision: 0 }
    }
}

/// A management tree: nodes by their addresses, every one with its parent. The device itself reads and writes it freely by [`Tree::text`],
/// [`Tree::set`] and [`Tree::put`]; a server does so by commands, and is refused what access types and access control lists do not allow.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Tree {
    pub(super) nodes: BTreeMap<String, Node>,
    /// What it is told of the time.
    #[serde(skip)]
    now: Option<String>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { acl: Acl::open(), ..Node::new(Value::node(&[]), Access::GET | Access::ADD, true) };
        Self { nodes: BTreeMap::from([(ROOT.to_owned(), root)]), now: None }
    }
}

impl Tree {
    /// Puts a permanent node, and the interior nodes above it that are missing, which then can only be read. What was there is replaced.
    pub fn put(&mut self, node: &NodeUri, value: Value, access: Access) {
        if let Some(parent) = node.parent().filter(|parent| !self.nodes.contains_key(parent.path())) {
            self.put(&parent, Value::node(&[]), Access::GET);
        }
        let made = Node::new(value, access, true);
        self.nodes.insert(node.path().to_owned(), made);
    }

    /// What changes from now on changes at this time, in UTC and as `TStamp` has it: `20051018T112035Z`.
    pub fn tell_time(&mut self, now: impl Into<String>) {
        self.now = Some(now.into());
    }

    /// Notes that a node has another value, name, list or title than before, or an interior one other children.
    pub(super) fn touch(&mut self, path: &str) {
        if let Some(node) = self.nodes.get_mut(path) {
            node.revision = node.revision.wrapping_add(1);
            node.changed.clone_from(&self.now);
        }
    }

    /// Drops a node and all below it, permanent or not.
    pub fn drop_below(&mut self, node: &NodeUri) {
        drop(self.take(node));
    }

    /// The text of a leaf.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.nodes.get(path).filter(|node| node.value.format != Format::Node).map(|node| node.value.data.as_str())
    }

    /// Changes the text of a leaf that is there; says whether there is one.
    pub fn set(&mut self, path: &str, data: impl Into<String>) -> bool {
        match self.nodes.get_mut(path).filter(|node| node.value.format != Format::Node) {
            Some(leaf) => {
                leaf.value.data = data.into();
                self.touch(path);
                true
            }
            None => false,
        }
    }

    /// The node at an address.
    #[must_use]
    pub fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Whether access type and lists let this server use the command on the node; the status it gets where they do not.
    pub fn judge(&self, target: &NodeUri, server: &str, command: Access) -> Result<(), StatusCode> {
        self.allowed(target, server, command).map(|_node| ())
    }

    pub(super) fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let prefix = format!("{path}/");
        let nodes = self.nodes.range(prefix.clone()..);
        nodes.take_while(move |(key, _node)| key.starts_with(&prefix)).map(|(key, node)| (key.as_str(), node))
    }

    fn children(&self, path: &str) -> Vec<&str> {
        let names = self.below(path).filter_map(|(key, _node)| key.get(path.len().saturating_add(1)..));
        names.filter(|name| !name.contains('/')).collect()
    }

    /// The node a command is for, if access type and list let this server do it.
    pub(super) fn allowed(&self, target: &NodeUri, server: &str, command: Access) -> Result<&Node, StatusCode> {
        let node = self.nodes.get(target.path()).ok_or(StatusCode::NOT_FOUND)?;
        if !node.access.allows(command) {
            return Err(StatusCode::NOT_ALLOWED);
        }
        self.permitted(target, server, command).then_some(node).ok_or(StatusCode::PERMISSION_DENIED)
    }

    /// Whether the nearest list at or above the node lets this server do it.
    pub(super) fn permitted(&self, target: &NodeUri, server: &str, command: Access) -> bool {
        let mut at = Some(target.clone());
        while let Some(node) = at {
            match self.nodes.get(node.path()) {
                Some(found) if !found.acl.is_empty() => return found.acl.permits(server, command),
                _ => at = node.parent(),
            }
        }
        true
    }

    fn get(&self, target: &NodeUri, server: &str) -> Result<Reading, StatusCode> {
        let node = self.allowed(target, server, Access::GET)?;
        let value = match target.question() {
            None if node.value.format == Format::Node => {
                Value { data: self.children(target.path()).join("/"), ..node.value.clone() }
            }
            None => node.value.clone(),
            Some(question) => Value::text(node.told(target.name(), question)?),
        };
        Ok(Reading { node: target.clone(), value })
    }

    fn add(&mut self, target: &NodeUri, value: &Value, server: &str) -> Result<(), StatusCode> {
        if target.question().is_some() {
            return Err(StatusCode::NOT_ALLOWED);
        }
        if self.nodes.contains_key(target.path()) {
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
        while !self.nodes.contains_key(at.path()) {
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
        self.touch(at.path());
        for node in missing.iter().rev() {
            self.insert(node, Value::node(&[]), interior, server);
        }
        let access = if value.format == Format::Node { interior } else { below };
        self.insert(target, value, access, server);
        Ok(())
    }

    /// Makes a node that a server adds. Who may not replace the node above could not give an interior node a list, and gets one of its own; whoever
    /// adds a leaf there goes by the list above it (OMA DM TND 1.2, 7.7.1).
    fn insert(&mut self, node: &NodeUri, value: Value, access: Access, server: &str) {
        let is_master = node.parent().is_none_or(|parent| self.permitted(&parent, server, Access::REPLACE));
        let acl = if is_master || value.format != Format::Node { Acl::EMPTY } else { Acl::of_creator(server) };
        let made = Node { acl, changed: self.now.clone(), ..Node::new(value, access, false) };
        self.nodes.insert(node.path().to_owned(), made);
    }

    fn replace(&mut self, target: &NodeUri, value: &Value, server: &str) -> Result<(), StatusCode> {
        match target.question() {
            None => {}
            Some("prop=ACL") => return self.replace_acl(target, &value.data, server),
            Some("prop=Name") => return self.rename(target, &value.data, server),
            Some("prop=Title") => return self.entitle(target, &value.data, server),
            Some("prop=Format" | "prop=Size" | "prop=TStamp" | "prop=Type" | "prop=VerNo") => {
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
        if let Some(parent) = target.parent() {
            self.touch(parent.path());
        }
        Ok(())
    }

    /// Takes a node and all below it out of the tree.
    pub(super) fn take(&mut self, target: &NodeUri) -> Vec<(String, Node)> {
        let mut keys: Vec<String> = self.below(target.path()).map(|(key, _node)| key.to_owned()).collect();
        keys.push(target.path().to_owned());
        keys.into_iter().filter_map(|key| self.nodes.remove_entry(&key)).collect()
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
                    Some(question) if question.starts_with("list=TNDS") => Selection::parse(question)
                        .and_then(|selection| self.serialised(target, server, selection))
                        .map(|one| vec![one]),
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
