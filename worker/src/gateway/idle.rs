//! Sessions of devices that fell silent: given up, so that what was asked in them has an unknown outcome and is asked anew.
use std::time::Duration;

use dmwsi_domain::facts::Facts;
use dmwsi_domain::session_record::SessionEnd;
use dmwsi_domain::{Clock, Error, Result, Timestamp};
use dmwsi_store::{Store, StoredSession};

use super::agenda;
use super::prior::abandon;
use super::state::State;
use super::work::Work;

/// How long a device is left alone that had its turn, so that it is looked at once more if nothing is heard of it: an hour.
const LOOK: Duration = Duration::from_secs(3600);

/// Gives a session up that had no message since `before`, if that is still so.
pub(crate) async fn give_up(
    store: &Store,
    clock: &Clock,
    session: StoredSession,
    before: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let ids = clock.new_ids();
    let device = session.device;
    let done = store.write(move |tx| {
        let mut ids = ids;
        let Some(row) = tx.open_session(device)?.filter(|row| row.updated_at <= before) else { return Ok(()) };
        let executions = agenda::executions(tx, device, Some(&row), false)?;
        let organisation = executions.first().map(|execution| execution.organisation);
        let facts = match organisation.map(|organisation| tx.device(organisation, device)) {
            Some(Ok(found)) => found.facts,
            None | Some(Err(Error::NotFound { .. })) => Facts::default(),
            Some(Err(error)) => return Err(error),
        };
        let mut work = Work::new(executions, now);
        if let Some(record) = abandon(&row, &mut work, &facts) {
            tx.end_session_record(record, SessionEnd::Silent, now)?;
        }
        // What was asked in it and not heard of is to be asked anew. What had its turn, and what waits for the device, can wait.
        let state = State::read(&row.document);
        let heard = state.map(|state| state.visited.into_iter().filter(|key| state.current != Some(*key)).collect::<Vec<_>>());
        let has_turn = work.has_turn(&heard.unwrap_or_default());
        for change in work.into_changes() {
            tx.save_execution(change.was, &change.execution, &change.moved, None, now, &mut ids)?;
        }
        tx.delete_session(device, row.revision)?;
        if has_turn {
            return tx.open_wakes(&[device], false, None, now, &mut ids).map(drop);
        }
        tx.rest_executions(device, now.plus(LOOK))
    });
    match done.await {
        // The device has just spoken after all; if it falls silent again, the next run finds it.
        Err(Error::Stale { .. }) => Ok(()),
        done => done,
    }
}
