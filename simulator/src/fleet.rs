//! Many devices in one process, each a task that sleeps most of its time.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::device::Device;
use crate::ear::Ear;
use crate::tally::{Snapshot, Tally};

/// How long a device waits that could not listen.
const DEAF: Duration = Duration::from_secs(1);

/// How fast a fleet may be.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many devices talk or download at the same time, at most.
    pub concurrency: usize,
    /// Over how much time the first sessions are spread.
    pub spread: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { concurrency: 64, spread: Duration::ZERO }
    }
}

/// Devices that live by the clock. Dropped, they stop at once, whatever they are at.
#[derive(Debug)]
pub struct Fleet {
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<Device>,
}

impl Fleet {
    /// Lets these devices live; must be called within a tokio runtime.
    pub fn start(devices: impl IntoIterator<Item = Device>, pace: Pace) -> Self {
        Self::start_listening(devices.into_iter().map(|device| (device, None)), pace)
    }

    /// As [`Fleet::start`] for devices that may be woken: one with an ear also calls when it hears its server there.
    pub fn start_listening(devices: impl IntoIterator<Item = (Device, Option<Ear>)>, pace: Pace) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (tally, talking) = (Arc::new(Tally::default()), Arc::new(Semaphore::new(pace.concurrency.max(1))));
        let devices: Vec<_> = devices.into_iter().collect();
        let count = u32::try_from(devices.len()).unwrap_or(u32::MAX).max(1);
        tally.devices(devices.len());
        let mut tasks = JoinSet::new();
        for ((mut device, ear), place) in devices.into_iter().zip(0_u32..) {
            let delay = (pace.spread / count).saturating_mul(place);
            let (mut stopped, tally, talking) = (stopped.clone(), Arc::clone(&tally), Arc::clone(&talking));
            tasks.spawn(async move {
                live(&mut device, ear.as_ref(), delay, &mut stopped, Some(&talking), &tally).await;
                tally.left();
                device
            });
        }
        Self { tally, stop, tasks }
    }

    /// What they have done so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.tally.snapshot()
    }

    /// Lets sessions and downloads that run come to their end, and gives the devices back.
    pub async fn stop(mut self) -> (Snapshot, Vec<Device>) {
        self.stop.send_replace(true);
        let mut devices = Vec::with_capacity(self.tasks.len());
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(device) => devices.push(device),
                Err(error) => tracing::error!(%error, "a simulated device came to a bad end"),
            }
        }
        (self.tally.snapshot(), devices)
    }
}

/// The life of a device: a session after `delay` and then now and again, an update as soon as it is asked for, and a report as soon as it is
/// done; and a session whenever it is woken. Ends when `stop` becomes true or its sender is gone, or when the device goes away.
pub(crate) async fn live(
    device: &mut Device,
    ear: Option<&Ear>,
    delay: Duration,
    stop: &mut watch::Receiver<bool>,
    talking: Option<&Semaphore>,
    tally: &Tally,
) {
    let mut talk_at = Instant::now() + delay;
    let mut work_at = device.is_busy().then(Instant::now);
    let mut answered = None;
    while !device.is_gone() {
        let next = work_at.map_or(talk_at, |work_at| work_at.min(talk_at));
        let mut wanted = None;
        tokio::select! {
            biased;
            _stopped = stop.wait_for(|stop| *stop) => return,
            // A notification that comes once more was sent before the call that it asked for.
            session = heard(device, ear, answered) => wanted = Some(session),
            () = sleep_until(next) => {}
        }
        // A semaphore that nobody closes always gives its permit; without one there is no limit.
        let _permit = match talking {
            Some(talking) => talking.acquire().await.ok(),
            None => None,
        };
        if *stop.borrow() {
            return;
        }
        if wanted.is_none() && work_at == Some(next) {
            let before = device.outcomes().count();
            work_at = device.advance().await.map(|time| Instant::now() + time);
            device.outcomes().skip(before).for_each(|succeeded| tally.update(succeeded));
            if work_at.is_none() && !device.pending().is_empty() {
                talk_at = Instant::now();
            }
            continue;
        }
        if !device.is_silent() {
            let outcome = match wanted {
                Some(session) => device.answer_call(session).await,
                None => device.check_in().await,
            };
            if outcome.is_ok() {
                answered = wanted.or(answered);
            }
            if let Err(error) = &outcome {
                tracing::debug!(device = device.profile().device, %error, kind = error.kind(), "a session of a simulated device failed");
            }
            tally.session(&outcome);
            if device.is_busy() && work_at.is_none() {
                work_at = Some(Instant::now());
            }
        }
        talk_at = Instant::now() + device.until_next();
    }
}

/// Waits until the device hears its server ask for a session other than the last one that it held so. A deaf device waits for ever.
async fn heard(device: &Device, ear: Option<&Ear>, answered: Option<u16>) -> u16 {
    let Some(ear) = ear else { return std::future::pending().await };
    loop {
        match ear.listen().await {
            Ok(datagram) => {
                if let Some(session) = device.hear(&datagram).filter(|session| Some(*session) != answered && !device.is_silent())
                {
                    return session;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a simulated device cannot hear");
                tokio::time::sleep(DEAF).await;
            }
        }
    }
}
