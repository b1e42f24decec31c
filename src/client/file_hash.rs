//! The hash of a file of many chunks.
//!
//! Pure. The rule is that of [`NameFacts::hash`](crate::request::NameFacts::hash): of one chunk its hash, of more XXH3-128
//! over their hashes in order (16 bytes each, most significant first), of none that of nothing.

use crate::base::checksum::content_hash;
use crate::base::ids::ContentHash;
use crate::base::limits::CHUNK_BYTES_MAX;
use std::io::{self, Read};
use xxhash_rust::xxh3::Xxh3Default;

/// The hash of a file, from the hashes of its chunks as they come.
#[derive(Clone)]
pub struct FileHash {
    first: Option<ContentHash>,
    chunks: u32,
    hashes: Xxh3Default,
}

impl FileHash {
    /// That of an empty file.
    #[must_use]
    pub fn new() -> Self {
        Self { first: None, chunks: 0, hashes: Xxh3Default::new() }
    }

    /// Takes the hash of the next chunk.
    pub fn add(&mut self, chunk: ContentHash) {
        self.first.get_or_insert(chunk);
        self.chunks = self.chunks.saturating_add(1);
        self.hashes.update(&chunk.0.to_be_bytes());
    }

    /// The hash of the file so far.
    #[must_use]
    pub fn value(&self) -> ContentHash {
        match (self.chunks, self.first) {
            (1, Some(first)) => first,
            _ => ContentHash(self.hashes.digest128()),
        }
    }

    /// Hash and size of what `content` gives until its end. Holds 64 KiB of it at once.
    ///
    /// # Errors
    /// Those of reading.
    pub fn of(content: &mut impl Read) -> io::Result<(ContentHash, u64)> {
        let (mut file, mut size) = (Self::new(), 0);
        loop {
            let (chunk, bytes) = chunk_hash(content)?;
            if bytes > 0 {
                file.add(chunk);
                size += bytes as u64;
            }
            if bytes < CHUNK_BYTES_MAX {
                return Ok((file.value(), size));
            }
        }
    }
}

impl Default for FileHash {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for FileHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileHash").field("chunks", &self.chunks).finish_non_exhaustive()
    }
}

fn chunk_hash(content: &mut impl Read) -> io::Result<(ContentHash, usize)> {
    let mut content = content.take(CHUNK_BYTES_MAX as u64);
    let (mut hash, mut bytes) = (Xxh3Default::new(), 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok((ContentHash(hash.digest128()), bytes)),
            Ok(read) => {
                hash.update(buffer.get(..read).unwrap_or_default());
                bytes += read;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Hash and size of content that is in memory.
#[must_use]
pub fn file_hash(content: &[u8]) -> ContentHash {
    let mut file = FileHash::new();
    content.chunks(CHUNK_BYTES_MAX).for_each(|chunk| file.add(content_hash(chunk)));
    file.value()
}

#[test]
fn the_rule_of_one_chunk_of_many_and_of_none() {
    let content = b"0123456789a".repeat(2 * CHUNK_BYTES_MAX / 11 + 1);
    for bytes in [0, 1, CHUNK_BYTES_MAX - 1, CHUNK_BYTES_MAX] {
        assert_eq!(file_hash(&content[..bytes]), content_hash(&content[..bytes]));
    }
    for bytes in [CHUNK_BYTES_MAX + 1, 2 * CHUNK_BYTES_MAX, content.len()] {
        let hashes: Vec<u8> =
            content[..bytes].chunks(CHUNK_BYTES_MAX).flat_map(|c| content_hash(c).0.to_be_bytes()).collect();
        assert_eq!(file_hash(&content[..bytes]), content_hash(&hashes));
    }
    for bytes in [0, 1, CHUNK_BYTES_MAX, content.len()] {
        let read = FileHash::of(&mut &content[..bytes]).unwrap();
        assert_eq!(read, (file_hash(&content[..bytes]), bytes as u64));
    }
}
