//! Whether the server lives, whether it can work, and what it counts.
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use dmwsi_store::Store;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::place::Place;

/// Where the bounds of measured seconds lie.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Where the bounds of counted things lie.
const COUNTS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0];

/// Counts for the whole process; a second server of the process shares them.
pub(crate) fn recorder() -> Result<PrometheusHandle, BuildError> {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    static INSTALLING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_writes".to_owned()), &COUNTS)?
        .install_recorder()?;
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// What the three addresses need.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) store: Store,
    pub(crate) place: Place,
    pub(crate) metrics: PrometheusHandle,
}

impl Health {
    /// Mounts `/healthz`, `/readyz` and `/metrics`.
    pub(crate) fn configure(self, config: &mut web::ServiceConfig) {
        let (ready, place, metrics) = (self.store, self.place, self.metrics);
        config
            .route("/healthz", web::get().to(|| async { HttpResponse::Ok().body("alive\n") }))
            .route(
                "/readyz",
                web::get().to(move || {
                    let (store, place) = (ready.clone(), place.clone());
                    async move { readiness(&store, &place).await }
                }),
            )
            .route(
                "/metrics",
                web::get().to(move || {
                    let text = metrics.render();
                    async move { HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(text) }
                }),
            );
    }
}

/// Ready means: the database answers, and the content folder is the one that belongs to it. A server that is not gets no requests from its
/// balancer, and is not restarted for it.
async fn readiness(store: &Store, place: &Place) -> HttpResponse {
    if let Err(error) = store.read(|tx| tx.ping()).await {
        tracing::warn!(cause = ?error, "not ready: the database does not answer");
        return HttpResponse::ServiceUnavailable().body("the database does not answer\n");
    }
    match place.is_the_right_one().await {
        Ok(true) => HttpResponse::Ok().body("ready\n"),
        Ok(false) => {
            tracing::warn!("not ready: the content folder is not the one that the other nodes use");
            HttpResponse::ServiceUnavailable().body("the content folder is another one\n")
        }
        Err(error) => {
            tracing::warn!(cause = ?error, "not ready: the content folder cannot be read");
            HttpResponse::ServiceUnavailable().body("the content folder cannot be read\n")
        }
    }
}
