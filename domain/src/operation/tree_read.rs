//! Reading a part of a device's tree, whatever is in it.
use std::collections::VecDeque;

use dmwsi_objects::{Answer, Command, Format, NodeUri, Reading};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::node_value::{check_node, invalid};
use super::patience::Patience;
use super::{Context, End, EndWord, Input, Next, NodeOutcome, NodeResult, Phase, Step};
use crate::Result;
use crate::evidence::Fact;
use crate::known_tree::is_document;
use crate::profile::Traits;

/// The most nodes and properties that one operation brings.
const MAX_RESULTS: usize = 5_000;

/// How many questions are asked at a time when the tree is walked.
const PER_STEP: usize = 100;

const READING: Phase = Phase { name: "READING", progress: 50 };

/// Which part of the tree to read.
///
/// How it ends:
///
/// * `READ`: all of it was read.
/// * `PARTLY_READ`: some nodes or properties could not be read, or there are too many. It has succeeded all the same.
/// * Any word of `NodeOutcome`: nothing could be read, and that is why; `NOT_FOUND` where there is no such node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"root": "./DevDetail", "properties": ["TYPE"]}))]
pub struct TreeReadRequest {
    /// The node at the top: it is read with all below it, up to 5,000 nodes and properties; where there are more, the outcome
    /// is `PARTLY_READ` and the detail says so.
    #[schema(value_type = String, max_length = 1024)]
    pub root: NodeUri,
    /// Which properties are read of each node beside its value, each once; none when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub properties: Vec<NodeProperty>,
    /// How it is read: `AUTO` when absent.
    #[serde(default)]
    pub method: TreeMethod,
}

/// A property of a node (OMA DM TND 1.2, 7.7).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NodeProperty {
    /// Who may do what with it.
    Acl,
    /// The format of its value.
    Format,
    /// Its name.
    Name,
    /// The size of its value in bytes.
    Size,
    /// A text about it.
    Title,
    /// When it last changed.
    Tstamp,
    /// The media type of its value, or the identifier of a management object.
    Type,
    /// How often it changed.
    VerNo,
}

impl NodeProperty {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Acl, Self::Format, Self::Name, Self::Size, Self::Title, Self::Tstamp, Self::Type, Self::VerNo];

    /// Those that say what a value is.
    const OF_VALUES: [Self; 2] = [Self::Format, Self::Type];

    /// The property of that name on the wire.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|property| property.word().eq_ignore_ascii_case(word))
    }

    /// The word on the wire.
    const fn word(self) -> &'static str {
        match self {
            Self::Acl => "ACL",
            Self::Format => "Format",
            Self::Name => "Name",
            Self::Size => "Size",
            Self::Title => "Title",
            Self::Tstamp => "TStamp",
            Self::Type => "Type",
            Self::VerNo => "VerNo",
        }
    }

    /// Whether a serialised tree can be asked to hold it beside the names.
    const fn is_in_tnds(self) -> bool {
        !matches!(self, Self::Name | Self::Size)
    }
}

/// How a tree is read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TreeMethod {
    /// As one serialised tree (`?list=TNDS`) where the device can, else as a list (`?list=StructData`) where it can, else node by node.
    #[default]
    Auto,
    /// As a list or node by node.
    List,
    /// Node by node.
    Walk,
}

impl TreeReadRequest {
    pub(super) fn check(&self) -> Result<()> {
        check_node("/root", &self.root)?;
        let named_twice =
            self.properties.iter().enumerate().find(|(at, one)| self.properties.iter().take(*at).any(|other| other == *one));
        match named_twice {
            Some((at, _)) => invalid(format!("/properties/{at}"), "the property is named twice"),
            None => Ok(()),
        }
    }
}

/// Reads all that there is below a node, in the way that takes the device the fewest messages. What the device may not show is named, and the
/// rest is read; what was lost with a session is asked again in the next. It rests without a limit of its own, and the job's expiry ends it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeRead {
    version: u8,
    root: NodeUri,
    properties: Vec<NodeProperty>,
    stage: Stage,
    /// What is still to be asked, one by one.
    waiting: VecDeque<NodeUri>,
    /// How many were asked for or brought.
    known: usize,
    read: u32,
    refused: u32,
    /// Why the first of them was.
    #[serde(default)]
    why: Option<NodeOutcome>,
    /// There was more than is read.
    #[serde(default)]
    cut: bool,
    #[serde(default)]
    busy: Patience,
}

/// How it is being read.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Stage {
    /// As one serialised tree.
    Tnds,
    /// As a list.
    List,
    /// One by one.
    Walk,
}

impl TreeRead {
    pub(super) fn begin(request: TreeReadRequest) -> Self {
        let stage = match request.method {
            TreeMethod::Auto => Stage::Tnds,
            TreeMethod::List => Stage::List,
            TreeMethod::Walk => Stage::Walk,
        };
        Self {
            version: 1,
            root: request.root,
            properties: request.properties,
            stage,
            waiting: VecDeque::new(),
            known: 0,
            read: 0,
            refused: 0,
            why: None,
            cut: false,
            busy: Patience::default(),
        }
    }

    pub(super) fn step(&mut self, input: Input<'_>, cx: &Context<'_>) -> Step {
        if matches!(input, Input::Turn) && self.known == 0 {
            self.heed(&cx.facts.traits);
        }
        match input {
            Input::Alert(_) => Step::default(),
            Input::Answers(answers) => self.answered(answers, &cx.facts.traits),
            Input::TimedOut => Step::failed(EndWord::TIMED_OUT, None),
            Input::Turn => Step::send(READING, self.commands()),
        }
    }

    /// Asks nothing, at its beginning, that the device is known not to answer.
    fn heed(&mut self, traits: &Traits) {
        self.properties.retain(|property| traits.answers(*property));
        if self.stage == Stage::Tnds && traits.tnds == Some(false) {
            self.stage = Stage::List;
        }
        if self.stage == Stage::List && traits.lists == Some(false) {
            self.stage = Stage::Walk;
        }
        if self.stage == Stage::Walk {
            self.walk();
        }
    }

    fn commands(&self) -> Vec<Command> {
        let get = |target| Command::Get { target };
        match self.stage {
            Stage::Tnds => {
                let mut wanted: Vec<_> = self.properties.iter().copied().filter(|one| one.is_in_tnds()).collect();
                // Where something is selected, nothing else comes: without these, nobody knows what the values are.
                if !wanted.is_empty() {
                    wanted.retain(|one| !NodeProperty::OF_VALUES.contains(one));
                    wanted.extend(NodeProperty::OF_VALUES);
                }
                let parts = wanted.iter().map(|one| one.word()).chain((!wanted.is_empty()).then_some("Value"));
                let parts: String = parts.map(|part| format!("+{part}")).collect();
                vec![get(self.root.ask(&format!("list=TNDS{parts}")))]
            }
            Stage::List => vec![get(self.root.ask("list=StructData"))],
            Stage::Walk => self.waiting.iter().take(PER_STEP).cloned().map(get).collect(),
        }
    }

    fn answered(&mut self, answers: &[Answer], traits: &Traits) -> Step {
        match self.stage {
            Stage::Tnds | Stage::List => {
                answers.first().map_or_else(|| Step::rest(READING, None), |answer| self.listed(answer, traits))
            }
            Stage::Walk => self.walked(answers),
        }
    }

    /// Takes what may be a list.
    fn listed(&mut self, answer: &Answer, traits: &Traits) -> Step {
        let outcome = NodeOutcome::of(answer.status);
        if self.busy.waits_or_lost(outcome) {
            // What is too large for the messages of a device is lost each time.
            if outcome == NodeOutcome::AnswerLost {
                self.ask_for_less(traits);
            }
            return Step::rest(READING, None);
        }
        // Some clients take the question for a part of the name: whether the node is there, only itself tells.
        if !answer.succeeded() || !is_list(&answer.readings, &self.root) {
            self.ask_for_less(traits);
            return Step::send(READING, self.commands());
        }
        let mut step = Step::default();
        let mut asked = Vec::new();
        // A serialised tree may bring properties that nobody asked for.
        let questions: Vec<_> = self.properties.iter().map(|one| format!("prop={}", one.word())).collect();
        let is_wanted =
            |reading: &&Reading| reading.node.question().is_none_or(|question| questions.iter().any(|one| one == question));
        for reading in answer.readings.iter().filter(is_wanted) {
            if !self.has_room() {
                break;
            }
            self.known = self.known.saturating_add(1);
            self.read = self.read.saturating_add(1);
            step.results.push(NodeResult::of_reading(reading));
            if reading.node.question().is_none() {
                asked.push(reading.node.clone());
            }
        }
        let wanted: Vec<_> = asked.iter().flat_map(|node| self.questions(node)).collect();
        for question in wanted.into_iter().filter(|wanted| !answer.readings.iter().any(|reading| reading.node == *wanted)) {
            self.ask(question);
        }
        self.stage = Stage::Walk;
        self.go_on(step, false)
    }

    /// Goes over from a serialised tree to a list, and from that to walking.
    fn ask_for_less(&mut self, traits: &Traits) {
        let may_list = self.stage == Stage::Tnds && traits.lists != Some(false);
        self.stage = if may_list { Stage::List } else { Stage::Walk };
        if self.stage == Stage::Walk {
            self.walk();
        }
    }

    /// Begins at the top.
    fn walk(&mut self) {
        self.ask(self.root.clone());
        self.ask_properties(&self.root.clone());
    }

    fn walked(&mut self, answers: &[Answer]) -> Step {
        let mut step = Step::default();
        let mut must_wait = false;
        let waits = self.busy.waits_of(answers);
        for answer in answers {
            if waits(answer) {
                if answer.status.is_none() {
                    step.facts.push(Fact::answer(answer));
                }
                must_wait = true;
                continue;
            }
            let Some(node) = answer.command.target() else { continue };
            self.waiting.retain(|waiting| waiting != node);
            step.results.push(NodeResult::of(answer));
            if !answer.succeeded() {
                self.refused = self.refused.saturating_add(1);
                self.why = self.why.or(Some(NodeOutcome::of(answer.status)));
                continue;
            }
            self.read = self.read.saturating_add(1);
            let value = answer.value().filter(|value| value.format == Format::Node && node.question().is_none());
            for child in value.into_iter().flat_map(|value| value.children()).filter_map(|name| node.join(name).ok()) {
                self.ask(child.clone());
                self.ask_properties(&child);
            }
        }
        self.go_on(step, must_wait)
    }

    fn go_on(&mut self, mut step: Step, must_wait: bool) -> Step {
        step.next = match (self.waiting.is_empty(), must_wait) {
            (true, _) => self.end().next,
            (false, true) => Next::Rest(READING, None),
            (false, false) => Next::Send(READING, self.commands()),
        };
        step
    }

    fn end(&self) -> Step {
        let refused = self.why.map(|why| format!("{} could not be read, the first of them: {}", self.refused, why.as_str()));
        match (self.read, refused, self.cut) {
            (0, detail, _) => Step::failed(self.why.unwrap_or(NodeOutcome::NotFound), detail),
            (_, None, false) => Step::done(End::Succeeded, EndWord::READ, None),
            (_, detail, true) => {
                let more = format!("there are more than {MAX_RESULTS} nodes and properties");
                let detail = detail.map_or_else(|| more.clone(), |detail| format!("{more}; {detail}"));
                Step::done(End::Succeeded, EndWord::PARTLY_READ, detail)
            }
            (_, detail, false) => Step::done(End::Succeeded, EndWord::PARTLY_READ, detail),
        }
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.known < MAX_RESULTS;
        self.cut |= !has_room;
        has_room
    }

    fn ask(&mut self, node: NodeUri) {
        if self.has_room() {
            self.known = self.known.saturating_add(1);
            self.waiting.push_back(node);
        }
    }

    fn ask_properties(&mut self, node: &NodeUri) {
        for question in self.questions(node) {
            self.ask(question);
        }
    }

    /// The questions for the properties of a node.
    fn questions(&self, node: &NodeUri) -> Vec<NodeUri> {
        self.properties.iter().map(|property| node.ask(&format!("prop={}", property.word()))).collect()
    }
}

/// Whether these readings are of a list, and not what a device says that looks at no question, the children of the node, nor a
/// document that nobody could read.
fn is_list(readings: &[Reading], root: &NodeUri) -> bool {
    let is_below = readings.iter().all(|reading| reading.node.is_within(root) && !is_document(&reading.value));
    match readings {
        [] => false,
        [one] => is_below && (one.value.format != Format::Node || one.value.data.is_empty()),
        _ => is_below,
    }
}
