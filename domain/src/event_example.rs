//! One example of each type of event, for the descriptions of the interface.
use serde_json::{Value, json};

use crate::event::Event;

impl Event {
    /// What an event of that type may say: its `data`. None where there is no such type.
    #[must_use]
    pub fn example(type_name: &str) -> Option<Value> {
        let container = "con_019a8e5d3c7b7f10a1b2c3d4e5f60718";
        let subscription = "sub_019a8e5d3c7b7f10a1b2c3d4e5f60718";
        let counts = |queued, succeeded, failed| {
            json!({
                "queued": queued, "waiting": 0, "running": 0, "succeeded": succeeded, "failed": failed, "declined": 0, "cancelled": 0, "expired": 0,
                "refused": 0
            })
        };
        Some(match type_name {
            "dmwsi.v1.container-available" => json!({
                "containerId": container, "reference": "acme-2026-11", "clientCorrelator": "delivery-17",
                "verdicts": [{
                    "ordinal": 0, "reference": "fw-acme-x1-2.4.0", "status": "ACCEPTED", "deliverableId": "dlv_019a8e5d3c7b7f10a1b2c3d4e5f60718"
                }]
            }),
            "dmwsi.v1.container-received" => json!({"containerId": container, "clientCorrelator": "delivery-17"}),
            "dmwsi.v1.container-rejected" => json!({
                "containerId": container, "reference": "acme-2026-11",
                "fault": {"code": "MANIFEST_INVALID", "detail": "must not be empty", "pointer": "/deliverables"}, "verdicts": []
            }),
            "dmwsi.v1.container-withdrawn" => json!({"containerId": container, "reference": "acme-2026-11"}),
            "dmwsi.v1.device-alert" => json!({
                "alertType": "com.example.battery", "mark": "WARNING", "source": "./Vendor/Battery", "format": "chr", "data": "17 %"
            }),
            "dmwsi.v1.device-fault" => json!({
                "alertType": "com.example.storage", "mark": "CRITICAL", "source": "./Vendor/Storage",
                "alertEventId": "evt_019a8e5d3c7b7f10a1b2c3d4e5f60717"
            }),
            "dmwsi.v1.device-not-woken" => json!({"state": "EXPIRED", "attempts": 5, "trouble": "TIMED_OUT"}),
            "dmwsi.v1.device-created"
            | "dmwsi.v1.device-deleted"
            | "dmwsi.v1.device-refuses-server"
            | "dmwsi.v1.device-updated"
            | "dmwsi.v1.device-wake-requested"
            | "dmwsi.v1.job-cancelling" => json!({}),
            "dmwsi.v1.execution-finished" => json!({"state": "SUCCEEDED", "outcome": "UPDATED"}),
            "dmwsi.v1.execution-phase" => json!({"phase": "DOWNLOADING", "progress": 40}),
            "dmwsi.v1.execution-started" => json!({"attempt": 1}),
            "dmwsi.v1.job-accepted" => json!({"operation": "FIRMWARE_UPDATE", "devices": 1_000}),
            "dmwsi.v1.job-acknowledged" => {
                json!({"clientId": "cli_019a8e5d3c7b7f10a1b2c3d4e5f60718", "reference": "ticket-4711"})
            }
            "dmwsi.v1.job-completed" => json!({"state": "COMPLETED", "outcome": "PARTIAL", "counts": counts(0, 998, 2)}),
            "dmwsi.v1.job-progress" => json!({"counts": counts(600, 399, 1)}),
            "dmwsi.v1.job-started" => json!({"executions": 1_000}),
            "dmwsi.v1.subscription-delivery-dead" => json!({
                "subscriptionId": subscription, "count": 3, "firstEventId": "evt_019a8e5d3c7b7f10a1b2c3d4e5f60717", "error": "REFUSED"
            }),
            "dmwsi.v1.subscription-delivery-failing" => json!({
                "subscriptionId": subscription, "failingSince": "2026-11-19T10:16:02Z", "percent": 50, "error": "TIMED_OUT"
            }),
            "dmwsi.v1.subscription-ended" => json!({"subscriptionId": subscription, "terminationReason": "SUBSCRIPTION_EXPIRED"}),
            "dmwsi.v1.subscription-started" => {
                json!({"subscriptionId": subscription, "initiationReason": "SUBSCRIPTION_CREATED"})
            }
            "dmwsi.v1.subscription-test" => json!({"subscriptionId": subscription}),
            "dmwsi.v1.subscription-updated" => {
                json!({"subscriptionId": subscription, "updateReason": "SUBSCRIPTION_INACTIVE", "statusReason": "GONE"})
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_an_example_that_says_nothing_else() {
        for name in Event::TYPES {
            let data = Event::example(name).unwrap_or_else(|| panic!("{name} has no example"));
            let written = json!({"type": name, "data": data});
            let event: Event = serde_json::from_value(written.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((event.type_name(), serde_json::to_value(&event).unwrap()), (*name, written));
        }
        assert_eq!(Event::example("dmwsi.v1.nothing"), None);
    }
}
