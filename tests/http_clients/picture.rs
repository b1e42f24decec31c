//! A picture of coloured noise as PNG, without compression. The source of the format is RFC 2083, and RFC 1950 and 1951 for
//! what is in it.

use crate::support::content;
use crc_fast::{CrcAlgorithm, checksum};

/// Bytes of a stored block of deflate: its length has 16 bits.
const BLOCK_BYTES_MAX: usize = 65_535;

pub fn png(seed: u64, width: u32, height: u32) -> Vec<u8> {
    let row = usize::try_from(width).unwrap() * 3;
    let pixels = content(seed, row * usize::try_from(height).unwrap());
    let rows: Vec<u8> = pixels.chunks(row).flat_map(|row| [&[0], row].concat()).collect();
    let mut all = b"\x89PNG\r\n\x1a\n".to_vec();
    // Eight bits, in red, green and blue.
    chunk(&mut all, b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat());
    chunk(&mut all, b"IDAT", &stored(&rows));
    chunk(&mut all, b"IEND", b"");
    all
}

fn chunk(all: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    let named = [&kind[..], content].concat();
    let sum = u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, &named)).unwrap();
    all.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
    all.extend(named);
    all.extend(sum.to_be_bytes());
}

fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![0x78, 0x01];
    let blocks = bytes.chunks(BLOCK_BYTES_MAX);
    let last = blocks.len() - 1;
    for (number, block) in blocks.enumerate() {
        let length = u16::try_from(block.len()).unwrap();
        all.push(u8::from(number == last));
        all.extend(length.to_le_bytes());
        all.extend((!length).to_le_bytes());
        all.extend(block);
    }
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    all.extend((b << 16 | a).to_be_bytes());
    all
}
