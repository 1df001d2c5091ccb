//! What the device reports of an update, and what the passing of time means for it.
use std::time::Duration;

use dmwsi_objects::fumo::{Completion, ResultCode, State};
use dmwsi_objects::{Answer, GenericAlert, NodeUri};

use super::firmware_answer::version_in;
use super::firmware_request::Delivery;
use super::firmware_update::{
    DEFERRED, DOWNLOADING, FirmwareUpdate, LOCATING, PREPARING, RETRYING, STARTING, Stage, UPDATING, VERIFYING,
};
use super::{Context, End, EndWord, Next, Phase, Step, firmware_retry};
use crate::Timestamp;
use crate::correlator::Correlator;
use crate::evidence::Fact;

/// How long the version may stay unread after the device reported: a day.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How long a device that owes a report is left alone before it is called to be asked.
const LOOK: Duration = Duration::from_secs(3600);

impl FirmwareUpdate {
    pub(super) fn alerted(&mut self, alert: &GenericAlert, cx: &Context<'_>) -> Step {
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
            return Step::done(End::Declined, code, "the user declined".to_owned());
        }
        if !code.is_success() {
            let pause = firmware_retry::pause(code, self.failures.saturating_add(1));
            if let Some(pause) = pause.filter(|_| self.failures.saturating_add(1) < self.request.attempts()) {
                self.failures = self.failures.saturating_add(1);
                self.fetched = false;
                return self.pause(pause, false, now);
            }
            return Step::failed(code, format!("the device reported {}", code.0));
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
    pub(super) fn pause(&mut self, pause: Duration, deferred: bool, now: Timestamp) -> Step {
        self.stage = Stage::Pause { until: now.plus(pause), deferred };
        Step { next: Next::Again(self.phase(), pause), ..Step::default() }
    }

    pub(super) fn verified(&self, answers: &[Answer]) -> Step {
        let expected = self.expected();
        match answers.first().and_then(version_in) {
            Some(version) if version == expected => Step::done(End::Succeeded, EndWord::UPDATED, None),
            Some(version) => Step::failed(
                EndWord::VERSION_UNCHANGED,
                format!("the device reported success but says version {version}, not {expected}"),
            ),
            None => {
                Step::failed(EndWord::VERSION_UNREADABLE, "the device reported success but does not tell its version".to_owned())
            }
        }
    }

    pub(super) fn timed_out(&mut self) -> Step {
        match self.stage {
            Stage::Pause { .. } => {
                self.begin_anew();
                Step::rest(self.phase(), None)
            }
            Stage::Downloading => Step::failed(EndWord::DOWNLOAD_NOT_REPORTED, "no report came in time".to_owned()),
            Stage::Updating => Step::failed(EndWord::UPDATE_NOT_REPORTED, "no report came in time".to_owned()),
            Stage::Verify => Step::failed(EndWord::VERSION_UNREADABLE, "the version could not be read in time".to_owned()),
            Stage::Locate if self.left_over.is_some_and(State::is_busy) => {
                Step::failed(EndWord::DEVICE_BUSY, "another update did not come to its end in time".to_owned())
            }
            _ => Step::failed(EndWord::TIMED_OUT, None),
        }
    }

    /// Until when there is nothing to say, where the device or a time is waited for; `said` is when there last was.
    pub(super) fn rests_until(&self, said: Timestamp) -> Option<Timestamp> {
        match self.stage {
            Stage::Pause { until, .. } => Some(until),
            // Whether it has begun at all is to be asked.
            Stage::Downloading | Stage::Updating if !self.unsure => Some(said.plus(LOOK)),
            Stage::Locate if self.left_over.is_some_and(State::is_busy) => Some(said.plus(LOOK)),
            _ => None,
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
                (Some(root), Some(source)) if source.is_within(root) => true,
                // Some name what lies above it, or nothing.
                (Some(root), source) => {
                    let is_out = matches!(self.stage, Stage::Start | Stage::Downloading | Stage::StartUpdate | Stage::Updating);
                    is_out && source.as_ref().is_none_or(|source| root.is_within(source) && source != &NodeUri::root())
                }
                (None, _) => false,
            },
        }
    }

    pub(super) fn phase(&self) -> Phase {
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

    /// How long an update may take from its start to its report.
    pub(super) fn whole_limit(&self) -> Duration {
        self.request.download_limit().saturating_add(self.request.update_limit())
    }

    /// How long the present stage may rest. Until something was started only the job's expiry ends it: a device that does not call keeps nobody
    /// waiting but whoever asked, who has said how long that may be.
    pub(super) fn limit(&self) -> Option<Duration> {
        match self.stage {
            Stage::Start | Stage::Downloading => Some(match self.delivery() {
                Delivery::DownloadAndUpdate => self.whole_limit(),
                Delivery::DownloadThenUpdate => self.request.download_limit(),
                Delivery::DmDirect => self.request.update_limit(),
            }),
            Stage::StartUpdate | Stage::Updating => Some(self.request.update_limit()),
            Stage::Verify => Some(VERIFY_TIMEOUT),
            Stage::Locate | Stage::Probe(_) | Stage::Prepare | Stage::Pause { .. } => None,
        }
    }
}
