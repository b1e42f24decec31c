//! Bugs on purpose, so that the tests can show that they find them: a feature, and one of them at a time.
//!
//! Any thread. Always: without the feature `planted-bugs` no bug is on, at no cost; with it, the one that the environment
//! variable `LARDER_PLANTED_BUG` names when it is first asked for. `tests/planted_bugs.sh` shows each one caught.

/// Declares the bugs and their names.
macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal,)*) => {
        /// Something that a storage node must not do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $($(#[$doc])* $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$bug,)*];

            /// As `LARDER_PLANTED_BUG` names it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }
        }
    };
}

bugs! {
    /// A group is acknowledged and never synced.
    SkipSync = "skip-sync",
    /// A group can be read before its sync.
    PublishBeforeSync = "publish-before-sync",
    /// A sync that failed is tried once more.
    RetryFailedSync = "retry-failed-sync",
    /// A delete is acknowledged without a sync of its own.
    DeleteWithoutSync = "delete-without-sync",
    /// A group that found no room is acknowledged.
    FullIsOk = "full-is-ok",
    /// No room at a sync is an answer, and not a failure.
    FullAtSyncIsAnswer = "full-at-sync-is-answer",
    /// Recovery cuts at the first needle that does not verify, proven durable or not.
    CutAtFirstBadNeedle = "cut-at-first-bad-needle",
    /// Recovery cuts a tail without a copy of it.
    CutWithoutCopy = "cut-without-copy",
    /// Recovery believes the page cache.
    KeepPages = "keep-pages",
    /// Recovery forgets tombstones.
    ForgetTombstones = "forget-tombstones",
    /// The blocks of a range are given out unverified.
    SkipRangeChecksum = "skip-range-checksum",
    /// What was cut back is numbered again in the same epoch.
    ReuseSequence = "reuse-sequence",
    /// A clean stop forgets that a new epoch is due.
    ForgetEpochAtStop = "forget-epoch-at-stop",
    /// The clean flag stays while a run writes.
    KeepCleanFlag = "keep-clean-flag",
    /// The mark file runs ahead of the sync.
    MarkTooEarly = "mark-too-early",
    /// Frames claim a sync that has not been.
    FrameMarkTooEarly = "frame-mark-too-early",
    /// The name of a new segment is not made durable.
    SkipDirectorySync = "skip-directory-sync",
    /// A segment is written to before the manifest names it.
    NameAfterUse = "name-after-use",
    /// A record of the manifest is not synced.
    ManifestWithoutSync = "manifest-without-sync",
    /// Small state is written over its newest slot.
    OverwriteNewestSlot = "overwrite-newest-slot",
    /// An index file is believed without its checksum, its length and the log.
    TrustIndex = "trust-index",
    /// Compaction drops tombstones whose target is in another segment.
    DropTombstoneEarly = "drop-tombstone-early",
    /// A copy takes its place before it is synced.
    SwapBeforeSync = "swap-before-sync",
    /// The file of a replaced segment is cut though a reader has it.
    CutUnderReader = "cut-under-reader",
    /// What is deleted while it is copied is not deleted in the copy.
    ForgetLateDeletes = "forget-late-deletes",
    /// Compaction copies what does not verify.
    SkipCopyCheck = "skip-copy-check",
    /// Objects are taken while the reserve is not whole.
    GiveReserveToObjects = "give-reserve-to-objects",
    /// The scrub does not ask what the index has.
    ScrubSkipsIndex = "scrub-skips-index",
    /// The scrub does not follow a segment that was replaced.
    ForgetReplaced = "forget-replaced",
    /// The scrub deletes objects that were not put for a name.
    CollectUnnamed = "collect-unnamed",
    /// The scrub asks for the number of an upload in another session.
    CollectByNumber = "collect-by-number",
    /// A pass counts though a dead chunk could not be deleted.
    CountFailedCollect = "count-failed-collect",
    /// Where a pass is runs ahead of the deletes behind it.
    PassAheadOfDeletes = "pass-ahead-of-deletes",
    /// A group of names is acknowledged without the sync of the log.
    LogWithoutSync = "log-without-sync",
    /// Hot names are not forgotten when they change.
    KeepHotNames = "keep-hot-names",
    /// A change that is sent again is made again.
    MakeTwice = "make-twice",
    /// A chunk that is in a file may be committed again.
    CommitChunkTwice = "commit-chunk-twice",
    /// A chunk of any session may be committed.
    CommitForeignChunk = "commit-foreign-chunk",
    /// Content that was replaced is not put on the to-do list of tombstones.
    ForgetOldContent = "forget-old-content",
}

/// Whether this bug is on.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
#[inline(always)]
pub const fn on(_bug: Bug) -> bool {
    false
}

/// Whether this bug is on.
///
/// # Panics
/// If `LARDER_PLANTED_BUG` names none: a misspelt one would look like one that nobody finds.
#[cfg(feature = "planted-bugs")]
#[must_use]
pub fn on(bug: Bug) -> bool {
    static PLANTED: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    let planted = PLANTED.get_or_init(|| {
        let name = std::env::var("LARDER_PLANTED_BUG").ok().filter(|name| !name.is_empty())?;
        let bug = Bug::ALL.iter().copied().find(|bug| bug.name() == name);
        Some(bug.unwrap_or_else(|| panic!("LARDER_PLANTED_BUG={name} names no bug")))
    });
    *planted == Some(bug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bug_is_in_the_table_of_those_that_must_be_caught() {
        let table = include_str!("../../tests/planted_bugs.sh");
        for bug in Bug::ALL {
            let row = format!("\n{} ", bug.name());
            assert_eq!(table.matches(&row).count(), 1, "{} has one row in tests/planted_bugs.sh", bug.name());
        }
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[test]
    fn no_bug_is_on_without_the_feature() {
        const NONE: bool = on(Bug::SkipSync);
        assert!(!NONE && Bug::ALL.iter().all(|bug| !on(*bug)));
    }
}
