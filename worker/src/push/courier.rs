//! Handing notifications over, whatever they travel by.
use std::time::Duration;

use dmwsi_domain::push_address::PushAddress;
use dmwsi_domain::{Clock, Result};
use dmwsi_store::wakes::{Trouble, Woken};
use dmwsi_store::{Keys, Store};
use futures_util::stream::{self, StreamExt as _};
use reqwest::Client;
use tokio::sync::Semaphore;
use url::Url;

use super::dispatch::PusherError;
use super::http::{self, Request};
use super::package::{carried, notifications};
use super::settings::{Body, Settings};
use super::trouble::Failure;
use super::udp::Udp;
use crate::egress::Guard;

/// How many troubles are written at a time.
const TROUBLES: usize = 256;

/// Hands notifications over, and writes what went wrong.
pub(super) struct Courier {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    sealing: Keys,
    guard: Guard,
    /// For gateways that clients named.
    guarded: Client,
    /// For the gateway that the operator named.
    own: Client,
    /// One place for each request that may run at a time.
    places: Semaphore,
    udp: Udp,
}

impl Courier {
    /// One that opens its sockets at once.
    pub(super) async fn open(
        store: Store,
        clock: Clock,
        settings: Settings,
        sealing: Keys,
        guard: Guard,
    ) -> Result<Self, PusherError> {
        let timeout = Duration::from_secs(settings.http_timeout_seconds.max(1));
        let own = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(timeout).build()?;
        let places = Semaphore::new(settings.http_concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Ok(Self { guarded: guard.client(timeout)?, own, places, udp: Udp::open().await?, store, clock, settings, sealing, guard })
    }

    /// Hands over to all of them, side by side; where they go to one gateway, by its `places`.
    pub(super) async fn deliver(&self, woken: Vec<Woken>, places: Option<&Semaphore>) -> Result<()> {
        let side_by_side = self.settings.http_concurrency.max(1);
        let reached = stream::iter(woken).map(|one| self.reach(one, places)).buffer_unordered(side_by_side);
        // What is known is not kept back until the slowest has answered.
        let mut reached = std::pin::pin!(reached.ready_chunks(TROUBLES));
        while let Some(reached) = reached.next().await {
            let all = reached.len();
            let troubles: Vec<Trouble> = reached.into_iter().flatten().collect();
            metrics::counter!("dmwsi_wakes_total", "outcome" => "sent").increment(count(all.saturating_sub(troubles.len())));
            if troubles.is_empty() {
                continue;
            }
            metrics::counter!("dmwsi_wakes_total", "outcome" => "failed").increment(count(troubles.len()));
            let (now, ids) = (self.clock.now(), self.clock.new_ids());
            self.store.write(move |tx| tx.note_troubles(&troubles, now, &mut ids.clone())).await?;
        }
        Ok(())
    }

    /// Wakes one device, and says what was wrong with that.
    async fn reach(&self, woken: Woken, places: Option<&Semaphore>) -> Option<Trouble> {
        let _turn = match places {
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
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
                let datagrams: Vec<_> = notifications
                    .iter()
                    .flat_map(|notification| carried(self.settings.udp_form, woken.session, notification))
                    .collect();
                Ok(self.udp.send_to_one(&addresses, port.get(), woken.attempt, &datagrams).await?)
            }
            PushAddress::Http { url } => {
                let address = url.as_str();
                let url = Url::parse(address).map_err(|_malformed| Failure::Forbidden)?;
                self.guard.judge_url(&url).map_err(|_forbidden| Failure::Forbidden)?;
                // It is the device's own, as it were, and has no client that a push could name.
                let form = if self.settings.http_body == Body::Pap { Body::Bytes } else { self.settings.http_body };
                self.post(&self.guarded, form, (&url, address), woken.session, notifications).await
            }
            PushAddress::Sms { msisdn } => {
                let gateway = self.settings.sms_gateway.as_ref().ok_or_else(|| Failure::lasting("NO_SMS_GATEWAY"))?;
                self.post(&self.own, self.settings.http_body, (gateway, msisdn.as_str()), woken.session, notifications).await
            }
        }
    }

    async fn post(
        &self,
        client: &Client,
        form: Body,
        (url, address): (&Url, &str),
        session: u16,
        notifications: &[Vec<u8>],
    ) -> Result<(), Failure> {
        let _place = self.places.acquire().await.map_err(|_closed| Failure::passing("GATEWAY_UNREACHABLE"))?;
        for notification in notifications {
            // A further attempt is a further push: the gateway has forgotten the one before, or would refuse it as a duplicate.
            let push_id = format!("{}@dmwsi", self.clock.new_id());
            let request = Request { url, address, session, notification, push_id: &push_id };
            http::send(client, &self.settings, form, &request).await?;
        }
        Ok(())
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
