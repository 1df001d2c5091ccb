//! Alerts of the device.
use dmwsi_objects::{AlertType, GenericAlert, Mark, StatusCode, fumo};

use super::item;
use crate::message::{Alert, Item, Meta};

/// What the items of an alert (1226 or 1224) tell, and the Status for it: 412 where an item has no type, which is then left out, or where there is none;
/// 202 to who asks for an update, which is not commanded in the same session for that (OMA FUMO 1.0, 5.4).
pub(super) fn told(alert: &Alert, items: &[Item]) -> (Vec<GenericAlert>, StatusCode) {
    let told: Vec<_> = items.iter().filter_map(|item| tell(alert, item)).collect();
    let complete = !told.is_empty() && told.len() == items.len();
    let status = if told.iter().any(|one| fumo::is_request(&one.alert_type)) { StatusCode::ACCEPTED } else { StatusCode::OK };
    (told, if complete { status } else { StatusCode::INCOMPLETE })
}

fn tell(alert: &Alert, said: &Item) -> Option<GenericAlert> {
    let alert_type = AlertType::lenient(said.meta.media_type.as_deref()?);
    let bare = Meta { media_type: None, ..said.meta.clone() };
    (!alert_type.as_str().is_empty()).then(|| GenericAlert {
        alert_type,
        correlator: alert.correlator.clone().filter(|correlator| !correlator.is_empty()),
        source: item::node(said.source.as_deref()),
        target: item::node(said.target.as_deref()),
        mark: said.meta.mark.as_deref().map_or_else(Mark::default, Mark::lenient),
        value: item::value(&Item { meta: bare, ..said.clone() }, &Meta::default()),
    })
}
