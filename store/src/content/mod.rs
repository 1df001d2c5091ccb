//! Content by its digest: files that are written once, read often and collected when nothing refers to them.
//!
//! A file is written in a workplace of its delivery, which is locked while that lasts. First its digest gets a row; then it gets the name of its
//! digest within a transaction that holds that row, and loses it within the one that takes the row away: so the row's lock also guards the file,
//! and a file without a row cannot be, wherever a process is killed.
mod folder;
mod rows;
mod settings;
mod staged;

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::digest::Sha256Digest;

pub use folder::Folder;
pub use rows::{Kept, Reference};
pub use settings::Settings;
pub use staged::{Staged, Workplace};

/// A place for content. All nodes of a server share it.
pub trait Content: fmt::Debug + Send + Sync {
    /// A new place for files on their way, which is gone with the last of them.
    fn workplace(&self) -> io::Result<Arc<Workplace>>;

    /// Gives what was staged the name of its digest, durably. Doing it twice is doing it once.
    fn keep(&self, staged: &Staged, digest: &Sha256Digest) -> io::Result<()>;

    /// Opens the content of a digest for reading, and says how long it is.
    fn open(&self, digest: &Sha256Digest) -> io::Result<(File, u64)>;

    /// Removes the content of a digest; fine where there is none.
    fn delete(&self, digest: &Sha256Digest) -> io::Result<()>;

    /// Gives what was staged a name under which a whole delivery waits, durably. Doing it twice is doing it once.
    fn park(&self, staged: &Staged, name: &str) -> io::Result<()>;

    /// Makes a file of that name for a delivery that comes in pieces.
    fn begin(&self, name: &str) -> io::Result<File>;

    /// Gives a waiting delivery a second name, durably, so that it waits until both are discarded. Doing it twice is doing it once.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Opens a waiting delivery for reading and appending.
    fn resume(&self, name: &str) -> io::Result<File>;

    /// Removes a waiting delivery; fine where there is none.
    fn discard(&self, name: &str) -> io::Result<()>;

    /// The waiting deliveries, each with the time since it was last written to or given a name.
    fn waiting(&self) -> io::Result<Vec<(String, Duration)>>;

    /// Removes workplaces that whoever made them has left behind; how many. One that cannot be removed does not keep others from it.
    fn sweep(&self) -> io::Result<usize>;

    /// What tells this place from others, once it has been marked.
    fn marker(&self) -> io::Result<Option<String>>;

    /// Marks the place.
    fn mark(&self, marker: &str) -> io::Result<()>;
}
