//! A body of several parts of a representation: `multipart/byteranges` (RFC 9110, 14.6 and 15.3.7.2).
//!
//! Any thread; pure. It makes what stands around the parts; the content between is streamed by the caller:
//! `part_head(0)`, bytes of `ranges()[0]`, `part_head(1)`, ..., `tail()`. Always: these add up to `content_length()`.

use bytes::Bytes;
use std::io::Write;
use std::ops::Range;

/// Digits of the boundary: a number of 64 random bits, so that content holds it by no chance and no intent.
const BOUNDARY_DIGITS: usize = 16;

/// The heads and the end of a body of several parts.
#[derive(Debug, Clone)]
pub struct Multipart {
    boundary: [u8; BOUNDARY_DIGITS],
    content_type: Bytes,
    size: u64,
    ranges: Vec<Range<u64>>,
}

impl Multipart {
    /// Parts of a representation of `size` bytes, none of them empty.
    ///
    /// The boundary is a number that peers can neither choose nor foresee: content that held it would end a part early.
    /// The content type must be fit for a header line.
    #[must_use]
    pub fn new(boundary: u64, content_type: &[u8], size: u64, ranges: Vec<Range<u64>>) -> Self {
        debug_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size), "{ranges:?} of {size}");
        let mut digits = [b'0'; BOUNDARY_DIGITS];
        // 64 bits are 16 digits.
        let _ = write!(&mut digits[..], "{boundary:016x}");
        Self { boundary: digits, content_type: Bytes::copy_from_slice(content_type), size, ranges }
    }

    /// The parts of the representation, in the order of the body.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// Content-Type of the answer. RFC 9110, 15.3.7.2: its own head has no Content-Range.
    #[must_use]
    pub fn content_type(&self) -> Vec<u8> {
        [b"multipart/byteranges; boundary=", &self.boundary[..]].concat()
    }

    /// Bytes of the whole body.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        let heads = (0..self.ranges.len()).map(|index| self.part_head(index).len());
        let around = heads.chain([self.tail().len()]).fold(0u64, |sum, bytes| sum.saturating_add(bytes as u64));
        self.ranges.iter().fold(around, |sum, range| sum.saturating_add(range.end.saturating_sub(range.start)))
    }

    /// What stands before the content of a part: its delimiter and its head. Empty for a part that is none.
    #[must_use]
    pub fn part_head(&self, index: usize) -> Bytes {
        let Some(range) = self.ranges.get(index) else {
            return Bytes::new();
        };
        let mut head = Vec::with_capacity(160 + self.content_type.len());
        // RFC 2046, 5.1.1: the line end before a delimiter belongs to it, and not to the part that ends there.
        head.extend_from_slice(if index == 0 { b"--" } else { b"\r\n--" });
        head.extend_from_slice(&self.boundary);
        // RFC 9110, 15.3.7.2: a part says the type that the whole would have had, and where it lies.
        head.extend_from_slice(b"\r\nContent-Type: ");
        head.extend_from_slice(&self.content_type);
        let last = range.end.saturating_sub(1);
        // Writing to memory does not fail.
        let _ = write!(head, "\r\nContent-Range: bytes {}-{last}/{}\r\n\r\n", range.start, self.size);
        head.into()
    }

    /// What stands behind the content of the last part.
    #[must_use]
    pub fn tail(&self) -> Bytes {
        [b"\r\n--", &self.boundary[..], b"--\r\n"].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(multipart: &Multipart, content: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for (index, range) in multipart.ranges().iter().enumerate() {
            body.extend(multipart.part_head(index));
            body.extend(&content[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]);
        }
        body.extend(multipart.tail());
        body
    }

    #[test]
    fn a_body_byte_for_byte() {
        let multipart = Multipart::new(0xfeed, b"text/plain", 10, vec![8..10, 0..1]);
        assert_eq!(multipart.content_type(), b"multipart/byteranges; boundary=000000000000feed");
        let want = "--000000000000feed\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
                    \r\n--000000000000feed\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-0/10\r\n\r\n0\
                    \r\n--000000000000feed--\r\n";
        assert_eq!(String::from_utf8(body(&multipart, b"0123456789")).unwrap(), want);
        assert_eq!(multipart.content_length(), want.len() as u64);
        assert!(multipart.part_head(2).is_empty());
        let huge = Multipart::new(u64::MAX, b"", u64::MAX, vec![0..u64::MAX, 0..u64::MAX]);
        assert_eq!(huge.content_length(), u64::MAX);
    }

    /// A part as a client reads it: the lines of its head, and its content.
    type Part = (Vec<String>, Vec<u8>);

    /// Reads a body as RFC 2046, 5.1.1 has it, without knowing how it was made.
    fn parse(body: &[u8], boundary: &str) -> Option<Vec<Part>> {
        // A delimiter begins a line, so the first is found behind a line end that is not there.
        let body = [b"\r\n", body].concat();
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
        let mut rest = body.strip_prefix(&delimiter[..])?;
        let mut parts = Vec::new();
        while rest != b"--\r\n" {
            rest = rest.strip_prefix(b"\r\n")?;
            let head_end = find(rest, b"\r\n\r\n")?;
            let head = std::str::from_utf8(&rest[..head_end]).ok()?.split("\r\n").map(str::to_owned).collect();
            rest = &rest[head_end + 4..];
            let end = find(rest, &delimiter)?;
            parts.push((head, rest[..end].to_vec()));
            rest = &rest[end + delimiter.len()..];
        }
        Some(parts)
    }

    proptest! {
        #[test]
        fn bodies_are_as_long_as_announced_and_read_back(
            boundary: u64,
            content in proptest::collection::vec(prop_oneof![Just(b'-'), Just(b'\r'), Just(b'\n'), any::<u8>()], 1..400),
            picks in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 2..9),
        ) {
            let size = content.len();
            let ranges: Vec<Range<u64>> = picks.iter().map(|(start, length)| {
                let start = start.index(size);
                start as u64..(start + 1 + length.index(size - start)) as u64
            }).collect();
            let multipart = Multipart::new(boundary, b"image/jpeg", size as u64, ranges.clone());
            let body = body(&multipart, &content);
            prop_assert_eq!(body.len() as u64, multipart.content_length());
            let content_type = String::from_utf8(multipart.content_type()).unwrap();
            let parts = parse(&body, content_type.split_once("boundary=").unwrap().1).unwrap();
            prop_assert_eq!(parts.len(), ranges.len());
            for ((head, bytes), range) in parts.iter().zip(&ranges) {
                let place = format!("Content-Range: bytes {}-{}/{size}", range.start, range.end - 1);
                prop_assert_eq!(head, &vec!["Content-Type: image/jpeg".to_owned(), place]);
                let want = &content[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                prop_assert_eq!(&bytes[..], want);
            }
        }
    }
}
