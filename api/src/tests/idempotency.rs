//! A repeated request has its effect once.
use dmwsi_domain::Error;
use dmwsi_store::idempotency::{Begun, IdempotencyClaim, StoredAnswer};

use super::bench::{Ask, Bench, Got};

const FIRST: &str = r#"{"name":"first"}"#;

async fn create(bench: &Bench, key: Option<&str>, body: &str) -> Got {
    let ask = Ask::post("/v1/things", "application/json", body).bearer(&bench.token("jobs:write").await);
    bench
        .call(match key {
            Some(key) => ask.with("idempotency-key", key),
            None => ask,
        })
        .await
}

#[actix_web::test]
async fn a_repeated_request_gets_the_first_answer_again() {
    let bench = Bench::new().await;
    let first = create(&bench, Some("\"k\""), FIRST).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (201, ""));
    let again = create(&bench, Some("k"), FIRST).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(create(&bench, None, FIRST).await.problem(), "ALREADY_EXISTS");
    bench.clock.advance(std::time::Duration::from_secs(24 * 60 * 60));
    assert_eq!(create(&bench, Some("k"), FIRST).await.problem(), "ALREADY_EXISTS", "a day later the key is free again");
}

#[actix_web::test]
async fn a_key_stands_for_one_request() {
    let bench = Bench::new().await;
    assert_eq!(create(&bench, Some("k"), FIRST).await.status, 201);
    let other = create(&bench, Some("k"), r#"{"name":"other"}"#).await;
    assert_eq!((other.status.as_u16(), other.problem().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(create(&bench, Some("two words"), FIRST).await.problem(), "INVALID_ARGUMENT");
}

#[actix_web::test]
async fn a_failed_request_leaves_its_key_free() {
    let bench = Bench::new().await;
    assert_eq!(create(&bench, None, FIRST).await.status, 201);
    assert_eq!(create(&bench, Some("k"), FIRST).await.problem(), "ALREADY_EXISTS");
    assert_eq!(create(&bench, Some("k"), r#"{"name":"other"}"#).await.status, 201);
}

#[actix_web::test]
async fn old_keys_are_swept_in_bites() {
    let bench = Bench::new().await;
    for key in ["a", "b", "c"] {
        assert_eq!(create(&bench, Some(key), &format!(r#"{{"name":"{key}"}}"#)).await.status, 201);
    }
    bench.clock.advance(std::time::Duration::from_secs(24 * 60 * 60));
    let now = bench.clock.now();
    let sweep = async || bench.app.store.write(move |tx| tx.sweep_idempotency_keys(now, 2)).await.unwrap();
    assert_eq!([sweep().await, sweep().await, sweep().await], [2, 1, 0]);
}

/// Where begin and finish stand in different transactions.
#[actix_web::test]
async fn a_request_that_still_runs_is_not_run_again_and_one_that_failed_by_us_is() {
    let bench = Bench::new().await;
    let claim = IdempotencyClaim { client: bench.client, key: "k".into(), fingerprint: [1; 32], now: bench.clock.now() };
    let begin = async || {
        let claim = claim.clone();
        bench.app.store.write(move |tx| tx.idempotent_begin(&claim)).await
    };
    let finish = async |status| {
        let (claim, answer) = (claim.clone(), StoredAnswer { status, headers: vec![], body: vec![] });
        bench.app.store.write(move |tx| tx.idempotent_finish(&claim, &answer)).await.unwrap();
    };
    assert_eq!(begin().await.unwrap(), Begun::Now);
    assert!(matches!(begin().await, Err(Error::Conflict { code: "IDEMPOTENCY_KEY_IN_USE", .. })));
    for passing in [429, 503] {
        finish(passing).await;
        assert_eq!(begin().await.unwrap(), Begun::Now, "{passing} is not kept");
    }
    finish(404).await;
    assert!(matches!(begin().await.unwrap(), Begun::Before(StoredAnswer { status: 404, .. })));
}
