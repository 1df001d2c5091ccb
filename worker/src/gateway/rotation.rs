//! A device's secret on its way to being another: made here, offered by an operation, and taken in the place of the old one when the device uses it.
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use dmwsi_domain::account::{Sealed, Secret, Side};
use dmwsi_domain::contact::Contact;
use dmwsi_domain::execution::Execution;
use dmwsi_domain::operation::NewSecret;
use dmwsi_domain::rotation::{Rotation, RotationState, SecretNews};
use dmwsi_domain::{Error, Result};
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::server::Received;
use dmwsi_store::{Keys, StoredSession};
use openssl::rand::rand_bytes;
use openssl::sha::sha256;

use super::Gateway;
use super::known::Known;
use super::state::State;

/// The octets of chance in a secret: 192 bits make 32 characters, which no client known finds too long or too odd.
const CHANCE: usize = 24;

/// The octets of a digest that tell a sealed secret from any other.
const MARK: usize = 12;

/// The secret that a device may be offered in a message.
pub(super) struct Offer {
    present: Sealed,
    secret: Sealed,
    was: Option<RotationState>,
}

/// What is to be written of it.
pub(super) struct RotationChange {
    /// The one that the device has in the account.
    pub(super) present: Sealed,
    pub(super) secret: Sealed,
    pub(super) was: Option<RotationState>,
    pub(super) is: Option<RotationState>,
}

impl Offer {
    /// What the message made of it, where that is anything.
    pub(super) fn after(self, news: SecretNews) -> Option<RotationChange> {
        let is = RotationState::after(self.was, news);
        (is != self.was).then_some(RotationChange { present: self.present, secret: self.secret, was: self.was, is })
    }
}

impl State {
    /// Notes by which secret the device has proven itself in this session, where it did so in this message.
    pub(super) fn note_proof(&mut self, received: &Received, contact: &Contact) {
        if received.accepted_with.is_some() {
            self.proven_by = Some(mark(&contact.account.client.secret));
        }
    }
}

impl Gateway {
    /// The secret that a device was offered whose credentials are wrong by the present one: it may have begun to use it.
    pub(super) async fn offered(&self, contact: &Contact, known: Option<Rotation>) -> Result<Option<Rotation>> {
        let device = contact.device;
        match known {
            Some(rotation) => Ok(Some(rotation)),
            None if contact.account.client.auth == AuthType::Transport => Ok(None),
            None => self.store.glance(move |tx| tx.rotation(device)).await,
        }
    }

    /// Hands in a secret where executions want one: the one that the device was offered before, or a new one. Who has proven himself in this session by a
    /// secret that the account has no more is not told it.
    pub(super) fn hand_secret(
        &self,
        contact: &Contact,
        state: &State,
        rotation: Option<Rotation>,
        executions: &mut [Execution],
    ) -> Result<Option<Offer>> {
        let mut wanting = executions.iter_mut().filter(|execution| execution.operation.wants_secret()).peekable();
        if wanting.peek().is_none() {
            return Ok(None);
        }
        let (device, account) = (contact.device, &contact.account);
        let present = &account.client.secret;
        let (secret, offer) = match rotation {
            _ if account.client.auth == AuthType::Transport => (None, None),
            Some(Rotation { secret, state: known }) => {
                let clear = self.sealing.open_secret(device, Side::Client, &secret)?;
                let clear = std::str::from_utf8(clear.expose()).ok().and_then(Secret::parse);
                let clear = clear.ok_or_else(|| Error::internal("a secret is no text"))?;
                (Some(clear), Some(Offer { present: present.clone(), secret, was: Some(known) }))
            }
            None => {
                let (clear, secret) = made(&self.sealing, contact)?;
                (Some(clear), Some(Offer { present: present.clone(), secret, was: None }))
            }
        };
        let new = NewSecret {
            server_id: account.server_id.clone(),
            mark: offer.as_ref().map(|offer| mark(&offer.secret)).unwrap_or_default(),
            present: mark(present),
            may_be_told: state.proven_by.as_ref() == Some(&mark(present)),
            secret,
        };
        wanting.for_each(|execution| execution.operation.hand_secret(new.clone()));
        Ok(offer)
    }

    /// What the database knows, in the clear.
    pub(super) fn opened(&self, known: Known) -> Result<Known> {
        let stored = known.stored.map(|row| self.sealing.open_session(row)).transpose()?;
        Ok(Known { stored, ..known })
    }

    /// A session as it is stored: no secret stands in its row in the clear.
    pub(super) fn at_rest(&self, row: StoredSession, tells_secret: bool) -> Result<StoredSession> {
        if tells_secret { self.sealing.seal_session(row) } else { Ok(row) }
    }
}

/// A secret that nobody knows.
fn made(sealing: &Keys, contact: &Contact) -> Result<(Secret, Sealed)> {
    let mut chance = [0; CHANCE];
    rand_bytes(&mut chance).map_err(Error::internal)?;
    let secret = Secret::parse(&BASE64_URL_SAFE_NO_PAD.encode(chance)).ok_or_else(|| Error::internal("a secret is too long"))?;
    let sealed = sealing.seal_secret(contact.device, Side::Client, &secret)?;
    Ok((secret, sealed))
}

/// What tells a secret from any other: it is made of what it is sealed to, which is never the same twice and moves with it.
fn mark(sealed: &Sealed) -> String {
    let digest = sha256(&sealed.0);
    BASE64_URL_SAFE_NO_PAD.encode(digest.get(..MARK).unwrap_or_default())
}
