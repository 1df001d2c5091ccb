//! The wakes that are due: taken up in batches, and what became of them.
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use dmwsi_domain::account::SealedAccount;
use dmwsi_domain::event::Event;
use dmwsi_domain::execution::ExecutionState;
use dmwsi_domain::id::{DeviceId, EventId, OrganisationId};
use dmwsi_domain::push_address::PushAddress;
use dmwsi_domain::wake::{Patience, Verdict, Wake, WakeState};
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use super::carriers::{Carriers, DATAGRAM};
use super::{Row, ended as ended_as, open_wake};
use crate::column::{moment, parsed, text, uuid};
use crate::device_row::AccountColumns;
use crate::schema::{devices, executions, sessions, wakes};
use crate::tx::Conn;
use crate::{Tx, failed, on};

/// For how long after its last message a device is taken to be in a session in which nothing is outstanding.
const SPEAKING: Duration = Duration::from_secs(2);

const ATTEMPT: &str = "
UPDATE wakes SET attempts = attempts + 1, attempted_at = $1, next_at = due.next_at, trouble = NULL
FROM unnest($2, $3) AS due (device_id, next_at) WHERE wakes.device_id = due.device_id AND wakes.next_at IS NOT NULL";

/// The trouble of a device of which what is stored cannot be read.
const DAMAGED: &str = "DEVICE_DAMAGED";

/// What the waking of a device needs to know of it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = devices)]
struct Sleeper {
    organisation_id: String,
    #[diesel(embed)]
    account: AccountColumns,
    server_nonce: Vec<u8>,
    push_address: Option<String>,
}

/// A device to be woken now.
#[derive(Clone, Debug)]
pub struct Woken {
    /// The device.
    pub device: DeviceId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// The number of the session that it is asked to hold.
    pub session: u16,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Where package 0 goes.
    pub push_address: PushAddress,
    /// How it and this server know each other; the secrets are still sealed.
    pub account: SealedAccount,
    /// The nonce it gave this server last; empty before the first.
    pub server_nonce: Vec<u8>,
}

impl Woken {
    fn new(wake: &Wake, row: Sleeper) -> Result<Self> {
        Ok(Self {
            device: wake.device,
            organisation: OrganisationId::new(uuid(&row.organisation_id)?),
            session: wake.session,
            attempt: wake.attempts.saturating_add(1),
            push_address: row.push_address.as_deref().map(parsed).transpose()?.unwrap_or_default(),
            account: row.account.try_into()?,
            server_nonce: row.server_nonce,
        })
    }
}

/// What a look at the wakes that are due has found.
#[derive(Clone, Debug)]
pub struct Turnout {
    /// The devices to be woken now; their attempt is counted already.
    pub woken: Vec<Woken>,
    /// Whether there may be more that are due.
    pub is_full: bool,
}

/// What became of an attempt that did not succeed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// The device.
    pub device: DeviceId,
    /// The attempt.
    pub attempt: u32,
    /// The stable code of what was wrong.
    pub code: String,
    /// When it may be tried again, where somebody said so.
    pub not_before: Option<Timestamp>,
    /// Whether it would be the same the next time.
    pub is_final: bool,
}

impl Tx<'_> {
    /// Takes at most `most` of the wakes of these carriers that are due: counts an attempt of those that are to be tried, which are brought, and ends those that there is
    /// no more time or reason for.
    pub fn take_wakes(
        &mut self,
        carriers: &Carriers,
        most: u32,
        patience: &Patience,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<Turnout> {
        let due = wakes::table
            .inner_join(devices::table.on(devices::id.eq(wakes::device_id)))
            .filter(wakes::next_at.le(now.micros()))
            .order(wakes::next_at)
            .limit(i64::from(most));
        let in_session = sessions::table
            .filter(sessions::device_id.eq(wakes::device_id))
            .filter(sessions::is_open)
            // The row of a session stays when nothing more is said in it.
            .filter(sessions::job_id.is_not_null().or(sessions::updated_at.gt(now.minus(SPEAKING).micros())))
            .select(sessions::generation);
        let work = executions::table
            .filter(executions::device_id.eq(wakes::device_id))
            .filter(executions::finished_at.is_null())
            .filter(executions::state.ne(ExecutionState::Running.as_str()))
            .filter(executions::rests_until.is_null().or(executions::rests_until.le(now.micros())))
            .select(executions::ordinal);
        let rows: Vec<(Row, Sleeper, bool, bool)> = on!(self, conn => {
            let mut found = due.select((Row::as_select(), Sleeper::as_select(), exists(in_session), exists(work))).into_boxed();
            match carriers {
                Carriers::AllBut(gateways) => {
                    for gateway in gateways {
                        found = found.filter(devices::push_address.not_like(gateway.pattern()).escape('\\'));
                    }
                }
                Carriers::Datagrams => found = found.filter(devices::push_address.like(DATAGRAM)),
            }
            found.load(conn)
        })
        .map_err(failed)?;
        let is_full = u32::try_from(rows.len()).is_ok_and(|rows| rows >= most);
        let (mut woken, mut attempts, mut later, mut ended, mut damaged) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (row, sleeper, in_session, has_work) in rows {
            let id = row.device_id.clone();
            let (wake, one) = match Wake::try_from(row).and_then(|wake| Ok((Woken::new(&wake, sleeper)?, wake))) {
                Ok((one, wake)) => (wake, one),
                // It must not keep all others asleep.
                Err(error) => {
                    tracing::error!(%error, device = %id, "a device cannot be woken, since what is stored of it cannot be read");
                    damaged.push(id);
                    continue;
                }
            };
            match wake.due(in_session, has_work, patience, chance(&wake, now), now) {
                Verdict::Attempt { next } => {
                    attempts.push((id, next.micros()));
                    woken.push(one);
                }
                Verdict::Later(at) => later.push((id, at.micros())),
                Verdict::End(state) => ended.push((wake.device, state, wake.attempts, wake.trouble)),
            }
        }
        self.count_attempts(attempts, now)?;
        for device in damaged {
            let end = (wakes::trouble.eq(DAMAGED), ended_as(WakeState::Failed, now.micros()));
            let update = diesel::update(open_wake(device)).set(end);
            on!(self, conn => update.execute(conn)).map_err(failed)?;
        }
        for (device, at) in later {
            let update = diesel::update(open_wake(device)).set(wakes::next_at.eq(at));
            on!(self, conn => update.execute(conn)).map_err(failed)?;
        }
        for (device, state, attempts, trouble) in ended {
            self.end_wake(device, state, now)?;
            if state != WakeState::Withdrawn {
                self.tell_wake_ended(device, (state, attempts, trouble), now, ids)?;
            }
        }
        Ok(Turnout { woken, is_full })
    }

    fn count_attempts(&mut self, attempts: Vec<(String, i64)>, now: Timestamp) -> Result<()> {
        match &mut self.conn {
            Conn::Pg(conn) => {
                let (devices, times): (Vec<_>, Vec<_>) = attempts.into_iter().unzip();
                sql_query(ATTEMPT)
                    .bind::<BigInt, _>(now.micros())
                    .bind::<Array<Text>, _>(devices)
                    .bind::<Array<BigInt>, _>(times)
                    .execute(*conn)
                    .map(drop)
            }
            // One prepared statement for each row is SQLite's fastest way.
            Conn::Sqlite(conn) => attempts.into_iter().try_for_each(|(device, next)| {
                let change = (
                    wakes::attempts.eq(wakes::attempts + 1),
                    wakes::attempted_at.eq(now.micros()),
                    wakes::next_at.eq(next),
                    wakes::trouble.eq(None::<String>),
                );
                diesel::update(open_wake(device)).set(change).execute(*conn).map(drop)
            }),
        }
        .map_err(failed)
    }

    /// How many devices were woken since `since` and have not called yet; no more than `most` are counted.
    pub fn awaited_wakes(&mut self, since: Timestamp, most: u32) -> Result<u32> {
        let found = wakes::table
            .filter(wakes::next_at.is_not_null())
            .filter(wakes::attempted_at.gt(since.micros()))
            .limit(i64::from(most))
            .select(wakes::session);
        let rows: Vec<i64> = on!(self, conn => found.load(conn)).map_err(failed)?;
        u32::try_from(rows.len()).map_err(Error::internal)
    }

    /// When the next wake of these carriers is due, in the past when one is late already.
    pub fn next_wake(&mut self, carriers: &Carriers) -> Result<Option<Timestamp>> {
        let next: Option<Option<i64>> = on!(self, conn => {
            let all = wakes::table.filter(wakes::next_at.is_not_null()).order(wakes::next_at).select(wakes::next_at).limit(1);
            let some = || all.inner_join(devices::table.on(devices::id.eq(wakes::device_id)));
            match carriers {
                Carriers::AllBut(gateways) if gateways.is_empty() => all.first(conn),
                Carriers::AllBut(gateways) => {
                    let mut found = some().into_boxed();
                    for gateway in gateways {
                        found = found.filter(devices::push_address.not_like(gateway.pattern()).escape('\\'));
                    }
                    found.first(conn)
                }
                Carriers::Datagrams => some().filter(devices::push_address.like(DATAGRAM)).first(conn),
            }
        })
        .optional()
        .map_err(failed)?;
        Ok(moment(next.flatten()))
    }

    /// Notes what was wrong with attempts, unless the device has called meanwhile or was tried once more.
    pub fn note_troubles(&mut self, troubles: &[Trouble], now: Timestamp, ids: &mut Ids) -> Result<()> {
        for trouble in troubles {
            let place = open_wake(text(trouble.device.uuid())).filter(wakes::attempts.eq(i64::from(trouble.attempt)));
            let update = diesel::update(place).set(wakes::trouble.eq(&trouble.code));
            let is_still = on!(self, conn => update.execute(conn)).map_err(failed)? > 0;
            if is_still && trouble.is_final {
                self.end_wake(trouble.device, WakeState::Failed, now)?;
                let (state, code) = (WakeState::Failed, Some(trouble.code.clone()));
                self.tell_wake_ended(trouble.device, (state, trouble.attempt, code), now, ids)?;
            } else if let Some(at) = trouble.not_before.filter(|_| is_still) {
                let place = open_wake(text(trouble.device.uuid())).filter(wakes::next_at.lt(at.micros()));
                let update = diesel::update(place).set(wakes::next_at.eq(at.micros()));
                on!(self, conn => update.execute(conn)).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn tell_wake_ended(
        &mut self,
        device: DeviceId,
        (state, attempts, trouble): (WakeState, u32, Option<String>),
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<()> {
        let event = Event::DeviceNotWoken { state, attempts, trouble };
        match self.tell_of_device(device, [(EventId::new(ids.new_id()), event)], now) {
            // Of one that is gone nobody waits for more.
            Err(Error::Stale { .. }) => Ok(()),
            told => told,
        }
    }
}

/// A number that is the same when the transaction runs again.
fn chance(wake: &Wake, now: Timestamp) -> u64 {
    let mut hasher = DefaultHasher::new();
    (wake.device, wake.attempts, now).hash(&mut hasher);
    hasher.finish()
}
