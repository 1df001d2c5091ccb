//! The body of a delivery on its way in: at a minimum rate, checked against what it promises, and handed on piece by piece.
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use dmwsi_store::content::Settings;
use dmwsi_store::ingest::Feed;
use futures_util::StreamExt as _;

use crate::digest_header::Check;
use crate::problem::{Code, Problem};

/// What a sender is given its time for.
const GIB: u64 = 1 << 30;

/// A body that comes in pieces, each soon enough after the one before.
pub(crate) struct Incoming {
    payload: Payload,
    fewest: u64,
    window: Duration,
    /// Waited for the sender, and got, in this window. The time that others take does not count.
    waited: Duration,
    got: u64,
    whole: Option<Whole>,
}

/// How long all of the body may be waited for.
struct Whole {
    for_each_gib: Duration,
    waited: Duration,
    got: u64,
}

impl Whole {
    fn is_over(&self) -> bool {
        let begun = u32::try_from((self.got / GIB).saturating_add(1)).unwrap_or(u32::MAX);
        self.waited > self.for_each_gib.saturating_mul(begun)
    }
}

impl Incoming {
    pub(crate) fn new(payload: Payload, settings: &Settings) -> Self {
        let window = Duration::from_secs(settings.rate_seconds.max(1));
        let fewest = settings.min_bytes_per_second.saturating_mul(window.as_secs());
        Self { payload, fewest, window, waited: Duration::ZERO, got: 0, whole: None }
    }

    /// The same, with an end to all of it: the sender has a time for each GiB that it begins.
    pub(crate) fn in_time(payload: Payload, settings: &Settings) -> Self {
        let for_each_gib = Duration::from_secs(settings.delivery_seconds);
        Self { whole: Some(Whole { for_each_gib, waited: Duration::ZERO, got: 0 }), ..Self::new(payload, settings) }
    }

    /// The next piece; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let began = Instant::now();
            let next = tokio::time::timeout(self.window.saturating_sub(self.waited), self.payload.next()).await;
            let waited = began.elapsed();
            self.waited = self.waited.saturating_add(waited);
            let got = if let Ok(Some(Ok(piece))) = &next { u64::try_from(piece.len()).unwrap_or(u64::MAX) } else { 0 };
            self.got = self.got.saturating_add(got);
            if let Some(whole) = &mut self.whole {
                (whole.waited, whole.got) = (whole.waited.saturating_add(waited), whole.got.saturating_add(got));
                if whole.is_over() {
                    let detail = "The body took longer than one request may. Use an upload, which can go on later.";
                    return Err(Problem::new(Code::TooSlow, detail));
                }
            }
            if self.waited >= self.window {
                if self.got < self.fewest {
                    return Err(Problem::new(Code::TooSlow, "The body came more slowly than the server waits for."));
                }
                (self.waited, self.got) = (Duration::ZERO, 0);
            }
            match next {
                Ok(Some(Ok(piece))) => return Ok(Some(piece)),
                Ok(Some(Err(broken))) => return Err(Problem::invalid(format!("The body broke off: {broken}"))),
                Ok(None) => return Ok(None),
                Err(_elapsed) => {}
            }
        }
    }

    /// Hands the whole body on. When the reader wants no more, it knows why, and the rest is let go.
    pub(crate) async fn forward(mut self, feed: Feed<Bytes>, mut check: Check) -> Result<(), Problem> {
        while let Some(piece) = self.next().await? {
            check.update(&piece);
            if !feed.put(piece).await {
                return Ok(());
            }
        }
        check.finish()?;
        feed.finish().await;
        Ok(())
    }
}
