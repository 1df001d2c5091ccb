//! A container: what an external system delivered in one piece, and what became of it.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::device::Owner;
use crate::digest::Sha256Digest;
use crate::event::{Event, Recorded};
use crate::fault::{Fault, FaultCode};
use crate::id::{ContainerId, DeliverableId, EventId};
use crate::manifest::Head;
use crate::{Error, Ids, Result, Timestamp};

/// The state of a container.
///
/// | from | to |
/// |---|---|
/// | `RECEIVING` | `RECEIVED` |
/// | `RECEIVED` | `VERIFYING` |
/// | `VERIFYING` | `AVAILABLE`, `REJECTED` |
/// | `AVAILABLE` | `WITHDRAWN` |
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContainerState {
    /// Its bytes are coming.
    Receiving,
    /// Its bytes are here.
    Received,
    /// It is being judged.
    Verifying,
    /// What was accepted of it can be distributed.
    Available,
    /// Nothing of it was taken.
    Rejected,
    /// It was available and is not distributed any more.
    Withdrawn,
}

impl ContainerState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Receiving, Self::Received, Self::Verifying, Self::Available, Self::Rejected, Self::Withdrawn];

    /// The word on disk and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "RECEIVING",
            Self::Received => "RECEIVED",
            Self::Verifying => "VERIFYING",
            Self::Available => "AVAILABLE",
            Self::Rejected => "REJECTED",
            Self::Withdrawn => "WITHDRAWN",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether the verdict has been given.
    #[must_use]
    pub const fn is_judged(self) -> bool {
        matches!(self, Self::Available | Self::Rejected | Self::Withdrawn)
    }

    /// Whether a container may go from here to `next`.
    #[must_use]
    pub const fn leads_to(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Receiving, Self::Received)
                | (Self::Received, Self::Verifying)
                | (Self::Verifying, Self::Available | Self::Rejected)
                | (Self::Available, Self::Withdrawn)
        )
    }
}

/// Whether a deliverable was taken.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VerdictStatus {
    /// It was.
    Accepted,
    /// It was not.
    Rejected,
}

/// What became of one deliverable of a container.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemVerdict {
    /// Where it stands in the manifest, from 0.
    #[schema(minimum = 0, maximum = 199)]
    pub ordinal: u32,
    /// How its originator calls it, as far as that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256, example = "fw-acme-x1-2.4.0")]
    pub reference: Option<String>,
    /// Whether it was taken.
    pub status: VerdictStatus,
    /// The deliverable it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliverable_id: Option<DeliverableId>,
    /// Why it was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl ItemVerdict {
    /// A deliverable that was taken.
    #[must_use]
    pub const fn accepted(ordinal: u32, reference: String, id: DeliverableId) -> Self {
        let (status, fault) = (VerdictStatus::Accepted, None);
        Self { ordinal, reference: Some(reference), status, deliverable_id: Some(id), fault }
    }

    /// A deliverable that was not taken.
    #[must_use]
    pub const fn rejected(ordinal: u32, reference: Option<String>, fault: Fault) -> Self {
        Self { ordinal, reference, status: VerdictStatus::Rejected, deliverable_id: None, fault: Some(fault) }
    }
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// Its id: what it is tracked by from the first byte on.
    pub id: ContainerId,
    /// Whose it is, and the client that delivered it.
    pub owner: Owner,
    /// Where it is.
    pub state: ContainerState,
    /// Whether what is good of it may be taken when the rest is not.
    pub partial: bool,
    /// What its manifest says of the whole, as soon as that could be read.
    pub head: Option<Head>,
    /// What its bytes come to; two containers with the same fingerprint are the same.
    pub fingerprint: Option<Sha256Digest>,
    /// Bytes of accepted payloads; while it waits for its verdict, how long it is itself.
    pub bytes: u64,
    /// What became of each deliverable, once it is judged and its manifest could be read.
    pub verdicts: Vec<ItemVerdict>,
    /// Why nothing was taken.
    pub fault: Option<Fault>,
    /// The earlier delivery of the same bytes, where this turned out to be a repetition.
    pub same_as: Option<ContainerId>,
    /// The correlator of the call that brought it.
    pub correlator: Option<String>,
    /// When it was first known.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts its changes, from 1.
    pub revision: i64,
}

impl Container {
    /// A container whose bytes are coming.
    #[must_use]
    pub const fn receive(id: ContainerId, owner: Owner, partial: bool, correlator: Option<String>, now: Timestamp) -> Self {
        Self {
            id,
            owner,
            state: ContainerState::Receiving,
            partial,
            head: None,
            fingerprint: None,
            bytes: 0,
            verdicts: Vec::new(),
            fault: None,
            same_as: None,
            correlator,
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }

    /// How its originator calls it, as soon as that could be read.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.head.as_ref().map(|head| head.container_id.as_str())
    }

    /// Takes the next state. The same state again changes nothing; one that does not follow is refused with `INCOMPATIBLE_STATE`.
    pub fn enter(&mut self, next: ContainerState, now: Timestamp) -> Result<bool> {
        if self.state == next {
            return Ok(false);
        }
        if !self.state.leads_to(next) {
            let detail = format!("a container that is {} cannot become {}", self.state.as_str(), next.as_str());
            return Err(Error::conflict("INCOMPATIBLE_STATE", detail));
        }
        self.state = next;
        self.updated_at = now;
        self.revision = self.revision.saturating_add(1);
        Ok(true)
    }

    /// Why nothing of it was taken.
    pub fn reject(&mut self, fault: Fault, now: Timestamp) -> Result<bool> {
        self.fault = Some(fault);
        for verdict in self.verdicts.iter_mut().filter(|verdict| verdict.status == VerdictStatus::Accepted) {
            let detail = "nothing was wrong with it, but the container was not taken";
            let fault = Fault::new(FaultCode::ContainerRejected, detail);
            *verdict = ItemVerdict::rejected(verdict.ordinal, verdict.reference.take(), fault);
        }
        self.bytes = 0;
        self.enter(ContainerState::Rejected, now)
    }

    /// How many deliverables were taken.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.status == VerdictStatus::Accepted).count()
    }

    /// What its present state tells; nothing where nobody is told.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        let (container_id, reference) = (self.id, self.reference().map(str::to_owned));
        let client_correlator = self.head.as_ref().and_then(|head| head.client_correlator.clone());
        match self.state {
            ContainerState::Receiving | ContainerState::Verifying => None,
            ContainerState::Received => Some(Event::ContainerReceived { container_id, client_correlator }),
            ContainerState::Available => {
                let verdicts = self.verdicts.clone();
                Some(Event::ContainerAvailable { container_id, reference, client_correlator, verdicts })
            }
            ContainerState::Rejected => {
                let (fault, verdicts) = (self.fault.clone(), self.verdicts.clone());
                Some(Event::ContainerRejected { container_id, reference, client_correlator, fault, verdicts })
            }
            ContainerState::Withdrawn => Some(Event::ContainerWithdrawn { container_id, reference, client_correlator }),
        }
    }

    /// The event with whose it is.
    #[must_use]
    pub fn tells(&self, event: Event, now: Timestamp, correlator: Option<String>, ids: &mut Ids) -> Recorded {
        Recorded {
            id: EventId::new(ids.new_id()),
            organisation: self.owner.organisation,
            client: Some(self.owner.client),
            job: None,
            ordinal: None,
            device: None,
            revision: u64::try_from(self.revision).unwrap_or(0),
            correlator,
            at: now,
            event,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::{ClientId, OrganisationId};

    #[test]
    fn a_container_goes_one_way() {
        let now = Timestamp::from_micros(1);
        let owner = Owner { organisation: OrganisationId::new(Uuid::nil()), client: ClientId::new(Uuid::nil()) };
        for from in ContainerState::ALL {
            for to in ContainerState::ALL {
                let mut container = Container::receive(ContainerId::new(Uuid::nil()), owner, false, None, now);
                container.state = from;
                let expected = if from == to { Some(false) } else { from.leads_to(to).then_some(true) };
                assert_eq!(container.enter(to, now).ok(), expected, "{from:?} {to:?}");
                assert_eq!(ContainerState::parse(to.as_str()), Some(to));
            }
        }
    }
}
