//! The names that the stores are filled with, as a checkpoint brings them: sorted batches of new names.

use larder::base::checksum::content_hash;
use std::cell::Cell;

/// Which names, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// 1,000 directories at a time, names ascending in each, a thousand in all.
    Tree,
    /// Random names over 100,000 directories.
    Random,
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key of a name: a tag, the inode of its directory, and 17 to 24 bytes of name.
pub fn key(pattern: Pattern, number: u64) -> Vec<u8> {
    let (directory, name) = match pattern {
        Pattern::Tree => {
            // Names come round the thousand directories of a generation.
            let (generation, within) = (number / 1_000_000, number % 1_000_000);
            let place = within / 1000;
            (generation * 1000 + within % 1000, format!("IMG_{place:06}-{:08x}.jpg", mix(number) >> 32))
        }
        Pattern::Random => {
            let random = mix(number);
            let length = 13 + usize::try_from(random >> 60).unwrap() % 8;
            let name = format!("{:016x}{:04x}", mix(random), number & 0xffff);
            (random % 100_000, format!("{}.jpg", &name[..length]))
        }
    };
    let mut key = vec![b'e'];
    key.extend_from_slice(&(directory + 2).to_be_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// The value of a name, 75 bytes: hash and cookie look random, the rest does not.
pub fn value(number: u64) -> Vec<u8> {
    let mut value = vec![1, 0, 1];
    value.extend_from_slice(&content_hash(&number.to_le_bytes()).0.to_le_bytes());
    value.extend_from_slice(&(10_000 + mix(number) % 90_000).to_le_bytes());
    value.extend_from_slice(&(1_790_000_000_000 + number / 100).to_le_bytes());
    value.extend_from_slice(&(1_790_000_000_000 + number / 100).to_le_bytes());
    value.extend_from_slice(&(u32::try_from(number >> 20).unwrap()).to_le_bytes());
    value.extend_from_slice(&number.to_le_bytes());
    value.extend_from_slice(&mix(!number).to_le_bytes());
    value.extend_from_slice(b"\x0aimage/jpeg");
    value.truncate(75);
    value.resize(75, 0);
    value
}

/// A batch: names from `first` on, sorted, and behind them the applied index.
pub fn batch(pattern: Pattern, first: u64, names: u64) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = (first..first + names).map(|number| (key(pattern, number), value(number))).collect();
    pairs.sort_unstable();
    pairs.push((b"z-applied".to_vec(), (first + names).to_le_bytes().to_vec()));
    pairs
}

/// Numbers that repeat.
pub struct Dice(Cell<u64>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(mix(seed)))
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.0.set(self.0.get().wrapping_add(1));
        mix(self.0.get()) % bound
    }
}
