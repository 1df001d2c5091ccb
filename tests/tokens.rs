//! Tokens: how a client gets one, what it is, who can verify it, and how the keys change.
use std::collections::BTreeSet;

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use openssl::x509::X509;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::document::Document;
use crate::harness::forge::{Jwt, public, verifies};
use crate::harness::server::Server;

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// Every octet percent-encoded: what a client may do that takes RFC 6749, 2.3.1 at its word.
fn form_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn keys(server: &Server) -> Vec<Value> {
    server.send(Method::GET, "/oauth2/jwks", &[], "").await.of(200)["keys"].as_array().unwrap().clone()
}

both! {
    /// OES1, AD-13: each way of the standard leads to the same token.
    async fn a_client_gets_a_token_in_each_way_of_the_standard(database: Database) {
        let server = Server::on(&database).await;
        let (client, secret) = server.client("acme", "devices:read jobs:read").await;
        let id = client.id.to_string();
        let encoded = (form_encoded(&id), form_encoded(&secret));
        let post = [GRANT, ("client_id", id.as_str()), ("client_secret", secret.as_str())];
        let scoped = [GRANT, ("scope", "jobs:read")];
        let target = [GRANT, ("resource", server.issuer.as_str())];
        let basic = Some((id.as_str(), secret.as_str()));
        for (what, got, scope) in [
            ("basic", server.ask_token(basic, &[GRANT]).await, "devices:read jobs:read"),
            ("basic, form-encoded", server.ask_token(Some((&encoded.0, &encoded.1)), &[GRANT]).await, "devices:read jobs:read"),
            ("post", server.ask_token(None, &post).await, "devices:read jobs:read"),
            ("a narrower scope", server.ask_token(basic, &scoped).await, "jobs:read"),
            ("for this server", server.ask_token(basic, &target).await, "devices:read jobs:read"),
            ("empty parameters", server.ask_token(basic, &[GRANT, ("scope", ""), ("client_id", "")]).await, "devices:read jobs:read"),
        ] {
            assert_eq!((got.header("cache-control"), got.header("pragma")), ("no-store", "no-cache"), "{what}");
            let answer = got.of(200);
            assert_eq!((&answer["token_type"], &answer["scope"]), (&json!("Bearer"), &json!(scope)), "{what}");
            assert!(answer["expires_in"].as_u64().is_some_and(|seconds| seconds <= 600), "{what}");
            assert!(answer.get("refresh_token").is_none());
            let jwt = Jwt::read(answer["access_token"].as_str().unwrap());
            let lifetime = jwt.payload["exp"].as_i64().unwrap() - jwt.payload["iat"].as_i64().unwrap();
            assert!(lifetime <= 600, "{what}");
            assert_eq!((&jwt.header["alg"], &jwt.header["typ"], &jwt.payload["scope"]), (&json!("ES256"), &json!("at+jwt"), &json!(scope)));
            assert_eq!((jwt.payload["iss"].as_str(), jwt.payload["client_id"].as_str()), (Some(server.issuer.as_str()), Some(id.as_str())));
        }
        server.stop().await;
    }

    /// OES1: the answer does not tell whether there is such a client.
    async fn who_has_no_right_to_a_token_learns_nothing(database: Database) {
        let server = Server::on(&database).await;
        let (client, secret) = server.client("acme", "devices:read").await;
        let id = client.id.to_string();
        let basic = Some((id.as_str(), secret.as_str()));
        let unknown = server.ask_token(Some(("cli_00000000000070008000000000000000", &secret)), &[GRANT]).await;
        assert_eq!(unknown.header("www-authenticate"), "Basic realm=\"dmwsi\", charset=\"UTF-8\"");
        for wrong in [(id.as_str(), "wrong"), (id.as_str(), ""), ("nobody", "wrong"), ("", ""), (id.as_str(), &format!("{secret} "))] {
            let got = server.ask_token(Some(wrong), &[GRANT]).await;
            assert_eq!((got.status.as_u16(), &got.text), (401, &unknown.text), "{wrong:?}");
        }
        assert_eq!(unknown.of(401)["error"], "invalid_client");
        for (form, error) in [
            (vec![GRANT, ("scope", "jobs:read")], "invalid_scope"),
            (vec![GRANT, ("scope", "devices:read everything")], "invalid_scope"),
            (vec![], "invalid_request"),
            (vec![GRANT, GRANT], "invalid_request"),
            (vec![("grant_type", "password")], "unsupported_grant_type"),
            (vec![("grant_type", "authorization_code")], "unsupported_grant_type"),
            (vec![GRANT, ("resource", "https://other.example")], "invalid_target"),
            (vec![GRANT, ("client_secret", secret.as_str())], "invalid_request"),
            (vec![GRANT, ("client_id", "cli_00000000000070008000000000000000")], "invalid_request"),
        ] {
            let got = server.ask_token(basic, &form).await;
            assert_eq!(got.header("cache-control"), "no-store");
            assert_eq!(got.of(400)["error"], error, "{form:?}");
        }
        assert_eq!(server.ask_token(None, &[GRANT]).await.of(401)["error"], "invalid_client");
        assert_eq!(server.ask_token(None, &[GRANT, ("client_id", &id)]).await.of(401)["error"], "invalid_client");
        let json = [("content-type", "application/json")];
        assert_eq!(server.send(Method::POST, "/oauth2/token", &json, "{}").await.of(400)["error"], "invalid_request");
        // Credentials never stand in an address.
        let query = format!("/oauth2/token?grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(server.send(Method::POST, &query, &form, "").await.of(401)["error"], "invalid_client");
        server.stop().await;
    }

    /// OES1: keys rotate without a gap, and a key that is gone is gone.
    async fn a_new_key_signs_while_the_old_one_still_verifies(database: Database) {
        let (old, new) = (Keys::mint().unwrap(), Keys::mint().unwrap());
        let ring = |signing: &[&Keys]| {
            let mut keys = old.clone();
            keys.api.signing = signing.iter().map(|keys| keys.api.signing[0].clone()).collect();
            keys
        };
        let named = |keys: &Keys| json!(keys.api.signing[0].id);
        let start = async |keys: Keys| Server::with(&database, keys, Clock::System, |config| config.public_url = "https://dm.example.com".into()).await;
        let list = async |server: &Server, bearer: &str| {
            server.send(Method::GET, "/v1/devices", &[("authorization", bearer)], "").await.status.as_u16()
        };

        let server = start(ring(&[&old])).await;
        let before = server.portal("acme", "devices:read").await.bearer();
        server.stop().await;

        let server = start(ring(&[&new, &old])).await;
        let after = server.portal("acme", "devices:read").await.bearer();
        let kid = |bearer: &str| Jwt::read(bearer.trim_start_matches("Bearer ")).header["kid"].clone();
        assert_eq!((kid(&before), kid(&after)), (named(&old), named(&new)));
        assert_eq!((list(&server, &before).await, list(&server, &after).await), (200, 200));
        let shown: Vec<_> = keys(&server).await.into_iter().map(|key| key["kid"].clone()).collect();
        assert_eq!(shown, [named(&new), named(&old)]);
        server.stop().await;

        let server = start(ring(&[&new])).await;
        assert_eq!((list(&server, &before).await, list(&server, &after).await), (401, 200));
        assert_eq!(keys(&server).await.len(), 1);
        server.stop().await;
    }
}

/// OES1: guessing is slowed down and seen, and never locks out the client itself.
#[tokio::test]
async fn too_many_wrong_secrets_are_answered_429_and_the_right_one_still_works() {
    let server =
        Server::with(&Database::sqlite(), Keys::mint().unwrap(), Clock::System, |config| config.api.max_failed_logins = 3).await;
    let (client, secret) = server.client("acme", "devices:read").await;
    let id = client.id.to_string();
    for _ in 0..3 {
        server.ask_token(Some((&id, "wrong")), &[GRANT]).await.of(401);
    }
    let refused = server.ask_token(Some((&id, "wrong")), &[GRANT]).await;
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(refused.of(429)["error"], "invalid_client");
    server.ask_token(Some((&id, &secret)), &[GRANT]).await.of(200);
    server.stop().await;
}

/// OES1: openssl, which knows nothing of this server, verifies a token with the published key and no other.
#[tokio::test]
async fn anybody_can_verify_a_token_with_the_published_keys() {
    let server = Server::on(&Database::sqlite()).await;
    let bearer = server.portal("acme", "devices:read").await.bearer();
    let token = bearer.trim_start_matches("Bearer ");
    let key = keys(&server).await.remove(0);
    assert_eq!(key["kid"], Jwt::read(token).header["kid"]);
    let key = public(&key);
    assert!(verifies(token, &key));
    let (text, signature) = token.rsplit_once('.').unwrap();
    assert!(!verifies(&format!("{text}x.{signature}"), &key));
    let jwks = server.send(Method::GET, "/oauth2/jwks", &[], "").await;
    assert_eq!(jwks.header("content-type"), "application/jwk-set+json");
    for pem in server.keys.api.signing.iter().map(|key| key.pem.as_bytes()) {
        assert!(X509::from_pem(pem).is_err() && !jwks.text.contains("\"d\""), "a private key is not shown");
    }
    server.stop().await;
}

/// ES7, EI6: from the host name alone to a token and a resource.
#[tokio::test]
async fn a_newcomer_finds_the_way_from_the_host_name_alone() {
    let server = Server::on(&Database::sqlite()).await;
    let path = |url: &Value| url.as_str().unwrap().strip_prefix(&server.issuer).unwrap().to_owned();
    let read = async |path: &str| server.send(Method::GET, path, &[], "").await;

    let start = read("/").await;
    let links: Vec<_> = start.headers.get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect();
    assert!(links.contains(&"</.well-known/api-catalog>; rel=\"api-catalog\"".to_owned()), "{links:?}");
    let catalog = read(&path(&start.of(200)["catalog"])).await;
    assert_eq!(catalog.header("content-type"), "application/linkset+json; profile=\"https://www.rfc-editor.org/info/rfc9727\"");
    let catalog = catalog.of(200);
    let entry = &catalog["linkset"][0];
    assert_eq!(path(&entry["anchor"]), "/v1");
    let document = read(&path(&entry["service-desc"][0]["href"])).await.of(200);
    let docs = read(&path(&entry["service-doc"][0]["href"])).await;
    assert_eq!((docs.status.as_u16(), docs.header("content-type")), (200, "text/html"));

    let metadata = read(&path(&entry["service-meta"][0]["href"])).await.of(200);
    assert_eq!(metadata["issuer"], json!(server.issuer));
    assert_eq!(metadata["grant_types_supported"], json!(["client_credentials"]));
    assert_eq!(metadata["token_endpoint_auth_methods_supported"], json!(["client_secret_basic", "client_secret_post"]));
    assert_eq!((path(&metadata["token_endpoint"]), path(&metadata["jwks_uri"])), ("/oauth2/token".into(), "/oauth2/jwks".into()));
    let supported: BTreeSet<_> = metadata["scopes_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let document = Document(document);
    let used: BTreeSet<_> = document.guarded().iter().filter_map(crate::harness::document::Operation::scope).collect();
    assert_eq!(supported, used, "every scope is good for something, and every one that is needed can be had");
    server.stop().await;
}
