//! The rules of the queue's table: rings, claims, leases and fencing.
use std::time::Duration;

use dmwsi_domain::id::TaskId;
use dmwsi_domain::{Clock, Timestamp};
use dmwsi_store::Store;
use dmwsi_store::queue::{Claimed, Found, NewTask, Settled, Settlement};

use crate::harness::Database;

const QUEUE: &str = "test.queue.v1";
const LEASE: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

async fn ring(store: &Store, run_at: Timestamp, max_attempts: u32) {
    let id = TaskId::new(Clock::System.new_id());
    let task = NewTask { max_attempts, ..NewTask::new(QUEUE, "key".to_owned(), &7, run_at).unwrap() };
    store.write(move |tx| tx.enqueue(id, &task, run_at)).await.unwrap();
}

async fn claim(store: &Store, now: Timestamp) -> Found {
    store.write(move |tx| tx.claim(QUEUE, "worker", 10, now, now.plus(LEASE))).await.unwrap()
}

async fn claim_one(store: &Store, now: Timestamp) -> Claimed {
    let found = claim(store, now).await;
    assert_eq!(found.claimed.len(), 1, "{found:?}");
    found.claimed[0].clone()
}

async fn settle(store: &Store, claimed: &Claimed, settled: Settled, now: Timestamp) -> usize {
    let settlement = Settlement { hold: claimed.hold, settled };
    store.write(move |tx| tx.settle(std::slice::from_ref(&settlement), now)).await.unwrap()
}

async fn recover(store: &Store, now: Timestamp) -> usize {
    store.write(move |tx| tx.recover_tasks(QUEUE, now)).await.unwrap()
}

/// The states of all tasks, as `STATE attempt run_at again`.
fn states(database: &Database) -> Vec<String> {
    let again = if database.is_postgres() { "again::int" } else { "again" };
    database.lines(&format!("SELECT state || ' ' || attempt || ' ' || (run_at / 1000000) || ' ' || {again} AS line FROM tasks"))
}

fn failed(at: Timestamp) -> Settled {
    Settled::Retry { at, error: "no".into() }
}

both! {
    async fn a_task_with_a_key_is_there_once_and_the_earlier_ring_counts(database: Database) {
        let store = database.store().await;
        ring(&store, at(20), 5).await;
        ring(&store, at(10), 5).await;
        ring(&store, at(30), 5).await;
        assert_eq!(states(&database), ["READY 0 10 0"]);
        let found = claim(&store, at(9)).await;
        assert!(found.claimed.is_empty() && found.next == Some(at(10)), "{found:?}");
        let task = claim_one(&store, at(10)).await;
        assert_eq!((task.attempt, task.payload.as_str(), task.key.as_deref()), (1, "7", Some("key")));
        assert_eq!(settle(&store, &task, Settled::Done, at(11)).await, 1);
        assert!(states(&database).is_empty());
    }

    async fn a_ring_while_the_task_runs_makes_it_run_again(database: Database) {
        let store = database.store().await;
        for settled in [Settled::Done, Settled::Progress { at: at(99) }, Settled::Dead { error: "no".into() }] {
            ring(&store, at(10), 5).await;
            let task = claim_one(&store, at(10)).await;
            ring(&store, at(11), 5).await;
            assert_eq!(states(&database), ["CLAIMED 1 10 1"]);
            assert_eq!(settle(&store, &task, settled.clone(), at(12)).await, 1);
            assert_eq!(states(&database), ["READY 0 12 0"], "{settled:?}");
            let task = claim_one(&store, at(12)).await;
            settle(&store, &task, Settled::Done, at(12)).await;
        }
        ring(&store, at(10), 1).await;
        let task = claim_one(&store, at(10)).await;
        ring(&store, at(11), 1).await;
        settle(&store, &task, failed(at(50)), at(12)).await;
        assert_eq!(states(&database), ["READY 0 50 0"], "backoff holds, but the attempts start anew");
    }

    async fn a_ring_during_backoff_keeps_the_later_time(database: Database) {
        let store = database.store().await;
        ring(&store, at(10), 5).await;
        let task = claim_one(&store, at(10)).await;
        settle(&store, &task, failed(at(50)), at(11)).await;
        ring(&store, at(12), 5).await;
        assert_eq!(states(&database), ["READY 1 50 0"]);
        assert!(claim(&store, at(49)).await.claimed.is_empty());
        assert_eq!(claim_one(&store, at(50)).await.attempt, 2);
    }

    async fn the_last_failed_attempt_makes_a_dead_letter_and_a_ring_or_the_sweep_revives_it(database: Database) {
        let store = database.store().await;
        ring(&store, at(10), 2).await;
        for attempt in 1..=2 {
            let task = claim_one(&store, at(10)).await;
            assert_eq!(task.attempt, attempt);
            settle(&store, &task, failed(at(10)), at(10)).await;
        }
        assert_eq!(states(&database), ["DEAD 2 10 0"]);
        let found = claim(&store, at(1_000)).await;
        assert!(found.claimed.is_empty() && found.next.is_none(), "{found:?}");
        ring(&store, at(20), 2).await;
        assert_eq!(states(&database), ["READY 0 20 0"]);
        let task = claim_one(&store, at(20)).await;
        settle(&store, &task, Settled::Dead { error: "never".into() }, at(21)).await;
        assert_eq!(store.write(|tx| tx.revive_tasks(QUEUE, at(30))).await.unwrap(), 1);
        assert_eq!(states(&database), ["READY 0 30 0"]);
    }

    async fn progress_gives_all_attempts_back(database: Database) {
        let store = database.store().await;
        ring(&store, at(10), 3).await;
        let task = claim_one(&store, at(10)).await;
        settle(&store, &task, failed(at(10)), at(10)).await;
        let task = claim_one(&store, at(10)).await;
        settle(&store, &task, Settled::Progress { at: at(40) }, at(10)).await;
        assert_eq!(states(&database), ["READY 0 40 0"]);
    }

    async fn a_claim_put_back_unstarted_takes_one_off_the_attempts(database: Database) {
        let store = database.store().await;
        ring(&store, at(10), 3).await;
        let task = claim_one(&store, at(10)).await;
        assert_eq!(settle(&store, &task, Settled::PutBack, at(11)).await, 1);
        assert_eq!(states(&database), ["READY 0 10 0"]);
        assert_eq!(claim_one(&store, at(11)).await.attempt, 1);
    }

    async fn a_stale_claim_settles_and_renews_nothing(database: Database) {
        let store = database.store().await;
        ring(&store, at(10), 9).await;
        let stale = claim_one(&store, at(10)).await;
        assert_eq!(recover(&store, at(69)).await, 0, "the lease still runs");
        assert_eq!(recover(&store, at(70)).await, 1);
        let current = claim_one(&store, at(70)).await;
        assert_eq!((current.hold.id, current.hold.claim), (stale.hold.id, stale.hold.claim + 1));
        let before = states(&database);
        let ends = [Settled::Done, Settled::PutBack, failed(at(80)), Settled::Progress { at: at(80) }, Settled::Dead { error: "no".into() }];
        for settled in ends {
            assert_eq!(settle(&store, &stale, settled.clone(), at(71)).await, 0, "{settled:?}");
            assert_eq!(states(&database), before, "{settled:?}");
        }
        let hold = stale.hold;
        assert_eq!(store.write(move |tx| tx.renew(&[hold], at(1_000))).await.unwrap(), 0);
        assert_eq!(recover(&store, at(130)).await, 1, "the lease of the current claim was left as it was");
    }

    async fn a_renewed_lease_holds(database: Database) {
        let store = database.store().await;
        ring(&store, at(10), 9).await;
        let task = claim_one(&store, at(10)).await;
        assert_eq!(store.write(move |tx| tx.renew(&[task.hold], at(500))).await.unwrap(), 1);
        assert_eq!(recover(&store, at(499)).await, 0);
        assert_eq!(claim(&store, at(100)).await.next, Some(at(500)), "the claimer looks again when the lease ends");
    }

    async fn a_task_that_kills_its_workers_ends_among_the_dead_letters(database: Database) {
        let store = database.store().await;
        ring(&store, at(10), 2).await;
        for now in [at(10), at(1_000)] {
            drop(claim_one(&store, now).await);
            assert_eq!(recover(&store, now.plus(LEASE)).await, 1);
        }
        assert_eq!(states(&database), ["DEAD 2 10 0"]);
    }

    async fn a_batch_is_settled_in_one_go_each_in_its_own_way(database: Database) {
        let store = database.store().await;
        let ids: Vec<TaskId> = (0..6).map(|_| TaskId::new(Clock::System.new_id())).collect();
        store
            .write(move |tx| {
                ids.iter().try_for_each(|id| tx.enqueue(*id, &NewTask::new(QUEUE, None, &1, at(1)).unwrap(), at(1)))
            })
            .await
            .unwrap();
        let claimed = claim(&store, at(2)).await.claimed;
        assert_eq!(claimed.len(), 6);
        let ends = [Settled::Done, Settled::Done, failed(at(5)), Settled::PutBack, Settled::Progress { at: at(6) }, Settled::Dead { error: "no".into() }];
        let settlements: Vec<_> = claimed.iter().zip(ends).map(|(task, settled)| Settlement { hold: task.hold, settled }).collect();
        assert_eq!(store.write(move |tx| tx.settle(&settlements, at(3))).await.unwrap(), 6);
        let mut states = states(&database);
        states.sort();
        assert_eq!(states, ["DEAD 1 1 0", "READY 0 1 0", "READY 0 6 0", "READY 1 5 0"]);
        let depth = store.read(|tx| tx.queue_depth()).await.unwrap();
        assert_eq!(depth.iter().map(|depth| (depth.state.as_str(), depth.tasks)).collect::<Vec<_>>(), [("DEAD", 1), ("READY", 3)]);
    }

    async fn claimers_side_by_side_never_get_the_same_task(database: Database) {
        let store = database.store().await;
        let ids: Vec<TaskId> = (0..200).map(|_| TaskId::new(Clock::System.new_id())).collect();
        store
            .write(move |tx| {
                ids.iter().try_for_each(|id| tx.enqueue(*id, &NewTask::new(QUEUE, None, &1, at(1)).unwrap(), at(1)))
            })
            .await
            .unwrap();
        let claims: Vec<_> = (0..4)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    loop {
                        let found = claim(&store, at(2)).await;
                        if found.claimed.is_empty() && found.next.is_none_or(|next| next > at(2)) {
                            return mine;
                        }
                        mine.extend(found.claimed.into_iter().map(|task| task.hold.id));
                    }
                })
            })
            .collect();
        let mut all = Vec::new();
        for claims in claims {
            all.extend(claims.await.unwrap());
        }
        assert_eq!(all.len(), 200);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 200);
    }
}
