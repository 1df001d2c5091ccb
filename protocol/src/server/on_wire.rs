//! Commands as they stand in a message.
use dmwsi_objects::{Command, NodeUri, Prompt, Value};

use super::item;
use super::manners::Manners;
use crate::message::{Alert, Data, Element, Group, Item, Message, Meta, NodeCommand, Verb};

/// A command as it stands in a message; the members of an Atomic have the ids that follow its own.
pub(super) fn on_wire(command: &Command, id: u32, manners: &Manners) -> Element {
    match command {
        Command::Alert(prompt) => Element::Alert(alert(prompt, id)),
        Command::Atomic { members } => {
            let ids = (1_u32..).map(|place| id.saturating_add(place));
            let members = members.iter().zip(ids).map(|(member, id)| on_wire(member, id, manners)).collect();
            Element::Atomic(Group { id: id.to_string(), members })
        }
        Command::Add { target, value } => on_node(id, Verb::Add, carry(target, value, manners)),
        Command::Copy { source, target } => {
            on_node(id, Verb::Copy, Item { source: Some(source.as_str().to_owned()), ..Item::target(target) })
        }
        Command::Delete { target } => on_node(id, Verb::Delete, Item::target(target)),
        Command::Exec { target, correlator, value } => {
            let item = value.as_ref().map_or_else(|| Item::target(target), |value| carry(target, value, manners));
            let command = node_command(id, Verb::Exec, item);
            Element::Command(NodeCommand { correlator: correlator.clone().filter(|_| !manners.omits_correlator), ..command })
        }
        Command::Get { target } => on_node(id, Verb::Get, Item::target(target)),
        Command::Replace { target, value } => on_node(id, Verb::Replace, carry(target, value, manners)),
    }
}

/// An item with a value, as that device takes it.
fn carry(target: &NodeUri, value: &Value, manners: &Manners) -> Item {
    let item = item::carry(target, value);
    if manners.omits_empty_data && value.data.is_empty() { Item { data: None, ..item } } else { item }
}

/// The next `CmdID`: each element has one, from 1, and so has each member of a group.
pub(super) fn next_id(message: &Message) -> u32 {
    let count: usize = message.body.iter().map(ids).sum();
    u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1)
}

/// How many ids an element takes.
fn ids(element: &Element) -> usize {
    match element {
        Element::Atomic(group) | Element::Sequence(group) => group.members.iter().map(ids).sum::<usize>().saturating_add(1),
        _ => 1,
    }
}

fn on_node(id: u32, verb: Verb, item: Item) -> Element {
    Element::Command(node_command(id, verb, item))
}

fn node_command(id: u32, verb: Verb, item: Item) -> NodeCommand {
    NodeCommand { id: id.to_string(), verb, correlator: None, meta: Meta::default(), items: vec![item] }
}

/// The options are there even when empty: clients crash on a first item without data.
fn alert(prompt: &Prompt, id: u32) -> Alert {
    let texts = [&prompt.options, &prompt.text].into_iter().chain(&prompt.choices);
    let items = texts.map(|text| Item { data: Some(Data::Text(text.clone())), ..Item::default() }).collect();
    Alert { id: id.to_string(), code: prompt.kind.code(), correlator: None, items }
}
