//! Faults that a server of this kind may have, put into a real one from outside: the database does to it what its own code would have done.
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::checker::Kind;
use crate::harness::Database;

/// A fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Planted {
    /// An event is written after the commit of what it tells of, by a transaction of its own. Until then it is in the memory of the process.
    EventAfterCommit,
    /// An event has its number before it is committed.
    NumberBeforeCommit,
    /// A delivery that failed is tried again from the memory of the process.
    RetriesInMemory,
    /// A second sequencer does not know of the first, and nothing in the database keeps them apart.
    TwoSequencers,
}

/// Deliveries that failed go, and what waited for them is due.
const FORGET_RETRIES: &str = "
DELETE FROM deliveries WHERE state = 'PENDING' AND attempt > 0;
UPDATE deliveries SET next_at = 1 WHERE state = 'PENDING' AND next_at IS NULL AND number = (
    SELECT MIN(number) FROM deliveries AS first WHERE first.subscription_id = deliveries.subscription_id
    AND first.order_key = deliveries.order_key AND first.state = 'PENDING');";

const LATER_POSTGRES: &str = "
CREATE TABLE memory (LIKE events);
CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('planted.is_later', true) = 'yes' THEN RETURN NEW; END IF;
    INSERT INTO memory SELECT NEW.*;
    RETURN NULL;
END $$;
CREATE TRIGGER later BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION later();";

const WRITE_LATER_POSTGRES: &str = "
BEGIN; SET LOCAL planted.is_later = 'yes';
WITH taken AS (DELETE FROM memory RETURNING *) INSERT INTO events SELECT * FROM taken; COMMIT;";

const WRITE_LATER_SQLITE: &str = "
BEGIN IMMEDIATE; UPDATE planted SET is_later = 1; INSERT INTO events SELECT * FROM memory; DELETE FROM memory;
UPDATE planted SET is_later = 0; COMMIT;";

/// The pause makes it likelier that of two transactions the later one is committed first, which happens anyhow. It is much longer than the
/// reader of the log takes for a turn on a busy machine: what only deliveries miss would not be called a gap.
const NUMBER_EARLY: &str = "
CREATE SEQUENCE numbers;
CREATE FUNCTION early() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.number := nextval('numbers');
    PERFORM pg_sleep(random() * 0.4);
    RETURN NEW;
END $$;
CREATE TRIGGER early BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION early();";

/// Who numbers early knows the end of the log by looking.
const LOOK_FOR_THE_END: &str =
    "UPDATE organisations SET next_event = GREATEST(next_event, (SELECT COALESCE(MAX(number), 0) + 1 FROM events));";

impl Planted {
    /// What the checker must call it.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::EventAfterCommit | Self::RetriesInMemory => Kind::Loss,
            Self::NumberBeforeCommit | Self::TwoSequencers => Kind::Gap,
        }
    }

    /// Whether it shows only when a process is killed.
    pub(crate) const fn wants_a_kill(self) -> bool {
        matches!(self, Self::EventAfterCommit | Self::RetriesInMemory)
    }

    /// Whether nothing is told without it. Two sequencers from the start may hide that the subscriptions have begun, before anything is looked for.
    pub(crate) const fn works_from_the_start(self) -> bool {
        !matches!(self, Self::TwoSequencers)
    }

    /// How badly receivers must answer for it to show, in failures of a hundred.
    pub(crate) const fn failures(self) -> [u64; 3] {
        if matches!(self, Self::RetriesInMemory) { [60, 40, 0] } else { [0; 3] }
    }

    /// Puts it into a database that has its schema.
    pub(crate) fn plant(self, database: &Database) {
        match self {
            Self::EventAfterCommit if database.is_postgres() => database.execute(LATER_POSTGRES),
            Self::EventAfterCommit => {
                let columns = database.lines("SELECT group_concat('NEW.' || name) AS line FROM pragma_table_info('events')");
                database.execute(&format!(
                    "CREATE TABLE memory AS SELECT * FROM events WHERE FALSE;
                    CREATE TABLE planted (is_later INTEGER NOT NULL); INSERT INTO planted VALUES (0);
                    CREATE TRIGGER later BEFORE INSERT ON events WHEN (SELECT is_later FROM planted) = 0
                    BEGIN INSERT INTO memory VALUES ({}); SELECT RAISE(IGNORE); END;",
                    columns[0]
                ));
            }
            Self::NumberBeforeCommit => database.execute(NUMBER_EARLY),
            Self::RetriesInMemory => {}
            Self::TwoSequencers => database.execute("ALTER TABLE events DROP CONSTRAINT events_organisation_id_number_key"),
        }
    }

    /// Does what the code with that fault would be doing, until it is aborted.
    pub(crate) fn work(self, database: Arc<Database>) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                let (database, pause) = (Arc::clone(&database), self.pause());
                tokio::task::spawn_blocking(move || self.turn(&database)).await.unwrap();
                tokio::time::sleep(pause).await;
            }
        })
    }

    const fn pause(self) -> Duration {
        Duration::from_millis(match self {
            Self::EventAfterCommit => 400,
            Self::NumberBeforeCommit => 10,
            Self::RetriesInMemory => 1_000,
            Self::TwoSequencers => 1,
        })
    }

    fn turn(self, database: &Database) {
        match self {
            Self::EventAfterCommit if database.is_postgres() => database.execute(WRITE_LATER_POSTGRES),
            Self::EventAfterCommit => database.execute(WRITE_LATER_SQLITE),
            Self::NumberBeforeCommit => database.execute(LOOK_FOR_THE_END),
            Self::RetriesInMemory => {}
            Self::TwoSequencers => number(database),
        }
    }

    /// What is lost with the memory of a process that was just killed.
    pub(crate) fn forget(self, database: &Database) {
        match self {
            Self::EventAfterCommit => database.execute("DELETE FROM memory"),
            Self::RetriesInMemory => database.execute(FORGET_RETRIES),
            Self::NumberBeforeCommit | Self::TwoSequencers => {}
        }
    }
}

/// A sequencer that looks, and writes what follows from it, and does not ask whether it is alone.
fn number(database: &Database) {
    let next = database.lines("SELECT next_event::TEXT AS line FROM organisations");
    let events = database.lines("SELECT id AS line FROM events WHERE number IS NULL ORDER BY id LIMIT 50");
    let Some(next) = next.first().map(|next| next.parse::<u64>().unwrap()).filter(|_| !events.is_empty()) else { return };
    let mut given: Vec<_> =
        events.iter().zip(next..).map(|(id, n)| format!("UPDATE events SET number = {n} WHERE id = '{id}'")).collect();
    let following = next + u64::try_from(given.len()).unwrap();
    given.push(format!("UPDATE organisations SET next_event = {following}"));
    given.iter().for_each(|statement| database.execute(statement));
}
