//! What time alone brings about: phases and jobs whose time is over, sessions that fell silent, answers that need not be kept any longer.
use std::time::Duration;

use dmwsi_domain::facts::Facts;
use dmwsi_domain::id::JobId;
use dmwsi_domain::session_record::BEHIND;
use dmwsi_domain::{Clock, Error, Result, Timestamp};
use dmwsi_store::Store;
use dmwsi_store::jobs::EXPIRE;
use dmwsi_store::sweep::{Ages, EVERY};
use futures_util::stream::{self, StreamExt as _};

use crate::gateway::give_up;
use crate::queue::Outcome;
use crate::retention::forget_events;

/// The most rows of a kind that are looked at in one run; when there are as many, the next run follows at once.
const MOST: i64 = 1_000;

/// The most sessions given up in one run; each brings its state along.
const MOST_SESSIONS: u32 = 100;

/// The most records of sessions ended or forgotten in one transaction.
const MOST_RECORDS: i64 = 200;

/// How many executions are timed out side by side.
const SIDE_BY_SIDE: usize = 32;

/// The shortest pause between two runs that found nothing more to do.
const PAUSE: Duration = Duration::from_secs(1);

/// The pause after a run in which something that is due could not be ended.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// The most imports forgotten in one transaction; each has a hundred rows of verdicts at most.
const MOST_IMPORTS: i64 = 10;

/// One run: ends phases that took too long, has late jobs expired, gives up sessions that fell silent, calls devices that have not reported, forgets old answers, imports, events and
/// subscriptions. Says when
/// the next thing falls due, at the latest [`EVERY`] later. Where nothing is due it is one read.
pub(crate) async fn sweep(store: &Store, clock: &Clock, ages: Ages) -> Result<Outcome> {
    let now = clock.now();
    let latest = now.plus(EVERY);
    let outlook = store.glance(move |tx| tx.outlook(ages, now)).await?;
    let is_due = outlook.next.is_some_and(|next| next <= now);
    if !is_due && !outlook.is_any_old {
        return Ok(Outcome::Progress(outlook.next.unwrap_or(latest).clamp(now.plus(PAUSE), latest)));
    }
    let silent_since = now.minus(ages.session_idle);
    let due = move |tx: &mut dmwsi_store::Tx<'_>| {
        Ok((
            tx.due_executions(now, MOST)?,
            tx.due_jobs(now, MOST)?,
            tx.idle_sessions(silent_since, MOST_SESSIONS)?,
            tx.rested_devices(now, MOST)?,
        ))
    };
    let (executions, jobs, sessions, rested) = store.read(due).await?;
    let full = |rows: usize| i64::try_from(rows).is_ok_and(|rows| rows >= MOST);
    let mut more =
        full(executions.len()) || full(rested.len()) || u32::try_from(sessions.len()).is_ok_and(|rows| rows >= MOST_SESSIONS);

    let given_up = stream::iter(sessions).map(|session| give_up(store, clock, session, silent_since, now));
    let failures = given_up.buffer_unordered(SIDE_BY_SIDE).filter_map(|done| async move { done.err() });
    // One that cannot be done must not keep all others from being done: it is told at the end.
    let mut failed = failures.collect::<Vec<_>>().await;

    let timed_out = stream::iter(executions).map(|(job, ordinal)| time_out(store, clock, job, ordinal, now));
    let failures = timed_out.buffer_unordered(SIDE_BY_SIDE).filter_map(|done| async move { done.err() });
    failed.extend(failures.collect::<Vec<_>>().await);
    if !rested.is_empty() {
        let ids = clock.new_ids();
        store.write(move |tx| tx.end_rests(&rested, now, &mut ids.clone())).await?;
    }
    if !jobs.is_empty() {
        let ids = clock.new_ids();
        let ring = move |tx: &mut dmwsi_store::Tx<'_>| {
            let mut ids = ids;
            jobs.iter().try_for_each(|job| tx.ring_job(EXPIRE, *job, now, &mut ids))
        };
        store.write(ring).await?;
    }
    if outlook.is_any_old {
        more |= full(store.write(move |tx| tx.sweep_idempotency_keys(now, MOST)).await?);
        let kept_since = now.minus(ages.imports_kept);
        let forgotten = store.write(move |tx| tx.sweep_imports(kept_since, MOST_IMPORTS)).await?;
        more |= i64::try_from(forgotten).is_ok_and(|imports| imports >= MOST_IMPORTS);
        let kept_since = now.minus(ages.events_kept);
        if forget_events(store, clock, kept_since).await? {
            more = true;
        } else {
            let swept =
                store.write(move |tx| Ok(tx.sweep_subscriptions(kept_since, MOST)?.max(tx.sweep_endpoints(kept_since, MOST)?)));
            more |= full(swept.await?);
        }
        let (silent_since, kept_since) = (silent_since.minus(BEHIND), now.minus(ages.sessions_kept));
        let records = store.write(move |tx| {
            let silent = tx.end_silent_records(silent_since, MOST_RECORDS, now)?;
            Ok(silent.max(tx.forget_session_records(kept_since, MOST_RECORDS)?))
        });
        more |= i64::try_from(records.await?).is_ok_and(|records| records >= MOST_RECORDS);
    }
    if let Some(at) = failed.iter().position(|error| matches!(error, Error::Unavailable(_))) {
        return Err(failed.swap_remove(at));
    }
    if let Some(error) = failed.first() {
        // It falls due again and again, so it does not say when to look.
        tracing::error!(cause = ?error, failed = failed.len(), "{} things that fell due could not be ended", failed.len());
        return Ok(Outcome::Progress(if more { now } else { now.plus(AFTER_FAILURE) }));
    }
    let next = store.glance(move |tx| tx.outlook(ages, now)).await?.next;
    Ok(Outcome::Progress(if more { now } else { next.unwrap_or(latest).clamp(now.plus(PAUSE), latest) }))
}

/// Ends an execution whose phase took too long, if that is still so.
async fn time_out(store: &Store, clock: &Clock, job: JobId, ordinal: u32, now: Timestamp) -> Result<()> {
    let ids = clock.new_ids();
    let done = store.write(move |tx| {
        let mut ids = ids;
        let mut execution = tx.execution(job, ordinal)?;
        if execution.state.is_finished() || execution.due_at.is_none_or(|due| due > now) {
            return Ok(());
        }
        let facts = match tx.device(execution.organisation, execution.device) {
            Ok(device) => device.facts,
            // The device was deleted meanwhile; its executions still come to an end.
            Err(Error::NotFound { .. }) => Facts::default(),
            Err(error) => return Err(error),
        };
        let was = execution.state;
        let moved = execution.timed_out(&facts, now);
        tx.save_execution(was, &execution, &moved, None, now, &mut ids)?;
        // It is to be asked, or something else has its turn.
        tx.open_wakes(&[execution.device], false, None, now, &mut ids).map(drop)
    });
    match done.await {
        // Its device is in session just now; if it is still late, the next run finds it again.
        Err(Error::Stale { .. } | Error::NotFound { .. }) => Ok(()),
        done => done,
    }
}
