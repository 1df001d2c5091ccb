//! That the receiver of a job's result has it.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Event;
use crate::id::ClientId;
use crate::job::Job;
use crate::{Error, Result, Timestamp};

/// That the receiver of a job's result confirmed it: who, when and, in its own word, what for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "clientId": "cli_019a8e5d3c7b7f10a1b2c3d4e5f60718", "acknowledgedAt": "2026-11-21T10:20:00Z", "reference": "ticket-4711"
}))]
pub struct Acknowledgement {
    /// The client that confirmed it.
    pub client_id: ClientId,
    /// When it did so first.
    pub acknowledged_at: Timestamp,
    /// The receiver's own word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, examples("ticket-4711"))]
    pub reference: Option<String>,
}

impl Job {
    /// Its result was received. The same once more changes nothing; a job that has not ended has no result yet, and a confirmed one keeps what was said first.
    pub fn acknowledge(&mut self, client: ClientId, reference: Option<String>, now: Timestamp) -> Result<Option<Event>> {
        if !self.state.is_finished() {
            return Err(Error::conflict("JOB_NOT_FINISHED", format!("the job has no result yet: {}", self.state.as_str())));
        }
        match &self.acknowledgement {
            Some(known) if known.client_id == client && known.reference == reference => Ok(None),
            Some(_) => Err(Error::conflict("ACKNOWLEDGED_ALREADY", "the job was acknowledged in other words")),
            None => {
                let event = Event::JobAcknowledged { client_id: client, reference: reference.clone() };
                self.acknowledgement = Some(Acknowledgement { client_id: client, acknowledged_at: now, reference });
                Ok(Some(event))
            }
        }
    }
}
