//! The task that wakes devices.
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::{Clock, Result, Timestamp};
use dmwsi_store::wakes::{Carriers, Turnout};
use dmwsi_store::{Keys, Store};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::courier::Courier;
use super::pace::Pace;
use super::posts::Posts;
use super::settings::Settings;
use crate::egress::Guard;
use crate::queue::{Context, Outcome};

/// The longest pause between two looks; whoever wants a device rings.
const EVERY: Duration = Duration::from_secs(60);

/// How long to wait when as many devices are awaited as may be.
const CROWDED: Duration = Duration::from_millis(500);

/// How long to wait when as many notifications are on their way to gateways, or to one of them, as may be.
const BUSY: Duration = Duration::from_millis(200);

/// The shortest pause between two looks that found nothing.
const PAUSE: Duration = Duration::from_millis(20);

/// Wakes devices. One for each process.
pub struct Pusher {
    courier: Arc<Courier>,
    course: Mutex<Course>,
}

/// What one run of the task leaves to the next.
struct Course {
    pace: Pace,
    posts: Posts,
}

/// There is nothing to wake devices with.
#[derive(Debug, thiserror::Error)]
pub enum PusherError {
    /// There is no HTTP client.
    #[error("there is no HTTP client for push gateways")]
    Http(#[from] reqwest::Error),
    /// There is no socket for datagrams.
    #[error("there is no socket for datagrams")]
    Udp(#[from] std::io::Error),
}

impl Pusher {
    /// One that opens its sockets at once. `sealing` opens the secrets of accounts, `guard` decides where it connects to.
    pub async fn open(store: Store, clock: Clock, settings: Settings, sealing: Keys, guard: Guard) -> Result<Self, PusherError> {
        let course = Course { pace: Pace::new(settings.rate), posts: Posts::default() };
        let courier = Arc::new(Courier::open(store, clock, settings, sealing, guard).await?);
        Ok(Self { courier, course: Mutex::new(course) })
    }

    /// One run of the task: wakes all that are due. Says when the next is.
    pub(super) async fn wake(&self, context: Context) -> Result<Outcome> {
        let Courier { clock, settings, .. } = &*self.courier;
        let Course { pace, posts } = &mut *self.course.lock().await;
        let (mut room, mut counted) = (self.room().await?, Instant::now());
        loop {
            if context.is_stopping() {
                return Ok(Outcome::Progress(clock.now()));
            }
            // Counting them costs as much as there are, so it is not done for every batch.
            if room == 0 || counted.elapsed() > CROWDED {
                (room, counted) = (self.room().await?, Instant::now());
            }
            if room == 0 {
                return Ok(Outcome::Progress(clock.now().plus(CROWDED)));
            }
            pace.wait().await;
            let carriers = posts.carriers(&self.courier);
            let turnout = self.take(&carriers, room.min(pace.most()).min(settings.batch.max(1))).await?;
            pace.spend(turnout.woken.len());
            room = room.saturating_sub(u32::try_from(turnout.woken.len()).unwrap_or(u32::MAX));
            let others = posts.begin(&self.courier, turnout.woken);
            self.courier.deliver(others, None).await?;
            if !turnout.is_full {
                return Ok(Outcome::Progress(self.next(carriers).await?));
            }
        }
    }

    /// How many more devices may be woken before some of those that were have called.
    async fn room(&self) -> Result<u32> {
        let Courier { store, clock, settings, .. } = &*self.courier;
        let (since, most) = (clock.now().minus(settings.call_within()), settings.in_flight.max(1));
        let awaited = store.glance(move |tx| tx.awaited_wakes(since, most)).await?;
        Ok(most.saturating_sub(awaited))
    }

    async fn take(&self, carriers: &Carriers, most: u32) -> Result<Turnout> {
        let Courier { store, clock, settings, .. } = &*self.courier;
        let (carriers, patience, now, ids) = (carriers.clone(), settings.patience(), clock.now(), clock.new_ids());
        store.write(move |tx| tx.take_wakes(&carriers, most, &patience, now, &mut ids.clone())).await
    }

    /// When the next is due of those that were looked at; soon, where that was not all.
    async fn next(&self, carriers: Carriers) -> Result<Timestamp> {
        let Courier { store, clock, .. } = &*self.courier;
        let latest = if carriers == Carriers::ALL { EVERY } else { BUSY };
        let next = store.glance(move |tx| tx.next_wake(&carriers)).await?;
        let now = clock.now();
        let latest = now.plus(latest);
        Ok(next.unwrap_or(latest).clamp(now.plus(PAUSE), latest))
    }
}
