//! What the store itself promises, on SQLite; the same on both databases is proven in the workspace's tests.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel::{Connection, RunQueryDsl};
use dmwsi_domain::{Error, Result};

use crate::{DatabaseUrl, Notice, Settings, Store, Tx, failed, on, unique};

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Tx<'_> {
    fn put(&mut self, name: &str) -> Result<()> {
        let sql = format!("INSERT INTO strangers VALUES ('{name}', 'UNKNOWN', '', 0, 0, 0)");
        unique(on!(self, conn => sql_query(sql).execute(conn)), || Error::Exists { what: "stranger" }).map(drop)
    }

    fn count(&mut self) -> Result<i64> {
        let sql = sql_query("SELECT COUNT(*) AS count FROM strangers");
        Ok(on!(self, conn => sql.get_result::<Count>(conn)).map_err(failed)?.count)
    }
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Settings::of(DatabaseUrl::Sqlite(folder.path().join("test.db")))).unwrap();
    store.migrate().await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn what_is_written_is_read_and_a_reader_cannot_write() {
    let (_folder, store) = store().await;
    store.write(|tx| tx.put("a")).await.unwrap();
    assert_eq!(store.read(|tx| tx.count()).await.unwrap(), 1);
    assert!(store.read(|tx| tx.put("b")).await.is_err());
    assert!(matches!(store.write(|tx| tx.put("a")).await, Err(Error::Exists { what: "stranger" })));
    assert!(store.pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn only_the_failing_closure_of_a_batch_is_undone() {
    let (_folder, store) = store().await;
    let mut heard = store.notices();
    let write = |n: u32| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write(move |tx| {
                    tx.put(&format!("{n}"))?;
                    tx.ring(if n.is_multiple_of(3) { "kept" } else { "undone" });
                    match n % 3 {
                        0 => Ok(n),
                        1 => Err(Error::conflict("TEST", "no")),
                        _ => panic!("on purpose"),
                    }
                })
                .await
        })
    };
    let tasks: Vec<_> = (0..60).map(write).collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().is_ok(), n % 3 == 0);
    }
    assert_eq!(store.read(|tx| tx.count()).await.unwrap(), 20);
    for _ in 0..20 {
        assert_eq!(heard.try_recv().unwrap(), Notice::Ring("kept".into()));
    }
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn a_batch_that_the_database_spoils_is_rerun_one_by_one() {
    let (_folder, store) = store().await;
    let runs = Arc::new(AtomicU32::new(0));
    let good = |name: &'static str| {
        let (store, runs) = (store.clone(), Arc::clone(&runs));
        async move {
            store
                .write(move |tx| {
                    runs.fetch_add(1, Ordering::SeqCst);
                    // Long enough for the others to queue behind the first, in one batch.
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    tx.put(name)
                })
                .await
        }
    };
    let bad = store.write(|tx| {
        tx.put("bad")?;
        on!(tx, conn => sql_query("SELECT nonsense FROM nowhere").execute(conn)).map_err(failed)
    });
    let (a, bad, b) = tokio::join!(good("a"), bad, good("b"));
    assert!(a.is_ok() && b.is_ok() && bad.is_err());
    assert_eq!(store.read(|tx| tx.count()).await.unwrap(), 2);
    assert!(runs.load(Ordering::SeqCst) >= 3, "the spoilt batch was rerun");
}

#[tokio::test]
async fn when_a_commit_fails_nobody_is_told_success_before_it_was_written() {
    let (_folder, store) = store().await;
    // A constraint that is checked at the commit, where it spoils the writes of others, too.
    let late = store.write(|tx| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let client = sql_query("INSERT INTO clients VALUES ('c', 'no such organisation', '', x'', '', 0, NULL, 0)");
        on!(tx, conn => sql_query("PRAGMA defer_foreign_keys = ON").execute(conn)).map_err(failed)?;
        on!(tx, conn => client.execute(conn)).map_err(failed)
    });
    let (late, good) = tokio::join!(late, store.write(|tx| tx.put("good")));
    assert!(late.is_err() && good.is_ok());
    assert_eq!(store.read(|tx| tx.count()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_write_waits_for_another_process_and_gives_up_in_time() {
    let (folder, _store) = store().await;
    let settings = Settings { busy_timeout_ms: 200, ..Settings::of(DatabaseUrl::Sqlite(folder.path().join("test.db"))) };
    let other = Store::open(&settings).unwrap();
    let mut lock = diesel::SqliteConnection::establish(folder.path().join("test.db").to_str().unwrap()).unwrap();
    lock.batch_execute("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(other.write(|tx| tx.put("late")).await, Err(Error::Unavailable(_))));
    assert_eq!(other.read(|tx| tx.count()).await.unwrap(), 0, "readers do not wait");
    lock.batch_execute("COMMIT").unwrap();
    other.write(|tx| tx.put("now")).await.unwrap();
}

#[tokio::test]
async fn a_swallowed_failure_of_the_database_is_not_committed() {
    let (_folder, store) = store().await;
    let outcome = store
        .write(|tx| {
            tx.put("a")?;
            drop(on!(tx, conn => sql_query("SELECT nonsense FROM nowhere").execute(conn)));
            Ok(())
        })
        .await;
    assert!(outcome.is_err());
    assert_eq!(store.read(|tx| tx.count()).await.unwrap(), 0);
}

#[tokio::test]
async fn only_one_process_serves_a_file() {
    let (_folder, store) = store().await;
    let held = store.exclusive().unwrap();
    assert!(matches!(store.exclusive(), Err(Error::Conflict { code: "DATABASE_IN_USE", .. })));
    drop(held);
    drop(store.exclusive().unwrap());
}
