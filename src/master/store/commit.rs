//! What is asked of redb: one table, one write transaction a commit. On the threads of the store's callers.
//!
//! Always: whatever redb says or does, even a panic, comes out as the first trouble with the file.

use super::blocks::Blocks;
use super::trouble::Trouble;
use redb::{CursorError, ReadableDatabase, TableDefinition};
use std::iter::Peekable;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The table as redb reads it.
pub type ReadTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The changes of a commit, in ascending order of their keys.
type Changes<'a, 'k, 'v> = &'a mut dyn Iterator<Item = (&'k [u8], Option<&'v [u8]>)>;

type Cursor<'a> = redb::CursorMut<'a, &'static [u8], &'static [u8]>;

/// Keys that a cursor takes at least where it pays.
const STRIDE_LONG: u32 = 4;
/// Single steps after a short stride.
const STEPS: u32 = 32;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");

/// Makes the changes as one durable commit. Its two phases and the allocator's state in it make that an open after a kill
/// walks no tree.
pub fn write(
    tree: &redb::Database,
    changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>,
) -> Result<(), redb::Error> {
    let mut transaction = tree.begin_write()?;
    transaction.set_durability(redb::Durability::Immediate)?;
    transaction.set_quick_repair(true);
    let mut table = transaction.open_table(TABLE)?;
    change(&mut table, changes)?;
    drop(table);
    Ok(transaction.commit()?)
}

/// Changes the table, in long strides where it can: a cursor in the gap behind a new key takes the keys after it, until one
/// lies behind a key that is there. That costs a third of a descent each, and fills pages; but where new keys lie
/// among old ones it costs more. So after a short stride single steps follow, before a cursor is tried again.
fn change(
    table: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>,
) -> Result<(), redb::Error> {
    let mut changes = changes.peekable();
    let mut steps = 0;
    while let Some((key, value)) = changes.next() {
        match value {
            None => drop(table.remove(key)?),
            Some(value) if steps > 0 => {
                table.insert(key, value)?;
                steps -= 1;
            }
            Some(value) => {
                if stride(table, key, value, &mut changes)? < STRIDE_LONG {
                    steps = STEPS;
                }
            }
        }
    }
    Ok(())
}

/// Puts a key and as many new ones behind it as a cursor takes; how many it took.
fn stride(
    table: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    key: &[u8],
    value: &[u8],
    changes: &mut Peekable<Changes<'_, '_, '_>>,
) -> Result<u32, redb::Error> {
    let mut cursor = table.lower_bound_mut(Bound::Included(key))?;
    if !insert(&mut cursor, key, value)? {
        cursor.close()?;
        table.insert(key, value)?;
        return Ok(0);
    }
    let mut taken = 1;
    while let Some((key, Some(value))) = changes.peek() {
        if !insert(&mut cursor, key, value)? {
            break;
        }
        changes.next();
        taken += 1;
    }
    cursor.close()?;
    Ok(taken)
}

/// Whether the key is new and belongs before the next one that is there.
fn insert(cursor: &mut Cursor<'_>, key: &[u8], value: &[u8]) -> Result<bool, redb::Error> {
    match cursor.insert_before(key, value) {
        Ok(()) => Ok(true),
        Err(CursorError::UnorderedKey) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The table as the last commit left it.
pub fn read(tree: &redb::Database) -> Result<ReadTable, redb::Error> {
    Ok(tree.begin_read()?.open_table(TABLE)?)
}

/// Runs a piece of redb's work; what it says went wrong is what went wrong first below it.
pub fn guarded<T>(blocks: &Blocks, run: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Trouble> {
    // Redb may be left half way: nothing of it is used again, for the latch refuses.
    let what = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            format!("the tree's code panicked: {message}")
        }
    };
    Err(blocks.latch().set(Trouble::damaged(blocks.place(), what)))
}
