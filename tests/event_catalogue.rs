//! The catalogue of events: each type stands once in the program, and in both documents with a schema that it keeps to.
use dmwsi_domain::event::Event;
use dmwsi_simulator::Behaviour;
use serde_json::{Value, json};

use crate::harness::document::Document;
use crate::harness::eventually;
use crate::harness::handset::{Handset, SCOPES, ended, job};
use crate::harness::server::Server;

/// The schema of an event and of its data, by the last part of its name.
fn schemas<'d>(document: &'d Document, short: &str) -> (&'d Value, &'d Value) {
    let content = &document.0["webhooks"][short]["post"]["requestBody"]["content"]["application/cloudevents+json"];
    let event = &content["schema"];
    let data = document.resolved(event)["allOf"][1]["properties"]["data"]["$ref"].as_str();
    let data = data.unwrap_or_else(|| panic!("{short} has no schema"));
    (event, document.0.pointer(data.trim_start_matches('#')).unwrap())
}

/// What is wrong with an event by its schema.
pub(crate) fn faults(document: &Document, event: &Value) -> Vec<String> {
    let (of_event, of_data) = schemas(document, short(event["type"].as_str().unwrap()));
    let wrong = document.faults(of_event, event, "");
    [wrong, document.undeclared(of_event, event, ""), document.undeclared(of_data, &event["data"], "/data")].concat()
}

fn short(name: &str) -> &str {
    name.strip_prefix("dmwsi.v1.").unwrap()
}

/// UC-13, OF2, AD-14: what is told is described, once, for whoever is called and for whoever reads.
#[test]
fn every_type_of_event_is_described_in_both_documents_with_an_example_that_fits() {
    let (openapi, asyncapi) = (Document::generated(), Document(dmwsi_api::asyncapi()));
    let known = Event::TYPES.len();
    assert_eq!(openapi.0["webhooks"].as_object().unwrap().len(), known);
    let messages = asyncapi.0["components"]["messages"].as_object().unwrap();
    assert_eq!(messages.len(), known);
    assert_eq!(asyncapi.0["channels"]["webhook"]["messages"].as_object().unwrap().len(), known);
    for name in Event::TYPES {
        let webhook = &openapi.0["webhooks"][short(name)]["post"];
        let content = &webhook["requestBody"]["content"]["application/cloudevents+json"];
        let example = openapi.example(content).unwrap_or_else(|| panic!("{name} has no example"));
        assert_eq!(example["type"], *name);
        assert_eq!(faults(&openapi, &example), Vec::<String>::new(), "{name}");
        for status in ["2XX", "410", "429"] {
            assert!(webhook["responses"][status]["description"].is_string(), "{name} {status}");
        }
        let mut data = example["data"].clone();
        for id in ["jobId", "deviceId"] {
            data.as_object_mut().unwrap().remove(id);
        }
        let event: Event = serde_json::from_value(json!({"type": name, "data": data})).unwrap();
        assert_eq!(event.type_name(), *name, "the schema is that of its own type");

        let message =
            messages.values().find(|message| message["name"] == *name).unwrap_or_else(|| panic!("{name} is no message"));
        assert_eq!(message["examples"][0]["payload"], example);
        assert_eq!(asyncapi.faults(&message["payload"], &example, ""), Vec::<String>::new(), "{name}");
        assert_eq!(message["title"], webhook["description"]);
    }
    for reference in asyncapi.references() {
        assert!(asyncapi.0.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
}

both! {
    /// OF2, AD-14: what the server tells is what the documents say; a newcomer finds them from the host alone.
    async fn what_is_told_keeps_to_the_catalogue(database: Database) {
        let server = Server::on(&database).await;
        let scopes = format!("{SCOPES} events:read");
        let portal = server.portal("acme", &scopes).await;
        let start = portal.get("/").await.of(200);
        let address = start["asyncapi"].as_str().unwrap().strip_prefix(&server.issuer).unwrap().to_owned();
        let served = portal.get(&address).await;
        assert_eq!(served.header("content-type"), "application/vnd.aai.asyncapi+json;version=3.0.0");
        assert_eq!(served.of(200), dmwsi_api::asyncapi());
        assert_eq!(portal.get("/asyncapi.yaml").await.text, dmwsi_api::asyncapi_yaml());

        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &read).await;
        eventually("all is told", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;
        let page = portal.get("/v1/events?perPage=100&payload=FULL").await.of(200);
        let events = page["items"].as_array().unwrap();
        assert!(events.len() > 4, "{page}");
        let document = Document::generated();
        for event in events {
            assert_eq!(faults(&document, event), Vec::<String>::new(), "{event}");
        }
        server.stop().await;
    }
}
