//! Content in a folder: of this machine, or shared by all nodes.
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dmwsi_domain::Clock;
use dmwsi_domain::digest::Sha256Digest;

use super::staged::LOCK;
use super::{Content, Staged, Workplace};

/// How long an unlocked workplace without a mark of its maker is left alone: its maker may be about to lock it.
const SETTLING: Duration = Duration::from_secs(60);

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
    fn workplace(&self) -> io::Result<Arc<Workplace>> {
        Workplace::create(self.root.join("staging").join(Clock::System.new_id().simple().to_string()))
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

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        match fs::hard_link(self.waiting_at(from), self.waiting_at(to)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => linked?,
        }
        sync_folder(&self.root.join("waiting"))
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
            let Ok(found) = entry.metadata() else { continue };
            if let Ok(name) = entry.file_name().into_string() {
                waiting.push((name, silent(&found)));
            }
        }
        Ok(waiting)
    }

    fn sweep(&self) -> io::Result<usize> {
        let mut swept = 0_usize;
        for entry in fs::read_dir(self.root.join("staging"))? {
            let path = entry?.path();
            match clear(&path) {
                Ok(true) => swept = swept.saturating_add(1),
                Ok(false) => {}
                Err(error) => tracing::warn!(cause = ?error, "{} cannot be cleared away: {error}", path.display()),
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
        let mut staged = self.workplace()?.stage()?;
        staged.write_all(format!("{marker}\n").as_bytes())?;
        staged.finish()?;
        give(staged.path(), &self.root.join("marker"))
    }
}

/// Removes a workplace whose maker is gone; whether it was one.
fn clear(workplace: &Path) -> io::Result<bool> {
    // To be written to, as a shared folder of another machine has it for a lock that excludes.
    match OpenOptions::new().read(true).write(true).open(workplace.join(LOCK)) {
        Ok(lock) => {
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let found = lock.metadata()?;
            if found.len() == 0 && silent(&found) < SETTLING {
                return Ok(false);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::metadata(workplace) {
            Ok(found) if silent(&found) < SETTLING => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        },
        Err(error) => return Err(error),
    }
    gone(fs::remove_dir_all(workplace)).map(|()| true)
}

/// How long ago a file last changed, its names included: a renamed file keeps the time at which it was written.
fn silent(found: &fs::Metadata) -> Duration {
    let seconds = Duration::from_secs(u64::try_from(found.ctime()).unwrap_or(0));
    let changed = SystemTime::UNIX_EPOCH.checked_add(seconds);
    changed.and_then(|changed| changed.elapsed().ok()).unwrap_or_default()
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
        let mut staged = folder.workplace().unwrap().stage().unwrap();
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
        let staging = place.path().join("staging");
        // One whose maker was killed, one whose maker is about to lock it, and one without its lock as yet.
        for (name, lock) in [("left", Some("\n")), ("begun", Some("")), ("made", None)] {
            fs::create_dir(staging.join(name)).unwrap();
            if let Some(text) = lock {
                fs::write(staging.join(name).join(LOCK), text).unwrap();
            }
        }
        fs::write(staging.join("left/0"), "behind").unwrap();
        let mut staged = folder.workplace().unwrap().stage().unwrap();
        staged.write_all(b"on its way").unwrap();
        staged.finish().unwrap();
        assert_eq!(folder.sweep().unwrap(), 1);
        assert!(staged.path().exists() && !staging.join("left").exists());
        drop(staged);
        assert_eq!((folder.sweep().unwrap(), fs::read_dir(staging).unwrap().count()), (0, 2));
    }

    #[test]
    fn what_cannot_be_swept_does_not_keep_the_rest_from_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        // A lock that cannot be opened, as it is a folder.
        fs::create_dir_all(place.path().join("staging/a/lock")).unwrap();
        for name in ["b", "c"] {
            fs::create_dir(place.path().join("staging").join(name)).unwrap();
            fs::write(place.path().join("staging").join(name).join(LOCK), "\n").unwrap();
        }
        assert_eq!(folder.sweep().unwrap(), 2);
    }

    #[test]
    fn files_of_one_workplace_are_closed_when_they_are_finished() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let workplace = folder.workplace().unwrap();
        let open = || fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let ours = || open().filter(|path| path.starts_with(place.path())).count();
        let mut all = Vec::new();
        for _ in 0..100 {
            let mut staged = workplace.stage().unwrap();
            staged.write_all(b"x").unwrap();
            staged.finish().unwrap();
            assert!(staged.write_all(b"more").is_err());
            all.push(staged);
        }
        assert_eq!(ours(), 1, "the lock alone");
        drop((all, workplace));
        assert_eq!((ours(), fs::read_dir(place.path().join("staging")).unwrap().count()), (0, 0));
    }

    #[test]
    fn a_delivery_waits_until_both_of_its_names_are_gone_and_from_its_latest_name_on() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let file = folder.begin("upload").unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        drop(file);
        folder.link("upload", "container").unwrap();
        folder.link("upload", "container").unwrap();
        folder.discard("upload").unwrap();
        assert!(folder.resume("container").is_ok());
        let waiting = folder.waiting().unwrap();
        assert!(matches!(&waiting[..], [(name, silent)] if name == "container" && *silent < SETTLING), "{waiting:?}");
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
