//! Answers kept for repeated requests: a key of a client stands for one request for 24 hours.
use std::time::Duration;

use diesel::prelude::*;
use dmwsi_domain::id::ClientId;
use dmwsi_domain::{Error, Result, Timestamp};

use crate::schema::idempotency_keys;
use crate::{Tx, failed, on};

/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A request that may be repeated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdempotencyClaim {
    /// Whose request it is; another client's keys are never met.
    pub client: ClientId,
    /// The key the client gave it.
    pub key: String,
    /// SHA-256 of everything that makes it this request.
    pub fingerprint: [u8; 32],
    /// When it came.
    pub now: Timestamp,
}

/// An answer as it is kept; the body is opaque here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredAnswer {
    /// The status.
    pub status: u16,
    /// The headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// The body, as it was given.
    pub body: Vec<u8>,
}

/// Whether a request is the first of its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Begun {
    /// It ran before, with this answer.
    Before(StoredAnswer),
    /// It is the first: it runs now.
    Now,
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = idempotency_keys)]
struct Row {
    client_id: String,
    key: String,
    fingerprint: Vec<u8>,
    status: Option<i64>,
    headers: Option<String>,
    body: Option<Vec<u8>>,
    created_at: i64,
    expires_at: i64,
}

fn client(id: ClientId) -> String {
    id.uuid().simple().to_string()
}

impl Tx<'_> {
    /// Takes the key for this request. Another request under the same key is refused, and so is a repetition while the first still runs
    /// (where begin and finish stand in different transactions; in one, the second waits for the first).
    pub fn idempotent_begin(&mut self, claim: &IdempotencyClaim) -> Result<Begun> {
        let old = idempotency_keys::table
            .filter(idempotency_keys::client_id.eq(client(claim.client)))
            .filter(idempotency_keys::key.eq(claim.key.clone()))
            .filter(idempotency_keys::expires_at.le(claim.now.micros()));
        on!(self, conn => diesel::delete(old).execute(conn)).map_err(failed)?;
        let row = Row {
            client_id: client(claim.client),
            key: claim.key.clone(),
            fingerprint: claim.fingerprint.to_vec(),
            status: None,
            headers: None,
            body: None,
            created_at: claim.now.micros(),
            expires_at: claim.now.plus(KEPT).micros(),
        };
        let insert = diesel::insert_into(idempotency_keys::table).values(row).on_conflict_do_nothing();
        if on!(self, conn => insert.execute(conn)).map_err(failed)? == 1 {
            return Ok(Begun::Now);
        }
        let found = idempotency_keys::table.find((client(claim.client), claim.key.clone()));
        let row: Option<Row> = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        let running = || Error::conflict("IDEMPOTENCY_KEY_IN_USE", "The first request with this Idempotency-Key still runs.");
        // None: the one that held the key was just swept away; a repetition finds it free.
        let row = row.ok_or_else(running)?;
        if row.fingerprint != claim.fingerprint {
            return Err(Error::invalid("", "IDEMPOTENCY_KEY_REUSED", "The Idempotency-Key was used for another request."));
        }
        let status = row.status.ok_or_else(running)?;
        Ok(Begun::Before(StoredAnswer {
            status: u16::try_from(status).map_err(Error::internal)?,
            headers: serde_json::from_str(row.headers.as_deref().unwrap_or("[]")).map_err(Error::internal)?,
            body: row.body.unwrap_or_default(),
        }))
    }

    /// Keeps the answer. A status of 429 or 5xx is not kept: the key is given back, and a repetition runs again.
    pub fn idempotent_finish(&mut self, claim: &IdempotencyClaim, answer: &StoredAnswer) -> Result<()> {
        let row = idempotency_keys::table.find((client(claim.client), claim.key.clone()));
        let passing = answer.status == 429 || answer.status >= 500;
        let changed = if passing {
            on!(self, conn => diesel::delete(row).execute(conn))
        } else {
            let headers = serde_json::to_string(&answer.headers).map_err(Error::internal)?;
            let update = diesel::update(row).set((
                idempotency_keys::status.eq(Some(i64::from(answer.status))),
                idempotency_keys::headers.eq(Some(headers)),
                idempotency_keys::body.eq(Some(answer.body.clone())),
            ));
            on!(self, conn => update.execute(conn))
        };
        if changed.map_err(failed)? == 1 { Ok(()) } else { Err(Error::Stale { what: "idempotency key" }) }
    }

    /// Forgets up to `limit` answers whose time is over; how many those were.
    pub fn sweep_idempotency_keys(&mut self, now: Timestamp, limit: i64) -> Result<usize> {
        let old = idempotency_keys::table
            .filter(idempotency_keys::expires_at.le(now.micros()))
            .order(idempotency_keys::expires_at)
            .select((idempotency_keys::client_id, idempotency_keys::key))
            .limit(limit);
        let keys: Vec<(String, String)> = on!(self, conn => old.load(conn)).map_err(failed)?;
        let mut swept = 0usize;
        for (client, key) in keys {
            let gone = on!(self, conn => diesel::delete(idempotency_keys::table.find((client, key))).execute(conn));
            swept = swept.saturating_add(gone.map_err(failed)?);
        }
        Ok(swept)
    }
}
