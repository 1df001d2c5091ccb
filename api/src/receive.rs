//! The body of a delivery on its way in: at a minimum rate, checked against what it promises, and handed on piece by piece.
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use dmwsi_store::content::Settings;
use dmwsi_store::ingest::Feed;
use futures_util::StreamExt as _;

use crate::digest_header::Check;
use crate::problem::{Code, Problem};

/// A body that comes in pieces, each soon enough after the one before.
pub(crate) struct Incoming {
    payload: Payload,
    fewest: u64,
    window: Duration,
    /// Waited for the sender, and got, in this window. The time that others take does not count.
    waited: Duration,
    got: u64,
}

impl Incoming {
    pub(crate) fn new(payload: Payload, settings: &Settings) -> Self {
        let window = Duration::from_secs(settings.rate_seconds.max(1));
        let fewest = settings.min_bytes_per_second.saturating_mul(window.as_secs());
        Self { payload, fewest, window, waited: Duration::ZERO, got: 0 }
    }

    /// The next piece; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let began = Instant::now();
            let next = tokio::time::timeout(self.window.saturating_sub(self.waited), self.payload.next()).await;
            self.waited = self.waited.saturating_add(began.elapsed());
            if let Ok(Some(Ok(piece))) = &next {
                self.got = self.got.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
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
