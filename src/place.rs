//! The folder of the content, and whether it is the one that belongs to the database.
use std::io;
use std::sync::Arc;

use dmwsi_domain::Clock;
use dmwsi_store::Store;
use dmwsi_store::content::{Content, Folder};

use crate::config::Config;
use crate::running::StartError;

/// Content, with the marker by which the database knows it.
#[derive(Clone)]
pub(crate) struct Place {
    content: Arc<dyn Content>,
    marker: Arc<str>,
}

impl Place {
    /// Opens the folder of the settings. The first to do so for a database marks it.
    pub(crate) async fn open(store: &Store, config: &Config) -> Result<Self, StartError> {
        let path = config.content.place(&config.store.url);
        let content: Arc<dyn Content> = match Folder::open(&path) {
            Ok(folder) => Arc::new(folder),
            Err(error) => return Err(StartError::Content(path, error)),
        };
        let new = Clock::System.new_id().simple().to_string();
        let marked = Arc::clone(&content);
        let marker = store.write(move |tx| tx.content_marker(&*marked, &new)).await?;
        Ok(Self { content, marker: marker.into() })
    }

    pub(crate) fn content(&self) -> Arc<dyn Content> {
        Arc::clone(&self.content)
    }

    pub(crate) fn marker(&self) -> String {
        self.marker.to_string()
    }

    /// Whether this node sees the folder that the database knows.
    pub(crate) async fn is_the_right_one(&self) -> io::Result<bool> {
        let content = self.content();
        let marker = tokio::task::spawn_blocking(move || content.marker()).await.map_err(io::Error::other)??;
        Ok(marker.as_deref() == Some(&*self.marker))
    }
}
