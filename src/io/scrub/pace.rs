//! How fast a pass goes, and how far it is. Pure.

/// A small disk is done early rather than read in drops: at least a piece a second.
pub(super) const BYTES_PER_S_MIN: u64 = 1 << 20;

pub(super) fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(100).min(100)
}

/// Bytes a second with which so many bytes are read in so many milliseconds, within bounds.
pub(super) fn pace(left: u64, left_ms: u128, most: u64) -> u64 {
    let needed = (u128::from(left) * 1000).div_ceil(left_ms.max(1));
    u64::try_from(needed).unwrap_or(u64::MAX).max(BYTES_PER_S_MIN).min(most)
}
