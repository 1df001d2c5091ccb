//! A device that answers commands from a tree, and the execution that it talks with.
use std::collections::BTreeMap;
use std::time::Duration;

use dmwsi_domain::event::Event;
use dmwsi_domain::evidence::Fact;
use dmwsi_domain::execution::{Execution, Move};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::id::{ClientId, DeviceId, JobId, OrganisationId};
use dmwsi_domain::job::{Counts, Job, JobState};
use dmwsi_domain::operation::{NewSecret, Request, Supply, Told};
use dmwsi_domain::{Clock, Timestamp};
use dmwsi_objects::{AlertType, Answer, Command, GenericAlert, Mark, NodeUri, Reading, StatusCode, Value};

/// A script: one execution, one device, one clock.
pub(crate) struct Script {
    pub(crate) execution: Execution,
    pub(crate) now: Timestamp,
    pub(crate) tree: BTreeMap<String, String>,
    /// Statuses that the device gives whatever its tree says, by node.
    pub(crate) statuses: BTreeMap<String, u16>,
    /// Everything the device was sent.
    pub(crate) sent: Vec<Command>,
    pub(crate) events: Vec<Event>,
    /// The deliverable, handed in before each step to an operation that wants it.
    pub(crate) supply: Option<Supply>,
    /// The secret, handed in before each step to an operation that wants one.
    pub(crate) handed: Option<NewSecret>,
    /// What is known of the device without asking it.
    pub(crate) known: Facts,
}

pub(crate) fn node(text: &str) -> NodeUri {
    NodeUri::parse(text).unwrap()
}

pub(crate) fn job(operation: &str) -> Job {
    let now = Timestamp::from_micros(1_795_255_200_000_000);
    let operation: Request = serde_json::from_str(operation).unwrap();
    operation.check().unwrap();
    Job {
        id: JobId::new(Clock::System.new_id()),
        organisation: OrganisationId::new(Clock::System.new_id()),
        client: ClientId::new(Clock::System.new_id()),
        client_correlator: None,
        fingerprint: String::new(),
        correlator: None,
        operation,
        target_type: "DEVICES".to_owned(),
        target_count: 1,
        state: JobState::Running,
        outcome: None,
        counts: Counts::default(),
        expanded: 1,
        expires_at: None,
        created_at: now,
        updated_at: now,
        finished_at: None,
        acknowledgement: None,
        told: dmwsi_domain::progress::Told::default(),
        revision: 1,
    }
}

impl Script {
    pub(crate) fn of(operation: &str, tree: &[(&str, &str)]) -> Self {
        let job = job(operation);
        let now = job.created_at;
        Self {
            execution: Execution::new(&job, 0, DeviceId::new(Clock::System.new_id()), now),
            now,
            tree: tree.iter().map(|(node, text)| ((*node).to_owned(), (*text).to_owned())).collect(),
            statuses: BTreeMap::new(),
            sent: Vec::new(),
            events: Vec::new(),
            supply: None,
            handed: None,
            known: Facts::default(),
        }
    }

    /// A session: every command is answered until the execution has nothing more to say.
    pub(crate) fn session(&mut self) -> &mut Self {
        let mut moved = self.turn();
        while !moved.commands.is_empty() {
            let answers: Vec<_> = moved.commands.iter().map(|command| self.answer(command)).collect();
            moved = self.answered(&answers);
        }
        self
    }

    /// A session that breaks as soon as a command of that name was sent: its answers, and those of what was sent with it, are lost.
    pub(crate) fn session_cut_at(&mut self, name: &str) -> &mut Self {
        let mut moved = self.turn();
        while !moved.commands.is_empty() {
            if moved.commands.iter().any(|command| command.name() == name) {
                let lost = |command: &Command| Answer::unheard(command.clone());
                let answers: Vec<_> = moved.commands.iter().map(lost).collect();
                let (facts, now) = (self.known.clone(), self.now);
                self.step(|execution| execution.cut(&answers, &facts, now));
                return self;
            }
            let answers: Vec<_> = moved.commands.iter().map(|command| self.answer(command)).collect();
            moved = self.answered(&answers);
        }
        panic!("no {name} was sent");
    }

    pub(crate) fn turn(&mut self) -> Move {
        let (facts, now) = (self.known.clone(), self.now);
        self.step(|execution| execution.turn(&facts, now))
    }

    pub(crate) fn answered(&mut self, answers: &[Answer]) -> Move {
        let (facts, now) = (self.known.clone(), self.now);
        self.step(|execution| execution.answered(answers, &facts, now))
    }

    /// The device tells; true when it was about this execution.
    pub(crate) fn alert(&mut self, kind: &str, code: &str, correlator: Option<&str>, source: Option<&str>) -> bool {
        let alert = GenericAlert {
            alert_type: AlertType::lenient(&format!("org.openmobilealliance.dm.firmwareupdate.{kind}")),
            correlator: correlator.map(str::to_owned),
            source: source.map(node),
            target: None,
            mark: Mark::default(),
            value: Value::text(code),
        };
        self.alerted(&alert).mine
    }

    /// The device tells that.
    pub(crate) fn alerted(&mut self, alert: &GenericAlert) -> Move {
        self.alerted_behind(alert, &[])
    }

    /// The same, after it has said to have begun those Execs of what is out.
    pub(crate) fn alerted_behind(&mut self, alert: &GenericAlert, begun: &[usize]) -> Move {
        let (facts, now) = (self.known.clone(), self.now);
        self.step(|execution| execution.alerted(Told { alert, begun }, &facts, now))
    }

    /// Time passes; what is due then times out, as the sweep would have it.
    pub(crate) fn pass(&mut self, time: Duration) -> &mut Self {
        self.now = self.now.plus(time);
        if self.execution.due_at.is_some_and(|due| due <= self.now) {
            let (facts, now) = (self.known.clone(), self.now);
            self.step(|execution| execution.timed_out(&facts, now));
        }
        self
    }

    pub(crate) fn set(&mut self, node: &str, text: &str) -> &mut Self {
        self.tree.insert(node.to_owned(), text.to_owned());
        self
    }

    pub(crate) fn status(&mut self, node: &str, status: u16) -> &mut Self {
        self.statuses.insert(node.to_owned(), status);
        self
    }

    /// State and outcome.
    pub(crate) fn end(&self) -> (&'static str, &str) {
        (self.execution.state.as_str(), self.execution.outcome.as_deref().unwrap_or_default())
    }

    pub(crate) fn phase(&self) -> (&'static str, &str) {
        (self.execution.state.as_str(), self.execution.phase.as_deref().unwrap_or_default())
    }

    /// The nodes that an Exec was sent to, with its correlator.
    pub(crate) fn execs(&self) -> Vec<(String, String)> {
        let exec = |command: &Command| match command {
            Command::Exec { target, correlator, .. } => Some((target.to_string(), correlator.clone().unwrap_or_default())),
            _ => None,
        };
        self.sent.iter().filter_map(exec).collect()
    }

    pub(crate) fn facts(&self) -> Vec<&Fact> {
        self.execution.evidence.iter().map(|evidence| &evidence.fact).collect()
    }

    fn step(&mut self, run: impl FnOnce(&mut Execution) -> Move) -> Move {
        // Between any two steps an operation is stored and read back.
        let stored = serde_json::to_string(&self.execution.operation).unwrap();
        self.execution.operation = serde_json::from_str(&stored).unwrap();
        if let (Some(_), Some(supply)) = (self.execution.operation.wanted(), &self.supply) {
            self.execution.operation.supply(Supply { at: self.now, ..supply.clone() });
        }
        if let Some(secret) = &self.handed {
            self.execution.operation.hand_secret(secret.clone());
        }
        let moved = run(&mut self.execution);
        self.sent.extend(moved.commands.iter().cloned());
        self.events.extend(moved.events.iter().cloned());
        moved
    }

    pub(crate) fn answer(&mut self, command: &Command) -> Answer {
        let target = command.target_text().to_owned();
        let below = |name: &String| {
            name.strip_prefix(&format!("{target}/")).map(|rest| rest.split('/').next().unwrap_or(rest).to_owned())
        };
        let children: Vec<_> = self.tree.keys().filter_map(below).collect();
        let mut readings = Vec::new();
        let held = self.tree.contains_key(&target) || !children.is_empty();
        let status = match (self.statuses.get(&target), command) {
            (Some(status), _) => *status,
            (None, Command::Get { .. }) => match self.tree.get(&target) {
                Some(text) => {
                    readings.push(Reading { node: command.target().unwrap().clone(), value: Value::text(text) });
                    200
                }
                None if held => {
                    let mut names = children;
                    names.dedup();
                    let value = Value { format: dmwsi_objects::Format::Node, media_type: None, data: names.join("/") };
                    readings.push(Reading { node: command.target().unwrap().clone(), value });
                    200
                }
                None => 404,
            },
            (None, Command::Replace { value, .. }) if held => {
                self.tree.insert(target, value.data.clone());
                200
            }
            (None, Command::Replace { .. }) => 404,
            (None, Command::Add { .. }) if held => 418,
            (None, Command::Add { value, .. }) => {
                self.tree.insert(target, value.data.clone());
                200
            }
            (None, Command::Delete { .. }) => {
                if self.tree.remove(&target).is_some() {
                    200
                } else {
                    404
                }
            }
            (None, Command::Copy { source, .. }) => match self.tree.get(source.as_str()).cloned() {
                Some(text) => {
                    self.tree.insert(target, text);
                    200
                }
                None => 404,
            },
            (None, Command::Exec { .. }) => 202,
            (None, Command::Alert(_) | Command::Atomic { .. }) => 406,
        };
        Answer { readings, ..Answer::with(command.clone(), StatusCode(status)) }
    }
}
