//! The ledger: objects that were acknowledged, one a line, so that a later run can read or audit them.
//!
//! The thread that has it; each worker one of its own, or one behind a lock. A line is id (or `-`), bytes, seed and
//! number, with tabs between; `gone`, seed and number say that the object is being deleted. Always: what is read back was
//! acknowledged, and no delete was sent for it; a line that was cut off by a crash is left out.

use super::sizes::OBJECT_BYTES_MAX;
use super::{Key, Object};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const GONE: &str = "gone";
/// An id, three numbers and tabs need less; a line of something else is not read to its end.
const LINE_BYTES_MAX: u64 = 256;

/// A ledger that is being written.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Ledger {
    /// Begins a file; an earlier one of that name is lost.
    ///
    /// # Errors
    /// A line that names the file.
    pub fn create(path: &Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| format!("{}: cannot write: {error}", path.display()))?;
        Ok(Self { path: path.to_path_buf(), file: BufWriter::with_capacity(64 << 10, file) })
    }

    /// Notes an object that was acknowledged, or whose delete was refused.
    ///
    /// # Errors
    /// A line that names the file, as when the disk is full.
    pub fn add(&mut self, object: &Object) -> Result<(), String> {
        self.write(format_args!("{}\n", Line(object)))
    }

    /// Notes that a delete is going to be sent.
    ///
    /// # Errors
    /// A line that names the file.
    pub fn remove(&mut self, key: Key) -> Result<(), String> {
        self.write(format_args!("{GONE}\t{}\t{}\n", key.seed, key.number))
    }

    /// Hands all lines to the system. Lines that were not may be lost: call it at the end, and from time to time.
    ///
    /// # Errors
    /// A line that names the file.
    pub fn flush(&mut self) -> Result<(), String> {
        self.file.flush().map_err(|error| format!("{}: cannot write: {error}", self.path.display()))
    }

    fn write(&mut self, line: fmt::Arguments<'_>) -> Result<(), String> {
        self.file.write_fmt(line).map_err(|error| format!("{}: cannot write: {error}", self.path.display()))
    }
}

struct Line<'a>(&'a Object);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Object { key, bytes, id } = self.0;
        match id {
            Some(id) => id.fmt(f)?,
            None => f.write_str("-")?,
        }
        write!(f, "\t{bytes}\t{}\t{}", key.seed, key.number)
    }
}

/// What a ledger says.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// Objects that should be there, in the order of their acknowledgement.
    pub objects: Vec<Object>,
    /// What is to be told of the file: its last line was cut off.
    pub remark: Option<String>,
}

/// Reads a ledger.
///
/// # Errors
/// A line that names the file, and the line in it; a file without objects is one.
pub fn read(path: &Path) -> Result<Contents, String> {
    let name = path.display();
    let cannot = |error| format!("{name}: cannot read: {error}");
    let mut file = BufReader::new(File::open(path).map_err(cannot)?);
    let (mut objects, mut remark) = (Objects::default(), None);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        (&mut file).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(cannot)?;
        let is_last = line.len() as u64 != LINE_BYTES_MAX;
        match line.strip_suffix(b"\n") {
            Some(line) => std::str::from_utf8(line).ok().and_then(|line| objects.take(line)).ok_or_else(|| {
                format!("{name}:{number}: want id or -, bytes, seed and number with tabs between, as runs with --ids write them")
            })?,
            None if line.is_empty() => break,
            None if is_last => {
                // Even if it can be read: its last number may be a part of one.
                remark = Some(format!("{name}:{number}: the last line has no end and is left out"));
                break;
            }
            None => return Err(format!("{name}:{number}: the line is over {LINE_BYTES_MAX} bytes")),
        }
    }
    let objects = objects.there();
    if objects.is_empty() {
        return Err(format!("{name}: there are no objects in it"));
    }
    Ok(Contents { objects, remark })
}

/// The number after those of this seed, for the objects of the next run.
#[must_use]
pub fn first_number(objects: &[Object], seed: u64) -> u64 {
    let of_seed = objects.iter().filter(|object| object.key.seed == seed);
    of_seed.map(|object| object.key.number.saturating_add(1)).max().unwrap_or(0)
}

/// Objects, with those that went.
#[derive(Default)]
struct Objects {
    all: Vec<Object>,
    /// How many lines told of an object when it went.
    gone: HashMap<Key, usize>,
}

impl Objects {
    /// Takes a line, if it is one.
    fn take(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        let first = fields.next()?;
        if first == GONE {
            let key = Key { seed: fields.next()?.parse().ok()?, number: fields.next()?.parse().ok()? };
            self.gone.insert(key, self.all.len());
        } else {
            let id = if first == "-" { None } else { Some(first.parse().ok()?) };
            let bytes = fields.next()?.parse().ok().filter(|bytes| *bytes <= OBJECT_BYTES_MAX)?;
            let key = Key { seed: fields.next()?.parse().ok()?, number: fields.next()?.parse().ok()? };
            self.all.push(Object { key, bytes, id });
        }
        fields.next().is_none().then_some(())
    }

    fn there(self) -> Vec<Object> {
        let Self { mut all, gone } = self;
        let mut index = 0;
        all.retain(|object| {
            index += 1;
            gone.get(&object.key).is_none_or(|told| *told < index)
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(number: u64) -> Object {
        Object { key: Key { seed: u64::MAX, number }, bytes: 4096, id: None }
    }

    #[test]
    fn lines_are_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ids");
        let named = Object { id: Some("3-1f-00c0ffee00c0ffee".parse().unwrap()), ..object(0) };
        let mut ledger = Ledger::create(&path).unwrap();
        for object in [named, object(1), object(2), object(3)] {
            ledger.add(&object).unwrap();
        }
        ledger.remove(object(1).key).unwrap();
        ledger.remove(object(2).key).unwrap();
        ledger.add(&object(2)).unwrap();
        ledger.flush().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("3-1f-00c0ffee00c0ffee\t4096\t18446744073709551615\t0\n-\t4096\t"), "{text}");
        let objects = vec![named, object(3), object(2)];
        assert_eq!(first_number(&objects, u64::MAX), 4);
        assert_eq!(first_number(&objects, 1), 0);
        assert_eq!(read(&path), Ok(Contents { objects, remark: None }));
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ids");
        for torn in ["-", "-\t4096\t7\t1", "\u{fffd}"] {
            std::fs::write(&path, format!("-\t4096\t{}\t5\n{torn}", u64::MAX)).unwrap();
            let contents = read(&path).unwrap();
            assert_eq!(contents.objects, [object(5)]);
            let remark = format!("{}:2: the last line has no end and is left out", path.display());
            assert_eq!(contents.remark, Some(remark));
        }
    }

    #[test]
    fn nonsense_names_file_and_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ids");
        let line = "-\t1\t2\t3\n";
        for (text, error) in [
            (String::new(), ": there are no objects"),
            ("cut".to_string(), ": there are no objects"),
            (format!("{line}gone\t2\t3\n"), ": there are no objects"),
            (format!("{line}\n"), ":2: want id"),
            (format!("{line}{line}-\t1\t2\n"), ":3: want id"),
            ("-\t1\t2\t3\t4\n".to_string(), ":1: want id"),
            ("-\t-1\t2\t3\n".to_string(), ":1: want id"),
            ("-\t999999999999\t2\t3\n".to_string(), ":1: want id"),
            ("3-1F-0\t1\t2\t3\n".to_string(), ":1: want id"),
            ("gone\t2\n".to_string(), ":1: want id"),
            (format!("{line}{}\n", "x".repeat(300)), ":2: the line is over 256 bytes"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let told = read(&path).unwrap_err();
            assert!(told.starts_with(&format!("{}{error}", path.display())), "{text:?}: {told}");
        }
        std::fs::write(&path, b"\xff\xfe\n").unwrap();
        assert!(read(&path).unwrap_err().contains(":1: want id"));
        assert!(read(Path::new("/nowhere/ids")).unwrap_err().starts_with("/nowhere/ids: cannot read"));
        assert!(Ledger::create(Path::new("/nowhere/ids")).unwrap_err().starts_with("/nowhere/ids: cannot write"));
    }

    #[test]
    fn a_full_disk_is_told() {
        let mut ledger = Ledger::create(Path::new("/dev/full")).unwrap();
        let told = (0..100_000).find_map(|number| ledger.add(&object(number)).err());
        assert!(told.unwrap().starts_with("/dev/full: cannot write: No space left"));
        assert!(ledger.flush().unwrap_err().starts_with("/dev/full: cannot write: No space left"));
    }
}
