//! Which of a device's unfinished executions take part in a message: few, however many wait.
use dmwsi_domain::Result;
use dmwsi_domain::execution::{Execution, ExecutionState};
use dmwsi_domain::id::DeviceId;
use dmwsi_store::executions::UNFINISHED;
use dmwsi_store::{StoredSession, Tx};

use super::state::{ExecutionKey, State};
use super::work::key_of;

/// The most executions that wait for their turn in one message.
const PLACES: usize = 16;

/// How many are read at a time once there are more than are read at first.
const PER_READ: i64 = 64;

/// The most unfinished executions of a device that are looked through; what lies beyond has its turn when some of these have ended.
const MOST: usize = 1_024;

/// The unfinished executions that a message may be about or that may have something to say in answer to it, in the order of their jobs. One
/// read where there are few. `session` is the device's open session, whose work the message may go on with; with `goes_on` those that have
/// had their turn in it are left out.
pub(super) fn executions(
    tx: &mut Tx<'_>,
    device: DeviceId,
    session: Option<&StoredSession>,
    goes_on: bool,
) -> Result<Vec<Execution>> {
    let mut page = tx.unfinished_executions(device)?;
    if i64::try_from(page.len()).is_ok_and(|rows| rows < UNFINISHED) {
        return Ok(page);
    }
    let visited = session.filter(|_| goes_on).and_then(|row| State::read(&row.document)).map(|state| state.visited);
    let mut agenda =
        Agenda { current: session.and_then(|row| row.execution), visited: visited.unwrap_or_default(), ..Agenda::default() };
    let mut seen = 0usize;
    while let Some(last) = page.last().map(|execution| execution.job) {
        seen = seen.saturating_add(page.len());
        page.into_iter().for_each(|execution| agenda.consider(execution));
        if seen >= MOST {
            break;
        }
        page = tx.unfinished_after(device, Some(last), PER_READ)?;
    }
    Ok(agenda.kept)
}

/// What is chosen of many.
#[derive(Default)]
struct Agenda {
    current: Option<ExecutionKey>,
    visited: Vec<ExecutionKey>,
    kept: Vec<Execution>,
    waiting: usize,
    has_exclusive: bool,
}

impl Agenda {
    /// Keeps what the session is at, what holds the device and is reported about, and those whose turn comes next.
    fn consider(&mut self, execution: Execution) {
        let key = key_of(&execution);
        if self.current == Some(key) || execution.holds_device() || execution.operation.awaits_report() {
            self.kept.push(execution);
            return;
        }
        // Of those that only one may begin the eldest is enough: the others wait for its end.
        let begins = execution.operation.is_exclusive() && execution.state == ExecutionState::Queued;
        if self.visited.contains(&key) || self.waiting >= PLACES || (begins && self.has_exclusive) {
            return;
        }
        if begins {
            self.has_exclusive = true;
        } else {
            self.waiting = self.waiting.saturating_add(1);
        }
        self.kept.push(execution);
    }
}
