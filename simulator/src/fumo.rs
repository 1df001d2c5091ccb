//! The update package of a device and its states (OMA FUMO 1.0, 5.2 to 5.5).
use std::mem;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::fumo::{Completion, ResultCode, State, URN, nodes};
use dmwsi_objects::{AlertType, Format, GenericAlert, Mark, NodeUri, StatusCode, Value, devdetail};
use dmwsi_protocol::device::{Access, Tree};
use serde::{Deserialize, Serialize};

use crate::behaviour::Behaviour;
use crate::package::{HEAD, Package};

/// What an update package is at.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Fumo {
    root: NodeUri,
    phase: Phase,
    order: Option<Order>,
    package: Option<Package>,
    /// The time until which the user has put it off already.
    put_off: Option<String>,
    /// How many orders ended for want of power.
    powerless: u32,
    /// How many ended for want of memory.
    cramped: u32,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
enum Phase {
    #[default]
    Rest,
    Download,
    Unpack(Result<Package, ResultCode>),
    Install,
    Installed,
    Reboot,
}

/// What an Exec asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Order {
    completion: Completion,
    node: NodeUri,
    correlator: Option<String>,
    url: String,
}

/// Why an order comes to nothing.
#[derive(Debug)]
struct Refusal {
    code: ResultCode,
    /// When the user wants to be asked again.
    until: Option<String>,
}

impl From<ResultCode> for Refusal {
    fn from(code: ResultCode) -> Self {
        Self { code, until: None }
    }
}

/// What is next to do outside of sessions.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing. The alert tells what became of the last order.
    Done(Option<GenericAlert>),
    /// Fetch this and tell [`Fumo::fetched`].
    Fetch(String),
    /// Let this time pass.
    Wait(Duration),
}

impl Fumo {
    /// An idle package; its nodes are put into the tree.
    pub(crate) fn new(root: NodeUri, tree: &mut Tree) -> Self {
        let get = Access::GET;
        tree.put(&root, Value { media_type: Some(URN.to_owned()), ..Value::node(&[]) }, get);
        let (text, start) = (Value::text(""), Value::node(&[]));
        let octets = Value { format: Format::Bin, ..Value::default() };
        for (name, value, access) in [
            (nodes::PKG_NAME, text.clone(), get | Access::REPLACE),
            (nodes::PKG_VERSION, text.clone(), get | Access::REPLACE),
            (nodes::DOWNLOAD, start.clone(), get | Access::EXEC),
            (nodes::DOWNLOAD_URL, text.clone(), get | Access::REPLACE),
            (nodes::UPDATE, start.clone(), get | Access::EXEC),
            (nodes::UPDATE_DATA, octets, Access::REPLACE),
            (nodes::DOWNLOAD_AND_UPDATE, start, get | Access::EXEC),
            (nodes::DOWNLOAD_AND_UPDATE_URL, text, get | Access::REPLACE),
            (nodes::STATE, Value::int(State::Idle.number().into()), get),
        ] {
            if let Ok(node) = root.join(name) {
                tree.put(&node, value, access);
            }
        }
        Self { root, phase: Phase::Rest, order: None, package: None, put_off: None, powerless: 0, cramped: 0 }
    }

    /// Whether there is something to do outside of sessions.
    pub(crate) fn is_busy(&self) -> bool {
        self.phase != Phase::Rest
    }

    /// Whether the device is off the air.
    pub(crate) fn is_rebooting(&self) -> bool {
        self.phase == Phase::Reboot
    }

    /// Begins what an Exec of an allowed node asks for.
    pub(crate) fn exec(&mut self, tree: &mut Tree, node: &NodeUri, correlator: Option<String>) -> StatusCode {
        let (completion, url) = match self.below(node) {
            Some(nodes::DOWNLOAD) => (Completion::Download, self.text(tree, nodes::DOWNLOAD_URL)),
            Some(nodes::DOWNLOAD_AND_UPDATE) => (Completion::DownloadAndUpdate, self.text(tree, nodes::DOWNLOAD_AND_UPDATE_URL)),
            Some(nodes::UPDATE) => (Completion::Update, String::new()),
            _ => return StatusCode::NOT_SUPPORTED,
        };
        if self.is_busy() || (completion == Completion::Update && self.package.is_none()) {
            return StatusCode::FORBIDDEN;
        }
        if completion == Completion::Update {
            self.enter(tree, State::UpdateProgressing);
            self.phase = Phase::Install;
        } else {
            self.package = None;
            self.enter(tree, State::DownloadProgressing);
            self.phase = Phase::Download;
        }
        self.order = Some(Order { completion, node: node.clone(), correlator, url });
        StatusCode::ACCEPTED
    }

    /// Notes that a server changed a node: a new address begins a new cycle, and data brought in a message is ready for an update.
    pub(crate) fn replaced(&mut self, tree: &mut Tree, node: &NodeUri) {
        if self.is_busy() {
            return;
        }
        match self.below(node) {
            Some(nodes::DOWNLOAD_URL | nodes::DOWNLOAD_AND_UPDATE_URL) => {
                self.package = None;
                self.enter(tree, State::Idle);
            }
            Some(nodes::UPDATE_DATA) => {
                let octets = STANDARD.decode(self.text(tree, nodes::UPDATE_DATA)).unwrap_or_default();
                let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
                self.package = Some(Package::new(octets.get(..HEAD).unwrap_or(&octets), length));
                self.enter(tree, State::ReadyToUpdate);
            }
            _ => {}
        }
    }

    /// Goes on by one phase.
    pub(crate) fn step(&mut self, tree: &mut Tree, behaviour: &Behaviour) -> Step {
        match mem::take(&mut self.phase) {
            Phase::Rest => Step::Done(None),
            Phase::Download => match (self.refusal(behaviour), &self.order) {
                (None, Some(order)) => {
                    self.phase = Phase::Download;
                    Step::Fetch(order.url.clone())
                }
                (Some(Refusal { code, until }), _) => self.report(tree, behaviour, State::DownloadFailed, code, until),
                (None, None) => Step::Done(None),
            },
            Phase::Unpack(Err(code)) => self.report(tree, behaviour, State::DownloadFailed, code, None),
            Phase::Unpack(Ok(package)) => {
                self.package = Some(package);
                self.enter(tree, State::DownloadComplete);
                self.enter(tree, State::ReadyToUpdate);
                if self.order.as_ref().is_some_and(|order| order.completion == Completion::Download) {
                    let told = self.report(tree, behaviour, State::ReadyToUpdate, ResultCode::SUCCESS, None);
                    if behaviour.lose_package {
                        self.package = None;
                        self.enter(tree, State::Idle);
                    }
                    return told;
                }
                self.enter(tree, State::UpdateProgressing);
                self.phase = Phase::Installed;
                Step::Wait(Duration::from_millis(behaviour.install_ms))
            }
            Phase::Install => {
                self.phase = Phase::Installed;
                Step::Wait(Duration::from_millis(behaviour.install_ms))
            }
            Phase::Installed => match self.failure(behaviour) {
                // It stays where it is until the user agrees.
                Some(Refusal { code, until: Some(until) }) if self.package.is_some() => {
                    self.report(tree, behaviour, State::ReadyToUpdate, code, Some(until))
                }
                Some(Refusal { code, until }) => {
                    let kept = behaviour.keep_package && self.package.is_some();
                    self.package = self.package.take().filter(|_package| kept);
                    let state = if kept { State::UpdateFailedHaveData } else { State::UpdateFailedNoData };
                    self.report(tree, behaviour, state, code, until)
                }
                None => {
                    self.phase = Phase::Reboot;
                    Step::Wait(Duration::from_millis(behaviour.reboot_ms))
                }
            },
            Phase::Reboot => self.updated(tree, behaviour),
        }
    }

    /// Takes what a fetch brought; the time that downloads take passes after it.
    pub(crate) fn fetched(&mut self, package: Result<Package, ResultCode>, behaviour: &Behaviour) -> Step {
        self.phase = Phase::Unpack(package);
        Step::Wait(Duration::from_millis(behaviour.download_ms))
    }

    /// Why the download is not begun.
    fn refusal(&mut self, behaviour: &Behaviour) -> Option<Refusal> {
        let asked = if behaviour.ask_late { None } else { self.ask(behaviour) };
        asked.or_else(|| {
            if self.cramped < behaviour.out_of_memory {
                self.cramped = self.cramped.saturating_add(1);
                return Some(ResultCode(501).into());
            }
            behaviour.fail_download.map(Refusal::from)
        })
    }

    /// Why the installation does not succeed.
    fn failure(&mut self, behaviour: &Behaviour) -> Option<Refusal> {
        if let Some(refusal) = self.ask(behaviour) {
            return Some(refusal);
        }
        let sound = self.package.as_ref().is_some_and(|package| package.version.is_some());
        if !sound {
            return Some(ResultCode(402).into());
        }
        if self.powerless < behaviour.low_battery {
            self.powerless = self.powerless.saturating_add(1);
            return Some(ResultCode::BATTERY_LOW.into());
        }
        if self.cramped < behaviour.out_of_memory {
            self.cramped = self.cramped.saturating_add(1);
            return Some(ResultCode(502).into());
        }
        behaviour.fail_update.map(Refusal::from)
    }

    /// What the user says, unless it is yes.
    fn ask(&mut self, behaviour: &Behaviour) -> Option<Refusal> {
        if behaviour.decline {
            return Some(ResultCode::USER_CANCELLED.into());
        }
        let until = behaviour.defer_until.clone().filter(|until| self.put_off.as_ref() != Some(until))?;
        self.put_off = Some(until.clone());
        Some(Refusal { code: ResultCode::DEFERRED, until: Some(until) })
    }

    /// The first thing after the reboot.
    fn updated(&mut self, tree: &mut Tree, behaviour: &Behaviour) -> Step {
        let told = Some(self.text(tree, nodes::PKG_VERSION)).filter(|version| !version.is_empty());
        let own = self.package.as_ref().and_then(|package| package.version.clone());
        if let Some(version) = told.or(own).filter(|_version| !behaviour.lie_about_version) {
            tree.set(devdetail::FW_V, version);
        }
        self.enter(tree, State::UpdateSuccessfulHaveData);
        if behaviour.keep_package {
            return self.report(tree, behaviour, State::UpdateSuccessfulHaveData, ResultCode::SUCCESS, None);
        }
        self.package = None;
        self.report(tree, behaviour, State::UpdateSuccessfulNoData, ResultCode::SUCCESS, None)
    }

    /// Ends the order in this state and tells of it, with the time that the user named.
    fn report(&mut self, tree: &mut Tree, behaviour: &Behaviour, state: State, code: ResultCode, until: Option<String>) -> Step {
        self.enter(tree, state);
        let told = until.map(|until| Value::text(format!("{};{until}", code.0)));
        self.phase = Phase::Rest;
        Step::Done(self.order.take().map(|order| GenericAlert {
            alert_type: AlertType::lenient(order.completion.alert_type()),
            correlator: order.correlator.filter(|_correlator| !behaviour.omit_correlator),
            source: Some(if behaviour.alert_from_exec_node { order.node } else { self.root.clone() }),
            target: None,
            mark: if code.is_success() { Mark::Informational } else { Mark::Warning },
            value: told.unwrap_or_else(|| Value::int(code.0.into())),
        }))
    }

    /// The name of a node below the package.
    fn below<'n>(&self, node: &'n NodeUri) -> Option<&'n str> {
        node.path().strip_prefix(self.root.path())?.strip_prefix('/')
    }

    fn text(&self, tree: &Tree, name: &str) -> String {
        let text = self.root.join(name).ok().and_then(|node| tree.text(node.path()).map(str::to_owned));
        text.unwrap_or_default()
    }

    fn enter(&self, tree: &mut Tree, state: State) {
        tree.set(&format!("{}/{}", self.root.path(), nodes::STATE), state.number().to_string());
    }
}
