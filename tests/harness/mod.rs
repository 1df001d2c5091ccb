//! What every test needs: a database of its own, on either side, and patience with a limit.
pub(crate) mod archive;
pub(crate) mod authority;
pub(crate) mod database;
pub(crate) mod document;
pub(crate) mod fetch;
pub(crate) mod forge;
pub(crate) mod handset;
pub(crate) mod phone;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod server;
pub(crate) mod stage;
pub(crate) mod statements;
pub(crate) mod talk;
pub(crate) mod upload;
pub(crate) mod wake;

use std::time::{Duration, Instant};

pub(crate) use database::Database;

/// Makes one test for each database from one function: `name::sqlite` and `name::postgres`.
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($database:ident: Database) $body:block)*) => {$(
        $(#[$meta])*
        async fn $name($database: crate::harness::Database) $body

        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name(crate::harness::Database::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(database) = crate::harness::Database::postgres() {
                    super::$name(database).await;
                }
            }
        }
    )*};
}

/// Waits until `so` holds; `what` was awaited when it does not within 20 seconds.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
