//! Contents that are made from a key, and so can be checked by whoever knows it.

use crate::arguments::Sizes;
use bytes::Bytes;

/// The key of a payload: seed of the run, and number of the object in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub seed: u64,
    pub number: u64,
}

/// A sequence of numbers that look random (SplitMix64; Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    pub fn of(seed: u64, number: u64) -> Self {
        // Two rounds of mixing, so that neighbours share nothing.
        let mut numbers = Self(seed);
        let mixed = numbers.next();
        let mut numbers = Self(mixed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let start = numbers.next();
        Self(start)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

impl Key {
    /// The size of its payload.
    pub fn size(self, sizes: Sizes) -> usize {
        let choices = (sizes.high - sizes.low + 1) as u64;
        let over = Numbers::of(self.seed, !self.number).below(choices);
        sizes.low + usize::try_from(over).expect("below the largest object")
    }

    /// Its payload.
    pub fn payload(self, bytes: usize) -> Bytes {
        let mut numbers = Numbers::of(self.seed, self.number);
        let mut payload = Vec::with_capacity(bytes + 8);
        while payload.len() < bytes {
            payload.extend(numbers.next().to_le_bytes());
        }
        payload.truncate(bytes);
        payload.into()
    }
}

/// Compares bytes, as they come, with the payload of a key.
#[derive(Debug, Clone)]
pub struct Verifier {
    numbers: Numbers,
    /// The number that is partly compared, and how much of it.
    word: [u8; 8],
    used: usize,
    seen: usize,
    right: bool,
}

impl Verifier {
    pub fn new(key: Key) -> Self {
        Self { numbers: Numbers::of(key.seed, key.number), word: [0; 8], used: 8, seen: 0, right: true }
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        self.seen += bytes.len();
        while !bytes.is_empty() {
            if self.used == 8 {
                self.word = self.numbers.next().to_le_bytes();
                self.used = 0;
            }
            let (now, later) = bytes.split_at(bytes.len().min(8 - self.used));
            self.right &= self.word.get(self.used..self.used + now.len()) == Some(now);
            self.used += now.len();
            bytes = later;
        }
    }

    /// Whether exactly the payload of `bytes` bytes came.
    pub fn is_right(&self, bytes: usize) -> bool {
        self.right && self.seen == bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { seed: 7, number: 42 };

    #[test]
    fn a_payload_is_its_keys_and_no_others() {
        for bytes in [0, 1, 7, 8, 9, 4096, 100_001] {
            let payload = KEY.payload(bytes);
            assert_eq!(payload.len(), bytes);
            for step in [1, 3, 8, 4096] {
                let mut verifier = Verifier::new(KEY);
                payload.chunks(step).for_each(|chunk| verifier.update(chunk));
                assert!(verifier.is_right(bytes), "{bytes} by {step}");
                assert!(!verifier.is_right(bytes + 1));
            }
        }
        assert_ne!(KEY.payload(64), Key { seed: 7, number: 43 }.payload(64));
        assert_ne!(KEY.payload(64), Key { seed: 8, number: 42 }.payload(64));
    }

    #[test]
    fn one_wrong_bit_is_seen() {
        let payload = KEY.payload(1000);
        for place in [0, 500, 999] {
            let mut wrong = payload.to_vec();
            wrong[place] ^= 1;
            let mut verifier = Verifier::new(KEY);
            verifier.update(&wrong);
            assert!(!verifier.is_right(1000));
        }
    }

    #[test]
    fn sizes_stay_in_their_range_and_use_it() {
        let sizes = Sizes { low: 10, high: 19 };
        let mut seen = [false; 10];
        for number in 0..1000 {
            seen[Key { seed: 1, number }.size(sizes) - 10] = true;
        }
        assert_eq!(seen, [true; 10]);
    }
}
