//! Goal: whatever is asked in whatever order, the namespace is what the model says, and equal logs make equal tables.
//!
//! Method: random changes over few names, so that they meet; some are sent again, some trees are being taken out
//! meanwhile, sometimes the node is stored and loaded anew. After each step the answer is held against the model's, now
//! and then the whole tree. At the end the log is applied again, by a node that is never and one that is often stored.

use super::model::{Model, ModelName};
use super::*;
use crate::master::namespace::{UsageStep, UsageWalk, digest_of, list, lookup};
use crate::request::{List, Lookup, NameFacts, NameKind};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Change(Change),
    Again(usize),
    Drain(u32),
    Reload,
    Look(String),
    Pass(u64),
}

#[derive(Debug, Clone)]
enum Change {
    Commit { path: String, chunks: usize, parents: bool, condition: u8, modified_ms: Option<u64>, attributes: bool },
    Make(String, bool),
    Rename(String, String, bool, u8),
    Remove(String, bool, u8),
    Set(String, u8),
}

fn paths() -> impl Strategy<Value = String> {
    let name = prop_oneof!["a", "b", "c", "d!", "\u{e4}"];
    prop::collection::vec(name, 0..5).prop_map(|names| format!("/{}", names.join("/")))
}

fn changes() -> impl Strategy<Value = Change> {
    let commit = (paths(), 0usize..3, any::<bool>(), 0u8..12, prop::option::of(0u64..100), any::<bool>()).prop_map(
        |(path, chunks, parents, condition, modified_ms, attributes)| Change::Commit {
            path,
            chunks,
            parents,
            condition,
            modified_ms,
            attributes,
        },
    );
    prop_oneof![
        4 => commit,
        3 => (paths(), any::<bool>()).prop_map(|(path, parents)| Change::Make(path, parents)),
        3 => (paths(), paths(), any::<bool>(), 0u8..12).prop_map(|(a, b, c, d)| Change::Rename(a, b, c, d)),
        2 => (paths(), any::<bool>(), 0u8..12).prop_map(|(path, tree, condition)| Change::Remove(path, tree, condition)),
        1 => (paths(), 0u8..12).prop_map(|(path, condition)| Change::Set(path, condition)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => changes().prop_map(Step::Change),
        2 => (0usize..20).prop_map(Step::Again),
        2 => (1u32..4).prop_map(Step::Drain),
        1 => Just(Step::Reload),
        2 => paths().prop_map(Step::Look),
        2 => (0u64..1000).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..160)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_namespace_is_what_the_model_says(steps in steps()) {
        let mut node = Node::new();
        let mut model = Model::default();
        let mut sent: Vec<(Origin, Checked, Result<Changed, Status>)> = Vec::new();
        for step in steps {
            match step {
                Step::Change(change) => {
                    let change = checked(&mut node, &model, &change);
                    let want = model.change(&change, node.time_ms);
                    let id = node.id();
                    let made = node.change_as(id, change.clone());
                    prop_assert_eq!(made.map(|changed| changed.version), want, "{:?}", change);
                    sent.push((id, change, made));
                }
                Step::Again(back) => {
                    if let Some((id, change, ending)) = sent.iter().rev().nth(back) {
                        prop_assert_eq!(node.change_as(*id, change.clone()), *ending);
                    }
                }
                Step::Drain(names_max) => {
                    let before = node.names.facts().revision;
                    if let Some(removal) = node.names.removal_pending() {
                        node.run(Command::Drain { removal, names_max }).unwrap();
                    }
                    model.revision += node.names.facts().revision - before;
                }
                Step::Reload => {
                    node.stored();
                    let facts = node.names.facts();
                    node.names = Namespace::load(&node.table).unwrap();
                    prop_assert_eq!(node.names.facts(), facts);
                }
                Step::Look(at) => check_directory(&node, &model, &path(&at)),
                Step::Pass(ms) => node.time_ms += ms,
            }
        }
        finish(node, &model);
    }
}

fn checked(node: &mut Node, model: &Model, change: &Change) -> Checked {
    let condition = |at: &str, choice: u8| match choice {
        0 => Condition::Absent,
        1 => Condition::Version(3),
        2..=4 => model.names.get(at).map_or(Condition::Any, |name| Condition::Version(name.version)),
        _ => Condition::Any,
    };
    match change {
        Change::Commit { path: at, chunks, parents, condition: choice, modified_ms, attributes } => Checked::Commit {
            path: path(at),
            condition: condition(at, *choice),
            parents: *parents,
            modified_ms: *modified_ms,
            attributes: if *attributes { some_attributes() } else { Attributes::default() },
            size: *chunks as u64 * 1000,
            hash: ContentHash(7),
            chunks: (0..*chunks).map(|_| node.chunk()).collect(),
        },
        Change::Make(at, parents) => make(at, *parents),
        Change::Rename(from, to, replace, choice) => {
            let condition = condition(from, *choice);
            Checked::Rename { from: path(from), to: path(to), replace: *replace, condition }
        }
        Change::Remove(at, tree, choice) => {
            Checked::Remove { path: path(at), tree: *tree, condition: condition(at, *choice) }
        }
        Change::Set(at, choice) => set_attributes(at, condition(at, *choice), some_attributes()),
    }
}

fn some_attributes() -> Attributes {
    Attributes::of(&[(1, b"image/jpeg")]).unwrap()
}

fn check_directory(node: &Node, model: &Model, at: &NamePath) {
    let found = lookup(&node.table, &Lookup { path: at.clone(), chunk_first: 0, chunks_max: 9 }).unwrap();
    let is_directory = at.is_root() || model.names.get(at.as_str()).is_some_and(|name| name.file.is_none());
    match model.names.get(at.as_str()) {
        Some(name) => {
            let found = found.unwrap();
            check_facts(&found.facts, name);
            let attributes = name.file.as_ref().map(|file| file.2.clone()).unwrap_or_default();
            assert_eq!((found.attributes, found.chunks.len() as u32), (attributes, found.facts.chunks));
        }
        None => assert_eq!(found.is_ok(), at.is_root()),
    }
    let mut query = List { path: at.clone(), cursor: Bytes::new(), limit: 2 };
    let mut listed = Vec::new();
    loop {
        match list(&node.table, &query).unwrap() {
            Ok(page) => {
                assert!(is_directory && page.entries.len() <= 2);
                listed.extend(page.entries);
                query.cursor = page.cursor;
                if query.cursor.is_empty() {
                    break;
                }
            }
            Err(_) => return assert!(!is_directory, "{at} cannot be listed"),
        }
    }
    let want = model.list(at);
    assert_eq!(listed.len(), want.len(), "{at}");
    for ((name, facts), (want_name, want)) in listed.iter().zip(&want) {
        assert_eq!(name, want_name);
        check_facts(facts, want);
    }
}

fn check_facts(facts: &NameFacts, want: &ModelName) {
    let kind = if want.file.is_some() { NameKind::File } else { NameKind::Directory };
    let (size, modified_ms) = want.file.as_ref().map_or((0, want.created_ms), |file| (file.0, file.1));
    assert_eq!(
        (facts.kind, facts.version, facts.created_ms, facts.size, facts.modified_ms),
        (kind, want.version, want.created_ms, size, modified_ms)
    );
}

/// The whole tree is the model's, also when nothing is left to drain, and two replays come to the same.
fn finish(mut node: Node, model: &Model) {
    for at in model.names.keys().map(|name| path(name)).chain([NamePath::root()]) {
        check_directory(&node, model, &at);
    }
    node.drain(2);
    let mut walk = UsageWalk::begin(&node.table, &NamePath::root()).unwrap().unwrap();
    let usage = loop {
        match walk.step(&node.table, 3).unwrap() {
            UsageStep::More => {}
            UsageStep::Done(usage) => break (usage.files, usage.directories, usage.bytes),
            UsageStep::Refused(refusal) => panic!("{refusal:?}"),
        }
    };
    let facts = node.names.facts();
    assert_eq!(usage, model.usage(&NamePath::root()));
    assert_eq!((facts.files, facts.directories, facts.bytes), usage);
    check_chunks(&node, model);

    let (mut table, mut names) = replay(&node.log);
    names.store(&mut table);
    let stored = node.stored();
    assert_eq!(names.facts(), node.names.facts());
    assert_eq!(digest_of(&table).unwrap(), digest_of(&stored).unwrap());
    assert!(table == stored, "two replays made different tables");
}

/// Each chunk that was committed is in one file or on the to-do list, once.
fn check_chunks(node: &Node, model: &Model) {
    let due = crate::master::namespace::tombstones_due(&node.table, None, node.time_ms, 0, usize::MAX).unwrap();
    let mut buried: Vec<ObjectId> = due.into_iter().flat_map(|(_, ids)| ids).collect();
    assert_eq!(node.names.facts().tombstones_pending, buried.len() as u64);
    for name in model.names.keys() {
        let query = Lookup { path: path(name), chunk_first: 0, chunks_max: 9 };
        buried.extend(lookup(&node.table, &query).unwrap().unwrap().chunks);
    }
    let mut sequences: Vec<u64> = buried.iter().map(|id| id.sequence.0).collect();
    sequences.sort_unstable();
    let mut committed: Vec<u64> = Vec::new();
    let mut table = MapTable::default();
    let mut names = Namespace::load(&table).unwrap();
    for group in &node.log {
        for command in &group.commands {
            let made = names.apply(&mut table, command, group.time_ms, &mut Touched::default()).unwrap();
            if let (Command::Change { change: Checked::Commit { chunks, .. }, .. }, Ok(_)) = (command, made) {
                committed.extend(chunks.iter().map(|(id, _)| id.sequence.0));
            }
        }
    }
    committed.sort_unstable();
    // One that was sent again is told twice.
    committed.dedup();
    assert_eq!(sequences, committed);
}
