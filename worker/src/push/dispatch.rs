//! The task that wakes devices.
use std::net::SocketAddr;
use std::time::Duration;

use dmwsi_domain::push_address::PushAddress;
use dmwsi_domain::{Clock, Result, Timestamp};
use dmwsi_store::wakes::{Trouble, Turnout, Woken};
use dmwsi_store::{Keys, Store};
use futures_util::stream::{self, StreamExt as _};
use reqwest::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::http::{self, Request};
use super::pace::Pace;
use super::package::{carried, notifications};
use super::settings::Settings;
use super::trouble::Failure;
use super::udp::Udp;
use crate::egress::Guard;
use crate::queue::{Context, Outcome};

/// The longest pause between two looks; whoever wants a device rings.
const EVERY: Duration = Duration::from_secs(60);

/// How long to wait when as many devices are awaited as may be.
const CROWDED: Duration = Duration::from_millis(500);

/// The shortest pause between two looks that found nothing.
const PAUSE: Duration = Duration::from_millis(20);

/// Wakes devices. One for each process.
pub struct Pusher {
    store: Store,
    clock: Clock,
    settings: Settings,
    sealing: Keys,
    guard: Guard,
    /// For gateways that clients named.
    guarded: Client,
    /// For the gateway that the operator named.
    own: Client,
    udp: Udp,
    pace: Mutex<Pace>,
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
        let timeout = Duration::from_secs(settings.http_timeout_seconds.max(1));
        let own = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(timeout).build()?;
        Ok(Self {
            guarded: guard.client(timeout)?,
            own,
            udp: Udp::open().await?,
            pace: Mutex::new(Pace::new(settings.rate)),
            store,
            clock,
            settings,
            sealing,
            guard,
        })
    }

    /// One run of the task: wakes all that are due. Says when the next is.
    pub(super) async fn wake(&self, context: Context) -> Result<Outcome> {
        let mut pace = self.pace.lock().await;
        let (mut room, mut counted) = (self.room().await?, Instant::now());
        loop {
            if context.is_stopping() {
                return Ok(Outcome::Progress(self.clock.now()));
            }
            // Counting them costs as much as there are, so it is not done for every batch.
            if room == 0 || counted.elapsed() > CROWDED {
                (room, counted) = (self.room().await?, Instant::now());
            }
            if room == 0 {
                return Ok(Outcome::Progress(self.clock.now().plus(CROWDED)));
            }
            pace.wait().await;
            let turnout = self.take(room.min(pace.most()).min(self.settings.batch.max(1))).await?;
            pace.spend(turnout.woken.len());
            room = room.saturating_sub(u32::try_from(turnout.woken.len()).unwrap_or(u32::MAX));
            self.send(turnout.woken).await?;
            if !turnout.is_full {
                return Ok(Outcome::Progress(self.next().await?));
            }
        }
    }

    /// How many more devices may be woken before some of those that were have called.
    async fn room(&self) -> Result<u32> {
        let (since, most) = (self.clock.now().minus(self.settings.call_within()), self.settings.in_flight.max(1));
        let awaited = self.store.glance(move |tx| tx.awaited_wakes(since, most)).await?;
        Ok(most.saturating_sub(awaited))
    }

    async fn take(&self, most: u32) -> Result<Turnout> {
        let (patience, now, ids) = (self.settings.patience(), self.clock.now(), self.clock.new_ids());
        self.store.write(move |tx| tx.take_wakes(most, &patience, now, &mut ids.clone())).await
    }

    async fn next(&self) -> Result<Timestamp> {
        let next = self.store.glance(|tx| tx.next_wake()).await?;
        let now = self.clock.now();
        Ok(next.unwrap_or(now.plus(EVERY)).clamp(now.plus(PAUSE), now.plus(EVERY)))
    }

    /// Sends to all of them, side by side, and writes what went wrong.
    async fn send(&self, woken: Vec<Woken>) -> Result<()> {
        let (side_by_side, all) = (self.settings.http_concurrency.max(1), woken.len());
        let troubles = stream::iter(woken).map(|one| self.reach(one)).buffer_unordered(side_by_side);
        let troubles: Vec<Trouble> = troubles.filter_map(|trouble| async move { trouble }).collect().await;
        metrics::counter!("dmwsi_wakes_total", "outcome" => "sent").increment(count(all.saturating_sub(troubles.len())));
        if troubles.is_empty() {
            return Ok(());
        }
        metrics::counter!("dmwsi_wakes_total", "outcome" => "failed").increment(count(troubles.len()));
        let (now, ids) = (self.clock.now(), self.clock.new_ids());
        self.store.write(move |tx| tx.note_troubles(&troubles, now, &mut ids.clone())).await
    }

    /// Wakes one device, and says what was wrong with that.
    async fn reach(&self, woken: Woken) -> Option<Trouble> {
        let failure = match notifications(&woken, &self.sealing, &self.settings) {
            Ok(notifications) => self.hand_over(&woken, &notifications).await.err()?,
            Err(error) => {
                tracing::error!(cause = ?error, device = %woken.device, "no notification could be made for device {}", woken.device);
                Failure::lasting("NO_NOTIFICATION")
            }
        };
        Some(failure.of(&woken, self.clock.now()))
    }

    async fn hand_over(&self, woken: &Woken, notifications: &[Vec<u8>]) -> Result<(), Failure> {
        match &woken.push_address {
            PushAddress::None {} => Err(Failure::lasting("NO_PUSH_ADDRESS")),
            PushAddress::Udp { host, port } => {
                let addresses = self.guard.resolve(host.as_str()).await?;
                let address = addresses.first().ok_or_else(|| Failure::passing("NAME_UNKNOWN"))?;
                let to = SocketAddr::new(*address, port.get());
                for notification in notifications {
                    for datagram in carried(self.settings.udp_form, woken.session, notification) {
                        self.udp.send(to, &datagram).await?;
                    }
                }
                Ok(())
            }
            PushAddress::Http { url } => {
                let address = url.as_str();
                let url = Url::parse(address).map_err(|_malformed| Failure::Forbidden)?;
                self.guard.judge_url(&url).map_err(|_forbidden| Failure::Forbidden)?;
                self.post(&self.guarded, &url, address, woken.session, notifications).await
            }
            PushAddress::Sms { msisdn } => {
                let gateway = self.settings.sms_gateway.as_ref().ok_or_else(|| Failure::lasting("NO_SMS_GATEWAY"))?;
                self.post(&self.own, gateway, msisdn.as_str(), woken.session, notifications).await
            }
        }
    }

    async fn post(
        &self,
        client: &Client,
        url: &Url,
        address: &str,
        session: u16,
        notifications: &[Vec<u8>],
    ) -> Result<(), Failure> {
        for notification in notifications {
            http::send(client, &self.settings, &Request { url, address, session, notification }).await?;
        }
        Ok(())
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
