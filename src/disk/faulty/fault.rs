//! What can go wrong with which calls: values that a plan is made of.

use std::ops::Range;
use std::time::Duration;

/// The kinds of calls on a disk and its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named for the method of `Disk` or `File` that it is")]
pub enum Call {
    Open,
    List,
    Rename,
    Remove,
    SyncDirectory,
    Space,
    Lock,
    Read,
    ReadCached,
    Resident,
    Write,
    SyncData,
    SyncAll,
    StartWriteback,
    Allocate,
    Punch,
    SetLen,
    Len,
    DropPages,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Open,
        Self::List,
        Self::Rename,
        Self::Remove,
        Self::SyncDirectory,
        Self::Space,
        Self::Lock,
        Self::Read,
        Self::ReadCached,
        Self::Resident,
        Self::Write,
        Self::SyncData,
        Self::SyncAll,
        Self::StartWriteback,
        Self::Allocate,
        Self::Punch,
        Self::SetLen,
        Self::Len,
        Self::DropPages,
    ];

    /// Whether a delay or a hang may hold it: those that never wait for a device never wait here.
    pub(super) fn may_wait(self) -> bool {
        !matches!(self, Self::ReadCached | Self::Resident)
    }
}

/// One thing that goes wrong: by default at the next call that it fits, and once.
#[derive(Debug, Clone)]
pub struct Fault {
    calls: Vec<Call>,
    name: Option<String>,
    /// The bytes of the file that the call must touch.
    range: Option<Range<u64>>,
    /// Calls that it still lets pass.
    passing: u64,
    /// Calls that it still strikes.
    striking: u64,
    effect: Effect,
}

/// What a fault does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Error { errno: i32 },
    Torn { bytes: usize, errno: i32 },
    Short { bytes: usize },
    Misdirected { to: u64 },
    Lost,
    Flip { offset: u64, mask: u8 },
}

impl Fault {
    /// The call fails with this errno, and does nothing.
    #[must_use]
    pub fn error(call: Call, errno: i32) -> Self {
        Self::new(vec![call], Effect::Error { errno })
    }

    /// A write of which only the first `bytes` are done, and which then fails.
    #[must_use]
    pub fn torn_write(bytes: usize, errno: i32) -> Self {
        Self::new(vec![Call::Write], Effect::Torn { bytes, errno })
    }

    /// A write that the system takes in two goes: the first `bytes`, then the rest; with 0 bytes a signal interrupts it
    /// before anything is written. It goes well all the same: to take up the rest is the writer's work.
    #[must_use]
    pub fn short_write(bytes: usize) -> Self {
        Self::new(vec![Call::Write], Effect::Short { bytes })
    }

    /// A write that says that it went well, and went to this offset of the file instead of its own.
    #[must_use]
    pub fn misdirected_write(to: u64) -> Self {
        Self::new(vec![Call::Write], Effect::Misdirected { to })
    }

    /// The call says that it went well, and does nothing. A call that returns something is not touched.
    #[must_use]
    pub fn lost(call: Call) -> Self {
        Self::new(vec![call], Effect::Lost)
    }

    /// Reads that cover the byte at `offset` of the file find the bits of `mask` in it turned, in the page cache too.
    #[must_use]
    pub fn flip(offset: u64, mask: u8) -> Self {
        Self::new(vec![Call::Read, Call::ReadCached], Effect::Flip { offset, mask })
    }

    /// Only on this file, by the name that it was opened under; renames and removals by the name they begin with.
    #[must_use]
    pub fn on(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Only on calls that touch any of these bytes of the file: a bad place of the device.
    #[must_use]
    pub fn touching(mut self, range: Range<u64>) -> Self {
        self.range = Some(range);
        self
    }

    /// Begins at the `nth` call that it fits, counted from 1 and from when it was added.
    #[must_use]
    pub fn at(mut self, nth: u64) -> Self {
        self.passing = nth.saturating_sub(1);
        self
    }

    /// Strikes so many calls in a row.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.striking = count;
        self
    }

    /// Strikes every call from then on.
    #[must_use]
    pub fn for_good(self) -> Self {
        self.times(u64::MAX)
    }

    fn new(calls: Vec<Call>, effect: Effect) -> Self {
        Self { calls, name: None, range: None, passing: 0, striking: 1, effect }
    }

    /// Counts a call; what it does to it, if it strikes.
    pub(super) fn meet(&mut self, target: &Target<'_>) -> Option<Effect> {
        if !self.fits(target) || self.striking == 0 {
            return None;
        }
        if self.passing > 0 {
            self.passing -= 1;
            return None;
        }
        if self.striking != u64::MAX {
            self.striking -= 1;
        }
        Some(self.effect)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.striking == 0
    }

    fn fits(&self, target: &Target<'_>) -> bool {
        let covered = match self.effect {
            Effect::Flip { offset, .. } => {
                offset.checked_sub(target.offset).is_some_and(|within| within < target.bytes)
            }
            _ => true,
        };
        let named = self.name.as_deref().is_none_or(|name| name == target.name);
        let end = target.offset.saturating_add(target.bytes);
        let touched = self.range.as_ref().is_none_or(|range| target.offset < range.end && range.start < end);
        covered && named && touched && self.calls.contains(&target.call)
    }
}

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub call: Call,
    pub name: &'a str,
    pub offset: u64,
    pub bytes: u64,
}

/// How a faulty disk begins.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How much longer calls take.
    pub delays: Vec<(Call, Duration)>,
    /// Whether nothing is ever in the page cache.
    pub cold: bool,
}

/// A call that was made, in the record of a faulty disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Its kind.
    pub call: Call,
    /// The file, by the name that it was opened under; empty for the directory.
    pub name: String,
    /// It ended with an error.
    pub failed: bool,
}
