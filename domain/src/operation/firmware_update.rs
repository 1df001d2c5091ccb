//! Bringing a firmware onto a device (OMA FUMO 1.0): find the object, name the package, start it, wait for the report, read the version back.
use std::time::Duration;

use dmwsi_objects::fumo::{Completion, ResultCode, State, USUAL_ROOTS, nodes};
use dmwsi_objects::{Answer, Command, GenericAlert, NodeUri, StatusCode, Value, devdetail};
use serde::{Deserialize, Serialize};

use super::firmware_answer::{evidence, not_found, refused, state_in, version_in};
use super::firmware_package::{Package, Supply, refusal, unfit};
use super::firmware_request::{Delivery, FirmwareUpdateRequest, known};
use super::{Context, End, Input, Next, Phase, Step, firmware_retry};
use crate::Timestamp;
use crate::correlator::Correlator;
use crate::evidence::Fact;
use crate::id::DeliverableId;

/// How long the version may stay unread after the device reported: a day.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How many packages below a usual root are looked at for a State node.
const MAX_CANDIDATES: usize = 8;

/// How often an Exec may be sent: once, and once more when the state node proves that the first was never carried out.
const MAX_STARTS: u8 = 2;

/// What else counts of a device when a package must fit it.
const PARTICULARS: [&str; 4] = [devdetail::FW_V, devdetail::HW_V, devdetail::SW_V, devdetail::DEV_TYP];

const LOCATING: Phase = Phase { name: "LOCATING", progress: 5 };
const PREPARING: Phase = Phase { name: "PREPARING", progress: 10 };
const STARTING: Phase = Phase { name: "STARTING", progress: 15 };
const DOWNLOADING: Phase = Phase { name: "DOWNLOADING", progress: 30 };
const UPDATING: Phase = Phase { name: "UPDATING", progress: 70 };
const RETRYING: Phase = Phase { name: "RETRYING", progress: 5 };
const DEFERRED: Phase = Phase { name: "DEFERRED", progress: 10 };
const VERIFYING: Phase = Phase { name: "VERIFYING", progress: 90 };

/// An update on its way. An Exec is never repeated blindly: when its answer is lost, the state node is read.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FirmwareUpdate {
    version: u8,
    request: FirmwareUpdateRequest,
    stage: Stage,
    /// The firmware object, once found.
    #[serde(default)]
    root: Option<NodeUri>,
    /// The version before the update.
    #[serde(default)]
    before: Option<String>,
    /// How often the present Exec was sent.
    #[serde(default)]
    starts: u8,
    /// The state before the first Exec: an end of an earlier update that may still stand there.
    #[serde(default)]
    left_over: Option<State>,
    /// Whether the answer to the last Exec was lost.
    #[serde(default)]
    unsure: bool,
    /// Whether the PkgURL node must be added since it was not there.
    #[serde(default)]
    absent: bool,
    /// What is installed, once that is known.
    #[serde(default)]
    package: Option<Package>,
    /// How many attempts have ended in what may pass.
    #[serde(default)]
    failures: u32,
    /// Whether the device said that it has fetched the package and waits to be told to install it.
    #[serde(default)]
    fetched: bool,
    /// The deliverable as it stands now.
    #[serde(skip)]
    supply: Option<Supply>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Stage {
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

    /// The deliverable that it needs: only until the device has begun.
    pub(super) const fn wanted(&self) -> Option<DeliverableId> {
        match self.stage {
            Stage::Locate | Stage::Probe(_) | Stage::Prepare | Stage::Start | Stage::Pause { .. } => self.request.deliverable_id,
            Stage::Downloading | Stage::StartUpdate | Stage::Updating | Stage::Verify => None,
        }
    }

    pub(super) fn time_to_fetch(&self) -> Duration {
        self.request.download_limit()
    }

    pub(super) fn supply(&mut self, supply: Supply) {
        self.supply = Some(supply);
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
        let begun = self.stage == Stage::Start && (!is_turn || self.starts > 0);
        if matches!(input, Input::Turn | Input::Answers(_))
            && !begun
            && let Some(end) = self.provide()
        {
            return end;
        }
        match input {
            Input::Alert(alert) => self.alerted(alert, cx),
            Input::Answers(answers) => self.answered(answers, cx),
            Input::TimedOut => self.timed_out(),
            Input::Turn if self.package.is_none() => Step::rest(self.phase(), None),
            Input::Turn => self.say(cx),
        }
    }

    /// Takes what is known of the package now; its end where there is none to be had.
    fn provide(&mut self) -> Option<Step> {
        if self.request.deliverable_id.is_none() {
            self.package = self.package.take().or_else(|| Package::of_request(&self.request));
            return None;
        }
        let supply = self.supply.as_ref().filter(|_| self.wanted().is_some())?;
        match Package::of_supply(supply, &self.request) {
            Ok(package) => {
                self.package = Some(package);
                None
            }
            Err(end) => Some(*end),
        }
    }

    fn begin_anew(&mut self) {
        self.stage = Stage::Locate;
        self.left_over = None;
        (self.starts, self.unsure, self.absent) = (0, false, false);
    }

    /// What to say at the present stage.
    fn say(&self, cx: &Context<'_>) -> Step {
        let get = |target: NodeUri| Command::Get { target };
        let replace = |below: &str, text: &str| Command::Replace { target: self.node(below), value: Value::text(text) };
        match &self.stage {
            Stage::Locate => {
                let mut commands = vec![get(self.version_node())];
                match &self.request.firmware_node {
                    Some(_) => commands.push(get(self.node(nodes::STATE))),
                    None => {
                        commands.push(get(self.node(nodes::STATE)));
                        commands.extend(USUAL_ROOTS.map(|root| get(known(root))));
                    }
                }
                if self.is_judged() {
                    commands.extend(
                        PARTICULARS.map(|node| get(known(node))).into_iter().filter(|get| get.target() != &self.version_node()),
                    );
                }
                Step::send(LOCATING, commands)
            }
            Stage::Probe(candidates) => {
                let states = candidates.iter().filter_map(|root| root.join(nodes::STATE).ok());
                Step::send(LOCATING, states.map(get).collect())
            }
            Stage::Prepare => {
                let mut commands = Vec::new();
                let package = self.package.as_ref();
                if let Some(name) = package.and_then(|package| package.name.as_ref()) {
                    commands.push(replace(nodes::PKG_NAME, name));
                }
                if let Some(version) = package.and_then(|package| package.version.as_ref()) {
                    commands.push(replace(nodes::PKG_VERSION, version));
                }
                let url = package.map(|package| package.url.as_str()).unwrap_or_default();
                let (target, value) = (self.node(self.url_node()), Value::text(url));
                commands.push(if self.absent { Command::Add { target, value } } else { Command::Replace { target, value } });
                Step::send(PREPARING, commands)
            }
            Stage::Start => Step::send(STARTING, vec![self.exec(self.first_exec(), 1, cx)]),
            Stage::StartUpdate => Step::send(UPDATING, vec![self.exec(nodes::UPDATE, 2, cx)]),
            Stage::Downloading => Step::send(DOWNLOADING, vec![get(self.node(nodes::STATE)), get(self.version_node())]),
            Stage::Updating => Step::send(UPDATING, vec![get(self.node(nodes::STATE)), get(self.version_node())]),
            Stage::Verify => Step::send(VERIFYING, vec![get(self.version_node()), get(self.node(nodes::STATE))]),
            Stage::Pause { .. } => Step::rest(self.phase(), None),
        }
    }

    fn answered(&mut self, answers: &[Answer], cx: &Context<'_>) -> Step {
        let facts = evidence(answers);
        let lost = answers.iter().any(|answer| answer.status.is_none() || answer.was_passed_over());
        let step = match &self.stage {
            Stage::Start | Stage::StartUpdate => self.started(answers),
            // Reading and naming do no harm: what was lost is done again at the next turn.
            _ if lost => Step::rest(self.phase(), self.limit()),
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

    fn located(&mut self, answers: &[Answer], cx: &Context<'_>) -> Step {
        self.before = answers.first().and_then(version_in);
        if self.before.as_deref() == Some(self.expected()) {
            return Step::done(End::Succeeded, "ALREADY_INSTALLED", "the device has that version already".to_owned());
        }
        if self.is_judged() {
            let mut facts = cx.facts.clone();
            facts.learn(
                &answers
                    .iter()
                    .filter(|answer| answer.succeeded())
                    .flat_map(|answer| answer.readings.clone())
                    .collect::<Vec<_>>(),
            );
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
            let children = answer.value().into_iter().flat_map(Value::children);
            children.filter_map(|name| answer.command.target().join(name).ok()).collect::<Vec<_>>()
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
            // Another update runs. It is told nothing until it is free; the job's expiry ends the waiting.
            self.stage = Stage::Locate;
            return Step::rest(LOCATING, None);
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
        refused(url)
    }

    /// What became of an Exec.
    fn started(&mut self, answers: &[Answer]) -> Step {
        let Some(answer) = answers.first().filter(|answer| !answer.was_passed_over()) else {
            return Step::rest(self.phase(), self.limit());
        };
        self.starts = self.starts.saturating_add(1);
        self.unsure = answer.status.is_none();
        if self.unsure || answer.succeeded() {
            // Without an answer it is taken as begun; the state node or the report will tell.
            self.stage = if self.stage == Stage::Start { Stage::Downloading } else { Stage::Updating };
            return Step::rest(self.phase(), self.limit());
        }
        refused(answer)
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
                self.say(cx)
            }
            Some(State::ReadyToUpdate) if self.unsure && self.stage == Stage::Updating => {
                self.start_again(Stage::StartUpdate, cx)
            }
            Some(State::DownloadFailed) => Step::failed("DOWNLOAD_FAILED", "the state node says so; no report came".to_owned()),
            Some(State::UpdateFailedHaveData | State::UpdateFailedNoData) => {
                Step::failed("UPDATE_FAILED", "the state node says so; no report came".to_owned())
            }
            _ => Step::rest(self.phase(), self.limit()),
        }
    }

    fn verify(&mut self, cx: &Context<'_>) -> Step {
        self.stage = Stage::Verify;
        self.say(cx)
    }

    fn start_again(&mut self, stage: Stage, cx: &Context<'_>) -> Step {
        if self.starts >= MAX_STARTS {
            return Step::failed("NOT_STARTED", "the command to start was lost again and again".to_owned());
        }
        self.stage = stage;
        self.say(cx)
    }

    fn alerted(&mut self, alert: &GenericAlert, cx: &Context<'_>) -> Step {
        let Some(completion) = Completion::from_alert(&alert.alert_type).filter(|_| self.is_meant(alert, cx)) else {
            return Step::default();
        };
        let (code, named) = firmware_retry::report(&alert.value.data);
        let step = match (&self.stage, completion) {
            (Stage::Start | Stage::Downloading, Completion::Download | Completion::DownloadAndUpdate)
            | (Stage::StartUpdate | Stage::Updating, Completion::Update) => self.reported(completion, code, named, cx.now),
            // A client may install at once although it was told to download only.
            (Stage::Start | Stage::Downloading, Completion::Update) => self.reported(completion, code, named, cx.now),
            // A report that came before is told again, or one for a step that is not under way.
            _ => Step::rest(self.phase(), self.limit()),
        };
        step.learned(vec![Fact::alert(alert)])
    }

    fn reported(&mut self, completion: Completion, code: ResultCode, named: Option<Timestamp>, now: Timestamp) -> Step {
        if let Some(named) = named.filter(|named| *named > now) {
            return self.pause(firmware_retry::until(named, now), true, now);
        }
        if matches!(code, ResultCode::USER_CANCELLED | ResultCode::DEFERRED) {
            return Step::done(End::Declined, code.name(), "the user declined".to_owned());
        }
        if !code.is_success() {
            let pause = firmware_retry::pause(code, self.failures.saturating_add(1));
            if let Some(pause) = pause.filter(|_| self.failures.saturating_add(1) < self.request.attempts()) {
                self.failures = self.failures.saturating_add(1);
                self.fetched = false;
                return self.pause(pause, false, now);
            }
            return Step::failed(code.name(), format!("the device reported {}", code.0));
        }
        self.starts = 0;
        self.fetched = completion == Completion::Download;
        self.stage = match completion {
            Completion::Download => Stage::StartUpdate,
            Completion::DownloadAndUpdate | Completion::Update => Stage::Verify,
        };
        Step::rest(self.phase(), self.limit())
    }

    /// Waits, then begins anew as another attempt.
    fn pause(&mut self, pause: Duration, deferred: bool, now: Timestamp) -> Step {
        self.stage = Stage::Pause { until: now.plus(pause), deferred };
        Step { next: Next::Again(self.phase(), pause), ..Step::default() }
    }

    fn verified(&self, answers: &[Answer]) -> Step {
        let expected = self.expected();
        match answers.first().and_then(version_in) {
            Some(version) if version == expected => Step::done(End::Succeeded, "UPDATED", None),
            Some(version) => Step::failed(
                "VERSION_UNCHANGED",
                format!("the device reported success but says version {version}, not {expected}"),
            ),
            None => Step::failed("VERSION_UNREADABLE", "the device reported success but does not tell its version".to_owned()),
        }
    }

    fn timed_out(&mut self) -> Step {
        match self.stage {
            Stage::Pause { .. } => {
                self.begin_anew();
                Step::rest(self.phase(), None)
            }
            Stage::Downloading => Step::failed("DOWNLOAD_NOT_REPORTED", "no report came in time".to_owned()),
            Stage::Updating => Step::failed("UPDATE_NOT_REPORTED", "no report came in time".to_owned()),
            Stage::Verify => Step::failed("VERSION_UNREADABLE", "the version could not be read in time".to_owned()),
            _ => Step::failed("TIMED_OUT", None),
        }
    }

    /// Whether an alert is about this update: by its correlator, or, where it has none, by the node it comes from.
    fn is_meant(&self, alert: &GenericAlert, cx: &Context<'_>) -> bool {
        // A client that was given none, or forgot it, may send an empty one.
        match alert.correlator.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => text.parse::<Correlator>().is_ok_and(|theirs| {
                (theirs.job, theirs.ordinal, theirs.attempt) == (cx.correlator.job, cx.correlator.ordinal, cx.correlator.attempt)
            }),
            None => match (&self.root, &alert.source) {
                (Some(root), Some(source)) => source.is_within(root),
                (Some(_), None) => matches!(self.stage, Stage::Start | Stage::Downloading | Stage::StartUpdate | Stage::Updating),
                (None, _) => false,
            },
        }
    }

    fn phase(&self) -> Phase {
        match self.stage {
            Stage::Locate | Stage::Probe(_) => LOCATING,
            Stage::Prepare => PREPARING,
            Stage::Start => STARTING,
            Stage::Downloading => DOWNLOADING,
            Stage::StartUpdate | Stage::Updating => UPDATING,
            Stage::Verify => VERIFYING,
            Stage::Pause { deferred: true, .. } => DEFERRED,
            Stage::Pause { .. } => RETRYING,
        }
    }

    /// How long the present stage may rest; none when only the job's expiry ends it.
    fn limit(&self) -> Option<Duration> {
        match self.stage {
            Stage::Start | Stage::Downloading => Some(match self.delivery() {
                Delivery::DownloadAndUpdate => self.request.download_limit().saturating_add(self.request.update_limit()),
                Delivery::DownloadThenUpdate => self.request.download_limit(),
            }),
            Stage::StartUpdate | Stage::Updating => Some(self.request.update_limit()),
            Stage::Verify => Some(VERIFY_TIMEOUT),
            Stage::Locate | Stage::Probe(_) | Stage::Prepare | Stage::Pause { .. } => None,
        }
    }

    /// Whether the package must fit the device.
    fn is_judged(&self) -> bool {
        self.request.deliverable_id.is_some() || !self.request.targets.is_empty() || self.request.precursor.is_some()
    }

    /// What the version node must say afterwards.
    fn expected(&self) -> &str {
        self.package.as_ref().map(|package| package.expected.as_str()).unwrap_or_default()
    }

    fn version_node(&self) -> NodeUri {
        self.package.as_ref().map_or_else(|| known(devdetail::FW_V), |package| package.version_node.clone())
    }

    fn delivery(&self) -> Delivery {
        self.package.as_ref().map(|package| package.delivery).unwrap_or_default()
    }

    fn first_exec(&self) -> &'static str {
        match self.delivery() {
            Delivery::DownloadAndUpdate => nodes::DOWNLOAD_AND_UPDATE,
            Delivery::DownloadThenUpdate => nodes::DOWNLOAD,
        }
    }

    fn url_node(&self) -> &'static str {
        match self.delivery() {
            Delivery::DownloadAndUpdate => nodes::DOWNLOAD_AND_UPDATE_URL,
            Delivery::DownloadThenUpdate => nodes::DOWNLOAD_URL,
        }
    }

    fn exec(&self, below: &str, step: u8, cx: &Context<'_>) -> Command {
        let correlator = Correlator { step, ..cx.correlator };
        Command::Exec { target: self.node(below), correlator: Some(correlator.to_string()), value: None }
    }

    fn root(&self) -> NodeUri {
        let [usual, ..] = USUAL_ROOTS;
        self.root.clone().or_else(|| self.request.firmware_node.clone()).unwrap_or_else(|| known(usual))
    }

    fn node(&self, below: &str) -> NodeUri {
        let root = self.root();
        root.join(below).unwrap_or(root)
    }
}
