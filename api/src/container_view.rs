//! A container as its organisation sees it, and the answers that tell its verdict.
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use dmwsi_domain::container::{Container, ContainerState, ItemVerdict};
use dmwsi_domain::fault::{Fault, FaultCode};
use dmwsi_domain::id::ContainerId;
use dmwsi_domain::manifest::Head;
use dmwsi_domain::{Result, Timestamp};
use dmwsi_store::ingest::Judged;
use serde::Serialize;
use utoipa::ToSchema;

use crate::etag::etag;
use crate::idempotency::Answer;
use crate::problem::{Code, Problem};

/// After how many seconds it is worth to look again at a container that is being judged.
const LOOK_AGAIN_SECONDS: u64 = 2;

/// The most faults that one problem names.
const MOST_FAULTS: usize = 100;

/// A container.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Container, example = json!({
    "containerId": "con_019a8e5d3c7b7f10a1b2c3d4e5f60718", "state": "AVAILABLE", "reference": "urn:uuid:2f0d3f1e-6b7a-4d0a-9c55-0d6f0a1f5a11",
    "partialAccept": false, "bytes": 10485760, "receivedAt": "2026-11-21T10:15:30Z", "updatedAt": "2026-11-21T10:15:30Z",
    "verdicts": [{"ordinal": 0, "reference": "fw-acme-x1-2.4.0", "status": "ACCEPTED", "deliverableId": "dlv_019a8e5d3c7b7f10a1b2c3d4e5f60718"}],
    "manifest": {"formatVersion": 1, "containerId": "urn:uuid:2f0d3f1e-6b7a-4d0a-9c55-0d6f0a1f5a11", "sequenceNumber": 42, "createdAt": "2026-11-20T10:00:00Z"}
}))]
pub struct ContainerView {
    /// Its id here, by which it is tracked.
    pub container_id: ContainerId,
    /// Where it is.
    pub state: ContainerState,
    /// How its originator calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub reference: Option<String>,
    /// Whether what is good of it may be taken when the rest is not.
    pub partial_accept: bool,
    /// Bytes of the payloads that were taken.
    pub bytes: u64,
    /// What became of each deliverable, once it is judged.
    #[schema(max_items = 200)]
    pub verdicts: Vec<ItemVerdict>,
    /// Why nothing was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// What its manifest says of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Head>,
    /// When it was first known here.
    pub received_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    #[serde(skip)]
    revision: i64,
}

impl ContainerView {
    /// Shows a container.
    #[must_use]
    pub fn new(container: Container) -> Self {
        Self {
            container_id: container.id,
            state: container.state,
            reference: container.reference().map(str::to_owned),
            partial_accept: container.partial,
            bytes: if container.state.is_judged() { container.bytes } else { 0 },
            verdicts: container.verdicts,
            fault: container.fault,
            manifest: container.head,
            received_at: container.created_at,
            updated_at: container.updated_at,
            revision: container.revision,
        }
    }

    /// Where it is read.
    #[must_use]
    pub fn path(&self) -> String {
        path(self.container_id)
    }

    /// Its revision as an entity tag.
    #[must_use]
    pub fn etag(&self) -> HeaderValue {
        etag(self.revision)
    }
}

fn path(id: ContainerId) -> String {
    format!("/v1/containers/{id}")
}

/// The answer to a container that was judged: 201 when it came in, 200 when it did so before, a problem when it was refused.
pub(crate) fn verdict(judged: Judged) -> Result<Answer, Problem> {
    if judged.container.state == ContainerState::Rejected {
        return Err(refusal(&judged.container));
    }
    let status = if judged.again { StatusCode::OK } else { StatusCode::CREATED };
    let view = ContainerView::new(judged.container);
    Ok(Answer::json(status, &view)?.located(&view.path()).with(header::ETAG, view.etag()))
}

/// The answer to a container that will be judged later.
pub(crate) fn accepted(container: Container) -> Result<Answer> {
    let view = ContainerView::new(container);
    let answer = Answer::json(StatusCode::ACCEPTED, &view)?.located(&view.path());
    Ok(answer.with(header::RETRY_AFTER, LOOK_AGAIN_SECONDS.into()))
}

/// Why a container was refused, deliverable by deliverable. What stands about it in its row is found at Location.
fn refusal(container: &Container) -> Problem {
    let said = |fault: &Fault| match &fault.member {
        Some(member) => format!("{}: {member}: {}", fault.code.as_str(), fault.detail),
        None => format!("{}: {}", fault.code.as_str(), fault.detail),
    };
    let main = container.fault.as_ref();
    let code = main.and_then(|fault| Code::named(fault.code.as_str())).unwrap_or(Code::Unprocessable);
    let mut problem = Problem::new(code, main.map_or_else(|| "The container was refused.".to_owned(), said));
    let items = container.verdicts.iter().filter_map(|verdict| {
        let fault = verdict.fault.as_ref().filter(|fault| fault.code != FaultCode::ContainerRejected)?;
        Some((fault.pointer.clone().unwrap_or_else(|| format!("/deliverables/{}", verdict.ordinal)), fault))
    });
    let of_item = |fault: &Fault| container.verdicts.iter().any(|verdict| verdict.fault.as_ref() == Some(fault));
    let whole = main.filter(|fault| !of_item(fault)).map(|fault| (fault.pointer.clone().unwrap_or_default(), fault));
    for (pointer, fault) in whole.into_iter().chain(items).take(MOST_FAULTS) {
        problem = problem.at(pointer, said(fault));
    }
    match HeaderValue::from_str(&path(container.id)) {
        Ok(location) => problem.with_header(header::LOCATION, location),
        Err(_impossible) => problem,
    }
}
