//! Content in a folder: of this machine, or shared by all nodes.
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dmwsi_domain::Clock;
use dmwsi_domain::digest::Sha256Digest;

use super::{Content, Staged};

/// Content as files: `sha256/ab/cdef…` by digest, `staging/` while they are written, `waiting/` for deliveries that are not judged yet.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at that path; made where there is none.
    pub fn open(root: &Path) -> io::Result<Self> {
        for name in ["sha256", "staging", "waiting"] {
            make(&root.join(name))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    fn of(&self, digest: &Sha256Digest) -> PathBuf {
        let hex = digest.to_string();
        let (start, rest) = hex.split_at_checked(2).unwrap_or(("", &hex));
        self.root.join("sha256").join(start).join(rest)
    }

    fn waiting_at(&self, name: &str) -> PathBuf {
        self.root.join("waiting").join(name)
    }
}

impl Content for Folder {
    fn stage(&self) -> io::Result<Staged> {
        Staged::create(self.root.join("staging").join(Clock::System.new_id().simple().to_string()))
    }

    fn keep(&self, staged: &Staged, digest: &Sha256Digest) -> io::Result<()> {
        let name = self.of(digest);
        let parent = name.parent().unwrap_or(&self.root);
        if !parent.exists() {
            make(parent)?;
            sync_folder(&self.root.join("sha256"))?;
        }
        give(staged.path(), &name)
    }

    fn open(&self, digest: &Sha256Digest) -> io::Result<(File, u64)> {
        let file = File::open(self.of(digest))?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    fn delete(&self, digest: &Sha256Digest) -> io::Result<()> {
        gone(fs::remove_file(self.of(digest)))
    }

    fn park(&self, staged: &Staged, name: &str) -> io::Result<()> {
        give(staged.path(), &self.waiting_at(name))
    }

    fn begin(&self, name: &str) -> io::Result<File> {
        let path = self.waiting_at(name);
        OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        give(&self.waiting_at(from), &self.waiting_at(to))
    }

    fn resume(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).open(self.waiting_at(name))
    }

    fn discard(&self, name: &str) -> io::Result<()> {
        gone(fs::remove_file(self.waiting_at(name)))
    }

    fn waiting(&self) -> io::Result<Vec<(String, Duration)>> {
        let mut waiting = Vec::new();
        for entry in fs::read_dir(self.root.join("waiting"))? {
            let entry = entry?;
            // One that went away meanwhile waits no longer.
            let Ok(written) = entry.metadata().and_then(|found| found.modified()) else { continue };
            if let Ok(name) = entry.file_name().into_string() {
                waiting.push((name, written.elapsed().unwrap_or_default()));
            }
        }
        Ok(waiting)
    }

    fn sweep(&self) -> io::Result<usize> {
        let mut swept = 0_usize;
        for entry in fs::read_dir(self.root.join("staging"))? {
            let path = entry?.path();
            let Ok(file) = File::open(&path) else { continue };
            match file.try_lock() {
                // Between its making and its locking a file is empty, and young.
                Ok(()) if is_settled(&file) => {
                    gone(fs::remove_file(&path))?;
                    swept = swept.saturating_add(1);
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(swept)
    }

    fn marker(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.root.join("marker")) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn mark(&self, marker: &str) -> io::Result<()> {
        let mut staged = self.stage()?;
        staged.write_all(format!("{marker}\n").as_bytes())?;
        staged.sync()?;
        give(staged.path(), &self.root.join("marker"))
    }
}

/// Whether nobody is about to lock a file that was just made.
fn is_settled(file: &File) -> bool {
    let Ok(found) = file.metadata() else { return false };
    found.len() > 0 || found.modified().ok().and_then(|made| made.elapsed().ok()).is_some_and(|age| age.as_secs() >= 1)
}

fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Renames durably. When the old name is gone and the new one is there, that was done before.
fn give(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && to.exists() => {}
        renamed => renamed?,
    }
    to.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn content_is_there_by_its_digest_only_when_it_was_kept() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let digest = Sha256Digest::new([0xab; 32]);
        let mut staged = folder.stage().unwrap();
        staged.write_all(b"content").unwrap();
        assert!(folder.open(&digest).is_err());
        folder.keep(&staged, &digest).unwrap();
        folder.keep(&staged, &digest).unwrap();
        drop(staged);
        let (mut file, length) = folder.open(&digest).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), length), ("content", 7));
        assert!(place.path().join(format!("sha256/ab/{}", "ab".repeat(31))).is_file());
        folder.delete(&digest).unwrap();
        folder.delete(&digest).unwrap();
        assert!(folder.open(&digest).is_err());
    }

    #[test]
    fn only_what_nobody_writes_to_is_swept() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        fs::write(place.path().join("staging/left"), "behind").unwrap();
        let mut staged = folder.stage().unwrap();
        staged.write_all(b"on its way").unwrap();
        assert_eq!(folder.sweep().unwrap(), 1);
        assert!(staged.path().exists());
        drop(staged);
        assert_eq!((folder.sweep().unwrap(), fs::read_dir(place.path().join("staging")).unwrap().count()), (0, 0));
    }

    #[test]
    fn a_folder_is_known_by_its_marker() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        assert_eq!(folder.marker().unwrap(), None);
        folder.mark("a").unwrap();
        assert_eq!(Folder::open(place.path()).unwrap().marker().unwrap().as_deref(), Some("a"));
    }
}
