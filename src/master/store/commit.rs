//! What is asked of redb: one table, one write transaction a commit. On the threads of the store's callers.
//!
//! Always: whatever redb says or does, even a panic, comes out as the first trouble with the file.

use super::blocks::Blocks;
use super::trouble::Trouble;
use redb::{ReadableDatabase, TableDefinition};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The table as redb reads it.
pub type ReadTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

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
    for (key, value) in changes {
        match value {
            Some(value) => drop(table.insert(key, value)?),
            None => drop(table.remove(key)?),
        }
    }
    drop(table);
    Ok(transaction.commit()?)
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
