//! The file that `get -o` writes: whole or not at all.
//!
//! Content goes to a temporary file beside the target, which is renamed over it when all is there. Always: a failure, a
//! signal included, leaves the target as it was and no temporary file. Targets that are no regular files (a pipe,
//! /dev/null) are written to as they are.

use crate::base::thread;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
        let Some((mut temporary, path)) = self.rename else {
            return Ok(());
        };
        self.file.sync_all()?;
        fs::rename(&temporary.path, path)?;
        temporary.is_there = false;
        Ok(())
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
    is_there: bool,
    signals: Handle,
}

impl Temporary {
    fn beside(path: &Path) -> io::Result<(Self, File)> {
        let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "names no file"))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let path = path.with_file_name(hidden);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        // From here on the drop removes the file.
        let temporary = Self { path: path.clone(), is_there: true, signals: handle };
        thread::spawn("signals", move || {
            if let Some(signal) = signals.forever().next() {
                // If it is gone already, it was renamed: all was done.
                let _ = fs::remove_file(&path);
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        })?;
        Ok((temporary, file))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.signals.close();
        if self.is_there {
            // The failure that led here is told; that the file stays would be a second line about the same.
            let _ = fs::remove_file(&self.path);
        }
    }
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
