//! What is done on a device: values that, given the last answers, offer commands or are done.
//!
//! A kind is one file here and one line in the list below. It may span sessions and survives being stored between any two steps.
mod command_list;
mod end_word;
mod firmware_answer;
mod firmware_command;
mod firmware_package;
mod firmware_report;
mod firmware_request;
mod firmware_retry;
mod firmware_supply;
mod firmware_update;
mod node_outcome;
mod node_result;
mod node_value;
mod nodes_add;
mod nodes_atomic;
mod nodes_copy;
mod nodes_delete;
mod nodes_exec;
mod nodes_get;
mod nodes_set;
mod patience;
mod secret_rotate;
mod tally;
mod tree_read;
mod user_prompt;

use std::time::Duration;

use dmwsi_objects::{Answer, Command, GenericAlert};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::correlator::Correlator;
use crate::deliverable::Target;
use crate::evidence::Fact;
use crate::facts::Facts;
use crate::id::DeliverableId;
use crate::rotation::SecretNews;
use crate::{Error, Result};

pub use end_word::EndWord;
pub use firmware_package::Supply;
pub use firmware_request::{Delivery, FirmwareUpdateRequest};
pub use firmware_update::FirmwareUpdate;
pub use node_outcome::NodeOutcome;
pub use node_result::{NodeResult, StatusNumber};
pub use nodes_add::{NewNode, NodesAdd, NodesAddRequest};
pub use nodes_atomic::{AtomicCommand, AtomicVerb, NodesAtomic, NodesAtomicRequest};
pub use nodes_copy::{NodeCopy, NodesCopy, NodesCopyRequest};
pub use nodes_delete::{NodesDelete, NodesDeleteRequest};
pub use nodes_exec::{NodeExec, NodesExec, NodesExecRequest};
pub use nodes_get::{NodesGet, NodesGetRequest};
pub use nodes_set::{Change, ChangeCommand, NodesSet, NodesSetRequest};
pub use secret_rotate::{NewSecret, SecretRotate, SecretRotateRequest};
pub use tree_read::{NodeProperty, TreeMethod, TreeRead, TreeReadRequest};
pub use user_prompt::{InputType, UserPrompt, UserPromptKind, UserPromptRequest};

// The names are taken as `tt`: a `literal` reaches derives within a group, which utoipa does not look into.
macro_rules! operations {
    ($($(#[$doc:meta])* $kind:ident($request:ident) = $name:tt;)*) => {
        /// What a job asks for, tagged by `type`.
        #[expect(clippy::large_enum_variant, reason = "a job holds one, and jobs are held one by one")]
        #[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
        #[serde(tag = "type")]
        pub enum Request {
            $($(#[$doc])* #[serde(rename = $name)] $kind($request),)*
        }

        /// What is being done on one device, and how far it is. Stored in the row of the execution.
        #[expect(clippy::large_enum_variant, reason = "an execution holds one, and executions are held one by one")]
        #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
        #[serde(tag = "type")]
        pub enum Operation {
            $($(#[$doc])* #[serde(rename = $name)] $kind($kind),)*
        }

        impl Request {
            /// The names of all kinds.
            pub const TYPES: &'static [&'static str] = &[$($name),*];

            /// The name of the kind.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$kind(_) => $name,)* }
            }

            /// Whether what is asked can be done at all; the pointer of an error starts at the operation.
            pub fn check(&self) -> Result<()> {
                match self { $(Self::$kind(request) => request.check(),)* }
            }

            /// The operation at its beginning.
            #[must_use]
            pub fn begin(&self) -> Operation {
                match self { $(Self::$kind(request) => Operation::$kind($kind::begin(request.clone())),)* }
            }
        }

        impl Operation {
            /// The name of the kind.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$kind(_) => $name,)* }
            }

            /// One step: something happened, what now?
            pub fn step(&mut self, input: Input<'_>, cx: &Context<'_>) -> Step {
                match self { $(Self::$kind(kind) => kind.step(input, cx),)* }
            }
        }
    };
}

operations! {
    /// Bring a firmware onto the device (OMA FUMO 1.0).
    FirmwareUpdate(FirmwareUpdateRequest) = "FIRMWARE_UPDATE";
    /// Create nodes.
    NodesAdd(NodesAddRequest) = "NODES_ADD";
    /// Change several nodes together, all or none.
    NodesAtomic(NodesAtomicRequest) = "NODES_ATOMIC";
    /// Copy leaves.
    NodesCopy(NodesCopyRequest) = "NODES_COPY";
    /// Remove nodes.
    NodesDelete(NodesDeleteRequest) = "NODES_DELETE";
    /// Start what nodes stand for.
    NodesExec(NodesExecRequest) = "NODES_EXEC";
    /// Read nodes.
    NodesGet(NodesGetRequest) = "NODES_GET";
    /// Change nodes.
    NodesSet(NodesSetRequest) = "NODES_SET";
    /// Give the device another secret to prove itself by.
    SecretRotate(SecretRotateRequest) = "SECRET_ROTATE";
    /// Read a part of the tree, whatever is in it.
    TreeRead(TreeReadRequest) = "TREE_READ";
    /// Tell or ask the user of the device something.
    UserPrompt(UserPromptRequest) = "USER_PROMPT";
}

impl Request {
    /// The deliverable that it names.
    #[must_use]
    pub const fn deliverable(&self) -> Option<DeliverableId> {
        match self {
            Self::FirmwareUpdate(request) => request.deliverable_id,
            _ => None,
        }
    }

    /// The devices that its own package is for; none where it says nothing of them.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        match self {
            Self::FirmwareUpdate(request) => &request.targets,
            _ => &[],
        }
    }
}

impl Operation {
    /// The deliverable that it needs to go on, to be handed in by [`Self::supply`] before each step.
    #[must_use]
    pub fn wanted(&self) -> Option<DeliverableId> {
        match self {
            Self::FirmwareUpdate(update) => update.wanted(),
            _ => None,
        }
    }

    /// Whether what it says next may hold the content of that deliverable.
    #[must_use]
    pub fn wants_content(&self, now: Timestamp) -> bool {
        match self {
            Self::FirmwareUpdate(update) => update.wants_content(now),
            _ => false,
        }
    }

    /// Whether it says what may be too large for one message, so that it matters whether the device takes values in pieces. What it
    /// only reads on its way it asks about itself.
    #[must_use]
    pub fn sends_large(&self) -> bool {
        let longest = match self {
            Self::NodesAdd(add) => add.longest(),
            Self::NodesSet(set) => set.longest(),
            _ => 0,
        };
        longest > LARGE
    }

    /// Until when it has nothing to say, where it waits for a report of the device or for a time; `said` is when it last had its turn.
    #[must_use]
    pub fn rests_until(&self, said: Timestamp) -> Option<Timestamp> {
        match self {
            Self::FirmwareUpdate(update) => update.rests_until(said),
            Self::NodesExec(exec) => exec.rests_until(said),
            _ => None,
        }
    }

    /// Whether the device is to report what came of it, and has not.
    #[must_use]
    pub fn awaits_report(&self) -> bool {
        match self {
            Self::NodesExec(exec) => exec.awaits_report(),
            _ => false,
        }
    }

    /// Hands in the deliverable that it wants.
    pub fn supply(&mut self, supply: Supply) {
        if let Self::FirmwareUpdate(update) = self {
            update.supply(supply);
        }
    }

    /// Whether it needs a new secret for the device, to be handed in by [`Self::hand_secret`] before each step.
    #[must_use]
    pub const fn wants_secret(&self) -> bool {
        matches!(self, Self::SecretRotate(_))
    }

    /// Hands in the secret that it needs. It is forgotten when the operation is stored.
    pub fn hand_secret(&mut self, secret: NewSecret) {
        if let Self::SecretRotate(rotate) = self {
            rotate.hand(secret);
        }
    }

    /// Whether what it said last holds a secret, which is stored with the session until it is answered.
    #[must_use]
    pub const fn tells_secret(&self) -> bool {
        matches!(self, Self::SecretRotate(rotate) if rotate.tells_secret())
    }

    /// What became of the secret that it was handed, in the steps since it was read.
    #[must_use]
    pub const fn secret_news(&self) -> SecretNews {
        match self {
            Self::SecretRotate(rotate) => rotate.news(),
            _ => SecretNews::NONE,
        }
    }

    /// How long the device may take to fetch what it is handed.
    #[must_use]
    pub fn time_to_fetch(&self) -> Duration {
        match self {
            Self::FirmwareUpdate(update) => update.time_to_fetch(),
            _ => Duration::ZERO,
        }
    }

    /// Whether two of this kind must not run on one device at a time.
    #[must_use]
    pub const fn is_exclusive(&self) -> bool {
        matches!(self, Self::FirmwareUpdate(_))
    }
}

/// From how many bytes on a value may be too large for one message: most devices take at least twice as much.
const LARGE: usize = 4_096;

/// What an operation may know when it steps.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What is known of the device.
    pub facts: &'a Facts,
    /// What the step's correlator is made from; the step is filled in by the operation.
    pub correlator: Correlator,
    /// The present time.
    pub now: Timestamp,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The device told something, and by its correlator or source it may be about this operation.
    Alert(Told<'a>),
    /// The device answered what was sent, in the same order; an answer may be lost ([`Answer::status`] is none).
    Answers(&'a [Answer]),
    /// The device is in a session and it is this operation's turn.
    Turn,
    /// The time of the present phase is over.
    TimedOut,
}

/// What the device told, and when.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What it told.
    pub alert: &'a GenericAlert,
    /// The Execs among the commands that are out, by their places, that it had said to have begun before it told that.
    pub begun: &'a [usize],
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// What comes next.
    pub next: Next,
    /// What was learned, in order.
    pub facts: Vec<Fact>,
    /// Results for whoever asked, in addition to earlier ones.
    pub results: Vec<NodeResult>,
}

/// What comes next.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Next {
    /// It begins anew in its next attempt, not before that time has passed.
    Again(Phase, Duration),
    /// It is over.
    Done(Outcome),
    /// What happened was not about this operation; nothing changes.
    #[default]
    NotMine,
    /// Nothing to say in this session: wait for the device to call or tell, at most so long. No limit but the job's expiry when none.
    Rest(Phase, Option<Duration>),
    /// Send these and bring the answers.
    Send(Phase, Vec<Command>),
}

/// Where an operation is, in the words of its kind: upper snake case, such as `DOWNLOADING`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Phase {
    /// The word.
    pub name: &'static str,
    /// How far it is, 0 to 100.
    pub progress: u8,
}

/// How an operation ended on one device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// Which end.
    pub end: End,
    /// A stable code.
    pub code: EndWord,
    /// A sentence, where the code does not say all.
    pub detail: Option<String>,
}

/// The ends that an operation can come to by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The user said no.
    Declined,
    /// It failed.
    Failed,
    /// It must not be done.
    Refused,
    /// It is done.
    Succeeded,
}

impl Step {
    fn done(end: End, code: impl Into<EndWord>, detail: impl Into<Option<String>>) -> Self {
        Self { next: Next::Done(Outcome { end, code: code.into(), detail: detail.into() }), ..Self::default() }
    }

    fn failed(code: impl Into<EndWord>, detail: impl Into<Option<String>>) -> Self {
        Self::done(End::Failed, code, detail)
    }

    fn rest(phase: Phase, limit: Option<Duration>) -> Self {
        Self { next: Next::Rest(phase, limit), ..Self::default() }
    }

    fn send(phase: Phase, commands: Vec<Command>) -> Self {
        Self { next: Next::Send(phase, commands), ..Self::default() }
    }

    fn learned(mut self, mut facts: Vec<Fact>) -> Self {
        facts.append(&mut self.facts);
        self.facts = facts;
        self
    }
}

fn too_many(pointer: &str, most: usize) -> Error {
    Error::invalid(pointer, "OUT_OF_RANGE", format!("there must be 1 to {most} of them"))
}
