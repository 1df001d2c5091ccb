//! What an update needs of its deliverable, and takes of it while it still may.
use std::time::Duration;

use dmwsi_objects::Answer;

use super::firmware_package::{Package, Supply};
use super::firmware_request::Delivery;
use super::firmware_update::{FirmwareUpdate, Stage};
use super::{Context, Input, Step};
use crate::Timestamp;
use crate::facts::Facts;
use crate::id::DeliverableId;

impl FirmwareUpdate {
    /// The deliverable that it needs: until the device was told to fetch it, and until it was told to install what it has fetched.
    pub(super) fn wanted(&self) -> Option<DeliverableId> {
        let is_needed = match self.stage {
            Stage::Locate | Stage::Probe(_) | Stage::Prepare | Stage::Start | Stage::Pause { .. } => true,
            Stage::Downloading => self.delivery() == Delivery::DownloadThenUpdate,
            Stage::StartUpdate => self.starts == 0,
            Stage::Updating | Stage::Verify => false,
        };
        self.request.deliverable_id.filter(|_| is_needed)
    }

    /// Whether it may want the content itself in what it says next.
    pub(super) fn wants_content(&self, now: Timestamp) -> bool {
        let may_choose = self.request.delivery.is_none_or(|delivery| delivery == Delivery::DmDirect);
        match self.stage {
            Stage::Locate => may_choose,
            Stage::Pause { until, .. } => may_choose && until <= now,
            Stage::Probe(_) | Stage::Prepare | Stage::Start => self.delivery() == Delivery::DmDirect,
            Stage::Downloading | Stage::StartUpdate | Stage::Updating | Stage::Verify => false,
        }
    }

    pub(super) fn time_to_fetch(&self) -> Duration {
        self.request.download_limit()
    }

    pub(super) fn supply(&mut self, supply: Supply) {
        self.supply = Some(supply);
    }

    /// Takes what is known of the package now; its end where there is none to be had.
    pub(super) fn provide(&mut self, input: &Input<'_>, cx: &Context<'_>) -> Option<Step> {
        if self.request.deliverable_id.is_none() {
            self.package = self.package.take().or_else(|| Package::of_request(&self.request));
            return None;
        }
        let supply = self.supply.as_ref().filter(|_| self.wanted().is_some())?;
        // Once the device is told something, it stays with one way to get the package.
        let chosen = self.package.as_ref().map(|package| package.delivery).filter(|_| self.stage != Stage::Locate);
        // What is known of its kind counts for more than what it says.
        let large_objects = match (chosen, cx.facts.traits.large_objects, input) {
            (Some(delivery), _, _) => Some(delivery == Delivery::DmDirect),
            (None, Some(known), _) => Some(known),
            // It has just been asked, or was before.
            (None, None, Input::Answers(answers)) => learned(answers, cx).large_objects,
            (None, None, _) => cx.facts.large_objects.or(Some(true)),
        };
        match Package::of_supply(supply, &self.request, large_objects == Some(true), cx.facts.max_object) {
            Ok(package) => {
                self.package = Some(Package { delivery: chosen.unwrap_or(package.delivery), ..package });
                None
            }
            Err(end) => Some(*end),
        }
    }
}

/// What is known of the device with what it has just answered.
pub(super) fn learned(answers: &[Answer], cx: &Context<'_>) -> Facts {
    let mut facts = cx.facts.clone();
    let told = answers.iter().filter(|answer| answer.succeeded()).flat_map(|answer| answer.readings.clone());
    facts.learn(&told.collect::<Vec<_>>());
    facts
}
