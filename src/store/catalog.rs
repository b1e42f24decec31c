//! Which volumes and segments there are: an immutable view that is replaced as a whole.
//!
//! Read by any thread, replaced by the append lane. The version is one atomic load; a reader that sees another one takes
//! the new view under a lock that is never held over a system call. The slots inside a view go on filling.

use super::segment::{Located, Segment};
use crate::base::ids::{Sequence, VolumeId};
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sums over all segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CatalogStats {
    /// Volumes.
    pub volumes: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of all segments up to their ends.
    pub segment_bytes: u64,
    /// Objects that can be read.
    pub objects: u64,
    /// Bytes of their needles.
    pub object_bytes: u64,
    /// Objects that are deleted and still take room.
    pub deleted: u64,
    /// Bytes of their needles, and of the gaps behind them.
    pub deleted_bytes: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Needles that do not verify.
    pub damaged: u64,
    /// Bytes of memory that the index takes.
    pub index_bytes: u64,
}

/// The segments of one volume, by their first sequence.
#[derive(Debug, Clone)]
struct VolumeView {
    volume: VolumeId,
    segments: Vec<Arc<Segment>>,
}

/// All volumes of a disk at one time.
#[derive(Debug, Clone, Default)]
pub struct View {
    volumes: Vec<Arc<VolumeView>>,
}

impl View {
    /// What the index knows of a needle.
    #[must_use]
    pub fn locate(&self, volume: VolumeId, sequence: Sequence) -> Located {
        let Some(view) = self.volume(volume) else {
            return Located::NoVolume;
        };
        let behind = view.segments.partition_point(|segment| segment.base() <= sequence);
        match behind.checked_sub(1).and_then(|index| view.segments.get(index)) {
            Some(segment) => segment.locate(sequence),
            None => Located::Absent,
        }
    }

    /// Whether a volume is on this disk.
    #[must_use]
    pub fn has_volume(&self, volume: VolumeId) -> bool {
        self.volume(volume).is_some()
    }

    /// All volumes, in order.
    pub fn volumes(&self) -> impl Iterator<Item = VolumeId> {
        self.volumes.iter().map(|view| view.volume)
    }

    /// The segments of a volume, in order; none if it is not here.
    #[must_use]
    pub fn segments(&self, volume: VolumeId) -> &[Arc<Segment>] {
        self.volume(volume).map_or(&[], |view| &view.segments)
    }

    fn volume(&self, volume: VolumeId) -> Option<&Arc<VolumeView>> {
        let index = self.volumes.binary_search_by_key(&volume, |view| view.volume).ok()?;
        self.volumes.get(index)
    }

    fn replaced(&self, segment: Arc<Segment>) -> Self {
        let mut volumes = self.volumes.clone();
        let found = volumes.binary_search_by_key(&segment.volume(), |view| view.volume);
        if let Some(view) = found.ok().and_then(|index| volumes.get_mut(index)) {
            let view = Arc::make_mut(view);
            let range = segment.base()..segment.next();
            view.segments.retain(|other| !range.contains(&other.base()));
            let place = view.segments.partition_point(|other| other.base() < segment.base());
            view.segments.insert(place, segment);
        }
        Self { volumes }
    }

    fn with(&self, volume: VolumeId, segment: Option<Arc<Segment>>) -> Self {
        let mut volumes = self.volumes.clone();
        let index = match volumes.binary_search_by_key(&volume, |view| view.volume) {
            Ok(index) => index,
            Err(index) => {
                volumes.insert(index, Arc::new(VolumeView { volume, segments: Vec::new() }));
                index
            }
        };
        if let (Some(segment), Some(view)) = (segment, volumes.get_mut(index)) {
            let view = Arc::make_mut(view);
            let place = view.segments.partition_point(|other| other.base() < segment.base());
            view.segments.insert(place, segment);
        }
        Self { volumes }
    }
}

/// The current view of one disk.
#[derive(Debug, Default)]
pub struct Catalog {
    version: AtomicU64,
    view: Mutex<Arc<View>>,
}

impl Catalog {
    /// Changes whenever the view does.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The current view.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock())
    }

    /// Sums over all segments; for people, not for hot paths.
    #[must_use]
    pub fn stats(&self) -> CatalogStats {
        let view = self.view();
        let mut stats = CatalogStats { volumes: view.volumes.len() as u64, ..CatalogStats::default() };
        for segment in view.volumes.iter().flat_map(|volume| &volume.segments) {
            let counts = segment.counts();
            let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
            stats.segments += 1;
            stats.segment_bytes += segment.end();
            stats.index_bytes += segment.index_bytes();
            stats.objects += of(&counts.objects).saturating_sub(of(&counts.deleted));
            stats.object_bytes += of(&counts.object_bytes).saturating_sub(of(&counts.deleted_bytes));
            stats.deleted += of(&counts.deleted);
            stats.deleted_bytes += of(&counts.deleted_bytes);
            stats.tombstones += of(&counts.tombstones);
            stats.damaged += of(&counts.damaged);
        }
        stats
    }

    /// Puts a compacted segment in the place of all that lie in its range.
    pub(super) fn replace(&self, segment: Arc<Segment>) {
        let old = {
            let mut view = self.view.lock();
            let new = Arc::new(view.replaced(segment));
            std::mem::replace(&mut *view, new)
        };
        self.version.fetch_add(1, Ordering::AcqRel);
        drop(old);
    }

    /// Adds a segment, or a volume without one.
    pub(super) fn add(&self, volume: VolumeId, segment: Option<Arc<Segment>>) {
        let old = {
            let mut view = self.view.lock();
            let new = Arc::new(view.with(volume, segment));
            std::mem::replace(&mut *view, new)
        };
        self.version.fetch_add(1, Ordering::AcqRel);
        drop(old);
    }
}
