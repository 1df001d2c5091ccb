//! What fits a device, and why the rest does not.
use actix_web::{get, post, web};
use dmwsi_domain::deliverable::{Deliverable, DeliverableKind, UserInteraction};
use dmwsi_domain::eligibility::{Particulars, Reason};
use dmwsi_domain::id::{ContainerId, DeliverableId};
use dmwsi_domain::identity::Identity;
use dmwsi_domain::scope::Scope;
use dmwsi_domain::{Error, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::allowed::{Allowed, ContainersRead, DevicesRead};
use crate::app::App;
use crate::body::Body;
use crate::callers::Caller;
use crate::catalogue::{Catalogue, Judged, Place};
use crate::cursor::List;
use crate::page::{Page, PerPage};
use crate::problem::{Code, Problem};
use crate::query::Query;

/// A deliverable as it stands to one device.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Offer, example = json!({
    "deliverableId": "dlv_019a8e5d3c7b7f10a1b2c3d4e5f60718", "containerId": "con_019a8e5d3c7b7f10a1b2c3d4e5f60718", "reference": "fw-acme-x1-2.4.0",
    "kind": "FIRMWARE", "name": "X1 firmware", "version": "2.4.0", "size": 10485760, "fits": false,
    "reasons": [{"code": "FIRMWARE_TOO_OLD", "detail": "it needs firmware version 2.0.0 or later, not 1.0.0"}],
    "chain": [
        {"deliverableId": "dlv_019a8e5d3c7b7f10a1b2c3d4e5f60717", "reference": "fw-acme-x1-2.0.0", "version": "2.0.0"},
        {"deliverableId": "dlv_019a8e5d3c7b7f10a1b2c3d4e5f60718", "reference": "fw-acme-x1-2.4.0", "version": "2.4.0"}
    ]
}))]
pub struct OfferView {
    /// Its id here: what a job names.
    pub deliverable_id: DeliverableId,
    /// The container it came in.
    pub container_id: ContainerId,
    /// How its originator calls it.
    #[schema(max_length = 256)]
    pub reference: String,
    /// What it is.
    pub kind: DeliverableKind,
    /// Its name for people.
    #[schema(max_length = 256)]
    pub name: String,
    /// Its version.
    #[schema(max_length = 256)]
    pub version: String,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub vendor: Option<String>,
    /// How much the device fetches, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What the user of the device is asked and told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_interaction: Option<UserInteraction>,
    /// Where its release notes are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub release_notes_url: Option<String>,
    /// When it is not distributed any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether it can be installed on the device now.
    pub fits: bool,
    /// Why it cannot; of several targets that do not hold, the nearest one's reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The shortest way there, where updates before it make it fit: what to install, in order, it itself at last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub chain: Vec<StepView>,
}

/// An update on the way to another one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChainStep)]
pub struct StepView {
    /// Its id here.
    pub deliverable_id: DeliverableId,
    /// How its originator calls it.
    #[schema(max_length = 256)]
    pub reference: String,
    /// Its version.
    #[schema(max_length = 256)]
    pub version: String,
}

impl StepView {
    fn new(deliverable: &Deliverable) -> Self {
        Self {
            deliverable_id: deliverable.id,
            reference: deliverable.spec.deliverable_id.clone(),
            version: deliverable.spec.version.clone(),
        }
    }
}

impl OfferView {
    fn new(judged: Judged) -> Self {
        let Judged { deliverable, reasons, chain, .. } = judged;
        let size = deliverable.content().map(|(_digest, size)| size);
        let spec = deliverable.spec;
        Self {
            deliverable_id: deliverable.id,
            container_id: deliverable.container,
            reference: spec.deliverable_id,
            kind: spec.kind,
            name: spec.name,
            version: spec.version,
            vendor: spec.vendor,
            size,
            user_interaction: spec.user_interaction,
            release_notes_url: spec.release_notes_url,
            expires_at: deliverable.expires_at,
            fits: reasons.is_empty(),
            reasons,
            chain: chain.iter().map(StepView::new).collect(),
        }
    }
}

/// What a list of offers holds.
#[derive(Debug, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OffersQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many a page has at most; one may have fewer although another follows.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
    /// Whether those that do not fit are listed after those that do.
    #[serde(default = "yes")]
    #[param(default = true)]
    include_unfit: bool,
}

const fn yes() -> bool {
    true
}

/// List the firmware for a device
///
/// First what fits the device by what it told of itself, then, unless `includeUnfit` is false, the rest with each reason why it does not: first what is for
/// its model, then what is for others; the newest first. Where updates that must come before make one fit, the shortest chain of them is named.
#[utoipa::path(
    tag = "Devices",
    params(("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"), OffersQuery),
    responses((status = 200, description = "A page of firmware.", body = Page<OfferView>)),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices/{deviceId}/firmware-updates")]
pub async fn list_firmware_updates(
    allowed: Allowed<DevicesRead>,
    id: web::Path<String>,
    query: Query<OffersQuery>,
) -> Result<Page<OfferView>, Problem> {
    of_device(&allowed, &id, DeliverableKind::Firmware, &query).await
}

/// List the software for a device
///
/// As for firmware. What is installed beside the firmware is not known of a device by itself, so what depends on it does not fit.
#[utoipa::path(
    tag = "Devices",
    params(("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"), OffersQuery),
    responses((status = 200, description = "A page of software.", body = Page<OfferView>)),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices/{deviceId}/software-packages")]
pub async fn list_software_packages(
    allowed: Allowed<DevicesRead>,
    id: web::Path<String>,
    query: Query<OffersQuery>,
) -> Result<Page<OfferView>, Problem> {
    of_device(&allowed, &id, DeliverableKind::SoftwareComponent, &query).await
}

async fn of_device(
    allowed: &Allowed<DevicesRead>,
    id: &str,
    kind: DeliverableKind,
    query: &OffersQuery,
) -> Result<Page<OfferView>, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let (device, organisation) = (allowed.device(id)?, caller.organisation);
    let facts = app.store.read(move |tx| tx.device(organisation, device)).await?.facts;
    let list = List::new(caller.client, "offers", &(device, kind, query))?;
    let catalogue = Catalogue { organisation, kind, device: Particulars::from(&facts), include_unfit: query.include_unfit };
    page(app, catalogue, &list, query.cursor.as_deref(), query.per_page).await
}

/// What is to be matched: a device, by its identity or by what is said of it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"kind": "FIRMWARE", "particulars": {"manufacturer": "Acme", "model": "X1", "firmwareVersion": "1.0.0"}}))]
pub struct Match {
    /// Deliverables of this kind.
    pub kind: DeliverableKind,
    /// The device known by this number, in any of the forms in which it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// What is said of the device. It goes before what the device told of itself.
    #[serde(default)]
    pub particulars: Particulars,
    /// Whether those that do not fit are listed after those that do.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub include_unfit: bool,
    /// Where to go on: the `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub cursor: Option<String>,
    /// How many a page has at most; one may have fewer although another follows.
    #[serde(default)]
    #[schema(inline)]
    pub per_page: PerPage,
}

/// Match deliverables with a device
///
/// As the lists of a device, for one that has told nothing yet or is not registered: by what is said of it, completed by what a registered device of that
/// identity has told, for which the scope `devices:read` is needed as well. Nothing is kept of it.
#[utoipa::path(
    tag = "Containers",
    request_body = Match,
    responses((status = 200, description = "A page of deliverables.", body = Page<OfferView>)),
    security(("oauth2" = ["containers:read"]))
)]
#[post("/v1/deliverables/match")]
pub async fn match_deliverables(allowed: Allowed<ContainersRead>, body: Body<Match>) -> Result<Page<OfferView>, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let asked = body.value;
    asked.particulars.check().map_err(|error| match error {
        Error::Invalid { pointer, code, detail } => Error::Invalid { pointer: format!("/particulars{pointer}"), code, detail },
        other => other,
    })?;
    let list = List::new(caller.client, "match", &asked)?;
    let told = told(&app, &caller, asked.identity).await?;
    let catalogue = Catalogue {
        organisation: caller.organisation,
        kind: asked.kind,
        device: asked.particulars.or(told),
        include_unfit: asked.include_unfit,
    };
    page(&app, catalogue, &list, asked.cursor.as_deref(), asked.per_page).await
}

/// What the device of that identity told of itself.
async fn told(app: &App, caller: &Caller, identity: Option<Identity>) -> Result<Particulars, Problem> {
    let Some(identity) = identity else { return Ok(Particulars::default()) };
    caller.needs(Scope::DevicesRead)?;
    let organisation = caller.organisation;
    let found = app.store.read(move |tx| tx.device_by_identity(organisation, &identity)).await?;
    let unknown = || {
        let problem = Problem::new(Code::Unprocessable, "There is no such device.");
        problem.at("/identity", "is not of a device of your organisation")
    };
    found.map(|device| Particulars::from(&device.facts)).ok_or_else(unknown)
}

async fn page(
    app: &App,
    catalogue: Catalogue,
    list: &List,
    cursor: Option<&str>,
    per_page: PerPage,
) -> Result<Page<OfferView>, Problem> {
    let from: Option<Place> = list.position(&app.keys.sealer, cursor)?;
    let now = app.clock.now();
    let limit = usize::from(per_page.get());
    let found = app.store.read(move |tx| catalogue.page(tx, from.unwrap_or_default(), limit, now)).await?;
    let next_cursor = found.next.map(|place| list.cursor(&app.keys.sealer, &place)).transpose()?;
    Ok(Page { items: found.items.into_iter().map(OfferView::new).collect(), next_cursor })
}
