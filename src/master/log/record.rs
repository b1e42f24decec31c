//! One record of the log as bytes: the hard state and new entries, whole or not at all.
//!
//! ```text
//!  0        8        16   18   20    24       32    36    40
//!  +--------+--------+----+----+-----+--------+-----+-----+--------+
//!  | magic  |checksum|vers|zero|epoch|sequence|body |entry| body   |  head
//!  | u64    | u64    |u16 |u16 |u32  | u64    |bytes|count|checksum|
//!  +--------+--------+----+----+-----+--------+-----+-----+--------+
//!  | term   | vote   | commit |                                       body: the hard state,
//!  +--------+--------+--------+----+----+------+-------------------
//!  | index  | term   | bytes  |kind| 0  | data | zeros to 8         then each entry
//!  | u64    | u64    | u32    |u8  |3   |      |
//!  +--------+--------+--------+----+----+------+-------------------
//! ```
//! - *checksum*: XXH3-64 of the head behind it, keyed with the log's salt. The head has the keyed checksum of the whole
//!   body, so this one number stands for hard state and entries together.
//! - *sequence*: the place of the record in the log, dense. *epoch*: raised after a stop that was not clean.
//! - *index*, *term*: of the entry, in the sense of Raft. Indexes of a record ascend by one; where the first is not above
//!   the last of the records before, all entries from there on are replaced.
//! - *kind*: 0 = commands, 1 = a change of the voters.
//!
//! Any thread; pure. Always: bytes that are not exactly a record of this log are no record, never a panic.

use crate::base::checksum::keyed;
use crate::base::ids::{Epoch, Sequence};
use crate::journal::{Fields, Format, Measured, Problem, u16_at, u32_at, u64_at};
use bytes::Bytes;

/// Bytes of the head.
pub const RECORD_HEAD_BYTES: usize = 48;
/// Bytes of an entry without its data.
pub const ENTRY_HEAD_BYTES: usize = 24;
/// Bytes of the hard state.
const HARD_BYTES: usize = 24;

const MAGIC: u64 = u64::from_le_bytes(*b"LARDRECD");
const VERSION: u16 = 1;

const AT_CHECKSUM: usize = 8;
const AT_VERSION: usize = 16;
const AT_EPOCH: usize = 20;
const AT_SEQUENCE: usize = 24;
const AT_BODY_BYTES: usize = 32;
const AT_COUNT: usize = 36;
const AT_BODY_CHECKSUM: usize = 40;

/// What a voter must not forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HardState {
    /// The highest term that it has seen.
    pub term: u64,
    /// Whom it votes for in that term; 0: nobody yet.
    pub vote: u64,
    /// Entries up to this index are committed, as far as it knew.
    pub commit: u64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Commands, or nothing.
    Normal,
    /// A change of the voters.
    ConfChange,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place, from 1 on.
    pub index: u64,
    /// The term in which it was proposed.
    pub term: u64,
    /// What it is.
    pub kind: EntryKind,
    /// What it carries.
    pub data: Bytes,
}

/// What one append makes durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The hard state from now on.
    pub hard: HardState,
    /// Entries; none: only the hard state changes.
    pub entries: Vec<LogEntry>,
}

/// Where a record lies in the log, and the key of its checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// The log's key.
    pub salt: u64,
    /// The record's place.
    pub sequence: Sequence,
    /// The log's epoch.
    pub epoch: Epoch,
}

impl Record {
    /// Bytes that it takes, a multiple of 8; `None` above what a record can say.
    #[must_use]
    pub fn bytes(&self) -> Option<usize> {
        let entry = |entry: &LogEntry| ENTRY_HEAD_BYTES.checked_add(entry.data.len().checked_next_multiple_of(8)?);
        let body = self.entries.iter().try_fold(HARD_BYTES, |sum, one| sum.checked_add(entry(one)?))?;
        u32::try_from(body).ok().and_then(|_| body.checked_add(RECORD_HEAD_BYTES))
    }

    /// Appends it to `into`, and returns the checksum in its head. The caller has asked for [`bytes`](Self::bytes).
    ///
    /// # Panics
    /// If it is larger than a record can be.
    pub fn encode(&self, place: &RecordPlace, into: &mut Vec<u8>) -> u64 {
        let start = into.len();
        into.resize(start + RECORD_HEAD_BYTES, 0);
        let hard = Fields::<HARD_BYTES>::default();
        let hard = hard.u64(0, self.hard.term).u64(8, self.hard.vote).u64(16, self.hard.commit);
        into.extend_from_slice(&hard.0);
        for entry in &self.entries {
            let bytes = u32::try_from(entry.data.len()).expect("the bytes of the record fit 32 bits");
            let kind = match entry.kind {
                EntryKind::Normal => 0,
                EntryKind::ConfChange => 1,
            };
            let head = Fields::<ENTRY_HEAD_BYTES>::default();
            let head = head.u64(0, entry.index).u64(8, entry.term).u32(16, bytes).u8(20, kind);
            into.extend_from_slice(&head.0);
            into.extend_from_slice(&entry.data);
            let padding = entry.data.len().next_multiple_of(8) - entry.data.len();
            into.extend_from_slice(&[0; 8][..padding]);
        }
        let body = &into[start + RECORD_HEAD_BYTES..];
        let head = Fields::<RECORD_HEAD_BYTES>::default()
            .u64(0, MAGIC)
            .u16(AT_VERSION, VERSION)
            .u32(AT_EPOCH, place.epoch.0)
            .u64(AT_SEQUENCE, place.sequence.0)
            .u32(AT_BODY_BYTES, u32::try_from(body.len()).expect("the caller has asked for its bytes"))
            .u32(AT_COUNT, u32::try_from(self.entries.len()).expect("each entry takes bytes"))
            .u64(AT_BODY_CHECKSUM, keyed(place.salt, body));
        let checksum = keyed(place.salt, &head.0[AT_VERSION..]);
        into[start..start + RECORD_HEAD_BYTES].copy_from_slice(&head.u64(AT_CHECKSUM, checksum).0);
        checksum
    }

    /// Reads what the body of a whole record says; `None` if that contradicts itself or is of a kind that this program
    /// does not know.
    #[must_use]
    pub fn parse(head: &RecordHead, bytes: &[u8]) -> Option<Self> {
        let body = bytes.get(RECORD_HEAD_BYTES..)?.get(..usize::try_from(head.body_bytes).ok()?)?;
        let (hard, mut rest) = body.split_first_chunk::<HARD_BYTES>()?;
        let hard = HardState { term: u64_at(hard, 0), vote: u64_at(hard, 8), commit: u64_at(hard, 16) };
        let mut entries: Vec<LogEntry> = Vec::new();
        while let Some((entry, behind)) = rest.split_first_chunk::<ENTRY_HEAD_BYTES>() {
            let bytes = usize::try_from(u32_at(entry, 16)).ok()?;
            let kind = match entry.get(20) {
                Some(0) => EntryKind::Normal,
                Some(1) => EntryKind::ConfChange,
                _ => return None,
            };
            let (index, term) = (u64_at(entry, 0), u64_at(entry, 8));
            let follows = match entries.last() {
                Some(last) => last.index.checked_add(1) == Some(index) && last.term <= term,
                None => index > 0,
            };
            if !follows || term > hard.term {
                return None;
            }
            let data = Bytes::copy_from_slice(behind.get(..bytes)?);
            entries.push(LogEntry { index, term, kind, data });
            rest = behind.get(bytes.checked_next_multiple_of(8)?..)?;
        }
        let whole = rest.is_empty() && u32::try_from(entries.len()) == Ok(head.count);
        whole.then_some(Self { hard, entries })
    }
}

/// What the head of a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    body_bytes: u32,
    count: u32,
    body_checksum: u64,
}

/// The records of one log, for the walk.
#[derive(Debug, Clone, Copy)]
pub struct Records {
    /// The log's key.
    pub salt: u64,
}

impl Format for Records {
    type Record = RecordHead;
    const HEAD_BYTES_LIKELY: usize = RECORD_HEAD_BYTES;

    fn measure(&self, bytes: &[u8]) -> Result<Measured<RecordHead>, Problem> {
        let head = bytes.first_chunk::<RECORD_HEAD_BYTES>().ok_or(Problem::Bad)?;
        let checksum = u64_at(head, AT_CHECKSUM);
        let whole = u64_at(head, 0) == MAGIC
            && keyed(self.salt, &head[AT_VERSION..]) == checksum
            && u16_at(head, AT_VERSION) == VERSION
            && u32_at(head, AT_BODY_BYTES).is_multiple_of(8);
        if !whole {
            return Err(Problem::Bad);
        }
        let record = RecordHead {
            body_bytes: u32_at(head, AT_BODY_BYTES),
            count: u32_at(head, AT_COUNT),
            body_checksum: u64_at(head, AT_BODY_CHECKSUM),
        };
        Ok(Measured {
            sequence: Sequence(u64_at(head, AT_SEQUENCE)),
            epoch: Epoch(u32_at(head, AT_EPOCH)),
            bytes: RECORD_HEAD_BYTES as u64 + u64::from(record.body_bytes),
            head_checksum: checksum,
            body_needed: true,
            record,
        })
    }

    fn looks_like_head(&self, bytes: &[u8]) -> bool {
        bytes.first_chunk::<8>().is_some_and(|magic| u64::from_le_bytes(*magic) == MAGIC)
    }

    fn body_holds(&self, head: &RecordHead, bytes: &[u8]) -> bool {
        let body =
            usize::try_from(head.body_bytes).ok().and_then(|length| bytes.get(RECORD_HEAD_BYTES..)?.get(..length));
        body.is_some_and(|body| keyed(self.salt, body) == head.body_checksum)
    }
}
