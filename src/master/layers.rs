//! The state as it is now: changes in memory over what the store has.
//!
//! Written by the apply thread alone, read by any thread that may wait for the metadata disk, never by a processor. A
//! command's changes are published at once, so nobody sees half of them. Now and then the apply thread freezes what has
//! gathered, the checkpoint thread commits it to the store as one batch, and then it leaves memory.
//!
//! ```text
//! a transaction   the changes of the command that is applied now
//! active          published since the last freeze
//! frozen          on its way to the store, at most one
//! view            the last commit of the store
//! ```
//! Always: a key is looked for from top to bottom, and the first that knows it is right. Layers change places only under the
//! lock, which nobody holds while it waits for a disk.

use super::StateError;
use super::table::{StateStore, StateView, Table, TableMut, Visit};
use bytes::Bytes;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Changes by key; `None` removes.
type Changes = BTreeMap<Box<[u8]>, Option<Bytes>>;

/// What a change costs besides its bytes: its part of a node of the tree, and the heads of its two allocations.
const CHANGE_BYTES: usize = 80;

/// Changes that one step of a scan takes out of a layer: bounds how long the lock is held.
const SCAN_STEP: usize = 512;

/// Published changes.
#[derive(Debug, Default)]
pub struct Layer {
    changes: Changes,
    bytes: usize,
}

impl Layer {
    /// Bytes of memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many keys it changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes in ascending order of their keys, as [`StateStore::commit`] wants them.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|(key, value)| (&**key, value.as_deref()))
    }

    fn set(&mut self, key: Box<[u8]>, value: Option<Bytes>) {
        let bytes = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let (key_bytes, value_bytes) = (key.len(), bytes(&value));
        self.bytes += value_bytes;
        match self.changes.insert(key, value) {
            Some(before) => self.bytes -= bytes(&before),
            None => self.bytes += key_bytes + CHANGE_BYTES,
        }
    }
}

struct Stack {
    active: Layer,
    frozen: Option<Arc<Layer>>,
    view: Arc<dyn StateView>,
}

/// All layers.
pub struct Layers {
    stack: RwLock<Stack>,
    published: AtomicU64,
    moved: AtomicU64,
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layers").field("published", &self.published).field("moved", &self.moved).finish_non_exhaustive()
    }
}

impl Layers {
    /// No changes yet over the last commit of `store`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn new(store: &dyn StateStore) -> Result<Self, StateError> {
        let view = Arc::from(store.view()?);
        let stack = Stack { active: Layer::default(), frozen: None, view };
        Ok(Self { stack: RwLock::new(stack), published: AtomicU64::new(1), moved: AtomicU64::new(0) })
    }

    /// A number that grows with every publication. What is read after it was taken has at least what was published before.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// A number that grows whenever a directory was moved or detached. A path was resolved as it was at one moment if the
    /// number is the same before and after.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Acquire)
    }

    /// The changes of one command. Apply thread.
    #[must_use]
    pub fn begin(&self) -> Transaction<'_> {
        Transaction { layers: self, staged: Changes::new() }
    }

    /// Bytes of the active layer, and whether one is frozen.
    #[must_use]
    pub fn weight(&self) -> (usize, bool) {
        let stack = self.stack.read();
        (stack.active.bytes, stack.frozen.is_some())
    }

    /// Freezes what has gathered; `None` while another is frozen, or when there is nothing. Apply thread.
    #[must_use]
    pub fn freeze(&self) -> Option<Arc<Layer>> {
        let mut stack = self.stack.write();
        if stack.frozen.is_some() || stack.active.is_empty() {
            return None;
        }
        let frozen = Arc::new(std::mem::take(&mut stack.active));
        stack.frozen = Some(Arc::clone(&frozen));
        Some(frozen)
    }

    /// The frozen layer is in the store: its newest view takes its place. Checkpoint thread.
    ///
    /// # Errors
    /// Those of the store; the layers stay as they are.
    pub fn thaw(&self, store: &dyn StateStore) -> Result<(), StateError> {
        let view = Arc::from(store.view()?);
        let old = {
            let mut stack = self.stack.write();
            (std::mem::replace(&mut stack.view, view), stack.frozen.take())
        };
        // Dropped here, not under the lock: a layer of 64 MiB takes its time.
        drop(old);
        Ok(())
    }

    fn publish(&self, staged: Changes, directories_moved: bool) -> u64 {
        let mut stack = self.stack.write();
        for (key, value) in staged {
            stack.active.set(key, value);
        }
        if directories_moved {
            self.moved.fetch_add(1, Ordering::AcqRel);
        }
        self.published.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// One step of a scan: changes of both layers in `from..to`, the key before which they are complete (`None`: all of the
    /// range), and the view that belongs to them.
    fn step(&self, from: &[u8], to: &[u8]) -> (Changes, Option<Box<[u8]>>, Arc<dyn StateView>) {
        let stack = self.stack.read();
        let mut changes = Changes::new();
        let mut bound: Option<Box<[u8]>> = None;
        for layer in stack.frozen.as_deref().into_iter().chain([&stack.active]) {
            let range = (Bound::Included(from), Bound::Excluded(to));
            for (taken, (key, value)) in layer.changes.range::<[u8], _>(range).enumerate() {
                if taken == SCAN_STEP {
                    if bound.as_ref().is_none_or(|bound| key < bound) {
                        bound = Some(key.clone());
                    }
                    break;
                }
                changes.insert(key.clone(), value.clone());
            }
        }
        if let Some(bound) = &bound {
            changes.split_off(bound);
        }
        (changes, bound, Arc::clone(&stack.view))
    }
}

impl Table for Layers {
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        let view = {
            let stack = self.stack.read();
            if let Some(value) = stack.active.changes.get(key) {
                return Ok(value.clone());
            }
            if let Some(value) = stack.frozen.as_ref().and_then(|frozen| frozen.changes.get(key)) {
                return Ok(value.clone());
            }
            Arc::clone(&stack.view)
        };
        view.value(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StateError> {
        let mut from: Box<[u8]> = from.into();
        while *from < *to {
            let (changes, bound, view) = self.step(&from, to);
            let end = bound.as_deref().unwrap_or(to);
            if merged(&changes, &*view, &from, end, visit)?.is_break() {
                return Ok(());
            }
            match bound {
                Some(bound) => from = bound,
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Shows what `below` has in `from..to`, with `changes` over it.
fn merged(
    changes: &Changes,
    below: &(impl Table + ?Sized),
    from: &[u8],
    to: &[u8],
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>, StateError> {
    if from >= to {
        return Ok(ControlFlow::Continue(()));
    }
    let mut over = changes.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))).peekable();
    let mut flow = ControlFlow::Continue(());
    below.scan(from, to, &mut |key, value| {
        while let Some((changed, new)) = over.next_if(|(changed, _)| &***changed < key) {
            if let Some(new) = new {
                flow = visit(changed, new);
                flow?;
            }
        }
        flow = match over.next_if(|(changed, _)| &***changed == key) {
            Some((_, None)) => ControlFlow::Continue(()),
            Some((_, Some(new))) => visit(key, new),
            None => visit(key, value),
        };
        flow
    })?;
    if flow.is_continue() {
        for (changed, new) in over {
            if let Some(new) = new {
                flow = visit(changed, new);
                if flow.is_break() {
                    break;
                }
            }
        }
    }
    Ok(flow)
}

/// The changes of one command, seen by its own reads; dropped unless they are published.
#[derive(Debug)]
pub struct Transaction<'a> {
    layers: &'a Layers,
    staged: Changes,
}

impl Transaction<'_> {
    /// Makes the changes visible to everybody, all at once; the number is what [`Layers::published`] says from now on.
    pub fn publish(self, directories_moved: bool) -> u64 {
        self.layers.publish(self.staged, directories_moved)
    }
}

impl Table for Transaction<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        match self.staged.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.layers.value(key),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StateError> {
        merged(&self.staged, self.layers, from, to, visit).map(drop)
    }
}

impl TableMut for Transaction<'_> {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.staged.insert(key.into(), Some(value.into()));
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.staged.insert(key.into(), None);
    }
}

#[cfg(test)]
mod tests {
    //! Goal: whatever lies in which layer, reads see what a plain map would have.

    use super::*;
    use parking_lot::Mutex;
    use proptest::prelude::*;

    type Map = BTreeMap<Vec<u8>, Vec<u8>>;

    #[derive(Debug, Default)]
    struct PlainStore(Mutex<Arc<Map>>);

    #[derive(Debug)]
    struct PlainView(Arc<Map>);

    impl Table for PlainView {
        fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
            Ok(self.0.get(key).cloned().map(Bytes::from))
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

    impl StateView for PlainView {}

    impl StateStore for PlainStore {
        fn view(&self) -> Result<Box<dyn StateView>, StateError> {
            Ok(Box::new(PlainView(Arc::clone(&self.0.lock()))))
        }

        fn commit(&self, changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>) -> Result<(), StateError> {
            let mut map = Map::clone(&self.0.lock());
            let mut last: Option<Vec<u8>> = None;
            for (key, value) in changes {
                assert!(last.as_ref().is_none_or(|last| &**last < key), "keys ascend");
                last = Some(key.to_vec());
                match value {
                    Some(value) => drop(map.insert(key.to_vec(), value.to_vec())),
                    None => drop(map.remove(key)),
                }
            }
            *self.0.lock() = Arc::new(map);
            Ok(())
        }

        fn bytes(&self) -> u64 {
            0
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(u16, u8),
        Remove(u16),
        Publish,
        Abandon,
        Freeze,
        Thaw,
        Scan(u16, u16, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = || 0u16..2000;
        prop_oneof![
            8 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
            3 => key().prop_map(Step::Remove),
            4 => Just(Step::Publish),
            1 => Just(Step::Abandon),
            1 => Just(Step::Freeze),
            1 => Just(Step::Thaw),
            3 => (key(), key(), 0usize..3000).prop_map(|(from, to, count)| Step::Scan(from, to, count)),
        ]
    }

    fn all(table: &dyn Table, from: &[u8], to: &[u8], count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut seen = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            if seen.len() == count {
                return ControlFlow::Break(());
            }
            seen.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        table.scan(from, to, &mut visit).unwrap();
        seen
    }

    fn run(steps: Vec<Step>) {
        let store = PlainStore::default();
        let layers = Layers::new(&store).unwrap();
        let (mut model, mut staged) = (Map::new(), Map::new());
        staged.clone_from(&model);
        let mut transaction = layers.begin();
        let mut frozen = None;
        for step in steps {
            match step {
                Step::Put(key, value) => {
                    transaction.put(key.to_be_bytes().to_vec(), vec![value]);
                    staged.insert(key.to_be_bytes().to_vec(), vec![value]);
                }
                Step::Remove(key) => {
                    transaction.remove(key.to_be_bytes().to_vec());
                    staged.remove(&key.to_be_bytes()[..]);
                }
                Step::Publish => {
                    let before = layers.published();
                    assert!(transaction.publish(false) > before);
                    model.clone_from(&staged);
                    transaction = layers.begin();
                }
                Step::Abandon => {
                    staged.clone_from(&model);
                    transaction = layers.begin();
                }
                Step::Freeze => {
                    if frozen.is_none() {
                        frozen = layers.freeze();
                    } else {
                        assert!(layers.freeze().is_none(), "one at a time");
                    }
                }
                Step::Thaw => {
                    if let Some(layer) = frozen.take() {
                        store.commit(&mut layer.changes()).unwrap();
                        layers.thaw(&store).unwrap();
                    }
                }
                Step::Scan(from, to, count) => {
                    let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
                    for (table, map) in [(&layers as &dyn Table, &model), (&transaction, &staged)] {
                        let want = if from < to {
                            map.range(from.to_vec()..to.to_vec())
                                .take(count)
                                .map(|(key, value)| (key.clone(), value.clone()))
                                .collect()
                        } else {
                            Vec::new()
                        };
                        assert_eq!(all(table, &from, &to, count), want);
                        assert_eq!(table.value(&from).unwrap().as_deref(), map.get(&from[..]).map(|v| &**v));
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn layers_read_as_one_map(steps in proptest::collection::vec(step(), 0..400)) {
            run(steps);
        }
    }

    #[test]
    fn a_scan_of_many_changes_is_whole_and_in_order() {
        let mut steps: Vec<_> = (0..2000u16).map(|key| Step::Put(key, 1)).collect();
        steps.extend([Step::Publish, Step::Freeze]);
        steps.extend((0..2000u16).step_by(3).map(|key| Step::Put(key, 2)));
        steps.extend((0..2000u16).step_by(7).map(Step::Remove));
        steps.extend([Step::Publish, Step::Scan(0, 1999, 3000), Step::Thaw, Step::Scan(3, 1500, 3000)]);
        run(steps);
    }
}
