//! A job as a client asks for it: read, and checked against the devices the client may name.
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use dmwsi_domain::cloud_event::Payload;
use dmwsi_domain::egress::Forbidden;
use dmwsi_domain::id::{DeviceId, JobId, SubscriptionId};
use dmwsi_domain::job::{Counts, Job, JobState, MAX_DEVICES, Target};
use dmwsi_domain::operation::Request;
use dmwsi_domain::scope::Scope;
use dmwsi_domain::subscription::{Purpose, Signing, Subscription, SubscriptionStatus};
use dmwsi_domain::subscription_filter::Filter;
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_store::webhook_secrets::WebhookKey;
use openssl::sha::sha256;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::app::App;
use crate::callers::Caller;
use crate::new_subscription::subscription;
use crate::problem::{Code, Problem};
use crate::sink::{NewSinkCredential, Receiver};

/// When a job expires that does not say: after 7 days.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The latest that a job may expire: after 90 days.
const LONGEST_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// The most faults named in one problem.
const MAX_FAULTS: usize = 100;

/// What to do, and on which devices.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "clientCorrelator": "rel-2026-11",
    "operation": {
        "type": "FIRMWARE_UPDATE",
        "packageUrl": "https://downloads.example/x1-2.0.0.bin",
        "expectedFirmwareVersion": "2.0.0",
        "delivery": "DOWNLOAD_AND_UPDATE"
    },
    "target": {"type": "DEVICES", "deviceIds": ["dev_8f14e45fceea167a5a36dedd4bea2543"]}
}))]
pub struct NewJob {
    /// Your own name for the job, unique among your jobs for as long as the job is kept. A repeated request gets the same job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]{1,128}$", examples("rel-2026-11"))]
    pub client_correlator: Option<String>,
    /// What to do.
    pub operation: Request,
    /// On which devices.
    pub target: NewTarget,
    /// When the job ends if it has not ended by itself: in the future, at most 90 days ahead; 7 days when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Where the events of this job are delivered to until it has ended, as by a subscription: an `https` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, format = "uri")]
    pub sink: Option<String>,
    /// What is presented there. It is stored sealed and never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub sink_credential: Option<NewSinkCredential>,
    /// Stands in the data of each of these events. It is stored sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub callback_data: Option<String>,
}

/// The types of events that are delivered to the sink of a job.
const TOLD: [&str; 8] = [
    "dmwsi.v1.execution-finished",
    "dmwsi.v1.execution-phase",
    "dmwsi.v1.execution-started",
    "dmwsi.v1.job-accepted",
    "dmwsi.v1.job-cancelling",
    "dmwsi.v1.job-completed",
    "dmwsi.v1.job-progress",
    "dmwsi.v1.job-started",
];

/// Which devices.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum NewTarget {
    /// These devices, each once.
    #[serde(rename_all = "camelCase")]
    Devices {
        /// Their ids, 1 to 100,000.
        #[schema(min_items = 1, max_items = 100_000, max_length = 36, pattern = "^dev_[0-9a-f]{32}$", example = json!(["dev_8f14e45fceea167a5a36dedd4bea2543"]))]
        device_ids: Vec<String>,
    },
}

impl NewJob {
    /// The job of that id, as far as the request alone can tell, and the devices it names.
    pub(crate) fn check(&self, app: &App, caller: &Caller, id: JobId, now: Timestamp) -> Result<(Job, Vec<DeviceId>), Problem> {
        if self.client_correlator.as_deref().is_some_and(|text| !is_correlator(text)) {
            let detail = "must have 1 to 128 letters, digits or `._:-`";
            return Err(Problem::invalid("The clientCorrelator is not one.").at("/clientCorrelator", detail));
        }
        self.operation.check().map_err(|error| match error {
            Error::Invalid { pointer, code, detail } => Error::Invalid { pointer: format!("/operation{pointer}"), code, detail },
            other => other,
        })?;
        if let Request::FirmwareUpdate(update) = &self.operation
            && let Some(url) = &update.package_url
        {
            // The device fetches it, perhaps from within the operator's network.
            let judged = Url::parse(url).map_err(|_malformed| Forbidden).and_then(|url| app.egress.judge_url(&url));
            judged.map_err(|forbidden| forbidden.at("/operation/packageUrl"))?;
        }
        let latest = now.plus(LONGEST_LIFETIME);
        if self.expires_at.is_some_and(|end| end <= now || end > latest) {
            let problem = Problem::new(Code::Unprocessable, "A job ends in the future, at most 90 days ahead.");
            return Err(problem.at("/expiresAt", format!("must lie between now and {latest}")));
        }
        let devices = self.target.devices(app, caller)?;
        let target = Target::Devices { device_ids: Vec::new() };
        let job = Job {
            id,
            organisation: caller.organisation,
            client: caller.client,
            client_correlator: self.client_correlator.clone(),
            fingerprint: self.fingerprint()?,
            correlator: None,
            operation: self.operation.clone(),
            target_type: target.type_name().to_owned(),
            target_count: u64::try_from(devices.len()).unwrap_or(u64::MAX),
            state: JobState::Accepted,
            outcome: None,
            counts: Counts::default(),
            expanded: 0,
            expires_at: Some(self.expires_at.unwrap_or_else(|| now.plus(LIFETIME))),
            created_at: now,
            updated_at: now,
            finished_at: None,
            acknowledgement: None,
            told: dmwsi_domain::progress::Told::default(),
            revision: 1,
        };
        Ok((job, devices))
    }

    /// The subscription that the job asks for, bound to it, and the key it is verified by.
    pub(crate) fn subscription(
        &self,
        app: &App,
        caller: &Caller,
        job: JobId,
        now: Timestamp,
    ) -> Result<Option<(Subscription, WebhookKey)>, Problem> {
        let Some(sink) = &self.sink else {
            if self.sink_credential.is_some() || self.callback_data.is_some() {
                return Err(Problem::invalid("There is no sink that this is for.").at("/sink", "must be given"));
            }
            return Ok(None);
        };
        // What is delivered is what could be read.
        caller.needs(Scope::JobsRead)?;
        let receiver = Receiver {
            sink,
            credential: self.sink_credential.as_ref(),
            callback_data: self.callback_data.as_deref(),
            signing: Signing::Hmac,
            callback_pointer: "/callbackData",
        };
        let (secrets, token_ends) = receiver.check(app, now)?;
        let id = SubscriptionId::new(app.clock.new_id());
        let purpose = Purpose {
            types: TOLD.iter().map(|kind| (*kind).to_owned()).collect(),
            filter: Filter { jobs: [job].into(), ..Filter::default() },
            payload: Payload::Thin,
            initial: false,
            until: None,
            rejected: Vec::new(),
        };
        let mut made = subscription(caller, id, sink.clone(), purpose, Signing::Hmac, now);
        made.job = Some(job);
        if app.asks(sink) {
            made.status = SubscriptionStatus::ActivationRequested;
        }
        made.secrets = app.sealing.seal_webhook(id, &secrets)?;
        made.set_end(token_ends);
        Ok(Some((made, secrets.current)))
    }

    /// A digest of what is asked, however it was written.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let hash = sha256(&serde_json::to_vec(self).map_err(Error::internal)?);
        Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl NewTarget {
    fn devices(&self, app: &App, caller: &Caller) -> Result<Vec<DeviceId>, Problem> {
        let Self::Devices { device_ids } = self;
        if !(1..=MAX_DEVICES).contains(&device_ids.len()) {
            let problem = Problem::new(Code::Unprocessable, "A job is for 1 to 100000 devices.");
            return Err(problem.at("/target/deviceIds", "must have 1 to 100000 items"));
        }
        let mut seen = HashSet::with_capacity(device_ids.len());
        let mut faults = Vec::new();
        let mut devices = Vec::with_capacity(device_ids.len());
        for (at, text) in device_ids.iter().enumerate() {
            match app.keys.device_ids.inside(caller.organisation, text) {
                Some(device) if seen.insert(device) => devices.push(device),
                Some(_) => faults.push((at, "is named twice")),
                None => faults.push((at, UNKNOWN)),
            }
        }
        refuse(faults)?;
        Ok(devices)
    }
}

const UNKNOWN: &str = "is not a device of your organisation";

/// Refuses the devices that the organisation does not have, by their place in the list.
pub(crate) fn refuse_unknown(devices: &[DeviceId], owned: &BTreeSet<DeviceId>) -> Result<(), Problem> {
    refuse(devices.iter().enumerate().filter(|(_, device)| !owned.contains(device)).map(|(at, _)| (at, UNKNOWN)))
}

fn refuse(faults: impl IntoIterator<Item = (usize, &'static str)>) -> Result<(), Problem> {
    let mut faults = faults.into_iter().peekable();
    if faults.peek().is_none() {
        return Ok(());
    }
    let problem = Problem::new(Code::Unprocessable, "Some devices cannot be named.");
    Err(faults.take(MAX_FAULTS).fold(problem, |problem, (at, detail)| problem.at(format!("/target/deviceIds/{at}"), detail)))
}

fn is_correlator(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
}
