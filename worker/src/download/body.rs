//! The body of an answer: read from the content folder piece by piece, away from the threads that serve requests, and sent at the pace allowed.
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::web::Bytes;
use futures_util::stream::{self, Stream};
use tokio::task::JoinHandle;

use super::Downloads;
use super::places::Place;
use super::progress::Key;

/// What was read, and what it was read from.
type Piece = (File, Vec<u8>);

/// A part of a payload on its way.
pub(super) struct Sending {
    pub(super) downloads: Arc<Downloads>,
    pub(super) place: Place,
    pub(super) key: Key,
    pub(super) size: u64,
    pub(super) at: u64,
    pub(super) end: u64,
    next: Option<JoinHandle<io::Result<Piece>>>,
}

impl Sending {
    /// Sends the bytes of the file from `at` to before `end`.
    pub(super) fn new(downloads: Arc<Downloads>, place: Place, key: Key, file: File, size: u64, (at, end): (u64, u64)) -> Self {
        let mut sending = Self { downloads, place, key, size, at, end, next: None };
        sending.read_on(file, at);
        sending
    }

    /// The whole of it as the body of an answer, with its length.
    pub(super) fn into_body(self) -> SizedStream<impl Stream<Item = io::Result<Bytes>>> {
        let length = self.end.saturating_sub(self.at);
        SizedStream::new(length, stream::try_unfold(self, Self::piece))
    }

    /// Begins to read the piece at `at`: the disk works while the network does.
    fn read_on(&mut self, mut file: File, at: u64) {
        let count = self.end.saturating_sub(at).min(self.downloads.chunk);
        self.next = (count > 0).then(|| {
            tokio::task::spawn_blocking(move || {
                let mut piece = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
                file.seek(SeekFrom::Start(at))?;
                (&mut file).take(count).read_to_end(&mut piece)?;
                Ok((file, piece))
            })
        });
    }

    async fn piece(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some(next) = self.next.take() else { return Ok(None) };
        self.place.asks();
        let (file, piece) = next.await.map_err(io::Error::other)??;
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if length < self.end.saturating_sub(self.at).min(self.downloads.chunk) {
            tracing::error!(payload = %self.key.2, "a file of the content folder is shorter than it was");
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Both are asked: what waits for one still counts against the other.
        let times = [self.downloads.budget.take(piece.len()), self.place.budget().take(piece.len())];
        if let Some(at) = times.into_iter().flatten().max() {
            tokio::time::sleep_until(at).await;
        }
        if !self.place.moves() {
            return Err(io::Error::other("the download was broken off"));
        }
        self.at = self.at.saturating_add(length);
        self.downloads.progress.sent(self.key, self.size, length, self.at, self.downloads.clock.now());
        metrics::counter!("dmwsi_download_bytes_total").increment(length);
        self.read_on(file, self.at);
        Ok(Some((piece.into(), self)))
    }
}
