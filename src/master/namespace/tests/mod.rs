//! The namespace as a whole: a table in memory, a node that applies commands to it, and a model to hold it against.

mod bad_input;
mod cost;
mod model;
mod random;
mod reading;
mod removing;
mod sessions;
mod snapshot;

use super::{Namespace, Touched, apply_group};
use crate::base::ids::{ContentHash, Cookie, ObjectId, Origin, Sequence, VolumeId};
use crate::base::path::NamePath;
use crate::master::StateError;
use crate::master::command::{Checked, Command, Group};
use crate::master::table::{Table, TableMut, Visit};
use crate::request::{Attributes, Changed, Condition, NameAnswer, Refusal, Status};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A table in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MapTable(BTreeMap<Vec<u8>, Bytes>);

impl Table for MapTable {
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StateError> {
        for (key, value) in self.0.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl TableMut for MapTable {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, value.into());
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.0.remove(&key);
    }
}

/// A namespace with its table and the log that made it.
#[derive(Debug)]
struct Node {
    table: MapTable,
    names: Namespace,
    time_ms: u64,
    log: Vec<Group>,
    touched: Touched,
    session: u64,
    number: u64,
    sequence: u64,
}

impl Node {
    fn new() -> Self {
        let table = MapTable::default();
        let names = Namespace::load(&table).unwrap();
        let (log, touched) = (Vec::new(), Touched::default());
        let mut node = Self { table, names, time_ms: 1_000_000, log, touched, session: 0, number: 0, sequence: 0 };
        let NameAnswer::Session(session) = node.run(Command::OpenSession).unwrap() else { panic!("no session") };
        node.session = session.session;
        node
    }

    /// One command as a group of its own.
    fn run(&mut self, command: Command) -> Result<NameAnswer, Refusal> {
        let group = Group { time_ms: self.time_ms, commands: vec![command] };
        let bytes = group.encode();
        self.log.push(group);
        self.touched = Touched::default();
        let (index, term) = (self.names.applied().0 + 1, 1);
        apply_group(&mut self.names, &mut self.table, &bytes, (index, term), &mut self.touched).unwrap().remove(0)
    }

    fn id(&mut self) -> Origin {
        self.number += 1;
        Origin { session: self.session, number: self.number }
    }

    fn change_as(&mut self, id: Origin, change: Checked) -> Result<Changed, Status> {
        match self.run(Command::Change { id, change }) {
            Ok(NameAnswer::Changed(changed)) => Ok(changed),
            Ok(answer) => panic!("{answer:?} is no receipt"),
            Err(refusal) => Err(refusal.status),
        }
    }

    fn change(&mut self, change: Checked) -> Result<Changed, Status> {
        let id = self.id();
        self.change_as(id, change)
    }

    /// A chunk that was put under the next number.
    fn chunk(&mut self) -> (ObjectId, u64) {
        let number = self.id().number;
        self.sequence += 1;
        (ObjectId { volume: VolumeId(1), sequence: Sequence(self.sequence), cookie: Cookie(9) }, number)
    }

    fn create(&mut self, name: &str) -> Result<Changed, Status> {
        let chunk = self.chunk();
        self.change(commit(name, 100, vec![chunk]))
    }

    fn make(&mut self, name: &str) -> Result<Changed, Status> {
        self.change(make(name, false))
    }

    fn remove(&mut self, name: &str, tree: bool) -> Result<Changed, Status> {
        self.change(remove(name, tree))
    }

    fn rename(&mut self, from: &str, to: &str, replace: bool) -> Result<Changed, Status> {
        self.change(rename(from, to, replace))
    }

    /// Takes removed trees out, so many names at a time, until nothing is left of them.
    fn drain(&mut self, names_max: u32) {
        while let Some(removal) = self.names.removal_pending() {
            self.run(Command::Drain { removal, names_max }).unwrap();
        }
    }

    /// The table as a checkpoint would have it.
    fn stored(&mut self) -> MapTable {
        self.names.store(&mut self.table);
        self.table.clone()
    }
}

fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

fn commit(name: &str, size: u64, chunks: Vec<(ObjectId, u64)>) -> Checked {
    Checked::Commit {
        path: path(name),
        condition: Condition::Any,
        parents: false,
        modified_ms: None,
        attributes: Attributes::default(),
        size,
        hash: ContentHash(u128::from(size) + 1),
        chunks,
    }
}

fn make(name: &str, parents: bool) -> Checked {
    Checked::MakeDirectory { path: path(name), parents }
}

fn remove(name: &str, tree: bool) -> Checked {
    Checked::Remove { path: path(name), tree, condition: Condition::Any }
}

fn rename(from: &str, to: &str, replace: bool) -> Checked {
    Checked::Rename { from: path(from), to: path(to), replace, condition: Condition::Any }
}

fn set_attributes(name: &str, condition: Condition, attributes: Attributes) -> Checked {
    Checked::SetAttributes { path: path(name), condition, attributes }
}

/// Applies a whole log anew.
fn replay(log: &[Group]) -> (MapTable, Namespace) {
    let mut table = MapTable::default();
    let mut names = Namespace::load(&table).unwrap();
    for (group, index) in log.iter().zip(1..) {
        apply_group(&mut names, &mut table, &group.encode(), (index, 1), &mut Touched::default()).unwrap();
    }
    (table, names)
}
