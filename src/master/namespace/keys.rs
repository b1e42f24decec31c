//! The keys of the table.
//!
//! Any thread; pure. Always: numbers in keys are most significant byte first, so that the order of bytes is that of the
//! numbers, and the names of a directory lie together in the order of their bytes.
//!
//! ```text
//! [0]                                             the meta record
//! [1][directory inode u64][name]                  what a name leads to
//! [3][session u64]                                a session, open or closed
//! [5][since_ms u64][version u64][part u32]        tombstones to write
//! [6][removal u64]                                a removal of a tree
//! [7][removal u64][complement of the inode u64]   a directory that the removal has not emptied yet
//! ```

use crate::master::command::TombstoneKey;

pub(super) const META: [u8; 1] = [0];
const NAMES: u8 = 1;
const SESSIONS: u8 = 3;
const TOMBSTONES: u8 = 5;
const REMOVALS: u8 = 6;
const WORK: u8 = 7;

/// Above all keys.
pub(super) const END: [u8; 1] = [u8::MAX];

/// Bytes of a key of a name, in front of the name.
const NAME_AT: usize = 9;

/// The key of a name.
#[must_use]
pub fn name_key(directory: u64, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(NAME_AT + name.len());
    key.push(NAMES);
    key.extend_from_slice(&directory.to_be_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// The directory and the name of such a key; `None` for keys of other kinds.
#[must_use]
pub fn parts_of_name_key(key: &[u8]) -> Option<(u64, &str)> {
    let (kind, rest) = key.split_first()?;
    let (directory, name) = rest.split_first_chunk()?;
    (*kind == NAMES).then_some((u64::from_be_bytes(*directory), std::str::from_utf8(name).ok()?))
}

/// The name of such a key.
pub(super) fn name_of(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(NAME_AT..)?).ok()
}

/// Where the names of a directory begin: behind `after`, or at the first for an empty one; and where they end.
pub(super) fn names_from(directory: u64, after: &str) -> (Vec<u8>, Vec<u8>) {
    let mut from = name_key(directory, after);
    if !after.is_empty() {
        // No name has a zero in it, so nothing lies between a name and this.
        from.push(0);
    }
    (from, end_of(NAMES, directory))
}

fn end_of(kind: u8, number: u64) -> Vec<u8> {
    match number.checked_add(1) {
        Some(next) => of_number(kind, next),
        None => vec![kind + 1],
    }
}

fn of_number(kind: u8, number: u64) -> Vec<u8> {
    [&[kind][..], &number.to_be_bytes()].concat()
}

fn number_of(key: &[u8]) -> Option<u64> {
    key.get(1..).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes)
}

pub(super) fn session_key(session: u64) -> Vec<u8> {
    of_number(SESSIONS, session)
}

pub(super) fn session_of(key: &[u8]) -> Option<u64> {
    number_of(key)
}

pub(super) const SESSIONS_ALL: ([u8; 1], [u8; 1]) = ([SESSIONS], [SESSIONS + 1]);

pub(super) fn tombstone_key(key: TombstoneKey) -> Vec<u8> {
    [&[TOMBSTONES][..], &key.since_ms.to_be_bytes(), &key.version.to_be_bytes(), &key.part.to_be_bytes()].concat()
}

pub(super) fn tombstone_of(key: &[u8]) -> Option<TombstoneKey> {
    let (since_ms, rest) = key.get(1..)?.split_first_chunk()?;
    let (version, part) = rest.split_first_chunk()?;
    Some(TombstoneKey {
        since_ms: u64::from_be_bytes(*since_ms),
        version: u64::from_be_bytes(*version),
        part: u32::from_be_bytes(part.try_into().ok()?),
    })
}

/// From the first tombstone to those of `until_ms`, and of later times no one.
pub(super) fn tombstones_until(until_ms: u64) -> ([u8; 1], Vec<u8>) {
    ([TOMBSTONES], end_of(TOMBSTONES, until_ms))
}

pub(super) fn removal_key(removal: u64) -> Vec<u8> {
    of_number(REMOVALS, removal)
}

pub(super) fn removal_of(key: &[u8]) -> Option<u64> {
    number_of(key)
}

pub(super) const REMOVALS_ALL: ([u8; 1], [u8; 1]) = ([REMOVALS], [REMOVALS + 1]);

/// Directories that were found last come first: their list stays short for deep trees.
pub(super) fn work_key(removal: u64, inode: u64) -> Vec<u8> {
    [&[WORK][..], &removal.to_be_bytes(), &(!inode).to_be_bytes()].concat()
}

pub(super) fn work_of(key: &[u8]) -> Option<u64> {
    key.get(9..).and_then(|inode| inode.try_into().ok()).map(|inode| !u64::from_be_bytes(inode))
}

pub(super) fn work_all(removal: u64) -> (Vec<u8>, Vec<u8>) {
    (of_number(WORK, removal), end_of(WORK, removal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(name_key(0x0102, "a.jpg"), b"\x01\0\0\0\0\0\0\x01\x02a.jpg");
        assert_eq!(session_key(7), b"\x03\0\0\0\0\0\0\0\x07");
        let key = TombstoneKey { since_ms: 0x0100, version: 2, part: 3 };
        assert_eq!(tombstone_key(key), b"\x05\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x02\0\0\0\x03");
        assert_eq!(removal_key(9), b"\x06\0\0\0\0\0\0\0\x09");
        assert_eq!(work_key(9, 1), b"\x07\0\0\0\0\0\0\0\x09\xff\xff\xff\xff\xff\xff\xff\xfe");
    }

    #[test]
    fn keys_lead_back() {
        let key = TombstoneKey { since_ms: 1 << 40, version: u64::MAX, part: 3 };
        assert_eq!(tombstone_of(&tombstone_key(key)), Some(key));
        assert_eq!(tombstone_of(&tombstone_key(key)[..20]), None);
        assert_eq!((session_of(&session_key(5)), removal_of(&removal_key(6))), (Some(5), Some(6)));
        assert_eq!((work_of(&work_key(5, 77)), work_of(b"\x07")), (Some(77), None));
        assert_eq!((name_of(&name_key(1, "\u{e4}")), name_of(b"\x01\0\0\0\0\0\0\0\0\xff")), (Some("\u{e4}"), None));
    }

    #[test]
    fn ranges_hold_the_names_of_one_directory() {
        let (from, to) = names_from(5, "b");
        for (directory, name, inside) in
            [(5, "a", false), (5, "b", false), (5, "b!", true), (5, "c", true), (6, "c", false)]
        {
            let key = name_key(directory, name);
            assert_eq!(from <= key && key < to, inside, "{name} of {directory}");
        }
        let (from, to) = names_from(u64::MAX, "");
        assert!(from < to && name_key(u64::MAX, "\u{10ffff}") < to);
        assert!(tombstones_until(u64::MAX).1 > tombstone_key(TombstoneKey { since_ms: u64::MAX, version: 1, part: 0 }));
    }
}
