//! Who calls: the client behind a token, looked up often and read seldom.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use dmwsi_domain::client::Client;
use dmwsi_domain::id::{ClientId, OrganisationId};
use dmwsi_domain::scope::{Grants, Scope};
use dmwsi_domain::{Error, Timestamp};

use crate::app::App;
use crate::problem::{Code, Problem};

/// How long the row of a client is believed: a revoked client stops within this time.
const BELIEVED: Duration = Duration::from_secs(5);

/// How many clients are remembered.
const CAPACITY: usize = 10_000;

/// Who calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The client.
    pub client: ClientId,
    /// Whose client it is.
    pub organisation: OrganisationId,
    /// What people call it.
    pub name: String,
    /// What it may do: what the token says, as far as the client still has it.
    pub scopes: Grants,
    /// When its token ends, which ends what is streamed to it.
    pub expires_at: Timestamp,
}

/// The clients this process has seen lately.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<ClientId, (Client, Timestamp)>>);

impl Clients {
    fn recent(&self, id: ClientId, now: Timestamp) -> Option<Client> {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.get(&id).filter(|(_, read)| now.since(*read) < BELIEVED).map(|(client, _)| client.clone())
    }

    fn remember(&self, client: Client, now: Timestamp) {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CAPACITY {
            clients.clear();
        }
        clients.insert(client.id, (client, now));
    }
}

impl Caller {
    /// The caller whose bearer token is in the headers. Whatever is wrong with it, the answer is the same 401.
    pub(crate) async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut given = headers.get_all(header::AUTHORIZATION);
        let Some(value) = given.next() else { return Err(unauthenticated(None)) };
        let token = bearer(value).filter(|_| given.next().is_none()).ok_or_else(|| unauthenticated(Some("invalid_request")))?;
        let now = app.clock.now();
        let claims = app.keys.ring.verify(token, app.public_url.as_str(), now).map_err(|reason| {
            tracing::debug!(%reason, "an access token was refused: {reason}");
            unauthenticated(Some("invalid_token"))
        })?;
        let client = app.client(claims.client).await?;
        let client = client.filter(|client| client.is_active() && client.organisation == claims.organisation);
        let client = client.ok_or_else(|| unauthenticated(Some("invalid_token")))?;
        Ok(Self {
            client: client.id,
            organisation: client.organisation,
            scopes: claims.scopes.both(&client.scopes),
            name: client.name,
            expires_at: Timestamp::from_micros(claims.expires_at.saturating_mul(1_000_000)),
        })
    }

    /// The caller as it is now, at most five seconds ago; none when the client was revoked meanwhile.
    pub(crate) async fn again(&self, app: &App) -> Result<Option<Self>, Problem> {
        let client = app.client(self.client).await?;
        let client = client.filter(|client| client.is_active() && client.organisation == self.organisation);
        Ok(client.map(|client| Self { scopes: self.scopes.both(&client.scopes), ..self.clone() }))
    }

    /// Refuses a caller who may not do `scope`.
    pub fn needs(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.allows(scope) {
            return Ok(());
        }
        let challenge = format!("Bearer realm=\"dmwsi\", error=\"insufficient_scope\", scope=\"{scope}\"");
        Err(challenged(Problem::new(Code::PermissionDenied, format!("The token lacks the scope {scope}.")), &challenge))
    }
}

impl App {
    /// The client of that id, at most five seconds old.
    async fn client(&self, id: ClientId) -> Result<Option<Client>, Problem> {
        let now = self.clock.now();
        if let Some(client) = self.clients.recent(id, now) {
            return Ok(Some(client));
        }
        match self.store.read(move |tx| tx.client(id)).await {
            Ok(client) => {
                self.clients.remember(client.clone(), now);
                Ok(Some(client))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The token of a header `Bearer …` (RFC 6750, 2.1).
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 401. Without credentials the challenge names no error (RFC 6750, 3.1).
pub(crate) fn unauthenticated(error: Option<&str>) -> Problem {
    let problem = Problem::new(Code::Unauthenticated, "A valid access token is needed.");
    let challenge = error.map_or_else(String::new, |error| format!(", error=\"{error}\""));
    challenged(problem, &format!("Bearer realm=\"dmwsi\"{challenge}"))
}

fn challenged(problem: Problem, challenge: &str) -> Problem {
    match HeaderValue::from_str(challenge) {
        Ok(value) => problem.with_header(header::WWW_AUTHENTICATE, value),
        Err(_impossible) => problem,
    }
}
