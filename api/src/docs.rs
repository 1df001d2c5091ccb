//! The OpenAPI and the AsyncAPI document as served, and Swagger UI on the first.
use actix_web::dev::ResourceDef;
use actix_web::http::Method;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use openssl::sha::sha256;
use utoipa_swagger_ui::{Config, SwaggerUi, oauth};

use crate::app::App;
use crate::asyncapi::{asyncapi, asyncapi_yaml};
use crate::openapi::{methods, openapi};

/// The media type of an AsyncAPI document in JSON.
pub(crate) const ASYNCAPI_JSON: &str = "application/vnd.aai.asyncapi+json;version=3.0.0";

/// The media type of an AsyncAPI document in YAML.
pub(crate) const ASYNCAPI_YAML: &str = "application/vnd.aai.asyncapi+yaml;version=3.0.0";

/// A document in both its forms.
struct Rendered {
    json: Bytes,
    yaml: Bytes,
    etag: String,
}

/// The documents, rendered once.
pub(crate) struct Document {
    openapi: Rendered,
    asyncapi: Rendered,
    routes: Vec<(ResourceDef, Vec<Method>)>,
}

impl Document {
    pub(crate) fn render() -> Self {
        let document = openapi();
        let routes = document.paths.paths.iter().map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item))).collect();
        // Both are written from a value in memory, which cannot fail: were it otherwise, a test would find them empty.
        let openapi = Rendered::new(document.to_json().unwrap_or_default(), document.to_yaml().unwrap_or_default());
        let asyncapi = Rendered::new(asyncapi().to_string(), asyncapi_yaml());
        Self { openapi, asyncapi, routes }
    }

    /// The methods of `path` in the document.
    pub(crate) fn methods_of(&self, path: &str) -> Vec<Method> {
        self.routes.iter().find(|(route, _)| route.is_match(path)).map(|(_, methods)| methods.clone()).unwrap_or_default()
    }

    /// The methods of a route, by its pattern.
    pub(crate) fn methods_at(&self, pattern: &str) -> Option<&[Method]> {
        self.routes.iter().find(|(route, _)| route.pattern() == Some(pattern)).map(|(_, methods)| methods.as_slice())
    }
}

impl Rendered {
    fn new(json: String, yaml: String) -> Self {
        let etag = sha256(json.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { json: Bytes::from(json), yaml: Bytes::from(yaml), etag: format!("\"{etag}\"") }
    }

    fn answer(&self, request: &HttpRequest, media_type: &'static str, bytes: &Bytes) -> HttpResponse {
        let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|value| value == self.etag.as_str());
        let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header((header::ETAG, self.etag.as_str()))
            .insert_header((header::CACHE_CONTROL, "public, no-cache"))
            .content_type(media_type);
        if known { response.finish() } else { response.body(bytes.clone()) }
    }
}

/// Read this document as JSON
///
/// What this server does now. `If-None-Match` with the ETag of an earlier read gets 304 while nothing has changed.
#[utoipa::path(
    tag = "Discovery",
    responses((
        status = 200, description = "The OpenAPI document.", body = Object, content_type = "application/json",
        example = json!({"openapi": "3.1.0", "info": {"title": "dmwsi", "version": "0.1.0"}, "paths": {}})
    ))
)]
#[get("/openapi.json")]
pub async fn read_openapi_json(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let document = &app.document.openapi;
    document.answer(&request, "application/json", &document.json)
}

/// Read this document as YAML
///
/// The same document as `/openapi.json`, for people.
#[utoipa::path(
    tag = "Discovery",
    responses((
        status = 200, description = "The OpenAPI document.", body = String, content_type = "application/yaml",
        example = json!("openapi: 3.1.0\ninfo:\n  title: dmwsi\n")
    ))
)]
#[get("/openapi.yaml")]
pub async fn read_openapi_yaml(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let document = &app.document.openapi;
    document.answer(&request, "application/yaml", &document.yaml)
}

/// Read what is told, as JSON
///
/// Every type of event with its schema and an example, and the ways by which events come: AsyncAPI 3.0, made from the same definitions as the
/// OpenAPI document. `If-None-Match` with the ETag of an earlier read gets 304 while nothing has changed.
#[utoipa::path(
    tag = "Discovery",
    responses((
        status = 200, description = "The AsyncAPI document.", body = Object, content_type = "application/vnd.aai.asyncapi+json",
        example = json!({"asyncapi": "3.0.0", "info": {"title": "dmwsi events", "version": "0.1.0"}, "channels": {}})
    ))
)]
#[get("/asyncapi.json")]
pub async fn read_asyncapi_json(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let document = &app.document.asyncapi;
    document.answer(&request, ASYNCAPI_JSON, &document.json)
}

/// Read what is told, as YAML
///
/// The same document as `/asyncapi.json`, for people.
#[utoipa::path(
    tag = "Discovery",
    responses((
        status = 200, description = "The AsyncAPI document.", body = String, content_type = "application/vnd.aai.asyncapi+yaml",
        example = json!("asyncapi: 3.0.0\ninfo:\n  title: dmwsi events\n")
    ))
)]
#[get("/asyncapi.yaml")]
pub async fn read_asyncapi_yaml(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let document = &app.document.asyncapi;
    document.answer(&request, ASYNCAPI_YAML, &document.yaml)
}

/// Swagger UI below `/docs/`; "Authorize" takes a client's id and secret and keeps the token for the browser's session.
pub(crate) fn swagger_ui() -> SwaggerUi {
    let config = Config::new(["../openapi.json"])
        .persist_authorization(true)
        .display_request_duration(true)
        .try_it_out_enabled(true)
        .validator_url("none");
    SwaggerUi::new("/docs/{_:.*}").config(config).oauth(oauth::Config::new().app_name("dmwsi"))
}
