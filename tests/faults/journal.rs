//! What was seen from outside the server, line by line: what it acknowledged, what it told, and what was done to it.
use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How many lines are kept for whoever asks what led to a fault.
const KEPT: usize = 60_000;

/// A line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Since the beginning.
    pub(crate) at: Duration,
    pub(crate) what: What,
}

/// An event as it was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) number: u64,
    pub(crate) id: String,
    /// The type, without what all begin with.
    pub(crate) kind: String,
    pub(crate) job: Option<String>,
    pub(crate) device: Option<String>,
    /// The state that it tells of, or the type of an alert.
    pub(crate) word: String,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// The API answered that a job was taken: for these devices, with that subscription bound to it, to write that value.
    Accepted { job: String, devices: Vec<String>, bound: Option<String>, value: Option<String> },
    /// A device was about to tell an alert of that type.
    Alerting { device: String, alert: String },
    /// A receiver was told an event, and said that it took it or that it did not.
    Came { subscription: String, told: Told, is_taken: bool },
    /// A device has that value now, as the device itself sees it.
    Carried { device: String, value: String },
    /// The API answered that a device was deleted.
    Deleted { device: String },
    /// Something was done to the server or to a receiver.
    Done(String),
    /// The API showed an execution.
    Executed { job: String, device: String, state: String },
    /// The gateway acknowledged an alert of that type.
    Heard { device: String, alert: String },
    /// The log showed an event to a reader who goes on from the last one.
    Read(Told),
    /// The API answered that a device was registered.
    Registered { device: String },
    /// The log showed an event to a reader who began again.
    Reread { number: u64, id: String },
    /// The API showed a job.
    Shown { job: String, state: String, is_over: bool },
    /// A subscription to everything was made, of what comes after that number.
    Subscribed { subscription: String, after: u64 },
}

impl Told {
    pub(crate) fn of(event: &Value) -> Self {
        let data = &event["data"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            number: event["sequence"].as_str().unwrap().parse().unwrap(),
            id: text(&event["id"]).unwrap(),
            kind: event["type"].as_str().unwrap().strip_prefix("dmwsi.v1.").unwrap().to_owned(),
            job: text(&data["jobId"]),
            device: text(&data["deviceId"]),
            word: text(&data["state"]).or_else(|| text(&data["alertType"])).unwrap_or_default(),
        }
    }

    /// What a subscriber gets the events of one after the other.
    pub(crate) fn key(&self) -> &str {
        self.device.as_deref().or(self.job.as_deref()).unwrap_or_default()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.number, self.id, self.kind)?;
        for part in [self.job.as_deref(), self.device.as_deref(), Some(self.word.as_str())].into_iter().flatten() {
            write!(f, " {part}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} ", self.at.as_secs_f64())?;
        match &self.what {
            What::Came { subscription, told, is_taken } => {
                write!(f, "came to {subscription} {}: {told}", if *is_taken { "and was taken" } else { "in vain" })
            }
            What::Read(told) => write!(f, "read {told}"),
            What::Done(what) => write!(f, "*** {what}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// The lines, in their order.
pub(crate) struct Journal {
    began: Instant,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    kept: VecDeque<Line>,
    /// How many lines came before those.
    forgotten: usize,
}

impl Journal {
    pub(crate) fn open() -> Self {
        Self { began: Instant::now(), lines: Mutex::default() }
    }

    pub(crate) fn write(&self, what: What) {
        let mut lines = self.lines.lock().unwrap();
        lines.kept.push_back(Line { at: self.began.elapsed(), what });
    }

    /// The lines after the first `read`; what was read long ago is forgotten.
    pub(crate) fn after(&self, read: usize) -> Vec<Line> {
        let mut lines = self.lines.lock().unwrap();
        while lines.kept.len() > KEPT && lines.forgotten < read {
            lines.kept.pop_front();
            lines.forgotten += 1;
        }
        let unread = read - lines.forgotten;
        lines.kept.range(unread..).cloned().collect()
    }

    /// The lines that name one of these, and all that was done.
    pub(crate) fn about(&self, names: &[String]) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let all = lines.kept.iter().map(|line| (line, line.to_string()));
        let told = all.filter(|(line, text)| matches!(line.what, What::Done(_)) || names.iter().any(|name| text.contains(name)));
        told.map(|(_, text)| text).collect()
    }
}
