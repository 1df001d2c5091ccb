//! The tests that drive the real thing, on both databases, in one binary.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say so and stop"
)]
#[macro_use]
mod harness;

mod acknowledgements;
mod agenda;
mod alerts;
mod authorization;
mod catalogue;
mod command;
mod conformance;
mod contacts;
mod container_members;
mod container_processes;
mod container_quotas;
mod container_verdicts;
mod containers;
mod contract;
mod deliveries;
mod delivery_changes;
mod delivery_processes;
mod delivery_survival;
mod descriptors;
mod devices;
mod dm;
mod dm_authentication;
mod dm_clients;
mod dm_respond_to;
mod download_breaks;
mod download_budgets;
mod download_withdrawn;
mod downloads;
mod egress;
mod event_catalogue;
mod event_pages;
mod events;
mod executions;
mod faults;
mod firmware_by_hand;
mod firmware_contents;
mod firmware_deliverable;
mod firmware_ends;
mod firmware_update;
mod firmware_wakes;
mod gateways;
mod handshakes;
mod idle;
mod imports;
mod jobs;
mod lists;
mod node_commands;
mod node_groups;
mod nodes;
mod profiles;
mod progress;
mod push_gateways;
mod queue;
mod queue_processes;
mod queue_workers;
mod recovery;
mod repeats;
mod requests;
mod retention;
mod schema;
mod selfcare;
mod session_faults;
mod sessions;
mod sink_credentials;
mod store;
mod subscription_ends;
mod subscriptions;
mod survival;
mod syncml;
mod tls;
mod tokens;
mod trees;
mod unreadable_events;
mod upload_parts;
mod uploads;
mod wake_ends;
mod wake_forms;
mod wake_gateways;
mod wake_processes;
mod waking;
mod webhook_guard;
mod webhook_libraries;
