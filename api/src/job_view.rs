//! A job as its client sees it.
use actix_web::http::header::HeaderValue;
use dmwsi_domain::acknowledgement::Acknowledgement;
use dmwsi_domain::id::{JobId, SubscriptionId};
use dmwsi_domain::job::{Counts, Job, JobOutcome, JobState};
use dmwsi_domain::operation::Request;
use dmwsi_domain::{Error, Result, Timestamp};
use openssl::sha::sha256;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::etag::etag;

/// A job.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job, example = json!({
    "jobId": "job_019a8e5d3c7b7f10a1b2c3d4e5f60718",
    "clientCorrelator": "rel-2026-11",
    "operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Man"]},
    "target": {"type": "DEVICES", "count": 2},
    "state": "RUNNING",
    "executions": {"queued": 1, "waiting": 0, "running": 0, "succeeded": 1, "failed": 0, "declined": 0, "cancelled": 0, "expired": 0, "refused": 0},
    "expiresAt": "2026-11-28T10:15:30Z",
    "createdAt": "2026-11-21T10:15:30Z",
    "updatedAt": "2026-11-21T10:15:31Z"
}))]
pub struct JobView {
    /// Its id.
    pub job_id: JobId,
    /// The client's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128, examples("rel-2026-11"))]
    pub client_correlator: Option<String>,
    /// What is done.
    pub operation: Request,
    /// Whom it is for.
    pub target: TargetView,
    /// Where it stands.
    pub state: JobState,
    /// How it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<JobOutcome>,
    /// How many executions stand in which state.
    pub executions: Counts,
    /// When it ends if it has not ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its own state last changed; what its executions do changes `executions` only.
    pub updated_at: Timestamp,
    /// When it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// That the receiver of its result confirmed it; absent until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledgement: Option<Acknowledgement>,
    /// The subscription of its sink; only where the job was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<JobSubscriptionView>,
}

/// The subscription that is bound to a job.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobSubscription)]
pub struct JobSubscriptionView {
    /// Its id.
    pub subscription_id: SubscriptionId,
    /// What deliveries are verified by, `whsec_…`. It is shown here and never again.
    #[schema(max_length = 128)]
    pub signing_key: String,
}

/// Whom a job is for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobTarget)]
pub struct TargetView {
    /// The kind of target: `DEVICES`.
    #[serde(rename = "type")]
    #[schema(max_length = 32, examples("DEVICES"))]
    pub kind: String,
    /// How many devices it is for.
    #[schema(maximum = 100_000, examples(2))]
    pub count: u64,
}

impl JobView {
    /// The view of a job whose executions stand as `executions` says.
    #[must_use]
    pub fn new(job: Job, executions: Counts) -> Self {
        Self {
            job_id: job.id,
            client_correlator: job.client_correlator,
            operation: job.operation,
            target: TargetView { kind: job.target_type, count: job.target_count },
            state: job.state,
            outcome: job.outcome,
            executions,
            expires_at: job.expires_at,
            created_at: job.created_at,
            updated_at: job.updated_at,
            finished_at: job.finished_at,
            subscription: None,
            acknowledgement: job.acknowledgement,
        }
    }

    /// A number that changes with whatever the view shows. The row's revision is not it: folding changes the row but not the view, and a
    /// change of an execution the view but not yet the row.
    pub fn revision(&self) -> Result<i64> {
        // What is shown only once does not make it another.
        let bare = Self { subscription: None, ..self.clone() };
        let hash = sha256(&serde_json::to_vec(&bare).map_err(Error::internal)?);
        let first = hash.first_chunk::<8>().copied().unwrap_or_default();
        Ok(i64::from_be_bytes(first) & i64::MAX)
    }

    /// The entity tag of the view.
    pub fn etag(&self) -> Result<HeaderValue> {
        Ok(etag(self.revision()?))
    }

    /// Where it is read.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/v1/jobs/{}", self.job_id)
    }
}
