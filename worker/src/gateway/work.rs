//! What a message means for the device's executions: whose alert it is, whose answers they are, whose turn comes next.
use dmwsi_domain::Timestamp;
use dmwsi_domain::execution::{Execution, ExecutionState, Move};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::operation::Told;
use dmwsi_domain::rotation::SecretNews;
use dmwsi_objects::{Answer, Command};

use super::state::ExecutionKey;

/// An execution that was changed by a message.
#[derive(Debug)]
pub(super) struct Change {
    /// The state before.
    pub(super) was: ExecutionState,
    /// The execution after.
    pub(super) execution: Execution,
    /// What to tell and to add to the results.
    pub(super) moved: Move,
}

/// Those of the device's unfinished executions that take part in the message.
#[derive(Debug)]
pub(super) struct Work {
    executions: Vec<Execution>,
    changes: Vec<(ExecutionKey, ExecutionState, Move)>,
    now: Timestamp,
}

impl Work {
    pub(super) const fn new(executions: Vec<Execution>, now: Timestamp) -> Self {
        Self { executions, changes: Vec::new(), now }
    }

    /// Gives an alert to the execution that it is about; false when it is about none. What had begun before it is of the execution whose
    /// commands are out, the `current` one.
    pub(super) fn alerted(
        &mut self,
        told: Told<'_>,
        current: Option<ExecutionKey>,
        facts: &Facts,
        visited: &mut Vec<ExecutionKey>,
    ) -> bool {
        for execution in &mut self.executions {
            let (key, was) = (key_of(execution), execution.state);
            let begun = if current == Some(key) { told.begun } else { &[] };
            let moved = execution.alerted(Told { begun, ..told }, facts, self.now);
            if moved.mine {
                // It may have something to say now, whatever it said before.
                visited.retain(|seen| *seen != key);
                note(&mut self.changes, key, was, moved);
                return true;
            }
        }
        false
    }

    /// Gives the answers to the execution whose commands they answer, and brings what it wants to send next.
    pub(super) fn answered(&mut self, key: ExecutionKey, answers: &[Answer], facts: &Facts) -> Vec<Command> {
        self.step(key, |execution, now| execution.answered(answers, facts, now))
    }

    /// Tells the execution that its session ended before all answers came.
    pub(super) fn cut(&mut self, key: ExecutionKey, answers: &[Answer], facts: &Facts) {
        self.step(key, |execution, now| execution.cut(answers, facts, now));
    }

    /// Tells the execution that its session is over, of which nobody knows any more what was said in it: what it would say now may have been
    /// said, and heard.
    pub(super) fn cut_unheard(&mut self, key: ExecutionKey, facts: &Facts) {
        let said = self.executions.iter().find(|one| key_of(one) == key).map(|one| one.clone().turn(facts, self.now).commands);
        let answers: Vec<_> = said.unwrap_or_default().into_iter().map(Answer::unheard).collect();
        self.cut(key, &answers, facts);
    }

    /// The next execution that has something to say, with what it says. Those that have not are `visited`.
    pub(super) fn turn(&mut self, facts: &Facts, visited: &mut Vec<ExecutionKey>) -> Option<(ExecutionKey, Vec<Command>)> {
        loop {
            let next =
                self.executions.iter().find(|one| !visited.contains(&key_of(one)) && one.may_run_beside(&self.executions))?;
            let key = key_of(next);
            visited.push(key);
            let commands = self.step(key, |execution, now| execution.turn(facts, now));
            if !commands.is_empty() {
                return Some((key, commands));
            }
        }
    }

    /// Whether what that execution said last holds a secret; it may where the execution is over, and not here any more.
    pub(super) fn tells_secret(&self, key: ExecutionKey) -> bool {
        self.executions.iter().find(|one| key_of(one) == key).is_none_or(|one| one.operation.tells_secret())
    }

    /// What became of the secret that the executions were handed.
    pub(super) fn secret_news(&self) -> SecretNews {
        self.executions.iter().map(|one| one.operation.secret_news()).fold(SecretNews::NONE, SecretNews::and)
    }

    /// Whether one may say what is too large for one message.
    pub(super) fn sends_large(&self) -> bool {
        self.executions.iter().any(|one| !one.state.is_finished() && one.operation.sends_large())
    }

    /// Whether one that is not `visited` has something to say to the device now.
    pub(super) fn has_turn(&self, visited: &[ExecutionKey]) -> bool {
        let says = |one: &Execution| one.rests_until().is_none_or(|until| until <= self.now);
        self.executions.iter().any(|one| !visited.contains(&key_of(one)) && says(one) && one.may_run_beside(&self.executions))
    }

    /// What became of the executions, one change each.
    pub(super) fn into_changes(self) -> Vec<Change> {
        let find = |key| self.executions.iter().find(|one| key_of(one) == key).cloned();
        let change = |(key, was, moved)| find(key).map(|execution| Change { was, execution, moved });
        self.changes.into_iter().filter_map(change).collect()
    }

    fn step(&mut self, key: ExecutionKey, act: impl FnOnce(&mut Execution, Timestamp) -> Move) -> Vec<Command> {
        let Some(execution) = self.executions.iter_mut().find(|one| key_of(one) == key) else { return Vec::new() };
        let (was, revised) = (execution.state, execution.updated_at);
        let mut moved = act(execution, self.now);
        let commands = std::mem::take(&mut moved.commands);
        if moved.mine || was != execution.state || revised != execution.updated_at {
            note(&mut self.changes, key, was, moved);
        }
        commands
    }
}

/// The key of an execution.
pub(super) const fn key_of(execution: &Execution) -> ExecutionKey {
    (execution.job, execution.ordinal)
}

/// Several steps of one message become one change: the state before the first, what all of them tell.
fn note(changes: &mut Vec<(ExecutionKey, ExecutionState, Move)>, key: ExecutionKey, was: ExecutionState, moved: Move) {
    match changes.iter_mut().find(|(known, ..)| *known == key) {
        Some((_, _, earlier)) => {
            earlier.events.extend(moved.events);
            earlier.results.extend(moved.results);
        }
        None => changes.push((key, was, moved)),
    }
}
