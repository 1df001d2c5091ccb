//! An event as it is told: CloudEvents 1.0 in JSON, structured.
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::event::{Event, Recorded};
use crate::id::{ContainerId, EventId, JobId, SubscriptionId};
use crate::{Error, Result, Timestamp};

/// How much of an event is told.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Payload {
    /// Without what devices sent in their alerts, and without the sentence that says how an execution ended: it may quote what a device told.
    #[default]
    Thin,
    /// All of it.
    Full,
}

impl Payload {
    /// The field of the data of events of that type that is not told.
    pub(crate) fn left_out(self, kind: &str) -> Option<&'static str> {
        Event::told_in_full(kind).filter(|_| self == Self::Thin)
    }
}

/// Something that happened, as a CloudEvent (CloudEvents 1.0, JSON format).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "specversion": "1.0", "id": "evt_019a8e5d3c7b7f10a1b2c3d4e5f60718", "source": "https://dm.example.com/v1",
    "type": "dmwsi.v1.execution-finished", "subject": "jobs/job_019a8e5d3c7b7f10a1b2c3d4e5f60718/executions/dev_8f14e45fceea167a5a36dedd4bea2543",
    "time": "2026-11-21T10:16:02Z", "datacontenttype": "application/json", "sequence": "00000000000000001234",
    "data": {
        "jobId": "job_019a8e5d3c7b7f10a1b2c3d4e5f60718", "deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543",
        "state": "SUCCEEDED", "outcome": "UPDATED"
    }
}))]
pub struct CloudEvent {
    /// `1.0`.
    #[schema(max_length = 8, example = "1.0")]
    pub specversion: &'static str,
    /// Its id, however and however often it is told.
    pub id: EventId,
    /// Which server tells it.
    #[schema(max_length = 2048)]
    pub source: String,
    /// What kind of thing happened, such as `dmwsi.v1.job-completed`.
    #[serde(rename = "type")]
    #[schema(max_length = 64)]
    pub kind: &'static str,
    /// What it happened to: the path of the resource below `/v1`, without the slash before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub subject: Option<String>,
    /// When it happened.
    pub time: Timestamp,
    /// `application/json`.
    #[schema(max_length = 64, example = "application/json")]
    pub datacontenttype: &'static str,
    /// Its number in the log of your organisation, twenty digits, so that text sorts as numbers do. Numbers grow; those of events that you may not see, or
    /// did not ask for, are missing.
    #[schema(max_length = 20, pattern = "^[0-9]{20}$")]
    pub sequence: String,
    /// The correlator of the call that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub correlationid: Option<String>,
    /// What is to be said of it: the fields of its type, with `jobId` and `deviceId` where it is about one. A delivery has `subscriptionId`, too: the
    /// subscription that the event is about, or else the one that it is delivered for; and `callbackData`, where that subscription has some.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object, required = true)]
    pub data: Value,
}

/// What is told of an event beside its data.
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) id: EventId,
    pub(crate) kind: &'static str,
    pub(crate) container: Option<ContainerId>,
    pub(crate) subscription: Option<SubscriptionId>,
    pub(crate) job: Option<JobId>,
    pub(crate) device: Option<String>,
    pub(crate) at: Timestamp,
    pub(crate) correlator: Option<String>,
}

impl CloudEvent {
    /// An event of that number as the server of that address tells it; `device` is how the organisation knows the device it is about.
    pub fn new(public_url: &str, number: u64, recorded: Recorded, device: Option<String>, payload: Payload) -> Result<Self> {
        let mut data = match serde_json::to_value(&recorded.event).map_err(Error::internal)? {
            Value::Object(mut event) => event.remove("data").unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            _ => Value::Null,
        };
        if let Some(data) = data.as_object_mut() {
            if let Some(field) = payload.left_out(recorded.event.type_name()) {
                data.remove(field);
            }
            if let Some(job) = recorded.job {
                data.insert("jobId".to_owned(), job.to_string().into());
            }
            if let Some(device) = &device {
                data.insert("deviceId".to_owned(), device.as_str().into());
            }
        }
        let head = Head {
            number,
            id: recorded.id,
            kind: recorded.event.type_name(),
            container: recorded.event.container(),
            subscription: recorded.event.subscription(),
            job: recorded.job,
            device,
            at: recorded.at,
            correlator: recorded.correlator,
        };
        Ok(Self { data, ..Self::without_data(public_url, head) })
    }

    pub(crate) fn without_data(public_url: &str, head: Head) -> Self {
        let subject = match (head.container, head.subscription, head.job, &head.device) {
            (Some(container), ..) => Some(format!("containers/{container}")),
            (None, Some(subscription), ..) => Some(format!("subscriptions/{subscription}")),
            (None, None, Some(job), Some(device)) => Some(format!("jobs/{job}/executions/{device}")),
            (None, None, Some(job), None) => Some(format!("jobs/{job}")),
            (None, None, None, Some(device)) => Some(format!("devices/{device}")),
            (None, None, None, None) => None,
        };
        Self {
            specversion: "1.0",
            id: head.id,
            source: format!("{}/v1", public_url.trim_end_matches('/')),
            kind: head.kind,
            subject,
            time: head.at,
            datacontenttype: "application/json",
            sequence: format!("{:020}", head.number),
            correlationid: head.correlator,
            data: Value::Null,
        }
    }
}
