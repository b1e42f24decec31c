//! The counters of the namespace, in one record.
//!
//! Owned by the apply thread; readers see the record as it was last stored. Always: what was read is written back the
//! same; an empty table is a new namespace, whose root has inode 1.
//!
//! ```text
//! value:  version u8 = 1 | index | term | revision | next inode | next session | next removal | time_ms | files
//!         | directories | bytes | tombstones | sessions forgotten early | digest 16      (numbers are varints)
//! ```

use crate::master::StateError;
use crate::master::fields::{Fields, push_varint};

const VERSION: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub index: u64,
    pub term: u64,
    /// It grows by one with each change that was made.
    pub revision: u64,
    pub next_inode: u64,
    pub next_session: u64,
    pub next_removal: u64,
    /// The time of the last group.
    pub time_ms: u64,
    pub files: u64,
    /// The root not counted.
    pub directories: u64,
    pub bytes: u64,
    /// Object ids on the to-do list of tombstones.
    pub tombstones: u64,
    pub sessions_forgotten_early: u64,
    pub digest: u128,
}

impl Meta {
    pub fn new() -> Self {
        Self {
            index: 0,
            term: 0,
            revision: 0,
            next_inode: 2,
            next_session: 1,
            next_removal: 1,
            time_ms: 0,
            files: 0,
            directories: 0,
            bytes: 0,
            tombstones: 0,
            sessions_forgotten_early: 0,
            digest: 0,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for number in self.numbers() {
            push_varint(&mut out, number);
        }
        out.extend_from_slice(&self.digest.to_le_bytes());
        out
    }

    pub fn decode(value: &[u8]) -> Result<Self, StateError> {
        let damaged = |what| StateError::damaged("the meta record of the metadata state", what);
        match value.first() {
            Some(&VERSION) => Self::parse(&mut Fields(value)).ok_or_else(|| damaged("its fields are none".to_string())),
            Some(version) => Err(damaged(format!("its version is {version}, and {VERSION} is known here"))),
            None => Err(damaged("it is empty".to_string())),
        }
    }

    fn numbers(&self) -> [u64; 12] {
        [
            self.index,
            self.term,
            self.revision,
            self.next_inode,
            self.next_session,
            self.next_removal,
            self.time_ms,
            self.files,
            self.directories,
            self.bytes,
            self.tombstones,
            self.sessions_forgotten_early,
        ]
    }

    fn parse(fields: &mut Fields<'_>) -> Option<Self> {
        let _version = fields.byte()?;
        let meta = Self {
            index: fields.varint()?,
            term: fields.varint()?,
            revision: fields.varint()?,
            next_inode: fields.varint()?,
            next_session: fields.varint()?,
            next_removal: fields.varint()?,
            time_ms: fields.varint()?,
            files: fields.varint()?,
            directories: fields.varint()?,
            bytes: fields.varint()?,
            tombstones: fields.varint()?,
            sessions_forgotten_early: fields.varint()?,
            digest: fields.u128()?,
        };
        fields.is_empty().then_some(meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let meta = Meta { index: 300, time_ms: 128, digest: 0x0102, ..Meta::new() };
        let mut want = vec![1, 0xac, 2, 0, 0, 2, 1, 1, 0x80, 1, 0, 0, 0, 0, 0, 2, 1];
        want.extend([0; 14]);
        assert_eq!(meta.encode(), want);
        assert_eq!(Meta::decode(&want).unwrap(), meta);
        assert!((0..want.len()).all(|cut| Meta::decode(&want[..cut]).is_err()));
        assert!(Meta::decode(&[&want[..], &[0]].concat()).is_err() && Meta::decode(&[2]).is_err());
    }
}
