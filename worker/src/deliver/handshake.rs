//! Asking a receiver whether it wants the events (CloudEvents HTTP 1.1 Web Hooks, 4): nobody is sent anything that they did not ask for.
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{Agreement, Subscription, SubscriptionStatus, allowed_rate};
use dmwsi_domain::{Error, Result};
use reqwest::Method;
use url::Url;

use super::{Deliverer, Means};
use crate::queue::{Context, Outcome};

/// Who asks, and who may send.
pub(super) const REQUEST_ORIGIN: &str = "webhook-request-origin";
const ALLOWED_ORIGIN: &str = "webhook-allowed-origin";
/// Where the receiver can agree later.
const REQUEST_CALLBACK: &str = "webhook-request-callback";
/// How many deliveries a minute.
const REQUEST_RATE: &str = "webhook-request-rate";
const ALLOWED_RATE: &str = "webhook-allowed-rate";

/// What a receiver said.
#[derive(Clone, Copy)]
enum Said {
    /// It wants the events, at most so many a minute.
    Yes(Option<u32>),
    /// It did not say that it does.
    Nothing,
}

/// Asks once; the queue comes again as often as the settings say, and when it is time to ask anew.
pub(super) async fn shake_hands(deliverer: Arc<Deliverer>, id: SubscriptionId, context: &Context) -> Result<Outcome> {
    let Means { store, clock, settings, .. } = &deliverer.means;
    let found = match store.glance(move |tx| tx.subscription(id)).await {
        Ok(found) => found,
        Err(Error::NotFound { .. }) => return Ok(Outcome::Done),
        Err(error) => return Err(error),
    };
    let holds = Duration::from_millis(settings.handshake_renew_ms.max(1));
    match (found.status, found.agreement) {
        (SubscriptionStatus::ActivationRequested, _) => {}
        (SubscriptionStatus::Active, Some(agreement)) => {
            let end = agreement.at.plus(holds);
            if end > clock.now() {
                return Ok(Outcome::Progress(end));
            }
        }
        _ => return Ok(Outcome::Done),
    }
    let wait = usize::try_from(context.attempt.saturating_sub(1)).ok();
    let wait = wait.and_then(|at| settings.handshake_retry_ms.get(at).copied());
    let said = deliverer.ask_receiver(&found).await?;
    if let (Said::Nothing, Some(wait)) = (&said, wait) {
        return Ok(Outcome::RetryAfter(Duration::from_millis(wait), "the receiver did not agree".to_owned()));
    }
    let (now, ids) = (clock.now(), clock.new_ids());
    let has_agreed = matches!(said, Said::Yes(_));
    let write = move |tx: &mut dmwsi_store::Tx<'_>| {
        let mut ids = ids;
        let mut held = tx.subscription_held(found.organisation, found.client, id)?;
        if held.revision != found.revision {
            return Err(Error::Stale { what: "subscription" });
        }
        match said {
            Said::Yes(rate) => tx.agree(&mut held, Agreement { at: now, rate }, now, &mut ids),
            Said::Nothing => tx.disagree(&mut held, now, &mut ids),
        }
    };
    match store.write(write).await {
        Ok(()) if has_agreed => Ok(Outcome::Progress(now.plus(holds))),
        Ok(()) | Err(Error::NotFound { .. }) => Ok(Outcome::Done),
        // It was changed meanwhile, and is asked anew.
        Err(Error::Stale { .. }) => Ok(Outcome::Progress(now)),
        Err(error) => Err(error),
    }
}

impl Deliverer {
    /// The name by which this server asks.
    pub(super) fn origin(&self) -> String {
        let url = Url::parse(&self.means.public_url).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    async fn ask_receiver(&self, subscription: &Subscription) -> Result<Said> {
        let (sink, origin) = (Url::parse(&subscription.sink).ok(), self.origin());
        let Ok(sink) = self.means.guard.judge_at_use(sink.as_ref()).await else { return Ok(Said::Nothing) };
        let secrets = self.means.sealing.open_webhook(subscription.id, &subscription.secrets)?;
        let Some(http) = self.clients.of(subscription, &secrets) else { return Ok(Said::Nothing) };
        let consent = self.means.sealing.consent(subscription)?;
        let callback = format!("{}/webhooks/{}/consent/{consent}", self.means.public_url, subscription.id);
        let request = http.request(Method::OPTIONS, sink.clone()).header(REQUEST_ORIGIN, &origin);
        let mut request = request.header(REQUEST_CALLBACK, callback);
        if let Some(rate) = subscription.rate {
            request = request.header(REQUEST_RATE, rate);
        }
        let Ok(response) = request.send().await else { return Ok(Said::Nothing) };
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        // The status says nothing; the header does.
        let agrees = header(ALLOWED_ORIGIN).is_some_and(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(&origin));
        Ok(if agrees { Said::Yes(header(ALLOWED_RATE).and_then(allowed_rate)) } else { Said::Nothing })
    }
}
