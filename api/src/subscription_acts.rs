//! What can be done with a subscription: a new key, a test, and having events delivered again.
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, post, web};
use dmwsi_domain::event::Event;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{Recovery, SubscriptionStatus};
use dmwsi_domain::{Error, Timestamp};
use dmwsi_store::webhook_secrets::WebhookKey;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

use crate::allowed::{Allowed, SubscriptionsWrite};
use crate::body::Body;
use crate::correlator::Correlator;
use crate::idempotency::{Answer, Idempotency};
use crate::problem::{Code, Problem};

/// How long a key that is replaced may still sign, in seconds: a day.
const LONGEST_OVERLAP: u64 = 86_400;

/// How a key is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"overlapSeconds": 3600}))]
pub struct Rotation {
    /// For how long deliveries are signed by the old key, too; 0 to 86,400. With 0 keys that were replaced before end as well.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86_400)]
    pub overlap_seconds: u64,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"signingKey": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}))]
pub struct NewKey {
    /// What deliveries are verified by: the secret `whsec_…` or the public key `whpk_…`.
    #[schema(max_length = 128)]
    pub signing_key: String,
    /// Until when deliveries are signed by the old key, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_key_until: Option<Timestamp>,
}

/// Replace the key of a subscription
///
/// The new key stands in this answer only. While several sign, each delivery has a signature by each of them; one that fits is enough. Another rotation
/// shortens no overlap that was promised before, up to three of them; one without an overlap ends all keys before it at once.
#[utoipa::path(
    tag = "Subscriptions",
    params(
        ("subscriptionId" = SubscriptionId, Path, description = "The subscription."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe.")
    ),
    request_body = Rotation,
    responses(
        (status = 200, description = "The new key.", body = NewKey),
        (status = 409, description = "The subscription is over, or the first request with this key still runs.")
    ),
    security(("oauth2" = ["subscriptions:write"]))
)]
#[post("/v1/subscriptions/{subscriptionId}/secret/rotate")]
pub async fn rotate_secret(
    allowed: Allowed<SubscriptionsWrite>,
    id: web::Path<SubscriptionId>,
    body: Body<Rotation>,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let overlap = body.value.overlap_seconds;
    if overlap > LONGEST_OVERLAP {
        return Err(Problem::new(Code::OutOfRange, "The overlap is too long.").at("/overlapSeconds", "must be 0 to 86400"));
    }
    let idempotency = Idempotency::of(&app, &caller, &request, &body.bytes)?;
    let (now, ids, id) = (app.clock.now(), app.clock.new_ids(), id.into_inner());
    let client = caller.client;
    let signing = app.store.read(move |tx| Ok(tx.subscription_of(client, id)?.signing)).await?;
    let (key, sealing) = (WebhookKey::mint(signing)?, app.sealing.clone());
    let until = (overlap > 0).then(|| now.plus(Duration::from_secs(overlap)));
    let written = app.store.write(move |tx| {
        let mut ids = ids;
        idempotency.once(tx, |tx| {
            let mut held = tx.subscription_held(caller.organisation, caller.client, id)?;
            if held.status.is_over() {
                return Err(Error::conflict("INCOMPATIBLE_STATE", "the subscription is over"));
            }
            let mut secrets = sealing.open_webhook(id, &held.secrets)?;
            secrets.rotate(key.clone(), until, now);
            held.secrets = sealing.seal_webhook(id, &secrets)?;
            held.changed(now);
            tx.save_subscription(&held, [], None, now, &mut ids)?;
            Answer::json(StatusCode::OK, &NewKey { signing_key: key.shown()?, old_key_until: until })
        })
    });
    Ok(written.await?)
}

/// Have an event delivered that means nothing
///
/// To try the receiver: `dmwsi.v1.subscription-test`, on the way that all events take.
#[utoipa::path(
    tag = "Subscriptions",
    params(
        ("subscriptionId" = SubscriptionId, Path, description = "The subscription."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe.")
    ),
    responses(
        (status = 202, description = "It will be delivered.", body = Tested),
        (status = 409, description = "The subscription is not active, or the first request with this key still runs.")
    ),
    security(("oauth2" = ["subscriptions:write"]))
)]
#[post("/v1/subscriptions/{subscriptionId}/test")]
pub async fn test_subscription(
    allowed: Allowed<SubscriptionsWrite>,
    correlator: Correlator,
    id: web::Path<SubscriptionId>,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let idempotency = Idempotency::of(&app, &caller, &request, &[])?;
    let (now, ids, id) = (app.clock.now(), app.clock.new_ids(), id.into_inner());
    let written = app.store.write(move |tx| {
        let mut ids = ids;
        idempotency.once(tx, |tx| {
            let held = tx.subscription_held(caller.organisation, caller.client, id)?;
            if held.status != SubscriptionStatus::Active {
                return Err(Error::conflict("INCOMPATIBLE_STATE", "the subscription is not active"));
            }
            let test =
                held.tells(Event::SubscriptionTest { subscription_id: id }, now, Some(correlator.as_str().to_owned()), &mut ids);
            tx.record(&test)?;
            Answer::json(StatusCode::ACCEPTED, &Tested { event_id: test.id })
        })
    });
    Ok(written.await?)
}

/// An event that will be delivered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"eventId": "evt_019a8e5d3c7b7f10a1b2c3d4e5f60718"}))]
pub struct Tested {
    /// Its id: that of the CloudEvent, and the header `webhook-id`.
    pub event_id: dmwsi_domain::id::EventId,
}

/// What is to be delivered again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"since": "2026-11-21T00:00:00Z", "onlyFailed": true}))]
pub struct NewRecovery {
    /// Events that happened at this time or later. Times do not follow the numbers of the log exactly: what stands between such events comes, too, though
    /// it happened shortly before; one may be missing only where clocks or delays put times out of order by more than a minute.
    pub since: Timestamp,
    /// And before this time, in the same way; until now when absent.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Only those whose delivery was given up. Otherwise all that fit the subscription as it is now, also those it never had.
    #[serde(default = "only_failed")]
    pub only_failed: bool,
}

const fn only_failed() -> bool {
    true
}

/// Have events delivered again
///
/// In the order in which they happened, before what is still pending of the same device, with the ids they had. Receivers know by `webhook-id` what
/// they have already. Nothing is delivered while they are gathered; who asks for something else meanwhile, that is not the continuation of it, gets 409.
#[utoipa::path(
    tag = "Subscriptions",
    params(
        ("subscriptionId" = SubscriptionId, Path, description = "The subscription."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe.")
    ),
    request_body = NewRecovery,
    responses(
        (status = 202, description = "They will be delivered."),
        (status = 409, description = "The subscription is over, other events are still being gathered, or the first request with this key still runs.")
    ),
    security(("oauth2" = ["subscriptions:write"]))
)]
#[post("/v1/subscriptions/{subscriptionId}/recover")]
pub async fn recover_deliveries(
    allowed: Allowed<SubscriptionsWrite>,
    id: web::Path<SubscriptionId>,
    body: Body<NewRecovery>,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let idempotency = Idempotency::of(&app, &caller, &request, &body.bytes)?;
    let NewRecovery { since, until, only_failed } = body.value;
    if until.is_some_and(|until| until <= since) {
        return Err(Problem::invalid("The time has no length.").at("/until", "must lie after since"));
    }
    let (now, ids, id) = (app.clock.now(), app.clock.new_ids(), id.into_inner());
    // Where in the log the times are is looked for while others write: what is added meanwhile has higher numbers.
    let numbers = app.store.read(move |tx| {
        let until = until.map(|until| tx.number_until(caller.organisation, until)).transpose()?;
        Ok((tx.number_before(caller.organisation, since)?, until))
    });
    let (after, until) = numbers.await?;
    let begun = app.store.write(move |tx| {
        let mut ids = ids;
        idempotency.once(tx, |tx| {
            let held = tx.subscription_held(caller.organisation, caller.client, id)?;
            if held.status.is_over() {
                return Err(Error::conflict("INCOMPATIBLE_STATE", "the subscription is over"));
            }
            // What is not laid out yet comes by itself.
            let laid_out = tx.distributed(caller.organisation)?;
            let until = until.map_or(laid_out, |until| until.min(laid_out));
            if after < until {
                tx.begin_recovery(&held, Recovery { after, until, only_failed }, now, &mut ids)?;
            }
            Ok(Answer::empty(StatusCode::ACCEPTED))
        })
    });
    Ok(begun.await?)
}
