//! What every operation makes of a request that is sent again, or that rests on a revision or a preference.
use dmwsi_store::idempotency::IdempotencyClaim;
use futures_util::future::join_all;
use openssl::sha::Sha256;
use reqwest::Method;
use serde_json::json;

use crate::harness::Database;
use crate::harness::document::{Document, Operation};
use crate::harness::server::Portal;
use crate::harness::stage::Stage;

const NDJSON: &str = "application/x-ndjson";

/// How many jobs there are.
async fn jobs(portal: &Portal) -> usize {
    portal.get("/v1/jobs").await.of(200)["items"].as_array().unwrap().len()
}

both! {
    /// OES10: a request that is sent again has its effect once, whatever it is, and is answered as the first time.
    async fn a_repeated_request_has_its_effect_once(database: Database) {
        let stage = Stage::on(&database).await;
        let document = Document::generated();
        // What is asked of a subscription is tried where there is one.
        let is_here = |operation: &Operation<'_>| operation.takes("Idempotency-Key") && !operation.path.starts_with("/v1/subscriptions/");
        let keyed: Vec<_> = document.operations().into_iter().filter(is_here).collect();
        let creating = document.operations().into_iter().filter(|operation| operation.method == Method::POST && operation.value["responses"].get("201").is_some());
        // A container is known by its own id and bytes, and is compared by them.
        for operation in creating.filter(|operation| !operation.takes_bytes()) {
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
            let other = body.replace("490154203237519", "490154203237520").replace("rel-repeated", "rel-other").replace("https://", "https://other.");
            let has_body = operation.body().is_some();
            assert_eq!(body != other, has_body);
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
            if has_body {
                stage.call(&operation, &key, other).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
            }
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
        let before = jobs(&stage.portal).await;
        let answers = join_all((0..8).map(|_| ask())).await;
        let made: Vec<_> = answers.iter().filter(|got| got.status.as_u16() == 202).collect();
        assert_eq!(made.iter().filter(|got| got.header("idempotency-replayed").is_empty()).count(), 1);
        assert!(made.iter().all(|got| got.text == made[0].text));
        for got in answers.iter().filter(|got| got.status.as_u16() != 202) {
            got.problem(409, "IDEMPOTENCY_KEY_IN_USE");
        }
        assert_eq!(jobs(&stage.portal).await, before + 1);
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
            // An upload has one owner, and how far it is stands in for its revision.
            let is_upload = operation.path.starts_with("/v1/uploads");
            // A subscription is not there; its change is tried below, and its end is none that another change could contradict.
            if operation.path.starts_with("/v1/subscriptions") {
                continue;
            }
            let changes = [Method::PUT, Method::PATCH, Method::DELETE].contains(&operation.method) && !is_upload;
            assert_eq!(operation.takes("If-Match"), changes, "{}", operation.name());
            if !changes {
                continue;
            }
            seen += 1;
            let address = operation.address(&stage.job, &stage.device);
            let own = stage.body(&operation);
            let body = || if operation.path.ends_with("{deviceId}") { "{\"tags\":[\"a\"]}".to_owned() } else { own.clone() };
            stage.call(&operation, &[("if-match", "")], body()).await.problem(428, "PRECONDITION_REQUIRED");
            for wrong in ["17", "a", "\"1"] {
                stage.call(&operation, &[("if-match", wrong)], body()).await.problem(400, "INVALID_ARGUMENT");
            }
            for stale in ["\"0\"", "\"99\"", "\"another\"", "\"98\", \"99\""] {
                stage.call(&operation, &[("if-match", stale)], body()).await.problem(412, "FAILED_PRECONDITION");
            }
            let tag = stage.portal.get(&address).await.header("etag").to_owned();
            let weak = format!("W/{tag}");
            stage.call(&operation, &[("if-match", &weak)], body()).await.problem(412, "FAILED_PRECONDITION");
        }
        assert_eq!(seen, 5);
        let sink = json!({"protocol": "HTTP", "sink": "https://receiver.example/", "types": ["dmwsi.v1.device-updated"], "config": {"subscriptionDetail": {}}});
        let made = stage.portal.post("/v1/subscriptions", &sink).await.of(201);
        let address = format!("/v1/subscriptions/{}", made["id"].as_str().unwrap());
        let change = async |tag: &str| {
            let headers = [("if-match", tag), ("content-type", "application/merge-patch+json")];
            stage.portal.call(Method::PATCH, &address, &headers, Some(&json!({"status": "INACTIVE"}))).await
        };
        change("").await.problem(428, "PRECONDITION_REQUIRED");
        change("\"99\"").await.problem(412, "FAILED_PRECONDITION");
        let tag = stage.portal.get(&address).await.header("etag").to_owned();
        assert_eq!(change(&tag).await.of(200)["status"], "INACTIVE");
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
