//! Asking a receiver whether it wants the events (CloudEvents HTTP 1.1 Web Hooks, 4): nobody is sent anything that they did not ask for.
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::event::Event;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{InitiationReason, Recovery, StatusReason, Subscription, SubscriptionStatus};
use dmwsi_domain::{Error, Result};
use reqwest::Method;
use url::Url;

use super::Deliverer;
use crate::queue::{Context, Outcome};

/// Who asks, and who may send.
pub(super) const REQUEST_ORIGIN: &str = "webhook-request-origin";
const ALLOWED_ORIGIN: &str = "webhook-allowed-origin";
/// How many deliveries a minute.
const REQUEST_RATE: &str = "webhook-request-rate";
const ALLOWED_RATE: &str = "webhook-allowed-rate";

/// What a receiver said.
enum Said {
    /// It wants the events, at most so many a minute.
    Yes(Option<u32>),
    /// It did not say that it does.
    Nothing,
}

/// Asks once; the queue comes again as often as the settings say.
pub(super) async fn shake_hands(deliverer: Arc<Deliverer>, id: SubscriptionId, context: &Context) -> Result<Outcome> {
    let store = &deliverer.means.store;
    let found = match store.glance(move |tx| tx.subscription(id)).await {
        Ok(found) if found.status == SubscriptionStatus::ActivationRequested => found,
        Ok(_) | Err(Error::NotFound { .. }) => return Ok(Outcome::Done),
        Err(error) => return Err(error),
    };
    let waits = &deliverer.means.settings.handshake_retry_ms;
    let wait = usize::try_from(context.attempt.saturating_sub(1)).ok().and_then(|at| waits.get(at).copied());
    let said = deliverer.ask_receiver(&found).await;
    if let (Said::Nothing, Some(wait)) = (&said, wait) {
        return Ok(Outcome::RetryAfter(Duration::from_millis(wait), "the receiver did not agree".to_owned()));
    }
    let (now, ids) = (deliverer.means.clock.now(), deliverer.means.clock.new_ids());
    let write = move |tx: &mut dmwsi_store::Tx<'_>| {
        let mut ids = ids;
        let mut held = tx.subscription_held(found.organisation, found.client, id)?;
        if held.revision != found.revision {
            return Err(Error::Stale { what: "subscription" });
        }
        match &said {
            Said::Yes(rate) => {
                held.rate = [held.rate, *rate].into_iter().flatten().min();
                (held.status, held.status_reason) = (SubscriptionStatus::Active, None);
                held.changed(now);
                let initiation_reason = InitiationReason::SubscriptionCreated;
                let began = Event::SubscriptionStarted { subscription_id: id, initiation_reason };
                tx.save_subscription(&held, [began], None, now, &mut ids)?;
                if held.purpose.initial {
                    tx.lay_out_last(&held, now, &mut ids)?;
                }
                // What happened while it was asked is delivered now.
                let until = tx.last_number(held.organisation)?;
                if held.starts_after < until {
                    let recovery = Recovery { after: held.starts_after, until, only_failed: false };
                    tx.begin_recovery(&held, recovery, now, &mut ids)?;
                }
                tx.ring_deliveries(&held, now, &mut ids)
            }
            Said::Nothing => {
                (held.status, held.status_reason) = (SubscriptionStatus::Inactive, Some(StatusReason::HandshakeFailed));
                held.changed(now);
                tx.save_subscription(&held, [], None, now, &mut ids)
            }
        }
    };
    match store.write(write).await {
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

    async fn ask_receiver(&self, subscription: &Subscription) -> Said {
        let sink = Url::parse(&subscription.sink).ok().filter(|sink| self.means.guard.judge_sink(sink).is_ok());
        let (Some(sink), origin) = (sink, self.origin()) else { return Said::Nothing };
        let mut request = self.http.request(Method::OPTIONS, sink).header(REQUEST_ORIGIN, &origin);
        if let Some(rate) = subscription.rate {
            request = request.header(REQUEST_RATE, rate);
        }
        let Ok(response) = request.send().await else { return Said::Nothing };
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        // The status says nothing; the header does.
        let agrees = header(ALLOWED_ORIGIN).is_some_and(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(&origin));
        let rate =
            header(ALLOWED_RATE).filter(|rate| *rate != "*").map(|rate| rate.parse::<u32>().unwrap_or(1).clamp(1, 1_000_000));
        if agrees { Said::Yes(rate) } else { Said::Nothing }
    }
}
