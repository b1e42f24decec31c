//! Records as files: `run.json`.
//!
//! Any thread. Always: a file is there whole or not at all, and what was written can be read again; what cannot be is said
//! with the name of the file.

use super::{FORMAT, Record, histogram};
use serde::Deserialize;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The longest file that is read. A record of an hour has a few megabytes; what is longer is something else.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// Writes a record, whole or not at all. A file of that name is replaced.
///
/// # Errors
///
/// The file cannot be written (a full disk, no permission), or holds a number that is none and so could not be read again.
pub fn write(path: &Path, record: &Record) -> Result<(), Error> {
    let error = |why| Error { path: path.to_path_buf(), why };
    let mut text = serde_json::to_string_pretty(record).map_err(|wrong| error(Why::Unreadable(wrong.to_string())))?;
    text.push('\n');
    // JSON has no infinities, and null is no number: better said now than by whoever wants to read it.
    parse(text.as_bytes()).map_err(|why| match why {
        Why::NotRecord(detail) => error(Why::Unreadable(detail)),
        why => error(why),
    })?;
    write_text(path, &text)
}

/// Writes a text, whole or not at all. A file of that name is replaced.
///
/// # Errors
///
/// The file cannot be written.
pub fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    replace(path, |file| file.write_all(text.as_bytes()))
        .map_err(|error| Error { path: path.to_path_buf(), why: Why::Write(error) })
}

/// Reads a record, and looks at all of its histograms.
///
/// # Errors
///
/// The file cannot be read, is no record, is one of a later format, or a histogram in it is damaged.
pub fn read(path: &Path) -> Result<Record, Error> {
    let error = |why| Error { path: path.to_path_buf(), why };
    let file = File::open(path).map_err(|wrong| error(Why::Read(wrong)))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|wrong| error(Why::Read(wrong)))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(error(Why::TooLong));
    }
    parse(&bytes).map_err(error)
}

/// Why a file was not read or written.
#[derive(Debug)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

/// What was wrong with a file.
#[derive(Debug)]
pub enum Why {
    /// The system did not read it.
    Read(io::Error),
    /// The system did not write it.
    Write(io::Error),
    /// It is longer than [`FILE_BYTES_MAX`].
    TooLong,
    /// It is no JSON.
    NotJson(String),
    /// It is of another format than [`FORMAT`].
    Format(u64),
    /// It is JSON, and no record: what is missing or not known.
    NotRecord(String),
    /// It would be written, and could not be read again.
    Unreadable(String),
    /// A histogram in it is damaged: where, and how.
    Histogram(String, histogram::Damage),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::Read(error) => write!(f, "{path}: cannot be read: {error}"),
            Why::Write(error) => write!(f, "{path}: not written: {error}"),
            Why::TooLong => write!(f, "{path}: longer than {} MiB, so no record of a run", FILE_BYTES_MAX >> 20),
            Why::NotJson(detail) => write!(f, "{path}: not JSON: {detail}"),
            Why::Format(format) => write!(f, "{path}: format {format}, and this program reads format {FORMAT}"),
            Why::NotRecord(detail) => write!(f, "{path}: no record of a run: {detail}"),
            Why::Unreadable(detail) => write!(f, "{path}: not written, as it could not be read again: {detail}"),
            Why::Histogram(place, damage) => write!(f, "{path}: {place}: damaged histogram: {damage}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Read(error) | Why::Write(error) => Some(error),
            Why::Histogram(_, damage) => Some(damage),
            _ => None,
        }
    }
}

/// A record from bytes, its format looked at first: a later one may have anything in it.
fn parse(bytes: &[u8]) -> Result<Record, Why> {
    #[derive(Deserialize)]
    struct Head {
        format: u64,
    }
    let wrong = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Data => Why::NotRecord(error.to_string()),
        _ => Why::NotJson(error.to_string()),
    };
    let head: Head = serde_json::from_slice(bytes).map_err(wrong)?;
    if head.format != u64::from(FORMAT) {
        return Err(Why::Format(head.format));
    }
    let record: Record = serde_json::from_slice(bytes).map_err(wrong)?;
    for (index, round) in record.rounds.iter().enumerate() {
        for (kind, requests) in &round.requests {
            for (name, text) in requests.histograms() {
                text.decode()
                    .map_err(|damage| Why::Histogram(format!("round {}, {kind:?}, {name}", index + 1), damage))?;
            }
        }
    }
    Ok(record)
}

/// Fills a file beside the one that is meant and puts it in its place; after an error nothing is left.
fn replace(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no name of a file"))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(partial);
    File::create(&partial).and_then(|mut file| {
        fill(&mut file)
            // Without it the name could outlive a power cut, and the contents not.
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&partial, path))
            .inspect_err(|_| remove(&partial))
    })
}

/// Takes away what was begun. That this fails too adds nothing to the error that is told.
fn remove(partial: &Path) {
    if let Err(error) = fs::remove_file(partial) {
        eprintln!("{}: not removed: {error}", partial.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::made_up;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_written_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        let record = made_up::record(1);
        write(&path, &record).unwrap();
        write(&path, &record).unwrap();
        let again = read(&path).unwrap();
        let is_same = serde_json::to_value(&again).unwrap() == serde_json::to_value(&record).unwrap();
        assert!(is_same, "to the last bit");
        assert_eq!(names(directory.path()), ["run.json"]);
    }

    #[test]
    fn a_full_disk_leaves_the_file_that_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        fs::write(&path, "before").unwrap();
        let error = replace(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()))
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(names(directory.path()), ["run.json"]);
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nowhere/run.json");
        let text = write(&path, &made_up::record(1)).unwrap_err().to_string();
        assert!(text.contains("nowhere/run.json: not written: No such file"), "{text}");
        let text = read(&path).unwrap_err().to_string();
        assert!(text.contains("nowhere/run.json: cannot be read: No such file"), "{text}");
        let text = read(directory.path()).unwrap_err().to_string();
        assert!(text.contains("cannot be read"), "{text}");
    }

    #[test]
    fn a_number_that_is_none_is_said_before_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut record = made_up::record(1);
        record.rounds[0].seconds = f64::NAN;
        let text = write(&directory.path().join("run.json"), &record).unwrap_err().to_string();
        assert!(text.contains("could not be read again: invalid type: null, expected f64"), "{text}");
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn what_is_no_record_is_said_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        let said = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read(&path).unwrap_err().to_string()
        };
        for (bytes, expected) in [
            (&b"rate 12"[..], "not JSON"),
            (b"", "not JSON: EOF"),
            (b"\xff\xfe{}", "not JSON"),
            (b"{}", "no record of a run: missing field `format`"),
            (b"[1]", "no record of a run"),
            (br#"{"format": 2, "other": []}"#, "format 2, and this program reads format 1"),
            (br#"{"format": 1}"#, "no record of a run: missing field"),
        ] {
            let text = said(bytes);
            assert!(text.contains(expected), "{text}");
        }
        let mut value = serde_json::to_value(made_up::record(1)).unwrap();
        value["rounds"][0]["requests"]["get"]["service"] = "HISTFAAA".into();
        let text = said(value.to_string().as_bytes());
        assert!(text.contains("round 1, \"get\", service: damaged histogram: cut"), "{text}");
        value["surprise"] = 1.into();
        let text = said(value.to_string().as_bytes());
        assert!(text.contains("unknown field `surprise`"), "{text}");
        let deep = "[".repeat(1 << 20);
        assert!(said(deep.as_bytes()).contains("run.json: "));
        let whole = serde_json::to_string(&made_up::record(1)).unwrap();
        let text = said(&whole.as_bytes()[..whole.len() / 2]);
        assert!(text.contains("not JSON: EOF"), "{text}");
    }
}
