//! What receivers said when they were asked whether they want the events.
use diesel::prelude::*;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{
    Agreement, InitiationReason, Recovery, StatusReason, Subscription, SubscriptionStatus, UpdateReason,
};
use dmwsi_domain::{Ids, Result, Timestamp};

use crate::column::text;
use crate::schema::subscriptions;
use crate::subscriptions::HANDSHAKE;
use crate::{Tx, failed, on};

impl Tx<'_> {
    /// Has the receiver of a subscription asked now, however long another question was to wait.
    pub fn ask_anew(&mut self, id: SubscriptionId, now: Timestamp, ids: &mut Ids) -> Result<()> {
        self.withdraw(HANDSHAKE, &id.to_string())?;
        self.ring_subscription(HANDSHAKE, id, now, now, ids)
    }

    /// Writes that the receiver of a subscription, which is held, agreed. One that waited for that begins, and is told what happened meanwhile.
    pub fn agree(&mut self, held: &mut Subscription, agreement: Agreement, now: Timestamp, ids: &mut Ids) -> Result<()> {
        // One that had agreed before goes on.
        let has_begun = held.agreement.replace(agreement).is_some();
        if !held.is_unanswered() {
            let place = subscriptions::table.find(text(held.id.uuid()));
            let update = diesel::update(place).set((
                subscriptions::agreed_at.eq(agreement.at.micros()),
                subscriptions::allowed_rate.eq(agreement.rate.map(i64::from)),
            ));
            return on!(self, conn => update.execute(conn)).map(drop).map_err(failed);
        }
        let subscription_id = held.id;
        (held.status, held.status_reason) = (SubscriptionStatus::Active, None);
        held.changed(now);
        let told = if has_begun {
            let update_reason = UpdateReason::SubscriptionActive;
            Event::SubscriptionUpdated { subscription_id, update_reason, status_reason: None }
        } else {
            Event::SubscriptionStarted { subscription_id, initiation_reason: InitiationReason::SubscriptionCreated }
        };
        self.save_subscription(held, [told], None, now, ids)?;
        if held.purpose.initial && !has_begun {
            self.lay_out_last(held, held.starts_after, now, ids)?;
        }
        // What happened while it was asked is delivered now.
        let until = self.distributed(held.organisation)?;
        if held.starts_after < until {
            // All that it has missed, whatever else was to be delivered again.
            let after = held.recovery.map_or(held.starts_after, |before| before.after.min(held.starts_after));
            held.recovery = None;
            self.begin_recovery(held, Recovery { after, until, only_failed: false }, now, ids)?;
        }
        self.ring_deliveries(held, now, ids)
    }

    /// Writes that the receiver of a subscription, which is held, did not agree: nothing more is delivered, until it does or is asked again.
    pub fn disagree(&mut self, held: &mut Subscription, now: Timestamp, ids: &mut Ids) -> Result<()> {
        if held.status == SubscriptionStatus::Active {
            // From here on it has missed what happens, should it agree later.
            held.starts_after = self.distributed(held.organisation)?;
        }
        let status_reason = Some(StatusReason::HandshakeFailed);
        let update_reason = UpdateReason::SubscriptionInactive;
        let told = Event::SubscriptionUpdated { subscription_id: held.id, update_reason, status_reason };
        (held.status, held.status_reason) = (SubscriptionStatus::Inactive, Some(StatusReason::HandshakeFailed));
        held.changed(now);
        self.save_subscription(held, [told], None, now, ids)
    }
}
