//! What every request passes.
use actix_web::http::Method;

use super::bench::{Ask, Bench};

const PATHS: [&str; 4] = ["/v1/things/1", "/v1/forgot", "/v1/nothing", "/nothing"];

#[actix_web::test]
async fn without_a_valid_token_nothing_is_said_about_anything() {
    let bench = Bench::new().await;
    for path in PATHS {
        let got = bench.call(Ask::get(path)).await;
        assert_eq!((got.status.as_u16(), got.problem().as_str()), (401, "UNAUTHENTICATED"), "{path}");
        assert_eq!(got.header("www-authenticate"), "Bearer realm=\"dmwsi\"", "no error is named where nothing was given");
        for wrong in ["Bearer x.y.z", "Bearer", "Basic YTpi", "x"] {
            let got = bench.call(Ask::get(path).with("authorization", wrong)).await;
            assert_eq!(got.problem(), "UNAUTHENTICATED", "{path} {wrong}");
            assert!(got.header("www-authenticate").contains("error="), "{path} {wrong}");
        }
        let token = bench.token("jobs:read").await;
        let got = bench.call(Ask::get(path).bearer(&token).bearer(&token)).await;
        assert_eq!(got.problem(), "UNAUTHENTICATED", "{path}: two tokens");
        let got = bench.call(Ask::get(&format!("{path}?access_token={token}"))).await;
        assert_eq!(got.problem(), "UNAUTHENTICATED", "{path}: a token in the address");
    }
}

/// Walks the document, so that a new operation is covered before anyone thinks of it.
#[actix_web::test]
async fn every_operation_refuses_who_has_no_token_or_not_its_scope() {
    let bench = Bench::new().await;
    let nothing = bench.token("").await;
    let document = serde_json::to_value(crate::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(scope) = operation["security"][0]["oauth2"][0].as_str() else { continue };
            // A name in braces is a segment like any other.
            let ask = || Ask::new(method.to_uppercase().parse().unwrap(), &path.replace(['{', '}'], ""));
            assert_eq!(bench.call(ask()).await.problem(), "UNAUTHENTICATED", "{method} {path}");
            let got = bench.call(ask().bearer(&nothing)).await;
            assert_eq!(got.problem(), "PERMISSION_DENIED", "{method} {path}");
            assert!(got.header("www-authenticate").contains(&format!("scope=\"{scope}\"")), "{method} {path} needs {scope}");
        }
    }
}

#[actix_web::test]
async fn with_a_token_an_address_that_is_not_there_is_404_and_a_method_405_with_allow() {
    let bench = Bench::new().await;
    let token = bench.token("jobs:read").await;
    assert_eq!(bench.call(Ask::get("/v1/nothing").bearer(&token)).await.problem(), "NOT_FOUND");
    assert_eq!(bench.call(Ask::get("/v1/things/malformed").bearer(&token)).await.problem(), "NOT_FOUND");
    for method in [Method::PUT, Method::PATCH, Method::OPTIONS, Method::TRACE] {
        let got = bench.call(Ask::new(method.clone(), "/oauth2/jwks")).await;
        assert_eq!((got.status.as_u16(), got.problem().as_str()), (405, "METHOD_NOT_ALLOWED"), "{method}");
        assert_eq!(got.header("allow"), "GET, HEAD");
    }
    assert_eq!(bench.call(Ask::get("/oauth2/token")).await.header("allow"), "POST");
}

#[actix_web::test]
async fn a_token_opens_what_its_scopes_name_and_no_more() {
    let bench = Bench::new().await;
    let got = bench.call(Ask::get("/v1/things/1").bearer(&bench.token("jobs:read").await)).await;
    assert_eq!(got.body, b"portal reads 1");
    let got = bench.call(Ask::get("/v1/things/1").bearer(&bench.token("jobs:write").await)).await;
    assert_eq!((got.status.as_u16(), got.problem().as_str()), (403, "PERMISSION_DENIED"));
    assert!(got.header("www-authenticate").contains("error=\"insufficient_scope\", scope=\"jobs:read\""));
    let got = bench.call(Ask::post("/v1/things", "text/plain", "{").bearer(&bench.token("jobs:read").await)).await;
    assert_eq!(got.problem(), "PERMISSION_DENIED", "who may not call learns nothing about the rest of the request");
}

/// A scope in a token that the client does not (any more) have counts for nothing.
#[actix_web::test]
async fn a_revoked_client_stops_within_seconds() {
    let bench = Bench::new().await;
    let token = bench.token("jobs:read devices:write").await;
    let call = || bench.call(Ask::get("/v1/things/1").bearer(&token));
    assert_eq!(call().await.status, 200);
    bench.revoke().await;
    bench.clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(call().await.problem(), "UNAUTHENTICATED");
}

#[actix_web::test]
async fn a_correlator_is_echoed_made_or_refused() {
    let bench = Bench::new().await;
    assert_eq!(bench.call(Ask::get("/").with("x-correlator", "a;b/<c>{d}")).await.header("x-correlator"), "a;b/<c>{d}");
    assert_eq!(bench.call(Ask::get("/v1").with("x-correlator", "mine")).await.json()["correlator"], "mine");
    assert_eq!(bench.call(Ask::get("/")).await.header("x-correlator").len(), 36);
    assert_eq!(bench.call(Ask::get("/").with("x-correlator", "")).await.header("x-correlator").len(), 36);
    for wrong in ["a b", "a\"b", &"x".repeat(257)] {
        let got = bench.call(Ask::get("/").with("x-correlator", wrong)).await;
        assert_eq!((got.status.as_u16(), got.problem().as_str()), (400, "INVALID_ARGUMENT"), "{wrong}");
        assert_ne!(got.header("x-correlator"), wrong);
    }
}

#[actix_web::test]
async fn a_body_is_of_its_type_its_size_and_its_form() {
    let bench = Bench::new().await;
    let token = bench.token("jobs:write").await;
    let post = async |media_type: &str, body: &str| {
        let got = bench.call(Ask::post("/v1/things", media_type, body).bearer(&token)).await;
        (got.status.as_u16(), got.problem(), got.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned())
    };
    let answer = |status, code: &str, pointer: &str| (status, code.to_owned(), pointer.to_owned());
    assert_eq!(post("text/plain", "{}").await, answer(415, "UNSUPPORTED_MEDIA_TYPE", ""));
    assert_eq!(post("application/json; charset=utf-16", "{}").await, answer(415, "UNSUPPORTED_MEDIA_TYPE", ""));
    assert_eq!(post("application/json", "{").await, answer(400, "INVALID_ARGUMENT", ""));
    assert_eq!(post("application/json", "[\"x\"]").await, answer(400, "INVALID_ARGUMENT", ""));
    assert_eq!(post("application/json", r#"{"name":1}"#).await, answer(400, "INVALID_ARGUMENT", "/name"));
    assert_eq!(post("application/json", r#"{"name":"x","colour":1}"#).await, answer(400, "INVALID_ARGUMENT", "/colour"));
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(1000));
    assert_eq!(post("application/json", &long).await, answer(413, "PAYLOAD_TOO_LARGE", ""));
    let got = bench.call(Ask::post("/v1/things", "application/json", "x").with("content-encoding", "gzip").bearer(&token)).await;
    assert_eq!(got.problem(), "UNSUPPORTED_MEDIA_TYPE");
}

#[actix_web::test]
async fn a_change_needs_the_present_revision() {
    let bench = Bench::new().await;
    let token = bench.token("jobs:write").await;
    let change = async |tag: Option<&str>| {
        let ask = Ask::new(Method::POST, "/v1/things/1").bearer(&token);
        bench
            .call(match tag {
                Some(tag) => ask.with("if-match", tag),
                None => ask,
            })
            .await
    };
    assert_eq!(change(Some("\"7\"")).await.status, 204);
    assert_eq!(change(Some("\"6\"")).await.problem(), "FAILED_PRECONDITION");
    assert_eq!(change(None).await.problem(), "PRECONDITION_REQUIRED");
    assert_eq!(change(Some("7")).await.problem(), "INVALID_ARGUMENT");
}

#[actix_web::test]
async fn a_fault_of_ours_is_a_problem_without_its_cause() {
    let bench = Bench::new().await;
    let token = bench.token("jobs:read").await;
    for path in ["/v1/panics", "/v1/fails"] {
        let got = bench.call(Ask::get(path).bearer(&token)).await;
        assert_eq!((got.status.as_u16(), got.problem().as_str()), (500, "INTERNAL"), "{path}");
        assert!(!String::from_utf8_lossy(&got.body).contains("swordfish"), "{path}");
    }
}

#[actix_web::test]
async fn answers_are_neither_kept_nor_guessed_at() {
    let bench = Bench::new().await;
    let got = bench.call(Ask::get("/v1/things/1").bearer(&bench.token("jobs:read").await)).await;
    assert_eq!(got.header("cache-control"), "no-store");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("strict-transport-security"), "max-age=31536000");
    assert_eq!(got.header("server"), "");
}
