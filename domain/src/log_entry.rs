//! An event as it is read from the log: decided upon by what stands beside its data, which stays text.
use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cloud_event::{CloudEvent, Head, Payload};
use crate::event::Event;
use crate::id::{ClientId, ContainerId, DeviceId, EventId, JobId, SubscriptionId};
use crate::scope::Scope;
use crate::{Error, Result, Timestamp};

/// About how many bytes a told event takes without its data.
const HEAD: usize = 448;

/// An event with whose it is and what it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogEntry {
    /// Its number in the log of its organisation.
    pub number: u64,
    /// Its id, the same on every delivery.
    pub id: EventId,
    /// Its type.
    pub kind: &'static str,
    /// What somebody must be allowed to read to be told of it.
    pub scope: Scope,
    /// The client whose job or subscription it is about.
    pub client: Option<ClientId>,
    /// The job it is about.
    pub job: Option<JobId>,
    /// The device it is about.
    pub device: Option<DeviceId>,
    /// The correlator of the call that led to it.
    pub correlator: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// What its type says, as JSON.
    pub data: String,
}

/// The part of an event's data that says which alert it tells of.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ToldAlert {
    /// The type of the alert.
    pub alert_type: String,
    /// How important the device thinks it is.
    pub mark: String,
    /// The node it came from.
    pub source: Option<String>,
}

/// What an event about a container or a subscription names.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    container_id: Option<ContainerId>,
    subscription_id: Option<SubscriptionId>,
}

impl LogEntry {
    /// Whether a client of its organisation may be told of it that may read what it is about.
    #[must_use]
    pub fn is_for(&self, client: ClientId) -> bool {
        !Event::is_private(self.scope) || self.client == Some(client)
    }

    /// The alert that it tells of.
    #[must_use]
    pub fn alert(&self) -> Option<ToldAlert> {
        Event::ALERTS.contains(&self.kind).then(|| serde_json::from_str(&self.data).ok()).flatten()
    }

    /// The event as the server of that address tells it; `device` is how the organisation knows the device it is about.
    pub fn told(self, public_url: &str, device: Option<String>, payload: Payload) -> Result<Told> {
        let (container, subscription) = match self.scope {
            Scope::ContainersRead | Scope::SubscriptionsRead => {
                let named: Named = serde_json::from_str(&self.data).map_err(Error::internal)?;
                (named.container_id, named.subscription_id)
            }
            _ => (None, None),
        };
        let data = told_data(&self.data, self.kind, payload)?;
        let members = data.get(1..).unwrap_or_default();
        let mut own = String::new();
        for (name, id) in [("jobId", self.job.map(|job| job.to_string())), ("deviceId", device.clone())] {
            if let Some(id) = id {
                own.push_str(&format!("\"{name}\":\"{id}\","));
            }
        }
        if members.trim_start().starts_with('}') {
            own.truncate(own.trim_end_matches(',').len());
        }
        let head = Head {
            number: self.number,
            id: self.id,
            kind: self.kind,
            container,
            subscription,
            job: self.job,
            device,
            at: self.at,
            correlator: self.correlator,
        };
        let mut json = Vec::with_capacity(HEAD.saturating_add(own.len()).saturating_add(members.len()));
        serde_json::to_writer(&mut json, &CloudEvent::without_data(public_url, head)).map_err(Error::internal)?;
        json.pop();
        json.extend_from_slice(b",\"data\":{");
        for part in [own.as_str(), members, "}"] {
            json.extend_from_slice(part.as_bytes());
        }
        let json = String::from_utf8(json).map_err(Error::internal)?;
        Ok(Told { number: self.number, kind: self.kind, json })
    }
}

/// The data without what is not told: an object, from its first brace to its last.
fn told_data<'d>(data: &'d str, kind: &str, payload: Payload) -> Result<Cow<'d, str>> {
    if let Some(field) = payload.left_out(kind) {
        let mut fields: BTreeMap<&str, &RawValue> = serde_json::from_str(data).map_err(Error::internal)?;
        fields.remove(field);
        return serde_json::to_string(&fields).map(Cow::Owned).map_err(Error::internal);
    }
    // What is damaged must not make a whole page unreadable.
    let whole: &RawValue = serde_json::from_str(data).map_err(Error::internal)?;
    if whole.get().starts_with('{') {
        Ok(Cow::Borrowed(whole.get()))
    } else {
        Err(Error::internal("the data of an event is no object"))
    }
}

/// An event as it is told, in JSON: a [`CloudEvent`].
#[derive(Clone, Debug)]
pub struct Told {
    /// Its number.
    pub number: u64,
    /// Its type.
    pub kind: &'static str,
    json: String,
}

impl Told {
    /// The JSON, in one line.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Clock;
    use crate::event::Recorded;
    use crate::id::OrganisationId;

    /// How an event is told from its text and from its value.
    fn told(event: Event, device: Option<String>, payload: Payload) -> [Value; 2] {
        let recorded = Recorded {
            id: EventId::new(Clock::System.new_id()),
            organisation: OrganisationId::new(Clock::System.new_id()),
            client: None,
            job: (event.scope() == Scope::JobsRead).then(|| JobId::new(Clock::System.new_id())),
            ordinal: None,
            device: None,
            revision: 1,
            correlator: Some("c-1".to_owned()),
            at: Clock::System.now(),
            event,
        };
        let written = serde_json::to_value(&recorded.event).unwrap();
        let entry = LogEntry {
            number: 7,
            id: recorded.id,
            kind: recorded.event.type_name(),
            scope: recorded.event.scope(),
            client: None,
            job: recorded.job,
            device: None,
            correlator: recorded.correlator.clone(),
            at: recorded.at,
            data: written["data"].to_string(),
        };
        let told = entry.told("https://a.example/", device.clone(), payload).unwrap();
        let event = CloudEvent::new("https://a.example/", 7, recorded, device, payload).unwrap();
        [serde_json::from_str(told.json()).unwrap(), serde_json::to_value(&event).unwrap()]
    }

    #[test]
    fn an_event_is_told_alike_from_its_text_and_from_its_value() {
        let ways = [(Payload::Thin, None), (Payload::Full, Some("dev_1".to_owned()))];
        for (kind, (payload, device)) in Event::TYPES.iter().flat_map(|kind| ways.clone().map(|way| (kind, way))) {
            let event: Event = serde_json::from_value(json!({"type": kind, "data": Event::example(kind)})).unwrap();
            let [from_text, from_value] = told(event, device, payload);
            assert_eq!(from_text, from_value);
        }
    }

    #[test]
    fn what_a_device_said_stands_in_full_events_only() {
        let (alert, finished) = ("dmwsi.v1.device-alert", "dmwsi.v1.execution-finished");
        for (kind, field, rest) in [(alert, "data", "alertType"), (finished, "detail", "outcome")] {
            let mut data = Event::example(kind).unwrap();
            data[field] = json!("it says hush, not 2.0");
            let event: Event = serde_json::from_value(json!({"type": kind, "data": data})).unwrap();
            for told in told(event.clone(), None, Payload::Thin) {
                assert!(told["data"][rest].is_string() && !told.to_string().contains("hush"), "{told}");
            }
            for told in told(event, None, Payload::Full) {
                assert_eq!(told["data"][field], "it says hush, not 2.0");
            }
        }
    }
}
