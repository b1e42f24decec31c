//! Contents that are made from keys, and so can be checked by whoever knows them.
//!
//! Any thread. A content is cut into pieces of 1 MiB; a piece is a slice of one pool of random bytes, that begins at a
//! place which depends on seed, number and piece, with both numbers written over its first 16 bytes. So making and checking
//! are copies and comparisons at the speed of memory, and a block that belongs elsewhere is found: it would have to come
//! from the same place of the pool. Always: the pool is the same in every process.

use super::Key;
use super::random::{Numbers, mix};
use std::ops::Range;
use std::sync::LazyLock;

const PIECE_BYTES: usize = 1 << 20;
const STAMP_BYTES: usize = 16;
/// Larger than second-level caches, and built in some ten milliseconds.
const POOL_BYTES: usize = 16 << 20;

static POOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut numbers = Numbers::of(0x7061_796c_6f61_6473, 1);
    (0..POOL_BYTES / 8).flat_map(|_| numbers.next().to_le_bytes()).collect()
});

/// Adds `bytes` bytes of the content of `key`, from byte `at` on.
pub fn append(key: Key, at: u64, bytes: u64, into: &mut Vec<u8>) {
    each(key, at, bytes, |part| into.extend_from_slice(part));
}

/// Calls `take` with the parts of `bytes` bytes of the content of `key`, from byte `at` on, in order.
pub fn each(key: Key, at: u64, bytes: u64, mut take: impl FnMut(&[u8])) {
    all(key, at, bytes, |part| {
        take(part);
        true
    });
}

/// Whether these are the bytes of the content of `key` from byte `at` on.
#[must_use]
pub fn matches(key: Key, at: u64, mut bytes: &[u8]) -> bool {
    all(key, at, bytes.len() as u64, |part| {
        let (now, later) = bytes.split_at(part.len());
        bytes = later;
        now == part
    })
}

/// Calls `take` until it says no; whether it never did.
fn all(key: Key, mut at: u64, bytes: u64, mut take: impl FnMut(&[u8]) -> bool) -> bool {
    let end = at + bytes;
    while at < end {
        let piece = at / PIECE_BYTES as u64;
        let start = usize::try_from(at % PIECE_BYTES as u64).expect("below the bytes of a piece");
        let here = usize::try_from((end - at).min((PIECE_BYTES - start) as u64)).expect("below the bytes of a piece");
        if !piece_part(key, piece, start..start + here, &mut take) {
            return false;
        }
        at += here as u64;
    }
    true
}

fn piece_part(key: Key, piece: u64, range: Range<usize>, take: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let place = mix(mix(key.seed ^ piece.rotate_left(32)) ^ key.number) % (POOL_BYTES - PIECE_BYTES) as u64;
    let place = usize::try_from(place).expect("below the bytes of the pool");
    if range.start < STAMP_BYTES {
        let mut stamp = [0; STAMP_BYTES];
        stamp[..8].copy_from_slice(&mix(key.seed.wrapping_add(piece)).to_le_bytes());
        stamp[8..].copy_from_slice(&key.number.to_le_bytes());
        if !take(&stamp[range.start..range.end.min(STAMP_BYTES)]) {
            return false;
        }
    }
    let start = range.start.max(STAMP_BYTES);
    range.end <= start || take(&POOL[place + start..place + range.end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { seed: 7, number: 42 };

    fn content(key: Key, at: u64, bytes: u64) -> Vec<u8> {
        let mut content = Vec::new();
        append(key, at, bytes, &mut content);
        content
    }

    #[test]
    fn a_part_is_that_part_of_the_whole() {
        let whole = content(KEY, 0, 3 << 20);
        for (at, bytes) in
            [(0, 0), (0, 5), (3, 20), (15, 2), (16, 1), ((1 << 20) - 1, 2), (1 << 20, 17), (2_000_000, 1 << 20)]
        {
            let start = usize::try_from(at).unwrap();
            let part = content(KEY, at, bytes);
            assert_eq!(part.len() as u64, bytes);
            assert!(part == whole[start..start + part.len()], "{at} {bytes}");
            assert!(matches(KEY, at, &part));
        }
    }

    #[test]
    fn no_other_content_passes() {
        let part = content(KEY, 0, 100_000);
        for other in [Key { seed: 7, number: 43 }, Key { seed: 8, number: 42 }] {
            assert!(!matches(other, 0, &part));
            assert!(!matches(other, 0, &part[..16]));
            assert!(!matches(other, 50_000, &part[50_000..50_064]));
        }
        assert!(!matches(KEY, 4096, &part[..4096]), "a block of another place");
        for wrong in [0, 15, 16, 50_000, 99_999] {
            let mut part = part.clone();
            part[wrong] ^= 1;
            assert!(!matches(KEY, 0, &part), "byte {wrong}");
        }
    }

    #[test]
    fn contents_stay_what_they_are() {
        // Objects of earlier versions must stay verifiable.
        let part = content(KEY, 0, 40);
        assert_eq!(part.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), GOLDEN);
    }

    const GOLDEN: &str = "14df177b2330ae122a0000000000000020f86efd18fd7bbcfc1a38a680efef16f3238603254a53df";
}
