//! The queue at work: the traps that stock queues fell into, each with its test.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dmwsi_domain::id::TaskId;
use dmwsi_domain::{Clock, Error};
use dmwsi_store::Store;
use dmwsi_store::queue::NewTask;
use dmwsi_worker::queue::{Context, Lane, Outcome, Queues, Running, Settings};
use tokio::time::sleep;

use crate::harness::postgres::Server;
use crate::harness::{Database, eventually};

const QUEUE: &str = "test.work.v1";

/// The runs of each task by its payload.
#[derive(Clone, Default)]
struct Runs(Arc<Mutex<BTreeMap<u32, Vec<Instant>>>>);

impl Runs {
    fn add(&self, n: u32) -> usize {
        let mut runs = self.0.lock().unwrap();
        let times = runs.entry(n).or_default();
        times.push(Instant::now());
        times.len()
    }

    fn of(&self, n: u32) -> Vec<Instant> {
        self.0.lock().unwrap().get(&n).cloned().unwrap_or_default()
    }

    fn tasks(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn most(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).max().unwrap_or(0)
    }
}

/// No poll comes to the aid of a lost ring.
fn settings() -> Settings {
    Settings { safety_poll_ms: 600_000, retry_first_ms: 20, retry_longest_ms: 100, ..Settings::default() }
}

async fn enqueue(store: &Store, n: u32, max_attempts: u32) {
    let (id, now) = (TaskId::new(Clock::System.new_id()), Clock::System.now());
    let task = NewTask { max_attempts, ..NewTask::new(QUEUE, None, &n, now).unwrap() };
    store.write(move |tx| tx.enqueue(id, &task, now)).await.unwrap();
}

fn work<R>(store: &Store, settings: Settings, lane: Lane, run: impl Fn(u32, Context) -> R + Send + Sync + 'static) -> Running
where
    R: Future<Output = dmwsi_domain::Result<Outcome>> + Send + 'static,
{
    Queues::new(store.clone(), Clock::System, settings).handle(QUEUE, lane, run).start()
}

/// Each state and how many tasks are in it.
async fn depth(store: &Store) -> BTreeMap<String, i64> {
    let depth = store.read(|tx| tx.queue_depth()).await.unwrap();
    depth.into_iter().map(|depth| (depth.state, depth.tasks)).collect()
}

both! {
    /// Trap: a ring that falls together with an empty claim was lost.
    async fn no_ring_is_lost_whenever_it_comes(database: Database) {
        let store = database.store().await;
        let runs = Runs::default();
        let at_work = runs.clone();
        let running = work(&store, settings(), Lane::default(), move |n, _context| {
            at_work.add(n);
            async { Ok(Outcome::Done) }
        });
        for n in 0..150 {
            enqueue(&store, n, 3).await;
            // Now and then the queue falls idle, now and then it does not.
            sleep(Duration::from_micros(u64::from(n % 7) * 900)).await;
        }
        eventually("150 tasks", async || runs.tasks() == 150).await;
        running.stop().await;
        assert_eq!((runs.most(), depth(&store).await.len()), (1, 0));
    }

    async fn an_idle_queue_runs_a_new_task_within_50_ms(database: Database) {
        let store = database.store().await;
        let runs = Runs::default();
        let at_work = runs.clone();
        let running = work(&store, settings(), Lane::default(), move |n, _context| {
            at_work.add(n);
            async { Ok(Outcome::Done) }
        });
        let mut fastest = Duration::MAX;
        for n in 0..10 {
            sleep(Duration::from_millis(30)).await;
            enqueue(&store, n, 3).await;
            let began = Instant::now();
            eventually("the task", async || runs.of(n).len() == 1).await;
            fastest = fastest.min(runs.of(n)[0].saturating_duration_since(began));
        }
        assert!(fastest < Duration::from_millis(50), "{fastest:?}");
        running.stop().await;
    }

    /// Trap: while tasks waited in its buffer a worker sent no heartbeat, and they were stolen and run twice.
    async fn a_busy_worker_keeps_its_leases(database: Database) {
        let store = database.store().await;
        let runs = Runs::default();
        let settings = Settings { lease_ms: 600, safety_poll_ms: 50, ..settings() };
        for n in 0..8 {
            enqueue(&store, n, 3).await;
        }
        let workers: Vec<Running> = (0..2)
            .map(|_| {
                let runs = runs.clone();
                work(&store, settings.clone(), Lane { room: 4, batch: 4, standing: false }, move |n, _context| {
                    runs.add(n);
                    async {
                        sleep(Duration::from_millis(1_500)).await;
                        Ok(Outcome::Done)
                    }
                })
            })
            .collect();
        eventually("8 tasks", async || depth(&store).await.is_empty()).await;
        assert_eq!((runs.tasks(), runs.most()), (8, 1));
        for worker in workers {
            worker.stop().await;
        }
    }

    /// Trap: without a bound everything was started at once; with a bound the claims were hoarded.
    async fn no_more_is_claimed_than_there_is_room_to_run(database: Database) {
        let store = database.store().await;
        let (now, most, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        for n in 0..40 {
            enqueue(&store, n, 3).await;
        }
        let (running_now, running_most, finished) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&done));
        let running = work(&store, settings(), Lane { room: 5, batch: 3, standing: false }, move |_n, _context| {
            let (now, most, done) = (Arc::clone(&running_now), Arc::clone(&running_most), Arc::clone(&finished));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                done.fetch_add(1, Ordering::SeqCst);
                Ok(Outcome::Done)
            }
        });
        let mut claimed = 0;
        while done.load(Ordering::SeqCst) < 40 {
            claimed = claimed.max(depth(&store).await.get("CLAIMED").copied().unwrap_or(0));
            sleep(Duration::from_millis(5)).await;
        }
        running.stop().await;
        assert!((2..=5).contains(&most.load(Ordering::SeqCst)) && claimed <= 5, "{most:?} {claimed}");
    }

    /// Traps: the time of the next try was not kept, and a failed task ran again at once in a hot loop.
    async fn the_time_of_the_next_try_is_kept(database: Database) {
        let store = database.store().await;
        let runs = Runs::default();
        let at_work = runs.clone();
        let running = work(&store, settings(), Lane::default(), move |n, context| {
            let run = at_work.add(n);
            assert_eq!(usize::try_from(context.attempt).unwrap(), run);
            async move { if run == 1 { Ok(Outcome::RetryAfter(Duration::from_millis(400), "busy".into())) } else { Ok(Outcome::Done) } }
        });
        enqueue(&store, 1, 3).await;
        eventually("the second try", async || runs.of(1).len() == 2 && depth(&store).await.is_empty()).await;
        let waited = runs.of(1)[1] - runs.of(1)[0];
        assert!((Duration::from_millis(390)..Duration::from_secs(3)).contains(&waited), "{waited:?}");
        running.stop().await;
    }

    /// Trap: a panic left the task running for ever, an unreadable payload ended the worker.
    async fn a_poisonous_task_ends_among_the_dead_letters_and_harms_no_other(database: Database) {
        let store = database.store().await;
        let runs = Runs::default();
        let at_work = runs.clone();
        let running = work(&store, settings(), Lane::default(), move |n, _context| {
            at_work.add(n);
            async move {
                match n {
                    1 => panic!("on purpose"),
                    2 => Err(Error::conflict("TEST", "no")),
                    3 => Ok(Outcome::Dead("never".into())),
                    _ => Ok(Outcome::Done),
                }
            }
        });
        let (id, now) = (TaskId::new(Clock::System.new_id()), Clock::System.now());
        store.write(move |tx| tx.enqueue(id, &NewTask::new(QUEUE, None, &"no number", now)?, now)).await.unwrap();
        for n in 1..=4 {
            enqueue(&store, n, 3).await;
        }
        eventually("4 dead letters", async || depth(&store).await == BTreeMap::from([("DEAD".into(), 4)])).await;
        assert_eq!([1, 2, 3, 4].map(|n| runs.of(n).len()), [3, 3, 1, 1]);
        enqueue(&store, 5, 3).await;
        eventually("the next task", async || runs.of(5).len() == 1).await;
        running.stop().await;
    }

    /// Trap: the tasks of a killed worker were left running.
    async fn the_tasks_of_a_lost_worker_run_when_its_lease_ends(database: Database) {
        let store = database.store().await;
        enqueue(&store, 1, 3).await;
        let now = Clock::System.now();
        let found = store.write(move |tx| tx.claim(QUEUE, "lost", 1, now, now.plus(Duration::from_millis(500)))).await.unwrap();
        assert_eq!(found.claimed.len(), 1);
        let runs = Runs::default();
        let at_work = runs.clone();
        let running = work(&store, settings(), Lane::default(), move |n, context| {
            at_work.add(n);
            assert_eq!(context.attempt, 2);
            async { Ok(Outcome::Done) }
        });
        sleep(Duration::from_millis(100)).await;
        assert_eq!(runs.tasks(), 0, "the lease still runs");
        eventually("the task", async || depth(&store).await.is_empty()).await;
        assert_eq!(runs.of(1).len(), 1);
        running.stop().await;
    }

    /// Trap: at a stop claims in hand stayed claimed until the lease ended.
    async fn a_stop_finishes_what_runs_and_leaves_nothing_claimed(database: Database) {
        let store = database.store().await;
        for n in 0..30 {
            enqueue(&store, n, 5).await;
        }
        let (started, finished) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (starts, finishes) = (Arc::clone(&started), Arc::clone(&finished));
        let settings = Settings { stop_ms: 600, ..settings() };
        let running = work(&store, settings, Lane { room: 6, batch: 6, standing: false }, move |n, context| {
            let (starts, finishes) = (Arc::clone(&starts), Arc::clone(&finishes));
            async move {
                starts.fetch_add(1, Ordering::SeqCst);
                assert!(!context.is_stopping());
                // Task 0 does not end within the deadline and is interrupted.
                sleep(Duration::from_millis(if n == 0 { 60_000 } else { 150 })).await;
                finishes.fetch_add(1, Ordering::SeqCst);
                Ok(Outcome::Done)
            }
        });
        eventually("the first tasks", async || started.load(Ordering::SeqCst) >= 6).await;
        running.stop().await;
        let finished = finished.load(Ordering::SeqCst);
        assert_eq!(started.load(Ordering::SeqCst), finished + 1);
        assert_eq!(depth(&store).await, BTreeMap::from([("READY".into(), i64::from(30 - finished))]));
    }

    /// An idle minute issues no more SQL than the safety poll; time is shortened by settings.
    async fn an_idle_queue_asks_nothing_but_its_safety_poll(database: Database) {
        let store = database.store().await;
        let quiet = work(&store, settings(), Lane::default(), |_n, _context| async { Ok(Outcome::Done) });
        enqueue(&store, 1, 3).await;
        eventually("the task", async || depth(&store).await.is_empty()).await;
        sleep(Duration::from_millis(300)).await;
        let before = store.statements();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(store.statements(), before, "no safety poll was due");
        quiet.stop().await;

        let polling = work(&store, Settings { safety_poll_ms: 200, ..settings() }, Lane::default(), |_n, _context| async { Ok(Outcome::Done) });
        sleep(Duration::from_millis(300)).await;
        let before = store.statements();
        sleep(Duration::from_secs(1)).await;
        let statements = store.statements() - before;
        // Begin, savepoint, lost leases, claim, next, release, commit.
        assert!((7..=6 * 7).contains(&statements), "{statements} statements for 5 polls");
        polling.stop().await;
    }

    async fn a_manual_clock_and_a_nudge_run_what_was_due_later(database: Database) {
        let store = database.store().await;
        let clock = Clock::manual(Clock::System.now());
        let runs = Runs::default();
        let at_work = runs.clone();
        let running = Queues::new(store.clone(), clock.clone(), settings())
            .handle(QUEUE, Lane { standing: true, ..Lane::default() }, move |n: u32, _context| {
                at_work.add(n);
                async { Ok(Outcome::Done) }
            })
            .start();
        let (id, now) = (TaskId::new(clock.new_id()), clock.now());
        let later = now.plus(Duration::from_secs(86_400));
        store.write(move |tx| tx.enqueue(id, &NewTask::new(QUEUE, None, &1, later)?, now)).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        assert_eq!(runs.tasks(), 0);
        clock.advance(Duration::from_secs(86_400));
        running.nudge();
        eventually("the task", async || runs.tasks() == 1).await;
        running.stop().await;
    }
}

/// Trap: a failure of the database ended the worker.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_database_delays_the_tasks_and_ends_nothing() {
    let Some(server) = Server::start() else { return };
    let database = Database::on(&server);
    let store = database.store().await;
    let runs = Runs::default();
    let at_work = runs.clone();
    for n in 0..60 {
        enqueue(&store, n, 9).await;
    }
    let running = work(
        &store,
        Settings { safety_poll_ms: 300, lease_ms: 2_000, ..settings() },
        Lane { room: 4, batch: 4, standing: false },
        move |n, _context| {
            at_work.add(n);
            async {
                sleep(Duration::from_millis(60)).await;
                Ok(Outcome::Done)
            }
        },
    );
    eventually("some tasks", async || runs.tasks() > 5).await;
    let server = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    })
    .await
    .unwrap();
    eventually("all tasks", async || {
        runs.tasks() == 60 && store.read(|tx| tx.queue_depth()).await.is_ok_and(|depth| depth.is_empty())
    })
    .await;
    // A ring still wakes: the connection that listens was opened again.
    let there = database.open();
    enqueue(&there, 100, 3).await;
    eventually("a ring of another process", async || runs.of(100).len() == 1).await;
    running.stop().await;
    drop(server);
}
