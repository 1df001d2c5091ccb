//! What executions get of the deliverables they are about, when their device calls.
use std::time::Duration;

use dmwsi_domain::Timestamp;
use dmwsi_domain::deliverable::Deliverable;
use dmwsi_domain::execution::Execution;
use dmwsi_domain::operation::Supply;

use crate::download::{DownloadToken, PATH, Tokens};

/// How much longer an address is good than the device may take to fetch: a day, for a clock that is wrong and a device that comes late.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// Hands deliverables to executions, each with an address of its own.
#[derive(Debug)]
pub(super) struct Supplies {
    tokens: Tokens,
    downloads: String,
}

impl Supplies {
    /// With addresses below `public_url`.
    pub(super) fn new(tokens: Tokens, public_url: &str) -> Self {
        Self { tokens, downloads: format!("{}{PATH}", public_url.trim_end_matches('/')) }
    }

    /// Hands in the deliverable that the execution wants, if it wants one: `all` are those that there are.
    pub(super) fn supply(&self, execution: &mut Execution, all: &[Deliverable], now: Timestamp) {
        let Some(wanted) = execution.operation.wanted() else { return };
        let deliverable = all.iter().find(|one| one.id == wanted).cloned();
        let content = deliverable.as_ref().and_then(Deliverable::content);
        let url = content.map(|(payload, _size)| {
            let expires = now.plus(execution.operation.time_to_fetch().saturating_add(GRACE));
            let token = DownloadToken { job: execution.job, ordinal: execution.ordinal, payload, expires };
            format!("{}/{}", self.downloads, self.tokens.mint(&token))
        });
        let deliverable = deliverable.filter(|_| url.is_some());
        execution.operation.supply(Supply { deliverable, url: url.unwrap_or_default(), at: now });
    }
}
