//! What the device is told at each stage of an update.
use dmwsi_objects::fumo::{USUAL_ROOTS, nodes};
use dmwsi_objects::{Command, Format, NodeUri, Value, devdetail};

use super::firmware_request::{Delivery, known};
use super::firmware_update::{DOWNLOADING, FirmwareUpdate, LOCATING, PREPARING, STARTING, Stage, UPDATING, VERIFYING};
use super::{Context, Step};
use crate::correlator::Correlator;

/// What else counts of a device when a package must fit it.
const PARTICULARS: [&str; 5] = [devdetail::FW_V, devdetail::HW_V, devdetail::SW_V, devdetail::DEV_TYP, devdetail::LRG_OBJ];

impl FirmwareUpdate {
    /// What to say at the present stage.
    pub(super) fn say(&self, cx: &Context<'_>) -> Step {
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
                        PARTICULARS
                            .map(|node| get(known(node)))
                            .into_iter()
                            .filter(|get| get.target() != Some(&self.version_node())),
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
                let content = self.supply.as_ref().and_then(|supply| supply.content.clone());
                let value = match content.filter(|_| self.delivery() == Delivery::DmDirect) {
                    Some(data) => Value { format: Format::Bin, media_type: Some("application/octet-stream".to_owned()), data },
                    None => Value::text(url),
                };
                let target = self.node(self.url_node());
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

    fn first_exec(&self) -> &'static str {
        match self.delivery() {
            Delivery::DownloadAndUpdate => nodes::DOWNLOAD_AND_UPDATE,
            Delivery::DownloadThenUpdate => nodes::DOWNLOAD,
            Delivery::DmDirect => nodes::UPDATE,
        }
    }

    fn url_node(&self) -> &'static str {
        match self.delivery() {
            Delivery::DownloadAndUpdate => nodes::DOWNLOAD_AND_UPDATE_URL,
            Delivery::DownloadThenUpdate => nodes::DOWNLOAD_URL,
            Delivery::DmDirect => nodes::UPDATE_DATA,
        }
    }

    pub(super) fn exec(&self, below: &str, step: u8, cx: &Context<'_>) -> Command {
        let correlator = Correlator { step, ..cx.correlator };
        Command::Exec { target: self.node(below), correlator: Some(correlator.to_string()), value: None }
    }

    pub(super) fn root(&self) -> NodeUri {
        let [usual, ..] = USUAL_ROOTS;
        self.root.clone().or_else(|| self.request.firmware_node.clone()).unwrap_or_else(|| known(usual))
    }

    fn node(&self, below: &str) -> NodeUri {
        let root = self.root();
        root.join(below).unwrap_or(root)
    }
}
