//! The nodes of a serialised tree.
use dmwsi_objects::properties::Properties;
use dmwsi_objects::{Format, NodeUri, Reading, Value};

/// A part of a device's tree.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tree {
    /// `VerDTD`: `1.2`.
    pub version: String,
    /// `Man`: who makes the device.
    pub manufacturer: Option<String>,
    /// `Mod`: its model.
    pub model: Option<String>,
    /// The nodes at the top.
    pub nodes: Vec<Node>,
}

/// A node with all below it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Node {
    /// `NodeName`. Empty for the last name of the command's target, none where the device chooses the place by the type.
    pub name: Option<String>,
    /// `Path`: where the node is, on nodes at the top.
    pub path: Option<String>,
    /// `RTProperties`.
    pub properties: Properties,
    /// `Value` of a leaf; base64 where the format is `bin`.
    pub value: Option<String>,
    /// The nodes below.
    pub children: Vec<Self>,
}

impl Tree {
    /// Every node with its address and value, parents before children, as answers to Gets of each would have told. `target` is the node that
    /// was asked for; a path that begins at the root goes before it. What has no proper address is left out.
    #[must_use]
    pub fn readings(&self, target: &NodeUri) -> Vec<Reading> {
        let mut told = self.told(target);
        told.retain(|reading| reading.node.question().is_none());
        told
    }

    /// The same, each node before those of its properties that are told beside format and type.
    #[must_use]
    pub fn told(&self, target: &NodeUri) -> Vec<Reading> {
        let target = target.as_str().split_once('?').map_or(target.as_str(), |(path, _)| path);
        let mut readings = Vec::new();
        for node in &self.nodes {
            let name = node.name.as_deref().unwrap_or_default();
            let own = target.rsplit('/').next().unwrap_or_default();
            let address = match node.path.as_deref().map(|path| path.trim_end_matches('/')) {
                Some(path) if path.starts_with('.') && path != "." => joined(path, if name.is_empty() { own } else { name }),
                Some(path) if !path.is_empty() && path != "." => joined(&joined(target, path), name),
                _ if name.is_empty() || name == own => target.to_owned(),
                _ => joined(target, name),
            };
            node.read(address, &mut readings);
        }
        readings
    }
}

impl Node {
    fn read(&self, address: String, readings: &mut Vec<Reading>) {
        let format = match (self.properties.format, self.children.is_empty()) {
            (Some(format), _) => format,
            (None, true) => Format::default(),
            (None, false) => Format::Node,
        };
        let names: Vec<&str> = self.children.iter().filter_map(|child| child.name.as_deref()).collect();
        let data = if format == Format::Node { names.join("/") } else { self.value.clone().unwrap_or_default() };
        let media_type = self.properties.kind.as_ref().map(|kind| kind.as_str().to_owned()).filter(|kind| !kind.is_empty());
        if let Ok(node) = NodeUri::parse(&address) {
            let told = self
                .properties
                .told()
                .map(|(name, text)| Reading { node: node.ask(&format!("prop={name}")), value: Value::text(text) });
            let told: Vec<_> = told.collect();
            readings.push(Reading { node, value: Value { format, media_type, data } });
            readings.extend(told);
        }
        for child in &self.children {
            if let Some(name) = child.name.as_deref().filter(|name| !name.is_empty()) {
                child.read(joined(&address, name), readings);
            }
        }
    }
}

fn joined(parent: &str, name: &str) -> String {
    if name.is_empty() { parent.to_owned() } else { format!("{parent}/{name}") }
}
