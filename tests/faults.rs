//! Whatever is killed, and whenever: nothing that was acknowledged is lost, nothing is told that is not so, and everything in order.
mod caller;
mod checker;
mod cluster;
mod dice;
mod front;
mod journal;
mod lanes;
mod load;
mod observers;
mod storm;

use std::env;
use std::time::{Duration, Instant};

use self::cluster::Cluster;
use self::dice::Dice;
use self::storm::{Storm, seed};
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
        for blow in storm.blows() {
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
    let cluster = Cluster::start(Database::sqlite(), None, &["all"], &[], &Dice::of(seed, "cluster")).await;
    weather(Storm::begin(cluster, seed, 12).await).await;
}

/// AD-12, OES4, OES10: of two processes of each kind any are killed, and so is the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_processes_on_postgresql_acknowledged_outlives_them_and_their_database() {
    let Some(server) = Server::start() else { return };
    let seed = seed();
    let database = Database::on(&server);
    let cluster = Cluster::start(database, Some(server), &ROLES, &[], &Dice::of(seed, "cluster")).await;
    weather(Storm::begin(cluster, seed, 16).await).await;
}
