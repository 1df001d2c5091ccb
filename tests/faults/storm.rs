//! A storm: load, faults at random moments, and after each of them a round of proof.
use std::env;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::caller::Caller;
use super::checker::{Checker, Fault, Kind};
use super::cluster::Cluster;
use super::dice::Dice;
use super::journal::{Journal, What};
use super::load::Load;
use super::observers::{FAILURES, Receivers, follow, reread};
use super::planted::Planted;

/// How many lines of the journal are printed of a fault.
const PRINTED: usize = 100;

/// What may happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blow {
    /// Every process of the server is killed.
    All,
    /// The database is.
    Database,
    /// Nothing.
    Nothing,
    /// The process of one seat is.
    One(usize),
    /// Nothing is heard of a receiver for a while.
    Receiver(usize),
    /// The process of one seat is killed, and again as soon as it serves.
    Twice(usize),
    /// The processes of two seats are killed.
    Two(usize, usize),
}

/// What makes it.
pub(crate) struct Storm {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) dice: Dice,
    seed: u64,
    journal: Arc<Journal>,
    caller: Arc<Caller>,
    receivers: Receivers,
    load: Load,
    checker: Checker,
    follower: JoinHandle<()>,
    /// How long nothing may come while something is owed.
    pub(crate) patience: Duration,
}

/// The seed that the environment names, or any.
pub(crate) fn seed() -> u64 {
    let named = env::var("DMWSI_FAULT_SEED").ok().map(|seed| seed.parse().expect("DMWSI_FAULT_SEED is a number"));
    named.unwrap_or_else(|| RandomState::new().hash_one("seed") % 1_000_000)
}

impl Storm {
    /// Everybody is at work.
    pub(crate) async fn begin(cluster: Arc<Cluster>, seed: u64, (devices, sleepers): (u32, u32)) -> Self {
        let journal = Arc::new(Journal::open());
        let caller = Arc::new(Caller::of(&cluster));
        let receivers = Receivers::open(&journal, seed, cluster.planted.map_or(FAILURES, Planted::failures)).await;
        receivers.subscribe(&caller, &journal).await;
        let follower = tokio::spawn(follow(Arc::clone(&caller), Arc::clone(&journal), cluster.planted.is_some()));
        let sink = receivers.url(receivers.count() - 1);
        let load = Load::start((&caller, &journal), &cluster.gateways.url(), &sink, seed, (devices, sleepers)).await;
        let dice = Dice::of(seed, "blows");
        let patience = Duration::from_secs(25);
        Self { cluster, dice, seed, journal, caller, receivers, load, checker: Checker::default(), follower, patience }
    }

    /// Blows in any order: each kind of process once, or every one, every two and every one twice.
    pub(crate) fn blows(&mut self, is_short: bool) -> Vec<Blow> {
        let seats = self.cluster.seats();
        let mut blows = vec![Blow::Receiver(usize::try_from(self.dice.below(2)).unwrap()), Blow::Twice(self.any_seat())];
        if self.cluster.has_server() {
            blows.push(Blow::Database);
        }
        if seats == 1 {
            blows.push(Blow::One(0));
        } else if is_short {
            let second = usize::try_from(self.dice.below(2)).unwrap();
            blows.extend((0..seats).step_by(2).map(|first| Blow::One(first + second)));
            blows.push(Blow::All);
        } else {
            let first = self.any_seat();
            let other = (first + 1 + self.any_seat()) % seats;
            blows.extend((0..seats).map(Blow::One));
            blows.extend([Blow::All, Blow::Database, Blow::Two(first, other)]);
        }
        self.dice.shuffle(&mut blows);
        blows
    }

    fn any_seat(&mut self) -> usize {
        usize::try_from(self.dice.below(u64::try_from(self.cluster.seats()).unwrap())).unwrap()
    }

    fn done(&self, what: impl Into<String>) {
        self.journal.write(What::Done(what.into()));
    }

    /// Lets everybody work, strikes in the middle of it, lets them finish, and says what is wrong then.
    pub(crate) async fn round(&mut self, blow: Blow) -> Vec<Fault> {
        self.load.go_on().await;
        tokio::time::sleep(self.dice.millis(100, 900)).await;
        self.done(format!("{blow:?}"));
        self.strike(blow).await;
        tokio::time::sleep(self.dice.millis(50, 500)).await;
        self.load.rest().await;
        self.done("everybody rests");
        let faults = self.prove().await;
        self.done("proved");
        faults
    }

    async fn strike(&mut self, blow: Blow) {
        let seats: Vec<_> = match blow {
            Blow::All => (0..self.cluster.seats()).collect(),
            Blow::Database => return self.cluster.kill_database().await,
            Blow::Nothing => return,
            Blow::One(seat) | Blow::Twice(seat) => vec![seat],
            Blow::Receiver(number) => {
                self.receivers.shut(number, true);
                tokio::time::sleep(self.dice.millis(300, 1_500)).await;
                return self.receivers.shut(number, false);
            }
            Blow::Two(first, second) => vec![first, second],
        };
        for times in 0..if matches!(blow, Blow::Twice(_)) { 2 } else { 1 } {
            if times > 0 {
                tokio::time::sleep(self.dice.millis(0, 300)).await;
            }
            for seat in &seats {
                self.cluster.kill(*seat);
                self.done(format!("killed {} in {seat}", self.cluster.role(*seat)));
            }
            tokio::time::sleep(self.dice.millis(0, 600)).await;
            for seat in &seats {
                self.cluster.begin(*seat).await;
                self.done(format!("{} is back in {seat}", self.cluster.role(*seat)));
            }
        }
    }

    /// Waits until everything has come that is owed, and says what is wrong.
    async fn prove(&mut self) -> Vec<Fault> {
        let first = self.checker.last();
        let (mut progress, mut since) = (self.checker.progress(), Instant::now());
        let mut owed = loop {
            self.checker.read(&self.journal);
            let mut owed = self.checker.wrong();
            // Where the numbers are wrong nothing else will be right.
            let is_muddled = owed.iter().any(|fault| fault.kind == Kind::Gap);
            owed.extend(self.checker.owed());
            if is_muddled || owed.is_empty() || since.elapsed() > self.patience {
                break owed;
            }
            if self.checker.progress() != progress {
                (progress, since) = (self.checker.progress(), Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        reread(&self.caller, &self.journal, first).await;
        self.checker.read(&self.journal);
        if owed.is_empty() {
            owed = self.checker.wrong();
        }
        owed.sort_by_key(|fault| fault.kind);
        if owed.is_empty() {
            self.checker.close();
            self.receivers.forget();
        }
        owed
    }

    /// The tasks that have not been run although their time has come, or that were given up, as the database knows them.
    pub(crate) fn stuck_tasks(&self) -> Vec<String> {
        let late = dmwsi_domain::Clock::System.now().minus(Duration::from_secs(5)).micros();
        self.cluster.database.lines(&format!(
            "SELECT queue || ' ' || state || ' ' || COALESCE(key, '') || ' ' || COALESCE(error, '') AS line FROM tasks
            WHERE state = 'DEAD' OR (state = 'READY' AND run_at < {late}) OR (state = 'CLAIMED' AND lease_until < {late})"
        ))
    }

    /// What was proved.
    pub(crate) fn summary(&self) -> String {
        format!("seed {}: {}", self.seed, self.checker.summary())
    }

    /// What the database holds that is on its way.
    fn state(&self) -> Vec<String> {
        self.cluster.database.lines(
            "SELECT 'task ' || queue || ' ' || state || ' ' || COUNT(*) || ' ' || COALESCE(MAX(error), '') AS line FROM tasks GROUP BY queue, state
            UNION ALL SELECT 'deliveries ' || subscription_id || ' ' || state || ' ' || COUNT(*) || ', due ' || COUNT(next_at) FROM deliveries
            GROUP BY subscription_id, state
            UNION ALL SELECT 'without a number ' || COUNT(*) FROM events WHERE number IS NULL
            UNION ALL SELECT 'numbered below ' || next_event || ', laid out to ' || distributed FROM organisations",
        )
    }

    /// Fails with what the journal knows of these faults; all of it goes into a file.
    pub(crate) fn fail(&self, faults: &[Fault]) -> ! {
        let file = env::temp_dir().join(format!("dmwsi-faults-{}.txt", self.seed));
        std::fs::write(&file, self.journal.about(&[String::new()]).join("\n")).unwrap();
        println!("DMWSI_FAULT_SEED={}; {}; the journal is in {}", self.seed, self.summary(), file.display());
        self.state().iter().for_each(|line| println!("{line}"));
        let mut names = Vec::new();
        for fault in faults.iter().take(20) {
            println!("{:?}: {}", fault.kind, fault.text);
            names.extend(fault.about.iter().cloned());
        }
        names.truncate(2);
        let lines = self.journal.about(&names);
        lines.iter().skip(lines.len().saturating_sub(PRINTED)).for_each(|line| println!("{line}"));
        panic!("{} faults with the seed {}, the first {:?}", faults.len(), self.seed, faults.first());
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.follower.abort();
    }
}
