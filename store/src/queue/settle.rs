//! How a claim ends. Each statement is guarded by the claim's number: a holder that lost its claim changes nothing.
use diesel::pg::PgConnection;
use diesel::sql_types::{Array, BigInt, Text};
use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl, SqliteConnection, sql_query};
use dmwsi_domain::{Result, Timestamp};

use super::Hold;
use super::enqueue::Written;
use super::schema::tasks;
use crate::tx::Conn;
use crate::{Kept, Tx, failed, on};

/// The end of a claim.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Settled {
    /// It will never succeed: a dead letter, unless it was rung meanwhile.
    Dead {
        /// Why, for the operator.
        error: String,
    },
    /// There is nothing left to do: gone, unless it was rung meanwhile; then it runs again, with all its attempts.
    Done,
    /// It got somewhere and has more to do from `at` on, with all its attempts.
    Progress {
        /// When it goes on; at once if it was rung meanwhile.
        at: Timestamp,
    },
    /// It was never started: as if it had not been claimed.
    PutBack,
    /// It failed and is tried again; a dead letter when that was its last attempt and nobody has rung.
    Retry {
        /// When it is tried again; a ring does not make it earlier.
        at: Timestamp,
        /// Why, for the operator.
        error: String,
    },
}

/// A claim and its end.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Whose claim of what.
    pub hold: Hold,
    /// How it ended.
    pub settled: Settled,
}

const DONE: &str = "
DELETE FROM tasks USING unnest($1, $2) AS held (id, claim)
WHERE tasks.id = held.id AND tasks.claim = held.claim AND state = 'CLAIMED' AND NOT again";

const HOLD: &str = "SELECT id FROM tasks WHERE id = ANY($1) ORDER BY queue, key FOR UPDATE";

const RENEW: &str = "
UPDATE tasks SET lease_until = $3 FROM unnest($1, $2) AS held (id, claim)
WHERE tasks.id = held.id AND tasks.claim = held.claim AND state = 'CLAIMED'";

const READY: &str = "state = 'READY', worker = NULL, lease_until = NULL, again = FALSE";
const GUARD: &str = "AND state = 'CLAIMED'";

impl Tx<'_> {
    /// Settles claims and says how many were still held; those that were not are unchanged. Queues that have a task to run again are rung.
    pub fn settle(&mut self, settlements: &[Settlement], now: Timestamp) -> Result<usize> {
        self.hold_tasks(settlements.iter().map(|one| &one.hold)).map_err(failed)?;
        let done: Vec<&Settlement> = settlements.iter().filter(|one| one.settled == Settled::Done).collect();
        let mut held = self.finish(&done).map_err(failed)?;
        // Of those that are done only the ones that were rung are still there to be made ready.
        let rung = done.len() > held;
        for settlement in settlements {
            if settlement.settled != Settled::Done || rung {
                let changed = self.change(settlement, now).map_err(failed)?;
                if changed > 0 {
                    self.ring(settlement.hold.queue);
                }
                held += changed;
            }
        }
        Ok(held)
    }

    /// Holds the tasks in the order of their keys, as whoever rings several does: so neither waits for the other for ever.
    fn hold_tasks<'h>(&mut self, holds: impl ExactSizeIterator<Item = &'h Hold>) -> QueryResult<()> {
        match &mut self.conn {
            Conn::Pg(conn) if holds.len() > 1 => {
                let (ids, _) = pairs(holds);
                Kept(sql_query(HOLD).bind::<Array<Text>, _>(ids)).load::<Written>(*conn).map(drop)
            }
            // SQLite has one writer.
            Conn::Pg(_) | Conn::Sqlite(_) => Ok(()),
        }
    }

    /// Deletes the tasks that are done and were not rung.
    fn finish(&mut self, done: &[&Settlement]) -> QueryResult<usize> {
        if done.is_empty() {
            return Ok(0);
        }
        match &mut self.conn {
            Conn::Pg(conn) => {
                let (ids, claims) = pairs(done.iter().map(|one| &one.hold));
                sql_query(DONE).bind::<Array<Text>, _>(ids).bind::<Array<BigInt>, _>(claims).execute(*conn)
            }
            // One prepared statement for each row is SQLite's fastest way.
            Conn::Sqlite(conn) => done.iter().try_fold(0, |held, one| Ok(held + finish_one(conn, &one.hold)?)),
        }
    }

    fn change(&mut self, settlement: &Settlement, now: Timestamp) -> QueryResult<usize> {
        let (id, claim) = (key(&settlement.hold), settlement.hold.claim);
        match &settlement.settled {
            Settled::Done => {
                let sql = format!(
                    "UPDATE tasks SET {READY}, attempt = 0, error = NULL, run_at = $1 WHERE id = $2 AND claim = $3 {GUARD} AND again"
                );
                let query = sql_query(sql).bind::<BigInt, _>(now.micros()).bind::<Text, _>(id).bind::<BigInt, _>(claim);
                on!(self, conn => query.execute(conn))
            }
            Settled::Progress { at } => {
                let sql = format!(
                    "UPDATE tasks SET {READY}, attempt = 0, error = NULL, run_at = CASE WHEN again THEN $1 ELSE $2 END
                    WHERE id = $3 AND claim = $4 {GUARD}"
                );
                let query = sql_query(sql)
                    .bind::<BigInt, _>(now.micros())
                    .bind::<BigInt, _>(at.micros())
                    .bind::<Text, _>(id)
                    .bind::<BigInt, _>(claim);
                on!(self, conn => query.execute(conn))
            }
            Settled::Retry { at, error } => {
                let sql = "UPDATE tasks SET worker = NULL, lease_until = NULL, error = $1, run_at = $2, again = FALSE,
                    state = CASE WHEN attempt >= max_attempts AND NOT again THEN 'DEAD' ELSE 'READY' END,
                    attempt = CASE WHEN again THEN 0 ELSE attempt END
                    WHERE id = $3 AND claim = $4 AND state = 'CLAIMED'";
                let query = sql_query(sql)
                    .bind::<Text, _>(error)
                    .bind::<BigInt, _>(at.micros())
                    .bind::<Text, _>(id)
                    .bind::<BigInt, _>(claim);
                on!(self, conn => query.execute(conn))
            }
            Settled::Dead { error } => {
                let sql = "UPDATE tasks SET worker = NULL, lease_until = NULL, error = $1, again = FALSE,
                    state = CASE WHEN again THEN 'READY' ELSE 'DEAD' END,
                    attempt = CASE WHEN again THEN 0 ELSE attempt END,
                    run_at = CASE WHEN again THEN $2 ELSE run_at END
                    WHERE id = $3 AND claim = $4 AND state = 'CLAIMED'";
                let query = sql_query(sql)
                    .bind::<Text, _>(error)
                    .bind::<BigInt, _>(now.micros())
                    .bind::<Text, _>(id)
                    .bind::<BigInt, _>(claim);
                on!(self, conn => query.execute(conn))
            }
            Settled::PutBack => {
                let sql = format!("UPDATE tasks SET {READY}, attempt = attempt - 1 WHERE id = $1 AND claim = $2 {GUARD}");
                let query = sql_query(sql).bind::<Text, _>(id).bind::<BigInt, _>(claim);
                on!(self, conn => query.execute(conn))
            }
        }
    }

    /// Holds claims until `lease_until` and says how many were still held.
    pub fn renew(&mut self, held: &[Hold], lease_until: Timestamp) -> Result<usize> {
        self.hold_tasks(held.iter()).map_err(failed)?;
        match &mut self.conn {
            Conn::Pg(conn) => renew_pg(conn, held, lease_until),
            Conn::Sqlite(conn) => held.iter().try_fold(0, |count, one| Ok(count + renew_one(conn, one, lease_until)?)),
        }
        .map_err(failed)
    }
}

fn key(hold: &Hold) -> String {
    hold.id.uuid().simple().to_string()
}

fn pairs<'h>(holds: impl Iterator<Item = &'h Hold>) -> (Vec<String>, Vec<i64>) {
    holds.map(|hold| (key(hold), hold.claim)).unzip()
}

fn finish_one(conn: &mut SqliteConnection, one: &Hold) -> QueryResult<usize> {
    let task = tasks::table.filter(tasks::id.eq(key(one))).filter(tasks::claim.eq(one.claim));
    diesel::delete(task.filter(tasks::state.eq("CLAIMED")).filter(tasks::again.eq(false))).execute(conn)
}

fn renew_one(conn: &mut SqliteConnection, one: &Hold, lease_until: Timestamp) -> QueryResult<usize> {
    let task = tasks::table.filter(tasks::id.eq(key(one))).filter(tasks::claim.eq(one.claim)).filter(tasks::state.eq("CLAIMED"));
    diesel::update(task).set(tasks::lease_until.eq(lease_until.micros())).execute(conn)
}

fn renew_pg(conn: &mut PgConnection, held: &[Hold], lease_until: Timestamp) -> QueryResult<usize> {
    let (ids, claims) = pairs(held.iter());
    sql_query(RENEW)
        .bind::<Array<Text>, _>(ids)
        .bind::<Array<BigInt>, _>(claims)
        .bind::<BigInt, _>(lease_until.micros())
        .execute(conn)
}
