//! The description of a device: which nodes it can have, and what can be done with them (DDF, OMA DM TND 1.2, 9.2).
use crate::Format;
use crate::properties::Properties;

/// The description of a device or of one management object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Description {
    /// `VerDTD`: `1.2`.
    pub version: String,
    /// `Man`: who makes the device.
    pub manufacturer: Option<String>,
    /// `Mod`: its model.
    pub model: Option<String>,
    /// The nodes at the top.
    pub nodes: Vec<Node>,
}

/// A node that a device can have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Node {
    /// `NodeName`; none for nodes that get their names at run time.
    pub name: Option<String>,
    /// `Path`: where the node is, on nodes at the top.
    pub path: Option<String>,
    /// `RTProperties`: what it has at run time, where the description comes with that.
    pub properties: Properties,
    /// `AccessType`: what can be done with it, in the order in which it was said.
    pub access: Vec<Access>,
    /// `DefaultValue`.
    pub default: Option<String>,
    /// `Description`: for people.
    pub description: Option<String>,
    /// `DFFormat`.
    pub format: Format,
    /// `Occurrence`: how many there can be.
    pub occurrence: Occurrence,
    /// `Scope`: whether it can go away.
    pub scope: Scope,
    /// `DFTitle`: for people.
    pub title: Option<String>,
    /// `DFType`.
    pub kind: Kind,
    /// `CaseSense`: whether the names below tell upper case from lower; none where nothing is said.
    pub is_case_sensitive: Option<bool>,
    /// `Value`, where the description comes with one.
    pub value: Option<String>,
    /// The nodes below.
    pub children: Vec<Self>,
}

/// A command that a node takes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Access {
    /// It can be made.
    Add,
    /// It can be copied.
    Copy,
    /// It can be removed.
    Delete,
    /// It can be started.
    Exec,
    /// It can be read.
    Get,
    /// It can be changed.
    Replace,
}

/// How many nodes there can be where one is described.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Occurrence {
    /// One.
    #[default]
    One,
    /// At least one.
    OneOrMore,
    /// From one to so many.
    OneOrN(u32),
    /// Any number.
    ZeroOrMore,
    /// Up to so many.
    ZeroOrN(u32),
    /// One or none.
    ZeroOrOne,
}

/// Whether a node can go away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scope {
    /// It can.
    #[default]
    Dynamic,
    /// It is always there.
    Permanent,
}

/// What a node is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A leaf of one of these media types (`MIME`).
    Media(Vec<String>),
    /// An interior node with the identifier of its management object, which may be empty (`DDFName`).
    Object(String),
}

impl Default for Kind {
    fn default() -> Self {
        Self::Object(String::new())
    }
}
