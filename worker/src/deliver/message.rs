//! An event as it is delivered to one subscriber.
use dmwsi_domain::cloud_event::CloudEvent;
use dmwsi_domain::event::Recorded;
use dmwsi_domain::{Error, Result};

use super::Deliverer;
use super::target::Target;

impl Deliverer {
    /// The body: what `GET /v1/events` tells, and for whom it is.
    pub(super) fn body(&self, target: &Target, number: u64, recorded: Recorded) -> Result<Vec<u8>> {
        let device = recorded.device.map(|device| self.means.device_ids.public(recorded.organisation, device)).transpose()?;
        let payload = target.subscription.purpose.payload;
        let mut event = CloudEvent::new(&self.means.public_url, number, recorded, device, payload)?;
        if let Some(data) = event.data.as_object_mut() {
            // An event about a subscription names that one.
            let id = data.entry("subscriptionId");
            id.or_insert_with(|| target.subscription.id.to_string().into());
            if let Some(callback_data) = &target.secrets.callback_data {
                data.insert("callbackData".to_owned(), callback_data.as_str().into());
            }
        }
        serde_json::to_vec(&event).map_err(Error::internal)
    }
}
