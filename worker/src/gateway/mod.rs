//! The device side: `POST /dm`, OMA DM 1.2 in XML and WBXML.
mod agenda;
mod body;
mod bootstrap;
mod certificate;
mod effects;
mod elsewhere;
mod exchange;
mod idle;
mod incoming;
mod kinds;
mod known;
mod manners;
mod mask;
mod memory;
mod nonce;
mod prior;
mod record;
mod rotation;
mod secrets;
mod seen;
mod settings;
mod state;
mod stranger;
mod supplies;
mod turnstiles;
mod work;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use dmwsi_domain::contact::Contact;
use dmwsi_domain::profile::Book;
use dmwsi_domain::{Clock, Error, Result, Timestamp};
use dmwsi_protocol::encoding::{DecodeError, Form};
use dmwsi_protocol::mac;
use dmwsi_protocol::server::{Fault, Limits, Turn};
use dmwsi_store::content::Content;
use dmwsi_store::{Keys, Store};

use crate::download::Tokens;

use self::elsewhere::Elsewhere;
use self::incoming::Incoming;
use self::kinds::Kinds;
use self::memory::Memory;
use self::nonce::Nonces;
use self::seen::Seen;
use self::stranger::Strangers;
use self::supplies::Supplies;
use self::turnstiles::Turnstiles;

pub use self::bootstrap::bootstrapping;
pub use self::certificate::Certificate;
pub(crate) use self::idle::give_up;
pub use self::settings::Settings;
use self::state::Said;

/// Where devices send their messages, below the public address.
pub const PATH: &str = "/dm";

/// Answers devices. One for each process; its memory holds what a check-in would otherwise have to write.
pub struct Gateway {
    store: Store,
    clock: Clock,
    settings: Settings,
    limits: Limits,
    address: String,
    sealing: Keys,
    nonces: Nonces,
    supplies: Supplies,
    memory: Memory,
    elsewhere: Elsewhere,
    seen: Seen,
    strangers: Strangers,
    kinds: Kinds,
    turnstiles: Turnstiles,
    /// What is known of kinds of devices.
    book: Book,
    /// What this process is called in records.
    name: String,
}

/// A message that gets no SyncML reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("not a SyncML message: {0}")]
    Undecodable(#[from] DecodeError),
    #[error("it did not come whole: {0}")]
    Broken(#[from] PayloadError),
    #[error("{0}")]
    Failed(#[from] Error),
    #[error("against the protocol: {0}")]
    Fault(#[from] Fault),
    #[error("it has more than {limit} bytes")]
    TooLarge { limit: u32 },
}

impl Gateway {
    /// A gateway whose devices reach it below `public_url`. `nonce_key` is secret and the same in every process; `sealing`
    /// opens the secrets of accounts; `tokens` make the addresses of downloads of that `content`.
    pub fn new(
        store: Store,
        clock: Clock,
        settings: Settings,
        public_url: &str,
        nonce_key: [u8; 32],
        sealing: Keys,
        (tokens, content): (Tokens, Arc<dyn Content>),
    ) -> Self {
        let limits = Limits {
            max_message: settings.max_message_bytes,
            max_object: settings.max_object_bytes,
            max_commands: settings.max_commands,
            max_tries: settings.max_tries,
            max_next_messages: settings.max_next_messages,
        };
        let some = |number: usize| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            supplies: Supplies::new(tokens, content, public_url),
            address: address(public_url),
            nonces: Nonces::new(nonce_key, some(settings.remembered_nonces)),
            memory: Memory::new(some(settings.remembered_sessions)),
            elsewhere: Elsewhere::new(some(settings.remembered_sessions)),
            seen: Seen::default(),
            strangers: Strangers::new(settings.max_strangers),
            kinds: Kinds::default(),
            turnstiles: Turnstiles::new(),
            book: Book::default(),
            name: settings.process_name(),
            store,
            clock,
            settings,
            limits,
            sealing,
        }
    }

    /// The same, knowing of the kinds of devices in that book.
    #[must_use]
    pub fn knowing(self, book: Book) -> Self {
        Self { book, ..self }
    }

    /// Puts the device side into a server.
    pub fn configure(self: &Arc<Self>) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let gateway = Data::from(Arc::clone(self));
        move |config| {
            config.service(web::resource(PATH).app_data(gateway).route(web::post().to(dm)));
        }
    }

    /// Writes the times at which devices called, again and again until `stopped` completes, and once more then.
    pub async fn flush_seen(&self, stopped: impl Future<Output = ()>) {
        let mut stopped = std::pin::pin!(stopped);
        let every = Duration::from_secs(self.settings.seen_flush_seconds.max(1));
        loop {
            let over = tokio::select! {
                () = &mut stopped => true,
                () = self.seen.due(every) => false,
            };
            if let Err(error) = self.seen.flush(&self.store, &self.clock).await {
                tracing::warn!(%error, "the times at which devices called could not be written; they are kept");
            }
            if over {
                return;
            }
        }
    }

    async fn answer(&self, request: &HttpRequest, payload: Payload) -> Result<(Form, Said), Refusal> {
        let largest = usize::try_from(self.settings.max_message_bytes).unwrap_or(usize::MAX);
        let (body, is_whole) = body::gather(payload, request.headers(), largest).await?;
        let form = Form::of(&body, request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()));
        let now = self.clock.now();
        if !is_whole {
            let refusal = Refusal::TooLarge { limit: self.settings.max_message_bytes };
            self.note_unread(&body, form, &refusal, now).await;
            return Err(refusal);
        }
        let incoming = match Incoming::read(request, &body, form, now) {
            Ok(incoming) => incoming,
            Err(error) => {
                let refusal = error.into();
                self.note_unread(&body, form, &refusal, now).await;
                return Err(refusal);
            }
        };
        Ok((form, self.reply(incoming).await?))
    }

    fn count(&self, turn: &Turn) {
        let outcome = match turn {
            Turn::Offer => "offered",
            Turn::Continue => "continued",
            Turn::Refused { missing: true, .. } => "challenged",
            Turn::Refused { missing: false, .. } => "refused",
            Turn::Aborted => "aborted",
            Turn::Closed => "closed",
            Turn::Exhausted => "exhausted",
        };
        metrics::counter!("dmwsi_dm_messages_total", "outcome" => outcome).increment(1);
    }

    fn is_locked_out(&self, contact: &Contact, now: Timestamp) -> bool {
        let window = Duration::from_secs(self.settings.lockout_seconds);
        contact.failed_tries >= self.settings.max_failed_tries && contact.failed_at.is_some_and(|at| now.since(at) < window)
    }

    fn details_are_old(&self, facts: &dmwsi_domain::facts::Facts, now: Timestamp) -> bool {
        let days = u64::from(self.settings.details_days);
        days > 0 && facts.details_read_at.is_none_or(|at| now.since(at) > Duration::from_secs(days.saturating_mul(86_400)))
    }
}

/// Where devices send their messages.
fn address(public_url: &str) -> String {
    format!("{}{PATH}", public_url.trim_end_matches('/'))
}

async fn dm(gateway: Data<Gateway>, request: HttpRequest, body: Payload) -> HttpResponse {
    let refused = match gateway.answer(&request, body).await {
        Ok((form, reply)) => {
            let mut response = HttpResponse::Ok();
            response.insert_header((CONTENT_TYPE, form.content_type())).insert_header((CACHE_CONTROL, "no-store"));
            if let Some(mac) = reply.mac {
                response.insert_header((mac::HEADER, mac.into_bytes()));
            }
            let mut response = response.body(reply.bytes);
            // Some clients look for `Content-Length` as it is written there.
            response.head_mut().set_camel_case_headers(true);
            return response;
        }
        Err(refused) => refused,
    };
    let status = match &refused {
        Refusal::Broken(_) | Refusal::Fault(_) | Refusal::Undecodable(_) => StatusCode::BAD_REQUEST,
        Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Failed(Error::Unavailable(_) | Error::Stale { .. }) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    metrics::counter!("dmwsi_dm_messages_total", "outcome" => "unanswered").increment(1);
    if status.is_server_error() {
        tracing::error!(cause = ?refused, "a device's message could not be answered");
        return HttpResponse::build(status).insert_header(("Retry-After", "5")).body("the server cannot answer at the moment\n");
    }
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(format!("{refused}\n"))
}
