//! The token endpoint: client credentials in, an access token out (RFC 6749, 4.4). Its errors have the format of OAuth2.
use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, post, web};
use dmwsi_domain::Error;
use dmwsi_domain::client::{Client, SecretHash};
use dmwsi_domain::id::ClientId;
use dmwsi_domain::scope::Grants;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::read;
use crate::client_credentials::{Credentials, basic};
use crate::client_secret::is_secret_of;
use crate::problem::Problem;

/// What is asked of the token endpoint. Client id and secret come in the header Authorization (Basic) or here, not both.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "only described: the form is read by hand, as a parameter must not stand twice")]
#[schema(example = json!({"grant_type": "client_credentials", "scope": "devices:read jobs:write"}))]
pub struct TokenRequest {
    /// Always `client_credentials`.
    #[schema(max_length = 64, examples("client_credentials"))]
    grant_type: String,
    /// The scopes wanted, with blanks between; all the client has when absent.
    #[schema(max_length = 1024, examples("devices:read jobs:write"))]
    scope: Option<String>,
    /// The client's id.
    #[schema(max_length = 64, examples("cli_019a8e5d3c7b7f10a1b2c3d4e5f60718"))]
    client_id: Option<String>,
    /// The client's secret.
    #[schema(max_length = 128, format = "password")]
    client_secret: Option<String>,
    /// Whom the token is for (RFC 8707): this server, which it is for anyhow.
    #[schema(max_length = 2048, format = "uri")]
    resource: Option<String>,
}

/// An access token.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9.eyJzY29wZSI6ImRldmljZXM6cmVhZCJ9.c2lnbmF0dXJl",
    "token_type": "Bearer",
    "expires_in": 600,
    "scope": "devices:read jobs:write"
}))]
pub struct TokenAnswer {
    /// The token: goes into the header `Authorization: Bearer …`.
    #[schema(max_length = 4096)]
    access_token: String,
    /// Always `Bearer`.
    #[schema(max_length = 16, examples("Bearer"))]
    token_type: &'static str,
    /// How many seconds it is valid.
    #[schema(minimum = 30, maximum = 600, examples(600))]
    expires_in: u32,
    /// What it allows.
    #[schema(value_type = String, max_length = 1024, examples("devices:read jobs:write"))]
    scope: Grants,
}

/// Why there is no token (RFC 6749, 5.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenRefusal {
    /// The code of RFC 6749.
    #[schema(max_length = 64, examples("invalid_client"))]
    error: &'static str,
    /// For people.
    #[schema(max_length = 256, examples("The client is unknown or its secret is wrong."))]
    error_description: &'static str,
    #[serde(skip)]
    status: u16,
    #[serde(skip)]
    retry_after: Option<u64>,
    #[serde(skip)]
    basic: bool,
}

impl TokenRefusal {
    const fn new(error: &'static str, error_description: &'static str) -> Self {
        Self { error, error_description, status: 400, retry_after: None, basic: false }
    }

    fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if self.status == 401 && self.basic {
            response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"dmwsi\", charset=\"UTF-8\""));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response.json(self)
    }
}

/// Get an access token
///
/// Client credentials by Basic (both encodings in use are understood) or in the form. The token holds at most ten minutes; there is no
/// refresh token, ask for a new one.
#[utoipa::path(
    tag = "OAuth2",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token.", body = TokenAnswer),
        (status = 400, description = "The request or its scope is refused.", body = TokenRefusal),
        (status = 401, description = "The client is unknown or its secret is wrong.", body = TokenRefusal),
        (status = 429, description = "Too many wrong secrets for this client within a minute.", body = TokenRefusal),
    )
)]
#[post("/oauth2/token")]
pub async fn create_token(app: web::Data<App>, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let body = match read(&request, payload.into_inner(), "application/x-www-form-urlencoded").await {
        Ok(body) => body,
        Err(_unreadable) => {
            return Ok(TokenRefusal::new("invalid_request", "The body must be a form in UTF-8 of moderate size.").response());
        }
    };
    match grant(&app, request.headers().get(header::AUTHORIZATION), &body).await {
        Ok(answer) => Ok(HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::PRAGMA, "no-cache"))
            .json(answer)),
        Err(Refused::Caller(refusal)) => Ok(refusal.response()),
        Err(Refused::Server(error)) => Err(error.into()),
    }
}

enum Refused {
    Caller(TokenRefusal),
    Server(Error),
}

impl From<TokenRefusal> for Refused {
    fn from(refusal: TokenRefusal) -> Self {
        Self::Caller(refusal)
    }
}

async fn grant(app: &App, authorization: Option<&header::HeaderValue>, body: &[u8]) -> Result<TokenAnswer, Refused> {
    let form = form(body)?;
    let (candidates, by_basic) = credentials(authorization, &form)?;
    let client = authenticate(app, &candidates, by_basic).await?;
    match form.get("grant_type").map(String::as_str) {
        Some("client_credentials") => {}
        Some(_) => return Err(TokenRefusal::new("unsupported_grant_type", "Only client_credentials is supported.").into()),
        None => return Err(TokenRefusal::new("invalid_request", "grant_type is missing.").into()),
    }
    if form.get("resource").is_some_and(|resource| resource.trim_end_matches('/') != app.public_url.as_str()) {
        return Err(TokenRefusal::new("invalid_target", "Tokens are for this server only.").into());
    }
    let scope = match form.get("scope") {
        None => client.scopes.clone(),
        Some(text) => text
            .parse()
            .ok()
            .filter(|wanted| client.scopes.covers(wanted))
            .ok_or(TokenRefusal::new("invalid_scope", "A scope is unknown or was not granted to this client."))?,
    };
    let lifetime = app.settings.token_lifetime_seconds;
    let minted = app.keys.ring.mint(app.public_url.as_str(), client.id, client.organisation, &scope, lifetime, &app.clock);
    let access_token = minted.map_err(|error| Refused::Server(Error::internal(error)))?;
    tracing::info!(client = %client.id, "a token was given to {}", client.id);
    Ok(TokenAnswer { access_token, token_type: "Bearer", expires_in: lifetime.seconds(), scope })
}

/// The form; a parameter without a value counts as absent, and none may stand twice (RFC 6749, 3.2).
fn form(body: &[u8]) -> Result<HashMap<String, String>, TokenRefusal> {
    let mut form = HashMap::new();
    for (name, value) in form_urlencoded::parse(body).filter(|(_, value)| !value.is_empty()) {
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(TokenRefusal::new("invalid_request", "A parameter stands twice."));
        }
    }
    Ok(form)
}

/// What the caller may have meant as its credentials, and whether it said so by Basic.
fn credentials(
    authorization: Option<&header::HeaderValue>,
    form: &HashMap<String, String>,
) -> Result<(Vec<Credentials>, bool), TokenRefusal> {
    let (id, secret) = (form.get("client_id"), form.get("client_secret"));
    let Some(value) = authorization else {
        return match (id, secret) {
            (Some(id), Some(secret)) => Ok((vec![Credentials { id: id.clone(), secret: secret.clone() }], false)),
            _ => {
                Err(TokenRefusal { status: 401, basic: true, ..TokenRefusal::new("invalid_client", "Credentials are missing.") })
            }
        };
    };
    if secret.is_some() {
        return Err(TokenRefusal::new("invalid_request", "The client must authenticate in one way, not in two."));
    }
    let candidates = basic(value);
    if candidates.is_empty() {
        return Err(unknown_client(true));
    }
    if id.is_some_and(|id| candidates.iter().all(|candidate| candidate.id != *id)) {
        return Err(TokenRefusal::new("invalid_request", "client_id is another than in the header Authorization."));
    }
    Ok((candidates, true))
}

/// The client with one of these credentials. An unknown client, a revoked one and a wrong secret get the same answer.
async fn authenticate(app: &App, candidates: &[Credentials], by_basic: bool) -> Result<Client, Refused> {
    let mut named = None;
    for candidate in candidates {
        let Ok(id) = candidate.id.parse::<ClientId>() else { continue };
        named = Some(id);
        // Always read, never remembered here: a revoked client gets no token from the moment it is revoked.
        let found = match app.store.read(move |tx| tx.client(id)).await {
            Ok(client) => Some(client),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(Refused::Server(error)),
        };
        let kept = found.as_ref().map_or(SecretHash([0; 32]), |client| client.secret_hash);
        let right = is_secret_of(&kept, &candidate.secret);
        if let Some(client) = found.filter(|client| right && client.is_active()) {
            return Ok(client);
        }
    }
    let refusal = unknown_client(by_basic);
    let retry_after = named.and_then(|id| app.failed_logins.count(id, app.clock.now()));
    Err(Refused::Caller(match retry_after {
        None => refusal,
        Some(_) => TokenRefusal { status: 429, retry_after, ..refusal },
    }))
}

const fn unknown_client(basic: bool) -> TokenRefusal {
    let refusal = TokenRefusal::new("invalid_client", "The client is unknown or its secret is wrong.");
    TokenRefusal { status: 401, basic, ..refusal }
}
