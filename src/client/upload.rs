//! A file of any size: its chunks become objects, several on their way at once, and a commit gives them a name.
//!
//! The caller's thread. Always: nothing is visible before the commit, which is one step; what is held of the content is
//! at most the chunks on their way and the one that is read, within the client's room; a chunk whose PUT may have been
//! done or not is sent again under another number, so that no number ever has two objects in a file.

use super::patience::{ATTEMPTS_MAX, insist};
use super::room::{Room, Taken};
use super::session::{Opened, is_at_its_end};
use super::{ClientError, FileHash, NameSession, PutOptions, Ticket};
use crate::base::ids::{ContentHash, ObjectId};
use crate::base::limits::{CHUNK_BYTES_MAX, FILE_CHUNKS_MAX};
use crate::base::path::NamePath;
use crate::request::{Attributes, Change, Changed, Condition, Refusal, Status, Stored};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

/// How a file is stored.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    /// What the name must lead to before; [`Condition::Any`] replaces a file that is there.
    pub condition: Condition,
    /// Make missing directories above it.
    pub parents: bool,
    /// Its modification time, in milliseconds since 1970; `None` is now.
    pub modified_ms: Option<u64>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Chunks that may be on their way at once. Default: 4.
    pub in_flight: usize,
    /// Bytes that the content is thought to have, which saves memory when it is small; 0 if nobody knows.
    pub size_hint: u64,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            condition: Condition::Any,
            parents: false,
            modified_ms: None,
            attributes: Attributes::default(),
            in_flight: 4,
            size_hint: 0,
        }
    }
}

impl NameSession {
    /// Stores what `content` gives until its end, under a name.
    ///
    /// # Errors
    /// [`ClientError`]; nothing was changed then, unless its class is [`Unknown`](crate::request::Class::Unknown).
    /// With status SESSION_UNKNOWN the same content can be given again: another session is open.
    pub fn upload(
        &self,
        path: &NamePath,
        content: &mut impl Read,
        options: &UploadOptions,
    ) -> Result<Changed, ClientError> {
        let mut left = usize::try_from(options.size_hint).unwrap_or(usize::MAX);
        self.upload_pieces(path, options, &mut || {
            // One byte more than the hint, so that the end is seen without another buffer.
            let capacity = left.saturating_add(1).min(CHUNK_BYTES_MAX);
            let mut piece = Vec::with_capacity(if left == 0 { 0 } else { capacity });
            content.take(CHUNK_BYTES_MAX as u64).read_to_end(&mut piece).map_err(ClientError::Input)?;
            left = left.saturating_sub(piece.len());
            Ok(piece.into())
        })
    }

    /// Stores content that is in memory, under a name.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    pub fn upload_bytes(
        &self,
        path: &NamePath,
        content: &Bytes,
        options: &UploadOptions,
    ) -> Result<Changed, ClientError> {
        let attempt = || {
            let mut rest = content.clone();
            self.upload_pieces(path, options, &mut || Ok(rest.split_to(rest.len().min(CHUNK_BYTES_MAX))))
        };
        match attempt() {
            Err(error) if error.status() == Some(Status::SessionUnknown) => attempt(),
            outcome => outcome,
        }
    }

    fn upload_pieces(
        &self,
        path: &NamePath,
        options: &UploadOptions,
        next: &mut dyn FnMut() -> Result<Bytes, ClientError>,
    ) -> Result<Changed, ClientError> {
        let opened = self.opened()?;
        let mut upload = Upload::new(self, &opened, options);
        let outcome = upload.send_all(next).and_then(|()| upload.commit(path, options));
        opened.abandon(upload.numbers - if outcome.is_ok() { upload.chunks.len() as u64 } else { 0 });
        match outcome {
            // Its chunks are of that session, so they must be sent again.
            Err(error) if is_at_its_end(&error) => {
                self.give_up(&opened, &error)?;
                let detail = "the session ended before the commit: give the content again";
                Err(ClientError::Refused(Refusal::new(Status::SessionUnknown, detail)))
            }
            outcome => outcome,
        }
    }
}

struct Upload<'a> {
    session: &'a NameSession,
    opened: &'a Opened,
    room: Arc<Room>,
    in_flight: usize,
    window: VecDeque<Sent>,
    chunks: Vec<ObjectId>,
    hash: FileHash,
    size: u64,
    /// Numbers that its chunks took.
    numbers: u64,
}

/// A chunk on its way.
struct Sent {
    ticket: Ticket<Stored>,
    content: Bytes,
    _room: Taken,
}

impl<'a> Upload<'a> {
    fn new(session: &'a NameSession, opened: &'a Opened, options: &UploadOptions) -> Self {
        Self {
            session,
            opened,
            room: Arc::clone(&session.client().pool.room),
            in_flight: options.in_flight.max(1),
            window: VecDeque::new(),
            chunks: Vec::new(),
            hash: FileHash::new(),
            size: 0,
            numbers: 0,
        }
    }

    fn send_all(&mut self, next: &mut dyn FnMut() -> Result<Bytes, ClientError>) -> Result<(), ClientError> {
        loop {
            let mut room = self.room()?;
            let piece = next()?;
            room.shrink(piece.len());
            let is_last = piece.len() < CHUNK_BYTES_MAX;
            if !piece.is_empty() {
                self.send(piece, room)?;
            }
            if is_last {
                break;
            }
        }
        while !self.window.is_empty() {
            self.finish_first()?;
        }
        Ok(())
    }

    /// Room for a chunk, and a place in the window.
    fn room(&mut self) -> Result<Taken, ClientError> {
        while self.window.len() >= self.in_flight {
            self.finish_first()?;
        }
        loop {
            if let Some(room) = self.room.try_take(CHUNK_BYTES_MAX) {
                return Ok(room);
            }
            if self.window.is_empty() {
                return Ok(self.room.take(CHUNK_BYTES_MAX));
            }
            self.finish_first()?;
        }
    }

    fn send(&mut self, content: Bytes, room: Taken) -> Result<(), ClientError> {
        if self.chunks.len() + self.window.len() >= FILE_CHUNKS_MAX {
            let detail = format!("a file is at most {FILE_CHUNKS_MAX} chunks of 8 MiB");
            return Err(ClientError::Refused(Refusal::new(Status::TooLarge, detail)));
        }
        self.size += content.len() as u64;
        self.opened.renew()?;
        let ticket = self.put(&content);
        self.window.push_back(Sent { ticket, content, _room: room });
        Ok(())
    }

    /// Under a number that nothing else has.
    fn put(&mut self, content: &Bytes) -> Ticket<Stored> {
        self.numbers += 1;
        let options = PutOptions { origin: self.opened.number(), ..PutOptions::default() };
        self.session.client().submit_put(content.clone(), options)
    }

    fn finish_first(&mut self) -> Result<(), ClientError> {
        let Some(Sent { ticket, content, _room }) = self.window.pop_front() else {
            return Ok(());
        };
        let stored = insist(self.session.client(), ticket, || self.put(&content))?;
        self.chunks.push(stored.id);
        // It was held against the content when the receipt came.
        self.hash.add(stored.hash);
        Ok(())
    }

    fn commit(&self, path: &NamePath, options: &UploadOptions) -> Result<Changed, ClientError> {
        let commit = Change::Commit {
            path: path.clone(),
            condition: options.condition,
            parents: options.parents,
            modified_ms: options.modified_ms,
            attributes: options.attributes.clone(),
            chunks: self.chunks.clone(),
        };
        let changed = self.opened.change(commit, ATTEMPTS_MAX)?;
        if ContentHash(changed.hash) == self.hash.value() && changed.size == self.size {
            return Ok(changed);
        }
        let peer = Arc::clone(self.session.client().pool.address());
        let what = format!(
            "{path} is stored as {} bytes with hash {}, and not as {} bytes with hash {}",
            changed.size,
            ContentHash(changed.hash),
            self.size,
            self.hash.value(),
        );
        Err(ClientError::Corrupt { peer, what })
    }
}
