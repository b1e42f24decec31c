//! Attributes of an object: a list of (tag, value), stored and sent as one run of bytes.
//!
//! Any thread. Always: the run is well formed, its tags ascend, and it is at most 4 KiB.
//!
//! ```text
//! one attribute:  tag u8 | length u16 LE | value
//! tags:           1 content type   2 cache control   3 content disposition
//!                 4 file name      5 metadata: lines of `name: value`
//!                 64..=255 user metadata, any meaning
//! ```

use crate::base::limits::ATTRIBUTE_BYTES_MAX;
use bytes::Bytes;

/// A checked run of attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(Bytes);

/// Why a run of bytes is not attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAttributes {
    /// Over 4 KiB.
    #[error("attributes take {0} bytes, {ATTRIBUTE_BYTES_MAX} at most")]
    TooLong(usize),
    /// An attribute ends behind the run.
    #[error("attribute at byte {0} is cut short")]
    CutShort(usize),
    /// A tag is not larger than the one before, or is zero.
    #[error("attribute tag {0} is out of order: tags ascend, from 1")]
    OutOfOrder(u8),
}

impl Attributes {
    /// The tag of the content type, such as `image/jpeg`.
    pub const CONTENT_TYPE: u8 = 1;
    /// The tag of the value for Cache-Control.
    pub const CACHE_CONTROL: u8 = 2;
    /// The tag of the value for Content-Disposition.
    pub const CONTENT_DISPOSITION: u8 = 3;
    /// The tag of the name that the file had at its owner's.
    pub const FILE_NAME: u8 = 4;
    /// The tag of the metadata that came in header lines: `name: value\r\n` each, names in lower case, in order of arrival.
    pub const METADATA: u8 = 5;

    /// Checks a run.
    ///
    /// # Errors
    /// [`BadAttributes`], by the rules above.
    pub fn parse(run: Bytes) -> Result<Self, BadAttributes> {
        if run.len() > ATTRIBUTE_BYTES_MAX {
            return Err(BadAttributes::TooLong(run.len()));
        }
        let (mut rest, mut last) = (&run[..], 0);
        while !rest.is_empty() {
            let at = run.len() - rest.len();
            let (tag, value_bytes, tail) = split(rest).ok_or(BadAttributes::CutShort(at))?;
            if tag <= last {
                return Err(BadAttributes::OutOfOrder(tag));
            }
            last = tag;
            rest = tail.get(value_bytes..).ok_or(BadAttributes::CutShort(at))?;
        }
        Ok(Self(run))
    }

    /// A run of these, which need not be in order.
    ///
    /// # Errors
    /// [`BadAttributes`] when there are too many, or two of one tag.
    pub fn of(list: &[(u8, &[u8])]) -> Result<Self, BadAttributes> {
        let mut list = list.to_vec();
        list.sort_by_key(|(tag, _)| *tag);
        let mut run = Vec::new();
        for (tag, value) in list {
            let length = u16::try_from(value.len()).map_err(|_| BadAttributes::TooLong(value.len()))?;
            run.push(tag);
            run.extend(length.to_le_bytes());
            run.extend(value);
        }
        Self::parse(run.into())
    }

    /// The value of a tag.
    #[must_use]
    pub fn value(&self, tag: u8) -> Option<&[u8]> {
        self.iter().find(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    /// All of them, by ascending tag.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (tag, value_bytes, tail) = split(rest)?;
            let (value, next) = tail.split_at_checked(value_bytes)?;
            rest = next;
            Some((tag, value))
        })
    }

    /// The run, as it is stored and sent.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

fn split(rest: &[u8]) -> Option<(u8, usize, &[u8])> {
    let ([tag, low, high], tail) = rest.split_first_chunk::<3>()?;
    Some((*tag, usize::from(u16::from_le_bytes([*low, *high])), tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_checked_once_and_read_back() {
        let attributes = Attributes::of(&[(4, b"a.jpg"), (1, b"image/jpeg"), (200, b"")]).unwrap();
        assert_eq!(attributes.bytes()[..], b"\x01\x0a\x00image/jpeg\x04\x05\x00a.jpg\xc8\x00\x00"[..]);
        assert_eq!(attributes.value(Attributes::CONTENT_TYPE), Some(&b"image/jpeg"[..]));
        assert_eq!(attributes.value(2), None);
        assert_eq!(attributes.iter().map(|(tag, _)| tag).collect::<Vec<_>>(), [1, 4, 200]);
        assert_eq!(Attributes::parse(Bytes::from_static(b"\x01\x05\x00ab")), Err(BadAttributes::CutShort(0)));
        assert_eq!(Attributes::parse(Bytes::from_static(b"\x01\x00")), Err(BadAttributes::CutShort(0)));
        assert_eq!(Attributes::parse(Bytes::from_static(b"\x02\0\0\x01\0\0")), Err(BadAttributes::OutOfOrder(1)));
        assert_eq!(Attributes::of(&[(0, b"")]), Err(BadAttributes::OutOfOrder(0)));
        assert_eq!(Attributes::of(&[(1, &[0; 5000])]), Err(BadAttributes::TooLong(5003)));
    }
}
