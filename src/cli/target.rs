//! A file that `get` writes: whole or not at all.
//!
//! Content goes to a temporary file beside the target, which is renamed over it when all is there. Always: a failure, a
//! signal included, leaves the target as it was and no temporary file. Targets that are no regular files (a pipe,
//! /dev/null) are written to as they are.

use crate::base::thread;
use parking_lot::Mutex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes of a file's name that are in the name of its temporary file.
const NAME_BYTES_KEPT: usize = 200;

/// A file that is being written.
#[derive(Debug)]
pub struct Target {
    file: File,
    /// What is renamed at the end, and to where; `None` when the target is no regular file.
    rename: Option<(Temporary, PathBuf)>,
}

impl Target {
    /// Begins to write what shall be `path`.
    ///
    /// # Errors
    /// Those of the file system; a directory cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        // The file behind a link is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let before = fs::metadata(&path).ok();
        if before.as_ref().is_some_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return Ok(Self { file: OpenOptions::new().write(true).open(&path)?, rename: None });
        }
        if before.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory: name a file in it"));
        }
        let (temporary, file) = Temporary::beside(&path)?;
        if let Some(before) = before {
            file.set_permissions(before.permissions())?;
        }
        Ok(Self { file, rename: Some((temporary, path)) })
    }

    /// Puts the file in its place, once all of it is on the disk.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn finish(self) -> io::Result<()> {
        if self.rename.is_some() {
            self.file.sync_all()?;
        }
        self.finish_unsynced()
    }

    /// As [`finish`](Self::finish), without waiting for the disk: for one file of a tree, which is not whole before all
    /// of its files are there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn finish_unsynced(self) -> io::Result<()> {
        match self.rename {
            Some((temporary, path)) => temporary.rename(&path),
            None => Ok(()),
        }
    }

    /// Sets the modification time that it shall have.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        if self.rename.is_some() { self.file.set_modified(time) } else { Ok(()) }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that is removed when it is dropped, or when the process is told to end.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
}

/// Those that are there now. The lock is held while one is renamed, so that a signal finds it here or finds it renamed.
static THERE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Whether a thread waits for signals, from the first temporary file on.
static WATCHED: Mutex<bool> = Mutex::new(false);

impl Temporary {
    fn beside(path: &Path) -> io::Result<(Self, File)> {
        watch()?;
        let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "names no file"))?;
        // A file system takes 255 bytes, and a name may have as many.
        let kept = OsStr::from_bytes(name.as_bytes().get(..NAME_BYTES_KEPT).unwrap_or(name.as_bytes()));
        let mut hidden = OsString::from(".");
        hidden.push(kept);
        hidden.push(format!(".{}", std::process::id()));
        let path = path.with_file_name(hidden);
        let mut there = THERE.lock();
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        there.insert(path.clone());
        // From here on the drop removes the file.
        Ok((Self { path }, file))
    }

    fn rename(self, to: &Path) -> io::Result<()> {
        let mut there = THERE.lock();
        fs::rename(&self.path, to)?;
        there.remove(&self.path);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if THERE.lock().remove(&self.path) {
            // The failure that led here is told; that the file stays would be a second line about the same.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn watch() -> io::Result<()> {
    let mut watched = WATCHED.lock();
    if !*watched {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        thread::spawn("signals", move || {
            if let Some(signal) = signals.forever().next() {
                // The lock is kept until the process has ended: no further file appears.
                let there = THERE.lock();
                for path in there.iter() {
                    let _ = fs::remove_file(path);
                }
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        })?;
        *watched = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(place: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("photo.jpg");
        let mut target = Target::create(&path).unwrap();
        target.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(target);
        assert_eq!(names(place.path()), [""; 0]);
        let mut target = Target::create(&path).unwrap();
        target.write_all(b"whole").unwrap();
        target.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(place.path()), ["photo.jpg"]);
    }

    #[test]
    fn what_was_there_keeps_its_mode_and_its_links() {
        let place = tempfile::tempdir().unwrap();
        let (path, link) = (place.path().join("a"), place.path().join("link"));
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a", &link).unwrap();
        let mut target = Target::create(&link).unwrap();
        target.write_all(b"after").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        target.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn devices_are_not_replaced_and_directories_are_refused() {
        let mut target = Target::create(Path::new("/dev/null")).unwrap();
        target.write_all(b"away").unwrap();
        target.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let place = tempfile::tempdir().unwrap();
        let refused = Target::create(place.path()).unwrap_err();
        assert_eq!(refused.to_string(), "is a directory: name a file in it");
        assert!(Target::create(&place.path().join("no/such")).is_err());
    }
}
