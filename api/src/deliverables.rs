//! Deliverables: what can be brought onto devices.
use actix_web::{get, web};
use dmwsi_domain::Timestamp;
use dmwsi_domain::container::ContainerState;
use dmwsi_domain::deliverable::{Deliverable, DeliverableKind, DeliverableSpec};
use dmwsi_domain::id::{ContainerId, DeliverableId};
use dmwsi_store::DeliverablePage;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::allowed::{Allowed, ContainersRead};
use crate::cursor::List;
use crate::page::{Page, PerPage};
use crate::problem::Problem;
use crate::query::Query;

/// A deliverable that was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Deliverable, example = json!({
    "deliverableId": "dlv_019a8e5d3c7b7f10a1b2c3d4e5f60718", "containerId": "con_019a8e5d3c7b7f10a1b2c3d4e5f60718", "reference": "fw-acme-x1-2.4.0",
    "kind": "FIRMWARE", "state": "AVAILABLE", "receivedAt": "2026-11-21T10:15:30Z",
    "manifest": {
        "deliverableId": "fw-acme-x1-2.4.0", "kind": "FIRMWARE", "name": "X1 firmware", "version": "2.4.0",
        "targets": [{"manufacturer": "Acme", "models": ["X1"], "versionScheme": "DOTTED_NUMERIC"}],
        "payloads": [{"payloadId": "p0", "path": "payloads/x1-2.4.0.bin", "size": 10485760, "digests": {"sha-256": "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"}}]
    }
}))]
pub struct DeliverableView {
    /// Its id here.
    pub deliverable_id: DeliverableId,
    /// The container it came in.
    pub container_id: ContainerId,
    /// How its originator calls it.
    #[schema(max_length = 256)]
    pub reference: String,
    /// What it is.
    pub kind: DeliverableKind,
    /// The state of its container; it can be distributed while that is `AVAILABLE`.
    pub state: ContainerState,
    /// When it came in.
    pub received_at: Timestamp,
    /// When it is not distributed any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What the manifest says of it.
    pub manifest: DeliverableSpec,
}

impl DeliverableView {
    /// Shows a deliverable.
    #[must_use]
    pub fn new(deliverable: Deliverable) -> Self {
        Self {
            deliverable_id: deliverable.id,
            container_id: deliverable.container,
            reference: deliverable.spec.deliverable_id.clone(),
            kind: deliverable.spec.kind,
            state: deliverable.state,
            received_at: deliverable.created_at,
            expires_at: deliverable.expires_at,
            manifest: deliverable.spec,
        }
    }
}

/// Which deliverables a list holds; all conditions must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliverablesQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many deliverables a page has.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
    /// Only those of this kind.
    #[param(inline)]
    kind: Option<DeliverableKind>,
    /// Only those whose container is in this state.
    #[param(inline)]
    state: Option<ContainerState>,
    /// Only those of this container.
    container_id: Option<ContainerId>,
    /// Only those that their originator calls so.
    #[param(max_length = 256, example = "fw-acme-x1-2.4.0")]
    reference: Option<String>,
}

/// List deliverables, the newest first
///
/// What was accepted of the containers of your organisation. What fits one device is asked of that device.
#[utoipa::path(
    tag = "Containers",
    params(DeliverablesQuery),
    responses((status = 200, description = "A page of deliverables.", body = Page<DeliverableView>)),
    security(("oauth2" = ["containers:read"]))
)]
#[get("/v1/deliverables")]
pub async fn list_deliverables(
    allowed: Allowed<ContainersRead>,
    query: Query<DeliverablesQuery>,
) -> Result<Page<DeliverableView>, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let filters = (query.kind, query.state, query.container_id, &query.reference);
    let list = List::new(caller.client, "deliverables", &filters)?;
    let page = DeliverablePage {
        organisation: caller.organisation,
        before: list.position(&app.keys.sealer, query.cursor.as_deref())?,
        kind: query.kind,
        state: query.state,
        container: query.container_id,
        reference: query.reference.clone(),
        limit: query.per_page.and_one(),
    };
    let found = app.store.read(move |tx| tx.deliverables(&page)).await?;
    let next = |last: &Deliverable| list.cursor(&app.keys.sealer, &last.id);
    Ok(Page::cut(found, query.per_page, next, |deliverable| Ok(DeliverableView::new(deliverable)))?)
}

/// Read a deliverable
///
/// What its manifest says of it, and whether it can be distributed.
#[utoipa::path(
    tag = "Containers",
    params(("deliverableId" = DeliverableId, Path, description = "The deliverable.")),
    responses((status = 200, description = "The deliverable.", body = DeliverableView)),
    security(("oauth2" = ["containers:read"]))
)]
#[get("/v1/deliverables/{deliverableId}")]
pub async fn read_deliverable(
    allowed: Allowed<ContainersRead>,
    id: web::Path<DeliverableId>,
) -> Result<web::Json<DeliverableView>, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let id = id.into_inner();
    let found = app.store.read(move |tx| tx.deliverable(caller.organisation, id)).await?;
    Ok(web::Json(DeliverableView::new(found)))
}
