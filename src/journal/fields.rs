//! Little-endian fields at constant offsets.
//!
//! Any thread. Readers take an array of known length, so an offset that does not fit is a mistake in a constant and
//! shows in the first test; bytes from outside become such an array by `first_chunk`, which checks their length.

macro_rules! reader {
    ($name:ident, $type:ty) => {
        /// The little-endian number at `at`; `at` is a constant of a format and lies inside the array.
        #[must_use]
        pub fn $name<const N: usize>(bytes: &[u8; N], at: usize) -> $type {
            const WIDTH: usize = size_of::<$type>();
            let field = bytes.get(at..at + WIDTH).and_then(|field| field.first_chunk::<WIDTH>());
            <$type>::from_le_bytes(*field.expect("offsets of a format are constants inside its array"))
        }
    };
}

reader!(u16_at, u16);
reader!(u32_at, u32);
reader!(u64_at, u64);
reader!(u128_at, u128);

/// A fixed number of bytes that is filled field by field; what is not set stays zero.
#[derive(Debug, Clone, Copy)]
pub struct Fields<const N: usize>(pub [u8; N]);

impl<const N: usize> Default for Fields<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Fields<N> {
    /// Sets the bytes at `at`, a constant of a format.
    #[must_use]
    pub fn set(mut self, at: usize, field: &[u8]) -> Self {
        self.0[at..at + field.len()].copy_from_slice(field);
        self
    }

    /// Sets a byte.
    #[must_use]
    pub fn u8(self, at: usize, field: u8) -> Self {
        self.set(at, &[field])
    }

    /// Sets a 16-bit number.
    #[must_use]
    pub fn u16(self, at: usize, field: u16) -> Self {
        self.set(at, &field.to_le_bytes())
    }

    /// Sets a 32-bit number.
    #[must_use]
    pub fn u32(self, at: usize, field: u32) -> Self {
        self.set(at, &field.to_le_bytes())
    }

    /// Sets a 64-bit number.
    #[must_use]
    pub fn u64(self, at: usize, field: u64) -> Self {
        self.set(at, &field.to_le_bytes())
    }

    /// Sets a 128-bit number.
    #[must_use]
    pub fn u128(self, at: usize, field: u128) -> Self {
        self.set(at, &field.to_le_bytes())
    }
}
