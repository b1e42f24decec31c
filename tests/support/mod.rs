//! What several test files share: raw connections, a reactor without disks, waiting for a condition.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

pub mod files;
pub mod forge;
pub mod front;
pub mod http;
pub mod ledger;
pub mod load;
pub mod node;
pub mod process;
pub mod raw;
pub mod reactor;
pub mod web;

use std::time::{Duration, Instant};

/// Waits until `condition` holds; fails the test if it does not within a minute.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let ends = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < ends, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Bytes that look random and depend on `seed` alone.
pub fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut all = Vec::with_capacity(bytes + 8);
    while all.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend(state.to_le_bytes());
    }
    all.truncate(bytes);
    all
}
