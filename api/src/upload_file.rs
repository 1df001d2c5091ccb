//! The file of an upload: held by one request at a time, and as long as what has come.
use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web;
use dmwsi_domain::Error;
use dmwsi_domain::digest::Digests;
use dmwsi_domain::id::UploadId;
use dmwsi_store::content::Content;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use crate::digest_header::Check;
use crate::problem::{Code, Problem};
use crate::receive::Incoming;

/// How long a request waits for the one before it on the same upload to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// How much is read at a time.
const PIECE: usize = 1 << 17;

/// The uploads that requests of this process append to just now.
#[derive(Debug, Default)]
pub(crate) struct Appending(Mutex<HashMap<UploadId, Arc<Notify>>>);

impl Appending {
    /// Takes an upload over: who appends to it in this process is told to end.
    pub(crate) fn take_over(&self, id: UploadId) -> Arc<Notify> {
        let own = Arc::new(Notify::new());
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody holds any more is cleared when the next one begins.
        uploads.retain(|_, held| Arc::strong_count(held) > 1);
        if let Some(before) = uploads.insert(id, Arc::clone(&own)) {
            before.notify_one();
        }
        own
    }
}

/// The file of an upload, locked.
pub(crate) struct UploadFile {
    file: File,
    /// How long it is.
    pub(crate) length: u64,
}

/// How an append ended.
pub(crate) enum Appended {
    /// All of the body is there.
    Whole,
    /// The file would be longer than it may be.
    TooLong,
}

impl UploadFile {
    /// Opens the file and holds it against all others. Nothing where it is not there.
    pub(crate) async fn hold(content: &Arc<dyn Content>, id: UploadId) -> Result<Option<Self>, Problem> {
        let began = tokio::time::Instant::now();
        loop {
            let content = Arc::clone(content);
            let opened = web::block(move || open(&*content, id)).await.map_err(Error::internal)?.map_err(unavailable)?;
            match opened {
                Opened::Held(file) => return Ok(Some(file)),
                Opened::Gone => return Ok(None),
                Opened::Busy if began.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
                Opened::Busy => return Err(Problem::new(Code::Aborted, "Another request appends to this upload just now.")),
            }
        }
    }

    /// Adds a body, up to a length of `most`. What came stays also when the rest does not come; when the body is not what it promises, nothing of
    /// it stays.
    pub(crate) async fn append(
        &mut self,
        incoming: Incoming,
        check: Check,
        most: u64,
        ended: &Notify,
    ) -> Result<Appended, Problem> {
        let before = self.length;
        let mut file = tokio::fs::File::from_std(self.file.try_clone().map_err(unavailable)?);
        let appended = copy(&mut file, &mut self.length, incoming, check, most, ended).await;
        file.flush().await.map_err(unavailable)?;
        if appended.as_ref().is_err_and(|problem| problem.code() == Code::DigestMismatchedValues) {
            file.set_len(before).await.map_err(unavailable)?;
            self.length = before;
        }
        file.sync_data().await.map_err(unavailable)?;
        appended
    }

    /// Whether all of it hashes to what was promised.
    pub(crate) async fn verify(&self, promised: Digests) -> Result<(), Problem> {
        if promised.is_empty() {
            return Ok(());
        }
        let mut file = self.reader()?;
        let hashed = web::block(move || {
            let (mut check, mut buffer) = (Check::new(promised), vec![0; PIECE]);
            loop {
                let count = file.read(&mut buffer)?;
                if count == 0 {
                    return Ok::<_, io::Error>(check);
                }
                check.update(buffer.get(..count).unwrap_or_default());
            }
        });
        hashed.await.map_err(Error::internal)?.map_err(unavailable)?.finish()
    }

    /// The file from its beginning.
    pub(crate) fn reader(&self) -> Result<File, Problem> {
        let mut file = self.file.try_clone().map_err(unavailable)?;
        file.seek(SeekFrom::Start(0)).map_err(unavailable)?;
        Ok(file)
    }
}

async fn copy(
    file: &mut tokio::fs::File,
    length: &mut u64,
    mut incoming: Incoming,
    mut check: Check,
    most: u64,
    ended: &Notify,
) -> Result<Appended, Problem> {
    loop {
        let piece = tokio::select! {
            piece = incoming.next() => piece?,
            () = ended.notified() => return Err(Problem::new(Code::Aborted, "A later request took this upload over.")),
        };
        let Some(piece) = piece else { break };
        check.update(&piece);
        let next = length.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if next > most {
            return Ok(Appended::TooLong);
        }
        file.write_all(&piece).await.map_err(unavailable)?;
        *length = next;
    }
    check.finish()?;
    Ok(Appended::Whole)
}

enum Opened {
    Busy,
    Gone,
    Held(UploadFile),
}

fn open(content: &dyn Content, id: UploadId) -> io::Result<Opened> {
    let file = match content.resume(&id.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opened::Gone),
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) => {
            let length = file.metadata()?.len();
            Ok(Opened::Held(UploadFile { file, length }))
        }
        Err(TryLockError::WouldBlock) => Ok(Opened::Busy),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

pub(crate) fn unavailable(error: io::Error) -> Problem {
    Error::Unavailable(Box::new(error)).into()
}
