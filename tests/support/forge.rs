//! Frames as no honest client would send them: every field can be set, and checksums fit unless told otherwise.

use larder::base::checksum::{crc32, crc32c};
use larder::wire::Request;

pub struct Forged {
    pub magic: [u8; 4],
    pub version: u8,
    pub opcode: u8,
    pub status: u8,
    pub kind: u8,
    pub flags: u16,
    pub stage: u8,
    pub byte_11: u8,
    pub correlation: u64,
    /// What the header says of the body's length, if not the truth.
    pub body_bytes: Option<u32>,
    /// Is added to the body's checksum.
    pub body_checksum_off: u32,
    pub bytes_32: u32,
    /// Is added to the header's checksum.
    pub header_checksum_off: u32,
    pub body: Vec<u8>,
}

/// A sound frame of this opcode and body, number 9, checked with CRC-32.
pub fn forged(opcode: u8, body: impl Into<Vec<u8>>) -> Forged {
    Forged {
        magic: *b"LARD",
        version: 1,
        opcode,
        status: 0,
        kind: 2,
        flags: 0,
        stage: 0,
        byte_11: 0,
        correlation: 9,
        body_bytes: None,
        body_checksum_off: 0,
        bytes_32: 0,
        header_checksum_off: 0,
        body: body.into(),
    }
}

/// The frame of a request, to be changed.
pub fn forged_of(request: &Request) -> Forged {
    let frame = request.encode(larder::wire::ChecksumKind::None, 1, 0).concat();
    forged(request.opcode().code(), &frame[40..])
}

impl Forged {
    pub fn bytes(&self) -> Vec<u8> {
        let checksum = match self.kind {
            1 => crc32c(&self.body),
            2 => crc32(&self.body),
            _ => 0,
        };
        let body_bytes = self.body_bytes.unwrap_or_else(|| u32::try_from(self.body.len()).unwrap());
        let mut frame = Vec::with_capacity(40 + self.body.len());
        frame.extend(self.magic);
        frame.extend([self.version, self.opcode, self.status, self.kind]);
        frame.extend(self.flags.to_le_bytes());
        frame.extend([self.stage, self.byte_11, 0, 0, 0, 0]);
        frame.extend(self.correlation.to_le_bytes());
        frame.extend(body_bytes.to_le_bytes());
        frame.extend(checksum.wrapping_add(self.body_checksum_off).to_le_bytes());
        frame.extend(self.bytes_32.to_le_bytes());
        frame.extend(crc32(&frame).wrapping_add(self.header_checksum_off).to_le_bytes());
        frame.extend(&self.body);
        frame
    }
}
