//! The file of the access log: added to only, opened anew when its name leads elsewhere.
//!
//! Only on the thread "access-log". Always: a line is in the file whole, or it is counted; what was begun and not ended is
//! followed by a line feed before the next line. An error is warned about once, until a write succeeds again.

use crate::base::clock::Moment;
use crate::metrics::Counter;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The name of standard output.
const STANDARD_OUTPUT: &str = "-";
/// Addresses of people stand in it: it is for its owner and for the group that reads logs.
const MODE: u32 = 0o640;
/// How often the name is looked at, and a file that failed opened again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct LogFile {
    /// `None`: standard output, which has no name to look at.
    path: Option<PathBuf>,
    file: File,
    identity: (u64, u64),
    looked: Moment,
    /// The last line in the file has no end.
    is_torn: bool,
    /// Lines lost since writing failed; `None` while it does not.
    failed: Option<u64>,
    dropped: Arc<Counter>,
}

impl LogFile {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// That of the system; also when it is a pipe that nobody reads.
    pub(super) fn open(path: &Path, dropped: Arc<Counter>, now: Moment) -> io::Result<Self> {
        let path = (path != Path::new(STANDARD_OUTPUT)).then(|| path.to_path_buf());
        let file = match &path {
            Some(path) => open(path)?,
            None => File::from(io::stdout().as_fd().try_clone_to_owned()?),
        };
        let identity = identity(&file.metadata()?);
        Ok(Self { path, file, identity, looked: now, is_torn: false, failed: None, dropped })
    }

    /// Adds whole lines.
    pub(super) fn write(&mut self, lines: &[u8], now: Moment) {
        if now - self.looked >= LOOK_EVERY {
            self.looked = now;
            self.look();
        }
        match add(&mut self.file, lines, &mut self.is_torn) {
            Ok(()) => self.note_success(),
            Err((error, lost)) => self.note_failure(&error, lost),
        }
    }

    /// Whoever rotates logs renames or removes the file; from then on lines go to a new one of its name.
    fn look(&mut self) {
        let Some(path) = &self.path else { return };
        let is_same = std::fs::metadata(path).is_ok_and(|found| identity(&found) == self.identity);
        if is_same && self.failed.is_none() {
            return;
        }
        let opened = open(path).and_then(|file| Ok((identity(&file.metadata()?), file)));
        match opened {
            Ok((identity, file)) => {
                self.is_torn &= identity == self.identity;
                (self.identity, self.file) = (identity, file);
            }
            // The old file still takes lines.
            Err(error) => self.note_failure(&error, 0),
        }
    }

    fn note_failure(&mut self, error: &io::Error, lost: u64) {
        self.dropped.add(lost);
        match &mut self.failed {
            Some(before) => *before += lost,
            None => {
                log::warn!("access log {}: {error}: lines are dropped until it can be written", self.name());
                self.failed = Some(lost);
            }
        }
    }

    fn note_success(&mut self) {
        if let Some(lost) = self.failed.take() {
            log::info!("access log {}: it is written again; {lost} lines were lost", self.name());
        }
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or("on standard output".to_string(), |path| path.display().to_string())
    }
}

/// Opens a file to add to it. A pipe without a reader is an error and no wait: only its writes may wait.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(MODE).custom_flags(libc::O_NONBLOCK).open(path)?;
    rustix::io::ioctl_fionbio(&file, false)?;
    Ok(file)
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Adds lines; of an error tells also how many lines are not in the file whole.
fn add(file: &mut impl Write, lines: &[u8], is_torn: &mut bool) -> Result<(), (io::Error, u64)> {
    let mut rest = lines;
    while *is_torn || !rest.is_empty() {
        let next = if *is_torn { b"\n" } else { rest };
        let written = match file.write(next) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            written => written,
        };
        match written {
            Ok(bytes) if *is_torn => *is_torn = bytes == 0,
            Ok(bytes) => rest = rest.get(bytes..).unwrap_or_default(),
            Err(error) => {
                let whole = lines.get(..lines.len() - rest.len()).unwrap_or_default();
                *is_torn |= whole.last().is_some_and(|&last| last != b'\n');
                // What lacks nothing but its line feed gets it later.
                let begun_whole = u64::from(*is_torn && rest.first() == Some(&b'\n'));
                return Err((error, lines_in(rest) - begun_whole));
            }
        }
    }
    Ok(())
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file with room for so many bytes, which takes a few at a time.
    struct Narrow {
        content: Vec<u8>,
        room: usize,
        step: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room).min(self.step);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.content.extend_from_slice(&bytes[..taken]);
            self.room -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        /// Whatever room there is, and when: each line is whole in the file, or counted.
        #[test]
        fn a_line_is_whole_or_counted(
            batches in prop::collection::vec((1..5usize, 0..40usize), 1..20), step in 1..12usize,
        ) {
            let mut file = Narrow { content: Vec::new(), room: 0, step };
            let (mut is_torn, mut lost, mut number) = (false, 0, 1000);
            for (count, more_room) in batches {
                file.room += more_room;
                let mut lines = Vec::new();
                for _ in 0..count {
                    writeln!(lines, "<{number}>").unwrap();
                    number += 1;
                }
                if let Err((_, missing)) = add(&mut file, &lines, &mut is_torn) {
                    lost += missing;
                }
            }
            let text = String::from_utf8(file.content).unwrap();
            let whole: Vec<usize> = text
                .split('\n')
                .filter_map(|line| line.strip_prefix('<')?.strip_suffix('>')?.parse().ok())
                .collect();
            prop_assert!(whole.is_sorted_by(|one, next| one < next));
            prop_assert_eq!(whole.len() as u64 + lost, number as u64 - 1000);
        }
    }
}
