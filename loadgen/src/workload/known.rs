//! The objects that are known, in the order in which they became so.
//!
//! A worker's thread. Always: an object takes 40 bytes; what was taken out is marked and left where it is until half of
//! the table is such, so places mean the same for a long time; whoever kept one finds out by the key if they do not. The
//! last of the table is there.

use super::{Key, Object};
use larder::base::ids::{Cookie, ObjectId, Sequence, VolumeId};

const HAS_ID: u32 = 1 << 31;
const IS_GONE: u32 = 1 << 30;
/// Below, sweeping would be most of the work.
const SWEPT_LEN_MIN: usize = 64;

/// The objects that are known.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: Vec<Entry>,
    gone: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Key,
    sequence: u64,
    cookie: u64,
    volume: u32,
    /// Bytes of content, and marks.
    bytes: u32,
}

const _: () = assert!(size_of::<Entry>() == 40);
const _: () = assert!(super::sizes::OBJECT_BYTES_MAX < IS_GONE as u64);

impl Known {
    /// Adds an object at the end.
    pub(super) fn push(&mut self, object: &Object) {
        assert!(u32::try_from(self.entries.len()).is_ok(), "four thousand million objects fit in no memory");
        self.entries.push(Entry::of(object));
    }

    /// The object at a place, if it is still there.
    pub(super) fn at(&self, place: u32) -> Option<Object> {
        let entry = self.entries.get(place as usize)?;
        (entry.bytes & IS_GONE == 0).then(|| entry.object())
    }

    /// Takes out the object at a place.
    pub(super) fn take(&mut self, place: u32) {
        let entry = self.entries.get_mut(place as usize).expect("a place that was just drawn");
        assert_eq!(entry.bytes & IS_GONE, 0, "an object is taken out once");
        entry.bytes |= IS_GONE;
        self.gone += 1;
        // Whoever asks for the newest would draw in vain for long.
        while self.entries.last().is_some_and(|entry| entry.bytes & IS_GONE != 0) {
            self.entries.pop();
            self.gone -= 1;
        }
    }

    /// Brings back what was taken out: where it was, or else at the end.
    pub(super) fn bring_back(&mut self, place: u32, object: &Object) {
        match self.entries.get_mut(place as usize) {
            Some(entry) if entry.key == object.key && entry.bytes & IS_GONE != 0 => {
                entry.bytes &= !IS_GONE;
                self.gone -= 1;
            }
            _ => self.push(object),
        }
    }

    /// Whether an object is there that was at `place` once.
    pub(super) fn holds(&self, place: u32, key: Key) -> bool {
        if let Some(entry) = self.entries.get(place as usize).filter(|entry| entry.key == key) {
            return entry.bytes & IS_GONE == 0;
        }
        // It was moved or dropped since, which is rare; and answers of this kind are too.
        self.entries.iter().any(|entry| entry.key == key && entry.bytes & IS_GONE == 0)
    }

    /// Forgets what was taken out, if that is half of the table.
    pub(super) fn sweep(&mut self) {
        if self.entries.len() >= SWEPT_LEN_MIN && self.gone * 2 > self.entries.len() {
            self.entries.retain(|entry| entry.bytes & IS_GONE == 0);
            self.gone = 0;
        }
    }

    /// Places, with those of objects that were taken out.
    pub(super) fn places(&self) -> u32 {
        u32::try_from(self.entries.len()).expect("asserted at each push")
    }

    /// Objects that are there.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.gone
    }
}

impl Entry {
    fn of(object: &Object) -> Self {
        let bytes = u32::try_from(object.bytes).ok().filter(|bytes| *bytes < IS_GONE);
        let bytes = bytes.expect("sizes and ledgers keep to the largest object");
        let (volume, sequence, cookie) = object.id.map_or((0, 0, 0), |id| (id.volume.0, id.sequence.0, id.cookie.0));
        Self { key: object.key, sequence, cookie, volume, bytes: bytes | if object.id.is_some() { HAS_ID } else { 0 } }
    }

    fn object(&self) -> Object {
        let id =
            ObjectId { volume: VolumeId(self.volume), sequence: Sequence(self.sequence), cookie: Cookie(self.cookie) };
        let bytes = u64::from(self.bytes & !(HAS_ID | IS_GONE));
        Object { key: self.key, bytes, id: (self.bytes & HAS_ID != 0).then_some(id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(number: u64) -> Object {
        Object { key: Key { seed: 1, number }, bytes: number * 10, id: None }
    }

    #[test]
    fn objects_are_kept_whole() {
        let id = "3-1f-00c0ffee00c0ffee".parse().unwrap();
        let mut known = Known::default();
        let objects = [
            Object { key: Key { seed: u64::MAX, number: u64::MAX }, bytes: 0, id: Some(id) },
            Object { key: Key { seed: 0, number: 0 }, bytes: 512 << 20, id: None },
        ];
        objects.iter().for_each(|object| known.push(object));
        assert_eq!([known.at(0), known.at(1), known.at(2)], [Some(objects[0]), Some(objects[1]), None]);
    }

    #[test]
    fn what_is_taken_out_can_be_brought_back() {
        let mut known = Known::default();
        (0..100).for_each(|number| known.push(&object(number)));
        (0..60).for_each(|place| known.take(place));
        assert_eq!((known.len(), known.places(), known.at(59)), (40, 100, None));
        known.bring_back(59, &object(59));
        assert_eq!((known.len(), known.places(), known.at(59)), (41, 100, Some(object(59))));
        assert!(known.holds(59, object(59).key) && !known.holds(58, object(58).key));

        known.sweep();
        assert_eq!((known.len(), known.places(), known.at(0)), (41, 41, Some(object(59))));
        known.bring_back(58, &object(58));
        assert_eq!((known.len(), known.at(41)), (42, Some(object(58))));
        assert!(known.holds(59, object(59).key) && known.holds(58, object(58).key));
        assert!(!known.holds(57, object(57).key));

        known.take(41);
        assert_eq!((known.len(), known.places()), (41, 41), "the last is there");
        known.push(&object(200));
        known.bring_back(41, &object(58));
        assert_eq!((known.at(41), known.at(42)), (Some(object(200)), Some(object(58))));
    }
}
