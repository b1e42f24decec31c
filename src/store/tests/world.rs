//! What the tests of this folder share: a disk, an open store, a reader that trusts nothing.

use crate::base::clock::{Clock, ManualClock};
use crate::base::ids::{ClusterId, Cookie, NodeId, ObjectId, Origin, VolumeId};
use crate::base::payload::Payload;
use crate::disk::{Disk, MemoryDisk, Open};
use crate::store::{
    AppendError, Appended, Entry, Head, Located, Opened, StoreError, StoreOptions, View, VolumeNumbers, open,
};
use bytes::Bytes;
use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub const IDENTITY: (ClusterId, NodeId) = (ClusterId(7), NodeId(9));

/// Numbers that count up and raise the superblock first.
#[derive(Debug, Default)]
pub struct Numbers(AtomicU32);

impl VolumeNumbers for Numbers {
    fn next(&self) -> Result<VolumeId, StoreError> {
        Ok(VolumeId(self.0.fetch_add(1, Ordering::SeqCst) + 1))
    }
}

pub fn small() -> StoreOptions {
    StoreOptions {
        segment_bytes: 64 << 10,
        fit_segments: false,
        volume_bytes: 160 << 10,
        reserve_bytes: Some(8 << 10),
        open_files_max: 3,
        fill_ahead_bytes: 8 << 10,
    }
}

pub fn try_store(disk: &MemoryDisk, options: &StoreOptions) -> Result<Opened, StoreError> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    open(Arc::new(disk.clone()), Some(IDENTITY), options, clock)
}

pub fn store(disk: &MemoryDisk) -> Opened {
    try_store(disk, &small()).expect("the directory opens")
}

/// Numbers that go on where the superblock is.
pub fn numbers(opened: &Opened) -> Numbers {
    Numbers(AtomicU32::new(opened.superblock.highest().0))
}

pub fn put(content: &[u8], cookie: u64) -> Entry {
    Entry::Put {
        payload: Payload::of(Bytes::copy_from_slice(content)),
        cookie: Cookie(cookie),
        attributes: Bytes::from_static(b"type: test"),
        origin: Origin { session: 3, number: cookie },
        named: false,
    }
}

pub fn store_one(opened: &mut Opened, content: &[u8], cookie: u64, sync: bool) -> ObjectId {
    let numbers = numbers(opened);
    match opened.appender.append(&[put(content, cookie)], 1, sync, &numbers).expect("there is room")[..] {
        [Appended::Stored(id)] => {
            opened.superblock.raise(id.volume).expect("the superblock is raised");
            id
        }
        ref other => panic!("a put became {other:?}"),
    }
}

pub fn delete(opened: &mut Opened, id: ObjectId) -> Result<Appended, AppendError> {
    let numbers = numbers(opened);
    opened.appender.append(&[Entry::Delete { id }], 1, true, &numbers).map(|outcomes| outcomes[0])
}

/// The content of an object, read and verified as a reader does; `None` if there is none or it is deleted.
pub fn read(view: &View, id: ObjectId) -> Result<Option<Vec<u8>>, String> {
    let place = match view.locate(id.volume, id.sequence) {
        Located::Object(place) => place,
        Located::Deleted(_) | Located::Absent | Located::NoVolume | Located::OtherKind => return Ok(None),
        Located::Damaged(place) => return Err(format!("damaged at {}", place.position)),
    };
    let file = place.segment.file().map_err(|error| error.to_string())?;
    let mut bytes = vec![0; usize::try_from(place.bound - place.position).unwrap()];
    let read = file.read_at(&mut bytes, place.position).map_err(|error| error.to_string())?;
    let head = Head::parse(&bytes[..read], place.segment.salt(), id.volume, id.sequence).map_err(|e| e.to_string())?;
    if head.cookie != id.cookie {
        return Ok(None);
    }
    assert_eq!(head.attributes, &b"type: test"[..]);
    let payload = &bytes[head.payload_offset()..][..head.payload_bytes as usize];
    head.verify_payload(payload).map_err(|error| error.to_string())?;
    Ok(Some(payload.to_vec()))
}

/// All names and contents in a directory.
pub fn files(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = disk
        .list()
        .unwrap()
        .into_iter()
        .map(|entry| {
            let file = disk.open(&entry.name, Open::Read).unwrap();
            let mut bytes = vec![0; usize::try_from(entry.bytes).unwrap()];
            let read = file.read_at(&mut bytes, 0).unwrap();
            bytes.truncate(read);
            (entry.name, bytes)
        })
        .collect();
    files.sort();
    files
}

/// Flips bits of a file, durably.
pub fn flip(disk: &MemoryDisk, name: &str, offset: u64, mask: u8) {
    let file = disk.open(name, Open::Write).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, offset).unwrap();
    file.write_all_at(&mut [IoSlice::new(&[byte[0] ^ mask])], offset).unwrap();
    file.sync_all().unwrap();
}

/// Where an object's needle lies.
pub fn place(opened: &Opened, id: ObjectId) -> (String, u64) {
    match opened.catalog.view().locate(id.volume, id.sequence) {
        Located::Object(place) => (place.segment.name().to_string(), place.position),
        other => panic!("{id} is {other:?}"),
    }
}

/// Content that tells which object it is of.
pub fn content(number: u64, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (number.wrapping_mul(31).wrapping_add(at as u64 * 7) % 251) as u8).collect()
}

/// A small generator whose seed a failing test prints.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What a store must hold, for tests that do one thing at random after another and sync each.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Content by id; none: deleted.
    pub model: HashMap<ObjectId, Option<Vec<u8>>>,
    ids: Vec<ObjectId>,
}

impl Shelf {
    /// Stores one object of a random size; `number` tells its content.
    pub fn put(&mut self, opened: &mut Opened, dice: &mut Dice, number: u64) {
        let bytes = content(number, [0, 60, 600, 7000][dice.below(4) as usize]);
        let id = store_one(opened, &bytes, number, true);
        assert!(self.model.insert(id, Some(bytes)).is_none(), "{id} again");
        self.ids.push(id);
    }

    /// Deletes one of those that were ever stored, if there are any; it may be gone already.
    pub fn delete(&mut self, opened: &mut Opened, dice: &mut Dice) {
        if !self.ids.is_empty() {
            let id = self.ids[dice.below(self.ids.len() as u64) as usize];
            delete(opened, id).unwrap();
            self.model.insert(id, None);
        }
    }
}
