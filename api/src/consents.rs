//! A receiver that was asked whether it wants events agrees later, by the address it was given for that (CloudEvents HTTP 1.1 Web Hooks, 4).
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use dmwsi_domain::Error;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{Agreement, allowed_rate};
use dmwsi_store::subscriptions::HANDSHAKE;

use crate::app::App;
use crate::problem::Problem;

/// How many deliveries a minute the receiver allows.
const ALLOWED_RATE: &str = "webhook-allowed-rate";

/// Agree to be sent events
///
/// For receivers: the address stands in `WebHook-Request-Callback` of the OPTIONS by which they were asked, and is no secret to keep, but none to be guessed.
#[utoipa::path(
    tag = "Subscriptions",
    params(
        ("subscriptionId" = SubscriptionId, Path, description = "The subscription."),
        ("token" = String, Path, description = "What stood in the address.", max_length = 256),
        ("WebHook-Allowed-Rate" = Option<String>, Header, description = "How many deliveries a minute are taken; `*` for any number.", max_length = 16)
    ),
    responses((status = 204, description = "Events will be delivered."))
)]
#[get("/webhooks/{subscriptionId}/consent/{token}")]
pub async fn read_consent(
    app: web::Data<App>,
    path: web::Path<(SubscriptionId, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    agree(&app, path.into_inner(), &request).await
}

/// Agree to be sent events, by POST
///
/// The same as GET, for programs; a body is not read.
#[utoipa::path(
    tag = "Subscriptions",
    params(
        ("subscriptionId" = SubscriptionId, Path, description = "The subscription."),
        ("token" = String, Path, description = "What stood in the address.", max_length = 256),
        ("WebHook-Allowed-Rate" = Option<String>, Header, description = "How many deliveries a minute are taken; `*` for any number.", max_length = 16)
    ),
    responses((status = 204, description = "Events will be delivered."))
)]
#[post("/webhooks/{subscriptionId}/consent/{token}")]
pub async fn give_consent(
    app: web::Data<App>,
    path: web::Path<(SubscriptionId, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    agree(&app, path.into_inner(), &request).await
}

async fn agree(app: &App, (id, token): (SubscriptionId, String), request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let rate = request.headers().get(ALLOWED_RATE).and_then(|value| value.to_str().ok()).and_then(allowed_rate);
    let unknown = || Error::NotFound { what: "subscription" };
    let found = app.store.read(move |tx| tx.subscription(id)).await?;
    // Whoever guesses learns nothing by it.
    if found.status.is_over() || !app.sealing.is_consent(&found, &token) {
        return Err(unknown().into());
    }
    let (now, ids) = (app.clock.now(), app.clock.new_ids());
    let agreed = app.store.write(move |tx| {
        let mut ids = ids;
        let mut held = tx.subscription_held(found.organisation, found.client, id)?;
        if held.status.is_over() || held.sink != found.sink {
            return Err(unknown());
        }
        tx.agree(&mut held, Agreement { at: now, rate }, now, &mut ids)?;
        // From now on it is asked anew when this agreement is old.
        tx.ring_subscription(HANDSHAKE, id, now, now, &mut ids)
    });
    agreed.await?;
    Ok(HttpResponse::NoContent().finish())
}
