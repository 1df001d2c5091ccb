//! Bringing a firmware onto a device (OMA FUMO 1.0): find the object, name the package, start it, wait for the report, read the version back.
use dmwsi_objects::fumo::{State, USUAL_ROOTS, nodes};
use dmwsi_objects::{Answer, Command, NodeUri, StatusCode, Value, devdetail};
use serde::{Deserialize, Serialize};

use super::firmware_answer::{evidence, not_found, refused, state_in, version_in};
use super::firmware_package::{Package, Supply, refusal, unfit};
use super::firmware_request::{Delivery, FirmwareUpdateRequest, known};
use super::firmware_supply::learned;
use super::{Context, End, EndWord, Input, Next, Phase, Step, firmware_retry};
use crate::Timestamp;

/// How many packages below a usual root are looked at for a State node.
const MAX_CANDIDATES: usize = 8;

/// How often an Exec may be sent: once, and once more when the state node proves that the first was never carried out.
const MAX_STARTS: u8 = 2;

pub(super) const LOCATING: Phase = Phase { name: "LOCATING", progress: 5 };
pub(super) const PREPARING: Phase = Phase { name: "PREPARING", progress: 10 };
pub(super) const STARTING: Phase = Phase { name: "STARTING", progress: 15 };
pub(super) const DOWNLOADING: Phase = Phase { name: "DOWNLOADING", progress: 30 };
pub(super) const UPDATING: Phase = Phase { name: "UPDATING", progress: 70 };
pub(super) const RETRYING: Phase = Phase { name: "RETRYING", progress: 5 };
pub(super) const DEFERRED: Phase = Phase { name: "DEFERRED", progress: 10 };
pub(super) const VERIFYING: Phase = Phase { name: "VERIFYING", progress: 90 };

/// An update on its way. An Exec is never repeated blindly: when its answer is lost, the state node is read.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FirmwareUpdate {
    version: u8,
    pub(super) request: FirmwareUpdateRequest,
    pub(super) stage: Stage,
    /// The firmware object, once found.
    #[serde(default)]
    pub(super) root: Option<NodeUri>,
    /// The version before the update.
    #[serde(default)]
    before: Option<String>,
    /// How often the present Exec was sent.
    #[serde(default)]
    pub(super) starts: u8,
    /// The state before the first Exec: an end of an earlier update that may still stand there.
    #[serde(default)]
    pub(super) left_over: Option<State>,
    /// Whether the answer to the last Exec was lost.
    #[serde(default)]
    pub(super) unsure: bool,
    /// Whether the PkgURL node must be added since it was not there.
    #[serde(default)]
    pub(super) absent: bool,
    /// What is installed, once that is known.
    #[serde(default)]
    pub(super) package: Option<Package>,
    /// How many attempts have ended in what may pass.
    #[serde(default)]
    pub(super) failures: u32,
    /// Whether the device said that it has fetched the package and waits to be told to install it.
    #[serde(default)]
    pub(super) fetched: bool,
    /// The deliverable as it stands now.
    #[serde(skip)]
    pub(super) supply: Option<Supply>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Stage {
    /// Which version is there, and where is the object?
    Locate,
    /// Which of these is the object?
    Probe(Vec<NodeUri>),
    /// Name the package.
    Prepare,
    /// Exec the first step.
    Start,
    /// The device downloads, or does both.
    Downloading,
    /// Exec Update.
    StartUpdate,
    /// The device installs.
    Updating,
    /// It says it is done: read the version.
    Verify,
    /// Nothing before that time; then all anew.
    Pause {
        until: Timestamp,
        /// Because the user wants so.
        deferred: bool,
    },
}

impl FirmwareUpdate {
    pub(super) fn begin(request: FirmwareUpdateRequest) -> Self {
        Self {
            version: 1,
            root: None,
            request,
            stage: Stage::Locate,
            before: None,
            starts: 0,
            left_over: None,
            unsure: false,
            absent: false,
            package: None,
            failures: 0,
            fetched: false,
            supply: None,
        }
    }

    pub(super) fn step(&mut self, input: Input<'_>, cx: &Context<'_>) -> Step {
        let is_turn = matches!(input, Input::Turn);
        if let Stage::Pause { until, .. } = self.stage
            && is_turn
        {
            if cx.now < until {
                return Step::rest(self.phase(), Some(until.since(cx.now)));
            }
            self.begin_anew();
        }
        // What the device may have begun already goes on, whatever becomes of the deliverable.
        let begun = match self.stage {
            Stage::Start | Stage::StartUpdate => !is_turn || self.starts > 0,
            Stage::Downloading => true,
            _ => false,
        };
        if matches!(input, Input::Turn | Input::Answers(_))
            && !begun
            && let Some(end) = self.provide(&input, cx)
        {
            return end;
        }
        match input {
            Input::Alert(told) => self.alerted(told.alert, cx),
            Input::Answers(answers) => self.answered(answers, cx),
            Input::TimedOut => self.timed_out(),
            Input::Turn if self.package.is_none() => Step::rest(self.phase(), None),
            Input::Turn => self.say(cx),
        }
    }

    pub(super) fn begin_anew(&mut self) {
        self.stage = Stage::Locate;
        self.left_over = None;
        (self.starts, self.unsure, self.absent) = (0, false, false);
    }

    fn answered(&mut self, answers: &[Answer], cx: &Context<'_>) -> Step {
        let facts = evidence(answers);
        // Without the deliverable nobody can judge; such a session is over, and all is asked for again.
        let is_supplied = self.request.deliverable_id.is_none() || self.supply.is_some();
        let lost = answers.iter().any(|answer| answer.status.is_none() || answer.was_passed_over());
        let step = match &self.stage {
            // A report that came with them, or before, was believed first, and they are of the stage before it.
            _ if !self.has_asked(answers, cx) => Step::rest(self.phase(), self.limit()),
            Stage::Start | Stage::StartUpdate => self.started(answers, cx.now),
            // Reading and naming do no harm: what was lost is done again at the next turn.
            _ if lost => Step::rest(self.phase(), self.limit()),
            Stage::Locate | Stage::Probe(_) | Stage::Prepare if !is_supplied => Step::rest(self.phase(), None),
            Stage::Locate => self.located(answers, cx),
            Stage::Probe(candidates) => {
                let found = candidates.iter().zip(answers).find(|(_, answer)| answer.succeeded());
                match found.map(|(root, answer)| (root.clone(), answer)) {
                    Some((root, answer)) => self.found(root, answer, cx),
                    None => not_found(answers),
                }
            }
            Stage::Prepare => self.prepared(answers, cx),
            Stage::Downloading | Stage::Updating => self.polled(answers, cx),
            Stage::Verify => self.verified(answers),
            Stage::Pause { .. } => Step::rest(self.phase(), None),
        };
        step.learned(facts)
    }

    /// Whether these are the answers to what is said at the present stage.
    fn has_asked(&self, answers: &[Answer], cx: &Context<'_>) -> bool {
        let Next::Send(_, said) = self.say(cx).next else { return false };
        let key = |command: &Command| (command.name(), command.target().cloned());
        said.iter().map(key).eq(answers.iter().map(|answer| key(&answer.command)))
    }

    fn located(&mut self, answers: &[Answer], cx: &Context<'_>) -> Step {
        self.before = answers.first().and_then(version_in);
        if self.before.as_deref() == Some(self.expected()) {
            return Step::done(End::Succeeded, EndWord::ALREADY_INSTALLED, "the device has that version already".to_owned());
        }
        if self.is_judged() {
            let facts = learned(answers, cx);
            if let Some(end) = refusal(unfit(&self.request, self.supply.as_ref(), &facts)) {
                return end;
            }
        }
        let state = answers.get(1);
        if let Some(answer) = state.filter(|answer| answer.succeeded()) {
            return self.found(self.root(), answer, cx);
        }
        if self.request.firmware_node.is_some() {
            return not_found(answers.get(1..2).unwrap_or_default());
        }
        let below = answers.iter().skip(2).take(USUAL_ROOTS.len()).filter(|answer| answer.succeeded());
        let candidates = below.flat_map(|answer| {
            let children = || answer.value().into_iter().flat_map(Value::children);
            // Some have the object itself there, in place of those of packages.
            if children().any(|name| name == nodes::STATE) {
                return answer.command.target().cloned().into_iter().collect::<Vec<_>>();
            }
            children().filter_map(|name| answer.command.target()?.join(name).ok()).collect()
        });
        let candidates: Vec<_> = candidates.take(MAX_CANDIDATES).collect();
        if candidates.is_empty() {
            return not_found(answers.get(1..).unwrap_or_default());
        }
        self.stage = Stage::Probe(candidates);
        self.say(cx)
    }

    /// The object is there; is it free?
    fn found(&mut self, root: NodeUri, state: &Answer, cx: &Context<'_>) -> Step {
        self.root = Some(root);
        self.left_over = state_in(state);
        if self.left_over.is_some_and(State::is_busy) {
            // Another update runs. It is told nothing until it is free, for as long as an update may take.
            self.stage = Stage::Locate;
            return Step::rest(LOCATING, Some(self.whole_limit()));
        }
        let has_it = self.fetched && self.left_over == Some(State::ReadyToUpdate);
        self.stage = if has_it { Stage::StartUpdate } else { Stage::Prepare };
        self.say(cx)
    }

    fn prepared(&mut self, answers: &[Answer], cx: &Context<'_>) -> Step {
        // Name and version are a courtesy: many devices have them read-only or not at all. The address is what counts.
        let Some(url) = answers.last() else { return self.say(cx) };
        if url.succeeded() {
            self.stage = Stage::Start;
            self.starts = 0;
            return self.say(cx);
        }
        if url.status == Some(StatusCode::NOT_FOUND) && !self.absent {
            self.absent = true;
            return self.say(cx);
        }
        self.turned_down(url, cx.now)
    }

    /// What became of an Exec.
    fn started(&mut self, answers: &[Answer], now: Timestamp) -> Step {
        let Some(answer) = answers.first().filter(|answer| !answer.was_passed_over()) else {
            return Step::rest(self.phase(), self.limit());
        };
        self.starts = self.starts.saturating_add(1);
        self.unsure = answer.status.is_none();
        if self.unsure || answer.succeeded() {
            // Without an answer it is taken as begun; the state node or the report will tell.
            let fetches = self.stage == Stage::Start && self.delivery() != Delivery::DmDirect;
            self.stage = if fetches { Stage::Downloading } else { Stage::Updating };
            return Step::rest(self.phase(), self.limit());
        }
        self.turned_down(answer, now)
    }

    /// A command without which it does not go on was refused: another attempt, where that may pass.
    fn turned_down(&mut self, answer: &Answer, now: Timestamp) -> Step {
        let in_wrong_state = self.stage == Stage::StartUpdate;
        let attempt = self.failures.saturating_add(1);
        let pause = firmware_retry::pause_after_status(answer.status.unwrap_or_default(), in_wrong_state, attempt);
        match pause.filter(|_| attempt < self.request.attempts()) {
            Some(pause) => {
                self.failures = attempt;
                self.pause(pause, false, now)
            }
            None => refused(answer, in_wrong_state),
        }
    }

    /// The state was read while the report is awaited.
    fn polled(&mut self, answers: &[Answer], cx: &Context<'_>) -> Step {
        let installed = answers.get(1).and_then(version_in).as_deref() == Some(self.expected());
        let installs = self.stage == Stage::Updating || self.delivery() == Delivery::DownloadAndUpdate;
        let state = answers.first().and_then(state_in);
        // An end that stood there before says nothing of this update.
        let old = self.stage == Stage::Downloading && state.is_some() && (state == Some(State::Idle) || state == self.left_over);
        match state {
            // The version was another before, so whatever the device was told to do, it has done.
            Some(state) if installed && !state.is_busy() => self.verify(cx),
            // Nobody knew whether the Exec arrived. Nothing has begun, so it did not, and may be sent once more.
            Some(_) if old && self.unsure => self.start_again(Stage::Start, cx),
            Some(_) if old => Step::rest(self.phase(), self.limit()),
            Some(State::UpdateSuccessfulHaveData | State::UpdateSuccessfulNoData) if installs => self.verify(cx),
            Some(State::ReadyToUpdate) if !installs => {
                self.stage = Stage::StartUpdate;
                self.starts = 0;
                self.provide(&Input::Turn, cx).unwrap_or_else(|| self.say(cx))
            }
            Some(State::ReadyToUpdate) if self.unsure && self.stage == Stage::Updating => {
                self.start_again(Stage::StartUpdate, cx)
            }
            Some(State::DownloadFailed) => {
                Step::failed(EndWord::DOWNLOAD_FAILED, "the state node says so; no report came".to_owned())
            }
            Some(State::UpdateFailedHaveData | State::UpdateFailedNoData) => {
                Step::failed(EndWord::UPDATE_FAILED, "the state node says so; no report came".to_owned())
            }
            state => {
                // What is under way has arrived.
                self.unsure &= !state.is_some_and(State::is_busy);
                Step::rest(self.phase(), self.limit())
            }
        }
    }

    fn verify(&mut self, cx: &Context<'_>) -> Step {
        self.stage = Stage::Verify;
        self.say(cx)
    }

    fn start_again(&mut self, stage: Stage, cx: &Context<'_>) -> Step {
        if self.starts >= MAX_STARTS {
            return Step::failed(EndWord::NOT_STARTED, "the command to start was lost again and again".to_owned());
        }
        self.stage = stage;
        self.say(cx)
    }

    /// Whether the package must fit the device.
    pub(super) fn is_judged(&self) -> bool {
        self.request.deliverable_id.is_some() || !self.request.targets.is_empty() || self.request.precursor.is_some()
    }

    /// What the version node must say afterwards.
    pub(super) fn expected(&self) -> &str {
        self.package.as_ref().map(|package| package.expected.as_str()).unwrap_or_default()
    }

    pub(super) fn version_node(&self) -> NodeUri {
        self.package.as_ref().map_or_else(|| known(devdetail::FW_V), |package| package.version_node.clone())
    }

    pub(super) fn delivery(&self) -> Delivery {
        self.package.as_ref().map(|package| package.delivery).unwrap_or_default()
    }
}
