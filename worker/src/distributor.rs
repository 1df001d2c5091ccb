//! Lays the log out: for each event a row for each subscriber that is to have it. It runs beside the sequencer, which rings when events got their numbers.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::event::Event;
use dmwsi_domain::id::{ClientId, OrganisationId};
use dmwsi_domain::scope::Grants;
use dmwsi_domain::subscription::{Subscription, SubscriptionStatus};
use dmwsi_domain::subscription_index::SubscriptionIndex;
use dmwsi_domain::{Clock, Error, Result, Timestamp};
use dmwsi_store::distribution::{DISTRIBUTE, LaidOut};
use dmwsi_store::{Store, Tx};

use crate::bell::Rounds;

/// How long the end of a subscription waits for events from before it that have no number yet.
const LAG: Duration = Duration::from_millis(20);

/// The most subscriptions ended in one go.
const ENDED_AT_ONCE: i64 = 500;

/// How often the subscriptions of an organisation may have been changed before its log is laid out.
const PATIENCE: u32 = 4;

/// The subscriptions of each organisation as this process knows them, and the count of changes they stand for.
type Indexes = HashMap<OrganisationId, (i64, Arc<SubscriptionIndex>)>;

/// Distributes until `stopped`. However many processes do, each event is laid out once. It looks by itself every `poll`, should a bell have been lost,
/// and when the time of a subscription is over, which it ends.
pub async fn distribute(store: Store, clock: Clock, poll: Duration, stopped: impl Future<Output = ()>) {
    let mut indexes = Indexes::new();
    let mut rounds = Rounds::new(&store, DISTRIBUTE, stopped);
    loop {
        let looked = distribute_all(&store, &clock, &mut indexes).await;
        if !rounds.go_on(looked.map(|next| next.map_or(poll, |next| next.since(clock.now()).min(poll)))).await {
            return;
        }
    }
}

/// One organisation after the other, until all are laid out; then the subscriptions whose time is over. When the next one's is. What fails holds up
/// nothing else; it is told in the end.
async fn distribute_all(store: &Store, clock: &Clock, indexes: &mut Indexes) -> Result<Option<Timestamp>> {
    let mut failed = None;
    loop {
        let (mut last, mut goes_on) = (None, false);
        while let Some(organisation) = store.glance(move |tx| tx.undistributed_after(last)).await? {
            last = Some(organisation);
            match lay_out(store, clock, indexes, organisation).await {
                Ok(()) => goes_on = true,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if !goes_on {
            break;
        }
    }
    let (now, mut lags) = (clock.now(), false);
    for (organisation, id) in store.read(move |tx| tx.due_subscriptions(now, ENDED_AT_ONCE)).await? {
        let ids = clock.new_ids();
        match store.write(move |tx| tx.expire_subscription(organisation, id, now, &mut ids.clone())).await {
            Ok(has_ended) => lags |= !has_ended,
            Err(Error::Stale { .. } | Error::NotFound { .. }) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let next = store.glance(|tx| tx.next_subscription_end()).await?;
    Ok(if lags { next.max(Some(now.plus(LAG))) } else { next })
}

/// The next events of an organisation.
async fn lay_out(store: &Store, clock: &Clock, indexes: &mut Indexes, organisation: OrganisationId) -> Result<()> {
    let (revision, index) = indexes.entry(organisation).or_insert_with(|| (-1, Arc::default()));
    for attempt in 1_u32.. {
        let (known, shared, now, ids) = (*revision, Arc::clone(index), clock.now(), clock.new_ids());
        let laid_out = store.write(move |tx| {
            if attempt < PATIENCE {
                return tx.lay_out(organisation, &shared, known, now, &mut ids.clone());
            }
            // They are changed so often that they have to be held for once.
            tx.hold_organisation(organisation)?;
            let (present, changed) = changes(tx, organisation, known)?;
            let mut own = SubscriptionIndex::clone(&shared);
            changed.into_iter().for_each(|subscription| own.put(subscription));
            tx.lay_out(organisation, &own, present, now, &mut ids.clone())
        });
        match laid_out.await {
            Ok(LaidOut::Events(count)) => {
                metrics::counter!("dmwsi_events_distributed_total").increment(count);
                return Ok(());
            }
            Ok(LaidOut::Changed) => {
                let (present, changed) = store.read(move |tx| changes(tx, organisation, known)).await?;
                let own = Arc::make_mut(index);
                changed.into_iter().for_each(|subscription| own.put(subscription));
                *revision = present;
            }
            // Another process was faster.
            Err(Error::Stale { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The subscriptions that were changed, each as far as its client may be told anything.
fn changes(tx: &mut Tx<'_>, organisation: OrganisationId, after: i64) -> Result<(i64, Vec<Subscription>)> {
    let (revision, mut changed) = tx.changed_subscriptions(organisation, after)?;
    let mut clients: HashMap<ClientId, Option<Grants>> = HashMap::new();
    for subscription in &mut changed {
        if !clients.contains_key(&subscription.client) {
            let client = tx.client(subscription.client)?;
            clients.insert(client.id, client.is_active().then_some(client.scopes));
        }
        match clients.get(&subscription.client) {
            // What is not delivered does not count, either.
            Some(Some(grants)) => {
                let types = &mut subscription.purpose.types;
                types.retain(|kind| Event::scope_of(kind).is_none_or(|scope| grants.allows(scope)));
            }
            _ => subscription.status = SubscriptionStatus::Inactive,
        }
    }
    Ok((revision, changed))
}
