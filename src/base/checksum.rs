//! The checksums of both formats, each with its source.
//!
//! Any thread. CRC-32C is RFC 3720 B.4 (Castagnoli, reflected); CRC-32 is that of zlib (ISO-HDLC); XXH3 is the
//! specification of xxHash 0.8. All three run at memory speed and are libraries here.

use crate::base::ids::ContentHash;
use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

/// zlib's CRC-32 of `bytes`, which every language has.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, bytes))
}

/// CRC-64/NVME of `bytes` (the NVM Command Set Specification 1.0, 5.2.1.3.4): where 32 bits are few for the many blocks of a
/// long-lived file, at several times the speed of a hash.
#[must_use]
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

/// CRC-32C of two neighbours, from the checksum of each and the length of the second.
#[must_use]
pub fn crc32c_combine(first: u32, second: u32, second_bytes: u64) -> u32 {
    narrow(crc_fast::checksum_combine(CrcAlgorithm::Crc32Iscsi, u64::from(first), u64::from(second), second_bytes))
}

/// The CRC-32C of bytes that stand behind others, made ready to be joined to theirs: for content that is sent again and
/// again behind a head of its own, which then costs as much whatever its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    crc: u32,
    /// x to the number of their bits, modulo the polynomial.
    shift: u32,
}

impl Behind {
    /// Of `bytes` bytes whose CRC-32C is `crc`.
    #[must_use]
    pub fn new(crc: u32, bytes: u64) -> Self {
        // Joining multiplies the front's checksum by it: by that of 1 it shows.
        Self { crc, shift: crc32c_combine(X_TO_0, 0, bytes) }
    }

    /// The CRC-32C of both, from that of what stands in front.
    #[must_use]
    pub fn join(self, front: u32) -> u32 {
        multiplied(front, self.shift) ^ self.crc
    }
}

/// The polynomial 1, and that of Castagnoli without its highest term: the highest bit is x to 0.
const X_TO_0: u32 = 1 << 31;
const CASTAGNOLI: u32 = 0x82f6_3b78;

/// The product of two polynomials modulo Castagnoli's.
fn multiplied(a: u32, b: u32) -> u32 {
    let (mut product, mut b) = (0, b);
    for bit in (0..32).rev() {
        product ^= b & ((a >> bit) & 1).wrapping_neg();
        b = (b >> 1) ^ (CASTAGNOLI & (b & 1).wrapping_neg());
    }
    product
}

/// XXH3-128 of `bytes`.
#[must_use]
pub fn content_hash(bytes: &[u8]) -> ContentHash {
    ContentHash(xxhash_rust::xxh3::xxh3_128(bytes))
}

/// XXH3-64 of `bytes` keyed with `salt`: a head that somebody stored as payload does not pass for a head of the volume.
#[must_use]
pub fn keyed(salt: u64, bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, salt)
}

fn narrow(checksum: u64) -> u32 {
    u32::try_from(checksum).expect("a 32-bit CRC fits 32 bits")
}

/// A CRC that takes its bytes as they come.
#[derive(Debug, Clone)]
pub struct RunningCrc(Digest);

impl RunningCrc {
    /// An empty CRC-32C.
    #[must_use]
    pub fn castagnoli() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    /// An empty CRC-32 of zlib.
    #[must_use]
    pub fn zlib() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32IsoHdlc))
    }

    /// Takes further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes so far.
    #[must_use]
    pub fn value(&self) -> u32 {
        narrow(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // The check values of the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc64(b"123456789"), 0xae8b_1486_0a79_9888);
        // XXH3-128 of nothing, from the reference implementation's test vectors.
        assert_eq!(content_hash(b"").to_string(), "99aa06d3014798d86001c324468d497f");
    }

    #[test]
    fn a_combined_checksum_is_that_of_the_whole() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        for cut in [0, 1, 4096, 65536, 99_999, 100_000] {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(crc32c_combine(crc32c(a), crc32c(b), b.len() as u64), crc32c(&bytes));
        }
    }

    #[test]
    fn what_stands_behind_is_joined_as_if_it_were_read() {
        let all: Vec<u8> = (0..70_000u32).map(|n| (n * 7 + n / 256) as u8).collect();
        for front in [0, 1, 56, 4096] {
            for length in [0, 1, 9, 4096, 65_535, 65_536] {
                let behind = &all[front..front + length];
                let joined = Behind::new(crc32c(behind), length as u64).join(crc32c(&all[..front]));
                assert_eq!(joined, crc32c(&all[..front + length]), "{front} and {length}");
            }
        }
    }
}
