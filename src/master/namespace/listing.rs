//! The names in a directory, page by page.
//!
//! Any thread that may wait for the table. Always: names come in the order of their bytes; a name that is there from the
//! first page to the last is told once; a page holds at least one name, if one is left, and is bounded in entries and bytes.
//!
//! ```text
//! cursor:  version u8 = 1 | directory inode u64 LE | the last name told
//! ```

use super::entry::NameEntry;
use super::keys;
use super::read::{Found, resolve};
use super::stop::{Stop, apart, refused};
use crate::base::limits::{COMPONENT_BYTES_MAX, LISTING_BYTES_MAX, LISTING_ENTRIES_MAX};
use crate::master::StateError;
use crate::master::fields::Fields;
use crate::master::table::Table;
use crate::request::{List, Listing, Refusal, Status};
use bytes::Bytes;
use std::ops::ControlFlow;

const VERSION: u8 = 1;

/// What an entry takes in an answer, beside its name.
const ENTRY_BYTES: usize = 64;

/// A page of a listing.
///
/// # Errors
/// [`StateError`], of reading the table. What is no directory, and a cursor of another directory, are refusals.
pub fn list(table: &dyn Table, list: &List) -> Result<Result<Listing, Refusal>, StateError> {
    apart(page(table, list))
}

fn page(table: &dyn Table, list: &List) -> Result<Listing, Stop> {
    let inode = match resolve(table, &list.path)? {
        Found::Directory(directory) => directory.inode,
        Found::File(_) => return Err(refused(Status::NotADirectory, format!("{} is a file", list.path))),
        found => return Err(found.stop(&list.path)),
    };
    let after = if list.cursor.is_empty() {
        ""
    } else {
        let bad = || refused(Status::BadCursor, format!("the cursor is not one of {}", list.path));
        read_cursor(&list.cursor, inode).ok_or_else(bad)?
    };
    let limit = match usize::try_from(list.limit).unwrap_or(usize::MAX) {
        0 => LISTING_ENTRIES_MAX,
        limit => limit.min(LISTING_ENTRIES_MAX),
    };
    let (from, to) = keys::names_from(inode, after);
    let (mut entries, mut bytes, mut more, mut failed) = (Vec::new(), 0, false, None);
    table.scan(&from, &to, &mut |key, value| {
        let entry = NameEntry::of(value).and_then(|entry| {
            let name = keys::name_of(key).ok_or_else(|| StateError::damaged("the metadata state", "a name is no text"));
            Ok((name?.to_string(), entry.facts()))
        });
        match entry {
            Ok((name, _)) if !entries.is_empty() && is_over(entries.len(), limit, bytes + ENTRY_BYTES + name.len()) => {
                more = true;
                return ControlFlow::Break(());
            }
            Ok((name, facts)) => {
                bytes += ENTRY_BYTES + name.len();
                entries.push((name, facts));
            }
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let cursor = match entries.last() {
        Some((last, _)) if more => cursor(inode, last),
        _ => Bytes::new(),
    };
    Ok(Listing { entries, cursor })
}

fn is_over(entries: usize, limit: usize, bytes: usize) -> bool {
    entries >= limit || bytes > LISTING_BYTES_MAX
}

fn cursor(inode: u64, last: &str) -> Bytes {
    [&[VERSION][..], &inode.to_le_bytes(), last.as_bytes()].concat().into()
}

fn read_cursor(cursor: &[u8], inode: u64) -> Option<&str> {
    let mut fields = Fields(cursor);
    let (VERSION, of) = (fields.byte()?, fields.u64()?) else { return None };
    let last = std::str::from_utf8(fields.0).ok()?;
    (of == inode && !last.is_empty() && last.len() <= COMPONENT_BYTES_MAX).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let bytes = cursor(0x0102, "ab");
        assert_eq!(bytes[..], b"\x01\x02\x01\0\0\0\0\0\0ab"[..]);
        assert_eq!(read_cursor(&bytes, 0x0102), Some("ab"));
        assert_eq!(read_cursor(&bytes, 0x0103), None);
        let long = cursor(1, &"x".repeat(256));
        for bad in
            [&b""[..], &b"\x01"[..], &bytes[..9], b"\x02\x01\0\0\0\0\0\0\0a", b"\x01\x01\0\0\0\0\0\0\0\xff", &long]
        {
            assert_eq!(read_cursor(bad, 1), None);
        }
    }
}
