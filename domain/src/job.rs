//! What somebody asked to be done on devices.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Event;
use crate::execution::ExecutionState;
use crate::id::{ClientId, DeviceId, JobId, OrganisationId};
use crate::operation::Request;
use crate::{Error, Result, Timestamp};

/// The most devices that a list may name.
pub const MAX_DEVICES: usize = 100_000;

/// Up to so many devices the executions are made in the transaction that makes the job.
pub const EXPANDED_AT_ONCE: usize = 100;

/// The most executions made in one transaction.
pub const EXPANDED_PER_TURN: usize = 5_000;

/// The state of a job.
///
/// | from | to |
/// |---|---|
/// | `ACCEPTED` | `EXPANDING`, `RUNNING`, `CANCELLING`, `REJECTED`, `EXPIRED` |
/// | `EXPANDING` | `RUNNING`, `CANCELLING`, `EXPIRED` |
/// | `RUNNING` | `PAUSED`, `CANCELLING`, `COMPLETED`, `EXPIRED` |
/// | `PAUSED` | `RUNNING`, `CANCELLING`, `EXPIRED` |
/// | `CANCELLING` | `CANCELLED` |
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Taken.
    Accepted,
    /// Its executions are being made.
    Expanding,
    /// Its executions are under way.
    Running,
    /// Held.
    Paused,
    /// Its executions are being ended.
    Cancelling,
    /// Every execution has ended; the outcome says how.
    Completed,
    /// Cancelled by who asked for it.
    Cancelled,
    /// Its time was over.
    Expired,
    /// Not taken.
    Rejected,
}

impl JobState {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Expanding,
        Self::Running,
        Self::Paused,
        Self::Cancelling,
        Self::Completed,
        Self::Cancelled,
        Self::Expired,
        Self::Rejected,
    ];

    /// The word on disk and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Expanding => "EXPANDING",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Cancelling => "CANCELLING",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::Rejected => "REJECTED",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Expired | Self::Rejected)
    }
}

/// How a completed job ended, from the counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobOutcome {
    /// Every execution succeeded.
    Succeeded,
    /// Some did.
    Partial,
    /// None did.
    Failed,
}

impl JobOutcome {
    /// The word on disk and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Partial => "PARTIAL",
            Self::Failed => "FAILED",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Succeeded, Self::Partial, Self::Failed].into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// How many executions stand in which state; or, as a delta, by how many that changed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Not begun.
    pub queued: i64,
    /// Waiting for the device.
    pub waiting: i64,
    /// In exchange with the device.
    pub running: i64,
    /// Done.
    pub succeeded: i64,
    /// Failed.
    pub failed: i64,
    /// Declined by the user.
    pub declined: i64,
    /// Cancelled.
    pub cancelled: i64,
    /// Expired.
    pub expired: i64,
    /// Not begun by the server.
    pub refused: i64,
}

impl Counts {
    /// So many in one state, none elsewhere.
    #[must_use]
    pub fn of(state: ExecutionState, number: i64) -> Self {
        let mut counts = Self::default();
        *counts.slot(state) = number;
        counts
    }

    /// One execution that went from one state to another.
    #[must_use]
    pub fn moved(from: ExecutionState, to: ExecutionState) -> Self {
        let mut counts = Self::of(from, -1);
        counts.add(Self::of(to, 1));
        counts
    }

    /// Adds a delta.
    pub fn add(&mut self, delta: Self) {
        for state in ExecutionState::ALL {
            let by = delta.get(state);
            let slot = self.slot(state);
            *slot = slot.saturating_add(by);
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// How many stand in that state.
    #[must_use]
    pub const fn get(&self, state: ExecutionState) -> i64 {
        match state {
            ExecutionState::Queued => self.queued,
            ExecutionState::Waiting => self.waiting,
            ExecutionState::Running => self.running,
            ExecutionState::Succeeded => self.succeeded,
            ExecutionState::Failed => self.failed,
            ExecutionState::Declined => self.declined,
            ExecutionState::Cancelled => self.cancelled,
            ExecutionState::Expired => self.expired,
            ExecutionState::Refused => self.refused,
        }
    }

    /// How many have ended.
    #[must_use]
    pub fn finished(&self) -> i64 {
        ExecutionState::ALL.into_iter().filter(|state| state.is_finished()).map(|state| self.get(state)).sum()
    }

    fn slot(&mut self, state: ExecutionState) -> &mut i64 {
        match state {
            ExecutionState::Queued => &mut self.queued,
            ExecutionState::Waiting => &mut self.waiting,
            ExecutionState::Running => &mut self.running,
            ExecutionState::Succeeded => &mut self.succeeded,
            ExecutionState::Failed => &mut self.failed,
            ExecutionState::Declined => &mut self.declined,
            ExecutionState::Cancelled => &mut self.cancelled,
            ExecutionState::Expired => &mut self.expired,
            ExecutionState::Refused => &mut self.refused,
        }
    }
}

/// Whom a job is for, with the ids that the server uses inside. Stored tagged by `type`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum Target {
    /// These devices, each once, in this order.
    Devices {
        /// The devices.
        device_ids: Vec<DeviceId>,
    },
}

impl Target {
    /// The name of the kind.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Devices { .. } => "DEVICES",
        }
    }

    /// How many devices it names.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Devices { device_ids } => device_ids.len(),
        }
    }
}

/// What somebody asked to be done on devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Who asked for it.
    pub client: ClientId,
    /// The client's own name for it, unique among the client's jobs.
    pub client_correlator: Option<String>,
    /// A digest of the request, by which a repeated one is known.
    pub fingerprint: String,
    /// The correlator of the call that made it.
    pub correlator: Option<String>,
    /// What to do.
    pub operation: Request,
    /// The kind of target, such as `DEVICES`.
    pub target_type: String,
    /// How many devices it is for.
    pub target_count: u64,
    /// The state.
    pub state: JobState,
    /// How it ended, once it is completed.
    pub outcome: Option<JobOutcome>,
    /// How many executions stand in which state.
    pub counts: Counts,
    /// How many executions have been made.
    pub expanded: u64,
    /// When it ends if it has not ended by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Counts changes.
    pub revision: u64,
}

impl Job {
    /// Whether executions are still to be made.
    #[must_use]
    pub const fn is_expanding(&self) -> bool {
        matches!(self.state, JobState::Accepted | JobState::Expanding)
    }

    /// Its executions are being made, `made` more of them. Nothing changes when none are to be made any more.
    pub fn expand(&mut self, made: u64, now: Timestamp) -> Option<Event> {
        if !self.is_expanding() {
            return None;
        }
        self.expanded = self.expanded.saturating_add(made);
        self.updated_at = now;
        self.state = if self.expanded >= self.target_count { JobState::Running } else { JobState::Expanding };
        (self.state == JobState::Running).then_some(Event::JobStarted { executions: self.expanded })
    }

    /// Ends it by the wish of who asked for it. Cancelling what is being cancelled changes nothing.
    pub fn cancel(&mut self, now: Timestamp) -> Result<Option<Event>> {
        if self.state.is_finished() && self.state != JobState::Cancelled {
            return Err(Error::conflict("JOB_FINISHED", format!("the job has ended already: {}", self.state.as_str())));
        }
        if matches!(self.state, JobState::Cancelling | JobState::Cancelled) {
            return Ok(None);
        }
        self.state = JobState::Cancelling;
        self.updated_at = now;
        Ok(Some(Event::JobCancelling {}))
    }

    /// Looks at the counts: when every execution has ended, so has the job.
    pub fn settle(&mut self, now: Timestamp) -> Option<Event> {
        let all = i64::try_from(self.expanded).unwrap_or(i64::MAX);
        let expanded = self.expanded >= self.target_count || self.state == JobState::Cancelling;
        if self.state.is_finished() || !expanded || self.counts.finished() < all {
            return None;
        }
        let late = self.expires_at.is_some_and(|end| end <= now);
        self.state = match self.state {
            JobState::Cancelling => JobState::Cancelled,
            _ if late && self.counts.expired == all => JobState::Expired,
            _ => JobState::Completed,
        };
        self.outcome = Some(match self.counts.succeeded {
            0 => JobOutcome::Failed,
            some if some == all => JobOutcome::Succeeded,
            _ => JobOutcome::Partial,
        });
        self.updated_at = now;
        self.finished_at = Some(now);
        Some(Event::JobCompleted { state: self.state, outcome: self.outcome, counts: self.counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::NodesGetRequest;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::from_micros(1_000);

    fn job(state: JobState, counts: Counts) -> Job {
        Job {
            id: JobId::new(Uuid::from_u128(1)),
            organisation: OrganisationId::new(Uuid::from_u128(2)),
            client: ClientId::new(Uuid::from_u128(3)),
            client_correlator: None,
            fingerprint: String::new(),
            correlator: None,
            operation: Request::NodesGet(NodesGetRequest { nodes: Vec::new() }),
            target_type: "DEVICES".to_owned(),
            target_count: 3,
            state,
            outcome: None,
            counts,
            expanded: if matches!(state, JobState::Accepted | JobState::Expanding) { 1 } else { 3 },
            expires_at: None,
            created_at: NOW,
            updated_at: NOW,
            finished_at: state.is_finished().then_some(NOW),
            revision: 1,
        }
    }

    fn ended(succeeded: i64, failed: i64, expired: i64) -> Counts {
        Counts { succeeded, failed, expired, ..Counts::default() }
    }

    /// UC-1, AD-1: for each state, what each action makes of it; no entry means that the action is refused.
    #[test]
    fn every_action_in_every_state_leads_where_the_table_says() {
        use JobState::{Accepted, Cancelled, Cancelling, Completed, Expanding, Expired, Paused, Rejected, Running};
        // From, one more execution, the last ones, cancel, settle with all ended, settle with one still running.
        let table = [
            (Accepted, Expanding, Running, Some(Cancelling), Accepted, Accepted),
            (Expanding, Expanding, Running, Some(Cancelling), Expanding, Expanding),
            (Running, Running, Running, Some(Cancelling), Completed, Running),
            (Paused, Paused, Paused, Some(Cancelling), Completed, Paused),
            (Cancelling, Cancelling, Cancelling, Some(Cancelling), Cancelled, Cancelling),
            (Completed, Completed, Completed, None, Completed, Completed),
            (Cancelled, Cancelled, Cancelled, Some(Cancelled), Cancelled, Cancelled),
            (Expired, Expired, Expired, None, Expired, Expired),
            (Rejected, Rejected, Rejected, None, Rejected, Rejected),
        ];
        assert_eq!(table.map(|row| row.0), JobState::ALL);
        for (from, one, last, cancelled, settled, unsettled) in table {
            let after = |run: &dyn Fn(&mut Job) -> bool, counts| {
                let mut job = job(from, counts);
                let (before, told) = (job.clone(), run(&mut job));
                assert!(!told || before != job, "{from:?}: an event without a change");
                assert_eq!(job.finished_at.is_some(), job.state.is_finished(), "{from:?}");
                job.state
            };
            assert_eq!(after(&|job| job.expand(1, NOW).is_some(), Counts::default()), one, "{from:?} expand one");
            assert_eq!(after(&|job| job.expand(2, NOW).is_some(), Counts::default()), last, "{from:?} expand the last");
            assert_eq!(after(&|job| job.settle(NOW).is_some(), ended(3, 0, 0)), settled, "{from:?} settle");
            assert_eq!(after(&|job| job.settle(NOW).is_some(), ended(0, 0, 0)), unsettled, "{from:?} settle early");
            let mut job = job(from, Counts::default());
            match cancelled {
                Some(to) => {
                    let told = job.cancel(NOW).unwrap().is_some();
                    assert_eq!((job.state, told), (to, from != to), "{from:?} cancel");
                }
                None => assert!(matches!(job.cancel(NOW), Err(Error::Conflict { code: "JOB_FINISHED", .. })), "{from:?}"),
            }
        }
    }

    #[test]
    fn the_outcome_follows_from_the_counts() {
        let outcome = |counts, expires_at| {
            let mut job = Job { expires_at, ..job(JobState::Running, counts) };
            let told = job.settle(NOW);
            assert_eq!(told, Some(Event::JobCompleted { state: job.state, outcome: job.outcome, counts: job.counts }));
            (job.state, job.outcome)
        };
        let (late, in_time) = (Some(NOW), Some(NOW.plus(std::time::Duration::from_secs(1))));
        assert_eq!(outcome(ended(3, 0, 0), None), (JobState::Completed, Some(JobOutcome::Succeeded)));
        assert_eq!(outcome(ended(1, 2, 0), in_time), (JobState::Completed, Some(JobOutcome::Partial)));
        assert_eq!(outcome(ended(0, 3, 0), late), (JobState::Completed, Some(JobOutcome::Failed)));
        assert_eq!(outcome(ended(1, 0, 2), late), (JobState::Completed, Some(JobOutcome::Partial)));
        assert_eq!(outcome(ended(0, 0, 3), late), (JobState::Expired, Some(JobOutcome::Failed)));
    }

    #[test]
    fn a_job_cancelled_before_all_its_executions_were_made_ends_with_those_it_has() {
        let mut job = job(JobState::Expanding, Counts { cancelled: 1, ..Counts::default() });
        assert!(job.cancel(NOW).unwrap().is_some());
        assert!(job.settle(NOW).is_some());
        assert_eq!(job.state, JobState::Cancelled);
    }

    #[test]
    fn a_move_of_one_execution_is_a_delta_that_adds_up_to_nothing() {
        for from in ExecutionState::ALL {
            for to in ExecutionState::ALL {
                let mut counts = Counts::of(from, 1);
                counts.add(Counts::moved(from, to));
                assert_eq!(counts, Counts::of(to, 1), "{from:?} {to:?}");
                assert_eq!(Counts::moved(from, to).is_nothing(), from == to);
            }
        }
    }

    #[test]
    fn every_word_of_a_state_is_read_back() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(JobState::parse("running"), None);
    }
}
