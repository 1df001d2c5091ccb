//! Deliveries of a subscription: what became of each, and having one made again.
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, get, post, web};
use dmwsi_domain::Error;
use dmwsi_domain::Timestamp;
use dmwsi_domain::delivery::{Attempt, DeliveryState};
use dmwsi_domain::id::{EventId, SubscriptionId};
use dmwsi_store::deliveries::{Delivery, DeliveryPage};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::allowed::{Allowed, SubscriptionsRead, SubscriptionsWrite};
use crate::cursor::List;
use crate::idempotency::{Answer, Idempotency};
use crate::page::{Page, PerPage};
use crate::problem::Problem;
use crate::query::Query;

/// An event on its way to a subscriber, or what became of that.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery, example = json!({
    "eventId": "evt_019a8e5d3c7b7f10a1b2c3d4e5f60718", "eventType": "dmwsi.v1.device-alert", "sequence": "00000000000000001234", "state": "PENDING",
    "attempts": [{"at": "2026-11-21T10:16:02Z", "responseStatus": 503, "durationMs": 41, "error": "THROTTLED"}],
    "nextAttemptAt": "2026-11-21T10:16:07Z", "createdAt": "2026-11-21T10:16:02Z"
}))]
pub struct DeliveryView {
    /// The event: the id of the CloudEvent, and the header `webhook-id`.
    pub event_id: EventId,
    /// Its type.
    #[schema(max_length = 64)]
    pub event_type: String,
    /// Its number in the log of your organisation.
    #[schema(max_length = 20, pattern = "^[0-9]{20}$")]
    pub sequence: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// The attempts, the last 24.
    #[schema(max_items = 24)]
    pub attempts: Vec<Attempt>,
    /// When it is tried next; absent when it is over, or waits for an earlier one of the same device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// When it was taken up.
    pub created_at: Timestamp,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            event_id: delivery.event,
            event_type: delivery.kind,
            sequence: format!("{:020}", delivery.number),
            state: delivery.state,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_at,
            created_at: delivery.created_at,
        }
    }
}

/// Which deliveries a list holds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveriesQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many deliveries a page has.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
    /// Only those in this state.
    #[param(inline)]
    state: Option<DeliveryState>,
}

/// List the deliveries of a subscription, the newest first
///
/// Each with its attempts: when, how long, by which status or error they ended. Nothing of a receiver's answer but its status is kept.
#[utoipa::path(
    tag = "Subscriptions",
    params(("subscriptionId" = SubscriptionId, Path, description = "The subscription."), DeliveriesQuery),
    responses((status = 200, description = "A page of deliveries.", body = Page<DeliveryView>)),
    security(("oauth2" = ["subscriptions:read"]))
)]
#[get("/v1/subscriptions/{subscriptionId}/deliveries")]
pub async fn list_deliveries(
    allowed: Allowed<SubscriptionsRead>,
    id: web::Path<SubscriptionId>,
    query: Query<DeliveriesQuery>,
) -> Result<Page<DeliveryView>, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let subscription = id.into_inner();
    let list = List::new(caller.client, "deliveries", &(subscription, query.state))?;
    let before = list.position(&app.keys.sealer, query.cursor.as_deref())?;
    let page = DeliveryPage { subscription, before, state: query.state, limit: query.per_page.and_one() };
    let found = app.store.read(move |tx| {
        tx.subscription_of(caller.client, subscription)?;
        tx.deliveries(&page)
    });
    Ok(Page::cut(
        found.await?,
        query.per_page,
        |last: &Delivery| list.cursor(&app.keys.sealer, &last.number),
        |one| Ok(DeliveryView::from(one)),
    )?)
}

/// Have one event delivered again
///
/// Whatever became of it: with the same `webhook-id`, and with all its attempts before it.
#[utoipa::path(
    tag = "Subscriptions",
    params(
        ("subscriptionId" = SubscriptionId, Path, description = "The subscription."),
        ("eventId" = EventId, Path, description = "The event."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe.")
    ),
    responses(
        (status = 202, description = "It will be delivered."),
        (status = 409, description = "The subscription is over, or the first request with this key still runs.")
    ),
    security(("oauth2" = ["subscriptions:write"]))
)]
#[post("/v1/subscriptions/{subscriptionId}/deliveries/{eventId}/redeliver")]
pub async fn redeliver_event(
    allowed: Allowed<SubscriptionsWrite>,
    path: web::Path<(SubscriptionId, EventId)>,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let idempotency = Idempotency::of(&app, &caller, &request, &[])?;
    let (now, ids, (id, event)) = (app.clock.now(), app.clock.new_ids(), path.into_inner());
    let begun = app.store.write(move |tx| {
        let mut ids = ids;
        idempotency.once(tx, |tx| {
            let held = tx.subscription_held(caller.organisation, caller.client, id)?;
            if held.status.is_over() {
                return Err(Error::conflict("INCOMPATIBLE_STATE", "the subscription is over"));
            }
            if tx.redeliver(&held, event, now, &mut ids)? {
                Ok(Answer::empty(StatusCode::ACCEPTED))
            } else {
                Err(Error::NotFound { what: "delivery of the subscription" })
            }
        })
    });
    Ok(begun.await?)
}
