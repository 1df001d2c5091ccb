//! Search for devices by what must not stand in an address: identities and subscribers.
use actix_web::post;
use dmwsi_domain::Error;
use dmwsi_domain::device::Subscriber;
use dmwsi_domain::identity::{DmIdentity, Identity};
use dmwsi_store::DeviceFilter;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::allowed::{Allowed, DevicesRead};
use crate::body::Body;
use crate::cursor::List;
use crate::device_view::DeviceView;
use crate::devices::page;
use crate::page::{Page, PerPage};
use crate::problem::Problem;

/// What is searched for: one of `identity`, `dmIdentity` and `subscriber`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"identity": {"type": "IMEI", "value": "49-015420-323751-8"}}))]
pub struct DeviceSearch {
    /// The device known by this number, in any of the forms in which it is written.
    pub identity: Option<Identity>,
    /// The device that presents itself so.
    pub dm_identity: Option<DmIdentity>,
    /// The devices that this subscriber uses.
    pub subscriber: Option<Subscriber>,
    /// Where to go on: the `nextCursor` of the page before.
    #[schema(max_length = 1024)]
    pub cursor: Option<String>,
    /// How many devices a page has.
    #[serde(default)]
    #[schema(inline)]
    pub per_page: PerPage,
}

/// Search for devices
///
/// Finds devices of your organisation only: one that belongs to somebody else is not found, as one that does not exist.
#[utoipa::path(
    tag = "Devices",
    request_body = DeviceSearch,
    responses((status = 200, description = "A page of the devices found; empty when there are none.", body = Page<DeviceView>)),
    security(("oauth2" = ["devices:read"]))
)]
#[post("/v1/devices/search")]
pub async fn search_devices(allowed: Allowed<DevicesRead>, body: Body<DeviceSearch>) -> Result<Page<DeviceView>, Problem> {
    let Allowed { app, caller, .. } = allowed;
    let search = body.value;
    let list = List::new(caller.client, "device-search", &search.subscriber)?;
    let organisation = caller.organisation;
    let found = match (search.identity, search.dm_identity, search.subscriber) {
        (None, None, Some(subscriber)) => {
            let filter = DeviceFilter { subscriber: Some(subscriber), ..DeviceFilter::default() };
            return page(&app, &caller, &list, filter, search.cursor.as_deref(), search.per_page).await;
        }
        (Some(identity), None, None) => app.store.read(move |tx| tx.device_by_identity(organisation, &identity)).await?,
        (None, Some(dm_identity), None) => app.store.read(move |tx| tx.device_by_dm_identity(organisation, &dm_identity)).await?,
        _ => return Err(Problem::invalid("A search names one of identity, dmIdentity and subscriber.")),
    };
    let views = found.into_iter().map(|device| DeviceView::new(&app.keys.device_ids, device));
    Ok(Page { items: views.collect::<Result<_, Error>>()?, next_cursor: None })
}
