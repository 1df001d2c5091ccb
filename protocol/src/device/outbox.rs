//! What the device has still to say, cut into messages that the server can take.
use std::collections::VecDeque;

use crate::encoding::Encoding;
use crate::message::{Data, Element, Item, Meta, Results};

/// Elements in order, without their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox(VecDeque<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    element: Element,
    alert: Option<usize>,
    /// It is a later piece of a value.
    goes_on: bool,
}

/// The elements of one message, numbered.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// The elements.
    pub(super) elements: Vec<Element>,
    /// The ids of the Generic Alerts among them, with the places that the alerts have in the session.
    pub(super) alerts: Vec<(String, usize)>,
}

impl Outbox {
    /// Puts an element at the end; a Status goes before the pieces of a value that are still to come.
    pub(super) fn push(&mut self, element: Element) {
        let entry = Entry { element, alert: None, goes_on: false };
        let is_status = matches!(entry.element, Element::Status(_));
        match self.0.iter().position(|waiting| waiting.goes_on).filter(|_| is_status) {
            Some(place) => self.0.insert(place, entry),
            None => self.0.push_back(entry),
        }
    }

    /// Puts a Results, in pieces where it has one item that is larger than `room` bytes allow.
    pub(super) fn push_results(&mut self, results: Results, room: usize, encoding: Encoding) {
        let pieces = if encoding.size_of(&Element::Results(results.clone())) > room { in_pieces(&results, room) } else { None };
        let entry =
            |(element, place): (Results, usize)| Entry { element: Element::Results(element), alert: None, goes_on: place > 0 };
        self.0.extend(pieces.unwrap_or_else(|| vec![results]).into_iter().zip(0..).map(entry));
    }

    /// Forgets the pieces that are still to come: the server does not want them.
    pub(super) fn drop_pieces(&mut self) {
        self.0.retain(|entry| !entry.goes_on);
    }

    /// Puts the Generic Alert that has this place in the session.
    pub(super) fn push_alert(&mut self, element: Element, place: usize) {
        self.0.push_back(Entry { element, alert: Some(place), goes_on: false });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes as many elements as `room` bytes hold after `first`, at most so many, and at least one, so that something too large cannot block
    /// the rest.
    pub(super) fn take(&mut self, first: Option<Element>, (room, most): (usize, usize), encoding: Encoding) -> Load {
        let mut load = Load::default();
        let mut left = room;
        if let Some(first) = first {
            let first = numbered(first, 1);
            left = left.saturating_sub(encoding.size_of(&first));
            load.elements.push(first);
        }
        let mut taken = 0_usize;
        while let Some(Entry { element, alert, goes_on }) = self.0.pop_front() {
            let id = load.elements.len().saturating_add(1);
            let element = numbered(element, id);
            let size = encoding.size_of(&element);
            if taken > 0 && size > left || taken >= most {
                self.0.push_front(Entry { element, alert, goes_on });
                break;
            }
            taken = taken.saturating_add(1);
            let is_piece = matches!(&element, Element::Results(results) if results.items.iter().any(|item| item.more));
            left = left.saturating_sub(size);
            load.alerts.extend(alert.map(|place| (id.to_string(), place)));
            load.elements.push(element);
            if is_piece {
                // Nothing may come after it, and the next piece only when the server asks for it.
                break;
            }
        }
        load
    }
}

/// The pieces of a Results that has one item, each at most half as long as a message has room, since text may grow by what stands for special
/// characters; none where there is nothing to cut.
fn in_pieces(results: &Results, room: usize) -> Option<Vec<Results>> {
    let [item] = results.items.as_slice() else { return None };
    let Some(Data::Text(text)) = &item.data else { return None };
    // Base64 is cut between groups of four.
    let length = (room / 2).max(4) / 4 * 4;
    let mut rest = text.as_str();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.floor_char_boundary(length));
        if piece.is_empty() {
            return None;
        }
        let size = pieces.is_empty().then(|| u64::try_from(text.len()).ok()).flatten();
        let meta = Meta { size, ..item.meta.clone() };
        let cut = Item { meta, data: Some(Data::Text(piece.to_owned())), more: !more.is_empty(), ..item.clone() };
        pieces.push(Results { items: vec![cut], ..results.clone() });
        rest = more;
    }
    Some(pieces)
}

/// How many items a Results has.
pub(super) const fn item_count(element: &Element) -> usize {
    match element {
        Element::Results(results) => results.items.len(),
        _ => 0,
    }
}

fn numbered(mut element: Element, number: usize) -> Element {
    let id = match &mut element {
        Element::Alert(alert) => &mut alert.id,
        Element::Atomic(group) | Element::Sequence(group) => &mut group.id,
        Element::Command(command) => &mut command.id,
        Element::Results(results) => &mut results.id,
        Element::Status(status) => &mut status.id,
        Element::Unknown { id, .. } => id,
    };
    *id = number.to_string();
    element
}
