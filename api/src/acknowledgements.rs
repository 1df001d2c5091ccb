//! The receiver of a job's result says that it has it.
use actix_web::http::StatusCode;
use actix_web::{post, web};
use dmwsi_domain::Error;
use dmwsi_domain::acknowledgement::Acknowledgement;
use dmwsi_domain::id::JobId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::allowed::{Allowed, JobsWrite};
use crate::body::Body;
use crate::correlator::Correlator;
use crate::idempotency::Answer;
use crate::jobs::insist;
use crate::problem::Problem;

/// How many characters a reference has at most.
const LONGEST_REFERENCE: usize = 256;

/// That a job's result was received.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"reference": "ticket-4711"}))]
pub struct NewAcknowledgement {
    /// Your own word for it.
    #[schema(max_length = 256, examples("ticket-4711"))]
    reference: Option<String>,
}

/// Confirm a job's result
///
/// Says that the result of an ended job was received; kept with the job and told by `dmwsi.v1.job-acknowledged`. The same once more gets the same answer.
#[utoipa::path(
    tag = "Jobs",
    params(("id" = JobId, Path, description = "The job.")),
    request_body = NewAcknowledgement,
    responses(
        (status = 200, description = "It is acknowledged, now or since an earlier call in the same words.", body = Acknowledgement),
        (status = 409, description = "The job has not ended, or was acknowledged with another reference.")
    ),
    security(("oauth2" = ["jobs:write"]))
)]
#[post("/v1/jobs/{id}/acknowledgement")]
pub async fn acknowledge_job(
    caller: Allowed<JobsWrite>,
    id: web::Path<JobId>,
    correlator: Correlator,
    body: Body<NewAcknowledgement>,
) -> Result<Answer, Problem> {
    let Allowed { app, caller, .. } = caller;
    let reference = body.value.reference;
    if reference.as_ref().is_some_and(|text| text.chars().count() > LONGEST_REFERENCE) {
        return Err(Error::invalid("/reference", "OUT_OF_RANGE", "is longer than 256 characters").into());
    }
    let (now, ids, id) = (app.clock.now(), app.clock.new_ids(), id.into_inner());
    let acknowledged = insist(&app, move |tx| {
        let mut job = tx.job_of(caller.client, id)?;
        if let Some(event) = job.acknowledge(caller.client, reference.clone(), now)? {
            tx.save_job(&mut job, &[event], Some(correlator.as_str()), now, &mut ids.clone())?;
        }
        job.acknowledgement.ok_or_else(|| Error::internal("an acknowledged job without its acknowledgement"))
    });
    Ok(Answer::json(StatusCode::OK, &acknowledged.await?)?)
}
