//! Sessions of devices that have work: one row a device, stored between messages so that any gateway process may take the next.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use diesel::prelude::*;
use dmwsi_domain::id::{DeviceId, JobId};
use dmwsi_domain::{Error, Result, Timestamp};

use crate::column::{counted, damaged, number, text, uuid};
use crate::failed::belongs;
use crate::schema::sessions;
use crate::seal::Place;
use crate::tx::Tx;
use crate::{Kept, Keys, failed, on};

/// How the document of a sealed session begins. No JSON begins so.
pub const SEALED_SESSION: &str = "sealed:";

/// What stands between document and reply where both are sealed. No JSON holds it.
const BETWEEN: u8 = 0;

/// A session as it rests between two messages.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// The device.
    pub device: DeviceId,
    /// The text of the SessionID.
    pub session: String,
    /// Tells apart sessions to which a device gave the same SessionID.
    pub generation: u64,
    /// The execution that the session is at.
    pub execution: Option<(JobId, u32)>,
    /// The state of the session, as JSON of the gateway.
    pub document: String,
    /// The epoch of the nonces given in it.
    pub nonce_epoch: u64,
    /// The counter of the last nonce given in it.
    pub nonce_counter: u64,
    /// The MsgID of the last message.
    pub last_message: u32,
    /// A digest of the last message's body.
    pub last_body: Vec<u8>,
    /// The reply to the last message, as it was sent.
    pub last_reply: Vec<u8>,
    /// When it began.
    pub created_at: Timestamp,
    /// When the last message came.
    pub updated_at: Timestamp,
    /// Counts changes.
    pub revision: u64,
}

#[derive(AsChangeset, Insertable, Queryable, Selectable)]
#[diesel(table_name = sessions, treat_none_as_null = true)]
struct Row {
    device_id: String,
    session: String,
    generation: i64,
    is_open: bool,
    job_id: Option<String>,
    ordinal: Option<i64>,
    document: String,
    nonce_epoch: i64,
    nonce_counter: i64,
    last_message: i64,
    last_body: Vec<u8>,
    last_reply: Vec<u8>,
    created_at: i64,
    updated_at: i64,
    revision: i64,
}

impl From<&StoredSession> for Row {
    fn from(session: &StoredSession) -> Self {
        Self {
            device_id: text(session.device.uuid()),
            session: session.session.clone(),
            generation: number(session.generation),
            is_open: true,
            job_id: session.execution.map(|(job, _)| text(job.uuid())),
            ordinal: session.execution.map(|(_, ordinal)| i64::from(ordinal)),
            document: session.document.clone(),
            nonce_epoch: number(session.nonce_epoch),
            nonce_counter: number(session.nonce_counter),
            last_message: i64::from(session.last_message),
            last_body: session.last_body.clone(),
            last_reply: session.last_reply.clone(),
            created_at: session.created_at.micros(),
            updated_at: session.updated_at.micros(),
            revision: number(session.revision),
        }
    }
}

impl TryFrom<Row> for StoredSession {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let execution = match (row.job_id, row.ordinal) {
            (Some(job), Some(ordinal)) => Some((JobId::new(uuid(&job)?), counted(ordinal, "ordinal")?)),
            _ => None,
        };
        Ok(Self {
            device: DeviceId::new(uuid(&row.device_id)?),
            session: row.session,
            generation: counted(row.generation, "generation")?,
            execution,
            document: row.document,
            nonce_epoch: counted(row.nonce_epoch, "nonce epoch")?,
            nonce_counter: counted(row.nonce_counter, "nonce counter")?,
            last_message: counted(row.last_message, "last message")?,
            last_body: row.last_body,
            last_reply: row.last_reply,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            revision: counted(row.revision, "revision")?,
        })
    }
}

impl Keys {
    /// The session with its document and its last reply sealed, for one in which a secret was said that is not answered yet.
    pub fn seal_session(&self, session: StoredSession) -> Result<StoredSession> {
        let clear = [session.document.as_bytes(), &[BETWEEN], &session.last_reply].concat();
        let sealed = self.seal(place(&text(session.device.uuid())), &clear)?;
        let document = format!("{SEALED_SESSION}{}", BASE64_STANDARD.encode(sealed));
        Ok(StoredSession { document, last_reply: Vec::new(), ..session })
    }

    /// The session as it was before it was sealed, if it was.
    pub fn open_session(&self, session: StoredSession) -> Result<StoredSession> {
        let Some(sealed) = session.document.strip_prefix(SEALED_SESSION) else { return Ok(session) };
        let sealed = BASE64_STANDARD.decode(sealed).map_err(Error::internal)?;
        let clear = self.open(place(&text(session.device.uuid())), &sealed)?;
        let mut parts = clear.expose().splitn(2, |octet| *octet == BETWEEN);
        let (Some(document), Some(reply)) = (parts.next(), parts.next()) else { return Err(damaged("session")) };
        let document = String::from_utf8(document.to_vec()).map_err(Error::internal)?;
        Ok(StoredSession { document, last_reply: reply.to_vec(), ..session })
    }
}

const fn place(row: &str) -> Place<'_> {
    Place { table: "sessions", column: "document", row }
}

impl Tx<'_> {
    /// The session that the device has open, if any.
    pub fn open_session(&mut self, device: DeviceId) -> Result<Option<StoredSession>> {
        let found = sessions::table.filter(sessions::device_id.eq(text(device.uuid()))).filter(sessions::is_open);
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.map(StoredSession::try_from).transpose()
    }

    /// Writes the session of a device that has none. `Stale` when another process was faster, or the device was deleted.
    pub fn insert_session(&mut self, session: &StoredSession) -> Result<()> {
        let insert = diesel::insert_into(sessions::table).values(Row::from(session)).on_conflict_do_nothing();
        let insert = Kept(insert.returning(sessions::revision));
        one(&belongs(on!(self, conn => insert.load(conn)), || Error::Stale { what: "device" })?)
    }

    /// Writes a session that has a row, or another one in its place; `session.revision` is the one that was read, the row gets the next.
    /// `Stale` when it was changed meanwhile.
    pub fn update_session(&mut self, session: &StoredSession) -> Result<()> {
        let next = Row { revision: number(session.revision.saturating_add(1)), ..Row::from(session) };
        let place = sessions::table
            .filter(sessions::device_id.eq(text(session.device.uuid())))
            .filter(sessions::is_open)
            .filter(sessions::revision.eq(number(session.revision)));
        let update = Kept(diesel::update(place).set(next).returning(sessions::revision));
        one(&on!(self, conn => update.load(conn)).map_err(failed)?)
    }

    /// Removes the device's session, if it is still as it was read.
    pub fn delete_session(&mut self, device: DeviceId, revision: u64) -> Result<()> {
        let place = sessions::table
            .filter(sessions::device_id.eq(text(device.uuid())))
            .filter(sessions::is_open)
            .filter(sessions::revision.eq(number(revision)));
        let deletion = Kept(diesel::delete(place).returning(sessions::revision));
        one(&on!(self, conn => deletion.load(conn)).map_err(failed)?)
    }

    /// Sessions whose last message came at `before` or earlier, the eldest first.
    pub fn idle_sessions(&mut self, before: Timestamp, most: u32) -> Result<Vec<StoredSession>> {
        let found =
            sessions::table.filter(sessions::updated_at.le(before.micros())).order(sessions::updated_at).limit(i64::from(most));
        let rows: Vec<Row> = on!(self, conn => found.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(StoredSession::try_from).collect()
    }
}

fn one(written: &[i64]) -> Result<()> {
    if written.len() == 1 { Ok(()) } else { Err(Error::Stale { what: "session" }) }
}
