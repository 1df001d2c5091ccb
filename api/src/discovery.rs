//! What a stranger reads first: the catalogue, the metadata of the token server, its public keys, and what problems mean.
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse, get, web};
use dmwsi_domain::scope::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::docs::{ASYNCAPI_JSON, ASYNCAPI_YAML};
use crate::problem::{Code, Problem};
use crate::token::Jwk;

/// The links every starting point carries (RFC 8288, RFC 8631, RFC 9727).
const LINKS: [&str; 4] = [
    "</.well-known/api-catalog>; rel=\"api-catalog\"",
    "</openapi.json>; rel=\"service-desc\"; type=\"application/json\"",
    "</asyncapi.json>; rel=\"service-desc\"; type=\"application/vnd.aai.asyncapi+json;version=3.0.0\"",
    "</docs/>; rel=\"service-doc\"; type=\"text/html\"",
];

/// Where things are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "name": "dmwsi",
    "version": "0.1.0",
    "documentation": "https://dm.example.com/docs/",
    "openapi": "https://dm.example.com/openapi.json",
    "asyncapi": "https://dm.example.com/asyncapi.json",
    "catalog": "https://dm.example.com/.well-known/api-catalog"
}))]
pub struct Start {
    /// What this is.
    #[schema(max_length = 128, examples("dmwsi"))]
    name: &'static str,
    /// Its version.
    #[schema(max_length = 32, examples("0.1.0"))]
    version: &'static str,
    /// The pages for people.
    #[schema(format = "uri", max_length = 2048)]
    documentation: String,
    /// The OpenAPI document.
    #[schema(format = "uri", max_length = 2048)]
    openapi: String,
    /// The AsyncAPI document: what is told.
    #[schema(format = "uri", max_length = 2048)]
    asyncapi: String,
    /// The catalogue of interfaces.
    #[schema(format = "uri", max_length = 2048)]
    catalog: String,
}

/// Find the way
///
/// From the host name alone: what this is and where its descriptions are, in the body and as links in the header.
#[utoipa::path(tag = "Discovery", responses((status = 200, description = "Where things are.", body = Start)))]
#[get("/")]
pub async fn read_start(app: web::Data<App>) -> HttpResponse {
    let start = Start {
        name: "dmwsi",
        version: env!("CARGO_PKG_VERSION"),
        documentation: app.public_url.join("/docs/"),
        openapi: app.public_url.join("/openapi.json"),
        asyncapi: app.public_url.join("/asyncapi.json"),
        catalog: app.public_url.join("/.well-known/api-catalog"),
    };
    let mut response = HttpResponse::Ok();
    for link in LINKS {
        response.append_header((header::LINK, link));
    }
    response.json(start)
}

/// A link of a catalogue (RFC 9264).
#[derive(Serialize, ToSchema)]
pub struct CatalogLink {
    /// Where it leads.
    #[schema(format = "uri", max_length = 2048)]
    href: String,
    /// What is there.
    #[serde(rename = "type")]
    #[schema(max_length = 128, examples("text/html"))]
    media_type: &'static str,
}

/// One interface and what describes it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CatalogEntry {
    /// The interface.
    #[schema(format = "uri", max_length = 2048)]
    anchor: String,
    /// Its description for programs.
    #[schema(max_items = 8)]
    service_desc: Vec<CatalogLink>,
    /// Its description for people.
    #[schema(max_items = 8)]
    service_doc: Vec<CatalogLink>,
    /// What else is known of it.
    #[schema(max_items = 8)]
    service_meta: Vec<CatalogLink>,
}

/// The catalogue of interfaces (RFC 9727) as a link set.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"linkset": [{
    "anchor": "https://dm.example.com/v1",
    "service-desc": [
        {"href": "https://dm.example.com/openapi.json", "type": "application/json"},
        {"href": "https://dm.example.com/asyncapi.json", "type": "application/vnd.aai.asyncapi+json;version=3.0.0"}
    ],
    "service-doc": [{"href": "https://dm.example.com/docs/", "type": "text/html"}],
    "service-meta": [{"href": "https://dm.example.com/.well-known/oauth-authorization-server", "type": "application/json"}]
}]}))]
pub struct Catalog {
    /// The interfaces.
    #[schema(max_items = 8)]
    linkset: Vec<CatalogEntry>,
}

/// Read the catalogue of interfaces
///
/// Each interface this server has, with its descriptions for programs and for people (RFC 9727).
#[utoipa::path(
    tag = "Discovery",
    responses((status = 200, description = "The catalogue.", body = Catalog, content_type = "application/linkset+json"))
)]
#[get("/.well-known/api-catalog")]
pub async fn read_catalog(app: web::Data<App>) -> HttpResponse {
    let link = |path: &str, media_type| vec![CatalogLink { href: app.public_url.join(path), media_type }];
    let entry = CatalogEntry {
        anchor: app.public_url.join("/v1"),
        service_desc: [
            link("/openapi.json", "application/json"),
            link("/openapi.yaml", "application/yaml"),
            link("/asyncapi.json", ASYNCAPI_JSON),
            link("/asyncapi.yaml", ASYNCAPI_YAML),
        ]
        .into_iter()
        .flatten()
        .collect(),
        service_doc: link("/docs/", "text/html"),
        service_meta: link("/.well-known/oauth-authorization-server", "application/json"),
    };
    let mut response = cached();
    for link in LINKS {
        response.append_header((header::LINK, link));
    }
    // `json` sets a content type only where there is none.
    let linkset = "application/linkset+json; profile=\"https://www.rfc-editor.org/info/rfc9727\"";
    response.insert_header((header::CONTENT_TYPE, linkset)).json(Catalog { linkset: vec![entry] })
}

/// The metadata of the token server (RFC 8414).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "issuer": "https://dm.example.com",
    "token_endpoint": "https://dm.example.com/oauth2/token",
    "jwks_uri": "https://dm.example.com/oauth2/jwks",
    "scopes_supported": ["devices:read", "devices:wake", "devices:write", "jobs:read", "jobs:write"],
    "response_types_supported": [],
    "grant_types_supported": ["client_credentials"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    "service_documentation": "https://dm.example.com/docs/"
}))]
pub struct AuthorizationServer {
    /// Who issues the tokens.
    #[schema(format = "uri", max_length = 2048)]
    issuer: String,
    /// Where tokens are got.
    #[schema(format = "uri", max_length = 2048)]
    token_endpoint: String,
    /// Where the public keys are.
    #[schema(format = "uri", max_length = 2048)]
    jwks_uri: String,
    /// The scopes there are.
    #[schema(max_items = 64)]
    scopes_supported: Vec<&'static str>,
    /// None: there is no authorization endpoint.
    #[schema(max_items = 8)]
    response_types_supported: Vec<&'static str>,
    /// Client credentials only.
    #[schema(max_items = 8)]
    grant_types_supported: Vec<&'static str>,
    /// How a client says who it is.
    #[schema(max_items = 8)]
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    /// What people should read.
    #[schema(format = "uri", max_length = 2048)]
    service_documentation: String,
}

/// Read the metadata of the token server
///
/// What a client needs to know to get a token: addresses, scopes and ways to authenticate (RFC 8414).
#[utoipa::path(tag = "OAuth2", responses((status = 200, description = "The metadata.", body = AuthorizationServer)))]
#[get("/.well-known/oauth-authorization-server")]
pub async fn read_authorization_server(app: web::Data<App>) -> HttpResponse {
    cached().json(AuthorizationServer {
        issuer: app.public_url.as_str().to_owned(),
        token_endpoint: app.public_url.join("/oauth2/token"),
        jwks_uri: app.public_url.join("/oauth2/jwks"),
        scopes_supported: Scope::ALL.iter().map(|scope| scope.as_str()).collect(),
        response_types_supported: vec![],
        grant_types_supported: vec!["client_credentials"],
        token_endpoint_auth_methods_supported: vec!["client_secret_basic", "client_secret_post"],
        service_documentation: app.public_url.join("/docs/"),
    })
}

/// The public keys tokens are verified with (RFC 7517).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"keys": [{
    "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k1",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
}]}))]
pub struct Jwks {
    /// The keys; the first signs at present.
    #[schema(max_items = 16)]
    keys: Vec<Jwk>,
}

/// Read the keys that verify access tokens
///
/// The first signs at present; the others still verify what they signed (RFC 7517).
#[utoipa::path(
    tag = "OAuth2",
    responses((status = 200, description = "The keys.", body = Jwks, content_type = "application/jwk-set+json"))
)]
#[get("/oauth2/jwks")]
pub async fn read_jwks(app: web::Data<App>) -> HttpResponse {
    // Short, so that a new key is seen before much is signed with it.
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .insert_header((header::CONTENT_TYPE, "application/jwk-set+json"))
        .json(Jwks { keys: app.keys.ring.jwks() })
}

/// What a kind of problem means.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "type": "https://dm.example.com/problems/not-found",
    "title": "There is no such thing",
    "status": 404,
    "code": "NOT_FOUND",
    "explanation": "The address or id names nothing, or nothing that belongs to your organisation."
}))]
pub struct ProblemType {
    /// Its identifier, which is this address.
    #[serde(rename = "type")]
    #[schema(format = "uri", max_length = 2048)]
    kind: String,
    /// Its title.
    #[schema(max_length = 128, examples("The request cannot be understood"))]
    title: &'static str,
    /// The status it goes with.
    #[schema(minimum = 400, maximum = 599, examples(400))]
    status: u16,
    /// Its code.
    #[schema(max_length = 96, examples("INVALID_ARGUMENT"))]
    code: &'static str,
    /// What it means and what to do.
    #[schema(max_length = 1024)]
    explanation: &'static str,
}

/// Read what a kind of problem means
///
/// The `type` of every problem leads here. Answers in HTML where that is asked for, as a browser does.
#[utoipa::path(
    tag = "Discovery",
    params((
        "problemType" = String, Path, description = "The last segment of the problem's `type`.",
        max_length = 96, pattern = "^[a-z0-9-]{1,96}$", example = "invalid-argument"
    )),
    responses((status = 200, description = "What it means.", content(
        (ProblemType = "application/json"),
        (String = "text/html", example = json!("<!doctype html><html lang=\"en\"><title>There is no such thing</title></html>"))
    )))
)]
#[get("/problems/{problemType}")]
pub async fn read_problem_type(
    app: web::Data<App>,
    slug: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let code = Code::ALL.iter().copied().find(|code| code.slug() == *slug);
    let code = code.ok_or_else(|| Problem::not_found("kind of problem"))?;
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        // Nothing here comes from the caller or needs escaping: a test sees to it.
        let (title, status) = (code.title(), code.status());
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1><p>{}</p><p>{} \u{b7} {status}</p></html>",
            code.explanation(),
            code.as_str(),
        );
        return Ok(cached().content_type(ContentType::html()).body(page));
    }
    Ok(cached().json(ProblemType {
        kind: app.public_url.join(&format!("/problems/{}", code.slug())),
        title: code.title(),
        status: code.status().as_u16(),
        code: code.as_str(),
        explanation: code.explanation(),
    }))
}

fn cached() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "public, max-age=3600"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_about_problems_need_no_escaping() {
        for code in Code::ALL {
            let words = [code.title(), code.explanation(), code.as_str()].concat();
            assert!(!words.contains(['<', '>', '&', '"']), "{code:?}");
        }
    }
}
