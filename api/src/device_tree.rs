//! The tree of a device, as far as it is known.
use actix_web::{get, web};
use dmwsi_domain::known_tree::{KnownNode, LearnedBy, is_secret};
use dmwsi_domain::{Result, Timestamp};
use dmwsi_objects::NodeUri;
use dmwsi_store::{NodePage, NodeRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::allowed::{Allowed, DevicesRead};
use crate::app::App;
use crate::cursor::List;
use crate::page::{Page, PerPage};
use crate::problem::Problem;
use crate::query::Query;

/// A node of a device, or a property of one, as it was last known.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TreeNode, example = json!({
    "node": "./DevDetail/FwV",
    "format": "chr",
    "type": "text/plain",
    "value": "1.0.0",
    "size": 5,
    "isSecret": false,
    "learnedBy": "READ",
    "learnedAt": "2026-11-21T10:16:02Z"
}))]
pub struct TreeNodeView {
    /// The node's address.
    #[schema(max_length = 1024)]
    node: String,
    /// Which of its properties this is, such as `ACL`; absent where it is what the node holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    property: Option<String>,
    /// The format; `node` for an interior node.
    #[schema(max_length = 8)]
    format: String,
    /// The media type, or the identifier of a management object.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    media_type: Option<String>,
    /// What it holds, as text, `bin` as base64; the names of the children of an interior node, joined by `/`. Absent where it is secret, longer than
    /// 64 KiB, or a part of the tree as a document that could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    value: Option<String>,
    /// How long that is, in bytes of text; absent where it is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Whether its name says that nobody is to see what it holds.
    is_secret: bool,
    /// How it is known.
    learned_by: LearnedBy,
    /// Since when: when it was last read or written.
    learned_at: Timestamp,
}

impl TreeNodeView {
    fn new(app: &App, row: &NodeRow) -> Result<Self> {
        let KnownNode { node, value, by, at } = app.sealing.open_node(row)?;
        Ok(Self {
            property: node.question().map(|question| question.strip_prefix("prop=").unwrap_or(question).to_owned()),
            node: node.path().to_owned(),
            format: value.format.as_str().to_owned(),
            media_type: value.media_type,
            value: value.data,
            size: (!is_secret(&node)).then_some(value.size),
            is_secret: is_secret(&node),
            learned_by: by,
            learned_at: at,
        })
    }
}

/// Which nodes a list holds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TreeQuery {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many nodes a page has.
    #[serde(default)]
    #[param(inline)]
    per_page: PerPage,
    /// Only this node and what is below it; the whole tree when absent.
    #[param(max_length = 1024, example = "./DevDetail")]
    under: Option<String>,
}

/// Read what is known of a device's tree
///
/// Nodes and properties as answers of the device told them last, by address, each with its time; nobody asks the device. To have it asked, start a
/// job of the type `TREE_READ` or `NODES_GET`. At most 5,000 nodes and properties together are kept of a device, and of the answers in one message the
/// first 2,000 facts are taken: what a node or a property holds, which children a node has, or that it is gone. Values are stored sealed, and
/// secrets are not kept.
#[utoipa::path(
    tag = "Devices",
    params(
        ("deviceId" = String, Path, description = "The device.", max_length = 36, pattern = "^dev_[0-9a-f]{32}$"),
        TreeQuery
    ),
    responses((status = 200, description = "A page of nodes.", body = Page<TreeNodeView>)),
    security(("oauth2" = ["devices:read"]))
)]
#[get("/v1/devices/{deviceId}/tree")]
pub async fn read_tree(
    allowed: Allowed<DevicesRead>,
    id: web::Path<String>,
    query: Query<TreeQuery>,
) -> Result<Page<TreeNodeView>, Problem> {
    let device = allowed.device(&id)?;
    let Allowed { app, caller, .. } = allowed;
    let TreeQuery { cursor, per_page, under } = query.0;
    let top = under.as_deref().map_or_else(|| Ok(NodeUri::root()), NodeUri::parse);
    let top = top.map_err(|error| Problem::invalid(format!("under: {error}")))?;
    let list = List::new(caller.client, "tree", &(id.as_str(), top.as_str()))?;
    let after: Option<String> = list.position(&app.keys.sealer, cursor.as_deref())?;
    let page = NodePage { device, under: top, after, limit: per_page.and_one() };
    let rows = app.store.read(move |tx| {
        tx.device(caller.organisation, device)?;
        tx.known_nodes(&page)
    });
    let next = |last: &NodeRow| list.cursor(&app.keys.sealer, &last.path().to_owned());
    Ok(Page::cut(rows.await?, per_page, next, |row| TreeNodeView::new(&app, &row))?)
}
