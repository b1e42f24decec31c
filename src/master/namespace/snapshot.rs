//! The whole table as a stream, for a backup or another master, and back.
//!
//! Any thread that may wait. Always: what comes out of a reader was verified before, batch by batch, and is in ascending
//! order; only the end that was written last ends a stream, so one that was cut is refused. Memory is one batch.
//!
//! ```text
//! stream:  magic 8 = "LARDNAME" | version u32 = 1 | owner u128 | digest u64 | batches | end       (all LE)
//! batch:   1 u8 | length u32 | entries: key run, value run | digest u64
//! end:     0 u8 | entries u64 | bytes of keys and values u64 | digest u64
//! digest:  XXH3-64 of all bytes from the begin of the stream, earlier digests included
//! ```

use super::keys;
use crate::master::StateError;
use crate::master::fields::{Fields, push_run};
use crate::master::table::Table;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use xxhash_rust::xxh3::Xxh3;

const MAGIC: [u8; 8] = *b"LARDNAME";
const VERSION: u32 = 1;
const PLACE: &str = "the snapshot of the metadata state";

/// A batch ends when it has so many bytes.
const BATCH_BYTES: usize = 256 << 10;
/// No batch has more: the largest value is a list of chunks below 512 KiB.
const BATCH_BYTES_MAX: u32 = 4 << 20;

/// What was written, or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotTotals {
    /// Keys with their values.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes a table, which must not change meanwhile. `owner` is for the reader to check that it is his.
///
/// # Errors
/// [`StateError`], of reading the table or of writing the stream.
pub fn write_snapshot(table: &dyn Table, owner: u128, to: &mut dyn Write) -> Result<SnapshotTotals, StateError> {
    let mut stream = Stream { to, digest: Xxh3::new() };
    stream.write(&[&MAGIC[..], &VERSION.to_le_bytes(), &owner.to_le_bytes()])?;
    stream.seal()?;
    let (mut totals, mut batch, mut failed) = (SnapshotTotals::default(), Vec::with_capacity(BATCH_BYTES), None);
    table.scan(&[], &keys::END, &mut |key, value| {
        push_run(&mut batch, key);
        push_run(&mut batch, value);
        totals.entries += 1;
        totals.bytes += (key.len() + value.len()) as u64;
        if batch.len() >= BATCH_BYTES {
            if let Err(error) = stream.batch(&batch) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            batch.clear();
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if !batch.is_empty() {
        stream.batch(&batch)?;
    }
    stream.write(&[&[0], &totals.entries.to_le_bytes(), &totals.bytes.to_le_bytes()])?;
    stream.seal()?;
    stream.to.flush().map_err(|error| StateError::io(PLACE, error))?;
    Ok(totals)
}

struct Stream<'a> {
    to: &'a mut dyn Write,
    digest: Xxh3,
}

impl Stream<'_> {
    fn write(&mut self, parts: &[&[u8]]) -> Result<(), StateError> {
        for part in parts {
            self.digest.update(part);
            self.to.write_all(part).map_err(|error| StateError::io(PLACE, error))?;
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<(), StateError> {
        let digest = self.digest.digest();
        self.write(&[&digest.to_le_bytes()])
    }

    fn batch(&mut self, batch: &[u8]) -> Result<(), StateError> {
        let bytes = u32::try_from(batch.len()).ok().filter(|bytes| *bytes <= BATCH_BYTES_MAX);
        let bytes = bytes.ok_or_else(|| damaged(format!("a batch of {} bytes is too long", batch.len())))?;
        self.write(&[&[1], &bytes.to_le_bytes(), batch])?;
        self.seal()
    }
}

/// Reads such a stream.
#[derive(Debug)]
pub struct SnapshotReader<R> {
    from: R,
    digest: Digest,
    owner: u128,
    read: SnapshotTotals,
    last: Vec<u8>,
    ended: bool,
}

struct Digest(Xxh3);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// Keys with their values.
pub type SnapshotBatch = Vec<(Vec<u8>, Vec<u8>)>;

impl<R: Read> SnapshotReader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// [`StateError`], of reading, or when the stream is no snapshot.
    pub fn open(from: R) -> Result<Self, StateError> {
        let (digest, read) = (Digest(Xxh3::new()), SnapshotTotals::default());
        let mut reader = Self { from, digest, owner: 0, read, last: Vec::new(), ended: false };
        if reader.array::<8>()? != MAGIC {
            return Err(damaged("it does not begin as a snapshot does"));
        }
        let version = u32::from_le_bytes(reader.array()?);
        if version != VERSION {
            return Err(damaged(format!("its version is {version}, and {VERSION} is known here")));
        }
        reader.owner = u128::from_le_bytes(reader.array()?);
        reader.check()?;
        Ok(reader)
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> u128 {
        self.owner
    }

    /// What was read up to here.
    #[must_use]
    pub fn totals(&self) -> SnapshotTotals {
        self.read
    }

    /// The next batch, verified; `None` at the end, which is verified too. Only then is the snapshot whole: what came
    /// before may be a part of it.
    ///
    /// # Errors
    /// [`StateError`], of reading, or when the stream is damaged or cut.
    pub fn batch(&mut self) -> Result<Option<SnapshotBatch>, StateError> {
        if self.ended {
            return Ok(None);
        }
        match self.array::<1>()? {
            [1] => self.next().map(Some),
            [0] => self.end().map(|()| None),
            [kind] => Err(damaged(format!("{kind} is neither a batch nor the end"))),
        }
    }

    fn next(&mut self) -> Result<SnapshotBatch, StateError> {
        let bytes = u32::from_le_bytes(self.array()?);
        if bytes > BATCH_BYTES_MAX {
            return Err(damaged(format!("a batch of {bytes} bytes is too long")));
        }
        let mut batch = Vec::new();
        let read = self.from.by_ref().take(u64::from(bytes)).read_to_end(&mut batch);
        if read.map_err(|error| StateError::io(PLACE, error))? < bytes as usize {
            return Err(damaged("it is cut short"));
        }
        self.digest.0.update(&batch);
        self.check()?;
        let (mut fields, mut entries) = (Fields(&batch), Vec::new());
        while !fields.is_empty() {
            let (Some(key), Some(value)) = (fields.run(), fields.run()) else {
                return Err(damaged("an entry is none"));
            };
            if self.read.entries > 0 && *key <= *self.last {
                return Err(damaged("its keys are not in order"));
            }
            self.last.clear();
            self.last.extend_from_slice(key);
            self.read.entries += 1;
            self.read.bytes += (key.len() + value.len()) as u64;
            entries.push((key.to_vec(), value.to_vec()));
        }
        Ok(entries)
    }

    fn end(&mut self) -> Result<(), StateError> {
        let want =
            SnapshotTotals { entries: u64::from_le_bytes(self.array()?), bytes: u64::from_le_bytes(self.array()?) };
        self.check()?;
        if want != self.read {
            return Err(damaged(format!("{} entries were written, {} are there", want.entries, self.read.entries)));
        }
        if self.from.read(&mut [0]).map_err(|error| StateError::io(PLACE, error))? != 0 {
            return Err(damaged("something follows its end"));
        }
        self.ended = true;
        Ok(())
    }

    fn check(&mut self) -> Result<(), StateError> {
        let want = self.digest.0.digest();
        if u64::from_le_bytes(self.array()?) == want {
            return Ok(());
        }
        Err(damaged(format!("its digest is wrong behind entry {}", self.read.entries)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let mut array = [0; N];
        self.from.read_exact(&mut array).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => damaged("it is cut short"),
            _ => StateError::io(PLACE, error),
        })?;
        self.digest.0.update(&array);
        Ok(array)
    }
}

fn damaged(what: impl Into<String>) -> StateError {
    StateError::damaged(PLACE, what)
}
