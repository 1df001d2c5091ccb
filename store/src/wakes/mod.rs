//! Wakes: which devices are asked to call, how often that was tried, and when it is tried next.
mod carriers;
mod due;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use dmwsi_domain::id::{DeviceId, TaskId};
use dmwsi_domain::wake::{Wake, WakeState};
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, damaged, micros, moment, number, text, uuid};
use crate::queue::NewTask;
use crate::schema::wakes;
use crate::tx::Conn;
use crate::{Tx, failed, on};

pub use carriers::{Carriers, Gateway};
pub use due::{Trouble, Turnout, Woken};

/// The queue of the one standing task that wakes devices.
pub const WAKE: &str = "wake.v1";

/// A device that was tried less than so many microseconds ago is not tried again at once because it is wanted once more.
const LATELY: i64 = 5_000_000;

/// The most devices named in one statement.
const DEVICES_PER_STATEMENT: usize = 10_000;

/// Opens wakes of those of some devices that can be woken. One that is open stays the same notification, and is tried at once unless that was done
/// just now. The parameters stand in the order of their numbers, which SQLite takes for names.
macro_rules! open {
    ($named:literal) => {
        concat!(
            "INSERT INTO wakes (device_id, session, state, is_asked, attempts, next_at, expires_at, opened_at, openings)
            SELECT id, $1, 'WAKING', $2, 0, $3, $4, $3, 1 FROM devices
            WHERE push_address IS NOT NULL AND push_address <> '{\"type\":\"NONE\"}' AND ",
            $named,
            " ORDER BY id
            ON CONFLICT (device_id) DO UPDATE SET
                session = CASE WHEN wakes.next_at IS NULL THEN wakes.session % 65535 + 1 ELSE wakes.session END,
                state = 'WAKING',
                is_asked = excluded.is_asked OR (wakes.is_asked AND wakes.next_at IS NOT NULL),
                attempts = CASE WHEN wakes.attempted_at >= $3 - $6 AND wakes.next_at IS NOT NULL THEN wakes.attempts ELSE 0 END,
                next_at = CASE WHEN wakes.attempted_at >= $3 - $6 AND wakes.next_at IS NOT NULL THEN wakes.next_at ELSE $3 END,
                trouble = NULL,
                expires_at = CASE
                    WHEN wakes.next_at IS NULL OR wakes.expires_at IS NULL THEN excluded.expires_at
                    WHEN excluded.expires_at IS NULL OR wakes.expires_at > excluded.expires_at THEN wakes.expires_at
                    ELSE excluded.expires_at
                END,
                opened_at = $3,
                openings = wakes.openings + 1,
                ended_at = NULL"
        )
    };
}
const OPEN_SQLITE: &str = open!("id IN (SELECT value FROM json_each($5))");
const OPEN_POSTGRES: &str = open!("id = ANY($5)");

const CALLED: &str = "
UPDATE wakes SET state = $1, next_at = NULL, ended_at = called.at
FROM unnest($2, $3, $4) AS called (device_id, opening, at)
WHERE wakes.device_id = called.device_id AND wakes.openings = called.opening AND wakes.next_at IS NOT NULL";

const RENEW_POSTGRES: &str = "
UPDATE wakes SET session = session % 65535 + 1, attempts = 0, next_at = $1
FROM unnest($2, $3) AS called (device_id, opening)
WHERE wakes.device_id = called.device_id AND wakes.openings > called.opening AND wakes.next_at IS NOT NULL";

const RENEW_SQLITE: &str = "
UPDATE wakes SET session = session % 65535 + 1, attempts = 0, next_at = $1
WHERE device_id = $2 AND openings > $3 AND next_at IS NOT NULL";

#[derive(Queryable, Selectable)]
#[diesel(table_name = wakes)]
struct Row {
    device_id: String,
    session: i64,
    state: String,
    is_asked: bool,
    attempts: i64,
    attempted_at: Option<i64>,
    trouble: Option<String>,
    next_at: Option<i64>,
    expires_at: Option<i64>,
    opened_at: i64,
    ended_at: Option<i64>,
}

impl TryFrom<Row> for Wake {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            device: DeviceId::new(uuid(&row.device_id)?),
            session: counted(row.session, "session of a wake")?,
            state: WakeState::parse(&row.state).ok_or_else(|| damaged("state of a wake"))?,
            is_asked: row.is_asked,
            attempts: counted(row.attempts, "number of attempts")?,
            attempted_at: moment(row.attempted_at),
            trouble: row.trouble,
            next_at: moment(row.next_at),
            expires_at: moment(row.expires_at),
            opened_at: Timestamp::from_micros(row.opened_at),
            ended_at: moment(row.ended_at),
        })
    }
}

impl Tx<'_> {
    /// Has those of these devices woken that have a push address, and rings the task that does it; how many they are. `is_asked` says that it is done
    /// even if there is nothing to do on them.
    pub fn open_wakes(
        &mut self,
        asked: &[DeviceId],
        is_asked: bool,
        expires_at: Option<Timestamp>,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<usize> {
        let mut opened = 0;
        // Numbers of one device must differ from those of its last wakes, which the row counts on, and those of a device that was never woken may be any.
        let session = now.micros().div_euclid(1_000_000).rem_euclid(65_535).saturating_add(1);
        for chunk in asked.chunks(DEVICES_PER_STATEMENT) {
            let devices: Vec<_> = chunk.iter().map(|device| text(device.uuid())).collect();
            macro_rules! bound {
                ($sql:ident) => {
                    sql_query($sql)
                        .bind::<BigInt, _>(session)
                        .bind::<Bool, _>(is_asked)
                        .bind::<BigInt, _>(now.micros())
                        .bind::<Nullable<BigInt>, _>(micros(expires_at))
                };
            }
            opened += match &mut self.conn {
                Conn::Pg(conn) => bound!(OPEN_POSTGRES).bind::<Array<Text>, _>(devices).bind::<BigInt, _>(LATELY).execute(*conn),
                Conn::Sqlite(conn) => {
                    let devices = crate::column::document(&devices)?;
                    bound!(OPEN_SQLITE).bind::<Text, _>(devices).bind::<BigInt, _>(LATELY).execute(*conn)
                }
            }
            .map_err(failed)?;
        }
        if opened > 0 {
            self.ring_waking(now, ids)?;
        }
        Ok(opened)
    }

    /// Has the standing task look at once.
    pub fn ring_waking(&mut self, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let task = NewTask::new(WAKE, WAKE.to_owned(), &(), now)?;
        self.enqueue(TaskId::new(ids.new_id()), &task, now)
    }

    /// The last wake of a device.
    pub fn wake(&mut self, device: DeviceId) -> Result<Option<Wake>> {
        let found = wakes::table.find(text(device.uuid()));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.map(Wake::try_from).transpose()
    }

    /// Ends the wakes of devices that called by themselves: of each the opening that its call has seen, and when it called. One that was opened
    /// once more since then stays.
    pub fn end_wakes_called(&mut self, called: &[(DeviceId, u64, Timestamp)]) -> Result<()> {
        let mut called: Vec<_> =
            called.iter().map(|(device, opening, at)| (text(device.uuid()), number(*opening), at.micros())).collect();
        called.sort_unstable();
        match &mut self.conn {
            Conn::Pg(conn) => called.chunks(DEVICES_PER_STATEMENT).try_for_each(|chunk| {
                let column = |pick: fn(&(String, i64, i64)) -> i64| chunk.iter().map(pick).collect::<Vec<_>>();
                sql_query(CALLED)
                    .bind::<Text, _>(WakeState::Called.as_str())
                    .bind::<Array<Text>, _>(chunk.iter().map(|(device, ..)| device.as_str()).collect::<Vec<_>>())
                    .bind::<Array<BigInt>, _>(column(|(_, opening, _)| *opening))
                    .bind::<Array<BigInt>, _>(column(|(.., at)| *at))
                    .execute(*conn)
                    .map(drop)
            }),
            // One prepared statement for each row is SQLite's fastest way.
            Conn::Sqlite(conn) => called.into_iter().try_for_each(|(device, opening, at)| {
                let place = open_wake(device).filter(wakes::openings.eq(opening));
                diesel::update(place).set(ended(WakeState::Called, at)).execute(*conn).map(drop)
            }),
        }
        .map_err(failed)
    }

    /// Gives the wakes of devices that called, but were opened once more since their call looked for work, a number of their own: a device does not
    /// heed a notification that it has answered already.
    pub fn renew_wakes(&mut self, called: &[(DeviceId, u64, Timestamp)], now: Timestamp, ids: &mut Ids) -> Result<()> {
        let mut called: Vec<_> = called.iter().map(|(device, opening, _)| (text(device.uuid()), number(*opening))).collect();
        called.sort_unstable();
        let renewed = match &mut self.conn {
            Conn::Pg(conn) => called.chunks(DEVICES_PER_STATEMENT).try_fold(0, |renewed, chunk| {
                let query = sql_query(RENEW_POSTGRES)
                    .bind::<BigInt, _>(now.micros())
                    .bind::<Array<Text>, _>(chunk.iter().map(|(device, _)| device.as_str()).collect::<Vec<_>>())
                    .bind::<Array<BigInt>, _>(chunk.iter().map(|(_, opening)| *opening).collect::<Vec<_>>());
                query.execute(*conn).map(|rows| renewed + rows)
            }),
            Conn::Sqlite(conn) => called.iter().try_fold(0, |renewed, (device, opening)| {
                let query = sql_query(RENEW_SQLITE).bind::<BigInt, _>(now.micros());
                query.bind::<Text, _>(device.as_str()).bind::<BigInt, _>(*opening).execute(*conn).map(|rows| renewed + rows)
            }),
        }
        .map_err(failed)?;
        if renewed > 0 { self.ring_waking(now, ids) } else { Ok(()) }
    }

    /// Ends the wake of a device that called because it was woken: its session has one of those numbers, or one with its bytes swapped. False when the wake
    /// was for another session, is over, or was opened once more since the call has seen that `opening`.
    pub fn end_wake_answered(
        &mut self,
        device: DeviceId,
        sessions: [Option<u16>; 2],
        opening: u64,
        at: Timestamp,
    ) -> Result<bool> {
        let may_be = sessions.into_iter().flatten().flat_map(|session| [session, session.swap_bytes()].map(i64::from));
        let place =
            open_wake(text(device.uuid())).filter(wakes::openings.eq(number(opening))).filter(wakes::session.eq_any(may_be));
        let update = diesel::update(place).set(ended(WakeState::Answered, at.micros()));
        Ok(on!(self, conn => update.execute(conn)).map_err(failed)? > 0)
    }

    fn end_wake(&mut self, device: DeviceId, state: WakeState, now: Timestamp) -> Result<()> {
        let update = diesel::update(open_wake(text(device.uuid()))).set(ended(state, now.micros()));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }
}

/// The wake of a device, if it is open. Its end may come at any time, and what is over stays over.
#[diesel::dsl::auto_type(no_type_alias)]
fn open_wake(device: String) -> _ {
    wakes::table.find(device).filter(wakes::next_at.is_not_null())
}

/// A wake that is over.
type Ended = (
    diesel::dsl::Eq<wakes::state, &'static str>,
    diesel::dsl::Eq<wakes::next_at, Option<i64>>,
    diesel::dsl::Eq<wakes::ended_at, i64>,
);

fn ended(state: WakeState, at: i64) -> Ended {
    (wakes::state.eq(state.as_str()), wakes::next_at.eq(None), wakes::ended_at.eq(at))
}
