//! What receivers said when they were asked whether they want the events.
use diesel::prelude::*;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::subscription::{Agreement, Subscription};
use dmwsi_domain::{Ids, Result, Timestamp};

use crate::column::text;
use crate::endpoints::endpoint;
use crate::schema::subscriptions;
use crate::subscriptions::{HANDSHAKE, RECOVER};
use crate::{Tx, failed, on};

impl Tx<'_> {
    /// Has the receiver of a subscription asked now, however long another question was to wait.
    pub fn ask_anew(&mut self, id: SubscriptionId, now: Timestamp, ids: &mut Ids) -> Result<()> {
        self.withdraw(HANDSHAKE, &id.to_string())?;
        self.ring_subscription(HANDSHAKE, id, now, now, ids)
    }

    /// Writes that the receiver of a subscription, which is held, agreed. One that waited for that begins, and is told what happened meanwhile.
    pub fn agree(&mut self, held: &mut Subscription, agreement: Agreement, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let laid_out = self.distributed(held.organisation)?;
        let Some(told) = held.agree(agreement, laid_out, now) else {
            let update = diesel::update(subscriptions::table.find(text(held.id.uuid()))).set((
                subscriptions::endpoint.eq(endpoint(&held.sink)),
                subscriptions::agreed_at.eq(agreement.at.micros()),
                subscriptions::allowed_rate.eq(agreement.rate.map(i64::from)),
            ));
            return on!(self, conn => update.execute(conn)).map(drop).map_err(failed);
        };
        let begins = matches!(told, Event::SubscriptionStarted { .. });
        self.save_subscription(held, [told], None, now, ids)?;
        if begins && held.purpose.initial {
            self.lay_out_last(held, held.starts_after, now, ids)?;
        }
        if held.recovery.is_some() {
            self.ring_subscription(RECOVER, held.id, now, now, ids)?;
        }
        self.ring_deliveries(held, now, ids)
    }

    /// Writes that the receiver of a subscription, which is held, did not agree.
    pub fn disagree(&mut self, held: &mut Subscription, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let told = held.disagree(self.distributed(held.organisation)?, now);
        self.save_subscription(held, [told], None, now, ids)
    }
}
