//! What every operation makes of a request that is not as it should be, or that is sent again.
use std::collections::BTreeMap;

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::Error;
use dmwsi_store::idempotency::IdempotencyClaim;
use futures_util::future::join_all;
use futures_util::stream;
use openssl::sha::Sha256;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::document::{Document, Operation};
use crate::harness::server::{Got, Portal, Server};

const ALL: &str = "devices:read devices:write jobs:read jobs:write";
const NDJSON: &str = "application/x-ndjson";
/// The device that the examples of the document name.
const EXAMPLE: &str = "dev_8f14e45fceea167a5a36dedd4bea2543";
/// The limit that the tests set, in bytes.
const LIMIT: usize = 4096;

/// A server with small limits, a client of it, and a device and a job of that client.
struct Stage {
    server: Server,
    portal: Portal,
    job: String,
    device: String,
}

impl Stage {
    async fn on(database: &Database) -> Self {
        let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
            config.api.max_body_bytes = LIMIT;
            config.api.max_job_bytes = LIMIT;
            config.api.max_import_bytes = u64::try_from(LIMIT).unwrap();
        });
        let server = server.await;
        let portal = server.portal("acme", ALL).await;
        let device = server.devices(&portal, 1).await.remove(0).1;
        let target = json!({"type": "DEVICES", "deviceIds": [device]});
        let body = json!({"operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Man"]}, "target": target});
        let job = portal.post("/v1/jobs", &body).await.of(202)["jobId"].as_str().unwrap().to_owned();
        Self { server, portal, job, device }
    }

    /// Calls it as it should be called but for `headers`, which go before its own, and the body.
    async fn call(&self, operation: &Operation<'_>, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Got {
        let bearer = self.portal.bearer();
        let (own, _) = operation.sample();
        let mut all = headers.to_vec();
        let own = own.into_iter().chain([("if-match", "*"), ("authorization", bearer.as_str())]);
        all.extend(own.filter(|(name, _)| headers.iter().all(|(given, _)| given != name)));
        // An empty value stands for a header that is left away.
        all.retain(|(_, value)| !value.is_empty());
        self.server.send(operation.method.clone(), &operation.address(&self.job, &self.device), &all, body).await
    }

    /// The body of the document's example, for the device of this test.
    fn body(&self, operation: &Operation<'_>) -> String {
        String::from_utf8(operation.sample().1).unwrap().replace(EXAMPLE, &self.device)
    }
}

/// Those that read JSON.
fn of_json(document: &Document) -> Vec<Operation<'_>> {
    let with: Vec<_> = document
        .guarded()
        .into_iter()
        .filter(|operation| operation.body().is_some_and(|taken| taken.media_type != NDJSON))
        .collect();
    assert!(with.len() >= 4);
    with
}

/// EI8, OF4: a field nobody knows is not passed over, wherever it stands.
#[tokio::test]
async fn an_unknown_field_is_refused_with_its_place() {
    let stage = Stage::on(&Database::sqlite()).await;
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
            // Where a kind is chosen by its `type`, serde names the field, but the place of the object only.
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
    let stage = Stage::on(&Database::sqlite()).await;
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
    let stage = Stage::on(&Database::sqlite()).await;
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
    let stage = Stage::on(&Database::sqlite()).await;
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

both! {
    /// OES10: a request that is sent again has its effect once, whatever it is, and is answered as the first time.
    async fn a_repeated_request_has_its_effect_once(database: Database) {
        let stage = Stage::on(&database).await;
        let document = Document::generated();
        let keyed: Vec<_> = document.operations().into_iter().filter(|operation| operation.takes("Idempotency-Key")).collect();
        let creating = document.operations().into_iter().filter(|operation| operation.method == Method::POST && operation.value["responses"].get("201").is_some());
        for operation in creating {
            assert!(operation.takes("Idempotency-Key"), "{} creates, so it should take one", operation.name());
        }
        assert!(keyed.len() >= 3);
        let mut number = 0;
        for operation in keyed {
            let name = operation.name();
            // Each has an identity of its own, so that only the key makes the second the same.
            number += 1;
            let body = stage.body(&operation).replace("490154203237518", "490154203237519").replace("IMEI:4", &format!("IMEI:{number}4"));
            let body = body.replace("rel-2026-11", "rel-repeated").replace(r#""identities":[{"type":"IMEI","value":"490154203237519"}],"#, "");
            let other = body.replace("490154203237519", "490154203237520").replace("rel-repeated", "rel-other");
            assert_ne!(body, other);
            let quoted = format!("\"key-{number}\"");
            let key = [("idempotency-key", quoted.as_str())];
            // An import takes any lines and judges them one by one.
            if operation.body().is_some_and(|taken| taken.media_type != NDJSON) {
                stage.call(&operation, &key, "{").await.problem(400, "INVALID_ARGUMENT");
            }
            let first = stage.call(&operation, &key, body.clone()).await;
            assert!(first.status.is_success(), "{name}: {}", first.text);
            assert_eq!(first.header("idempotency-replayed"), "", "{name}: a failure is not kept");
            for _ in 0..2 {
                let again = stage.call(&operation, &key, body.clone()).await;
                assert_eq!(again.header("idempotency-replayed"), "true", "{name}");
                assert_eq!((again.status, &again.text), (first.status, &first.text), "{name}");
                for header in ["location", "etag", "content-type"] {
                    assert_eq!(again.header(header), first.header(header), "{name}");
                }
            }
            let bare = [("idempotency-key", key[0].1.trim_matches('"'))];
            let bare = stage.call(&operation, &bare, body.clone()).await;
            assert_eq!(bare.header("idempotency-replayed"), "true", "{name}: quoted and bare are the same key");
            stage.call(&operation, &key, other).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
            for wrong in ["\"", "\"a", "a b", "a\"b", &"x".repeat(256)] {
                stage.call(&operation, &[("idempotency-key", wrong)], body.clone()).await.problem(400, "INVALID_ARGUMENT");
            }
        }
        stage.server.stop().await;
    }

    /// OES10
    async fn of_many_at_once_one_has_the_effect_and_all_get_its_answer(database: Database) {
        let stage = Stage::on(&database).await;
        let body = json!({"operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Man"]}, "target": {"type": "DEVICES", "deviceIds": [stage.device]}});
        let ask = || stage.portal.call(Method::POST, "/v1/jobs", &[("idempotency-key", "at-once")], Some(&body));
        let answers = join_all((0..8).map(|_| ask())).await;
        let made: Vec<_> = answers.iter().filter(|got| got.status.as_u16() == 202).collect();
        assert_eq!(made.iter().filter(|got| got.header("idempotency-replayed").is_empty()).count(), 1);
        assert!(made.iter().all(|got| got.text == made[0].text));
        for got in answers.iter().filter(|got| got.status.as_u16() != 202) {
            got.problem(409, "IDEMPOTENCY_KEY_IN_USE");
        }
        assert_eq!(stage.portal.get("/v1/jobs").await.of(200)["items"].as_array().unwrap().len(), 2);
        stage.server.stop().await;
    }

    /// OES10: while the first still runs elsewhere, a repetition is told to wait.
    async fn a_request_whose_first_still_runs_is_told_so(database: Database) {
        let stage = Stage::on(&database).await;
        let body = json!({"operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Man"]}, "target": {"type": "DEVICES", "deviceIds": [stage.device]}});
        let mut hash = Sha256::new();
        for part in ["POST", "/v1/jobs", ""] {
            hash.update(part.as_bytes());
            hash.update(b"\0");
        }
        hash.update(stage.portal.client.uuid().as_bytes());
        hash.update(body.to_string().as_bytes());
        let claim = IdempotencyClaim { client: stage.portal.client, key: "runs".into(), fingerprint: hash.finish(), now: stage.server.clock.now() };
        let begun = stage.server.store().write(move |tx| tx.idempotent_begin(&claim)).await.unwrap();
        assert_eq!(begun, dmwsi_store::idempotency::Begun::Now);
        let got = stage.portal.call(Method::POST, "/v1/jobs", &[("idempotency-key", "runs")], Some(&body)).await;
        got.problem(409, "IDEMPOTENCY_KEY_IN_USE");
        let another = json!({"operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Mod"]}, "target": body["target"]});
        let got = stage.portal.call(Method::POST, "/v1/jobs", &[("idempotency-key", "runs")], Some(&another)).await;
        got.problem(422, "IDEMPOTENCY_KEY_REUSED");
        stage.server.stop().await;
    }

    /// OES3: an answer that is kept for a repetition may hold a secret, so it is sealed.
    async fn a_kept_answer_is_sealed(database: Database) {
        let stage = Stage::on(&database).await;
        let new = json!({"dmIdentity": "IMEI:490154203237521", "subscriber": "customer-sealed", "account": {"serverId": "s", "client": {"auth": "BASIC", "name": "n", "secret": "s"}}});
        let got = stage.portal.call(Method::POST, "/v1/devices", &[("idempotency-key", "sealed")], Some(&new)).await;
        assert!(got.of(201).to_string().contains("customer-sealed"));
        let hex = if database.is_postgres() { "encode(body, 'hex')" } else { "lower(hex(body))" };
        let kept = database.lines(&format!("SELECT {hex} AS line FROM idempotency_keys"));
        assert_eq!(kept.len(), 1);
        for plain in ["customer-sealed", "deviceId", "490154203237521"] {
            let plain: String = plain.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!kept[0].contains(&plain), "{kept:?}");
        }
        stage.server.stop().await;
    }

    /// OES10, EI8: a change names the revision it was decided on.
    async fn a_change_of_another_revision_is_refused(database: Database) {
        let stage = Stage::on(&database).await;
        let document = Document::generated();
        let mut seen = 0;
        for operation in document.operations() {
            let changes = [Method::PUT, Method::PATCH, Method::DELETE].contains(&operation.method);
            assert_eq!(operation.takes("If-Match"), changes, "{}", operation.name());
            if !changes {
                continue;
            }
            seen += 1;
            let (body, address) = ("{\"tags\":[\"a\"]}", operation.address(&stage.job, &stage.device));
            stage.call(&operation, &[("if-match", "")], body).await.problem(428, "PRECONDITION_REQUIRED");
            for wrong in ["17", "a", "\"1"] {
                stage.call(&operation, &[("if-match", wrong)], body).await.problem(400, "INVALID_ARGUMENT");
            }
            for stale in ["\"0\"", "\"99\"", "\"another\"", "\"98\", \"99\""] {
                stage.call(&operation, &[("if-match", stale)], body).await.problem(412, "FAILED_PRECONDITION");
            }
            let tag = stage.portal.get(&address).await.header("etag").to_owned();
            let weak = format!("W/{tag}");
            stage.call(&operation, &[("if-match", &weak)], body).await.problem(412, "FAILED_PRECONDITION");
        }
        assert_eq!(seen, 2);
        let address = format!("/v1/devices/{}", stage.device);
        let tag = stage.portal.get(&address).await.header("etag").to_owned();
        let of = |method: Method| document.operations().into_iter().find(|it| it.path == "/v1/devices/{deviceId}" && it.method == method).unwrap();
        let (patch, delete) = (of(Method::PATCH), of(Method::DELETE));
        let changed = stage.call(&patch, &[("if-match", &tag)], "{\"tags\":[\"a\"]}").await;
        assert_eq!(changed.status.as_u16(), 200, "{}", changed.text);
        assert_ne!(changed.header("etag"), tag);
        let same = stage.portal.call(Method::GET, &address, &[("if-none-match", changed.header("etag"))], None).await;
        assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""));
        stage.call(&patch, &[("if-match", &tag)], "{\"tags\":[\"b\"]}").await.problem(412, "FAILED_PRECONDITION");
        stage.call(&delete, &[("if-match", &tag)], "").await.problem(412, "FAILED_PRECONDITION");
        // Two who decided on the same revision: one of them learns that the other was faster.
        let tag = changed.header("etag").to_owned();
        let bodies = ["{\"tags\":[\"c\"]}", "{\"tags\":[\"d\"]}"];
        let tag = [("if-match", tag.as_str())];
        let mut both: Vec<_> = join_all(bodies.map(|body| stage.call(&patch, &tag, body))).await.iter().map(|got| got.status.as_u16()).collect();
        both.sort_unstable();
        assert_eq!(both, [200, 412]);
        assert_eq!(stage.call(&delete, &[], "").await.status.as_u16(), 204);
        stage.server.stop().await;
    }
}

/// OES10: what is preferred is followed where it can be, and said; what is unknown is passed over.
#[tokio::test]
async fn preferences_are_followed_said_and_never_demanded() {
    let stage = Stage::on(&Database::sqlite()).await;
    let document = Document::generated();
    for operation in document.operations().iter().filter(|operation| operation.method == Method::GET) {
        let got = stage.call(operation, &[("prefer", "handling=strict, colour=red;x, =, wait=0")], "").await;
        assert!(got.status.as_u16() < 500 && got.status.as_u16() != 400, "{}: {}", operation.name(), got.text);
    }
    let create = document.operations().into_iter().find(|operation| operation.value["operationId"] == "createJob").unwrap();
    let body = stage.body(&create).replace("rel-2026-11", "rel-minimal");
    let got = stage.call(&create, &[("prefer", "return=minimal, respond-async")], body).await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (202, ""));
    assert_eq!(got.header("preference-applied"), "respond-async, return=minimal");
    assert_eq!(stage.portal.get(got.header("location")).await.of(200)["clientCorrelator"], "rel-minimal");
    let beyond = stage.portal.get(&format!("/v1/jobs/{}?wait=31", stage.job)).await;
    beyond.problem(400, "OUT_OF_RANGE");
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
    let stage = Stage::on(&Database::sqlite()).await;
    let document = Document::generated();
    for operation in document.operations() {
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
    let stage = Stage::on(&Database::sqlite()).await;
    let document = Document::generated();
    let mut good = Vec::new();
    for operation in document.operations() {
        // Deleting comes last, so that the others find what they read.
        if operation.method == Method::DELETE {
            continue;
        }
        for headers in [vec![], vec![("authorization", "")], vec![("x-correlator", "a b")]] {
            let mut body = stage.body(&operation);
            if operation.method == Method::PATCH {
                body = "{\"subscriber\":\"customer-1\",\"tags\":[\"a\",\"b\"]}".to_owned();
            }
            let got = stage.call(&operation, &headers, body).await;
            let name = format!("{} {}", operation.name(), got.status.as_u16());
            let answers: BTreeMap<_, _> = operation.answers().into_iter().collect();
            let answer = answers.get(got.status.as_str()).unwrap_or_else(|| panic!("{name} is not declared: {}", got.text));
            let media_type = got.header("content-type").split(';').next().unwrap_or_default().to_owned();
            let schema = answer["content"].get(&media_type).unwrap_or_else(|| panic!("{name}: {media_type} is not declared"));
            let values: Vec<Value> = match media_type.as_str() {
                NDJSON => got.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
                "application/yaml" => vec![json!(got.text)],
                _ => vec![got.json()],
            };
            for value in values {
                let faults = document.faults(&schema["schema"], &value, "");
                assert!(faults.is_empty(), "{name}: {faults:?}\n{value}");
                let more = document.undeclared(&schema["schema"], &value, "");
                assert!(more.is_empty() || operation.path == "/openapi.json", "{name}: not in the document: {more:?}\n{value}");
            }
            for (header, _) in answer["headers"].as_object().into_iter().flatten() {
                let optional =
                    ["idempotency-replayed", "preference-applied", "retry-after"].contains(&header.to_lowercase().as_str());
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
