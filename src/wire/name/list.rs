//! LIST: a page of the names in a directory.
//!
//! ```text
//! request   0 limit u32 | 4 path_bytes u16 | 6 cursor_bytes u16 | 8 path | cursor
//! reply     0 entry_count u32 | 4 cursor_bytes u16 | 6 zero [2] | 8 cursor | entries
//! entry     0 facts [56], with name_bytes | 56 name
//! ```
//!
//! Any thread. Always: a name in a parsed reply is one that a path can have, so a peer cannot smuggle in a `..`.

use super::{BadBody, Fields, count, facts, short};
use crate::base::limits::{CURSOR_BYTES_MAX, LISTING_ENTRIES_MAX};
use crate::base::path::is_component;
use crate::request::{List, Listing, NameFacts};
use bytes::Bytes;

pub(super) fn check(list: &List) -> Result<(), BadBody> {
    if list.limit as usize > LISTING_ENTRIES_MAX {
        return Err(Fields::new("LIST", &[]).bad("limit", list.limit.into(), "0 to 4096"));
    }
    check_cursor("LIST", list.cursor.len())
}

fn check_cursor(frame: &'static str, bytes: usize) -> Result<(), BadBody> {
    if bytes <= CURSOR_BYTES_MAX { Ok(()) } else { Err(BadBody::Cursor { frame, bytes }) }
}

pub(super) fn parse(fields: &mut Fields<'_>) -> Result<List, BadBody> {
    let limit = fields.u32("limit")?;
    let (path_bytes, cursor_bytes) = (fields.u16("path_bytes")?, fields.u16("cursor_bytes")?);
    check_cursor("LIST", cursor_bytes.into())?;
    let path = fields.path(path_bytes, "path")?;
    let cursor = Bytes::copy_from_slice(fields.run(cursor_bytes.into(), "cursor")?);
    Ok(List { path, cursor, limit })
}

pub(super) fn encode(list: &List) -> Vec<u8> {
    let path = list.path.as_str().as_bytes();
    let fixed = [&list.limit.to_le_bytes()[..], &short(path.len()), &short(list.cursor.len())].concat();
    [&fixed, path, &list.cursor].concat()
}

pub(super) fn parse_answer(fields: &mut Fields<'_>) -> Result<Listing, BadBody> {
    let entry_count = fields.u32("entry_count")?;
    let cursor_bytes = usize::from(fields.u16("cursor_bytes")?);
    fields.skip::<2>()?;
    check_cursor("reply to LIST", cursor_bytes)?;
    let cursor = Bytes::copy_from_slice(fields.run(cursor_bytes, "cursor")?);
    // As many as can be here, whatever the count says.
    let entries_max = fields.left() / facts::FACTS_BYTES;
    let mut entries = Vec::with_capacity(entries_max.min(entry_count as usize));
    for _ in 0..entry_count {
        entries.push(parse_entry(fields)?);
    }
    Ok(Listing { entries, cursor })
}

fn parse_entry(fields: &mut Fields<'_>) -> Result<(String, NameFacts), BadBody> {
    let (facts, name_bytes) = facts::parse(fields, "name_bytes")?;
    let run = fields.run(name_bytes.into(), "name")?;
    let name = fields.text(run, "name")?;
    if is_component(&name) { Ok((name, facts)) } else { Err(BadBody::Name { frame: "reply to LIST" }) }
}

pub(super) fn encode_answer(listing: &Listing) -> Vec<u8> {
    let Listing { entries, cursor } = listing;
    debug_assert!(cursor.len() <= CURSOR_BYTES_MAX && entries.len() <= LISTING_ENTRIES_MAX, "a page has bounds");
    let names: usize = entries.iter().map(|(name, _)| facts::FACTS_BYTES + name.len()).sum();
    let mut body = Vec::with_capacity(8 + cursor.len() + names);
    body.extend(count(entries.len()));
    body.extend(short(cursor.len()));
    body.extend([0; 2]);
    body.extend(&cursor[..]);
    for (name, facts) in entries {
        facts::encode(facts, name.len(), &mut body);
        body.extend(name.as_bytes());
    }
    body
}
