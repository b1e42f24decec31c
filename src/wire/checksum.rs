//! The kinds of body checksum: each language takes the one that it has at speed.
//!
//! Any thread. Always: the checksum of kind [`None`](ChecksumKind::None), and that of an empty body, is zero.

use crate::base::checksum::RunningCrc;
use bytes::Bytes;

/// How a body is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ChecksumKind {
    /// Not at all: the field is zero.
    None = 0,
    /// CRC-32C (Castagnoli), which processors have an instruction for.
    #[default]
    Crc32c = 1,
    /// The CRC-32 of zlib, which every language has.
    Crc32 = 2,
}

impl ChecksumKind {
    /// The kind of a number on the wire.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Crc32c),
            2 => Some(Self::Crc32),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The checksum of a whole body.
    #[must_use]
    pub fn checksum(self, bytes: &[u8]) -> u32 {
        match self {
            Self::None => 0,
            Self::Crc32c => crate::base::checksum::crc32c(bytes),
            Self::Crc32 => crate::base::checksum::crc32(bytes),
        }
    }

    /// The checksum of a body that lies in pieces: `fixed`, then `parts`.
    #[must_use]
    pub fn checksum_of_parts(self, fixed: &[u8], parts: &[Bytes]) -> u32 {
        let mut running = self.running();
        running.update(fixed);
        for part in parts {
            running.update(part);
        }
        running.value()
    }

    /// A checksum that takes its bytes as they come.
    #[must_use]
    pub fn running(self) -> RunningChecksum {
        RunningChecksum(match self {
            Self::None => None,
            Self::Crc32c => Some(RunningCrc::castagnoli()),
            Self::Crc32 => Some(RunningCrc::zlib()),
        })
    }
}

/// The checksum of a body that is still arriving.
#[derive(Debug, Clone)]
pub struct RunningChecksum(Option<RunningCrc>);

impl RunningChecksum {
    /// Takes further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(crc) = &mut self.0 {
            crc.update(bytes);
        }
    }

    /// The checksum of all bytes so far.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.0.as_ref().map_or(0, RunningCrc::value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_whole_have_one_checksum() {
        let parts = [Bytes::from_static(b"345"), Bytes::new(), Bytes::from_static(b"6789")];
        for (kind, expected) in
            [(ChecksumKind::None, 0), (ChecksumKind::Crc32c, 0xe306_9283), (ChecksumKind::Crc32, 0xcbf4_3926)]
        {
            assert_eq!(kind.checksum(b"123456789"), expected);
            assert_eq!(kind.checksum_of_parts(b"12", &parts), expected);
            assert_eq!(kind.checksum(b""), 0);
            assert_eq!(kind.checksum_of_parts(b"", &[]), 0);
            assert_eq!(ChecksumKind::of_code(kind.code()), Some(kind));
        }
        assert_eq!(ChecksumKind::of_code(3), None);
    }
}
