//! What became of sessions, and what was said in them where somebody wanted to see it: the latter sealed.
use diesel::prelude::*;
use dmwsi_domain::id::{DeviceId, OrganisationId, SessionId};
use dmwsi_domain::session_record::{FaultCode, SessionEnd, SessionRecord};
use dmwsi_domain::tracing::{TracedMessage, Tracing};
use dmwsi_domain::{Error, Result, Timestamp};

use crate::column::{counted, damaged, document, micros, moment, number, parsed, text, uuid};
use crate::failed::belongs;
use crate::schema::{devices, session_messages, session_records};
use crate::seal::Place;
use crate::{Kept, Keys, Tx, failed, on};

/// The columns of a device that say whether its messages are kept.
#[derive(Queryable, Selectable)]
#[diesel(table_name = devices)]
pub(crate) struct TracingColumns {
    traced_until: Option<i64>,
    traced_messages: i64,
    traced_bytes: i64,
}

impl TracingColumns {
    pub(crate) fn tracing(self) -> Result<Option<Tracing>> {
        let Some(until) = moment(self.traced_until) else { return Ok(None) };
        let messages = counted(self.traced_messages, "number of messages")?;
        Ok(Some(Tracing { until, messages, bytes: counted(self.traced_bytes, "number of bytes")? }))
    }
}

#[derive(AsChangeset, Insertable, Queryable, Selectable)]
#[diesel(table_name = session_records, treat_none_as_null = true)]
struct Row {
    id: String,
    device_id: String,
    began_at: i64,
    heard_at: i64,
    ended_at: Option<i64>,
    ended_as: Option<String>,
    document: String,
}

impl TryFrom<&SessionRecord> for Row {
    type Error = Error;

    fn try_from(record: &SessionRecord) -> Result<Self> {
        Ok(Self {
            id: text(record.id.uuid()),
            device_id: text(record.device.uuid()),
            began_at: record.began_at.micros(),
            heard_at: record.heard_at.micros(),
            ended_at: micros(record.ended_at),
            ended_as: record.ended_as.map(|end| end.as_str().to_owned()),
            document: document(&record.course)?,
        })
    }
}

impl TryFrom<Row> for SessionRecord {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let end = |word: String| SessionEnd::parse(&word).ok_or_else(|| damaged("end of a session"));
        Ok(Self {
            id: SessionId::new(uuid(&row.id)?),
            device: DeviceId::new(uuid(&row.device_id)?),
            began_at: Timestamp::from_micros(row.began_at),
            heard_at: Timestamp::from_micros(row.heard_at),
            ended_at: moment(row.ended_at),
            ended_as: row.ended_as.map(end).transpose()?,
            course: parsed(&row.document)?,
        })
    }
}

/// A message that was kept, what was said sealed.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = session_messages)]
pub struct MessageRow {
    record_id: String,
    number: i64,
    at: i64,
    document: Vec<u8>,
    repeats: i64,
}

/// Which of a device's sessions a page holds, the latest first.
#[derive(Clone, Copy, Debug)]
pub struct RecordPage {
    /// The device.
    pub device: DeviceId,
    /// Only those before this one.
    pub before: Option<SessionId>,
    /// At most so many.
    pub limit: i64,
}

impl Keys {
    /// Seals the message of that number, and says how large it was before.
    pub fn seal_message(
        &self,
        session: SessionId,
        message: u32,
        said: &TracedMessage,
        at: Timestamp,
    ) -> Result<(MessageRow, u64)> {
        let record_id = text(session.uuid());
        let plain = document(said)?;
        let sealed = self.seal(place_of(&row_name(&record_id, i64::from(message))), plain.as_bytes())?;
        let size = u64::try_from(plain.len()).unwrap_or(u64::MAX);
        Ok((MessageRow { record_id, number: i64::from(message), at: at.micros(), document: sealed, repeats: 0 }, size))
    }

    /// Opens one: its number, when it came and what was said.
    pub fn open_message(&self, row: &MessageRow) -> Result<(u32, Timestamp, TracedMessage)> {
        let opened = self.open(place_of(&row_name(&row.record_id, row.number)), &row.document)?;
        let said = serde_json::from_slice(opened.expose()).map_err(Error::internal)?;
        Ok((row.number()?, Timestamp::from_micros(row.at), said))
    }
}

impl MessageRow {
    /// Its place in the session, from 1.
    pub fn number(&self) -> Result<u32> {
        counted(self.number, "number of a message")
    }

    /// How often it came again and was answered the same.
    pub fn repeats(&self) -> Result<u32> {
        counted(self.repeats, "number of repetitions")
    }
}

fn row_name(record: &str, message: i64) -> String {
    format!("{record}/{message}")
}

const fn place_of(row: &str) -> Place<'_> {
    Place { table: "session_messages", column: "document", row }
}

impl Tx<'_> {
    /// Writes a record for the first time. `Stale` when the device was deleted.
    pub fn insert_session_record(&mut self, record: &SessionRecord) -> Result<()> {
        let insert = diesel::insert_into(session_records::table).values(Row::try_from(record)?).on_conflict_do_nothing();
        let insert = Kept(insert.returning(session_records::heard_at));
        belongs(on!(self, conn => insert.load::<i64>(conn)), || Error::Stale { what: "device" }).map(drop)
    }

    /// Writes a record anew; one that was forgotten meanwhile stays so.
    pub fn update_session_record(&mut self, record: &SessionRecord) -> Result<()> {
        let row = Row::try_from(record)?;
        let update =
            Kept(diesel::update(session_records::table.find(row.id.clone())).set(row).returning(session_records::heard_at));
        on!(self, conn => update.load::<i64>(conn)).map(drop).map_err(failed)
    }

    /// A session is over, unless it was before.
    pub fn end_session_record(&mut self, id: SessionId, end: SessionEnd, now: Timestamp) -> Result<()> {
        let open = session_records::table.find(text(id.uuid())).filter(session_records::ended_at.is_null());
        let row = on!(self, conn => open.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        let Some(mut record) = row.map(SessionRecord::try_from).transpose()? else { return Ok(()) };
        if end == SessionEnd::Silent {
            record.course.fails(FaultCode::Silent, "Nothing more was heard of the device.", now);
        }
        record.end(end, now);
        self.update_session_record(&record)
    }

    /// Keeps a message of a session of which there is a record, and counts it.
    pub fn keep_message(&mut self, device: DeviceId, message: &MessageRow, size: u64) -> Result<()> {
        let insert = diesel::insert_into(session_messages::table).values(message).on_conflict_do_nothing();
        belongs(on!(self, conn => insert.execute(conn)), || Error::Stale { what: "device" })?;
        let count = diesel::update(devices::table.find(text(device.uuid()))).set((
            devices::traced_messages.eq(devices::traced_messages + 1),
            devices::traced_bytes.eq(devices::traced_bytes + number(size)),
        ));
        on!(self, conn => count.execute(conn)).map(drop).map_err(failed)
    }

    /// Counts a repetition of a message; nothing happens where that message is not kept.
    pub fn count_repetition(&mut self, session: SessionId, message: u32) -> Result<()> {
        let kept = session_messages::table.find((text(session.uuid()), i64::from(message)));
        let count = diesel::update(kept).set(session_messages::repeats.eq(session_messages::repeats + 1));
        on!(self, conn => count.execute(conn)).map(drop).map_err(failed)
    }

    /// Whether the messages of a device of the organisation are kept.
    pub fn tracing(&mut self, organisation: OrganisationId, device: DeviceId) -> Result<Option<Tracing>> {
        let found = devices::table.find(text(device.uuid())).filter(devices::organisation_id.eq(text(organisation.uuid())));
        let columns = on!(self, conn => found.select(TracingColumns::as_select()).first(conn)).optional().map_err(failed)?;
        columns.ok_or(Error::NotFound { what: "device" })?.tracing()
    }

    /// Has the messages of a device kept from now on, or no longer.
    pub fn set_tracing(&mut self, device: DeviceId, tracing: Option<Tracing>) -> Result<()> {
        let update = diesel::update(devices::table.find(text(device.uuid()))).set((
            devices::traced_until.eq(micros(tracing.map(|tracing| tracing.until))),
            devices::traced_messages.eq(tracing.map_or(0, |tracing| i64::from(tracing.messages))),
            devices::traced_bytes.eq(tracing.map_or(0, |tracing| number(tracing.bytes))),
        ));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// A page of a device's sessions.
    pub fn session_records(&mut self, page: RecordPage) -> Result<Vec<SessionRecord>> {
        // Ids sort as text, and no id comes after this one.
        let before = page.before.map_or_else(|| "g".to_owned(), |id| text(id.uuid()));
        let found = session_records::table
            .filter(session_records::device_id.eq(text(page.device.uuid())))
            .filter(session_records::id.lt(before))
            .order(session_records::id.desc())
            .limit(page.limit);
        let rows: Vec<Row> = on!(self, conn => found.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(SessionRecord::try_from).collect()
    }

    /// A session of that device.
    pub fn session_record(&mut self, device: DeviceId, id: SessionId) -> Result<SessionRecord> {
        let found = session_records::table.find(text(id.uuid())).filter(session_records::device_id.eq(text(device.uuid())));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.ok_or(Error::NotFound { what: "session" })?.try_into()
    }

    /// What was said in a session, those after that number, at most `limit`.
    pub fn session_messages(&mut self, id: SessionId, after: u32, limit: i64) -> Result<Vec<MessageRow>> {
        let found = session_messages::table
            .filter(session_messages::record_id.eq(text(id.uuid())))
            .filter(session_messages::number.gt(i64::from(after)))
            .order(session_messages::number)
            .limit(limit);
        on!(self, conn => found.select(MessageRow::as_select()).load(conn)).map_err(failed)
    }

    /// Ends what was not heard of since that time and has no end yet, at most `most`; how many they were.
    pub fn end_silent_records(&mut self, before: Timestamp, most: i64, now: Timestamp) -> Result<usize> {
        let found = session_records::table
            .filter(session_records::ended_at.is_null())
            .filter(session_records::heard_at.le(before.micros()))
            .order(session_records::heard_at)
            .limit(most)
            .select(session_records::id);
        let silent: Vec<String> = on!(self, conn => found.load(conn)).map_err(failed)?;
        for id in &silent {
            self.end_session_record(SessionId::new(uuid(id)?), SessionEnd::Silent, now)?;
        }
        Ok(silent.len())
    }

    /// Forgets what was last heard of at that time or before, with its messages, at most `most`; how many they were.
    pub fn forget_session_records(&mut self, before: Timestamp, most: i64) -> Result<usize> {
        let old = session_records::table
            .filter(session_records::heard_at.le(before.micros()))
            .order(session_records::heard_at)
            .limit(most)
            .select(session_records::id);
        let old: Vec<String> = on!(self, conn => old.load(conn)).map_err(failed)?;
        for chunk in old.chunks(500) {
            let gone = diesel::delete(session_records::table.filter(session_records::id.eq_any(chunk)));
            on!(self, conn => gone.execute(conn)).map_err(failed)?;
        }
        Ok(old.len())
    }
}
