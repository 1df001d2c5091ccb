//! How a device is spoken to, by what is known of its kind and of itself.
use dmwsi_domain::profile::{KnownTraits, Observed, Profile, Stated, Traits};
use dmwsi_domain::{Timestamp, contact::Contact, facts::Facts};
use dmwsi_protocol::server::{Manners, Received};

use super::Gateway;
use super::incoming::Incoming;

impl Gateway {
    /// How that device is spoken to, and what its operations are to know of it.
    pub(super) fn manners(&self, facts: &Facts, known: &KnownTraits, incoming: &Incoming) -> (Manners, Traits) {
        let mut known = known.clone();
        known.observed.user_agent = incoming.user_agent.clone().or(known.observed.user_agent);
        known.observed.renew(facts.firmware_version.as_deref());
        known.observed.engine = incoming.engine().or(known.observed.engine);
        let profile = Profile::of(&self.book, facts, known);
        let (traits, limits, observed) = (profile.traits(), profile.limits(), profile.observed.traits);
        let manners = Manners {
            omits_empty_data: traits.data_always == Some(false),
            omits_correlator: traits.correlator == Some(false),
            sequence: traits.sequence == Some(true),
            max_commands: traits.max_commands.and_then(|most| usize::try_from(most).ok()),
            max_message: limits.max_message_bytes,
            usual_max_message: observed.max_message_bytes,
            max_object: limits.max_object_bytes,
            usual_max_object: observed.max_object_bytes,
        };
        (manners, traits)
    }
}

/// What a message showed that was not known before.
pub(super) fn observed(
    incoming: &Incoming,
    received: &Received,
    contact: &Contact,
    facts: &Facts,
    now: Timestamp,
) -> Option<Observed> {
    let header = &incoming.message.header;
    let stated = Stated {
        max_message: header.max_message,
        max_object: header.max_object,
        user_agent: incoming.user_agent.as_deref(),
        engine: incoming.engine(),
    };
    let mut observed = contact.profile.observed.clone();
    let mut is_new = observed.learn(&received.answers, stated, &facts.traits, facts.firmware_version.as_deref(), now);
    if received.no_sequence && observed.traits.sequence != Some(false) {
        (observed.traits.sequence, observed.at, is_new) = (Some(false), Some(now), true);
    }
    is_new.then_some(observed)
}
