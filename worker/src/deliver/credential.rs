//! What is presented to receivers: bearer tokens, given or had from a token endpoint.
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dmwsi_domain::Timestamp;
use dmwsi_domain::delivery::DeliveryError;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_store::webhook_secrets::SinkCredential;
use oauth2::basic::BasicClient;
use oauth2::{AsyncHttpClient, ClientId, ClientSecret, HttpRequest, HttpResponse, Scope, TokenResponse as _, TokenUrl};
use url::Url;

use super::Deliverer;
use super::target::Target;
use crate::egress::Guard;

/// How long before its end a token is renewed.
const BEFORE_END: Duration = Duration::from_secs(30);

/// How long a token is used of which nobody says when it ends.
const UNKNOWN_LIFE: Duration = Duration::from_secs(300);

/// The longest answer of a token endpoint, in bytes.
const MOST_OF_ANSWER: usize = 64 * 1_024;

/// How long nobody is asked again who gave no token.
const AFTER_REFUSAL: Duration = Duration::from_secs(2);

/// What proves who asks by a JWT (RFC 7523, 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How many tokens are remembered.
const CAPACITY: usize = 10_000;

/// What token endpoints said, until when that counts, and by which revision of their subscriptions.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<SubscriptionId, Known>>);

#[derive(Clone, Default)]
struct Known {
    /// None where none was had.
    token: Option<String>,
    until: Timestamp,
    revision: i64,
    /// Held by who asks, so that the others wait for what comes of it.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Tokens {
    /// Forgets a token that was not taken.
    pub(super) fn forget(&self, id: SubscriptionId) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&id) {
            known.until = Timestamp::default();
        }
    }

    fn get(&self, id: SubscriptionId) -> Known {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= CAPACITY && !tokens.contains_key(&id) {
            tokens.clear();
        }
        tokens.entry(id).or_default().clone()
    }

    fn put(&self, id: SubscriptionId, token: Option<String>, until: Timestamp, revision: i64) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tokens.entry(id).or_default();
        (known.token, known.until, known.revision) = (token, until, revision);
    }
}

impl Known {
    fn counts(&self, revision: i64, now: Timestamp) -> bool {
        now < self.until && self.revision == revision
    }
}

/// What a token endpoint did instead of answering.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("the server does not connect to that address")]
    Forbidden,
    #[error("the answer is too long")]
    TooLong,
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Malformed(#[from] oauth2::http::Error),
}

impl Deliverer {
    /// The token to present, where one is wanted.
    pub(super) async fn bearer(&self, target: &Target) -> Result<Option<String>, DeliveryError> {
        let (token_url, client_id, client_secret, scope) = match &target.secrets.credential {
            None | Some(SinkCredential::Certificate { .. }) => return Ok(None),
            Some(SinkCredential::AccessToken { token, .. }) => return Ok(Some(token.clone())),
            Some(SinkCredential::ClientCredentials { token_url, client_id, client_secret, scope }) => {
                (token_url, client_id, Some(client_secret), scope)
            }
            Some(SinkCredential::PrivateKeyJwt { token_url, client_id, scope }) => (token_url, client_id, None, scope),
        };
        let (id, revision) = (target.subscription.id, target.subscription.revision);
        let mut known = self.tokens.get(id);
        let asking = Arc::clone(&known.asking);
        let _asking = if known.counts(revision, self.means.clock.now()) { None } else { Some(asking.lock().await) };
        known = self.tokens.get(id);
        if known.counts(revision, self.means.clock.now()) {
            return known.token.map(Some).ok_or(DeliveryError::CredentialRefused);
        }
        let token_url = TokenUrl::new(token_url.clone()).map_err(|_malformed| DeliveryError::AddressForbidden)?;
        let now = || self.means.clock.now();
        let mut client = BasicClient::new(ClientId::new(client_id.clone())).set_token_uri(token_url.clone());
        let mut assertion = None;
        match client_secret {
            Some(secret) => client = client.set_client_secret(ClientSecret::new(secret.clone())),
            None => {
                let signed = (self.means.assert)(client_id, token_url.as_str(), now());
                assertion = Some(signed.map_err(|error| {
                    tracing::error!(cause = ?error, subscription = %id, "no assertion could be made for a token endpoint");
                    DeliveryError::CredentialRefused
                })?);
            }
        }
        let mut asked = client.exchange_client_credentials();
        if let Some(assertion) = assertion {
            asked = asked.add_extra_param("client_assertion_type", JWT_BEARER).add_extra_param("client_assertion", assertion);
        }
        for scope in scope.iter().flat_map(|scopes| scopes.split_ascii_whitespace()) {
            asked = asked.add_scope(Scope::new(scope.to_owned()));
        }
        let http = Guarded { guard: self.means.guard.clone(), http: self.clients.common().clone() };
        let answer = asked.request_async(&http).await.map_err(|error| {
            tracing::debug!(subscription = %id, "no token for a receiver: {error}");
            self.tokens.put(id, None, now().plus(AFTER_REFUSAL), revision);
            DeliveryError::CredentialRefused
        })?;
        let life = answer.expires_in().unwrap_or(UNKNOWN_LIFE);
        let token = answer.access_token().secret().clone();
        self.tokens.put(id, Some(token.clone()), now().plus(life.saturating_sub(BEFORE_END.min(life / 2))), revision);
        Ok(Some(token))
    }
}

/// Asks token endpoints, by the same guard as receivers.
struct Guarded {
    guard: Guard,
    http: reqwest::Client,
}

impl<'c> AsyncHttpClient<'c> for Guarded {
    type Error = Unanswered;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Unanswered>> + Send + 'static>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let (guard, http) = (self.guard.clone(), self.http.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let url = Url::parse(&parts.uri.to_string()).map_err(|_malformed| Unanswered::Forbidden)?;
            guard.judge_at_use(Some(&url)).await.map_err(|_forbidden| Unanswered::Forbidden)?;
            let mut response = http.request(parts.method, url).headers(parts.headers).body(body).send().await?;
            let mut answer = oauth2::http::Response::builder().status(response.status());
            for (name, value) in response.headers() {
                answer = answer.header(name, value);
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > MOST_OF_ANSWER {
                    return Err(Unanswered::TooLong);
                }
            }
            Ok(answer.body(body)?)
        })
    }
}
