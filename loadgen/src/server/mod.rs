//! What a server costs, and on what machine: Linux, from the files of `/proc`.
//!
//! The thread that reports. Always: what cannot be read is an error that names the file; a reading of a server with some
//! ten threads takes less than a millisecond, so one a second disturbs nothing.

mod device;
mod files;
mod listeners;
mod machine;
mod meter;
mod reading;

pub use device::Device;
pub use listeners::processes_listening_on;
pub use machine::machine;
pub use meter::Meter;
pub use reading::{Ended, Reading, Thread, Times};

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Number of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

impl Pid {
    /// This process.
    #[must_use]
    pub fn own() -> Self {
        Self(std::process::id())
    }

    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A file that could not be read, or not be understood.
#[derive(Debug)]
pub struct Unreadable {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl Unreadable {
    fn new(path: &Path, error: impl Into<io::Error>) -> Self {
        Self { path: path.to_path_buf(), error: error.into() }
    }

    fn garbled(path: &Path, want: &str) -> Self {
        Self::new(path, io::Error::new(io::ErrorKind::InvalidData, format!("want {want}")))
    }

    /// Whether the process or thread that it tells of has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.error.kind() == io::ErrorKind::NotFound
            || self.error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot read: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for Unreadable {}

/// The text of a file; bytes that are no text are replaced, as names of threads may be anything.
fn text(path: &Path) -> Result<String, Unreadable> {
    let mut bytes = Vec::with_capacity(4096);
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|error| Unreadable::new(path, error))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// The names in a directory that are numbers.
fn numbers_in(path: &Path) -> Result<Vec<u32>, Unreadable> {
    let unreadable = |error| Unreadable::new(path, error);
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(numbers)
}
