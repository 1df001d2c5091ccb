//! Subscriptions: make them, read them, change and end them.
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, web};
use dmwsi_domain::Timestamp;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{InitiationReason, Subscription, SubscriptionStatus};
use dmwsi_store::subscriptions::{HANDSHAKE, SubscriptionPage};
use dmwsi_store::webhook_secrets::{SinkCredential, WebhookSecrets};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::allowed::{Allowed, SubscriptionsRead, SubscriptionsWrite};
use crate::app::App;
use crate::body::{Body, MergePatch};
use crate::callers::Caller;
use crate::correlator::Correlator;
use crate::cursor::List;
use crate::etag::{IfMatch, etag};
use crate::idempotency::{Answer, Idempotency};
use crate::new_subscription::{NewSubscription, in_range};
use crate::page::{Page, PerPage};
use crate::problem::{Code, Problem};
use crate::query::Query;
use crate::sink::{BEFORE_TOKEN, Receiver};
use crate::subscription_patch::{SubscriptionPatch, Switch};
use crate::subscription_view::SubscriptionView;

/// How many subscriptions a client may have that are not over.
pub(crate) const MOST: i64 = 20_000;

/// Subscribe to events
///
/// From now on each event of the types that passes the filter, and that your client may read, is delivered to the sink as a signed CloudEvent
/// (Standard Webhooks), again and again until the sink has taken it. The key to verify by stands in this answer only. What cannot be granted is
/// listed in `rejected`.
#[utoipa::path(
    tag = "Subscriptions",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe.")),
    request_body = NewSubscription,
    responses(
        (status = 201, description = "The subscription was made.", body = SubscriptionView, headers(
            ("Location" = String, description = "Where the subscription is read."),
            ("ETag" = String, description = "Its revision.")
        )),
        (status = 202, description = "The receiver is being asked whether it wants the events (CloudEvents, OPTIONS with `WebHook-Request-Origin`).", body = SubscriptionView, headers(
            ("Location" = String, description = "Where the subscription is read."),
            ("ETag" = String, description = "Its revision.")
        )),
        (status = 409, description = "The first request with this key still runs."),
        (status = 422, description = "Nothing is left of what the filter names, or the client has too many subscriptions.")
    ),
    security(("oauth2" = ["subscriptions:write"]))
)]
#[post("/v1/subscriptions")]
pub async fn create_subscription(
    allowed: Allowed<SubscriptionsWrite>,
    correlator: Correlator,
    body: Body<NewSubscription>,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let idempotency = Idempotency::of(&app, &caller, &request, &body.bytes)?;
    let (now, ids) = (app.clock.now(), app.clock.new_ids());
    let (made, secrets) = body.value.check(&app, &caller, SubscriptionId::new(app.clock.new_id()), now)?;
    let own = app.clone();
    let written = app.store.write(move |tx| {
        let mut ids = ids;
        idempotency.once(tx, |tx| {
            let mut made = made.clone();
            let (device_ids, config) = (&own.keys.device_ids, &body.value.config);
            config.subscription_detail.confirm(tx, device_ids, &caller, &mut made.purpose)?;
            begin(tx, &made, correlator.as_str(), now, &mut ids)?;
            let view = SubscriptionView::new(device_ids, made.clone(), Some(&secrets.current))?;
            let is_asked = made.status == SubscriptionStatus::ActivationRequested;
            let status = if is_asked { StatusCode::ACCEPTED } else { StatusCode::CREATED };
            Ok(Answer::json(status, &view)?.located(&path(made.id)).with(header::ETAG, etag(made.revision)))
        })
    });
    Ok(written.await?)
}

/// Writes a new subscription and that it began.
pub(crate) fn begin(
    tx: &mut dmwsi_store::Tx<'_>,
    made: &Subscription,
    correlator: &str,
    now: Timestamp,
    ids: &mut dmwsi_domain::Ids,
) -> dmwsi_domain::Result<()> {
    tx.insert_subscription(made, MOST)?;
    if made.status == SubscriptionStatus::ActivationRequested {
        return tx.ring_subscription(HANDSHAKE, made.id, now, now, ids);
    }
    let began = Event::SubscriptionStarted { subscription_id: made.id, initiation_reason: InitiationReason::SubscriptionCreated };
    tx.record(&made.tells(began, now, Some(correlator.to_owned()), ids))?;
    if !made.purpose.initial {
        return Ok(());
    }
    let until = tx.last_number(made.organisation)?;
    tx.lay_out_last(made, until, now, ids)
}

/// Where a subscription is read.
pub(crate) fn path(id: SubscriptionId) -> String {
    format!("/v1/subscriptions/{id}")
}

/// Which subscriptions a list holds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubscriptionsQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many subscriptions a page has.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
}

/// List your subscriptions, the newest first
///
/// Those of the client that calls, also those that are over; not those that were deleted.
#[utoipa::path(
    tag = "Subscriptions",
    params(SubscriptionsQuery),
    responses((status = 200, description = "A page of subscriptions.", body = Page<SubscriptionView>)),
    security(("oauth2" = ["subscriptions:read"]))
)]
#[get("/v1/subscriptions")]
pub async fn list_subscriptions(
    allowed: Allowed<SubscriptionsRead>,
    query: Query<SubscriptionsQuery>,
) -> Result<Page<SubscriptionView>, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let list = List::new(caller.client, "subscriptions", &())?;
    let before = list.position(&app.keys.sealer, query.cursor.as_deref())?;
    let page = SubscriptionPage { client: caller.client, before, limit: query.per_page.and_one() };
    let found = app.store.read(move |tx| tx.subscriptions(&page)).await?;
    let page = Page::cut(
        found,
        query.per_page,
        |last: &Subscription| list.cursor(&app.keys.sealer, &last.id),
        |one| SubscriptionView::new(&app.keys.device_ids, one, None),
    );
    Ok(page?)
}

/// Read a subscription
///
/// With how its receiver has been doing; secrets are never shown again.
#[utoipa::path(
    tag = "Subscriptions",
    params(("subscriptionId" = SubscriptionId, Path, description = "The subscription.")),
    responses((status = 200, description = "The subscription.", body = SubscriptionView, headers(("ETag" = String, description = "Its revision.")))),
    security(("oauth2" = ["subscriptions:read"]))
)]
#[get("/v1/subscriptions/{subscriptionId}")]
pub async fn read_subscription(
    allowed: Allowed<SubscriptionsRead>,
    id: web::Path<SubscriptionId>,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let id = id.into_inner();
    let found = app.store.read(move |tx| tx.subscription_of(caller.client, id)).await?;
    shown(&app, found)
}

fn shown(app: &App, subscription: Subscription) -> Result<HttpResponse, Problem> {
    let tag = etag(subscription.revision);
    let view = SubscriptionView::new(&app.keys.device_ids, subscription, None)?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, tag)).json(view))
}

/// Change a subscription
///
/// A merge patch (RFC 7396). It holds from one event to the next: none is missed or delivered by both. Switching it on again goes on with what was
/// pending; what happened while it was off is had by `recover`.
#[utoipa::path(
    tag = "Subscriptions",
    params(
        ("subscriptionId" = SubscriptionId, Path, description = "The subscription."),
        ("If-Match" = String, Header, description = "The revision the change was decided on.")
    ),
    request_body(content = SubscriptionPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The subscription as it is now.", body = SubscriptionView, headers(("ETag" = String, description = "Its revision."))),
        (status = 409, description = "The subscription is over, or was changed at the same time.")
    ),
    security(("oauth2" = ["subscriptions:write"]))
)]
#[patch("/v1/subscriptions/{subscriptionId}")]
pub async fn change_subscription(
    allowed: Allowed<SubscriptionsWrite>,
    correlator: Correlator,
    id: web::Path<SubscriptionId>,
    condition: IfMatch,
    body: Body<SubscriptionPatch, MergePatch>,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let (now, ids, id) = (app.clock.now(), app.clock.new_ids(), id.into_inner());
    let client = caller.client;
    let found = app.store.read(move |tx| tx.subscription_of(client, id)).await?;
    // What the request alone can tell is judged before anything is held.
    let mut changed = found.clone();
    let mut secrets = app.sealing.open_webhook(id, &found.secrets)?;
    apply(&app, &caller, &body.value, &mut changed, &mut secrets, now)?;
    changed.secrets = app.sealing.seal_webhook(id, &secrets)?;
    let (own, patch) = (app.clone(), body.value);
    let written = app.store.write(move |tx| {
        let mut ids = ids;
        let held = tx.subscription_held(caller.organisation, caller.client, id)?;
        condition.check("subscription", held.revision)?;
        if held.revision != found.revision {
            return Err(dmwsi_domain::Error::Stale { what: "subscription" });
        }
        let mut next = changed.clone();
        if let Some(detail) = patch.config.as_ref().and_then(|config| config.subscription_detail.as_ref()) {
            detail.confirm(tx, &own.keys.device_ids, &caller, &mut next.purpose)?;
        }
        let (on, laid_out) = (patch.status.map(|status| status == Switch::Active), tx.distributed(caller.organisation)?);
        let told = next.replace(&held, on, own.asks(&next.sink), laid_out, now)?;
        if next.status == SubscriptionStatus::ActivationRequested {
            tx.ask_anew(id, now, &mut ids)?;
        } else if next.agreement.is_some() {
            tx.ring_subscription(HANDSHAKE, id, now, now, &mut ids)?;
        }
        tx.save_subscription(&next, told, Some(correlator.as_str()), now, &mut ids)?;
        tx.ring_deliveries(&next, now, &mut ids)?;
        Ok(next)
    });
    shown(&app, written.await?)
}

/// Changes what the patch says but for the status.
fn apply(
    app: &App,
    caller: &Caller,
    patch: &SubscriptionPatch,
    changed: &mut Subscription,
    secrets: &mut WebhookSecrets,
    now: Timestamp,
) -> Result<(), Problem> {
    if changed.status.is_over() {
        return Err(Problem::new(Code::IncompatibleState, "The subscription is over."));
    }
    if let Some(credential) = &patch.sink_credential {
        secrets.credential = credential.as_ref().map(|credential| credential.check(app, now)).transpose()?;
    }
    if let Some(sink) = &patch.sink {
        let receiver = Receiver { sink, credential: None, callback_data: None, signing: changed.signing, callback_pointer: "" };
        receiver.check(app, now)?;
        changed.sink.clone_from(sink);
    }
    let config = patch.config.as_ref();
    let detail = config.and_then(|config| config.subscription_detail.as_ref());
    if patch.types.is_some() || detail.is_some() {
        let types: Vec<String> = patch.types.clone().unwrap_or_else(|| changed.purpose.types.iter().cloned().collect());
        let granted = detail.cloned().unwrap_or_default().grant(app, caller, &types)?;
        changed.purpose.types = granted.types;
        changed.purpose.rejected = granted.rejected;
        if detail.is_some() {
            changed.purpose.filter = granted.filter;
        }
    }
    match config.and_then(|config| config.subscription_expire_time) {
        Some(Some(end)) if end <= now => {
            let problem = Problem::invalid("A subscription ends in the future.");
            return Err(problem.at("/config/subscriptionExpireTime", "must lie in the future"));
        }
        Some(end) => changed.purpose.until = end,
        None => {}
    }
    let token_end = match &secrets.credential {
        Some(SinkCredential::AccessToken { expires_at, .. }) => expires_at.map(|end| end.minus(BEFORE_TOKEN)),
        _ => None,
    };
    changed.set_end(token_end);
    if let Some(most) = config.and_then(|config| config.subscription_max_events) {
        changed.max_events = in_range(most, "/config/subscriptionMaxEvents")?;
    }
    if let Some(rate) = config.and_then(|config| config.deliveries_per_minute) {
        changed.rate = in_range(rate, "/config/deliveriesPerMinute")?;
    }
    Ok(())
}

/// Delete a subscription
///
/// What was still to be delivered is not. The receiver is told of the end.
#[utoipa::path(
    tag = "Subscriptions",
    params(("subscriptionId" = SubscriptionId, Path, description = "The subscription.")),
    responses((status = 204, description = "The subscription is deleted.")),
    security(("oauth2" = ["subscriptions:write"]))
)]
#[delete("/v1/subscriptions/{subscriptionId}")]
pub async fn delete_subscription(
    allowed: Allowed<SubscriptionsWrite>,
    correlator: Correlator,
    id: web::Path<SubscriptionId>,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let (now, ids, id) = (app.clock.now(), app.clock.new_ids(), id.into_inner());
    let deleted = app.store.write(move |tx| {
        let mut ids = ids;
        let mut held = tx.subscription_held(caller.organisation, caller.client, id)?;
        let told = held.delete(tx.distributed(caller.organisation)?, now);
        // What stands before this goes bit by bit.
        tx.ring_deliveries(&held, now, &mut ids)?;
        tx.save_subscription(&held, told, Some(correlator.as_str()), now, &mut ids)
    });
    deleted.await?;
    Ok(HttpResponse::NoContent().finish())
}
