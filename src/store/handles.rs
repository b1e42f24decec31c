//! Open files of segments, bounded over one disk.
//!
//! [`Handle::open_already`] is for any thread; [`Handle::file`] opens and evicts, so only for threads that may wait for
//! the disk. Always: no lock is held over a system call; a file that is being written is pinned and not counted.

use crate::disk::{Disk, File, Open};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// All handles of one disk.
#[derive(Debug)]
pub struct Handles {
    disk: Arc<dyn Disk>,
    open_max: usize,
    /// In the order of opening; one that was used since its last turn gets another.
    open: Mutex<VecDeque<Weak<Handle>>>,
}

impl Handles {
    /// At most `open_max` files open for reading.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, open_max: usize) -> Arc<Self> {
        Arc::new(Self { disk, open_max: open_max.max(1), open: Mutex::new(VecDeque::new()) })
    }

    /// A handle for a file, closed until it is asked for.
    #[must_use]
    pub fn handle(self: &Arc<Self>, name: String) -> Arc<Handle> {
        Arc::new(Handle { name, handles: Arc::clone(self), files: Mutex::default(), used: AtomicBool::new(false) })
    }

    fn admit(&self, handle: &Arc<Handle>) {
        let mut evicted = Vec::new();
        {
            let mut open = self.open.lock();
            open.push_back(Arc::downgrade(handle));
            let mut turns = 2 * open.len();
            while open.len() > self.open_max && turns > 0 {
                turns -= 1;
                let Some(candidate) = open.pop_front() else { break };
                match candidate.upgrade() {
                    Some(held) if held.used.swap(false, Ordering::Relaxed) && turns > 0 => open.push_back(candidate),
                    Some(held) => evicted.extend(held.files.lock().open.take()),
                    None => {}
                }
            }
        }
        // Files are closed here, outside the lock.
        drop(evicted);
    }
}

/// The file of one segment.
#[derive(Debug)]
pub struct Handle {
    name: String,
    handles: Arc<Handles>,
    files: Mutex<Files>,
    used: AtomicBool,
}

#[derive(Debug, Default)]
struct Files {
    open: Option<Arc<dyn File>>,
    /// All that were ever opened and that somebody may still be reading.
    given: Vec<Weak<dyn File>>,
    /// The segment has been replaced: nobody opens its file any more.
    retired: bool,
}

impl Files {
    fn open(&mut self, file: Arc<dyn File>) -> Option<Arc<dyn File>> {
        self.given.retain(|given| given.strong_count() > 0);
        self.given.push(Arc::downgrade(&file));
        self.open.replace(file)
    }
}

/// Files that readers may still have, of a handle that gives out no more.
#[derive(Debug)]
pub struct Given(Vec<Weak<dyn File>>);

impl Given {
    /// Whether somebody has one of them.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.0.iter().any(|given| given.strong_count() > 0)
    }
}

impl Handle {
    /// The file's name in the directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file, if it is open.
    #[must_use]
    pub fn open_already(&self) -> Option<Arc<dyn File>> {
        let file = self.files.lock().open.clone();
        if file.is_some() {
            self.used.store(true, Ordering::Relaxed);
        }
        file
    }

    /// The file, opened if it is not; may close another.
    ///
    /// # Errors
    /// Those of opening; [`io::ErrorKind::NotFound`] once it is retired.
    pub fn file(self: &Arc<Self>) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.open_already() {
            return Ok(file);
        }
        let opened = self.handles.disk.open(&self.name, Open::Read)?;
        {
            let mut files = self.files.lock();
            if files.retired {
                return Err(io::ErrorKind::NotFound.into());
            }
            if let Some(other) = files.open.as_ref().map(Arc::clone) {
                return Ok(other);
            }
            files.open(Arc::clone(&opened));
        }
        self.handles.admit(self);
        Ok(opened)
    }

    /// The file, opened anew for reading around the page cache.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open_direct(&self) -> io::Result<Arc<dyn File>> {
        self.handles.disk.open(&self.name, Open::Direct)
    }

    /// Nobody gets the file from here any more; those who have it go on reading.
    pub fn retire(&self) -> Given {
        let (open, given) = {
            let mut files = self.files.lock();
            files.retired = true;
            (files.open.take(), std::mem::take(&mut files.given))
        };
        drop(open);
        Given(given)
    }

    /// Shares the writer's file with readers, uncounted while it is written.
    pub fn pin(&self, file: Arc<dyn File>) {
        let before = self.files.lock().open(file);
        drop(before);
    }

    /// The writer is done: the file counts from now on and may be closed.
    pub fn unpin(self: &Arc<Self>) {
        self.used.store(true, Ordering::Relaxed);
        self.handles.admit(self);
    }
}
