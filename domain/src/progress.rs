//! How far a job is, told now and then.
use std::time::Duration;

use crate::Timestamp;
use crate::event::Event;
use crate::job::Job;

/// The shortest time between two tellings of one job's progress.
pub const TOLD_EVERY: Duration = Duration::from_secs(5);

/// What was told last of a job's progress.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Told {
    /// When; none when nothing was told yet.
    pub at: Option<Timestamp>,
    /// How many executions had ended then.
    pub ended: i64,
}

impl Job {
    /// When its progress is to be told: executions have ended of which nothing was told, and others have not. A job that ends within
    /// [`TOLD_EVERY`] tells its end only.
    #[must_use]
    pub fn progress_due(&self) -> Option<Timestamp> {
        let is_due = !self.state.is_finished() && self.counts.finished() > self.told.ended;
        is_due.then(|| self.told.at.unwrap_or(self.created_at).plus(TOLD_EVERY))
    }

    /// Tells its progress, if it is time.
    pub fn tell_progress(&mut self, now: Timestamp) -> Option<Event> {
        self.progress_due().filter(|due| *due <= now)?;
        self.told = Told { at: Some(now), ended: self.counts.finished() };
        Some(Event::JobProgress { counts: self.counts })
    }
}
