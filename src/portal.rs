//! An external system: it uses the public interface and nothing else. The demo, the simulator's registration and the tests are such systems.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dmwsi_objects::dmacc::AuthType;
use dmwsi_simulator::{Behaviour, DeviceProfile};
use oauth2::basic::BasicClient;
use oauth2::{ClientId, ClientSecret, HttpRequest, HttpResponse, TokenResponse as _, TokenUrl};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// How long an answer may take; a job is waited for 30 seconds at most at a time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(30);

/// How long a token is good whose answer does not say.
const UNSAID: Duration = Duration::from_secs(60);

/// The media type of a container.
const CONTAINER: &str = "application/vnd.dmwsi.container.v1+tar";

/// An external system, which gets itself a new token whenever the old one ends.
#[derive(Clone)]
pub struct Portal {
    http: Client,
    base: String,
    id: ClientId,
    secret: ClientSecret,
    token: Arc<Mutex<Token>>,
}

/// A token, and until when it is used.
struct Token {
    text: String,
    until: Instant,
}

/// The interface could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// The server did not answer.
    #[error("the server does not answer")]
    Http(#[from] reqwest::Error),
    /// There is no token to be had.
    #[error("there is no token to be had: {0}")]
    Token(String),
    /// The server refused, for the reason of its problem details.
    #[error("the server answered {status}: {problem}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The problem details, as JSON text.
        problem: String,
    },
    /// The answer is not what the contract says.
    #[error("the answer lacks {0}")]
    Lacking(&'static str),
}

impl Portal {
    /// Logs in with client credentials at the server of that address.
    pub async fn log_in(base: &str, id: &str, secret: &str) -> Result<Self, PortalError> {
        let http = Client::builder().timeout(PATIENCE).redirect(redirect::Policy::none()).build()?;
        let base = base.trim_end_matches('/').to_owned();
        let (id, secret) = (ClientId::new(id.to_owned()), ClientSecret::new(secret.to_owned()));
        let token = token(&http, &base, &id, &secret).await?;
        Ok(Self { http, base, id, secret, token: Arc::new(Mutex::new(token)) })
    }

    /// Sends a request with the token and brings the JSON of the answer; an answer that is no success is an error.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, PortalError> {
        let request = self.request(method, path).await?;
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        Ok(accepted(request.send().await?).await?.json().await?)
    }

    /// Delivers a container and brings the verdict.
    pub async fn deliver(&self, container: Vec<u8>) -> Result<Value, PortalError> {
        let request = self.request(Method::POST, "/v1/containers").await?.header("Content-Type", CONTAINER).body(container);
        Ok(accepted(request.send().await?).await?.json().await?)
    }

    async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, PortalError> {
        let mut kept = self.token.lock().await;
        if kept.until <= Instant::now() {
            *kept = token(&self.http, &self.base, &self.id, &self.secret).await?;
        }
        Ok(self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&kept.text))
    }

    /// Registers a device, to be woken at that address where there is one, and brings its id.
    pub async fn register(&self, profile: &DeviceProfile, ear: Option<SocketAddr>) -> Result<String, PortalError> {
        let made = self.call(Method::POST, "/v1/devices", Some(&device(profile, ear))).await?;
        text(&made, "deviceId")
    }

    /// Registers many devices in one call, as [`device_that`] has them; brings how many were made and how many refused.
    pub async fn import(&self, devices: impl Iterator<Item = Value>) -> Result<(usize, usize), PortalError> {
        let verdicts = self.import_lines(devices.map(|device| format!("{device}\n")).collect()).await?;
        let made = verdicts.lines().filter(|line| line.contains(r#""status":"CREATED""#)).count();
        Ok((made, verdicts.lines().count().saturating_sub(made)))
    }

    /// Registers many devices in one call, each a line of JSON; brings the verdicts, each a line, too.
    pub async fn import_lines(&self, lines: String) -> Result<String, PortalError> {
        let request = self.request(Method::POST, "/v1/devices/imports").await?;
        let request = request.timeout(PATIENCE * 10).header("Content-Type", "application/x-ndjson").body(lines);
        Ok(accepted(request.send().await?).await?.text().await?)
    }

    /// Starts a job and brings its id.
    pub async fn start(&self, operation: &Value, devices: &[String]) -> Result<String, PortalError> {
        let body = json!({"operation": operation, "target": {"type": "DEVICES", "deviceIds": devices}});
        let job = self.call(Method::POST, "/v1/jobs", Some(&body)).await?;
        text(&job, "jobId")
    }

    /// A job, as soon as it has changed or after so many seconds.
    pub async fn job(&self, job: &str, wait: u8) -> Result<Value, PortalError> {
        self.call(Method::GET, &format!("/v1/jobs/{job}?wait={wait}"), None).await
    }

    /// How a device was woken, as the server tells it.
    pub async fn wake(&self, device: &str) -> Result<Value, PortalError> {
        self.call(Method::GET, &format!("/v1/devices/{device}/wake"), None).await
    }

    /// A job on one device.
    pub async fn execution(&self, job: &str, device: &str) -> Result<Value, PortalError> {
        self.call(Method::GET, &format!("/v1/jobs/{job}/executions/{device}"), None).await
    }
}

/// What is registered of a simulated device, which listens at that address if it does.
#[must_use]
pub fn device(profile: &DeviceProfile, ear: Option<SocketAddr>) -> Value {
    device_that(profile, ear, &Behaviour::default())
}

/// The same of a device that behaves so; it is its own name in its certificate, where it proves itself by one.
#[must_use]
pub fn device_that(profile: &DeviceProfile, ear: Option<SocketAddr>, behaviour: &Behaviour) -> Value {
    let push = ear
        .map_or_else(|| json!({"type": "NONE"}), |ear| json!({"type": "UDP", "host": ear.ip().to_string(), "port": ear.port()}));
    let identities: Vec<_> = profile.imei().map(|imei| json!({"type": "IMEI", "value": imei})).into_iter().collect();
    json!({
        "dmIdentity": profile.device,
        "identities": identities,
        "account": account_that(profile, behaviour),
        "pushAddress": push,
        "facts": {"manufacturer": profile.manufacturer, "model": profile.model},
    })
}

/// The account in it.
fn account_that(profile: &DeviceProfile, behaviour: &Behaviour) -> Value {
    let client = match behaviour.client_auth {
        AuthType::Transport => json!({"auth": AuthType::Transport, "name": profile.device}),
        auth => json!({"auth": auth, "name": profile.client_name, "secret": profile.client_secret}),
    };
    let secret = &profile.server_secret;
    let server = behaviour.server_auth.map(|auth| json!({"auth": auth, "name": profile.server_id, "secret": secret}));
    json!({"serverId": profile.server_id, "client": client, "server": server, "everyMessage": behaviour.server_each})
}

/// Gets a token.
async fn token(http: &Client, base: &str, id: &ClientId, secret: &ClientSecret) -> Result<Token, PortalError> {
    let asked = Instant::now();
    let url = TokenUrl::new(format!("{base}/oauth2/token")).map_err(|error| PortalError::Token(error.to_string()))?;
    let client = BasicClient::new(id.clone()).set_client_secret(secret.clone()).set_token_uri(url);
    let carry = |request: HttpRequest| carry(http.clone(), request);
    let token = client.exchange_client_credentials().request_async(&carry).await;
    let token = token.map_err(|error| PortalError::Token(error.to_string()))?;
    let until = asked + token.expires_in().unwrap_or(UNSAID).saturating_sub(MARGIN);
    Ok(Token { text: token.access_token().secret().clone(), until })
}

/// Carries a request of the OAuth2 client.
async fn carry(http: Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = http.execute(request.try_into()?).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut answer = HttpResponse::new(response.bytes().await?.to_vec());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

async fn accepted(response: Response) -> Result<Response, PortalError> {
    let status = response.status();
    if status.is_success() { Ok(response) } else { Err(PortalError::Refused { status, problem: response.text().await? }) }
}

fn text(answer: &Value, name: &'static str) -> Result<String, PortalError> {
    answer.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(PortalError::Lacking(name))
}
