//! What the device has still to say, cut into messages that the server can take.
use std::collections::VecDeque;

use crate::encoding::Encoding;
use crate::message::Element;

/// Elements in order, without their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox(VecDeque<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    element: Element,
    alert: Option<usize>,
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
    pub(super) fn push(&mut self, element: Element) {
        self.0.push_back(Entry { element, alert: None });
    }

    /// Puts the Generic Alert that has this place in the session.
    pub(super) fn push_alert(&mut self, element: Element, place: usize) {
        self.0.push_back(Entry { element, alert: Some(place) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes as many elements as `room` bytes hold after `first`, and at least one, so that something too large cannot block the rest.
    pub(super) fn take(&mut self, first: Option<Element>, room: usize, encoding: Encoding) -> Load {
        let mut load = Load::default();
        let mut left = room;
        if let Some(first) = first {
            let first = numbered(first, 1);
            left = left.saturating_sub(encoding.size_of(&first));
            load.elements.push(first);
        }
        let mut taken = false;
        while let Some(Entry { element, alert }) = self.0.pop_front() {
            let id = load.elements.len().saturating_add(1);
            let element = numbered(element, id);
            let size = encoding.size_of(&element);
            if taken && size > left {
                self.0.push_front(Entry { element, alert });
                break;
            }
            taken = true;
            left = left.saturating_sub(size);
            load.alerts.extend(alert.map(|place| (id.to_string(), place)));
            load.elements.push(element);
        }
        load
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
