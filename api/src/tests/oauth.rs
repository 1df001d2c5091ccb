//! Getting a token.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::bench::{Ask, Bench, Got, ISSUER};
use crate::settings::TokenLifetime;

const FORM: &str = "application/x-www-form-urlencoded";

async fn ask(bench: &Bench, basic: Option<(&str, &str)>, form: &str) -> Got {
    let ask = Ask::post("/oauth2/token", FORM, form);
    bench
        .call(match basic {
            Some((id, secret)) => ask.with("authorization", &format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))),
            None => ask,
        })
        .await
}

fn refusal(got: &Got) -> (u16, String) {
    assert_eq!(got.header("cache-control"), "no-store");
    (got.status.as_u16(), got.json()["error"].as_str().unwrap_or_default().to_owned())
}

#[actix_web::test]
async fn a_client_gets_a_token_by_basic_in_both_encodings_and_by_post() {
    let bench = Bench::new().await;
    let (id, secret) = (bench.client.to_string(), bench.secret.clone());
    let encoded: Vec<String> =
        [&id, &secret].iter().map(|text| text.bytes().map(|byte| format!("%{byte:02X}")).collect()).collect();
    let posted = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    for got in [
        ask(&bench, Some((&id, &secret)), "grant_type=client_credentials").await,
        ask(&bench, Some((&encoded[0], &encoded[1])), "grant_type=client_credentials&scope=").await,
        ask(&bench, Some((&id, &secret)), &format!("grant_type=client_credentials&client_id={id}")).await,
        ask(&bench, None, &posted).await,
    ] {
        let answer = got.json();
        assert_eq!(got.status, 200, "{answer}");
        assert_eq!(got.header("cache-control"), "no-store");
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(600)));
        assert_eq!(answer["scope"], "devices:read jobs:read jobs:write", "all the client has");
        let token = answer["access_token"].as_str().unwrap();
        assert_eq!(bench.call(Ask::get("/v1/things/1").bearer(token)).await.status, 200);
    }
}

#[actix_web::test]
async fn a_token_carries_the_scopes_asked_for() {
    let bench = Bench::new().await;
    let (id, secret) = (bench.client.to_string(), bench.secret.clone());
    let got =
        ask(&bench, Some((&id, &secret)), "grant_type=client_credentials&scope=jobs%3Awrite&resource=https://dm.example.com/")
            .await;
    let answer = got.json();
    assert_eq!(answer["scope"], "jobs:write");
    let got = bench.call(Ask::get("/v1/things/1").bearer(answer["access_token"].as_str().unwrap())).await;
    assert_eq!(got.problem(), "PERMISSION_DENIED");
}

#[actix_web::test]
async fn the_token_endpoint_refuses_in_the_words_of_oauth2() {
    let bench = Bench::new().await;
    let (id, secret) = (bench.client.to_string(), bench.secret.clone());
    let right = Some((id.as_str(), secret.as_str()));
    for (basic, form, status, error) in [
        (right, "grant_type=password", 400, "unsupported_grant_type"),
        (right, "", 400, "invalid_request"),
        (right, "grant_type=client_credentials&grant_type=client_credentials", 400, "invalid_request"),
        (right, "grant_type=client_credentials&scope=devices:write", 400, "invalid_scope"),
        (right, "grant_type=client_credentials&scope=jobs:read+nothing:at-all", 400, "invalid_scope"),
        (right, "grant_type=client_credentials&resource=https://other.example.com", 400, "invalid_target"),
        (right, "grant_type=client_credentials&client_secret=x", 400, "invalid_request"),
        (right, "grant_type=client_credentials&client_id=cli_other", 400, "invalid_request"),
        (None, "grant_type=client_credentials", 401, "invalid_client"),
        (Some(("cli_1", "x")), "grant_type=client_credentials", 401, "invalid_client"),
        (Some((id.as_str(), "wrong")), "grant_type=client_credentials", 401, "invalid_client"),
    ] {
        let got = ask(&bench, basic, form).await;
        assert_eq!(refusal(&got), (status, error.to_owned()), "{form}");
        assert_eq!(got.header("www-authenticate").starts_with("Basic realm="), status == 401, "{form}");
    }
    let got = bench.call(Ask::post("/oauth2/token", "application/json", "{}")).await;
    assert_eq!(refusal(&got), (400, "invalid_request".to_owned()));
}

#[actix_web::test]
async fn an_unknown_client_a_revoked_one_and_a_wrong_secret_look_the_same() {
    let bench = Bench::new().await;
    let (id, secret) = (bench.client.to_string(), bench.secret.clone());
    let unknown = format!("cli_{}", bench.clock.new_id().simple());
    let form = "grant_type=client_credentials";
    let first = ask(&bench, Some((&unknown, &secret)), form).await;
    let second = ask(&bench, Some((&id, "wrong")), form).await;
    bench.revoke().await;
    let third = ask(&bench, Some((&id, &secret)), form).await;
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    assert_eq!((first.status, &first.body), (third.status, &third.body));
}

#[actix_web::test]
async fn guessing_is_slowed_down_and_locks_nobody_out() {
    let bench = Bench::new().await;
    let (id, secret) = (bench.client.to_string(), bench.secret.clone());
    let form = "grant_type=client_credentials";
    for _ in 0..3 {
        assert_eq!(ask(&bench, Some((&id, "wrong")), form).await.status, 401);
    }
    let got = ask(&bench, Some((&id, "wrong")), form).await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (429, "60"));
    assert_eq!(ask(&bench, Some((&id, &secret)), form).await.status, 200);
}

#[actix_web::test]
async fn a_token_for_another_server_opens_nothing() {
    let bench = Bench::new().await;
    let id = bench.client;
    let client = bench.app.store.read(move |tx| tx.client(id)).await.unwrap();
    let lifetime = TokenLifetime::default();
    let mint =
        |issuer| bench.app.keys.ring.mint(issuer, id, client.organisation, &client.scopes, lifetime, &bench.clock).unwrap();
    assert_eq!(bench.call(Ask::get("/v1/things/1").bearer(&mint(ISSUER))).await.status, 200);
    let got = bench.call(Ask::get("/v1/things/1").bearer(&mint("https://other.example.com"))).await;
    assert_eq!(got.problem(), "UNAUTHENTICATED");
    assert!(got.header("www-authenticate").contains("error=\"invalid_token\""));
}
