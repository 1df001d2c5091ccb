//! The session that a device had before: whether a message goes on with it, and what becomes of it otherwise.
use dmwsi_domain::id::SessionId;
use dmwsi_protocol::server::Session;
use dmwsi_store::StoredSession;

use super::incoming::Incoming;
use super::memory::Held;
use super::state::State;
use super::work::Work;

/// The session of that SessionID, and whether it has a row.
pub(super) fn found(incoming: &Incoming, stored: Option<&StoredSession>, held: Option<Held>) -> Option<(State, bool)> {
    let row = stored.filter(|row| row.session == incoming.message.header.session);
    match row.and_then(|row| State::read(&row.document)) {
        Some(state) => Some((state, true)),
        None => held.map(|held| (State { record: held.record, ..State::new(held.session) }, false)),
    }
}

/// The one found, if the message belongs to it. None when the message begins a new one.
pub(super) fn prior(incoming: &Incoming, found: Option<(State, bool)>) -> Option<(State, bool)> {
    // A package 1 that comes after a challenge repeats the first; after that it begins anew under the same SessionID.
    let begins_anew =
        |session: &Session| session.is_authenticated() || session.is_in_no_version() || !session.continues(&incoming.message);
    found.filter(|(state, _)| !(incoming.begins() && begins_anew(&state.session)))
}

/// The old session of the device is over: what it had asked for and not heard of has an unknown outcome. Brings the record of it that has no end.
pub(super) fn abandon(row: &StoredSession, work: &mut Work, facts: &dmwsi_domain::facts::Facts) -> Option<SessionId> {
    match State::read(&row.document) {
        Some(State { session, current, record, .. }) => {
            if let Some(key) = current {
                work.cut(key, &session.abandon(), facts);
            }
            record.filter(|record| record.ended_as.is_none()).map(|record| record.id)
        }
        // What it was at stands in the row itself.
        None => {
            row.execution.into_iter().for_each(|key| work.cut_unheard(key, facts));
            None
        }
    }
}
