//! What is told: the log of everything that happened to jobs, executions and devices.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::container::ItemVerdict;
use crate::delivery::DeliveryError;
use crate::execution::ExecutionState;
use crate::fault::Fault;
use crate::id::{ClientId, ContainerId, DeviceId, EventId, JobId, OrganisationId, SubscriptionId};
use crate::job::{Counts, JobOutcome, JobState};
use crate::scope::Scope;
use crate::subscription::{InitiationReason, StatusReason, TerminationReason, UpdateReason};
use crate::wake::WakeState;

/// The longest type of an alert that an event holds, in bytes.
pub const MAX_ALERT_TYPE: usize = 256;

/// The longest correlator of an alert that an event holds, in bytes.
pub const MAX_ALERT_CORRELATOR: usize = 256;

/// The longest data of an alert that an event holds, in bytes of text.
pub const MAX_ALERT_DATA: usize = 16_384;

// The types are taken as `tt`: a `literal` reaches derives within a group, which utoipa does not look into.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident: $scope:ident = $type:tt $body:tt)*) => {
        /// What happened, tagged by `type`. Whose it is and what it is about stand beside it, in [`Recorded`].
        #[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
        #[serde(tag = "type", content = "data")]
        pub enum Event {
            $($(#[$doc])* #[serde(rename = $type, rename_all = "camelCase")] $name $body,)*
        }

        impl Event {
            /// Every type, in alphabetical order.
            pub const TYPES: &'static [&'static str] = &[$($type),*];

            /// The type, such as `dmwsi.v1.job-accepted`.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$name { .. } => $type,)* }
            }

            /// What somebody must be allowed to read to be told of it.
            #[must_use]
            pub const fn scope(&self) -> Scope {
                match self { $(Self::$name { .. } => Scope::$scope,)* }
            }

            /// The type of that name, and what somebody must be allowed to read to be told of events of it; none where there is no such type.
            #[must_use]
            pub fn known(name: &str) -> Option<(&'static str, Scope)> {
                match name { $($type => Some(($type, Scope::$scope)),)* _ => None }
            }
        }
    };
}

events! {
    /// A container was judged, and what was accepted of it can be distributed.
    ContainerAvailable: ContainersRead = "dmwsi.v1.container-available" {
        /// Which.
        container_id: ContainerId,
        /// How its originator calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// What its originator calls its own doing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_correlator: Option<String>,
        /// What became of each deliverable.
        verdicts: Vec<ItemVerdict>,
    }
    /// A container has come whole and will be judged.
    ContainerReceived: ContainersRead = "dmwsi.v1.container-received" {
        /// Which.
        container_id: ContainerId,
        /// What its originator calls its own doing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_correlator: Option<String>,
    }
    /// A container was judged, and nothing of it was taken.
    ContainerRejected: ContainersRead = "dmwsi.v1.container-rejected" {
        /// Which.
        container_id: ContainerId,
        /// How its originator calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// What its originator calls its own doing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_correlator: Option<String>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
        /// What became of each deliverable, where the manifest could be read.
        verdicts: Vec<ItemVerdict>,
    }
    /// A container is not distributed any more.
    ContainerWithdrawn: ContainersRead = "dmwsi.v1.container-withdrawn" {
        /// Which.
        container_id: ContainerId,
        /// How its originator calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// What its originator calls its own doing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_correlator: Option<String>,
    }
    /// A device told something by a Generic Alert (1226) that belongs to no execution, or by a client event (1224).
    DeviceAlert: DevicesRead = "dmwsi.v1.device-alert" {
        /// The type of the alert; of a longer one the first 256 bytes.
        #[schema(max_length = 256)]
        alert_type: String,
        /// How important the device thinks it is.
        mark: String,
        /// The correlator it carried; of a longer one the first 256 bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 256)]
        correlator: Option<String>,
        /// The node it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 1024)]
        source: Option<String>,
        /// The format of its data.
        format: String,
        /// Its data, `bin` as base64; of longer ones the first 16 KiB. With `FULL` payload only.
        #[schema(max_length = 16384)]
        data: String,
    }
    /// A device was registered.
    DeviceCreated: DevicesRead = "dmwsi.v1.device-created" {}
    /// A device was deleted.
    DeviceDeleted: DevicesRead = "dmwsi.v1.device-deleted" {}
    /// A device told of trouble, by an alert that stands in the log before this as `dmwsi.v1.device-alert`.
    DeviceFault: DevicesRead = "dmwsi.v1.device-fault" {
        /// The type of the alert.
        alert_type: String,
        /// How important the device thinks it is: `MINOR`, `CRITICAL` or `FATAL`; any, where the device says that an update failed.
        mark: String,
        /// The correlator it carried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        correlator: Option<String>,
        /// The node it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// The event that tells the alert itself, with its data.
        alert_event_id: EventId,
    }
    /// A device could not be woken: it did not call in time, or its push address leads nowhere.
    DeviceNotWoken: DevicesRead = "dmwsi.v1.device-not-woken" {
        /// In which state that ended.
        state: WakeState,
        /// How often it was tried.
        attempts: u32,
        /// What was wrong with the last attempt, as a stable code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    }
    /// A device did not accept the server's credentials, so the session with it ended and its work waits: they differ from what the device has.
    DeviceRefusesServer: DevicesRead = "dmwsi.v1.device-refuses-server" {}
    /// A device was changed, by a client or by what it told of itself.
    DeviceUpdated: DevicesRead = "dmwsi.v1.device-updated" {}
    /// A client asked that a device be woken.
    DeviceWakeRequested: DevicesRead = "dmwsi.v1.device-wake-requested" {}
    /// An execution ended.
    ExecutionFinished: JobsRead = "dmwsi.v1.execution-finished" {
        /// In which state.
        state: ExecutionState,
        /// The stable code of the end.
        outcome: String,
        /// A sentence, where the code does not say all; it may quote what the device told, and is told with `FULL` payload only. Thin or not, it stands
        /// in the execution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    }
    /// An execution entered a phase.
    ExecutionPhase: JobsRead = "dmwsi.v1.execution-phase" {
        /// Which phase, in the words of the operation.
        phase: String,
        /// How far it is, 0 to 100.
        progress: u8,
    }
    /// An execution began.
    ExecutionStarted: JobsRead = "dmwsi.v1.execution-started" {
        /// Which attempt, from 1.
        attempt: u32,
    }
    /// A job was taken.
    JobAccepted: JobsRead = "dmwsi.v1.job-accepted" {
        /// The kind of operation.
        operation: String,
        /// How many devices it is for.
        devices: u64,
    }
    /// The receiver of a job's result confirmed it.
    JobAcknowledged: JobsRead = "dmwsi.v1.job-acknowledged" {
        /// The client that did.
        client_id: ClientId,
        /// The receiver's own word for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
    }
    /// A job is being cancelled.
    JobCancelling: JobsRead = "dmwsi.v1.job-cancelling" {}
    /// A job ended.
    JobCompleted: JobsRead = "dmwsi.v1.job-completed" {
        /// In which state.
        state: JobState,
        /// How.
        outcome: Option<JobOutcome>,
        /// How many executions ended how.
        counts: Counts,
    }
    /// Executions of a job have ended since this was told last. At most every 5 seconds for each job, and never for its end.
    JobProgress: JobsRead = "dmwsi.v1.job-progress" {
        /// How many executions stand in which state.
        counts: Counts,
    }
    /// All executions of a job have been made.
    JobStarted: JobsRead = "dmwsi.v1.job-started" {
        /// How many.
        executions: u64,
    }
    /// Deliveries to a subscription were given up: all their attempts failed, or the events cannot be read. That this itself was given up is not told.
    SubscriptionDeliveryDead: SubscriptionsRead = "dmwsi.v1.subscription-delivery-dead" {
        /// Which.
        subscription_id: SubscriptionId,
        /// How many, beside those that were told before.
        count: u64,
        /// The first of the events that were to be delivered.
        first_event_id: EventId,
        /// What was wrong with the last attempt at that one.
        error: DeliveryError,
    }
    /// Nothing has been delivered to a subscription for a while.
    SubscriptionDeliveryFailing: SubscriptionsRead = "dmwsi.v1.subscription-delivery-failing" {
        /// Which.
        subscription_id: SubscriptionId,
        /// Since when every attempt has failed.
        failing_since: Timestamp,
        /// How much of the time is over after which it is switched off, in percent: 50, 90 or 100.
        percent: u8,
        /// What was wrong with the last attempt.
        error: DeliveryError,
    }
    /// A subscription ended.
    SubscriptionEnded: SubscriptionsRead = "dmwsi.v1.subscription-ended" {
        /// Which.
        subscription_id: SubscriptionId,
        /// Why.
        termination_reason: TerminationReason,
    }
    /// A subscription began.
    SubscriptionStarted: SubscriptionsRead = "dmwsi.v1.subscription-started" {
        /// Which.
        subscription_id: SubscriptionId,
        /// Why: `SUBSCRIPTION_CREATED`.
        initiation_reason: InitiationReason,
    }
    /// A client asked for an event that means nothing, to try a subscription.
    SubscriptionTest: SubscriptionsRead = "dmwsi.v1.subscription-test" {
        /// Which.
        subscription_id: SubscriptionId,
    }
    /// A subscription was changed.
    SubscriptionUpdated: SubscriptionsRead = "dmwsi.v1.subscription-updated" {
        /// Which.
        subscription_id: SubscriptionId,
        /// Whether it is active now.
        update_reason: UpdateReason,
        /// Why, where the server did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status_reason: Option<StatusReason>,
    }
}

impl Event {
    /// The types that tell of an alert.
    pub const ALERTS: [&'static str; 2] = ["dmwsi.v1.device-alert", "dmwsi.v1.device-fault"];

    /// The type that tells of deliveries that were given up.
    pub const DEAD: &'static str = "dmwsi.v1.subscription-delivery-dead";

    /// The field of the data of such events that is left out where they are told thin: what a device said may stand in it.
    #[must_use]
    pub fn told_in_full(name: &str) -> Option<&'static str> {
        match name {
            "dmwsi.v1.device-alert" => Some("data"),
            "dmwsi.v1.execution-finished" => Some("detail"),
            _ => None,
        }
    }

    /// What somebody must be allowed to read to be told of events of a type; none where there is no such type.
    #[must_use]
    pub fn scope_of(name: &str) -> Option<Scope> {
        Self::known(name).map(|(_, scope)| scope)
    }

    /// Whether only the client is told of what that scope lets read, whose job or subscription it is about.
    #[must_use]
    pub const fn is_private(scope: Scope) -> bool {
        matches!(scope, Scope::JobsRead | Scope::SubscriptionsRead)
    }

    /// The subscription that it is about.
    #[must_use]
    pub const fn subscription(&self) -> Option<SubscriptionId> {
        match self {
            Self::SubscriptionDeliveryDead { subscription_id, .. }
            | Self::SubscriptionDeliveryFailing { subscription_id, .. }
            | Self::SubscriptionEnded { subscription_id, .. }
            | Self::SubscriptionStarted { subscription_id, .. }
            | Self::SubscriptionTest { subscription_id }
            | Self::SubscriptionUpdated { subscription_id, .. } => Some(*subscription_id),
            _ => None,
        }
    }

    /// The container that it is about.
    #[must_use]
    pub const fn container(&self) -> Option<ContainerId> {
        match self {
            Self::ContainerAvailable { container_id, .. }
            | Self::ContainerReceived { container_id, .. }
            | Self::ContainerRejected { container_id, .. }
            | Self::ContainerWithdrawn { container_id, .. } => Some(*container_id),
            _ => None,
        }
    }
}

impl Recorded {
    /// Whether only the client is told whose job or subscription it is about.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        Event::is_private(self.event.scope())
    }
}

impl Event {
    /// The type and the mark of the alert that it tells of.
    #[must_use]
    pub const fn alert(&self) -> Option<(&str, &str)> {
        match self {
            Self::DeviceAlert { alert_type, mark, .. } | Self::DeviceFault { alert_type, mark, .. } => {
                Some((alert_type.as_str(), mark.as_str()))
            }
            _ => None,
        }
    }
}

/// An event with whose it is and what it is about, as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its id, the same on every delivery.
    pub id: EventId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// The client whose job or subscription it is about.
    pub client: Option<ClientId>,
    /// The job it is about.
    pub job: Option<JobId>,
    /// The execution it is about.
    pub ordinal: Option<u32>,
    /// The device it is about.
    pub device: Option<DeviceId>,
    /// The revision of what it is about, after the change; 0 where nothing of that changed.
    pub revision: u64,
    /// The correlator of the call that led to it.
    pub correlator: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_are_sorted_and_versioned() {
        assert!(Event::TYPES.is_sorted());
        assert!(Event::TYPES.iter().all(|name| name.starts_with("dmwsi.v1.")));
        assert!(Event::TYPES.iter().all(|name| Event::known(name).is_some_and(|(known, _)| known == *name)));
        assert!(Event::ALERTS.iter().all(|name| Event::TYPES.contains(name)) && Event::scope_of("dmwsi.v1.job").is_none());
        assert!(Event::TYPES.contains(&Event::DEAD));
        assert_eq!(Event::scope_of(Event::JobCancelling {}.type_name()), Some(Event::JobCancelling {}.scope()));
    }
}
