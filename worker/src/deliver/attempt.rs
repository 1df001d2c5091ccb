//! One attempt at one delivery.
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::delivery::{Attempt, DeliveryError};
use dmwsi_domain::event::Recorded;
use dmwsi_domain::{Clock, Result, Timestamp};
use dmwsi_store::deliveries::Due;
use dmwsi_store::webhook_secrets::seconds;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use tokio::time::Instant;

use super::Deliverer;
use super::handshake::REQUEST_ORIGIN;
use super::target::Target;
use crate::egress::is_forbidden;

/// How much of an answer's body is read, so that its connection can be used again; nothing of it is kept.
const MOST_OF_BODY: usize = 8 * 1_024;

/// How long that may take.
const BODY_WITHIN: Duration = Duration::from_secs(2);

/// What came of an attempt.
pub(super) struct Ended {
    pub(super) due: Due,
    pub(super) attempt: Attempt,
    /// The revision that the subscription had.
    pub(super) revision: i64,
    /// How long the receiver wants to be left alone.
    pub(super) asked: Option<Duration>,
}

/// How a request ended.
struct Answered {
    status: Option<StatusCode>,
    error: Option<DeliveryError>,
    asked: Option<Duration>,
}

impl Answered {
    const fn failed(error: DeliveryError) -> Self {
        Self { status: None, error: Some(error), asked: None }
    }
}

/// Makes it.
pub(super) async fn attempt(deliverer: Arc<Deliverer>, target: Arc<Target>, due: Due) -> Ended {
    let (at, began) = (deliverer.means.clock.now(), Instant::now());
    let answered = match due.event.told() {
        None => Answered::failed(DeliveryError::Unreadable),
        Some(recorded) => deliverer.send(&target, due.number, recorded, at).await.unwrap_or_else(|error| {
            tracing::error!(cause = ?error, subscription = %target.subscription.id, "an event could not be made ready to be delivered");
            Answered::failed(DeliveryError::NotReady)
        }),
    };
    let outcome = if answered.error.is_none() { "delivered" } else { "failed" };
    metrics::counter!("dmwsi_deliveries_total", "outcome" => outcome).increment(1);
    let attempt = Attempt {
        at,
        response_status: answered.status.map(|status| status.as_u16()),
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: answered.error,
    };
    Ended { due, attempt, revision: target.subscription.revision, asked: answered.asked }
}

impl Deliverer {
    async fn send(&self, target: &Target, number: u64, recorded: &Recorded, at: Timestamp) -> Result<Answered> {
        let sink = match self.means.guard.judge_at_use(target.sink.as_ref()).await {
            Ok(sink) => sink,
            Err(_forbidden) => return Ok(Answered::failed(DeliveryError::AddressForbidden)),
        };
        let Some(http) = self.clients.of(&target.subscription, &target.secrets) else {
            return Ok(Answered::failed(DeliveryError::CredentialRefused));
        };
        let id = recorded.id.to_string();
        let body = self.body(target, number, recorded.clone())?;
        let signature = target.secrets.signatures(&id, at, &body)?;
        let mut request = http
            .post(sink.clone())
            .header(CONTENT_TYPE, "application/cloudevents+json")
            .header(REQUEST_ORIGIN, self.origin())
            .header("webhook-id", &id)
            .header("webhook-timestamp", seconds(at))
            .header("webhook-signature", signature);
        if let Some(correlator) = &recorded.correlator {
            request = request.header("x-correlator", correlator);
        }
        let bearer = match self.bearer(target).await {
            Ok(bearer) => bearer,
            Err(error) => return Ok(Answered::failed(error)),
        };
        if let Some(Ok(mut value)) = bearer.map(|token| HeaderValue::from_str(&format!("Bearer {token}"))) {
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        Ok(match request.body(body).send().await {
            Ok(response) => {
                let answered = judge(&response, &self.means.clock);
                if answered.status == Some(StatusCode::UNAUTHORIZED) {
                    self.tokens.forget(target.subscription.id);
                }
                drain(response).await;
                answered
            }
            Err(error) if is_forbidden(&error) => Answered::failed(DeliveryError::AddressForbidden),
            Err(error) if error.is_timeout() => Answered::failed(DeliveryError::TimedOut),
            Err(_unreachable) => Answered::failed(DeliveryError::Unreachable),
        })
    }
}

fn judge(response: &Response, clock: &Clock) -> Answered {
    let status = response.status();
    let error = match status {
        status if status.is_success() => None,
        StatusCode::GONE => Some(DeliveryError::Gone),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(DeliveryError::Throttled),
        status if status.is_redirection() => Some(DeliveryError::Redirected),
        _ => Some(DeliveryError::Refused),
    };
    let said = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).filter(|_| error.is_some());
    let asked = said.and_then(|text| match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_date) => Timestamp::parse_http_date(text).ok().map(|at| at.since(clock.now())),
    });
    Answered { status: Some(status), error, asked }
}

/// Reads the body away, if there is not much of it.
async fn drain(mut response: Response) {
    let read = async {
        let mut length = 0_usize;
        while let Ok(Some(chunk)) = response.chunk().await {
            length = length.saturating_add(chunk.len());
            if length > MOST_OF_BODY {
                return;
            }
        }
    };
    // Whatever comes of it: the status has been said.
    drop(tokio::time::timeout(BODY_WITHIN, read).await);
}
