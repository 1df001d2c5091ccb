//! What somebody asked to be done on devices.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::acknowledgement::Acknowledgement;
use crate::event::Event;
use crate::execution::ExecutionState;
use crate::id::{ClientId, DeviceId, JobId, OrganisationId};
use crate::operation::Request;
use crate::progress::Told;
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
    /// That its result was received.
    pub acknowledgement: Option<Acknowledgement>,
    /// What was told last of its progress.
    pub told: Told,
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
