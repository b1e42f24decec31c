//! The names of a disk: those seen now, those a power cut leaves, and the changes between them in order.
//!
//! Always: an inode has at most one name in either map.

use super::dice::Dice;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default)]
pub struct Directory {
    live: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Create { name: String, inode: u64 },
    Rename { from: String, to: String, inode: u64 },
    Remove { name: String, inode: u64 },
}

impl Directory {
    pub fn inode(&self, name: &str) -> Option<u64> {
        self.live.get(name).copied()
    }

    pub fn names(&self) -> impl Iterator<Item = (&str, u64)> {
        self.live.iter().map(|(name, inode)| (name.as_str(), *inode))
    }

    /// Whether a name leads to it now.
    pub fn has(&self, inode: u64) -> bool {
        self.live.values().any(|named| *named == inode)
    }

    /// Whether a name leads to it now or could after a power cut.
    pub fn may_have(&self, inode: u64) -> bool {
        let waits = |change: &Change| match change {
            Change::Create { inode: named, .. } | Change::Rename { inode: named, .. } => *named == inode,
            Change::Remove { .. } => false,
        };
        self.has(inode) || self.durable.values().any(|named| *named == inode) || self.changes.iter().any(waits)
    }

    pub fn create(&mut self, name: &str, inode: u64) {
        self.change(Change::Create { name: name.to_owned(), inode });
    }

    /// False if there is no such name.
    #[must_use]
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(inode) = self.inode(from) else {
            return false;
        };
        if from != to {
            let (from, to) = (from.to_owned(), to.to_owned());
            self.change(Change::Rename { from, to, inode });
        }
        true
    }

    /// False if there is no such name.
    #[must_use]
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(inode) = self.inode(name) else {
            return false;
        };
        self.change(Change::Remove { name: name.to_owned(), inode });
        true
    }

    pub fn sync(&mut self) {
        self.durable.clone_from(&self.live);
        self.changes.clear();
    }

    /// What a power cut leaves: of the changes since the last sync, none, or what the dice keep.
    ///
    /// A change whose forerunner was not kept cannot be either.
    pub fn crashed(&self, dice: Option<&mut Dice>) -> Self {
        let mut left = self.durable.clone();
        if let Some(dice) = dice {
            let odds = dice.odds();
            for change in &self.changes {
                if dice.keeps(odds) {
                    change.apply(&mut left);
                }
            }
        }
        Self { live: left.clone(), durable: left, changes: Vec::new() }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.changes.push(change);
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create { name, inode } => {
                names.entry(name.clone()).or_insert(*inode);
            }
            Self::Rename { from, to, inode } if names.get(from) == Some(inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Remove { name, inode } if names.get(name) == Some(inode) => {
                names.remove(name);
            }
            Self::Rename { .. } | Self::Remove { .. } => {}
        }
    }
}
