//! What executions get of the deliverables they are about, when their device calls.
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_domain::deliverable::{Deliverable, MAX_DIRECT};
use dmwsi_domain::digest::Sha256Digest;
use dmwsi_domain::execution::Execution;
use dmwsi_domain::id::DeliverableId;
use dmwsi_domain::operation::{Operation, Supply};
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_store::content::Content;

use crate::download::{DownloadToken, PATH, Tokens};

/// How much longer an address is good than the device may take to fetch: a day, for a clock that is wrong and a device that comes late.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// Hands deliverables to executions, each with an address of its own.
#[derive(Debug)]
pub(super) struct Supplies {
    tokens: Tokens,
    content: Arc<dyn Content>,
    downloads: String,
}

/// The content of deliverables that may travel within messages, as base64.
pub(super) type Contents = BTreeMap<DeliverableId, String>;

impl Supplies {
    /// With addresses below `public_url`.
    pub(super) fn new(tokens: Tokens, content: Arc<dyn Content>, public_url: &str) -> Self {
        Self { tokens, content, downloads: format!("{}{PATH}", public_url.trim_end_matches('/')) }
    }

    /// Reads what these may send within messages now. What has just been withdrawn and collected is left out.
    pub(super) async fn contents(&self, all: &[Deliverable], executions: &[Execution], now: Timestamp) -> Result<Contents> {
        let operations = executions.iter().map(|execution| &execution.operation);
        let sent: BTreeSet<_> =
            operations.filter(|operation| operation.wants_content(now)).filter_map(Operation::wanted).collect();
        let direct = all.iter().filter(|one| sent.contains(&one.id) && one.may_go_direct());
        let wanted: Vec<_> = direct.filter_map(|one| Some((one.id, one.content()?.0))).collect();
        if wanted.is_empty() {
            return Ok(Contents::new());
        }
        let content = Arc::clone(&self.content);
        let read = tokio::task::spawn_blocking(move || {
            wanted.iter().map(|(id, digest)| Ok((*id, read(content.as_ref(), digest)?))).collect::<std::io::Result<Vec<_>>>()
        });
        match read.await.map_err(Error::internal)? {
            Ok(found) => Ok(found.into_iter().filter_map(|(id, data)| Some((id, data?))).collect()),
            Err(error) => Err(Error::Unavailable(Box::new(error))),
        }
    }

    /// Hands in the deliverable that the execution wants, if it wants one: `all` are those that there are.
    pub(super) fn supply(&self, execution: &mut Execution, all: &[Deliverable], contents: &Contents, now: Timestamp) {
        let Some(wanted) = execution.operation.wanted() else { return };
        let deliverable = all.iter().find(|one| one.id == wanted).cloned();
        let content = deliverable.as_ref().and_then(Deliverable::content);
        let url = content.map(|(payload, _size)| {
            let expires = now.plus(execution.operation.time_to_fetch().saturating_add(GRACE));
            let token = DownloadToken { job: execution.job, ordinal: execution.ordinal, payload, expires };
            format!("{}/{}", self.downloads, self.tokens.mint(&token))
        });
        let deliverable = deliverable.filter(|_| url.is_some());
        execution.operation.supply(Supply {
            content: deliverable.as_ref().and_then(|one| contents.get(&one.id).cloned()),
            deliverable,
            url: url.unwrap_or_default(),
            at: now,
        });
    }
}

/// The content of that digest as base64; none where it is not there, or is longer than it may be.
fn read(content: &dyn Content, digest: &Sha256Digest) -> std::io::Result<Option<String>> {
    let (file, size) = match content.open(digest) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if size > MAX_DIRECT {
        return Ok(None);
    }
    let mut octets = Vec::new();
    file.take(MAX_DIRECT).read_to_end(&mut octets)?;
    Ok(Some(BASE64_STANDARD.encode(octets)))
}
