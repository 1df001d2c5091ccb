//! A job on one device.
use std::time::Duration;

use dmwsi_objects::{Answer, Command};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::correlator::Correlator;
use crate::eligibility::Reason;
use crate::event::Event;
use crate::evidence::{Evidence, Fact};
use crate::facts::Facts;
use crate::id::{ClientId, DeviceId, JobId, OrganisationId};
use crate::operation::{Context, End, EndWord, Input, Next, NodeResult, Operation, Outcome, Phase, Told};

/// The most pieces of evidence kept; later ones push out those after the first [`FIRST_EVIDENCE`].
pub const MAX_EVIDENCE: usize = 64;

/// How many of the first pieces of evidence are always kept.
pub const FIRST_EVIDENCE: usize = 16;

/// The most characters kept of what an install notification says beside its number.
const MAX_TEXT: usize = 64;

/// The state of an execution.
///
/// | from | to |
/// |---|---|
/// | `QUEUED` | `RUNNING` (its turn in a session), `REFUSED`, `CANCELLED`, `EXPIRED` |
/// | `RUNNING` | `WAITING` (nothing to say in this session), or an end; `REFUSED` where the device turns out to be one that the package does not fit, or the package is withdrawn before it is installed |
/// | `WAITING` | `RUNNING` (the device called or told), `REFUSED` (the package was withdrawn meanwhile), `CANCELLED`, `EXPIRED`, `FAILED` (time is over, or the device was deleted) |
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionState {
    /// Not begun.
    Queued,
    /// Begun, and waiting for the device to call or to tell.
    Waiting,
    /// In exchange with the device.
    Running,
    /// Done.
    Succeeded,
    /// Failed.
    Failed,
    /// The user said no.
    Declined,
    /// Cancelled by who asked for it.
    Cancelled,
    /// The job's time was over.
    Expired,
    /// The server did not begin it.
    Refused,
}

impl ExecutionState {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Waiting,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Declined,
        Self::Cancelled,
        Self::Expired,
        Self::Refused,
    ];

    /// The word on disk and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Waiting => "WAITING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Declined => "DECLINED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::Refused => "REFUSED",
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
        !matches!(self, Self::Queued | Self::Waiting | Self::Running)
    }
}

/// A job on one device. Its key is the job and the ordinal; outside it is known by the device's id within the job.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// The job.
    pub job: JobId,
    /// Which of the job's devices, from 0.
    pub ordinal: u32,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Who asked for it.
    pub client: ClientId,
    /// The device.
    pub device: DeviceId,
    /// The state.
    pub state: ExecutionState,
    /// Where the operation is, in its own words.
    pub phase: Option<String>,
    /// The attempt, from 1.
    pub attempt: u32,
    /// How far it is, 0 to 100.
    pub progress: u8,
    /// What is being done.
    pub operation: Operation,
    /// Why it says what it says.
    pub evidence: Vec<Evidence>,
    /// How it ended: a stable code, upper snake case.
    pub outcome: Option<String>,
    /// A sentence, where the code does not say all.
    pub detail: Option<String>,
    /// When the time of the present phase is over.
    pub due_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Counts changes.
    pub revision: u64,
}

/// What a step of an execution leads to, beside the change in itself.
#[derive(Debug, Default)]
pub struct Move {
    /// What to send now; none means that it has nothing to say in this session.
    pub commands: Vec<Command>,
    /// What to tell.
    pub events: Vec<Event>,
    /// What to add to the results.
    pub results: Vec<NodeResult>,
    /// Whether it was about this execution at all.
    pub mine: bool,
}

impl Execution {
    /// A job on its `ordinal`th device, not begun.
    #[must_use]
    pub fn new(job: &crate::job::Job, ordinal: u32, device: DeviceId, now: Timestamp) -> Self {
        Self {
            job: job.id,
            ordinal,
            organisation: job.organisation,
            client: job.client,
            device,
            state: ExecutionState::Queued,
            phase: None,
            attempt: 1,
            progress: 0,
            operation: job.operation.begin(),
            evidence: Vec::new(),
            outcome: None,
            detail: None,
            due_at: None,
            created_at: now,
            updated_at: now,
            finished_at: None,
            revision: 1,
        }
    }

    /// Whether it has begun what no other of its kind may do on the device meanwhile; such a one is also what the device reports about.
    #[must_use]
    pub const fn holds_device(&self) -> bool {
        self.operation.is_exclusive() && !matches!(self.state, ExecutionState::Queued)
    }

    /// Whether it may have a turn in a session beside the device's other unfinished executions.
    #[must_use]
    pub fn may_run_beside(&self, others: &[Self]) -> bool {
        let rival = |other: &Self| (other.job, other.ordinal) != (self.job, self.ordinal) && other.holds_device();
        let must_wait = self.state == ExecutionState::Queued && self.operation.is_exclusive() && others.iter().any(rival);
        !(self.state.is_finished() || must_wait)
    }

    /// Before when nobody needs to call the device because of it; none where it has something to say at once, or is over.
    #[must_use]
    pub fn rests_until(&self) -> Option<Timestamp> {
        if self.state == ExecutionState::Waiting { self.operation.rests_until(self.updated_at) } else { None }
    }

    /// It is its turn in a session of the device.
    pub fn turn(&mut self, facts: &Facts, now: Timestamp) -> Move {
        self.step(Input::Turn, facts, now)
    }

    /// The device answered what was sent, in the same order.
    pub fn answered(&mut self, answers: &[Answer], facts: &Facts, now: Timestamp) -> Move {
        self.step(Input::Answers(answers), facts, now)
    }

    /// The device told something; [`Move::mine`] says whether it was about this execution.
    pub fn alerted(&mut self, told: Told<'_>, facts: &Facts, now: Timestamp) -> Move {
        self.step(Input::Alert(told), facts, now)
    }

    /// The session ended before the last commands were all answered: `answers` holds what is known of each, in their order.
    pub fn cut(&mut self, answers: &[Answer], facts: &Facts, now: Timestamp) -> Move {
        let mut moved = if answers.is_empty() { Move::default() } else { self.step(Input::Answers(answers), facts, now) };
        // There is no session to say anything more in: what was not sent counts as not said, and is said at the next turn.
        moved.commands.clear();
        if self.state == ExecutionState::Running {
            self.state = ExecutionState::Waiting;
            self.updated_at = now;
        }
        moved
    }

    /// The device told what became of its download; false when that is known already, or when nothing is noted any more. What it means for
    /// the operation the device tells by its alert.
    pub fn install_notified(&mut self, status: u16, text: &str, now: Timestamp) -> bool {
        let fact = Fact::InstallNotified { status, text: text.chars().take(MAX_TEXT).collect() };
        if self.state.is_finished() || self.evidence.iter().any(|known| known.fact == fact) {
            return false;
        }
        self.note(fact, now);
        self.updated_at = now;
        true
    }

    /// The time of its phase is over.
    pub fn timed_out(&mut self, facts: &Facts, now: Timestamp) -> Move {
        self.step(Input::TimedOut, facts, now)
    }

    /// The job's time is over.
    pub fn expire(&mut self, now: Timestamp) -> Move {
        let begun = self.state != ExecutionState::Queued;
        let detail =
            if begun { "the job expired while the device was at it" } else { "the device did not call before the job expired" };
        self.finish(ExecutionState::Expired, EndWord::EXPIRED, Some(detail.to_owned()), now)
    }

    /// Who asked for it no longer wants it. What the device was already told to do it may still do.
    pub fn cancel(&mut self, now: Timestamp) -> Move {
        let begun = self.state != ExecutionState::Queued;
        let detail = begun.then(|| "the device had been told to begin and may still finish".to_owned());
        self.finish(ExecutionState::Cancelled, EndWord::CANCELLED, detail, now)
    }

    /// It is not begun at all, for the reason of that code.
    pub fn refuse(&mut self, code: EndWord, detail: &str, now: Timestamp) -> Move {
        self.finish(ExecutionState::Refused, code, Some(detail.to_owned()), now)
    }

    /// It is not begun at all, since its package does not fit the device.
    pub fn refuse_unfit(&mut self, reasons: Vec<Reason>, now: Timestamp) -> Move {
        let Some(first) = reasons.first().cloned() else { return Move::default() };
        for Reason { code, detail, .. } in reasons {
            self.note(Fact::Unfit { code, detail }, now);
        }
        self.refuse(first.code.into(), &first.detail, now)
    }

    /// Its device was deleted.
    pub fn device_gone(&mut self, now: Timestamp) -> Move {
        let (state, detail) = match self.state {
            ExecutionState::Queued => (ExecutionState::Refused, "the device was deleted before the job began on it"),
            _ => (ExecutionState::Failed, "the device was deleted while the job was at it"),
        };
        self.finish(state, EndWord::DEVICE_GONE, Some(detail.to_owned()), now)
    }

    fn step(&mut self, input: Input<'_>, facts: &Facts, now: Timestamp) -> Move {
        if self.state.is_finished() {
            return Move::default();
        }
        let correlator = Correlator { job: self.job, ordinal: self.ordinal, attempt: self.attempt, step: 1 };
        let step = self.operation.step(input, &Context { facts, correlator, now });
        if step.next == Next::NotMine {
            return Move::default();
        }
        let mut events = Vec::new();
        let is_refused = matches!(&step.next, Next::Done(Outcome { end: End::Refused, .. }));
        if self.state == ExecutionState::Queued && !is_refused {
            events.push(Event::ExecutionStarted { attempt: self.attempt });
        }
        for fact in step.facts {
            self.note(fact, now);
        }
        self.updated_at = now;
        let mut moved = Move { results: step.results, mine: true, ..Move::default() };
        let before = self.phase.clone();
        match step.next {
            Next::NotMine => {}
            Next::Send(phase, commands) => {
                events.extend(self.enter(ExecutionState::Running, phase));
                // A phase's time runs from its beginning, however often the device calls meanwhile.
                if before != self.phase {
                    self.due_at = None;
                }
                moved.commands = commands;
            }
            Next::Rest(phase, limit) => {
                events.extend(self.enter(ExecutionState::Waiting, phase));
                if before != self.phase || self.due_at.is_none() {
                    self.due_at = limit.map(|limit: Duration| now.plus(limit));
                }
            }
            Next::Again(phase, pause) => {
                events.extend(self.enter(ExecutionState::Waiting, phase));
                self.attempt = self.attempt.saturating_add(1);
                self.due_at = Some(now.plus(pause));
            }
            Next::Done(Outcome { end, code, detail }) => {
                let state = match end {
                    End::Refused => ExecutionState::Refused,
                    End::Declined => ExecutionState::Declined,
                    End::Failed => ExecutionState::Failed,
                    End::Succeeded => ExecutionState::Succeeded,
                };
                events.extend(self.finish(state, code, detail, now).events);
            }
        }
        moved.events = events;
        moved
    }

    fn enter(&mut self, state: ExecutionState, phase: Phase) -> Option<Event> {
        let is_new = self.phase.as_deref() != Some(phase.name);
        self.state = state;
        self.progress = phase.progress;
        self.phase = Some(phase.name.to_owned());
        is_new.then(|| Event::ExecutionPhase { phase: phase.name.to_owned(), progress: phase.progress })
    }

    fn finish(&mut self, state: ExecutionState, code: EndWord, detail: Option<String>, now: Timestamp) -> Move {
        if self.state.is_finished() {
            return Move::default();
        }
        self.state = state;
        self.outcome = Some(code.as_str().to_owned());
        self.detail = detail.clone();
        self.due_at = None;
        self.updated_at = now;
        self.finished_at = Some(now);
        if state == ExecutionState::Succeeded {
            self.progress = 100;
        }
        let event = Event::ExecutionFinished { state, outcome: code.as_str().to_owned(), detail };
        Move { events: vec![event], mine: true, ..Move::default() }
    }

    fn note(&mut self, fact: Fact, now: Timestamp) {
        if self.evidence.len() >= MAX_EVIDENCE {
            self.evidence.remove(FIRST_EVIDENCE);
        }
        self.evidence.push(Evidence { at: now, fact });
    }
}
