//! What many devices have done so far.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dmwsi_protocol::device::End;
use serde::Serialize;

use crate::device::SessionReport;
use crate::wire::SessionError;

/// Counters of a fleet at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Devices that are alive.
    pub devices: usize,
    /// Sessions that came to their regular end.
    pub sessions_ok: u64,
    /// Sessions that did not.
    pub sessions_failed: u64,
    /// Messages sent, repetitions not counted.
    pub messages: u64,
    /// Orders (a download, an update, or both) that a device ended with success.
    pub updates_done: u64,
    /// Orders that a device ended with a failure.
    pub updates_failed: u64,
    /// Alerts that the server took note of.
    pub alerts_heard: u64,
    /// Failed sessions by what went wrong.
    pub errors: BTreeMap<&'static str, u64>,
}

/// Counters that many tasks share.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Snapshot>);

impl Tally {
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.counters().clone()
    }

    pub(crate) fn devices(&self, devices: usize) {
        self.counters().devices = devices;
    }

    pub(crate) fn left(&self) {
        let mut counters = self.counters();
        counters.devices = counters.devices.saturating_sub(1);
    }

    pub(crate) fn session(&self, outcome: &Result<SessionReport, SessionError>) {
        let mut counters = self.counters();
        let failure = match outcome {
            Ok(report) => {
                add(&mut counters.messages, u64::from(report.messages));
                add(&mut counters.alerts_heard, u64::try_from(report.alerts_heard).unwrap_or(0));
                match report.end {
                    End::Complete => None,
                    End::Aborted => Some("aborted"),
                    End::Refused(_) => Some("refused"),
                    End::ServerRefused => Some("server-refused"),
                }
            }
            Err(error) => Some(error.kind()),
        };
        match failure {
            None => add(&mut counters.sessions_ok, 1),
            Some(kind) => {
                add(&mut counters.sessions_failed, 1);
                add(counters.errors.entry(kind).or_default(), 1);
            }
        }
    }

    pub(crate) fn update(&self, succeeded: bool) {
        let mut counters = self.counters();
        add(if succeeded { &mut counters.updates_done } else { &mut counters.updates_failed }, 1);
    }

    /// Counters are whole whatever happened to a task that held them.
    fn counters(&self) -> MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counter: &mut u64, more: u64) {
    *counter = counter.saturating_add(more);
}
