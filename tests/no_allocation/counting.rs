//! An allocator that counts what threads of a role take, and remembers where.
//!
//! Any thread. Always: it counts only while it is told to; what it does itself is not counted.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe to implement; all that it does besides counting is the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts, and hands on to the system's allocator.
pub struct Counting;

/// The threads that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Processor,
    Lane,
    Other,
}

const ROLES: usize = 3;
/// Places that are remembered of one count.
const PLACES_MAX: usize = 16;

static COUNTS: [AtomicU64; ROLES] = [const { AtomicU64::new(0) }; ROLES];
static IS_ON: AtomicBool = AtomicBool::new(false);
static PLACES: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    static ROLE: Cell<Option<Role>> = const { Cell::new(None) };
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
}

/// What each role allocated while something was done.
pub struct Allocations {
    counts: [u64; ROLES],
    places: Vec<String>,
}

impl Allocations {
    /// Counts while `work` is done.
    pub fn during(work: impl FnOnce()) -> Self {
        COUNTS.iter().for_each(|count| count.store(0, Ordering::SeqCst));
        PLACES.lock().unwrap().clear();
        IS_ON.store(true, Ordering::SeqCst);
        work();
        IS_ON.store(false, Ordering::SeqCst);
        let counts = [0, 1, 2].map(|role: usize| COUNTS[role].load(Ordering::SeqCst));
        Self { counts, places: std::mem::take(&mut *PLACES.lock().unwrap()) }
    }

    pub fn of(&self, role: Role) -> u64 {
        self.counts[role as usize]
    }

    /// The first places of processors.
    pub fn places(&self) -> String {
        self.places.join("\n")
    }
}

fn count() {
    if !IS_ON.load(Ordering::Relaxed) || IS_COUNTING.replace(true) {
        return;
    }
    let role = ROLE.get().unwrap_or_else(role_of_this_thread);
    ROLE.set(Some(role));
    let before = COUNTS[role as usize].fetch_add(1, Ordering::Relaxed);
    if role == Role::Processor
        && before < PLACES_MAX as u64
        && let Ok(mut places) = PLACES.lock()
    {
        places.push(ours(&Backtrace::force_capture().to_string()));
    }
    IS_COUNTING.set(false);
}

/// The lines of a trace that name code of this project.
fn ours(trace: &str) -> String {
    let lines = trace.lines().filter(|line| line.contains("larder::") || line.contains("/src/"));
    let few: Vec<&str> =
        lines.filter(|line| !line.contains("/rustc/") && !line.contains("counting")).take(12).collect();
    few.join("\n")
}

fn role_of_this_thread() -> Role {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes to where it is told to, and so many are there.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    match () {
        () if name.starts_with(b"processor") => Role::Processor,
        () if name.starts_with(b"disk-0-lane") => Role::Lane,
        () => Role::Other,
    }
}

// SAFETY: each call is the system's, with the same arguments; counting keeps no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}
