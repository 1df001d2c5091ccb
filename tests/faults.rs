//! Whatever is killed, and whenever: nothing that was acknowledged is lost, nothing is told that is not so, and everything in order.
mod caller;
mod checker;
mod checker_test;
mod cluster;
mod dice;
mod front;
mod journal;
mod lanes;
mod load;
mod observers;
mod planted;
mod storm;

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::cluster::Cluster;
use self::dice::Dice;
use self::planted::Planted;
use self::storm::{Blow, Storm, seed};
use crate::harness::postgres::Server;
use crate::harness::{Database, eventually};

/// The roles of the processes on PostgreSQL.
const ROLES: [&str; 6] = ["api", "api", "gateway", "gateway", "worker", "worker"];

/// How many minutes the storm lasts; without that it is over when everything has happened once.
fn minutes() -> Option<Duration> {
    let named = env::var("DMWSI_FAULT_MINUTES").ok()?;
    Some(Duration::from_secs_f64(named.parse::<f64>().expect("DMWSI_FAULT_MINUTES is a number") * 60.0))
}

/// Strikes until the time is over, and proves after each blow that all is well.
async fn weather(mut storm: Storm) {
    let (began, longest) = (Instant::now(), minutes());
    loop {
        for blow in storm.blows(longest.is_none()) {
            let faults = storm.round(blow).await;
            if !faults.is_empty() {
                storm.fail(&faults);
            }
            eventually("no task is stuck", async || storm.stuck_tasks().is_empty()).await;
            println!("{:>6.1} s {blow:?} {}", began.elapsed().as_secs_f64(), storm.summary());
        }
        if longest.is_none_or(|longest| began.elapsed() > longest) {
            return;
        }
    }
}

/// OES4, OES10: the one process is killed again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_on_sqlite_acknowledged_outlives_it() {
    let seed = seed();
    let cluster = Cluster::start(Database::sqlite(), None, &["all"], None, &Dice::of(seed, "cluster")).await;
    weather(Storm::begin(cluster, seed, (10, 104)).await).await;
}

/// AD-12, OES4, OES10: of two processes of each kind any are killed, and so is the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_processes_on_postgresql_acknowledged_outlives_them_and_their_database() {
    let Some(server) = Server::start() else { return };
    let seed = seed();
    let database = Database::on(&server);
    let cluster = Cluster::start(database, Some(server), &ROLES, None, &Dice::of(seed, "cluster")).await;
    weather(Storm::begin(cluster, seed, (12, 104)).await).await;
}

/// Strikes a server that has a fault until the checker goes red, and sees that it calls it by its name.
async fn goes_red(database: Database, planted: Planted) {
    let seed = seed();
    let cluster = Cluster::start(database, None, &["all"], Some(planted), &Dice::of(seed, "cluster")).await;
    let database = Arc::clone(&cluster.database);
    let early = planted.works_from_the_start().then(|| planted.work(Arc::clone(&database)));
    let mut storm = Storm::begin(cluster, seed, (8, 0)).await;
    let working = early.unwrap_or_else(|| planted.work(database));
    storm.patience = Duration::from_secs(6);
    if planted.wants_a_kill() {
        let faults = storm.round(Blow::Nothing).await;
        if !faults.is_empty() {
            storm.fail(&faults);
        }
    }
    for _ in 0..40 {
        let faults = storm.round(if planted.wants_a_kill() { Blow::One(0) } else { Blow::Nothing }).await;
        println!("{planted:?}: {:?}", faults.first());
        if faults.iter().any(|fault| fault.kind == planted.kind()) {
            return working.abort();
        }
        if !faults.is_empty() {
            storm.fail(&faults);
        }
    }
    panic!("{planted:?} was not found with the seed {seed}: {}", storm.summary());
}

both! {
    /// What comes after the commit is lost with the process, and the checker sees it.
    async fn an_event_that_is_written_after_the_commit_is_found_out(database: Database) {
        goes_red(database, Planted::EventAfterCommit).await;
    }

    /// What only a process remembers is lost with it, and the checker sees it.
    async fn retries_that_are_kept_in_memory_are_found_out(database: Database) {
        goes_red(database, Planted::RetriesInMemory).await;
    }
}

/// A reader goes past what is committed late, and the checker sees it. SQLite has one writer, so that numbers and commits never differ.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_are_given_before_the_commit_are_found_out() {
    let Some(database) = Database::postgres() else { return };
    goes_red(database, Planted::NumberBeforeCommit).await;
}

/// Two sequencers give a number twice or an event two of them, and the checker sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sequencers_at_once_are_found_out() {
    let Some(database) = Database::postgres() else { return };
    goes_red(database, Planted::TwoSequencers).await;
}
