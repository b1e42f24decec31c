//! What a name leads to, as the value of its key.
//!
//! Any thread; pure. Always: an entry has one form; bytes that are none are an error. A file of one chunk, which most
//! are, takes about 60 bytes with its content type.
//!
//! ```text
//! directory:  1 u8 | inode | version | created_ms | modified
//! file:       2 + flags u8 | version | size | created_ms | modified | hash 16 | [attributes run] | chunks
//! flags:      16 attributes are there   32 one chunk   64 a list of chunks: their number, then each
//! chunk:      volume | sequence | cookie u64 LE
//! modified:   the difference to created_ms, zigzag; all numbers are varints
//! ```

use crate::base::ids::{ContentHash, Cookie, ObjectId, Sequence, VolumeId};
use crate::master::StateError;
use crate::master::fields::{Fields, push_run, push_varint, unzigzag, zigzag};
use crate::request::{Attributes, Entry, NameFacts, NameKind};
use bytes::Bytes;

const DIRECTORY: u8 = 1;
const FILE: u8 = 2;
const ATTRIBUTES: u8 = 16;
const ONE_CHUNK: u8 = 32;
const CHUNKS: u8 = 64;

const CHUNK_BYTES_MIN: usize = 10;

/// What a name leads to, read from the bytes of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameEntry<'a> {
    /// A directory.
    Directory(DirectoryEntry),
    /// A file.
    File(FileEntry<'a>),
}

/// A directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its number, under which its names lie.
    pub inode: u64,
    /// When it was last changed itself, as a version.
    pub version: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed itself.
    pub modified_ms: u64,
}

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEntry<'a> {
    /// Its version.
    pub version: u64,
    /// Bytes of content.
    pub size: u64,
    /// When the name was first given.
    pub created_ms: u64,
    /// When the content was last changed.
    pub modified_ms: u64,
    /// The hash of the content.
    pub hash: ContentHash,
    /// The run of its attributes.
    pub attributes: &'a [u8],
    /// Its chunks.
    pub chunks: ChunkList<'a>,
}

/// The chunks of a file, in order, not yet looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChunkList<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl<'a> ChunkList<'a> {
    /// Chunks in all.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Each of them. An end before [`count`](Self::count) chunks is damage: see [`all`](Self::all).
    pub fn iter(&self) -> impl Iterator<Item = ObjectId> + use<'a> {
        let mut fields = Fields(self.bytes);
        (0..self.count).map_while(move |_| chunk(&mut fields))
    }

    /// `count_max` chunks from the place `first` on, when the list is whole.
    ///
    /// # Errors
    /// [`StateError::Damaged`], when it is not.
    pub fn some(&self, first: u32, count_max: usize) -> Result<Vec<ObjectId>, StateError> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let wanted = (self.count as usize).saturating_sub(first).min(count_max);
        let chunks: Vec<ObjectId> = self.iter().skip(first).take(count_max).collect();
        if chunks.len() == wanted { Ok(chunks) } else { Err(damaged("its list of chunks is cut short")) }
    }

    /// All chunks.
    ///
    /// # Errors
    /// As [`some`](Self::some).
    pub fn all(&self) -> Result<Vec<ObjectId>, StateError> {
        self.some(0, usize::MAX)
    }
}

impl<'a> NameEntry<'a> {
    /// The entry of a value. The list of chunks is looked at when it is asked for.
    ///
    /// # Errors
    /// [`StateError::Damaged`], when the bytes are no entry.
    pub fn of(value: &'a [u8]) -> Result<Self, StateError> {
        let mut fields = Fields(value);
        parse(&mut fields).ok_or_else(|| damaged(&format!("{} bytes are no entry of a name", value.len())))
    }

    /// The facts that everybody is told.
    #[must_use]
    pub fn facts(&self) -> NameFacts {
        match self {
            Self::Directory(directory) => directory.facts(),
            Self::File(file) => file.facts(),
        }
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self {
            Self::Directory(directory) => directory.version,
            Self::File(file) => file.version,
        }
    }

    /// The answer to a lookup.
    ///
    /// # Errors
    /// [`StateError::Damaged`], when the attributes or the chunks are none.
    pub fn entry(&self, chunk_first: u32, chunks_max: usize) -> Result<Entry, StateError> {
        let (attributes, chunks) = match self {
            Self::Directory(_) => (Attributes::default(), Vec::new()),
            Self::File(file) => (file.attributes()?, file.chunks.some(chunk_first, chunks_max)?),
        };
        Ok(Entry { facts: self.facts(), attributes, chunk_first, chunks })
    }
}

impl DirectoryEntry {
    /// The root, which no name leads to.
    pub const ROOT: Self = Self { inode: 1, version: 0, created_ms: 0, modified_ms: 0 };

    /// The facts that everybody is told.
    #[must_use]
    pub fn facts(&self) -> NameFacts {
        NameFacts {
            kind: NameKind::Directory,
            version: self.version,
            size: 0,
            created_ms: self.created_ms,
            modified_ms: self.modified_ms,
            hash: ContentHash(0),
            chunks: 0,
        }
    }

    /// The value.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        out.push(DIRECTORY);
        push_varint(&mut out, self.inode);
        push_varint(&mut out, self.version);
        push_times(&mut out, self.created_ms, self.modified_ms);
        out
    }
}

impl FileEntry<'_> {
    /// The facts that everybody is told.
    #[must_use]
    pub fn facts(&self) -> NameFacts {
        NameFacts {
            kind: NameKind::File,
            version: self.version,
            size: self.size,
            created_ms: self.created_ms,
            modified_ms: self.modified_ms,
            hash: self.hash,
            chunks: self.chunks.count,
        }
    }

    /// Its attributes, checked.
    ///
    /// # Errors
    /// [`StateError::Damaged`], when they are none.
    pub fn attributes(&self) -> Result<Attributes, StateError> {
        Attributes::parse(Bytes::copy_from_slice(self.attributes)).map_err(|error| damaged(&error.to_string()))
    }

    /// The value, with the chunks that it has.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.encode_head(self.chunks.count);
        out.extend_from_slice(self.chunks.bytes);
        out
    }

    /// The value, with these chunks in the place of those that it has.
    pub(super) fn encode_with(&self, chunks: &[(ObjectId, u64)]) -> Vec<u8> {
        let mut out = self.encode_head(u32::try_from(chunks.len()).expect("the number of chunks was checked"));
        chunks.iter().for_each(|(chunk, _)| push_chunk(&mut out, *chunk));
        out
    }

    fn encode_head(&self, chunks: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.attributes.len() + 16 * chunks as usize);
        let attributes = if self.attributes.is_empty() { 0 } else { ATTRIBUTES };
        let list = [0, ONE_CHUNK].get(chunks as usize).copied().unwrap_or(CHUNKS);
        out.push(FILE | attributes | list);
        push_varint(&mut out, self.version);
        push_varint(&mut out, self.size);
        push_times(&mut out, self.created_ms, self.modified_ms);
        out.extend_from_slice(&self.hash.0.to_le_bytes());
        if attributes != 0 {
            push_run(&mut out, self.attributes);
        }
        if list == CHUNKS {
            push_varint(&mut out, u64::from(chunks));
        }
        out
    }
}

/// Appends an object id.
pub(super) fn push_chunk(out: &mut Vec<u8>, chunk: ObjectId) {
    push_varint(out, u64::from(chunk.volume.0));
    push_varint(out, chunk.sequence.0);
    out.extend_from_slice(&chunk.cookie.0.to_le_bytes());
}

/// Reads an object id.
pub(super) fn chunk(fields: &mut Fields<'_>) -> Option<ObjectId> {
    let (volume, sequence) = (VolumeId(fields.varint32()?), Sequence(fields.varint()?));
    Some(ObjectId { volume, sequence, cookie: Cookie(fields.u64()?) })
}

fn push_times(out: &mut Vec<u8>, created_ms: u64, modified_ms: u64) {
    push_varint(out, created_ms);
    push_varint(out, zigzag(modified_ms.wrapping_sub(created_ms).cast_signed()));
}

fn times(fields: &mut Fields<'_>) -> Option<(u64, u64)> {
    let created_ms = fields.varint()?;
    Some((created_ms, created_ms.wrapping_add(unzigzag(fields.varint()?).cast_unsigned())))
}

fn parse<'a>(fields: &mut Fields<'a>) -> Option<NameEntry<'a>> {
    let kind = fields.byte()?;
    if kind == DIRECTORY {
        let (inode, version) = (fields.varint()?, fields.varint()?);
        let (created_ms, modified_ms) = times(fields)?;
        let directory = DirectoryEntry { inode, version, created_ms, modified_ms };
        return fields.is_empty().then_some(NameEntry::Directory(directory));
    }
    if kind & 0xf != FILE {
        return None;
    }
    let (version, size) = (fields.varint()?, fields.varint()?);
    let (created_ms, modified_ms) = times(fields)?;
    let hash = ContentHash(fields.u128()?);
    let attributes = if kind & ATTRIBUTES == 0 { &[][..] } else { fields.run()? };
    let count = match kind & !ATTRIBUTES & !0xf {
        0 => 0,
        ONE_CHUNK => 1,
        CHUNKS => fields.varint32()?,
        _ => return None,
    };
    if fields.0.len() / CHUNK_BYTES_MIN < count as usize || count == 0 && !fields.is_empty() {
        return None;
    }
    let chunks = ChunkList { count, bytes: fields.0 };
    Some(NameEntry::File(FileEntry { version, size, created_ms, modified_ms, hash, attributes, chunks }))
}

fn damaged(what: &str) -> StateError {
    StateError::damaged("the metadata state", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(volume: u32, sequence: u64, cookie: u64) -> ObjectId {
        ObjectId { volume: VolumeId(volume), sequence: Sequence(sequence), cookie: Cookie(cookie) }
    }

    fn file(attributes: &[u8]) -> FileEntry<'_> {
        FileEntry {
            version: 300,
            size: 70_000,
            created_ms: 1_800_000_000_000,
            modified_ms: 1_799_999_999_999,
            hash: ContentHash(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100),
            attributes,
            chunks: ChunkList::default(),
        }
    }

    #[test]
    fn golden_bytes() {
        let directory = DirectoryEntry { inode: 300, version: 5, created_ms: 128, modified_ms: 129 };
        assert_eq!(directory.encode(), [1, 0xac, 2, 5, 0x80, 1, 2]);
        let mut want = vec![2 | 16 | 32, 0xac, 2, 0xf0, 0xa2, 4, 0x80, 0xa0, 0xf1, 0xc2, 0xb1, 0x34, 1];
        want.extend(0..16);
        want.extend([4, 1, 1, 0, b'x', 3, 0x80, 1, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(file(b"\x01\x01\x00x").encode_with(&[(id(3, 128, 0x0102_0304_0506_0708), 9)]), want);
    }

    #[test]
    fn a_picture_takes_some_sixty_bytes() {
        let attributes = Attributes::of(&[(1, b"image/jpeg")]).unwrap();
        let picture = FileEntry { version: 10_000_000, ..file(attributes.bytes()) };
        let bytes = picture.encode_with(&[(id(40, 2_000_000, u64::MAX), 0)]);
        assert!(bytes.len() <= 62, "{} bytes", bytes.len());
    }

    #[test]
    fn what_is_no_entry_is_an_error() {
        let whole = file(b"\x01\x01\x00x").encode_with(&[(id(3, 128, 1), 9), (id(4, 1, 1), 10)]);
        for cut in 0..whole.len() {
            let entry = NameEntry::of(&whole[..cut]);
            let chunks = entry.and_then(|entry| entry.entry(0, 10));
            assert!(chunks.is_err(), "cut at {cut}");
        }
        for bad in [&[][..], &[0], &[1, 1, 1, 1, 0, 0], &[2, 1, 1, 1, 0], &[2 | 32 | 64], &[3], &[2 | 128]] {
            assert!(NameEntry::of(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn entries_come_back(
            numbers: (u64, u64, u64, u64, u128), list in prop::collection::vec((0u32.., 0u64.., 0u64..), 0..5),
            with_attributes: bool, first in 0u32..6, count in 0usize..6,
        ) {
            let run = if with_attributes { &b"\x01\x01\x00x"[..] } else { b"" };
            let (version, size, created_ms, modified_ms, hash) = numbers;
            let hash = ContentHash(hash);
            let chunks: Vec<_> = list.iter().map(|(a, b, c)| (id(*a, *b, *c), 1)).collect();
            let file = FileEntry { version, size, created_ms, modified_ms, hash, ..file(run) };
            let bytes = file.encode_with(&chunks);
            let ids: Vec<_> = chunks.iter().map(|(id, _)| *id).collect();
            let NameEntry::File(read) = NameEntry::of(&bytes).unwrap() else { panic!("a directory") };
            prop_assert_eq!(read.chunks.all().unwrap(), ids.clone());
            prop_assert_eq!(read.facts(), NameFacts { chunks: ids.len() as u32, ..file.facts() });
            prop_assert_eq!(read.encode(), bytes.clone());
            let some: Vec<_> = ids.into_iter().skip(first as usize).take(count).collect();
            prop_assert_eq!(read.chunks.some(first, count).unwrap(), some);
            let directory = DirectoryEntry { inode: size, version, created_ms, modified_ms };
            let bytes = directory.encode();
            prop_assert_eq!(NameEntry::of(&bytes).unwrap(), NameEntry::Directory(directory));
        }

        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(entry) = NameEntry::of(&bytes) {
                let _ = entry.entry(0, usize::MAX);
            }
        }
    }
}
