//! One part of an upload: put where it belongs, and after the last one the container is judged.
use std::sync::Arc;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, Responder as _, web};
use dmwsi_domain::Error;
use dmwsi_domain::container::ContainerState;
use dmwsi_domain::digest::Digests;
use dmwsi_domain::id::{ContainerId, UploadId};
use dmwsi_store::Upload;
use dmwsi_store::ingest::Judged;
use tracing::Instrument as _;

use crate::app::App;
use crate::callers::Caller;
use crate::container_view::{accepted, verdict};
use crate::containers::{applied, new_container};
use crate::correlator::Correlator;
use crate::digest_header::{Check, agreed};
use crate::idempotency::Answer;
use crate::prefer::Prefer;
use crate::problem::{Code, Problem};
use crate::receive::Incoming;
use crate::upload_file::{Appended, UploadFile, unavailable};
use crate::upload_headers::{Said, UPLOAD_COMPLETE, UPLOAD_LIMIT, UPLOAD_OFFSET, completeness, limit, show};

/// One request that brings a part.
pub(crate) struct Part {
    pub(crate) app: App,
    pub(crate) caller: Caller,
    pub(crate) correlator: Correlator,
    pub(crate) prefer: Prefer,
    pub(crate) upload: Upload,
}

impl Part {
    /// Adds the body where it belongs; judges the container when that was the last part.
    pub(crate) async fn append(
        mut self,
        request: &HttpRequest,
        payload: web::Payload,
        said: Said,
        check: Check,
        offset: u64,
        whole: Digests,
    ) -> Result<HttpResponse, Problem> {
        if let Some(container) = self.upload.container {
            return self.replay(container, request, said, offset).await;
        }
        let ended = self.app.appending.take_over(self.upload.id);
        let held = UploadFile::hold(self.app.ingest.content(), self.upload.id).await?;
        // While this one waited for its turn, another may have brought the last part.
        self.upload = find(&self.app, &self.caller, self.upload.id).await?;
        if let Some(container) = self.upload.container {
            return self.replay(container, request, said, offset).await;
        }
        let mut file = held.ok_or_else(lost)?;
        if file.length != offset {
            return Err(mismatch(file.length).with_header(UPLOAD_COMPLETE, completeness(false)));
        }
        self.promise(said, whole, file.length).await?;
        let settings = self.app.ingest.settings();
        let most = self.upload.length.unwrap_or(u64::MAX).min(settings.max_container_bytes);
        let incoming = Incoming::new(payload.into_inner(), settings);
        let appended = file.append(incoming, check, most, &ended).await?;
        if matches!(appended, Appended::TooLong) {
            give_up(&self.app, self.upload.id).await?;
            return Err(if self.upload.length.is_some() { inconsistent() } else { too_long(&self.app) });
        }
        if said.is_complete {
            return self.complete(file, request).await;
        }
        let begun = offset == 0 && request.method() == Method::POST;
        let mut response = if begun { HttpResponse::Created() } else { HttpResponse::NoContent() };
        if begun {
            response.insert_header((header::LOCATION, format!("/v1/uploads/{}", self.upload.id)));
        }
        show(&mut response, &self.upload, file.length, settings);
        Ok(response.finish())
    }

    /// Writes down what is said of the whole before any of the body is read, so that it counts also when the body breaks off.
    async fn promise(&mut self, said: Said, whole: Digests, there: u64) -> Result<(), Problem> {
        let known = (self.upload.length, self.upload.digests);
        if said.length.is_some_and(|length| length < there || known.0.is_some_and(|known| known != length)) {
            return Err(inconsistent());
        }
        if said.length.is_some_and(|length| length > self.app.ingest.settings().max_container_bytes) {
            return Err(too_long(&self.app));
        }
        self.upload.length = known.0.or(said.length);
        self.upload.digests = agreed(known.1, whole)?;
        if known != (self.upload.length, self.upload.digests) {
            let row = self.upload.clone();
            let written = self.app.store.write(move |tx| {
                let mut row = row.clone();
                tx.update_upload(&mut row).map(|()| row)
            });
            self.upload = written.await?;
        }
        Ok(())
    }

    /// The answer to the last part, once more.
    async fn replay(self, id: ContainerId, request: &HttpRequest, said: Said, offset: u64) -> Result<HttpResponse, Problem> {
        let length = self.upload.length.unwrap_or_default();
        if !said.is_complete || offset != length {
            return Err(mismatch(length).with_header(UPLOAD_COMPLETE, completeness(true)));
        }
        let organisation = self.caller.organisation;
        let container = self.app.store.read(move |tx| tx.container(organisation, id)).await?;
        let answer = if container.state == ContainerState::Verifying {
            Ok(applied(accepted(container)?, self.prefer))
        } else {
            // A delivery that repeated an earlier one shows the earlier one.
            let again = container.id != id || container.created_at < self.upload.created_at;
            verdict(Judged { container, again })
        };
        finished(answer, request)
    }

    /// All of it is there: looks at its digest and has it judged.
    async fn complete(mut self, file: UploadFile, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        if self.upload.length.is_some_and(|length| length != file.length) {
            return Err(inconsistent());
        }
        self.upload.length = Some(file.length);
        if let Err(problem) = file.verify(self.upload.digests).await {
            // Nobody can say which of its bytes are wrong.
            give_up(&self.app, self.upload.id).await?;
            return Err(problem);
        }
        let container = new_container(&self.app, &self.caller, self.upload.partial, &self.correlator);
        let (ingest, content, id) = (self.app.ingest.clone(), Arc::clone(self.app.ingest.content()), self.upload.id);
        if self.prefer.respond_async {
            let upload = self.upload;
            let placed = Arc::clone(&content);
            let place = move |name: &str| placed.link(&id.to_string(), name);
            let expected = ingest.expect(container, place, move |tx, container| {
                tx.update_upload(&mut Upload { container: Some(container.id), ..upload.clone() })
            });
            let answer = applied(accepted(expected.await?)?, self.prefer);
            // Its first name goes only now: until the row is durable the upload could still be asked for.
            web::block(move || content.discard(&id.to_string())).await.map_err(Error::internal)?.map_err(unavailable)?;
            return finished(Ok(answer), request);
        }
        let (store, upload, reader) = (self.app.store.clone(), self.upload, file.reader()?);
        // On a task of its own: once it is whole it is judged, also when the sender does not wait for it.
        let judged = tokio::spawn(
            async move {
                let judged = ingest.run(container, reader).await?;
                let container = judged.container.id;
                store.write(move |tx| tx.update_upload(&mut Upload { container: Some(container), ..upload.clone() })).await?;
                drop(file);
                let discarded = tokio::task::spawn_blocking(move || content.discard(&id.to_string())).await;
                discarded.map_err(Error::internal)?.map_err(|error| Error::Unavailable(Box::new(error)))?;
                Ok::<_, Error>(judged)
            }
            .in_current_span(),
        );
        finished(verdict(judged.await.map_err(Error::internal)??), request)
    }
}

/// The answer to the last part.
fn finished(answer: Result<Answer, Problem>, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    match answer {
        Ok(answer) => Ok(answer.with(UPLOAD_COMPLETE, completeness(true)).respond_to(request)),
        Err(problem) => Err(problem.with_header(UPLOAD_COMPLETE, completeness(true))),
    }
}

fn mismatch(offset: u64) -> Problem {
    let problem =
        Problem::new(Code::MismatchingUploadOffset, format!("There are {offset} bytes, so the next part begins there."));
    problem.with_header(UPLOAD_OFFSET, offset.into())
}

fn inconsistent() -> Problem {
    Problem::new(Code::InconsistentUploadLength, "The upload is not as long as its Upload-Length says.")
}

pub(crate) fn too_long(app: &App) -> Problem {
    let settings = app.ingest.settings();
    let problem = Problem::new(Code::PayloadTooLarge, format!("A container may have {} bytes.", settings.max_container_bytes));
    problem.with_header(UPLOAD_LIMIT, limit(settings))
}

pub(crate) async fn find(app: &App, caller: &Caller, id: UploadId) -> Result<Upload, Problem> {
    let (client, now) = (caller.client, app.clock.now());
    Ok(app.store.read(move |tx| tx.upload(client, id, now)).await?)
}

/// Removes row and file of an upload.
pub(crate) async fn give_up(app: &App, id: UploadId) -> Result<(), Problem> {
    app.store.write(move |tx| tx.delete_upload(id)).await?;
    let content = Arc::clone(app.ingest.content());
    web::block(move || content.discard(&id.to_string())).await.map_err(Error::internal)?.map_err(unavailable)
}

/// Its file is gone: there is nothing to go on with.
pub(crate) fn lost() -> Problem {
    Problem::not_found("upload")
}
