//! What every operation makes of a request that is not as it should be.
use std::collections::BTreeMap;

use dmwsi_domain::Error;
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::document::{Document, Operation};
use crate::harness::server::Server;
use crate::harness::stage::{LIMIT, Stage};

const NDJSON: &str = "application/x-ndjson";

/// Those that read JSON.
fn of_json(document: &Document) -> Vec<Operation<'_>> {
    let with: Vec<_> = document
        .guarded()
        .into_iter()
        .filter(|operation| {
            operation.body().is_some_and(|taken| taken.media_type.ends_with("json") && taken.media_type != NDJSON)
        })
        .collect();
    assert!(with.len() >= 4);
    with
}

/// EI8, OF4: a field nobody knows is not passed over, wherever it stands.
#[tokio::test]
async fn an_unknown_field_is_refused_with_its_place() {
    let database = Database::sqlite();
    let stage = Stage::on(&database).await;
    let document = Document::generated();
    for operation in of_json(&document) {
        let example: Value = serde_json::from_str(&stage.body(&operation)).unwrap();
        let mut places = Vec::new();
        objects(&example, String::new(), &mut places);
        assert!(!places.is_empty());
        for place in places {
            let mut body = example.clone();
            body.pointer_mut(&place).unwrap()["col/our"] = json!("red");
            let got = stage.call(&operation, &[], body.to_string()).await;
            got.problem(400, "INVALID_ARGUMENT");
            let pointers = got.pointers();
            let exact = format!("{place}/col~1our");
            assert!(pointers == [exact.clone()], "{} at {place}: {pointers:?} {}", operation.name(), got.text);
        }
    }
    let import = document.operations().into_iter().find(|operation| operation.value["operationId"] == "importDevices").unwrap();
    let lines = "{\"colour\": \"red\"}\n[]\n\n{\n";
    let got = stage.call(&import, &[], lines).await;
    let verdicts: Vec<Value> = got.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = verdicts
        .iter()
        .map(|verdict| (verdict["line"].as_u64(), verdict["problem"]["code"].as_str(), verdict["problem"]["pointer"].as_str()))
        .collect();
    let refused = |line, pointer| (Some(line), Some("INVALID_ARGUMENT"), pointer);
    assert_eq!(told, [refused(1, Some("/colour")), refused(2, None), refused(4, None)]);
    stage.server.stop().await;
}

/// The places of all objects in a value.
fn objects(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                objects(field, format!("{at}/{name}"), places);
            }
            places.push(at);
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| objects(item, format!("{at}/{n}"), places)),
        _ => {}
    }
}

/// EI8, OF4
#[tokio::test]
async fn a_body_that_is_not_of_its_form_is_refused() {
    let database = Database::sqlite();
    let stage = Stage::on(&database).await;
    let document = Document::generated();
    for operation in of_json(&document) {
        let (name, good) = (operation.name(), stage.body(&operation));
        let deep = format!("{}1{}", "{\"a\":".repeat(600), "}".repeat(600));
        let lists = format!("{{\"a\":{}{}}}", "[".repeat(1500), "]".repeat(1500));
        let cut = &good[..good.len() - 1];
        let doubled = format!("{good}{good}");
        let marked = format!("\u{feff}{good}");
        for wrong in [
            "",
            " ",
            "{",
            "}",
            "null",
            "true",
            "1",
            "\"text\"",
            "[]",
            "[{}]",
            "{\"a\":1,}",
            "{'a':1}",
            "<xml/>",
            cut,
            &doubled,
            &marked,
            &deep,
            &lists,
        ] {
            let got = stage.call(&operation, &[], wrong.to_owned()).await;
            assert_eq!(got.status.as_u16(), 400, "{name} with {wrong:.60}: {}", got.text);
            got.problem(400, "INVALID_ARGUMENT");
        }
        let latin = stage.call(&operation, &[], vec![b'{', b'"', 0xe4, b'"', b':', b'1', b'}']).await;
        latin.problem(400, "INVALID_ARGUMENT");
    }
    stage.server.stop().await;
}

/// EI8, OF4
#[tokio::test]
async fn a_body_of_another_type_or_too_large_is_refused() {
    let database = Database::sqlite();
    let stage = Stage::on(&database).await;
    let document = Document::generated();
    let bodies: Vec<_> = document.guarded().into_iter().filter(|operation| operation.body().is_some()).collect();
    for operation in bodies {
        let (name, good, taken) = (operation.name(), stage.body(&operation), operation.body().unwrap());
        let latin = format!("{}; charset=iso-8859-1", taken.media_type);
        for wrong in ["", "text/plain", "application/xml", "application/x-www-form-urlencoded", "*/*", "json", &latin] {
            let got = stage.call(&operation, &[("content-type", wrong)], good.clone()).await;
            got.problem(415, "UNSUPPORTED_MEDIA_TYPE");
            if operation.method == Method::PATCH {
                assert_eq!(got.header("accept-patch"), taken.media_type, "{name}");
            }
        }
        stage.call(&operation, &[("content-encoding", "gzip")], good.clone()).await.problem(415, "UNSUPPORTED_MEDIA_TYPE");
        // Bytes are not held in memory, so they have limits of their own.
        if operation.takes_bytes() {
            continue;
        }
        let large = " ".repeat(LIMIT + 1);
        stage.call(&operation, &[], large.clone()).await.problem(413, "PAYLOAD_TOO_LARGE");
        // In pieces, so that no header tells how large it is.
        let pieces = large.as_bytes().chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
        stage.call(&operation, &[], reqwest::Body::wrap_stream(stream::iter(pieces))).await.problem(413, "PAYLOAD_TOO_LARGE");
        let spelled = format!("{}; Charset=\"UTF-8\"", taken.media_type.to_uppercase());
        let got = stage.call(&operation, &[("content-type", &spelled)], good).await;
        assert!(got.status.is_success(), "{name}: {}", got.text);
    }
    stage.server.stop().await;
}

/// EI8
#[tokio::test]
async fn the_correlator_comes_back_from_every_operation_or_is_made() {
    let database = Database::sqlite();
    let stage = Stage::on(&database).await;
    let document = Document::generated();
    for operation in document.operations() {
        let (name, body) = (operation.name(), stage.body(&operation));
        for header in [vec![], vec![("authorization", "")]] {
            let with = |value| [header.clone(), vec![("x-correlator", value)]].concat();
            let given = "b4333c46:a-_.;/<x>{y}";
            let got = stage.call(&operation, &with(given), body.clone()).await;
            assert_eq!(got.header("x-correlator"), given, "{name}");
            let first = stage.call(&operation, &header, body.clone()).await;
            let second = stage.call(&operation, &header, body.clone()).await;
            assert!(first.header("x-correlator").len() >= 32, "{name}");
            assert_ne!(first.header("x-correlator"), second.header("x-correlator"), "{name}");
            for wrong in ["a b", "a\"b", "a,b", "a?b", &"x".repeat(257)] {
                let got = stage.call(&operation, &with(wrong), body.clone()).await;
                got.problem(400, "INVALID_ARGUMENT");
                assert!(got.header("x-correlator") != wrong && !got.text.contains(&"x".repeat(257)), "{name}");
            }
        }
        stage.call(&operation, &[("x-correlator", &"x".repeat(256))], body).await;
    }
    stage.server.stop().await;
}

/// EI8: the type of a problem can be opened, by programs and by people.
#[tokio::test]
async fn every_kind_of_problem_is_explained_where_its_type_leads() {
    let server = Server::on(&Database::sqlite()).await;
    let mut titles = BTreeMap::new();
    for code in dmwsi_api::Code::ALL {
        let path = format!("/problems/{}", code.slug());
        let got = server.send(Method::GET, &path, &[], "").await.of(200);
        assert_eq!(got["type"], format!("{}{path}", server.issuer));
        assert_eq!((got["code"].as_str(), got["status"].as_u64()), (Some(code.as_str()), Some(code.status().as_u16().into())));
        assert!(titles.insert(got["title"].to_string(), code.as_str()).is_none(), "{got}");
        let page = server.send(Method::GET, &path, &[("accept", "text/html,*/*")], "").await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.text.contains(code.explanation()));
    }
    let problem = server.send(Method::GET, "/v1/devices", &[], "").await.problem(401, "UNAUTHENTICATED");
    let kind = problem["type"].as_str().unwrap().strip_prefix(&server.issuer).unwrap().to_owned();
    assert_eq!(server.send(Method::GET, &kind, &[], "").await.of(200)["title"], problem["title"]);
    server.send(Method::GET, "/problems/no-such", &[], "").await.problem(404, "NOT_FOUND");
    server.stop().await;
}

/// EI8: an error of the domain has a public code of its own, so nothing falls through to a 500 by its name.
#[test]
fn every_fault_of_the_caller_has_a_public_code() {
    for (error, status) in [
        (Error::NotFound { what: "thing" }, 404),
        (Error::conflict("JOB_FINISHED", "over"), 409),
        (Error::conflict("NOT_IN_THE_TABLE", "over"), 409),
        (Error::invalid("/a", "OUT_OF_RANGE", "too much"), 400),
        (Error::Stale { what: "thing" }, 409),
    ] {
        assert_eq!(dmwsi_api::Problem::from(error).code().status().as_u16(), status);
    }
}

/// OF4: whoever answers GET answers HEAD the same but for the body.
#[tokio::test]
async fn head_is_get_without_a_body_and_options_names_the_methods() {
    let database = Database::sqlite();
    let stage = Stage::on(&database).await;
    let document = Document::generated();
    // Uploads answer OPTIONS with what one may be.
    for operation in document.operations().into_iter().filter(|operation| operation.path != "/v1/uploads") {
        let options = Operation { method: Method::OPTIONS, ..operation };
        let got = stage.call(&options, &[("content-type", "")], "").await;
        got.problem(405, "METHOD_NOT_ALLOWED");
        assert_ne!(got.header("allow"), "");
    }
    for operation in document.operations().into_iter().filter(|operation| operation.method == Method::GET) {
        let get = stage.call(&operation, &[], "").await;
        let head = Operation { method: Method::HEAD, ..operation };
        let got = stage.call(&head, &[], "").await;
        assert_eq!((got.status, got.text.as_str()), (get.status, ""), "{}", head.path);
        for header in ["content-type", "etag", "location"] {
            assert_eq!(got.header(header), get.header(header), "{}", head.path);
        }
        let none = stage.call(&head, &[("authorization", "")], "").await;
        assert_eq!(none.status.as_u16() == 401, head.scope().is_some(), "{}", head.path);
    }
    stage.server.stop().await;
}

/// OF4: what the server answers is what its document says, field by field.
#[tokio::test]
async fn every_answer_fits_the_schema_of_the_document() {
    let database = Database::sqlite();
    let stage = Stage::on(&database).await;
    let document = Document::generated();
    let mut good = Vec::new();
    for operation in document.operations() {
        // Deleting comes last, so that the others find what they read.
        if operation.method == Method::DELETE {
            continue;
        }
        for headers in [vec![], vec![("authorization", "")], vec![("x-correlator", "a b")]] {
            let mut body = stage.body(&operation);
            if operation.method == Method::PATCH && operation.path.ends_with("{deviceId}") {
                body = "{\"subscriber\":\"customer-1\",\"tags\":[\"a\",\"b\"]}".to_owned();
            }
            let got = stage.call(&operation, &headers, body).await;
            let name = format!("{} {}", operation.name(), got.status.as_u16());
            let answers: BTreeMap<_, _> = operation.answers().into_iter().collect();
            let answer = answers.get(got.status.as_str()).unwrap_or_else(|| panic!("{name} is not declared: {}", got.text));
            if got.status.is_success() && got.text.is_empty() {
                good.push(operation.name());
                continue;
            }
            let media_type = got.header("content-type").split(';').next().unwrap_or_default().to_owned();
            let schema = answer["content"].get(&media_type).unwrap_or_else(|| panic!("{name}: {media_type} is not declared"));
            let values: Vec<Value> = match media_type.as_str() {
                NDJSON => got.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
                "application/yaml" | "application/vnd.aai.asyncapi+yaml" => vec![json!(got.text)],
                _ => vec![got.json()],
            };
            for value in values {
                let faults = document.faults(&schema["schema"], &value, "");
                assert!(faults.is_empty(), "{name}: {faults:?}\n{value}");
                let more = document.undeclared(&schema["schema"], &value, "");
                assert!(
                    more.is_empty() || ["/openapi.json", "/asyncapi.json"].contains(&operation.path),
                    "{name}: not in the document: {more:?}\n{value}"
                );
            }
            for (header, _) in answer["headers"].as_object().into_iter().flatten() {
                let optional = ["idempotency-replayed", "link", "preference-applied", "retry-after"]
                    .contains(&header.to_lowercase().as_str());
                assert!(optional || got.headers.contains_key(header.as_str()), "{name}: lacks the header {header}");
            }
            if got.status.is_success() {
                good.push(operation.name());
            }
        }
    }
    for operation in
        document.operations().iter().filter(|operation| operation.method != Method::DELETE && operation.scope().is_some())
    {
        assert!(good.contains(&operation.name()), "{} never succeeded", operation.name());
    }
    stage.server.stop().await;
}
