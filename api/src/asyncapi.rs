//! The AsyncAPI document: what this server tells on its own, made from the same definitions as the OpenAPI document.
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::event_catalogue::{CLOUD_EVENT, described};
use crate::openapi::openapi;

/// Where the schemas stand, in either document.
const SCHEMAS: &str = "#/components/schemas/";

/// The document, in AsyncAPI 3.0.
#[must_use]
pub fn asyncapi() -> Value {
    let north = serde_json::to_value(openapi()).unwrap_or_default();
    let described = described();
    let mut schemas = Map::new();
    for event in &described {
        take(&north, &format!("{}Event", event.stem), &mut schemas);
    }
    let messages: Map<_, _> = described
        .iter()
        .map(|event| {
            let message = json!({
                "name": event.name,
                "title": event.words,
                "contentType": CLOUD_EVENT,
                "payload": {"$ref": format!("{SCHEMAS}{}Event", event.stem)},
                "examples": [{"name": event.short(), "payload": event.example()}],
            });
            (event.stem.clone(), message)
        })
        .collect();
    let all = || {
        messages
            .keys()
            .map(|name| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")})))
            .collect::<Map<_, _>>()
    };
    let channel = |channel: &str| json!({"$ref": format!("#/channels/{channel}")});
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "dmwsi events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": include_str!("asyncapi.md"),
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": CLOUD_EVENT,
        "channels": {
            "webhook": {
                "address": null,
                "title": "The address that a subscriber gives",
                "description": "Events are sent by POST, one in each request, signed as Standard Webhooks 1.0 says.",
                "messages": all(),
            },
            "stream": {
                "address": "/v1/events/stream",
                "title": "The log as a stream",
                "description": "Server-Sent Events: `id` is the number, `event` the type, `data` the event. `Last-Event-ID` goes on where a stream broke off.",
                "messages": all(),
            },
            "jobStream": {
                "address": "/v1/jobs/{id}/events",
                "title": "What happens to a job",
                "description": "Server-Sent Events, from the beginning of the job to its end.",
                "parameters": {"id": {"description": "The job.", "examples": ["job_019a8e5d3c7b7f10a1b2c3d4e5f60718"]}},
                "messages": all().into_iter().filter(|(name, _)| name.starts_with("Job") || name.starts_with("Execution")).collect::<Map<_, _>>(),
            },
        },
        "operations": {
            "sendEvent": {"action": "send", "channel": channel("webhook"), "summary": "Sends an event to who subscribed", "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}}},
            "streamEvents": {"action": "send", "channel": channel("stream"), "summary": "Streams the log", "bindings": {"http": {"method": "GET", "bindingVersion": "0.3.0"}}},
            "streamJobEvents": {"action": "send", "channel": channel("jobStream"), "summary": "Streams what happens to a job", "bindings": {"http": {"method": "GET", "bindingVersion": "0.3.0"}}},
        },
        "components": {"messages": messages, "schemas": schemas},
    })
}

/// The document as YAML.
#[must_use]
pub fn asyncapi_yaml() -> String {
    yaml_serde::to_string(&asyncapi()).unwrap_or_default()
}

/// Takes a schema over, with all that it refers to.
fn take(north: &Value, name: &str, schemas: &mut Map<String, Value>) {
    let mut wanted = BTreeSet::from([name.to_owned()]);
    while let Some(name) = wanted.pop_first() {
        let Some(schema) = north.pointer(&format!("/components/schemas/{name}")).filter(|_| !schemas.contains_key(&name)) else {
            continue;
        };
        let text = schema.to_string();
        let referred = text.split(SCHEMAS).skip(1).filter_map(|rest| rest.split('"').next());
        wanted.extend(referred.map(str::to_owned));
        schemas.insert(name, schema.clone());
    }
}
