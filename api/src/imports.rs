//! Bulk imports of devices: NDJSON in, a verdict for each line out.
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, post, web};
use dmwsi_domain::device::NewDevice;
use dmwsi_domain::id::{DeviceId, ImportId, OrganisationId};
use dmwsi_domain::import::{Import, ImportState, LINES_PER_CHUNK, Refusal, Verdict};
use dmwsi_domain::{Error, Result};
use dmwsi_store::{Chunk, Line};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use utoipa::ToSchema;

use crate::allowed::{Allowed, DevicesWrite};
use crate::app::App;
use crate::body;
use crate::correlator::Correlator;
use crate::device_id::DeviceIds;
use crate::devices::owner;
use crate::idempotency;
use crate::problem::{Code, Problem};
use crate::spool::{Lines, RawLine, Spool};

/// What one line of the body is and what one line of the answer looks like.
const NDJSON: &str = "application/x-ndjson";

/// How often a chunk is tried when somebody else takes an identity or the database passes.
const TRIES: u32 = 5;

/// The wait before the second try; each further one waits as much longer.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of one line: `CREATED` with `deviceId`, or `REFUSED` with `problem`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "UPPERCASE")]
#[schema(as = ImportVerdict)]
pub enum VerdictView {
    /// It made a device.
    #[serde(rename_all = "camelCase")]
    Created {
        /// Which line, from 1; blank lines count and have no verdict.
        #[schema(minimum = 1, maximum = 100_000)]
        line: u32,
        /// The device.
        #[schema(max_length = 36, pattern = "^dev_[0-9a-f]{32}$")]
        #[serde(rename = "deviceId")]
        device_id: String,
    },
    /// It made none.
    Refused {
        /// Which line, from 1; blank lines count and have no verdict.
        #[schema(minimum = 1, maximum = 100_000)]
        line: u32,
        /// Why.
        problem: RefusalView,
    },
}

/// Why a line was refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImportRefusal)]
pub struct RefusalView {
    /// The stable code, as in problem details.
    #[schema(max_length = 96, examples("ALREADY_EXISTS"))]
    code: String,
    /// This occurrence in words.
    #[schema(max_length = 1024)]
    detail: String,
    /// Where in the line, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, examples("/dmIdentity"))]
    pointer: Option<String>,
}

impl VerdictView {
    fn new(ids: &DeviceIds, organisation: OrganisationId, verdict: Verdict) -> Result<Self> {
        Ok(match verdict {
            Verdict::Created { line, device } => Self::Created { line, device_id: ids.public(organisation, device)? },
            Verdict::Refused { line, problem: Refusal { code, detail, pointer } } => {
                Self::Refused { line, problem: RefusalView { code, detail, pointer } }
            }
        })
    }
}

/// Import devices
///
/// Each line is a device as in `POST /v1/devices`; at most 100,000 lines of at most 16 KiB. The body is taken whole first, then applied; each line
/// is judged by itself, and its verdict is a line of the answer. With an `Idempotency-Key` the import can be repeated for seven days after its last step
/// (`api.importsKeptDays`): it goes on where it stopped, whatever stopped it, and the verdicts already given come again. After that the key is
/// free and the verdicts are gone; the devices stay.
#[utoipa::path(
    tag = "Devices",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe.")),
    request_body(
        content = String,
        content_type = "application/x-ndjson",
        description = "A device a line.",
        example = "{\"dmIdentity\":\"IMEI:490154203237518\",\"account\":{\"serverId\":\"dm.example.com\",\"client\":{\"auth\":\"DIGEST\",\"name\":\"device-1\",\"secret\":\"correct horse\"}}}\n"
    ),
    responses(
        (status = 200, description = "A verdict a line, in the order of the lines. An answer that breaks off is completed by repeating the request.",
            content_type = "application/x-ndjson", body = VerdictView,
            example = json!({"line": 1, "status": "CREATED", "deviceId": "dev_8f14e45fceea167a5a36dedd4bea2543"})),
        (status = 409, description = "Another request with this key began at the same moment."),
        (status = 413, description = "There are more lines or bytes than one import may have.")
    ),
    security(("oauth2" = ["devices:write"]))
)]
#[post("/v1/devices/imports")]
pub async fn import_devices(
    allowed: Allowed<DevicesWrite>,
    correlator: Correlator,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let Allowed { app, caller, .. } = allowed;
    body::expect(&request, NDJSON)?;
    let key = idempotency::key(request.headers())?;
    let settings = &app.settings;
    let spool = Spool::receive(&settings.spool_folder, &app.clock, payload.into_inner(), settings.max_import_bytes).await?;
    if spool.count == 0 {
        return Err(Problem::invalid("The body has no line."));
    }
    let id = ImportId::new(app.clock.new_id());
    let asked = Import::begin(id, owner(&caller), key, spool.fingerprint, app.clock.now());
    let fingerprint = asked.fingerprint.clone();
    let import = app.store.write(move |tx| tx.begin_import(&asked)).await?;
    if import.fingerprint != fingerprint {
        return Err(Problem::new(Code::IdempotencyKeyReused, "The Idempotency-Key was used for another import."));
    }
    let (replayed, count) = (import.id != id, spool.count);
    let run = Run { app, import, shown: 0, count, lines: Some(spool.lines), correlator: correlator.as_str().to_owned() };
    // The first step is taken before the answer begins, so that what fails at once still has its own status.
    let first = run.step().await?;
    let rest = stream::try_unfold(first, |ready| async move {
        let Some((bytes, run)) = ready else { return Ok(None) };
        let next = run.step().await.inspect_err(|error| tracing::error!(cause = ?error, "an import broke off: {error}"))?;
        Ok::<_, Error>(Some((bytes, next)))
    });
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_TYPE, NDJSON));
    if replayed {
        response.insert_header((idempotency::IDEMPOTENCY_REPLAYED, "true"));
    }
    Ok(response.streaming(rest.boxed_local()))
}

/// An import on its way.
struct Run {
    app: App,
    import: Import,
    /// The last line whose verdict has been given.
    shown: u32,
    count: u32,
    lines: Option<Lines>,
    correlator: String,
}

impl Run {
    /// The next verdicts as lines of the answer: those stored by whoever applied the lines before, then those of the next chunk. Nothing when
    /// all have been given.
    async fn step(mut self) -> Result<Option<(web::Bytes, Self)>> {
        loop {
            let verdicts = if self.shown < self.import.line {
                let (id, shown) = (self.import.id, self.shown);
                let stored = self.app.store.read(move |tx| tx.verdicts(id, shown)).await?;
                self.shown = stored.last().map_or(self.import.line, Verdict::line);
                stored
            } else if self.import.state == ImportState::Completed {
                return Ok(None);
            } else {
                self.apply().await?
            };
            if !verdicts.is_empty() {
                return Ok(Some((self.render(verdicts)?, self)));
            }
        }
    }

    fn render(&self, verdicts: Vec<Verdict>) -> Result<web::Bytes> {
        let mut text = Vec::new();
        for verdict in verdicts {
            let view = VerdictView::new(&self.app.keys.device_ids, self.import.owner.organisation, verdict)?;
            serde_json::to_writer(&mut text, &view).map_err(Error::internal)?;
            text.push(b'\n');
        }
        Ok(text.into())
    }

    /// Applies the next chunk. No verdicts where somebody else, with the same key, has applied it: theirs are read then.
    async fn apply(&mut self) -> Result<Vec<Verdict>> {
        let chunk = Arc::new(self.read_chunk().await?);
        let (now, ids) = (self.app.clock.now(), self.app.clock.new_ids());
        let mut tries = 0;
        loop {
            let (chunk, import, correlator) = (Arc::clone(&chunk), self.import.clone(), self.correlator.clone());
            let applied = self.app.store.write(move |tx| tx.apply_chunk(&import, &chunk, &correlator, now, ids)).await;
            tries += 1;
            match applied {
                Ok((import, verdicts)) => {
                    self.shown = import.line;
                    self.import = import;
                    return Ok(verdicts);
                }
                Err(Error::Stale { .. }) => {
                    let id = self.import.id;
                    self.import = self.app.store.read(move |tx| tx.import(id)).await?;
                    return Ok(Vec::new());
                }
                // Somebody took an identity between our look and our insert, or the database passed: look again.
                Err(Error::Exists { .. } | Error::Unavailable(_)) if tries < TRIES => {
                    tokio::time::sleep(PAUSE.saturating_mul(tries)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads, parses and seals the lines after the cursor, away from the threads that serve requests.
    async fn read_chunk(&mut self) -> Result<Chunk> {
        let mut lines = self.lines.take().ok_or_else(|| Error::internal("the lines of an import are gone"))?;
        let (app, import, count) = (self.app.clone(), self.import.clone(), self.count);
        let read = web::block(move || {
            lines.skip_to(import.line).map_err(Error::internal)?;
            let mut chunk = Vec::new();
            let upto = import.line.saturating_add(LINES_PER_CHUNK).min(count);
            while lines.at() < upto {
                let Some(raw) = lines.next_line().map_err(Error::internal)? else { break };
                chunk.extend(read_line(&app, &import, lines.at(), &raw)?);
            }
            Ok::<_, Error>((Chunk { lines: chunk, upto, last: upto >= count }, lines))
        });
        let (chunk, lines) = read.await.map_err(Error::internal)??;
        self.lines = Some(lines);
        Ok(chunk)
    }
}

/// What a line says; nothing where it is blank.
fn read_line(app: &App, import: &Import, line: u32, raw: &RawLine) -> Result<Option<Line>> {
    let RawLine::Bytes(bytes) = raw else {
        return Ok(Some(refused(line, &Problem::new(Code::OutOfRange, "A line may have 16,384 bytes."))));
    };
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return Ok(None);
    }
    let new: NewDevice = match body::parse(bytes) {
        Ok(new) => new,
        Err(problem) => return Ok(Some(refused(line, &problem))),
    };
    if let Err(forbidden) = app.egress.judge_push(&new.push_address) {
        return Ok(Some(refused(line, &forbidden.at("/pushAddress").into())));
    }
    let id = DeviceId::new(app.clock.new_id());
    let device = new.register(id, import.owner, app.clock.now(), |account| app.sealing.seal_account(id, account))?;
    Ok(Some(Line::Device { line, device: Box::new(device) }))
}

fn refused(line: u32, problem: &Problem) -> Line {
    let pointer = problem.errors().first().map(|error| error.pointer.clone());
    Line::Refused {
        line,
        problem: Refusal { code: problem.code().as_str().to_owned(), detail: problem.detail().to_owned(), pointer },
    }
}
