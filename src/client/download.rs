//! The content of a name: its chunks, several on their way at once, written in order.
//!
//! The caller's thread. Always: each chunk is checked before any of it is written, the whole against size and hash of the
//! file at the end; what is written is of one version of the file; what is held is at most the chunks on their way,
//! within the client's room.

use super::patience::insist;
use super::room::Taken;
use super::{Client, ClientError, FileHash, Object, Ticket};
use crate::base::ids::ObjectId;
use crate::base::limits::CHUNK_BYTES_MAX;
use crate::base::path::NamePath;
use crate::request::{ByteRange, Entry, NameKind, Refusal, Status};
use std::collections::VecDeque;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

/// How a file is read.
#[derive(Debug, Clone, Copy)]
pub struct DownloadOptions {
    /// The part of it; `None` for the whole.
    pub range: Option<ByteRange>,
    /// Chunks that may be on their way at once. Default: 4.
    pub in_flight: usize,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self { range: None, in_flight: 4 }
    }
}

impl Client {
    /// Writes the file that a name leads to, or a part of it, to `output`; returns what the name led to.
    ///
    /// When the file is replaced while it is read, and nothing was written yet, the new one is read.
    ///
    /// # Errors
    /// [`ClientError`]; [`BrokeOff`](ClientError::BrokeOff) says how much was written before.
    pub fn download(
        &self,
        path: &NamePath,
        output: &mut impl Write,
        options: DownloadOptions,
    ) -> Result<Entry, ClientError> {
        let entry = self.lookup(path)?;
        let Err((error, written)) = self.download_entry(&entry, output, options) else {
            return Ok(entry);
        };
        if error.status() != Some(Status::NotFound) {
            return Err(broke_off(written, error));
        }
        // A chunk is gone: with its file, unless the name still leads to it.
        let now = self.lookup(path).map_err(|error| broke_off(written, error))?;
        if now.facts.version == entry.facts.version {
            return Err(broke_off(written, refused(Status::Damaged, "the name leads to a chunk that is not there")));
        }
        if written > 0 {
            return Err(broke_off(written, replaced()));
        }
        match self.download_entry(&now, output, options) {
            Ok(()) => Ok(now),
            Err((error, 0)) if error.status() == Some(Status::NotFound) => Err(replaced()),
            Err((error, written)) => Err(broke_off(written, error)),
        }
    }

    /// Writes the content of an entry with all its chunks; an error comes with the bytes that were written before.
    fn download_entry(
        &self,
        entry: &Entry,
        output: &mut impl Write,
        options: DownloadOptions,
    ) -> Result<(), (ClientError, u64)> {
        let parts = parts(entry, options.range).map_err(|error| (error, 0))?;
        let mut download = Download { client: self, window: VecDeque::new(), hash: FileHash::new(), written: 0 };
        let outcome = download.all(parts, output, options.in_flight.max(1));
        let is_whole = download.written == entry.facts.size;
        match outcome {
            Ok(()) if is_whole && download.hash.value() != entry.facts.hash => {
                let peer = Arc::clone(self.pool.address());
                let what = "the content is not that of the file's hash".to_owned();
                Err((ClientError::Corrupt { peer, what }, download.written))
            }
            Ok(()) => Ok(()),
            Err(error) => Err((error, download.written)),
        }
    }
}

/// A part of a chunk, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    id: ObjectId,
    chunk_bytes: u64,
    range: Range<u64>,
}

struct Download<'a> {
    client: &'a Client,
    window: VecDeque<Asked>,
    hash: FileHash,
    written: u64,
}

struct Asked {
    ticket: Ticket<Object>,
    part: Part,
    _room: Taken,
}

impl Download<'_> {
    fn all(&mut self, parts: Vec<Part>, output: &mut impl Write, in_flight: usize) -> Result<(), ClientError> {
        for part in parts {
            while self.window.len() >= in_flight {
                self.finish_first(output)?;
            }
            let room = self.room(&part, output)?;
            self.window.push_back(Asked { ticket: part.ask(self.client), part, _room: room });
        }
        while !self.window.is_empty() {
            self.finish_first(output)?;
        }
        Ok(())
    }

    fn room(&mut self, part: &Part, output: &mut impl Write) -> Result<Taken, ClientError> {
        let bytes = usize::try_from(part.range.end - part.range.start).unwrap_or(CHUNK_BYTES_MAX);
        loop {
            if let Some(room) = self.client.pool.room.try_take(bytes) {
                return Ok(room);
            }
            if self.window.is_empty() {
                return Ok(self.client.pool.room.take(bytes));
            }
            self.finish_first(output)?;
        }
    }

    fn finish_first(&mut self, output: &mut impl Write) -> Result<(), ClientError> {
        let Some(Asked { ticket, part, _room }) = self.window.pop_front() else {
            return Ok(());
        };
        let object = insist(self.client, ticket, || part.ask(self.client))?;
        let length = object.content.len() as u64;
        if object.meta.size != part.chunk_bytes
            || object.range != part.range
            || length != part.range.end - part.range.start
        {
            let what = format!("chunk {} is not of the size that the name says", part.id);
            return Err(ClientError::Corrupt { peer: Arc::clone(self.client.pool.address()), what });
        }
        self.hash.add(object.meta.hash);
        output.write_all(&object.content).map_err(ClientError::Output)?;
        self.written += length;
        Ok(())
    }
}

impl Part {
    fn ask(&self, client: &Client) -> Ticket<Object> {
        let length = self.range.end - self.range.start;
        // A whole object is checked against its hash, a part of it block by block on the node.
        let range = (length != self.chunk_bytes).then_some(ByteRange { start: self.range.start, length });
        client.submit_get(self.id, range)
    }
}

/// The parts of chunks that a range of a file is in.
fn parts(entry: &Entry, range: Option<ByteRange>) -> Result<Vec<Part>, ClientError> {
    let facts = &entry.facts;
    if facts.kind == NameKind::Directory {
        return Err(refused(Status::IsADirectory, "it is a directory"));
    }
    let chunk_bytes = CHUNK_BYTES_MAX as u64;
    if facts.size.div_ceil(chunk_bytes) != entry.chunks.len() as u64 {
        return Err(refused(Status::Damaged, "the name has more or fewer chunks than its size says"));
    }
    let wanted = match range.map_or(Ok(0..facts.size), |range| range.resolve(facts.size)) {
        Ok(wanted) => wanted,
        Err(_) => {
            let detail = format!("the file has {} bytes", facts.size);
            return Err(refused(Status::RangeNotSatisfiable, detail));
        }
    };
    let mut parts = Vec::new();
    let mut start = 0;
    for id in &entry.chunks {
        let end = (start + chunk_bytes).min(facts.size);
        let part = wanted.start.max(start)..wanted.end.min(end);
        if part.start < part.end {
            let range = part.start - start..part.end - start;
            parts.push(Part { id: *id, chunk_bytes: end - start, range });
        }
        start = end;
    }
    Ok(parts)
}

fn refused(status: Status, detail: impl Into<std::borrow::Cow<'static, str>>) -> ClientError {
    ClientError::Refused(Refusal::new(status, detail))
}

fn replaced() -> ClientError {
    refused(Status::VersionMismatch, "the file was replaced or removed while it was read: read it again")
}

/// What was written cannot be unwritten, so whoever reads this must know.
fn broke_off(written: u64, error: ClientError) -> ClientError {
    if written == 0 { error } else { ClientError::BrokeOff { written, source: Box::new(error) } }
}
