//! Numbers and runs of bytes as the master's own formats write them: little-endian, or as varints of seven bits a byte.
//!
//! Any thread; pure. Always: a number has one form only (no padded varint is taken), and reading takes nothing by a length
//! that it was told: a run is a piece of the bytes that are there.

/// Appends a number, seven bits a byte, least significant first.
pub(super) fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while let (low, Some(rest)) = (number & 0x7f, std::num::NonZeroU64::new(number >> 7)) {
        out.push(u8::try_from(low).expect("seven bits fit a byte") | 0x80);
        number = rest.get();
    }
    out.push(u8::try_from(number).expect("the last seven bits fit a byte"));
}

/// Appends a run of bytes behind its length.
pub(super) fn push_run(out: &mut Vec<u8>, run: &[u8]) {
    push_varint(out, run.len() as u64);
    out.extend_from_slice(run);
}

/// A difference as a number that is small when the difference is, of either sign.
pub(super) fn zigzag(difference: i64) -> u64 {
    (difference.cast_unsigned() << 1) ^ (difference >> 63).cast_unsigned()
}

/// The difference of such a number.
pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Reads fields one after another; `None` is the end of the bytes, or a form that no writer makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            if place == 9 && byte > 1 || place > 0 && byte == 0 {
                return None;
            }
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A varint of at most 32 bits.
    pub(super) fn varint32(&mut self) -> Option<u32> {
        self.varint()?.try_into().ok()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(first)
    }

    /// A run behind its length.
    pub(super) fn run(&mut self) -> Option<&'a [u8]> {
        let bytes = self.varint()?.try_into().ok()?;
        self.take(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_has_one_form() {
        for (number, bytes) in [(0, &[0][..]), (127, &[127]), (128, &[128, 1]), (300, &[0xac, 2])] {
            let mut out = Vec::new();
            push_varint(&mut out, number);
            assert_eq!(out, bytes);
        }
        let over = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        for bad in [&[][..], &[0x80], &[0x80, 0], &over, &[0x80; 11]] {
            assert_eq!(Fields(bad).varint(), None, "{bad:?}");
        }
        assert_eq!(Fields(&[0xff, 0xff, 0xff, 0xff, 0x1f]).varint32(), None);
        assert_eq!(Fields(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]).run(), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: u64, difference: i64, small in 0u64..1000) {
            let mut out = Vec::new();
            push_varint(&mut out, number);
            push_varint(&mut out, small);
            let mut fields = Fields(&out);
            prop_assert_eq!((fields.varint(), fields.varint(), fields.is_empty()), (Some(number), Some(small), true));
            prop_assert_eq!(unzigzag(zigzag(difference)), difference);
        }
    }
}
