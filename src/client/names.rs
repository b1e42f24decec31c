//! What names lead to, and what is in directories.
//!
//! Any thread. Changes are made through a [`NameSession`](super::NameSession), which gives each its number.

use super::waiting::Waiting;
use super::{Client, ClientError, Ticket};
use crate::base::limits::{FILE_CHUNKS_MAX, LOOKUP_CHUNKS_MAX};
use crate::base::path::NamePath;
use crate::request::{
    ChangeRequest, Changed, Entry, List, Listing, Lookup, NameAnswer, NameFacts, NameOperation, Refusal, Removal,
    Session, SessionAct, Status, Usage,
};
use crate::wire::{Received, Request};
use bytes::Bytes;

/// How often a lookup of many pages begins again because the file was replaced meanwhile.
const LOOKUPS_MAX: usize = 8;

impl Client {
    /// What a name leads to, with all chunks of a file, all of one version.
    ///
    /// # Errors
    /// [`ClientError`]; status NOT_FOUND if it leads to nothing.
    pub fn lookup(&self, path: &NamePath) -> Result<Entry, ClientError> {
        for _ in 0..LOOKUPS_MAX {
            if let Some(entry) = self.lookup_one_version(path)? {
                return Ok(entry);
            }
        }
        let detail = format!("it was replaced {LOOKUPS_MAX} times while it was looked up");
        Err(ClientError::Refused(Refusal::new(Status::VersionMismatch, detail)))
    }

    /// What a name leads to, without the chunks.
    ///
    /// # Errors
    /// [`ClientError`]; status NOT_FOUND if it leads to nothing.
    pub fn stat_name(&self, path: &NamePath) -> Result<Entry, ClientError> {
        self.submit_lookup(Lookup { path: path.clone(), chunk_first: 0, chunks_max: 0 }).wait()
    }

    /// Asks what a name leads to, and for some of its chunks, without waiting.
    pub fn submit_lookup(&self, lookup: Lookup) -> Ticket<Entry> {
        self.send(Request::Name(NameOperation::Lookup(lookup)), read_entry)
    }

    /// A page of a directory.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn list(&self, list: List) -> Result<Listing, ClientError> {
        self.send(Request::Name(NameOperation::List(list)), read_listing).wait()
    }

    /// All names in a directory, in the order of their bytes; a page at a time is asked for.
    ///
    /// ```no_run
    /// # use larder::base::path::NamePath;
    /// # use larder::client::Client;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::connect("127.0.0.1:7400")?;
    /// for entry in client.entries(&NamePath::parse(b"/pictures")?) {
    ///     let (name, facts) = entry?;
    ///     println!("{name}\t{}", facts.size);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn entries(&self, path: &NamePath) -> Entries {
        Entries { client: self.clone(), path: path.clone(), page: Vec::new().into_iter(), cursor: Some(Bytes::new()) }
    }

    /// What is under a name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn usage(&self, path: &NamePath) -> Result<Usage, ClientError> {
        self.send(Request::Name(NameOperation::Usage(path.clone())), read_usage).wait()
    }

    /// How far a removal in the background is; its number is in the receipt of the change.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn removal(&self, removal: u64) -> Result<Removal, ClientError> {
        self.send(Request::Name(NameOperation::Removal(removal)), read_removal).wait()
    }

    /// Asks for a change, without waiting. Sent again after a lost answer, it is still made once: its number says that it
    /// is the same. A [`NameSession`](super::NameSession) gives numbers out.
    pub fn submit_change(&self, request: ChangeRequest) -> Ticket<Changed> {
        self.send(Request::Name(NameOperation::Change(Box::new(request))), read_changed)
    }

    /// Opens or renews a session whose numbers the caller gives out; a [`NameSession`](super::NameSession) does that for
    /// most.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn session(&self, act: SessionAct) -> Result<Session, ClientError> {
        self.send(Request::Name(NameOperation::Session(act)), read_session).wait()
    }

    /// Closes a session, without waiting.
    pub fn submit_close(&self, session: u64) -> Ticket<()> {
        self.send(Request::Name(NameOperation::Session(SessionAct::Close(session))), read_closed)
    }

    /// Nothing, if the version changed between two pages of chunks.
    fn lookup_one_version(&self, path: &NamePath) -> Result<Option<Entry>, ClientError> {
        let page = |chunk_first| {
            let chunks_max = LOOKUP_CHUNKS_MAX as u32;
            self.submit_lookup(Lookup { path: path.clone(), chunk_first, chunks_max }).wait()
        };
        let mut entry = page(0)?;
        while (entry.chunks.len() as u64) < u64::from(entry.facts.chunks) {
            // A file has so few chunks that their count fits, which was checked when the answer was read.
            let next = page(u32::try_from(entry.chunks.len()).unwrap_or(u32::MAX))?;
            if next.facts.version != entry.facts.version {
                return Ok(None);
            }
            entry.chunks.extend(next.chunks);
        }
        Ok(Some(entry))
    }
}

/// The names in a directory. It ends after the first error.
#[derive(Debug)]
pub struct Entries {
    client: Client,
    path: NamePath,
    page: std::vec::IntoIter<(String, NameFacts)>,
    /// Where the next page begins; nothing after the last.
    cursor: Option<Bytes>,
}

impl Iterator for Entries {
    type Item = Result<(String, NameFacts), ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            let cursor = self.cursor.take()?;
            match self.client.list(List { path: self.path.clone(), cursor, limit: 0 }) {
                Ok(listing) => {
                    self.page = listing.entries.into_iter();
                    self.cursor = Some(listing.cursor).filter(|cursor| !cursor.is_empty());
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn read_name(waiting: &mut Waiting) -> Result<NameAnswer, ClientError> {
    match waiting.only()? {
        Received::Name(answer) => Ok(answer),
        _ => Err(waiting.unexpected()),
    }
}

fn read_entry(request: &Request, waiting: &mut Waiting) -> Result<Entry, ClientError> {
    let (NameAnswer::Entry(entry), Request::Name(NameOperation::Lookup(lookup))) = (read_name(waiting)?, request)
    else {
        return Err(waiting.unexpected());
    };
    let told = entry.chunks.len() as u64;
    let asked = u64::from(lookup.chunks_max);
    let left = u64::from(entry.facts.chunks).saturating_sub(u64::from(lookup.chunk_first));
    let right_place = entry.chunk_first == lookup.chunk_first || told == 0;
    // One chunk at least, so that who asks for more comes to an end.
    let right_count = told <= asked.min(left) && (told > 0 || asked.min(left) == 0);
    if !right_place || !right_count || entry.facts.chunks as usize > FILE_CHUNKS_MAX {
        return Err(
            waiting.protocol_error(format!("{told} chunks from {} of {}", entry.chunk_first, entry.facts.chunks))
        );
    }
    Ok(*entry)
}

fn read_listing(request: &Request, waiting: &mut Waiting) -> Result<Listing, ClientError> {
    match (read_name(waiting)?, request) {
        // A cursor that stands still would never come to the end.
        (NameAnswer::Listing(listing), Request::Name(NameOperation::List(list)))
            if listing.cursor.is_empty() || listing.cursor != list.cursor =>
        {
            Ok(listing)
        }
        (NameAnswer::Listing(_), _) => Err(waiting.protocol_error("a cursor that stands still")),
        _ => Err(waiting.unexpected()),
    }
}

fn read_usage(_: &Request, waiting: &mut Waiting) -> Result<Usage, ClientError> {
    match read_name(waiting)? {
        NameAnswer::Usage(usage) => Ok(usage),
        _ => Err(waiting.unexpected()),
    }
}

fn read_removal(_: &Request, waiting: &mut Waiting) -> Result<Removal, ClientError> {
    match read_name(waiting)? {
        NameAnswer::Removal(removal) => Ok(removal),
        _ => Err(waiting.unexpected()),
    }
}

pub(super) fn read_changed(_: &Request, waiting: &mut Waiting) -> Result<Changed, ClientError> {
    match read_name(waiting)? {
        NameAnswer::Changed(changed) => Ok(changed),
        _ => Err(waiting.unexpected()),
    }
}

fn read_session(_: &Request, waiting: &mut Waiting) -> Result<Session, ClientError> {
    match read_name(waiting)? {
        NameAnswer::Session(session) => Ok(session),
        _ => Err(waiting.unexpected()),
    }
}

fn read_closed(_: &Request, waiting: &mut Waiting) -> Result<(), ClientError> {
    match read_name(waiting)? {
        NameAnswer::SessionClosed => Ok(()),
        _ => Err(waiting.unexpected()),
    }
}
