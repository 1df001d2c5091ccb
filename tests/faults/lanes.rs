//! What each subscriber is owed, and whether it comes in order: one lane for each subscription and each thing whose events follow one another.
use std::collections::{BTreeSet, HashMap, VecDeque};

use super::checker::{Fault, Kind};
use super::journal::Told;

/// The lanes.
#[derive(Default)]
pub(crate) struct Lanes {
    /// The subscriptions to everything, and the number after which they begin.
    standing: HashMap<String, u64>,
    /// The subscriptions that are bound to a job.
    bound: HashMap<String, String>,
    lanes: HashMap<(String, String), Lane>,
    /// How many deliveries were repetitions of what was taken already.
    pub(crate) repeats: u64,
    /// How many were taken for the first time.
    pub(crate) taken: u64,
}

#[derive(Default)]
struct Lane {
    /// What the log shows and was not taken yet.
    owed: BTreeSet<u64>,
    /// What came, in the order in which it did, and whether it was taken.
    came: VecDeque<(u64, bool)>,
}

impl Lanes {
    /// A subscription to everything.
    pub(crate) fn stand(&mut self, subscription: &str, after: u64) {
        self.standing.insert(subscription.to_owned(), after);
    }

    /// A subscription that is bound to a job, of which that much was read already.
    pub(crate) fn bind<'t>(&mut self, subscription: &str, job: &str, log: impl Iterator<Item = &'t Told>) {
        self.bound.insert(job.to_owned(), subscription.to_owned());
        log.for_each(|told| self.owe_bound(told));
    }

    /// The log shows this.
    pub(crate) fn owe(&mut self, told: &Told) {
        for (subscription, after) in &self.standing {
            if told.number > *after && !told.kind.starts_with("subscription-") {
                let lane = self.lanes.entry((subscription.clone(), told.key().to_owned())).or_default();
                lane.owed.insert(told.number);
            }
        }
        self.owe_bound(told);
    }

    fn owe_bound(&mut self, told: &Told) {
        let Some(subscription) = told.job.as_ref().and_then(|job| self.bound.get(job)) else { return };
        if told.kind.starts_with("job-") || told.kind.starts_with("execution-") {
            self.lanes.entry((subscription.clone(), String::new())).or_default().owed.insert(told.number);
        }
    }

    /// A subscriber was told this.
    pub(crate) fn come(&mut self, subscription: &str, told: &Told, is_taken: bool) {
        if told.kind.starts_with("subscription-") {
            return;
        }
        let key = if self.standing.contains_key(subscription) { told.key() } else { "" };
        self.lanes.entry((subscription.to_owned(), key.to_owned())).or_default().came.push_back((told.number, is_taken));
    }

    /// Compares what came with the log up to that number: the next of a lane may come only when the one before it was taken.
    pub(crate) fn judge(&mut self, last: u64) -> Vec<Fault> {
        let mut faults = Vec::new();
        for ((subscription, key), lane) in &mut self.lanes {
            while let Some((number, is_taken)) = lane.came.front().copied().filter(|(number, _)| *number <= last) {
                lane.came.pop_front();
                let Some(first) = lane.owed.first().copied() else {
                    self.repeats += 1;
                    continue;
                };
                if !lane.owed.contains(&number) {
                    self.repeats += 1;
                    continue;
                }
                if number != first {
                    let text =
                        format!("{number} came to {subscription} before {first} was taken there, which is of the same {key}");
                    faults.push(Fault::new(Kind::Order, text, [key.clone(), format!("{first:020}")]));
                }
                if is_taken {
                    self.taken += 1;
                    lane.owed.remove(&number);
                }
            }
        }
        faults
    }

    /// What was told and not taken.
    pub(crate) fn owed(&self) -> Vec<Fault> {
        let lost = |((subscription, key), lane): (&(String, String), &Lane)| {
            let first = lane.owed.first()?;
            let text = format!("{} events of {key} are owed to {subscription}, the first is {first}", lane.owed.len());
            Some(Fault::new(Kind::Loss, text, [key.clone(), format!(" {first} ")]))
        };
        self.lanes.iter().filter_map(lost).collect()
    }

    /// The highest number that anybody was told and the log, up to `last`, does not show.
    pub(crate) fn beyond(&self, last: u64) -> Option<u64> {
        self.lanes.values().flat_map(|lane| &lane.came).map(|(number, _)| *number).filter(|number| *number > last).max()
    }

    /// Forgets what is done.
    pub(crate) fn close(&mut self, is_over: impl Fn(&str) -> bool) {
        self.lanes.retain(|_, lane| !lane.owed.is_empty() || !lane.came.is_empty());
        self.bound.retain(|job, _| !is_over(job));
    }
}
