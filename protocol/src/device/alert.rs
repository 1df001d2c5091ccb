//! Alerts as they stand in a message.
use dmwsi_objects::GenericAlert;

use crate::message::{Alert, Data, Element, Item, Message, Meta, alert};

/// An alert that has nothing but a code.
pub(super) fn plain_alert(code: u16) -> Element {
    Element::Alert(Alert { code, ..Alert::default() })
}

/// Whether a message has an alert of that code.
pub(super) fn has_alert(message: &Message, code: u16) -> bool {
    message.body.iter().any(|element| matches!(element, Element::Alert(alert) if alert.code == code))
}

/// A Generic Alert (OMA DM Protocol 1.2, 8.7).
pub(super) fn generic_alert(alert: &GenericAlert) -> Element {
    let meta = Meta {
        format: Some(alert.value.format.as_str().to_owned()),
        media_type: Some(alert.alert_type.as_str().to_owned()),
        mark: Some(alert.mark.as_str().to_owned()),
        size: None,
    };
    let item = Item {
        source: alert.source.as_ref().map(|node| node.as_str().to_owned()),
        target: alert.target.as_ref().map(|node| node.as_str().to_owned()),
        meta,
        data: Some(Data::Text(alert.value.data.clone())),
        more: false,
    };
    Element::Alert(Alert { code: alert::GENERIC, correlator: alert.correlator.clone(), items: vec![item], ..Alert::default() })
}
