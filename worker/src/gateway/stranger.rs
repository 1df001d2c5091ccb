//! Who knocks without being known: answered like anybody with wrong credentials, and noted for the operator.
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dmwsi_domain::contact::StrangerReason;
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_objects::devinfo;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::message::{Data, Element, Message, Verb};
use dmwsi_protocol::server::{Account, Arrival, Nonces, Session};
use lru::LruCache;

use super::incoming::Incoming;
use super::kinds::Kind;
use super::memory::Held;
use super::state::{Answered, Said};
use super::{Gateway, Refusal, Settings};

/// One stranger is written down at most so often.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// How many strangers are written down a minute at most, whoever they are.
const NOTED_A_MINUTE: u32 = 600;

/// How many bytes of what a stranger tells of itself are kept, of each thing.
const TOLD: usize = 64;

/// Whom this process has written down lately.
pub(super) struct Strangers {
    most: u32,
    lately: Mutex<Lately>,
}

struct Lately {
    noted: LruCache<String, Timestamp>,
    minute: i64,
    written: u32,
}

impl Strangers {
    /// At most so many are kept in the database.
    pub(super) fn new(most: u32) -> Self {
        let room = NonZeroUsize::new(10_000).unwrap_or(NonZeroUsize::MIN);
        Self { most, lately: Mutex::new(Lately { noted: LruCache::new(room), minute: 0, written: 0 }) }
    }

    /// Whether to write the caller down now.
    pub(super) fn is_due(&self, identity: &str, now: Timestamp) -> bool {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.micros() / 60_000_000;
        if lately.minute != minute {
            (lately.minute, lately.written) = (minute, 0);
        }
        let fresh = lately.noted.get(identity).is_some_and(|at| now.since(*at) < NOTED_EVERY);
        if fresh || lately.written >= NOTED_A_MINUTE {
            return false;
        }
        lately.written = lately.written.saturating_add(1);
        lately.noted.put(identity.to_owned(), now);
        true
    }
}

impl std::fmt::Debug for Strangers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Strangers").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Gateway {
    /// The reply to somebody who is not known, or who is of that kind and was wrong too often.
    pub(super) async fn stranger(
        &self,
        incoming: &Incoming,
        reason: StrangerReason,
        known: Option<Kind>,
    ) -> Result<Said, Refusal> {
        let header = &incoming.message.header;
        let (identity, key) = (header.source.uri.clone(), (header.source.uri.clone(), header.session.clone()));
        // Whoever had proven itself and is not known any more, or is locked out, gets no further by that.
        let session = match self.memory.find(&key, incoming.at).filter(|held| !held.session.is_authenticated()) {
            Some(held) => held.session,
            None => Session::open(&incoming.message, &self.address),
        };
        let next = self.nonces.decoy(&identity, header.message, incoming.at)?;
        let secret = String::from_utf8_lossy(&next).into_owned();
        // The same each time, as that of a known device is until it has given a nonce.
        let shown = self.nonces.decoy(&identity, u32::MAX, Timestamp::from_micros(0))?;
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let Settings { server_id, unknown_server_name, .. } = &self.settings;
        let (client_auth, server_auth) = match known {
            Some(kind) => kind,
            None => self.seeming(&identity, incoming.at).await?,
        };
        let account = Account {
            server_id,
            client_auth: possible(client_auth),
            every_message: false,
            client_name: "",
            client_secret: &secret,
            server_auth: server_auth.map(possible),
            server_name: if unknown_server_name.is_empty() { server_id } else { unknown_server_name },
            server_secret: &shown,
        };
        let nonces = Nonces { expected: &[], next: &next, server: &[] };
        let arrival = Arrival { at_respond_to: false, ..incoming.arrival(&session, None) };
        let (session, received) = session.receive(&incoming.message, &arrival, &account, &nonces, &self.limits)?;
        self.count(&received.turn);
        let (session, reply) = session.reply(Vec::new(), &account, &nonces, incoming.form, &self.limits);
        let said = Said::from(reply);
        let last = Answered { message: header.message, hash: incoming.hash, reply: said.clone() };
        self.memory.keep(key, Held { session, last, at: incoming.at, record: None });
        // He does not wait for it: how long he does would tell him who is known.
        let note = self.note(incoming, reason);
        tokio::spawn(async move {
            if let Err(error) = note.await {
                tracing::warn!(cause = ?error, "somebody who is not known could not be written down: {error}");
            }
        });
        Ok(said)
    }

    /// Of which kind somebody seems to be who is not known, whatever is shown: as a device of one kind is told of it, whatever it shows.
    async fn seeming(&self, identity: &str, now: Timestamp) -> Result<Kind> {
        match self.settings.unknown_client_auth {
            Some(auth) => Ok((auth, self.settings.unknown_server_auth)),
            None => self.kinds.at(self.nonces.place(identity)?, &self.store, now).await,
        }
    }

    /// Writes the caller down for the operator, unless that was done lately.
    pub(super) fn note(&self, incoming: &Incoming, reason: StrangerReason) -> impl Future<Output = Result<()>> + Send + use<> {
        let identity = incoming.message.header.source.uri.clone();
        let is_due = identity.len() <= 256 && self.strangers.is_due(&identity, incoming.at);
        let description = is_due.then(|| serde_json::to_string(&told(&incoming.message)).map_err(Error::internal));
        let (store, now, most) = (self.store.clone(), incoming.at, self.strangers.most);
        async move {
            match description.transpose()? {
                Some(description) => store.write(move |tx| tx.note_stranger(&identity, reason, &description, now, most)).await,
                None => Ok(()),
            }
        }
    }
}

/// What those are asked for who do not prove themselves by their transport: what stands in their messages.
fn possible(auth: AuthType) -> AuthType {
    if auth == AuthType::Transport { AuthType::Digest } else { auth }
}

/// What the caller tells of itself: nobody has proven it.
fn told(message: &Message) -> serde_json::Map<String, serde_json::Value> {
    let mut told = serde_json::Map::new();
    for element in &message.body {
        let Element::Command(command) = element else { continue };
        for item in command.items.iter().filter(|_| command.verb == Verb::Replace) {
            let (Some(source), Some(data)) = (&item.source, &item.data) else { continue };
            let name = match source.as_str() {
                devinfo::MAN => "manufacturer",
                devinfo::MOD => "model",
                devinfo::DEV_ID => "deviceId",
                _ => continue,
            };
            let text = match data {
                Data::Octets(octets) => String::from_utf8_lossy(octets),
                Data::Text(text) => text.into(),
            };
            told.insert(name.to_owned(), text.chars().filter(|c| !c.is_control()).take(TOLD).collect::<String>().into());
        }
    }
    told
}
