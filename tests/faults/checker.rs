//! Proves from the journal alone that nothing was lost, made up, left out or told out of order.
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::journal::{Journal, Told, What};
use super::lanes::Lanes;

/// What may be wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// The numbers are not one after the other, or do not stand for one event each.
    Gap,
    /// Something was told before what came before it.
    Order,
    /// Something was told that is not so.
    Phantom,
    /// Something does not come to its end.
    Stuck,
    /// Something that was acknowledged was not told, or not to everybody.
    Loss,
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// The names by which the journal knows what it is about.
    pub(crate) about: Vec<String>,
}

impl Fault {
    pub(crate) fn new(kind: Kind, text: String, about: impl IntoIterator<Item = String>) -> Self {
        Self { kind, text, about: about.into_iter().filter(|name| !name.is_empty()).collect() }
    }
}

/// A device: what the API said of it, and what the log did.
#[derive(Default)]
struct Device {
    is_registered: bool,
    is_deleted: bool,
    told_created: bool,
    told_deleted: bool,
}

/// A job: what the API said of it, and what the log did.
#[derive(Default)]
struct Job {
    is_acknowledged: bool,
    devices: BTreeSet<String>,
    value: Option<String>,
    /// The state that the API showed last, and whether it is a last one.
    shown: Option<(String, bool)>,
    executed: BTreeMap<String, String>,
    told_accepted: bool,
    told_completed: Option<String>,
    told_finished: BTreeMap<String, String>,
}

/// Reads the journal.
#[derive(Default)]
pub(crate) struct Checker {
    read: usize,
    /// The number of the last event that the reader of the log has seen.
    last: u64,
    ids: HashMap<u64, String>,
    numbers: HashMap<String, u64>,
    /// What the log showed since the last round.
    log: BTreeMap<u64, Told>,
    devices: HashMap<String, Device>,
    jobs: HashMap<String, Job>,
    /// The jobs that were found to be in order.
    over: HashSet<String>,
    /// The alerts that were about to be told, those the gateway acknowledged, and those the log showed.
    alerting: HashMap<String, String>,
    heard: HashMap<String, String>,
    alerts: HashMap<String, String>,
    carried: HashSet<(String, String)>,
    lanes: Lanes,
    faults: Vec<Fault>,
}

impl Checker {
    /// Reads on.
    pub(crate) fn read(&mut self, journal: &Journal) {
        let lines = journal.after(self.read);
        self.read += lines.len();
        for line in lines {
            self.see(line.what);
        }
    }

    fn see(&mut self, what: What) {
        match what {
            What::Accepted { job, devices, bound, value } => {
                if let Some(subscription) = bound {
                    self.lanes.bind(&subscription, &job, self.log.values());
                }
                let known = self.jobs.entry(job).or_default();
                known.is_acknowledged = true;
                known.devices = devices.into_iter().collect();
                known.value = value;
            }
            What::Alerting { device, alert } => drop(self.alerting.insert(alert, device)),
            What::Came { subscription, told, is_taken } => {
                self.name(told.number, &told.id);
                self.lanes.come(&subscription, &told, is_taken);
            }
            What::Carried { device, value } => drop(self.carried.insert((device, value))),
            What::Deleted { device } => self.devices.entry(device).or_default().is_deleted = true,
            What::Done(_) => {}
            What::Executed { job, device, state } => drop(self.jobs.entry(job).or_default().executed.insert(device, state)),
            What::Heard { device, alert } => drop(self.heard.insert(alert, device)),
            What::Read(told) => self.follow(told),
            What::Registered { device } => self.devices.entry(device).or_default().is_registered = true,
            What::Reread { number, id } => {
                if number <= self.last && !self.ids.contains_key(&number) {
                    self.fault(Kind::Gap, format!("{number} was shown to who began again, not to who went on"), [id.clone()]);
                }
                self.name(number, &id);
            }
            What::Shown { job, state, is_over } => self.jobs.entry(job).or_default().shown = Some((state, is_over)),
            What::Subscribed { subscription, after } => self.lanes.stand(&subscription, after),
        }
    }

    /// The next of the log.
    fn follow(&mut self, told: Told) {
        if told.number != self.last + 1 {
            self.fault(Kind::Gap, format!("{} follows {} in the log", told.number, self.last), [told.id.clone()]);
        }
        self.last = self.last.max(told.number);
        self.name(told.number, &told.id);
        self.lanes.owe(&told);
        match (told.job.clone(), told.device.clone()) {
            (Some(job), device) if told.kind.starts_with("job-") || told.kind.starts_with("execution-") => {
                self.follow_job(&job, device, &told);
            }
            (None, Some(device)) => self.follow_device(&device, &told),
            _ => {}
        }
        self.log.insert(told.number, told);
    }

    fn follow_device(&mut self, id: &str, told: &Told) {
        let device = self.devices.entry(id.to_owned()).or_default();
        let is_again = match told.kind.as_str() {
            "device-alert" => {
                // A device that got no answer tells it again.
                self.alerts.insert(told.word.clone(), id.to_owned());
                false
            }
            "device-created" => std::mem::replace(&mut device.told_created, true),
            "device-deleted" => std::mem::replace(&mut device.told_deleted, true),
            _ => false,
        };
        let is_early = told.kind != "device-created" && !device.told_created;
        if is_again {
            self.fault(Kind::Phantom, format!("it happened once and is told twice: {told}"), [id.to_owned()]);
        }
        if is_early {
            self.fault(Kind::Order, format!("the device was not told of before: {told}"), [id.to_owned()]);
        }
    }

    fn follow_job(&mut self, id: &str, device: Option<String>, told: &Told) {
        let job = self.jobs.entry(id.to_owned()).or_default();
        let is_late = self.over.contains(id)
            || job.told_completed.is_some()
            || device.as_ref().is_some_and(|device| job.told_finished.contains_key(device));
        let is_early = told.kind != "job-accepted" && !job.told_accepted;
        let is_again = told.kind == "job-accepted" && std::mem::replace(&mut job.told_accepted, true);
        match (told.kind.as_str(), device) {
            ("execution-finished", Some(device)) => drop(job.told_finished.insert(device, told.word.clone())),
            ("job-completed", None) => job.told_completed = Some(told.word.clone()),
            _ => {}
        }
        for (so, when) in [(is_late, "after its end"), (is_early, "before it was accepted"), (is_again, "once more")] {
            if so {
                self.fault(Kind::Order, format!("the job is told of {when}: {told}"), [id.to_owned()]);
            }
        }
    }

    /// A number stands for one event and an event has one number, whoever tells it and whenever.
    fn name(&mut self, number: u64, id: &str) {
        let other = self.ids.entry(number).or_insert_with(|| id.to_owned()).clone();
        if other != id {
            self.fault(Kind::Gap, format!("{number} is {id} and {other}"), [id.to_owned(), other]);
        }
        let other = *self.numbers.entry(id.to_owned()).or_insert(number);
        if other != number {
            self.fault(Kind::Gap, format!("{id} is {number} and {other}"), [id.to_owned()]);
        }
    }

    fn fault(&mut self, kind: Kind, text: String, about: impl IntoIterator<Item = String>) {
        self.faults.push(Fault::new(kind, text, about));
    }

    /// What is wrong whatever else may still come. To be asked when nothing is asked of the server any more: everything that it took it has said so.
    pub(crate) fn wrong(&mut self) -> Vec<Fault> {
        self.faults.extend(self.lanes.judge(self.last));
        let mut wrong = self.faults.clone();
        let mut say = |kind, text: String, name: &str| wrong.push(Fault::new(kind, text, [name.to_owned()]));
        for (id, device) in &self.devices {
            if device.told_created && !device.is_registered {
                say(Kind::Phantom, format!("{id} is told of and was never registered"), id);
            }
            if device.told_deleted && !device.is_deleted {
                say(Kind::Phantom, format!("{id} is told to be deleted and never was"), id);
            }
        }
        for (id, job) in self.jobs.iter().filter(|(id, _)| !self.over.contains(*id)) {
            if !job.is_acknowledged {
                say(Kind::Phantom, format!("{id} is told of and was never taken"), id);
            }
            if let (Some(told), Some((shown, true))) = (&job.told_completed, &job.shown)
                && told != shown
            {
                say(Kind::Phantom, format!("{id} is told to be {told} and is {shown}"), id);
            }
            for (device, told) in &job.told_finished {
                if job.executed.get(device).is_some_and(|state| state != told) || !job.devices.contains(device) {
                    say(Kind::Phantom, format!("{id} is told to be {told} on {device} and is not"), id);
                }
                let carried = job.value.as_ref().is_none_or(|value| self.carried.contains(&(device.clone(), value.clone())));
                if told == "SUCCEEDED" && !carried {
                    say(Kind::Phantom, format!("{id} is told to be done on {device}, which does not know of it"), id);
                }
            }
        }
        for (alert, device) in self.alerts.iter().filter(|(alert, device)| self.alerting.get(*alert) != Some(*device)) {
            say(Kind::Phantom, format!("{alert} is told of {device}, which did not tell it"), alert);
        }
        wrong
    }

    /// What should still come.
    pub(crate) fn owed(&self) -> Vec<Fault> {
        let mut owed = self.lanes.owed();
        let mut say = |kind, text: String, name: &str| owed.push(Fault::new(kind, text, [name.to_owned()]));
        for (id, device) in &self.devices {
            if (device.is_registered && !device.told_created) || (device.is_deleted && !device.told_deleted) {
                say(Kind::Loss, format!("{id} was registered or deleted, which the log does not tell"), id);
            }
        }
        for (id, job) in &self.jobs {
            // What is cancelled or expires before its executions are made has none.
            let is_completed = job.shown.as_ref().is_some_and(|(state, _)| state == "COMPLETED");
            let due = job.devices.iter().filter(|device| is_completed || job.executed.contains_key(*device));
            let missing: Vec<_> = due.filter(|device| !job.told_finished.contains_key(*device)).collect();
            if !job.shown.as_ref().is_some_and(|(_, is_over)| *is_over) {
                say(Kind::Stuck, format!("{id} does not end: {:?}", job.shown), id);
            } else if !job.told_accepted || job.told_completed.is_none() {
                say(Kind::Loss, format!("{id} was taken or completed, which the log does not tell"), id);
            } else if let Some(first) = missing.first() {
                say(Kind::Loss, format!("{id} has ended, which the log does not tell of {}, such as {first}", missing.len()), id);
            }
        }
        for alert in self.heard.keys().filter(|alert| !self.alerts.contains_key(*alert)) {
            say(Kind::Loss, format!("{alert} was acknowledged, and the log does not tell it"), alert);
        }
        if let Some(number) = self.lanes.beyond(self.last) {
            say(Kind::Phantom, format!("{number} was delivered, and the log ends with {}", self.last), &format!(" {number} "));
        }
        owed
    }

    /// Ends a round in which nothing was wrong and nothing is owed.
    pub(crate) fn close(&mut self) {
        self.over.extend(self.jobs.drain().map(|(id, _)| id));
        self.lanes.close(|job| self.over.contains(job));
        self.log.clear();
        self.heard.clear();
        self.carried.clear();
        // What devices said is known for ever: one that got no answer tells it again, which the log may show late.
        self.alerts.clear();
    }

    /// The number up to which the log is known.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// Changes whenever something comes that is owed.
    pub(crate) const fn progress(&self) -> (u64, u64) {
        (self.last, self.lanes.taken)
    }

    /// What was proved, in a line.
    pub(crate) fn summary(&self) -> String {
        let (jobs, devices) = (self.over.len(), self.devices.len());
        let (taken, repeats) = (self.lanes.taken, self.lanes.repeats);
        format!("{} events, {jobs} jobs, {devices} devices; {taken} deliveries taken, {repeats} repeated", self.last)
    }
}
