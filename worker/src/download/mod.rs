//! Downloads: what a device fetches from us, by an address that was made for one execution.
mod answer;
mod body;
mod budget;
mod conditions;
mod places;
mod progress;
mod range;
mod settings;
mod token;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data, PayloadConfig, ServiceConfig};
use dmwsi_domain::{Clock, Result};
use dmwsi_store::Store;
use dmwsi_store::content::Content;

use self::budget::Budget;
use self::places::Places;
use self::progress::Progress;

pub use self::settings::Settings;
pub use self::token::{DownloadToken, Tokens};

/// Where devices fetch packages, below the public address; a token follows.
pub const PATH: &str = "/downloads";

/// The largest notification that is read, in bytes.
const MAX_NOTIFICATION: usize = 4_096;

/// The smallest piece that is sent under a small budget, in bytes.
const SMALLEST_PIECE: u64 = 1_024;

/// Serves what devices fetch. One for each process.
pub struct Downloads {
    store: Store,
    clock: Clock,
    content: Arc<dyn Content>,
    settings: Settings,
    tokens: Tokens,
    public_url: String,
    chunk: u64,
    budget: Budget,
    progress: Progress,
    places: Arc<Places>,
}

impl Downloads {
    /// Downloads of that content, by tokens that these make, below `public_url`.
    pub fn new(
        store: Store,
        clock: Clock,
        content: Arc<dyn Content>,
        settings: Settings,
        tokens: Tokens,
        public_url: &str,
    ) -> Self {
        // Ten pieces a second at least, so that a small budget does not come in bursts.
        let tenth = |rate: u64| if rate == 0 { u64::MAX } else { (rate / 10).max(SMALLEST_PIECE) };
        let piece = u64::from(settings.chunk_bytes).max(SMALLEST_PIECE);
        Self {
            chunk: piece.min(tenth(settings.bytes_per_second)).min(tenth(settings.bytes_per_second_each)),
            budget: Budget::new(settings.bytes_per_second),
            places: Places::new(settings.max_open, settings.bytes_per_second_each),
            progress: Progress::default(),
            public_url: public_url.trim_end_matches('/').to_owned(),
            store,
            clock,
            content,
            settings,
            tokens,
        }
    }

    /// Puts the addresses of downloads into a server.
    pub fn configure(self: &Arc<Self>) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let downloads = Data::from(Arc::clone(self));
        move |config| {
            let scope = web::scope(PATH).app_data(downloads).app_data(PayloadConfig::new(MAX_NOTIFICATION));
            let fetched = web::resource("/{token}").get(answer::package).route(web::head().to(answer::package));
            let object = web::resource("/{token}/object").get(answer::object).route(web::head().to(answer::object));
            let status = web::resource("/{token}/status").post(answer::status);
            config.service(scope.service(fetched).service(object).service(status).default_service(web::to(answer::elsewhere)));
        }
    }

    /// Writes what was sent, and breaks off what may not go on, again and again until `stopped` completes, and once more then.
    pub async fn keep_up(&self, stopped: impl Future<Output = ()>) {
        let mut stopped = std::pin::pin!(stopped);
        let every = Duration::from_secs(self.settings.flush_seconds.max(1));
        loop {
            let over = tokio::select! {
                () = &mut stopped => true,
                () = tokio::time::sleep(every) => false,
            };
            if let Err(error) = self.progress.flush(&self.store).await {
                tracing::warn!(%error, "what was sent to devices that download could not be written; it is kept");
            }
            if over {
                return;
            }
            self.places.free_stalled(Duration::from_secs(self.settings.stalled_seconds.max(1)));
            if let Err(error) = self.look_again().await {
                tracing::warn!(%error, "whether what is downloaded may still be had could not be read; it goes on");
            }
        }
    }

    /// Breaks off the downloads whose execution is over, or whose content is withdrawn.
    async fn look_again(&self) -> Result<()> {
        let (keys, now) = (self.places.keys(), self.clock.now());
        if keys.is_empty() {
            return Ok(());
        }
        let over = self.store.read(move |tx| tx.served_no_more(&keys, now));
        over.await?.iter().for_each(|key| self.places.cut(key));
        Ok(())
    }
}
