//! Hot names: what was looked up lately, in memory, for the processors.
//!
//! Any thread; the shards are locked over memory only. Keyed by directory and name and walked one component at a time, so a
//! directory that many paths share is there once, and moving it leaves everything below it valid. Coherent with commits:
//! the apply thread forgets a name before its change is published, under the number that the publication will have; and an
//! insert says which publication it was read after, and is dropped if anything of its shard is forgotten under a later one. So
//! what was read before a change can never come in after it, and who saw a change elsewhere never sees here what was before.
//! Always: at most its capacity in bytes.

use crate::request::{NameStamps, Stamp};
use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use quick_cache::{Equivalent, Weighter};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shards, a power of two: with a few processors and one apply thread two seldom meet.
const SHARDS: usize = 64;
/// What an entry takes besides its bytes.
const ENTRY_BYTES: u64 = 128;
/// What the library is told to expect; a name with its entry takes about so much.
const TYPICAL_BYTES: u64 = 256;

/// What a cached value takes.
pub trait Weight {
    /// Bytes, besides those of the value itself.
    fn bytes(&self) -> usize;
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    hash: u64,
    directory: u64,
    name: Box<str>,
}

/// A name that is asked for, hashed once for the shard and the place in it.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    hash: u64,
    directory: u64,
    name: &'a str,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.hash == key.hash && self.directory == key.directory && *self.name == *key.name
    }
}

/// Keys bring their hashes along, made with a secret.
#[derive(Debug, Clone, Copy, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys write their hash, which is a number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type ByHash = BuildHasherDefault<Hashed>;

#[derive(Clone)]
struct ByBytes;

impl<V: Weight> Weighter<Key, V> for ByBytes {
    fn weight(&self, key: &Key, value: &V) -> u64 {
        (key.name.len() + value.bytes()) as u64 + ENTRY_BYTES
    }
}

struct Shard<V> {
    cache: Option<Cache<Key, V, ByBytes, ByHash>>,
    /// The publication at which something of it was forgotten last.
    forgotten: u64,
}

/// The cache.
pub struct HotNames<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    stamps: Arc<NameStamps>,
    hasher: RandomState,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<V> std::fmt::Debug for HotNames<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HotNames").field("hits", &self.hits).field("misses", &self.misses).finish_non_exhaustive()
    }
}

impl<V: Weight + Clone> HotNames<V> {
    /// A cache of so many bytes; 0 is none.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        let hasher = RandomState::new();
        let share = capacity_bytes / SHARDS as u64;
        let shard = |_| {
            let items = usize::try_from(share / TYPICAL_BYTES).unwrap_or(usize::MAX).max(1);
            let cache = || Cache::with(items, share, ByBytes, ByHash::default(), Default::default());
            Mutex::new(Shard { cache: (share > 0).then(cache), forgotten: 0 })
        };
        let shards = (0..SHARDS).map(shard).collect();
        Self { shards, stamps: Arc::default(), hasher, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// What `name` in `directory` leads to, if it is here.
    pub fn get(&self, directory: u64, name: &str) -> Option<V> {
        let asked = self.asked(directory, name);
        self.shard(asked).lock().cache.as_mut()?.get(&asked).cloned()
    }

    /// The marks by which others see whether names were changed.
    #[must_use]
    pub fn stamps(&self) -> &Arc<NameStamps> {
        &self.stamps
    }

    /// What `see` makes of what `name` in `directory` leads to, if it is here. The shard is locked meanwhile. The name is
    /// added to the stamp, if there is one and it has room; else there is none any more.
    pub fn look<R>(
        &self,
        directory: u64,
        name: &str,
        stamp: &mut Option<Stamp>,
        see: impl FnOnce(&V) -> R,
    ) -> Option<R> {
        let asked = self.asked(directory, name);
        if !stamp.as_mut().is_some_and(|stamp| stamp.add(asked.hash)) {
            *stamp = None;
        }
        self.shard(asked).lock().cache.as_mut()?.get(&asked).map(see)
    }

    /// Keeps what was read after `published` was the number of the last publication.
    pub fn insert(&self, directory: u64, name: &str, value: V, published: u64) {
        let asked = self.asked(directory, name);
        let mut shard = self.shard(asked).lock();
        if shard.forgotten > published {
            return;
        }
        if let Some(cache) = &mut shard.cache {
            cache.insert(Key { hash: asked.hash, directory, name: name.into() }, value);
        }
    }

    /// Forgets a name that the publication `published`, which comes next, will change. Apply thread.
    pub fn forget(&self, directory: u64, name: &str, published: u64) {
        let asked = self.asked(directory, name);
        self.stamps.change(asked.hash, published);
        let mut shard = self.shard(asked).lock();
        shard.forgotten = shard.forgotten.max(published);
        if let Some(cache) = &mut shard.cache {
            cache.remove(&asked);
        }
    }

    /// Counts a lookup that was answered from here, or was not.
    pub fn count(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Lookups that were answered from here, and those that were not.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// Names that are here, and their bytes.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        self.shards.iter().fold((0, 0), |(names, bytes), shard| {
            let shard = shard.lock();
            let size = shard.cache.as_ref().map_or((0, 0), |cache| (cache.len(), cache.weight()));
            (names + size.0, bytes + size.1)
        })
    }

    fn asked<'a>(&self, directory: u64, name: &'a str) -> Asked<'a> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(directory);
        hasher.write(name.as_bytes());
        Asked { hash: hasher.finish(), directory, name }
    }

    fn shard(&self, asked: Asked<'_>) -> &Mutex<Shard<V>> {
        // The low bits choose the place inside a shard, the highest ones tell its neighbours apart.
        let number = (asked.hash >> 32) as usize % SHARDS;
        self.shards.get(number).expect("a remainder is below the number of shards")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weight for u32 {
        fn bytes(&self) -> usize {
            0
        }
    }

    #[test]
    fn what_was_read_before_a_change_does_not_come_in_after_it() {
        let hot = HotNames::new(1 << 20);
        hot.insert(1, "a", 10u32, 5);
        assert_eq!(hot.get(1, "a"), Some(10));
        assert_eq!((hot.get(2, "a"), hot.get(1, "b")), (None, None));
        hot.forget(1, "a", 7);
        assert_eq!(hot.get(1, "a"), None);
        // Read before the change was published, and late.
        hot.insert(1, "a", 10, 6);
        assert_eq!(hot.get(1, "a"), None);
        hot.insert(1, "a", 11, 7);
        assert_eq!(hot.get(1, "a"), Some(11));
        // Forgetting in any order never opens the door to what is older.
        hot.forget(1, "a", 9);
        hot.forget(1, "a", 8);
        hot.insert(1, "a", 11, 8);
        assert_eq!(hot.get(1, "a"), None);
    }

    #[test]
    fn between_forgetting_and_publication_nothing_old_comes_in() {
        let hot = HotNames::new(1 << 20);
        hot.insert(1, "a", 10u32, 6);
        // Publication 7 is about to come: what was read after 6 may be the old or the new, and is not kept.
        hot.forget(1, "a", 7);
        hot.insert(1, "a", 10, 6);
        assert_eq!(hot.get(1, "a"), None);
        hot.insert(1, "a", 11, 7);
        assert_eq!(hot.get(1, "a"), Some(11));
    }

    #[test]
    fn it_keeps_to_its_bytes() {
        let hot = HotNames::new(1 << 20);
        for number in 0..100_000u32 {
            hot.insert(u64::from(number % 7), &format!("name-{number}"), number, 0);
        }
        let (names, bytes) = hot.size();
        assert!(names > 1000 && bytes <= 1 << 20, "{names} names, {bytes} bytes");
        let none = HotNames::new(0);
        none.insert(1, "a", 1u32, 0);
        assert_eq!((none.get(1, "a"), none.size()), (None, (0, 0)));
    }
}
