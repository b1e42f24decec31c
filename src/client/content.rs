//! Content as it comes: checked frame by frame, its length and hash at the end.

use super::ClientError;
use super::waiting::Waiting;
use crate::request::Meta;
use crate::wire::{ContentHead, Received};
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// An object or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What is known about it.
    pub meta: Meta,
    /// The bytes of it that `content` holds.
    pub range: Range<u64>,
    /// Those bytes.
    pub content: Bytes,
}

/// Reads a whole reply into memory.
pub(super) fn collect(waiting: &mut Waiting) -> Result<Object, ClientError> {
    let mut pieces = Vec::new();
    let head = read(waiting, |piece| {
        pieces.push(piece);
        Ok(())
    })?;
    let content = match <[Bytes; 1]>::try_from(pieces) {
        Ok([piece]) => piece,
        Err(pieces) => pieces
            .iter()
            .fold(BytesMut::new(), |mut all, piece| {
                all.extend_from_slice(piece);
                all
            })
            .freeze(),
    };
    Ok(Object { meta: head.meta, range: head.range, content })
}

/// Reads a reply, handing each piece on once it is checked. Content of a whole object is checked against its hash at
/// the end, when all of it was handed on.
pub(super) fn read(
    waiting: &mut Waiting,
    mut take: impl FnMut(Bytes) -> Result<(), ClientError>,
) -> Result<ContentHead, ClientError> {
    let (head, mut piece, mut is_last) = match waiting.next(false)? {
        (Received::Content(head, piece), is_last) => (head, piece, is_last),
        _ => return Err(waiting.unexpected()),
    };
    let mut left = head.range.end - head.range.start;
    let is_whole = head.range == (0..head.meta.size);
    let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
    loop {
        left = left
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| waiting.protocol_error("more content than its range holds"))?;
        if is_whole {
            hash.update(&piece);
        }
        take(piece)?;
        if is_last {
            break;
        }
        (piece, is_last) = match waiting.next(true)? {
            (Received::More(piece), is_last) => (piece, is_last),
            _ => return Err(waiting.unexpected()),
        };
    }
    if left > 0 {
        return Err(waiting.protocol_error(format!("content ends {left} bytes before its range")));
    }
    if is_whole && hash.digest128() != head.meta.hash.0 {
        return Err(waiting.corrupt("the content is not that of its hash"));
    }
    Ok(head)
}
