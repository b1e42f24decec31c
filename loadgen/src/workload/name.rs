//! Names of objects, for stores that take ours.
//!
//! A worker's thread. Always: one key has one name, another key another.

use super::Key;
use std::io::Write as _;

/// Adds the name of a key: `k<seed>-<number>`, each of 16 lower-case hexadecimal digits.
pub fn name(key: Key, into: &mut Vec<u8>) {
    write!(into, "k{:016x}-{:016x}", key.seed, key.number).expect("a vector takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_its_key() {
        let mut text = b"/".to_vec();
        name(Key { seed: 0xab, number: u64::MAX }, &mut text);
        assert_eq!(text, b"/k00000000000000ab-ffffffffffffffff");
    }
}
