//! What an operator can set of containers and their content.
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::DatabaseUrl;

/// The section `content` of the settings; every name has a default.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The folder that holds the content; with more than one node, one that all of them share. By default `content` beside the SQLite file, or in
    /// the working folder.
    pub folder: Option<PathBuf>,
    /// The largest container, in bytes; 4 GiB by default.
    pub max_container_bytes: u64,
    /// The largest payload, in bytes; 2 GiB by default.
    pub max_payload_bytes: u64,
    /// The most bytes of payloads that one organisation has available; 100 GiB by default.
    pub organisation_bytes: u64,
    /// The most containers that one organisation has available; 10,000 by default.
    pub organisation_containers: u32,
    /// The most bytes of one organisation that wait at a time: for the rest of them, in an upload, or for their verdict, after `respond-async`; 64
    /// GiB by default. An upload that has not said how long it will be counts as the largest container.
    pub waiting_bytes: u64,
    /// The most deliveries of one organisation that wait at a time like that; 64 by default.
    pub waiting_deliveries: u32,
    /// Containers that are read at a time by one process while they come, each by a thread of its own; 4 by default. One organisation has at most
    /// half of them. As many again are read at a time of those that are judged later.
    pub ingest_threads: u32,
    /// How long a container that comes in one request may be waited for, in seconds for each GiB that it has begun; 900 (15 minutes) by default.
    /// Who needs longer makes an upload.
    pub delivery_seconds: u64,
    /// The fewest bytes a second that a sender must bring, measured over `rateSeconds`; 4,096 by default. Who is slower is cut off.
    pub min_bytes_per_second: u64,
    /// Over how many seconds of waiting for a sender its rate is measured; 10 by default.
    pub rate_seconds: u64,
    /// How long an upload may take from its beginning, in seconds; 86,400 (a day) by default.
    pub upload_seconds: u64,
    /// The most uploads that one client has open; 16 by default.
    pub uploads_per_client: u32,
    /// How long a refused container can still be read about, in seconds; 2,592,000 (30 days) by default.
    pub rejected_seconds: u64,
    /// How long content stays to which nothing refers, in seconds; 3,600 (an hour) by default.
    pub unreferenced_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: None,
            max_container_bytes: 4 << 30,
            max_payload_bytes: 2 << 30,
            organisation_bytes: 100 << 30,
            organisation_containers: 10_000,
            waiting_bytes: 64 << 30,
            waiting_deliveries: 64,
            ingest_threads: 4,
            delivery_seconds: 900,
            min_bytes_per_second: 4_096,
            rate_seconds: 10,
            upload_seconds: 86_400,
            uploads_per_client: 16,
            rejected_seconds: 30 * 86_400,
            unreferenced_seconds: 3_600,
        }
    }
}

impl Settings {
    /// Where the content stands, beside the database of `url` unless the settings say otherwise.
    #[must_use]
    pub fn place(&self, url: &DatabaseUrl) -> PathBuf {
        match (&self.folder, url) {
            (Some(folder), _) => folder.clone(),
            (None, DatabaseUrl::Sqlite(path)) => path.parent().unwrap_or(Path::new("")).join("content"),
            (None, DatabaseUrl::Postgres(_)) => PathBuf::from("content"),
        }
    }

    /// How long an upload may take.
    #[must_use]
    pub const fn upload_lives(&self) -> Duration {
        Duration::from_secs(self.upload_seconds)
    }
}
