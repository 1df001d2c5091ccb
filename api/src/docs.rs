//! The OpenAPI document as served, and Swagger UI on it.
use actix_web::dev::ResourceDef;
use actix_web::http::Method;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use openssl::sha::sha256;
use utoipa_swagger_ui::{Config, SwaggerUi, oauth};

use crate::app::App;
use crate::openapi::{methods, openapi};

/// The document, rendered once.
pub(crate) struct Document {
    json: Bytes,
    yaml: Bytes,
    etag: String,
    routes: Vec<(ResourceDef, Vec<Method>)>,
}

impl Document {
    pub(crate) fn render() -> Self {
        let document = openapi();
        let routes = document.paths.paths.iter().map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item))).collect();
        // Both are written from a value in memory, which cannot fail: were it otherwise, a test would find them empty.
        let json = Bytes::from(document.to_json().unwrap_or_default());
        let yaml = Bytes::from(document.to_yaml().unwrap_or_default());
        let etag = format!("\"{}\"", sha256(&json).iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>());
        Self { json, yaml, etag, routes }
    }

    /// The methods of `path` in the document.
    pub(crate) fn methods_of(&self, path: &str) -> Vec<Method> {
        self.routes.iter().find(|(route, _)| route.is_match(path)).map(|(_, methods)| methods.clone()).unwrap_or_default()
    }

    /// The methods of a route, by its pattern.
    pub(crate) fn methods_at(&self, pattern: &str) -> Option<&[Method]> {
        self.routes.iter().find(|(route, _)| route.pattern() == Some(pattern)).map(|(_, methods)| methods.as_slice())
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
    app.document.answer(&request, "application/json", &app.document.json)
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
    app.document.answer(&request, "application/yaml", &app.document.yaml)
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
