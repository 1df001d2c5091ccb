//! What the database knows of a device when a message comes.
use std::collections::BTreeSet;

use dmwsi_domain::Result;
use dmwsi_domain::contact::Contact;
use dmwsi_domain::deliverable::Deliverable;
use dmwsi_domain::execution::Execution;
use dmwsi_domain::rotation::Rotation;
use dmwsi_store::executions::UNFINISHED;
use dmwsi_store::{StoredSession, Tx};

use super::agenda;

/// What the database knows when a message comes.
pub(super) struct Known {
    pub(super) contact: Contact,
    pub(super) stored: Option<StoredSession>,
    pub(super) executions: Vec<Execution>,
    /// The deliverables that executions need before they begin.
    pub(super) deliverables: Vec<Deliverable>,
    /// The secret that the device was offered and does not use yet, where executions need it.
    pub(super) rotation: Option<Rotation>,
}

/// Everything about the device that presents itself so: one statement when it is idle. The session is read before the executions, and both
/// are written by their revisions, so that they need not be of one moment.
pub(super) fn known(tx: &mut Tx<'_>, identity: &str) -> Result<Option<Known>> {
    let Some(contact) = tx.contact(identity)? else { return Ok(None) };
    if !contact.has_work {
        return Ok(Some(Known { contact, stored: None, executions: Vec::new(), deliverables: Vec::new(), rotation: None }));
    }
    let stored = tx.open_session(contact.device)?;
    let executions = tx.unfinished_executions(contact.device)?;
    Ok(Some(Known { contact, stored, executions, deliverables: Vec::new(), rotation: None }))
}

/// The same of a device with more work than one read brings, or with work that begins with a deliverable or a secret.
pub(super) fn known_busy(tx: &mut Tx<'_>, identity: &str, begins: bool) -> Result<Option<Known>> {
    let Some(contact) = tx.contact(identity)? else { return Ok(None) };
    let stored = tx.open_session(contact.device)?;
    let executions = agenda::executions(tx, contact.device, stored.as_ref(), !begins)?;
    let deliverables = wanted(tx, &contact, &executions)?;
    let wants_secret = executions.iter().any(|execution| execution.operation.wants_secret());
    let rotation = if wants_secret { tx.rotation(contact.device)? } else { None };
    Ok(Some(Known { contact, stored, executions, deliverables, rotation }))
}

/// The deliverables that these need before they begin.
fn wanted(tx: &mut Tx<'_>, contact: &Contact, executions: &[Execution]) -> Result<Vec<Deliverable>> {
    let wanted: BTreeSet<_> = executions.iter().filter_map(|execution| execution.operation.wanted()).collect();
    tx.deliverables_of(contact.organisation, wanted.iter())
}

impl Known {
    pub(super) fn has_more(&self) -> bool {
        let is_long = i64::try_from(self.executions.len()).is_ok_and(|rows| rows >= UNFINISHED);
        let wants = |execution: &Execution| execution.operation.wanted().is_some() || execution.operation.wants_secret();
        is_long || self.executions.iter().any(wants)
    }
}
