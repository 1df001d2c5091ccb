//! What anybody may read.
use actix_web::http::Method;

use super::bench::{Ask, Bench, ISSUER};
use crate::problem::Code;

#[actix_web::test]
async fn a_stranger_finds_the_way() {
    let bench = Bench::new().await;
    let start = bench.call(Ask::get("/")).await;
    assert!(start.header("link").contains("rel=\"api-catalog\""));
    let catalog = bench.call(Ask::new(Method::HEAD, "/.well-known/api-catalog")).await;
    assert_eq!(catalog.status, 200);
    assert!(catalog.header("link").contains("rel=\"api-catalog\""));
    assert!(catalog.header("content-type").starts_with("application/linkset+json; profile="));
    let catalog = bench.call(Ask::get("/.well-known/api-catalog")).await.json();
    for link in ["service-desc", "service-doc", "service-meta"] {
        let href = catalog["linkset"][0][link][0]["href"].as_str().unwrap();
        let path = href.strip_prefix(ISSUER).unwrap();
        assert_eq!(bench.call(Ask::get(path)).await.status, 200, "{href}");
    }
    let metadata = bench.call(Ask::get("/.well-known/oauth-authorization-server")).await.json();
    assert_eq!((&metadata["issuer"], &metadata["token_endpoint"]), (&ISSUER.into(), &format!("{ISSUER}/oauth2/token").into()));
    let keys = bench.call(Ask::get("/oauth2/jwks")).await.json();
    assert_eq!((&keys["keys"][0]["kid"], &keys["keys"][0]["alg"]), (&"k1".into(), &"ES256".into()));
    assert!(keys["keys"][0].get("d").is_none(), "a private key stays private");
}

#[actix_web::test]
async fn swagger_ui_is_served_with_the_document_and_logs_in() {
    let bench = Bench::new().await;
    assert_eq!(bench.call(Ask::get("/docs")).await.header("location"), "docs/");
    assert_eq!(bench.call(Ask::get("/docs/../v1/devices")).await.problem(), "NOT_FOUND");
    let page = bench.call(Ask::get("/docs/")).await;
    assert!(page.header("content-type").starts_with("text/html") && page.status == 200);
    assert!(!page.header("content-security-policy").contains("script-src"));
    let script = bench.call(Ask::get("/docs/swagger-initializer.js")).await;
    let script = String::from_utf8_lossy(&script.body);
    for part in ["../openapi.json", "\"persistAuthorization\": true", "initOAuth"] {
        assert!(script.contains(part), "{part}\n{script}");
    }
    let document = bench.call(Ask::get("/openapi.json")).await;
    let flow = &document.json()["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"];
    assert_eq!(flow["tokenUrl"], "/oauth2/token");
    assert_eq!(flow["scopes"].as_object().unwrap().len(), dmwsi_domain::scope::Scope::ALL.len());
    let again = bench.call(Ask::get("/openapi.json").with("if-none-match", document.header("etag"))).await;
    assert_eq!(again.status, 304);
    let yaml = bench.call(Ask::get("/openapi.yaml")).await;
    assert!(yaml.body.starts_with(b"openapi: 3.1.0") && yaml.header("content-type") == "application/yaml");
}

#[actix_web::test]
async fn every_problem_explains_itself_where_its_type_leads() {
    let bench = Bench::new().await;
    for code in Code::ALL {
        let path = format!("/problems/{}", code.slug());
        let got = bench.call(Ask::get(&path)).await.json();
        assert_eq!((&got["title"], &got["code"]), (&code.title().into(), &code.as_str().into()));
        assert_eq!(got["type"], format!("{ISSUER}{path}"));
        let page = bench.call(Ask::get(&path).with("accept", "text/html,*/*")).await;
        assert!(String::from_utf8_lossy(&page.body).contains(code.explanation()));
    }
    assert_eq!(bench.call(Ask::get("/problems/no-such")).await.problem(), "NOT_FOUND");
}
