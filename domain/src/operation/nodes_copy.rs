//! Copying leaves.
use dmwsi_objects::{Answer, Command, Format, NodeUri, StatusCode, Value, devdetail};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::node_value::{check_node, invalid};
use super::patience::Patience;
use super::tally::{Tally, Words};
use super::{Context, EndWord, Input, Next, NodeOutcome, NodeResult, Phase, Step, too_many};
use crate::Result;
use crate::evidence::Fact;
use crate::facts::Facts;

/// The most copies of one operation.
const MAX_COPIES: usize = 100;

/// Up to how many bytes of text a value fits into one message of any device known.
const FITS: usize = 1_000;

const WORDS: Words = Words {
    phase: Phase { name: "COPYING", progress: 50 },
    all: EndWord::COPIED,
    some: EndWord::PARTLY_COPIED,
    none: EndWord::NOT_COPIED,
};

/// Which leaves to copy where.
///
/// How it ends:
///
/// * `COPIED`: every copy was made.
/// * `PARTLY_COPIED`: some were, and stay. It has failed, and the results say which were not, and why.
/// * `NOT_COPIED`: none was.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"copies": [{"source": "./Vendor/Test/Text", "target": "./Vendor/Test/Copy"}]}))]
pub struct NodesCopyRequest {
    /// The copies, 1 to 100, in the order in which they are made.
    #[schema(min_items = 1, max_items = 100)]
    pub copies: Vec<NodeCopy>,
}

/// One copy.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"source": "./Vendor/Test/Text", "target": "./Vendor/Test/Copy"}))]
pub struct NodeCopy {
    /// The leaf that is read.
    #[schema(value_type = String, max_length = 1024)]
    pub source: NodeUri,
    /// The leaf that gets its value, and is created where it is not there.
    #[schema(value_type = String, max_length = 1024)]
    pub target: NodeUri,
}

impl NodesCopyRequest {
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MAX_COPIES).contains(&self.copies.len()) {
            return Err(too_many("/copies", MAX_COPIES));
        }
        for (at, copy) in self.copies.iter().enumerate() {
            check_node(&format!("/copies/{at}/source"), &copy.source)?;
            check_node(&format!("/copies/{at}/target"), &copy.target)?;
            if copy.source.is_same_node(&copy.target) {
                return invalid(format!("/copies/{at}/target"), "a node is not copied onto itself");
            }
        }
        Ok(())
    }
}

/// Copies leaves, each by itself. For a device that knows no Copy, the server reads the source and writes the target. It rests without a limit of
/// its own, and the job's expiry ends it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesCopy {
    version: u8,
    waiting: Vec<Copying>,
    tally: Tally,
    /// The device was asked whether it takes values in pieces, which matters for one that was read.
    #[serde(default)]
    large: Asked,
}

/// How far a question is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Asked {
    /// It was not needed so far.
    #[default]
    Not,
    /// It is out.
    Now,
    /// It was asked, whatever the device said to it.
    Before,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Copying {
    copy: NodeCopy,
    stage: Stage,
    #[serde(default)]
    busy: Patience,
}

/// How one copy is made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Stage {
    /// By the device.
    Copy,
    /// The device knows no Copy: the source is read,
    Read,
    /// the target is written,
    Write(Value),
    /// or, where it is not there, created.
    Create(Value),
}

/// What an answer makes of one copy.
enum Verdict {
    /// It goes on at once.
    On,
    /// It is over.
    Over,
    /// It goes on in the next session.
    Wait,
}

impl Copying {
    fn command(&self) -> Command {
        let NodeCopy { source, target } = self.copy.clone();
        match &self.stage {
            Stage::Copy => Command::Copy { source, target },
            Stage::Read => Command::Get { target: source },
            Stage::Write(value) => Command::Replace { target, value: value.clone() },
            Stage::Create(value) => Command::Add { target, value: value.clone() },
        }
    }

    /// How long the value is that it writes next, in bytes of text.
    fn length(&self) -> usize {
        match &self.stage {
            Stage::Write(value) | Stage::Create(value) => value.data.len(),
            Stage::Copy | Stage::Read => 0,
        }
    }

    fn take(&mut self, answer: &Answer) -> Verdict {
        if self.busy.waits_or_lost(NodeOutcome::of(answer.status)) {
            return Verdict::Wait;
        }
        let next = match (&self.stage, answer.status) {
            (Stage::Copy, Some(StatusCode::NOT_SUPPORTED | StatusCode::NOT_IMPLEMENTED)) => Stage::Read,
            (Stage::Read, Some(status)) if status.is_success() => {
                // Where the value was lost, an empty one in its place would destroy what the target holds.
                match answer.value().filter(|value| value.format != Format::Node) {
                    Some(value) => Stage::Write(value.clone()),
                    None => return Verdict::Over,
                }
            }
            (Stage::Write(value), Some(StatusCode::NOT_FOUND)) => Stage::Create(value.clone()),
            _ => return Verdict::Over,
        };
        self.stage = next;
        Verdict::On
    }

    fn result(&self, answer: &Answer) -> NodeResult {
        let NodeCopy { source, target } = self.copy.clone();
        let told = Answer { status: answer.status, ..Answer::unheard(Command::Copy { source, target }) };
        let result = NodeResult::of(&told);
        // Its source was read, and there is no value that could be written: an interior node has none, and others may be lost.
        let outcome = match answer.value() {
            _ if self.stage != Stage::Read || !answer.succeeded() => result.outcome,
            Some(_) => NodeOutcome::NotAllowed,
            None => NodeOutcome::AnswerLost,
        };
        NodeResult { outcome, ..result }
    }
}

impl NodesCopy {
    pub(super) fn begin(request: NodesCopyRequest) -> Self {
        let copying = |copy| Copying { copy, stage: Stage::Copy, busy: Patience::default() };
        let waiting = request.copies.into_iter().map(copying).collect();
        Self { version: 1, waiting, tally: Tally::default(), large: Asked::default() }
    }

    pub(super) fn step(&mut self, input: Input<'_>, cx: &Context<'_>) -> Step {
        match input {
            Input::Alert(_) => Step::default(),
            Input::Answers(answers) if self.large == Asked::Now => self.told(answers),
            Input::Answers(answers) => self.answered(answers, cx.facts),
            Input::TimedOut => Step::failed(EndWord::TIMED_OUT, None),
            Input::Turn => {
                self.large = Asked::default();
                if cx.facts.traits.copy == Some(false) {
                    let by_device = self.waiting.iter_mut().filter(|copying| copying.stage == Stage::Copy);
                    by_device.for_each(|copying| copying.stage = Stage::Read);
                }
                Step::send(WORDS.phase, self.go_on(cx.facts))
            }
        }
    }

    fn commands(&self) -> Vec<Command> {
        self.waiting.iter().map(Copying::command).collect()
    }

    /// What goes on at once. Before the first value that may not fit into one message, whether the device takes it in pieces must be known.
    fn go_on(&mut self, facts: &Facts) -> Vec<Command> {
        let is_known = facts.traits.large_objects.or(facts.large_objects).is_some();
        let may_not_fit = self.waiting.iter().any(|copying| copying.length() > FITS);
        match NodeUri::parse(devdetail::LRG_OBJ) {
            Ok(target) if self.large == Asked::Not && !is_known && may_not_fit => {
                self.large = Asked::Now;
                vec![Command::Get { target }]
            }
            _ => self.commands(),
        }
    }

    /// Takes the answer to that question: what it says is among the facts by now.
    fn told(&mut self, answers: &[Answer]) -> Step {
        self.large = Asked::Before;
        let is_lost = answers.iter().all(|answer| NodeOutcome::of(answer.status) == NodeOutcome::AnswerLost);
        let step = if is_lost { Step::rest(WORDS.phase, None) } else { Step::send(WORDS.phase, self.commands()) };
        step.learned(answers.iter().map(Fact::answer).collect())
    }

    fn answered(&mut self, answers: &[Answer], facts: &Facts) -> Step {
        let mut step = Step::default();
        let mut answers = answers.iter();
        let mut must_wait = false;
        for mut copying in std::mem::take(&mut self.waiting) {
            let Some(answer) = answers.next() else {
                self.waiting.push(copying);
                continue;
            };
            step.facts.push(Fact::answer(answer));
            match copying.take(answer) {
                Verdict::On => self.waiting.push(copying),
                Verdict::Over => {
                    let result = copying.result(answer);
                    self.tally.count(result.outcome);
                    step.results.push(result);
                }
                Verdict::Wait => {
                    must_wait = true;
                    self.waiting.push(copying);
                }
            }
        }
        step.next = match (self.waiting.is_empty(), must_wait) {
            (true, _) => self.tally.end(&WORDS).next,
            (false, true) => Next::Rest(WORDS.phase, None),
            (false, false) => Next::Send(WORDS.phase, self.go_on(facts)),
        };
        step
    }
}
