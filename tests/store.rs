//! What the store promises on both databases.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dmwsi_domain::id::TaskId;
use dmwsi_domain::{Clock, Error, Timestamp};
use dmwsi_store::queue::NewTask;
use dmwsi_store::{Notice, Store};

use crate::harness::{Database, eventually};

fn task(key: impl ToString) -> NewTask {
    NewTask::new("test.store.v1", key.to_string(), &1, Timestamp::from_micros(1)).unwrap()
}

async fn tasks(store: &Store) -> i64 {
    store.read(|tx| tx.queue_depth()).await.unwrap().iter().map(|depth| depth.tasks).sum()
}

both! {
    async fn an_error_or_a_panic_undoes_its_own_writes_and_no_others(database: Database) {
        let store = database.store().await;
        let mut heard = store.notices();
        let writes: Vec<_> = (0..90_u32)
            .map(|n| {
                let (store, id) = (store.clone(), TaskId::new(Clock::System.new_id()));
                tokio::spawn(async move {
                    store
                        .write(move |tx| {
                            tx.enqueue(id, &task(n), Timestamp::from_micros(1))?;
                            match n % 3 {
                                0 => Ok(n),
                                1 => Err(Error::conflict("TEST", "no")),
                                _ => panic!("on purpose"),
                            }
                        })
                        .await
                })
            })
            .collect();
        for (n, write) in writes.into_iter().enumerate() {
            let outcome = write.await.unwrap();
            match n % 3 {
                0 => assert!(outcome.is_ok()),
                1 => assert!(matches!(outcome, Err(Error::Conflict { code: "TEST", .. }))),
                _ => assert!(matches!(outcome, Err(Error::Internal(_)))),
            }
        }
        assert_eq!(tasks(&store).await, 30);
        let mut rings = 0;
        while let Ok(notice) = heard.try_recv() {
            // Said when the connection that listens opens.
            if notice != Notice::Lost {
                assert_eq!(notice, Notice::Ring("test.store.v1".into()));
                rings += 1;
            }
        }
        assert_eq!(rings, 30, "what was undone rings no bell");
    }

    async fn a_write_whose_caller_leaves_is_written_all_the_same(database: Database) {
        let store = database.store().await;
        let id = TaskId::new(Clock::System.new_id());
        let write = store.write(move |tx| {
            std::thread::sleep(Duration::from_millis(100));
            tx.enqueue(id, &task("left"), Timestamp::from_micros(1))
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), write).await.is_err());
        eventually("the write", async || tasks(&store).await == 1).await;
    }

    async fn what_was_answered_is_there_for_whoever_opens_the_database_next(database: Database) {
        let store = database.store().await;
        for n in 0..20 {
            let id = TaskId::new(Clock::System.new_id());
            store.write(move |tx| tx.enqueue(id, &task(n), Timestamp::from_micros(1))).await.unwrap();
        }
        assert_eq!(tasks(&database.open()).await, 20);
    }

    async fn a_reader_cannot_write(database: Database) {
        let store = database.store().await;
        let id = TaskId::new(Clock::System.new_id());
        assert!(store.read(move |tx| tx.enqueue(id, &task(1), Timestamp::from_micros(1))).await.is_err());
        assert_eq!(tasks(&store).await, 0);
    }

    async fn two_processes_migrate_at_the_same_time(database: Database) {
        let (one, two) = (database.open(), database.open());
        let (one, two) = tokio::join!(one.migrate(), two.migrate());
        let mut done = [one.unwrap().len(), two.unwrap().len()];
        done.sort_unstable();
        assert!(done[0] == 0 && done[1] > 0, "{done:?}");
    }

    async fn many_writers_at_a_time_are_all_served(database: Database) {
        let store = database.store().await;
        let runs = Arc::new(AtomicU32::new(0));
        let writes: Vec<_> = (0..400)
            .map(|n| {
                let (store, runs, id) = (store.clone(), Arc::clone(&runs), TaskId::new(Clock::System.new_id()));
                tokio::spawn(async move {
                    store
                        .write(move |tx| {
                            runs.fetch_add(1, Ordering::SeqCst);
                            tx.enqueue(id, &task(n), Timestamp::from_micros(1))
                        })
                        .await
                })
            })
            .collect();
        for write in writes {
            write.await.unwrap().unwrap();
        }
        assert_eq!((tasks(&store).await, runs.load(Ordering::SeqCst)), (400, 400));
    }
}

/// The bell of one process is heard in another, within 50 ms where the machine is not busy.
#[tokio::test(flavor = "multi_thread")]
async fn a_notice_reaches_other_processes_after_commit() {
    let Some(database) = Database::postgres() else { return };
    let (here, there) = (database.store().await, database.open());
    let mut heard = there.notices();
    let job = Clock::System.new_id();
    let mut fastest = Duration::MAX;
    // The connection that listens may still be opening.
    for _ in 0..20 {
        here.write(move |tx| {
            tx.announce(job);
            Ok(())
        })
        .await
        .unwrap();
        let began = std::time::Instant::now();
        match tokio::time::timeout(Duration::from_millis(500), heard.recv()).await {
            Ok(Ok(Notice::Lost)) | Err(_) => {}
            Ok(notice) => {
                assert_eq!(notice.unwrap(), Notice::Announce(job));
                fastest = fastest.min(began.elapsed());
            }
        }
    }
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}

/// Many commits ring one bell, and the last of all is heard although its process ends.
#[tokio::test(flavor = "multi_thread")]
async fn many_commits_are_told_by_few_notices_and_the_last_is_heard() {
    let Some(database) = Database::postgres() else { return };
    let (here, there) = (database.store().await, database.open());
    let mut heard = there.notices();
    // The connection that listens says so when it is open.
    assert_eq!(heard.recv().await.unwrap(), Notice::Lost);
    let began = std::time::Instant::now();
    let writes: Vec<_> = (0..1_000_u32)
        .map(|n| {
            let (store, id) = (here.clone(), TaskId::new(Clock::System.new_id()));
            tokio::spawn(async move {
                let write = move |tx: &mut dmwsi_store::Tx<'_>| tx.enqueue(id, &task(n), Timestamp::from_micros(1));
                store.write(write).await.unwrap();
            })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    let most = began.elapsed().as_millis() / 10 + 2;
    let last = Clock::System.new_id();
    here.write(move |tx| {
        tx.announce(last);
        Ok(())
    })
    .await
    .unwrap();
    drop(here);
    let mut rung = 0;
    loop {
        match tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.unwrap().unwrap() {
            Notice::Announce(job) if job == last => break,
            Notice::Ring(_) => rung += 1,
            _ => {}
        }
    }
    assert!(rung >= 1 && rung <= most, "{rung} notices, {most} at most");
}

/// A deadlock is told by its text, so that must be English whatever the server speaks.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_spoken_to_in_english_whatever_the_server_speaks() {
    let Some(database) = Database::postgres() else { return };
    drop(database.store().await);
    database.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lc_messages = %L', current_database(), 'POSIX'); END $$;
        CREATE TABLE spoken (language TEXT);
        CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO spoken VALUES (current_setting('lc_messages')); RETURN NEW; END $$;
        CREATE TRIGGER hears AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION hear()",
    );
    let store = database.open();
    let id = TaskId::new(Clock::System.new_id());
    store.write(move |tx| tx.enqueue(id, &task("x"), Timestamp::from_micros(1))).await.unwrap();
    assert_eq!(database.lines("SELECT language AS line FROM spoken"), ["C"]);
    assert_eq!(database.lines("SELECT current_setting('lc_messages') AS line"), ["POSIX"]);
}
