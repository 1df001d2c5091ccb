//! Deliveries to subscribers: signed CloudEvents, tried again for days, in order, and without anybody held up by who does not answer.
//!
//! One task for each subscription that has something to deliver, in one of two queues: receivers that give trouble have places of their own. What is
//! due stands in rows; an attempt that was made and not written is made again.
mod attempt;
mod clients;
mod credential;
mod ends;
mod handshake;
mod message;
mod places;
mod run;
mod settings;
mod target;

pub use clients::DelivererError;
pub use settings::Settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dmwsi_domain::id::SubscriptionId;
use dmwsi_domain::{Clock, Error, Result, Timestamp};
use dmwsi_store::device_id::DeviceIds;
use dmwsi_store::subscriptions::{DELIVER, DELIVER_TROUBLED, HANDSHAKE, RECOVER};
use dmwsi_store::{Keys, Store};

use self::clients::Clients;
use self::credential::Tokens;
use self::places::Places;
use crate::egress::Guard;
use crate::queue::{Context, Lane, Outcome, Queues};

/// What deliveries are made with.
pub struct Means {
    /// Where they stand.
    pub store: Store,
    /// The time, and new ids.
    pub clock: Clock,
    /// What the operator set.
    pub settings: Settings,
    /// Opens the secrets of subscriptions.
    pub sealing: Keys,
    /// Decides where is connected to.
    pub guard: Guard,
    /// How organisations know their devices.
    pub device_ids: DeviceIds,
    /// Where the world reaches this server, without a slash at its end.
    pub public_url: String,
    /// Signs who this server is to token endpoints.
    pub assert: Assert,
}

/// Makes a JWT by which a client proves who it is to a token endpoint (RFC 7523): of the client id, the endpoint and the time.
pub type Assert = Box<dyn Fn(&str, &str, Timestamp) -> Result<String> + Send + Sync>;

/// Delivers. One for each process.
pub struct Deliverer {
    means: Means,
    clients: Clients,
    tokens: Tokens,
    doing_well: Arc<Places>,
    troubled: Arc<Places>,
}

impl Deliverer {
    /// One with connections of its own.
    pub fn open(mut means: Means) -> Result<Self, DelivererError> {
        if let Some(proxy) = &means.settings.proxy {
            means.guard = means.guard.through(proxy)?;
        }
        let clients = Clients::open(means.guard.clone(), &means.settings)?;
        let places = |room: u32| Arc::new(Places::new(usize::try_from(room.max(1)).unwrap_or(usize::MAX)));
        let (doing_well, troubled) = (places(means.settings.receivers), places(means.settings.troubled_receivers));
        Ok(Self { means, clients, tokens: Tokens::default(), doing_well, troubled })
    }

    /// Has delivered again what a client asked for, a part at a time.
    async fn recover(&self, id: SubscriptionId, context: Context) -> Result<Outcome> {
        let (Means { store, clock, settings, .. }, began) = (&self.means, Instant::now());
        let slice = Duration::from_millis(settings.recovery_slice_ms);
        loop {
            let (now, ids) = (clock.now(), clock.new_ids());
            let recovered = store.write(move |tx| {
                let client = tx.subscription(id)?.client;
                let client = tx.client(client)?;
                if !client.is_active() {
                    return tx.save_recovery(id, None).map(|()| false);
                }
                tx.recover_some(id, &client.scopes, now, &mut ids.clone())
            });
            match recovered.await {
                Ok(true) if context.is_stopping() || began.elapsed() > slice => return Ok(Outcome::Progress(clock.now())),
                Ok(true) => {}
                Ok(false) | Err(Error::NotFound { .. }) => return Ok(Outcome::Done),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Has the queues of subscriptions run: `deliver.v1`, `deliver.troubled.v1`, `subscription.handshake.v1` and `subscription.recover.v1`.
#[must_use]
pub fn handle(queues: Queues, deliverer: Deliverer) -> Queues {
    let deliverer = Arc::new(deliverer);
    let lane = |room: u32| Lane { room: room.max(1), batch: room.clamp(1, 16), standing: true };
    let (doing_well, troubled) = (lane(deliverer.means.settings.receivers), lane(deliverer.means.settings.troubled_receivers));
    let each = || Arc::clone(&deliverer);
    let (well, trouble, asking, again) = (each(), each(), each(), each());
    queues
        .handle(DELIVER, doing_well, move |id: SubscriptionId, context| {
            let deliverer = Arc::clone(&well);
            async move { run::deliver(deliverer, id, &context, false).await }
        })
        .handle(DELIVER_TROUBLED, troubled, move |id: SubscriptionId, context| {
            let deliverer = Arc::clone(&trouble);
            async move { run::deliver(deliverer, id, &context, true).await }
        })
        // Those that are asked may let wait for their answer, too.
        .handle(HANDSHAKE, troubled, move |id: SubscriptionId, context| {
            let deliverer = Arc::clone(&asking);
            async move { handshake::shake_hands(deliverer, id, &context).await }
        })
        .handle(RECOVER, Lane { room: 4, batch: 2, standing: true }, move |id: SubscriptionId, context| {
            let deliverer = Arc::clone(&again);
            async move { deliverer.recover(id, context).await }
        })
}
