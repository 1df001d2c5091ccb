//! One message of a device and the reply to it: load, step the pure values, write in one transaction, answer.
use bytes::Bytes;
use dmwsi_domain::contact::{Contact, StrangerReason};
use dmwsi_domain::known_tree::{Lesson, lessons};
use dmwsi_domain::operation::Told;
use dmwsi_domain::rotation::Rotation;
use dmwsi_domain::session_record::FaultCode;
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{Command, NodeUri, Reading, devdetail};
use dmwsi_protocol::server::{Nonces, Received, Session, Turn};
use dmwsi_store::StoredSession;

use super::effects::{Effects, SessionEffect};
use super::incoming::Incoming;
use super::known::{Known, known, known_busy};
use super::manners::observed;
use super::memory::Held;
use super::nonce::Place;
use super::prior::{abandon, found, prior};
use super::record::Heard;
use super::state::{Answered, Said, State};
use super::work::Work;
use super::{Gateway, Refusal};

/// How often a message is taken up anew when another process changed the session or an execution meanwhile.
const MAX_RACES: usize = 4;

/// The details asked of a device that never told them, or told them long ago.
const DETAILS: [&str; 6] =
    [devdetail::FW_V, devdetail::SW_V, devdetail::HW_V, devdetail::OEM, devdetail::DEV_TYP, devdetail::LRG_OBJ];

impl Gateway {
    /// The reply to a message.
    pub(super) async fn reply(&self, incoming: Incoming) -> Result<Said, Refusal> {
        let _turn = self.turnstiles.pass(&incoming.message.header.source.uri).await;
        for _ in 0..MAX_RACES {
            match self.exchange(&incoming).await {
                Err(Refusal::Failed(Error::Stale { .. })) => {}
                other => return other,
            }
        }
        Err(Refusal::Failed(Error::Stale { what: "session" }))
    }

    async fn exchange(&self, incoming: &Incoming) -> Result<Said, Refusal> {
        let (identity, begins) = (incoming.message.header.source.uri.clone(), incoming.begins());
        let mut known = self.store.glance(move |tx| known(tx, &identity)).await?;
        if known.as_ref().is_some_and(Known::has_more) {
            let identity = incoming.message.header.source.uri.clone();
            known = self.store.read(move |tx| known_busy(tx, &identity, begins)).await?;
        }
        let known = known.map(|known| self.opened(known)).transpose()?;
        let number = incoming.message.header.message;
        if let Some(held) = self.memory.repeated(&incoming.key(), number, &incoming.hash, incoming.at) {
            // Some clients begin every session in the same words. When there is work by now, these are a new session.
            let is_new = held.session.is_authenticated() && known.as_ref().is_some_and(|known| known.contact.has_work);
            if !is_new && incoming.may_hear_again(&held.session) {
                if let Some(known) = &known {
                    self.note_repetition(held.record.as_deref(), &known.contact, incoming.at).await;
                }
                return Ok(held.last.reply);
            }
        }
        match known {
            Some(known) if self.is_shut(incoming, &known) => {
                let detail = "The device failed to prove itself too often, and is not listened to for a while.".to_owned();
                self.note_refused(incoming, &known.contact, FaultCode::LockedOut, detail).await;
                let account = &known.contact.account;
                let kind = (account.client.auth, account.server.as_ref().map(|server| server.auth));
                self.stranger(incoming, StrangerReason::Credentials, Some(kind)).await
            }
            Some(known) => self.known(incoming, known, None).await,
            None => self.stranger(incoming, StrangerReason::Unknown, None).await,
        }
    }

    /// The reply to a message of a known device; `adopts` is the secret that it was offered where that stands in its account by now, for this message.
    async fn known(&self, incoming: &Incoming, known: Known, adopts: Option<Rotation>) -> Result<Said, Refusal> {
        let Known { mut contact, stored, mut executions, deliverables, rotation } = known;
        let (now, key) = (incoming.at, incoming.key());
        let header = &incoming.message.header;
        if let Some(row) = stored.as_ref().filter(|row| row.session == header.session) {
            let same = row.last_message == header.message && row.last_body == incoming.hash;
            let state = if same { State::read(&row.document) } else { None };
            if let Some(state) = state.filter(|state| incoming.may_hear_again(&state.session)) {
                self.note_repetition(state.record.as_deref(), &contact, now).await;
                return Ok(Said { bytes: Bytes::from(row.last_reply.clone()), mac: state.mac });
            }
        }

        let mut facts = contact.facts.clone();
        let mut effects = Effects::default();

        // The session that goes on, or a new one in the place of any other.
        let held = self.memory.find(&key, now);
        let is_held = held.as_ref().is_some_and(|held| held.session.is_authenticated());
        let found = found(incoming, stored.as_ref(), held);
        // Asked for credentials on the way, some clients repeat package 1 where they sent the rest.
        let repeats_elsewhere = found.as_ref().is_some_and(|(state, _)| {
            let goes_on = state.session.is_authenticated() && state.session.continues(&incoming.message);
            goes_on && incoming.begins() && !incoming.is_at_respond_to(&state.session)
        });
        let prior = prior(incoming, found);
        let goes_on = prior.as_ref().is_some_and(|(_, from_row)| *from_row);
        let generation = stored.as_ref().map_or(0, |row| row.generation);
        let mut state = match prior {
            Some((state, _)) => state,
            None => {
                let new = Session::open(&incoming.message, &self.address);
                let is_elsewhere = repeats_elsewhere || self.elsewhere.has(contact.device);
                State::new(if is_elsewhere { new.elsewhere() } else { new })
            }
        };
        let was_authenticated = state.session.is_authenticated();

        // Who is it? Nonces matter to digests and MACs only, and are not made for nothing.
        let (device, epoch) = (contact.device, contact.nonce_epoch);
        let client = &contact.account.client;
        let is_digest = matches!(client.auth, AuthType::Digest | AuthType::Hmac);
        let held = self.held(incoming, &contact, stored.as_ref());
        let mut expected = Vec::new();
        if is_digest && incoming.shows(client.auth) {
            expected.extend(held.map(|place| self.nonces.derive(device, place)).transpose()?);
            expected.extend(self.nonces.challenges(device, epoch, header.message, now)?);
        }
        let secrets = self.secrets(&contact)?;
        let account = secrets.account(&contact);
        let nonces = Nonces { expected: &expected, next: &[], server: &contact.server_nonce };
        let arrival = incoming.arrival(&state.session, Some(client));
        let at_respond_to = arrival.at_respond_to && !account.is_by_message();
        let heard = state.session.receive(&incoming.message, &arrival, &account, &nonces, &self.limits);
        let (session, received) = match heard {
            Ok(heard) => heard,
            Err(fault) => {
                let detail = format!("A message contradicts the protocol: {fault}.");
                self.note_refused(incoming, &contact, FaultCode::AgainstProtocol, detail).await;
                return Err(fault.into());
            }
        };
        let is_wrong = matches!(received.turn, Turn::Refused { missing: false, .. }) && !received.stale;
        if is_wrong
            && adopts.is_none()
            && let Some(offered) = self.offered(&contact, rotation.clone()).await?
        {
            contact.account.client.secret = offered.secret.clone();
            let known = Known { contact, stored, executions, deliverables, rotation: None };
            return Box::pin(self.known(incoming, known, Some(offered))).await;
        }
        state.session = session;
        let refused = matches!(received.turn, Turn::Refused { .. });
        // Nothing may come of a message that does not prove itself, however it is answered.
        let is_proven = received.accepted_with.is_some() || was_authenticated && at_respond_to && !refused;
        if !was_authenticated && is_proven {
            state.session.respond_at(self.secret_address()?);
        }
        state.note_proof(&received, &contact);
        self.count(&received.turn);
        if received.rejected {
            tracing::warn!(device = %device, "device {device} does not accept the server's credentials");
            effects.refuses_server = true;
        }
        // A digest over a nonce that this process did not give proves nothing against the device, nor does one over a nonce that everybody knows.
        let was_wrong = !received.stale && (!is_digest || held.is_some() || self.nonces.has_given(device, epoch));
        if received.stale {
            tracing::info!(%device, "a device that has lost the nonces is told a new one: give it a new secret if it does so again");
        }
        if matches!(received.turn, Turn::Refused { missing: false, .. }) && was_wrong {
            effects.failed_try = !self.is_locked_out(&contact, now);
            self.note(incoming, StrangerReason::Credentials).await?;
        }

        // Only one session has the device's work: a new one takes it from any other, whatever else comes from outside of it gets none.
        let takes_over = stored.is_some() && !goes_on && is_proven && incoming.begins();
        let is_outside = stored.is_some() && !goes_on && !takes_over;
        let mut offer = None;
        // Who proves nothing has nothing read for him.
        if is_proven && !is_outside {
            let contents = self.supplies.contents(&deliverables, &executions, now).await?;
            for execution in &mut executions {
                self.supplies.supply(execution, &deliverables, &contents, now);
            }
            offer = self.hand_secret(&contact, &state, rotation, &mut executions)?;
        }
        let mut work = Work::new(if is_outside { Vec::new() } else { executions }, now);
        if let Some(row) = stored.as_ref().filter(|_| takes_over) {
            effects.superseded = abandon(row, &mut work, &facts);
        }

        // What this process gave and nobody else can take moves on in memory; anything else is spent by a new epoch, which one alone can begin.
        // So is a nonce that stands in the row of a session, unless that row is written with it.
        let own = self.nonces.held(device, epoch).filter(|own| received.spent == Some(0) && held == Some(*own) && !is_outside);
        let next = received.spent.map(|_| own.map_or(Place::anew(epoch), Place::next));
        if let (Some(own), Some(next)) = (own, next)
            && !self.nonces.advance(device, own, next)
        {
            // Another message of the device came with the same nonce at the same time: one of them is too late.
            return Err(Error::Stale { what: "nonce" }.into());
        }
        effects.nonce_epoch = next.filter(|_| own.is_none()).map(|next| next.epoch);
        let next_nonce = match next {
            Some(next) => self.nonces.derive(device, next)?,
            None if refused && is_digest => {
                self.nonces.challenged(device, epoch);
                self.nonces.challenge(device, epoch, header.message, now)?
            }
            // Nobody without its certificate gets further than anybody unknown.
            None if refused && client.auth == AuthType::Transport => {
                self.nonces.decoy(&header.source.uri, header.message, now)?
            }
            None => Vec::new(),
        };
        let nonces = Nonces { next: &next_nonce, ..nonces };
        let at = next.or(held).unwrap_or(Place { epoch, counter: 0 });

        // What does it say, and what is there to say to it?
        if is_proven {
            facts.learn(&received.device);
        }
        let asks_details = !state.asked_details && self.details_are_old(&facts, now);
        let known = (is_proven && (contact.has_work || asks_details)).then_some(&contact.profile);
        let manners = known.map(|known| self.manners(&facts, known, incoming));
        let (manners, traits) = manners.unwrap_or_default();
        state.session.set_manners(manners);
        (facts.max_object, facts.traits) = (state.session.max_object(), traits);
        let commands =
            if is_proven { self.work(&received, &mut state, &mut work, &mut facts, &mut effects, now) } else { Vec::new() };
        let has_work = !commands.is_empty() || goes_on || state.current.is_some();
        if is_proven && (has_work || contact.has_work) {
            effects.observed = observed(incoming, &received, &contact, &facts, now);
        }
        state.session.set_large_objects(facts.traits.large_objects.or(facts.large_objects) == Some(true));
        (facts.max_object, facts.traits) = (contact.facts.max_object, contact.facts.traits.clone());
        let (session, reply) = state.session.reply(commands, &account, &nonces, incoming.form, &self.limits);
        state.session = session;
        effects.rotation = offer.and_then(|offer| offer.after(work.secret_news()));
        effects.adopted = adopts.filter(|_| received.accepted_with.is_some()).map(|offered| offered.secret);
        let tells_secret = state.current.is_some_and(|key| work.tells_secret(key));
        effects.changes = work.into_changes();
        // Who proves nothing where the device had proven itself may be somebody else: the session waits for the device.
        let is_foreign = !is_proven && (was_authenticated || is_held);
        let has_work = has_work && !is_foreign;
        let heard = Heard {
            incoming,
            contact: &contact,
            received: &received,
            reply: &reply,
            was_wrong,
            is_authenticated: is_proven,
            is_foreign,
            has_work,
            changes: &effects.changes,
        };
        let mut apart = None;
        effects.noted = self.note_message(if is_foreign { &mut apart } else { &mut state.record }, &heard)?;
        let said = Said::from(reply);
        state.mac.clone_from(&said.mac);

        if is_proven {
            self.elsewhere.note(contact.device, state.session.is_elsewhere());
            effects.clear_tries = received.accepted_with.is_some() && contact.failed_tries > 0;
            effects.server_nonce = received.server_nonce.filter(|nonce| *nonce != contact.server_nonce);
            effects.facts = (facts != contact.facts).then_some(facts);
        }
        let last = Answered { message: header.message, hash: incoming.hash, reply: said.clone() };
        if has_work {
            let document = serde_json::to_string(&state).map_err(Error::internal)?;
            let row = StoredSession {
                device: contact.device,
                session: header.session.clone(),
                generation: if goes_on { generation } else { generation.saturating_add(1) },
                execution: state.current,
                document,
                nonce_epoch: at.epoch,
                nonce_counter: at.counter,
                last_message: last.message,
                last_body: last.hash.to_vec(),
                last_reply: said.bytes.to_vec(),
                created_at: stored.as_ref().filter(|_| goes_on).map_or(now, |row| row.created_at),
                updated_at: now,
                // Of two sessions one after the other none has a revision of the other's.
                revision: stored.as_ref().map_or_else(|| u64::try_from(now.micros()).unwrap_or(1), |row| row.revision),
            };
            let row = Box::new(self.at_rest(row, tells_secret)?);
            effects.session = if stored.is_some() { SessionEffect::Update(row) } else { SessionEffect::Insert(row) };
        } else if let Some(row) = stored.as_ref().filter(|_| takes_over) {
            effects.session = SessionEffect::Delete(row.revision);
        }
        if let Err(error) = self.commit(&contact, effects, now).await {
            match (own, next) {
                (Some(own), Some(next)) if matches!(error, Error::Stale { .. }) => self.nonces.go_back(device, next, own),
                (Some(_), _) => self.nonces.forget(device),
                (None, _) => {}
            }
            return Err(error.into());
        }
        if is_proven {
            self.seen.note(device, now, contact.wake, incoming.answers());
        }
        if let Some(next) = next.filter(|_| own.is_none()) {
            self.nonces.begun(device, next);
        }
        if has_work {
            self.memory.forget(&key);
        } else if !is_foreign {
            self.memory.keep(key, Held { session: state.session, last, at: now, record: state.record });
        }
        Ok(said)
    }

    /// Where the nonce stands that the device was given last, if it may be taken here: this process gave it, or the row of the session says it.
    fn held(&self, incoming: &Incoming, contact: &Contact, stored: Option<&StoredSession>) -> Option<Place> {
        let row = stored.filter(|row| {
            row.nonce_counter > 0 && row.nonce_epoch == contact.nonce_epoch && row.session == incoming.message.header.session
        });
        let in_row = row.map(|row| Place { epoch: row.nonce_epoch, counter: row.nonce_counter });
        self.nonces.held(contact.device, contact.nonce_epoch).or(in_row)
    }

    /// Whether the device is refused without a look at its credentials. Where that would only help whoever guesses at them, it is not: a digest
    /// answers a nonce of ours, and who speaks at the address of a session has proven itself before.
    fn is_shut(&self, incoming: &Incoming, known: &Known) -> bool {
        if !self.is_locked_out(&known.contact, incoming.at) || known.contact.account.client.auth != AuthType::Basic {
            return false;
        }
        let held = self.memory.find(&incoming.key(), incoming.at);
        let goes_on = |session: &Session| session.is_authenticated() && incoming.is_at_respond_to(session);
        !prior(incoming, found(incoming, known.stored.as_ref(), held)).is_some_and(|(state, _)| goes_on(&state.session))
    }

    /// Steps the executions by what the device said, and finds the next commands.
    fn work(
        &self,
        received: &Received,
        state: &mut State,
        work: &mut Work,
        facts: &mut dmwsi_domain::facts::Facts,
        effects: &mut Effects,
        now: Timestamp,
    ) -> Vec<Command> {
        facts.learn(&received.device);
        for (alert, begun) in received.told() {
            if !work.alerted(Told { alert, begun }, state.current, facts, &mut state.visited) {
                effects.alerts.push(alert.clone());
            }
        }
        // What a client event tells is about no job.
        effects.alerts.extend(received.events.iter().filter(|event| !event.alert_type.is_secret()).cloned());
        let readings: Vec<Reading> = received.answers.iter().flat_map(|answer| answer.readings.clone()).collect();
        facts.learn(&readings);
        effects.lessons = lessons(&received.answers, now);
        if received.turn != Turn::Offer {
            // Of what was broken off nobody knows what was still to come.
            effects.lessons.retain(|lesson| !matches!(lesson, Lesson::Children(..)));
        }
        match received.turn {
            Turn::Offer => {}
            Turn::Aborted | Turn::Closed | Turn::Exhausted => {
                if let Some(key) = state.current.take() {
                    work.cut(key, &received.answers, facts);
                    // It has not said all: the device is called for it once this session is given up.
                    state.visited.retain(|seen| *seen != key || received.turn != Turn::Exhausted);
                }
                return Vec::new();
            }
            Turn::Continue | Turn::Refused { .. } => return Vec::new(),
        }
        if let Some(key) = state.current {
            let commands = work.answered(key, &received.answers, facts);
            if !commands.is_empty() {
                return commands;
            }
            state.current = None;
        } else if state.asked_details && facts.details_read_at.is_none_or(|at| at < now) && !received.answers.is_empty() {
            facts.details_read_at = Some(now);
        }
        // Whether it takes values in pieces must be known before one is sent.
        let large_objects = facts.traits.large_objects.or(facts.large_objects);
        let asks_first = !state.asked_details && large_objects.is_none() && work.sends_large();
        if !asks_first && let Some((key, commands)) = work.turn(facts, &mut state.visited) {
            state.current = Some(key);
            return commands;
        }
        if asks_first || !state.asked_details && self.details_are_old(facts, now) {
            state.asked_details = true;
            return DETAILS.iter().filter_map(|node| NodeUri::parse(node).ok()).map(|target| Command::Get { target }).collect();
        }
        Vec::new()
    }
}
