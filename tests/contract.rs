//! The contract: the OpenAPI document is what is served, is complete, and is what the server keeps to.
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use dmwsi_domain::operation::{EndWord, Request};
use serde_json::{Value, json};

use crate::harness::document::{Document, Operation};
use crate::harness::server::Server;

/// What the document must say of each operation; the faults of all are shown together.
fn of_each(what: &str, faults: impl Fn(&Document, &Operation<'_>) -> Vec<String>) {
    let document = Document::generated();
    let operations = document.operations();
    assert!(operations.len() > 20);
    let found: Vec<_> = operations
        .iter()
        .flat_map(|operation| faults(&document, operation).into_iter().map(|fault| format!("{}: {fault}", operation.name())))
        .collect();
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// One fault, unless it holds.
fn unless(holds: bool, fault: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![fault.to_owned()] }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// OF2: a change of the interface shows in the diff of a change.
#[test]
fn the_committed_document_is_the_one_the_program_makes() {
    is_committed("openapi.yaml", dmwsi_api::to_yaml());
    is_committed("asyncapi.yaml", dmwsi_api::asyncapi_yaml());
}

fn is_committed(name: &str, made: String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    if made == kept {
        return;
    }
    if std::env::var("UPDATE").as_deref() == Ok("1") {
        std::fs::write(&file, made).unwrap();
        return;
    }
    let line = made.lines().zip(kept.lines()).position(|(made, kept)| made != kept).unwrap_or_else(|| kept.lines().count());
    panic!(
        "{name} is not what the program makes; they part at line {}:\n  made: {}\n  kept: {}\nIf the interface was meant to change: UPDATE=1 cargo test --test tests contract",
        line + 1,
        made.lines().nth(line).unwrap_or("(the end)"),
        kept.lines().nth(line).unwrap_or("(the end)"),
    );
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_and_a_description() {
    let document = Document::generated();
    let names: Vec<_> = document.operations().iter().map(|operation| operation.value["operationId"].clone()).collect();
    assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len(), "{names:?}");
    of_each("names and words", |_, operation| {
        let id = operation.value["operationId"].as_str().unwrap_or_default();
        let camel =
            id.starts_with(|first: char| first.is_ascii_lowercase()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let summary = operation.value["summary"].as_str().unwrap_or_default();
        [
            unless(camel, "operationId is not camelCase"),
            unless(!summary.is_empty() && !summary.ends_with('.'), "no summary, or one with a full stop"),
            unless(is_text(&operation.value["description"]), "no description"),
            unless(operation.value["tags"].as_array().is_some_and(|tags| tags.len() == 1), "not one tag"),
        ]
        .concat()
    });
}

/// OES1, AD-13
#[test]
fn every_guarded_operation_names_its_scope_and_how_it_refuses() {
    let document = Document::generated();
    let flow = &document.0["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"];
    assert_eq!(flow["tokenUrl"], "/oauth2/token");
    of_each("scopes and refusals", |_, operation| {
        let statuses: BTreeSet<_> = operation.answers().into_iter().map(|(status, _)| status).collect();
        match operation.scope() {
            Some(scope) => [
                unless(is_text(&flow["scopes"][scope]), "its scope is not described"),
                unless(statuses.contains("401") && statuses.contains("403"), "it does not say 401 and 403"),
            ]
            .concat(),
            None => [
                unless(operation.value.get("security").is_none(), "security without a scope"),
                unless(!operation.path.starts_with("/v1"), "a resource without a guard"),
            ]
            .concat(),
        }
    });
}

/// EI8
#[test]
fn every_answer_is_described_has_the_correlator_and_fails_with_a_problem() {
    of_each("answers", |document, operation| {
        let of_answer = |(status, answer): (&str, &Value)| {
            let good = status.starts_with(['2', '3']);
            let problem = &answer["content"]["application/problem+json"];
            let refusal = &answer["content"]["application/json"]["schema"]["$ref"];
            let told =
                problem["schema"]["$ref"] == "#/components/schemas/Problem" || refusal == "#/components/schemas/TokenRefusal";
            [
                unless(is_text(&answer["description"]), &format!("{status} is not described")),
                unless(answer["headers"].get("x-correlator").is_some(), &format!("{status} has no x-correlator")),
                unless(good || told, &format!("{status} has no problem")),
                unless(good || document.example(problem).is_some() || refusal.is_string(), &format!("{status} has no example")),
            ]
            .concat()
        };
        let takes = unless(operation.takes("x-correlator"), "takes no x-correlator");
        operation.answers().into_iter().flat_map(of_answer).chain(takes).collect()
    });
}

#[test]
fn every_body_has_an_example_that_fits_its_schema() {
    of_each("examples", |document, operation| {
        let answers = operation.answers().into_iter().filter(|(status, _)| status.starts_with('2'));
        let answers = answers.map(|(status, answer)| (status, &answer["content"]));
        let request = [("request", &operation.value["requestBody"]["content"])];
        let contents = request.into_iter().chain(answers).filter_map(|(at, contents)| Some((at, contents.as_object()?)));
        let of_content = |(at, media_type, content): (&str, &String, &Value)| match document.example(content) {
            None => vec![format!("{at} {media_type} has no example")],
            Some(example) => {
                let wrong = document.faults(&content["schema"], &example, at);
                [wrong, document.undeclared(&content["schema"], &example, at)].concat()
            }
        };
        contents.flat_map(|(at, all)| all.iter().map(move |(name, content)| (at, name, content))).flat_map(of_content).collect()
    });
}

/// Who reads how an execution ended finds what the word means, whichever it is.
#[test]
fn every_word_by_which_an_execution_ends_is_explained() {
    let document = Document::generated();
    let schemas = document.0["components"]["schemas"].as_object().unwrap();
    let of = |schema: &Value| schema["description"].as_str().unwrap_or_default().to_owned();
    let kinds = schemas["Request"]["oneOf"].as_array().unwrap();
    let requests: Vec<_> = kinds.iter().map(|kind| of(document.resolved(&kind["allOf"][0]))).collect();
    assert_eq!(requests.len(), Request::TYPES.len());
    for (request, kind) in requests.iter().zip(Request::TYPES) {
        assert!(request.contains("\n\nHow it ends"), "{kind}: {request}");
    }
    let outcome = of(&schemas["Execution"]["properties"]["outcome"]);
    let explained = [requests.concat(), outcome, of(&schemas["NodeOutcome"]), of(&schemas["ReasonCode"])].concat();
    let missing: Vec<_> = EndWord::all().into_iter().filter(|word| !explained.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What the document shows of each operation can be sent as it stands, to a device of one's own.
#[tokio::test]
async fn every_example_of_a_job_is_taken() {
    let document = Document::generated();
    let content = &document.0["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"];
    let examples = content["examples"].as_object().unwrap();
    assert!(examples.keys().map(String::as_str).eq(Request::TYPES.iter().copied()), "{:?}", examples.keys());
    let server = Server::on(&crate::harness::Database::sqlite()).await;
    let portal = server.portal("acme", "jobs:write devices:write").await;
    let account = json!({"serverId": "dmwsi", "client": {"auth": "DIGEST", "name": "me", "secret": "mine"}});
    let device = portal.post("/v1/devices", &json!({"dmIdentity": "IMEI:1", "account": account})).await.of(201);
    let whole = document.example(content).unwrap();
    for (name, example) in examples.iter().map(|(name, example)| (name.as_str(), &example["value"])).chain([("whole", &whole)]) {
        let faults = [document.faults(&content["schema"], example, name), document.undeclared(&content["schema"], example, name)];
        assert!(faults.concat().is_empty(), "{faults:?}");
        let mut job = example.clone();
        job["target"]["deviceIds"] = json!([device["deviceId"]]);
        portal.post("/v1/jobs", &job).await.of(202);
    }
    server.stop().await;
}

#[test]
fn every_text_and_every_list_that_a_caller_gives_has_a_bound() {
    of_each("bounds", |document, operation| {
        let mut faults = Vec::new();
        for parameter in operation.parameters() {
            faults.extend(unless(is_text(&parameter["description"]), &format!("{} is not described", parameter["name"])));
            unbounded(document, &parameter["schema"], parameter["name"].as_str().unwrap(), &mut Vec::new(), &mut faults);
        }
        // The lines of a stream are bounded one by one.
        if let Some(taken) =
            operation.body().filter(|taken| taken.media_type != "application/x-ndjson" && !operation.takes_bytes())
        {
            unbounded(document, taken.schema, "", &mut Vec::new(), &mut faults);
        }
        faults
    });
}

fn unbounded<'d>(document: &'d Document, schema: &'d Value, at: &str, within: &mut Vec<&'d str>, faults: &mut Vec<String>) {
    let name = schema["$ref"].as_str();
    if name.is_some_and(|name| within.contains(&name)) {
        return;
    }
    within.extend(name);
    let schema = document.resolved(schema);
    let is =
        |kind: &str| schema["type"] == kind || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|it| it == kind));
    let has = |bounds: &[&str]| bounds.iter().any(|bound| schema.get(bound).is_some());
    if is("string") && !has(&["maxLength", "enum"]) && schema["format"] != "date-time" {
        faults.push(format!("the text {at} has no bound"));
    }
    if is("array") && !has(&["maxItems"]) {
        faults.push(format!("the list {at} has no bound"));
    }
    unbounded_part(document, schema.get("items"), &format!("{at}/*"), within, faults);
    unbounded_part(document, schema.get("additionalProperties"), &format!("{at}/*"), within, faults);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        unbounded(document, field, &format!("{at}/{name}"), within, faults);
    }
    for part in ["allOf", "oneOf", "anyOf"].iter().filter_map(|name| schema[*name].as_array()).flatten() {
        unbounded(document, part, at, within, faults);
    }
    if name.is_some() {
        within.pop();
    }
}

fn unbounded_part<'d>(
    document: &'d Document,
    part: Option<&'d Value>,
    at: &str,
    within: &mut Vec<&'d str>,
    faults: &mut Vec<String>,
) {
    if let Some(part) = part.filter(|part| part.is_object()) {
        unbounded(document, part, at, within, faults);
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = Document::generated();
    let references = document.references();
    for reference in &references {
        assert!(document.0.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    for kind in ["schemas", "parameters", "responses", "headers"] {
        for name in document.0["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(&reference), "{reference} is used by nobody");
        }
    }
}

/// ES7, EI6: a newcomer who knows nothing but the host finds the document, and it is the one that is committed.
#[tokio::test]
async fn what_is_served_is_what_is_written() {
    let server = Server::on(&crate::harness::Database::sqlite()).await;
    let portal = server
        .portal(
            "acme",
            "devices:bootstrap devices:read devices:trace devices:wake devices:write jobs:read jobs:write subscriptions:read subscriptions:write",
        )
        .await;
    let served = portal.get("/openapi.json").await.of(200);
    assert_eq!(served, Document::generated().0);
    let yaml = portal.get("/openapi.yaml").await;
    assert_eq!((yaml.status.as_u16(), yaml.header("content-type")), (200, "application/yaml"));
    assert_eq!(yaml.text, dmwsi_api::to_yaml());
    // Whatever is in the document is answered by its own handler: not as an address or a method that is not there.
    let device = server.devices(&portal, 1).await.remove(0).1;
    let document = Document(served);
    for operation in document.operations() {
        let (mut headers, body) = operation.sample();
        let bearer = portal.bearer();
        headers.extend([("authorization", bearer.as_str()), ("if-match", "\"0\"")]);
        let address = operation.address("job_00000000000070008000000000000000", &device);
        let got = server.send(operation.method.clone(), &address, &headers, body).await;
        assert_ne!(got.status.as_u16(), 405, "{}", operation.name());
        assert!(
            operation.answers().iter().any(|(status, _)| *status == got.status.as_str()),
            "{} answers {}",
            operation.name(),
            got.status
        );
        if got.status.as_u16() == 404 {
            let detail = got.problem(404, "NOT_FOUND")["detail"].as_str().unwrap().to_owned();
            assert!(
                ["job", "wake", "subscription", "session"].iter().any(|noun| detail.contains(noun)),
                "{}: {}",
                operation.name(),
                got.text
            );
        }
    }
    server.stop().await;
}

#[test]
fn the_document_is_valid_by_a_validator_of_others() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.as_file().write_all(dmwsi_api::to_yaml().as_bytes()).unwrap();
    match Command::new("openapi-spec-validator").arg(file.path()).output() {
        Ok(done) => {
            let words = [done.stdout, done.stderr].concat();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&words));
        }
        Err(absent) => {
            assert_ne!(
                std::env::var("DMWSI_TEST_TOOLS").as_deref(),
                Ok("required"),
                "openapi-spec-validator is required: {absent}"
            );
            // Not by the macro: what a passing test prints is swallowed.
            writeln!(std::io::stderr(), "\n*** openapi-spec-validator is not installed: its test is SKIPPED ***\n").unwrap();
        }
    }
}
