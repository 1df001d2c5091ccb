//! Files on their way to a name.
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The locked file of a workplace.
pub(super) const LOCK: &str = "lock";

/// A folder in which one process makes the files of one delivery; removed when the last of them is dropped. One locked file in it tells others
/// that its maker still lives, so that the files themselves need not stay open.
#[derive(Debug)]
pub struct Workplace {
    path: PathBuf,
    next: AtomicU64,
    _lock: File,
}

impl Workplace {
    pub(super) fn create(path: PathBuf) -> io::Result<Arc<Self>> {
        DirBuilder::new().mode(0o700).create(&path)?;
        let mut lock = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path.join(LOCK))?;
        // Whoever sweeps may hold it for a moment, and lets it go again as long as it is empty and young.
        lock.lock()?;
        lock.write_all(b"\n")?;
        Ok(Arc::new(Self { path, next: AtomicU64::new(0), _lock: lock }))
    }

    /// A new file without content, which is gone when it is dropped unless it was given a name.
    pub fn stage(self: &Arc<Self>) -> io::Result<Staged> {
        let path = self.path.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Staged { file: Some(file), path, _workplace: Arc::clone(self) })
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(cause = ?error, "a folder of staged files could not be removed; the sweep removes it");
        }
    }
}

/// A file that only its maker writes to; removed when it is dropped, unless it was given a name.
#[derive(Debug)]
pub struct Staged {
    file: Option<File>,
    path: PathBuf,
    _workplace: Arc<Workplace>,
}

impl Staged {
    /// Makes what was written durable. Nothing more can be written: a container may bring more files than a process may hold open.
    pub fn finish(&mut self) -> io::Result<()> {
        self.file.take().map_or(Ok(()), |file| file.sync_data())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn open(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::Error::other("a staged file that is finished is written to"))
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            // It was given a name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(cause = ?error, "a staged file could not be removed; the sweep removes it"),
            Ok(()) => {}
        }
    }
}
