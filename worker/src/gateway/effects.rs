//! What a message leads to, written in one transaction.
use dmwsi_domain::account::Sealed;
use dmwsi_domain::contact::Contact;
use dmwsi_domain::event::{Event, MAX_ALERT_CORRELATOR, MAX_ALERT_DATA, MAX_ALERT_TYPE};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::id::{EventId, SessionId};
use dmwsi_domain::known_tree::Lesson;
use dmwsi_domain::profile::Observed;
use dmwsi_domain::session_record::SessionEnd;
use dmwsi_domain::{Ids, Result, Timestamp};
use dmwsi_objects::GenericAlert;
use dmwsi_store::StoredSession;
use dmwsi_store::sweep::EVERY;

use super::Gateway;
use super::record::Noted;
use super::rotation::RotationChange;
use super::work::Change;

/// What is to be written.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) changes: Vec<Change>,
    pub(super) alerts: Vec<GenericAlert>,
    /// The device does not accept the credentials that the server has for it.
    pub(super) refuses_server: bool,
    pub(super) facts: Option<Facts>,
    pub(super) lessons: Vec<Lesson>,
    pub(super) server_nonce: Option<Vec<u8>>,
    pub(super) nonce_epoch: Option<u64>,
    /// The device proved itself by the secret that it was offered.
    pub(super) adopted: Option<Sealed>,
    /// What became of a secret that it was, or is, offered.
    pub(super) rotation: Option<RotationChange>,
    pub(super) clear_tries: bool,
    pub(super) failed_try: bool,
    pub(super) session: SessionEffect,
    pub(super) observed: Option<Observed>,
    /// What is written down of the message.
    pub(super) noted: Option<Noted>,
    /// The record of a session that this one takes the place of.
    pub(super) superseded: Option<SessionId>,
}

/// What becomes of the row of the session.
#[derive(Default)]
pub(super) enum SessionEffect {
    #[default]
    None,
    Delete(u64),
    Insert(Box<StoredSession>),
    Update(Box<StoredSession>),
}

impl Effects {
    fn is_nothing(&self) -> bool {
        self.changes.is_empty()
            && self.alerts.is_empty()
            && !self.refuses_server
            && self.facts.is_none()
            && self.lessons.is_empty()
            && self.server_nonce.is_none()
            && self.nonce_epoch.is_none()
            && self.adopted.is_none()
            && self.rotation.is_none()
            && !self.clear_tries
            && !self.failed_try
            && matches!(self.session, SessionEffect::None)
            && self.observed.is_none()
            && self.noted.is_none()
            && self.superseded.is_none()
    }
}

impl Gateway {
    /// Writes it all or nothing; `Stale` when another process was faster.
    pub(super) async fn commit(&self, contact: &Contact, mut effects: Effects, now: Timestamp) -> Result<()> {
        if effects.is_nothing() {
            return Ok(());
        }
        let (device, ids) = (contact.device, self.clock.new_ids());
        let idle = self.settings.session_idle();
        let lessons = self.sealing.seal_lessons(device, std::mem::take(&mut effects.lessons))?;
        self.store
            .write(move |tx| {
                let mut ids: Ids = ids;
                match &effects.session {
                    SessionEffect::None => {}
                    SessionEffect::Delete(revision) => tx.delete_session(device, *revision)?,
                    SessionEffect::Insert(row) => {
                        tx.insert_session(row)?;
                        // Where sessions rest longer than the sweep does, it finds them by itself.
                        if idle < EVERY {
                            tx.ring_sweep(now.plus(idle), now, &mut ids)?;
                        }
                    }
                    SessionEffect::Update(row) => tx.update_session(row)?,
                }
                for change in &effects.changes {
                    tx.save_execution(change.was, &change.execution, &change.moved, None, now, &mut ids)?;
                }
                if let Some(secret) = &effects.adopted {
                    tx.adopt_secret(device, secret, now, &mut ids)?;
                }
                if let Some(RotationChange { present, secret, was, is }) = &effects.rotation {
                    if was.is_none() {
                        tx.hold_secret(device, present)?;
                    }
                    tx.save_rotation(device, secret, *was, *is, now)?;
                }
                tx.learn_nodes(device, &lessons)?;
                if let Some(facts) = &effects.facts {
                    tx.save_facts(device, facts, now, &mut ids)?;
                }
                if let Some(observed) = &effects.observed {
                    tx.save_observed(device, observed)?;
                }
                if let Some(old) = effects.superseded {
                    tx.end_session_record(old, SessionEnd::Superseded, now)?;
                }
                if let Some(noted) = &effects.noted {
                    noted.write(tx)?;
                }
                if let Some(nonce) = &effects.server_nonce {
                    tx.save_server_nonce(device, nonce)?;
                }
                if let Some(epoch) = effects.nonce_epoch {
                    tx.save_nonce_epoch(device, epoch)?;
                }
                if effects.clear_tries {
                    tx.clear_failed_tries(device)?;
                }
                if effects.failed_try {
                    tx.count_failed_try(device, now)?;
                }
                let mut told: Vec<_> = effects.alerts.iter().flat_map(|alert| told(alert, &mut ids)).collect();
                if effects.refuses_server {
                    told.push((EventId::new(ids.new_id()), Event::DeviceRefusesServer {}));
                }
                if !told.is_empty() {
                    tx.tell_of_device(device, told, now)?;
                }
                Ok(())
            })
            .await
    }
}

/// The alert, and behind it the fault where it means one. What is longer than an event takes is cut.
fn told(alert: &GenericAlert, ids: &mut Ids) -> Vec<(EventId, Event)> {
    let id = EventId::new(ids.new_id());
    let (alert_type, mark) = (cut(alert.alert_type.as_str(), MAX_ALERT_TYPE), alert.mark.as_str().to_uppercase());
    let correlator = alert.correlator.as_ref().map(|correlator| cut(correlator, MAX_ALERT_CORRELATOR));
    let source = alert.source.as_ref().map(ToString::to_string);
    let fault = alert.is_fault().then(|| {
        let (alert_type, mark, correlator, source) = (alert_type.clone(), mark.clone(), correlator.clone(), source.clone());
        let fault = Event::DeviceFault { alert_type, mark, correlator, source, alert_event_id: id };
        (EventId::new(ids.new_id()), fault)
    });
    let (format, data) = (alert.value.format.as_str().to_owned(), cut(&alert.value.data, MAX_ALERT_DATA));
    let told = Event::DeviceAlert { alert_type, mark, correlator, source, format, data };
    std::iter::once((id, told)).chain(fault).collect()
}

/// The beginning of a text, so many bytes at most.
fn cut(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use dmwsi_domain::Clock;
    use dmwsi_objects::{AlertType, Mark, NodeUri, Value};

    use super::*;

    #[test]
    fn an_event_holds_no_more_of_an_alert_than_it_says() {
        let alert = GenericAlert {
            alert_type: AlertType::lenient(&"t".repeat(1_000)),
            correlator: Some("c".repeat(1_000)),
            source: NodeUri::parse("./A").ok(),
            target: None,
            mark: Mark::Critical,
            value: Value::text("ä".repeat(20_000)),
        };
        let told = told(&alert, &mut Clock::System.new_ids());
        let [(_, Event::DeviceAlert { alert_type, correlator, data, .. }), (_, Event::DeviceFault { correlator: again, .. })] =
            &told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!((alert_type.len(), correlator.as_ref().map(String::len), data.len()), (256, Some(256), 16_384));
        assert_eq!(correlator, again);
    }
}
