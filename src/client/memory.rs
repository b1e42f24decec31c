//! A node in memory, for tests: objects, sessions and a small namespace, and faults where a test wants them.
//!
//! It answers requests as a node does, without sockets and without the encoding of the wire, and by rules of its own
//! about what a node owes its clients: a number makes one change; a commit takes chunks of its own session only. Always:
//! what a fault loses is either done or not done, as the fault says.

use super::pool::Pool;
use super::waiting::Waiting;
use super::{Client, ClientBuilder, ClientError, FileHash};
use crate::base::checksum::content_hash;
use crate::base::ids::{ContentHash, Cookie, ObjectId, Origin, Sequence, VolumeId};
use crate::base::limits::CHUNK_BYTES_MAX;
use crate::base::path::NamePath;
use crate::request::{
    Attributes, Change, Changed, Condition, Durability, Entry, List, Listing, Lookup, Meta, NameAnswer, NameFacts,
    NameKind, NameOperation, Refusal, Removal, Session, SessionAct, Stage, Status, Stored, Usage,
};
use crate::wire::{ContentHead, Opcode, Received, Request};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What goes wrong with a request.
pub(crate) enum Fault {
    /// It is not done, and its answer is lost.
    LoseRequest,
    /// It is done, and its answer is lost.
    LoseAnswer,
    /// It is refused.
    Refuse(Status),
    /// It is refused for want of room in a queue, which passes.
    Busy,
    /// Something else is done first.
    First(Box<dyn FnOnce(&mut State) + Send>),
}

#[derive(Default)]
pub(crate) struct MemoryNode {
    state: Mutex<State>,
    in_flight: Arc<AtomicUsize>,
    in_flight_peak: AtomicUsize,
}

impl std::fmt::Debug for MemoryNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryNode")
    }
}

pub(crate) struct State {
    pub(crate) objects: HashMap<ObjectId, (Origin, Bytes)>,
    /// By path; the root is not in it.
    pub(crate) names: BTreeMap<String, Entry>,
    pub(crate) sessions: HashSet<u64>,
    /// Answers to changes by their numbers.
    answers: HashMap<(u64, u64), Result<Changed, Refusal>>,
    used: HashSet<ObjectId>,
    pub(crate) removals: HashMap<u64, Removal>,
    faults: VecDeque<(Opcode, Fault)>,
    /// What was asked for, in order.
    pub(crate) asked: Vec<Opcode>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) silent_ms_max: u64,
    /// Chunks and entries of one answer.
    pub(crate) page_max: usize,
    session_last: u64,
    sequence: u64,
    version: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            names: BTreeMap::new(),
            sessions: HashSet::new(),
            answers: HashMap::new(),
            used: HashSet::new(),
            removals: HashMap::new(),
            faults: VecDeque::new(),
            asked: Vec::new(),
            origins: Vec::new(),
            silent_ms_max: 86_400_000,
            page_max: 1000,
            session_last: 0,
            sequence: 0,
            version: 0,
        }
    }
}

/// The frames of a reply.
#[derive(Debug)]
pub(crate) struct Reply {
    frames: VecDeque<Received>,
    is_lost: bool,
    in_flight: Arc<AtomicUsize>,
}

impl Reply {
    pub(super) fn next(&mut self) -> Result<(Received, bool), ClientError> {
        if self.is_lost {
            return Err(ClientError::Lost { peer: "memory".into(), reason: "as planned".into(), sent: true });
        }
        let frame = self.frames.pop_front().expect("nobody reads behind the last frame");
        Ok((frame, self.frames.is_empty()))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl MemoryNode {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// A client of it.
    pub(crate) fn client(self: &Arc<Self>, options: ClientBuilder) -> Client {
        let deadline = options.deadline;
        let mut pool = Pool::new("memory".to_owned(), options);
        pool.memory = Some(Arc::clone(self));
        Client::over(Arc::new(pool), deadline)
    }

    /// The next request of this kind meets this fault; several follow each other.
    pub(crate) fn plan(&self, opcode: Opcode, fault: Fault) {
        self.state.lock().faults.push_back((opcode, fault));
    }

    pub(crate) fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        what(&mut self.state.lock())
    }

    /// How often such a request came.
    pub(crate) fn asked(&self, opcode: Opcode) -> usize {
        self.with(|state| state.asked.iter().filter(|asked| **asked == opcode).count())
    }

    /// Forgets what was asked for.
    pub(crate) fn forget_asked(&self) {
        self.with(|state| state.asked.clear());
    }

    /// The most requests that were on their way at once.
    pub(crate) fn in_flight_peak(&self) -> usize {
        self.in_flight_peak.load(Ordering::Relaxed)
    }

    /// The content of a file, and nothing if there is none.
    pub(crate) fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.with(|state| {
            let entry = state.names.get(path)?;
            let chunk = |id| state.objects.get(id).map_or(&b"(lost)"[..], |(_, content)| content);
            Some(entry.chunks.iter().map(chunk).collect::<Vec<_>>().concat())
        })
    }

    pub(super) fn send(&self, request: &Request) -> Result<Waiting, ClientError> {
        let mut state = self.state.lock();
        let opcode = request.opcode();
        state.asked.push(opcode);
        let place = state.faults.iter().position(|(planned, _)| *planned == opcode);
        let mut is_lost = false;
        let frames = match place.and_then(|place| state.faults.remove(place)).map(|(_, fault)| fault) {
            None => state.answer(request),
            Some(Fault::LoseRequest) => {
                is_lost = true;
                Ok(Vec::new())
            }
            Some(Fault::LoseAnswer) => {
                is_lost = true;
                state.answer(request)
            }
            Some(Fault::Refuse(status)) => Err(Refusal::new(status, "as planned")),
            Some(Fault::Busy) => Err(Refusal::busy(Stage::AppendQueue, 1, "as planned")),
            Some(Fault::First(act)) => {
                act(&mut state);
                state.answer(request)
            }
        };
        let frames = frames.unwrap_or_else(|refusal| vec![Received::Refused(refusal)]).into();
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.in_flight_peak.fetch_max(now, Ordering::Relaxed);
        Ok(Waiting::Memory(Reply { frames, is_lost, in_flight: Arc::clone(&self.in_flight) }))
    }
}

fn refuse<T>(status: Status) -> Result<T, Refusal> {
    Err(Refusal::new(status, "in memory"))
}

impl State {
    fn answer(&mut self, request: &Request) -> Result<Vec<Received>, Refusal> {
        match request {
            Request::Put { origin, payload, .. } => Ok(vec![Received::Stored(self.put(*origin, payload))]),
            Request::Get { id, range } => {
                let Some((_, content)) = self.objects.get(id) else {
                    return refuse(Status::NotFound);
                };
                let size = content.len() as u64;
                let range = range.map_or(0..size, |range| range.resolve(size).unwrap());
                let piece = content.slice(range.start as usize..range.end as usize);
                let hash = content_hash(content);
                let meta = Meta { size, hash, stored_ms: 0, attributes: Attributes::default() };
                Ok(vec![Received::Content(ContentHead { meta, range }, piece)])
            }
            Request::Name(operation) => Ok(vec![Received::Name(self.name(operation)?)]),
            Request::Ping(bytes) => Ok(vec![Received::Pong(bytes.clone())]),
            _ => refuse(Status::UnknownOperation),
        }
    }

    fn put(&mut self, origin: Origin, payload: &Bytes) -> Stored {
        self.sequence += 1;
        let id = ObjectId { volume: VolumeId(1), sequence: Sequence(self.sequence), cookie: Cookie(7) };
        self.origins.push(origin);
        self.objects.insert(id, (origin, payload.clone()));
        Stored { id, hash: content_hash(payload), size: payload.len() as u64, durability: Durability::Disk }
    }

    fn name(&mut self, operation: &NameOperation) -> Result<NameAnswer, Refusal> {
        match operation {
            NameOperation::Session(act) => self.session(*act),
            NameOperation::Change(request) => {
                let key = (request.id.session, request.id.number);
                if !self.sessions.contains(&key.0) {
                    return refuse(Status::SessionUnknown);
                }
                if let Some(answer) = self.answers.get(&key) {
                    return answer.clone().map(NameAnswer::Changed);
                }
                let answer = self.change(request.id.session, &request.change);
                self.answers.insert(key, answer.clone());
                answer.map(NameAnswer::Changed)
            }
            NameOperation::Lookup(lookup) => self.lookup(lookup),
            NameOperation::List(list) => self.list(list),
            NameOperation::Usage(path) => {
                self.entry(path)?;
                let mut usage = Usage::default();
                for entry in self.names.iter().filter(|(name, _)| is_under(name, path)).map(|(_, entry)| entry) {
                    match entry.facts.kind {
                        NameKind::File => usage.files += 1,
                        NameKind::Directory => usage.directories += 1,
                    }
                    usage.bytes += entry.facts.size;
                }
                Ok(NameAnswer::Usage(usage))
            }
            NameOperation::Removal(number) => match self.removals.get_mut(number) {
                Some(removal) => {
                    let told = *removal;
                    removal.done = true;
                    Ok(NameAnswer::Removal(told))
                }
                None => refuse(Status::NotFound),
            },
        }
    }

    fn session(&mut self, act: SessionAct) -> Result<NameAnswer, Refusal> {
        let session = match act {
            SessionAct::Open => {
                self.session_last += 1;
                self.sessions.insert(self.session_last);
                self.session_last
            }
            SessionAct::Renew(session) if self.sessions.contains(&session) => session,
            SessionAct::Close(session) if self.sessions.remove(&session) => return Ok(NameAnswer::SessionClosed),
            SessionAct::Renew(_) | SessionAct::Close(_) => return refuse(Status::SessionUnknown),
        };
        Ok(NameAnswer::Session(Session { session, silent_ms_max: self.silent_ms_max }))
    }

    fn entry(&self, path: &NamePath) -> Result<Entry, Refusal> {
        if path.is_root() {
            return Ok(directory(1));
        }
        let mut above = path.split().map(|(parent, _)| parent);
        while let Some(parent) = above {
            match self.names.get(parent.as_str()) {
                Some(entry) if entry.facts.kind == NameKind::File => return refuse(Status::NotADirectory),
                _ => above = parent.split().map(|(parent, _)| parent),
            }
        }
        self.names.get(path.as_str()).cloned().ok_or_else(|| Refusal::new(Status::NotFound, "in memory"))
    }

    fn lookup(&self, lookup: &Lookup) -> Result<NameAnswer, Refusal> {
        let mut entry = self.entry(&lookup.path)?;
        let count = (lookup.chunks_max as usize).min(self.page_max);
        entry.chunk_first = lookup.chunk_first;
        entry.chunks = entry.chunks.into_iter().skip(lookup.chunk_first as usize).take(count).collect();
        Ok(NameAnswer::Entry(Box::new(entry)))
    }

    fn list(&self, list: &List) -> Result<NameAnswer, Refusal> {
        if self.entry(&list.path)?.facts.kind == NameKind::File {
            return refuse(Status::NotADirectory);
        }
        let mut entries: Vec<(String, NameFacts)> = Vec::new();
        for (name, entry) in &self.names {
            let (parent, name) = name.rsplit_once('/').unwrap();
            let is_here = parent == list.path.as_str().trim_end_matches('/');
            if is_here && name.as_bytes() > &list.cursor[..] {
                entries.push((name.to_owned(), entry.facts.clone()));
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let more = entries.len() > self.page_max;
        entries.truncate(self.page_max);
        let last = entries.last().filter(|_| more).map_or("", |(name, _)| name).to_owned();
        Ok(NameAnswer::Listing(Listing { entries, cursor: last.into() }))
    }

    fn holds(&self, path: &NamePath, condition: Condition) -> Result<(), Refusal> {
        match (condition, self.names.get(path.as_str())) {
            (Condition::Absent, Some(_)) => refuse(Status::AlreadyExists),
            (Condition::Version(version), Some(entry)) if entry.facts.version != version => {
                refuse(Status::VersionMismatch)
            }
            (Condition::Version(_), None) => refuse(Status::VersionMismatch),
            _ => Ok(()),
        }
    }

    fn make_parents(&mut self, path: &NamePath, parents: bool) -> Result<(), Refusal> {
        let Some((parent, _)) = path.split() else {
            return Ok(());
        };
        match self.entry(&parent) {
            Ok(entry) if entry.facts.kind == NameKind::Directory => Ok(()),
            Ok(_) => refuse(Status::NotADirectory),
            Err(refusal) if refusal.status == Status::NotFound && parents => {
                self.make_parents(&parent, true)?;
                self.version += 1;
                self.names.insert(parent.as_str().to_owned(), directory(self.version));
                Ok(())
            }
            Err(refusal) if refusal.status == Status::NotFound => refuse(Status::ParentNotFound),
            Err(refusal) => Err(refusal),
        }
    }

    fn change(&mut self, session: u64, change: &Change) -> Result<Changed, Refusal> {
        self.version += 1;
        let version = self.version;
        let changed = Changed { version, ..Changed::default() };
        match change {
            Change::Commit { path, condition, parents, modified_ms, attributes, chunks } => {
                self.holds(path, *condition)?;
                self.make_parents(path, *parents)?;
                let before = self.entry(path).ok();
                if path.is_root() || before.as_ref().is_some_and(|entry| entry.facts.kind == NameKind::Directory) {
                    return refuse(Status::IsADirectory);
                }
                let (mut hash, mut size) = (FileHash::new(), 0);
                for (place, id) in chunks.iter().enumerate() {
                    let Some((origin, content)) = self.objects.get(id) else {
                        return refuse(Status::NoSuchChunk);
                    };
                    if origin.session != session || !self.used.insert(*id) {
                        return refuse(Status::ForeignChunk);
                    }
                    assert!(
                        content.len() == CHUNK_BYTES_MAX || place + 1 == chunks.len(),
                        "a short chunk in the middle"
                    );
                    hash.add(content_hash(content));
                    size += content.len() as u64;
                }
                let facts = NameFacts {
                    kind: NameKind::File,
                    version,
                    size,
                    created_ms: 1,
                    modified_ms: modified_ms.unwrap_or(2),
                    hash: hash.value(),
                    chunks: chunks.len() as u32,
                };
                let entry = Entry { facts, attributes: attributes.clone(), chunk_first: 0, chunks: chunks.clone() };
                self.names.insert(path.as_str().to_owned(), entry);
                Ok(Changed { hash: hash.value().0, size, replaced: before.is_some(), ..changed })
            }
            Change::MakeDirectory { path, parents } => {
                self.make_parents(path, *parents)?;
                match self.entry(path) {
                    Ok(entry) if *parents && entry.facts.kind == NameKind::Directory => Ok(changed),
                    Ok(_) => refuse(Status::AlreadyExists),
                    Err(_) => {
                        self.names.insert(path.as_str().to_owned(), directory(version));
                        Ok(changed)
                    }
                }
            }
            Change::Rename { from, to, replace, condition } => {
                let entry = self.entry(from)?;
                self.holds(from, *condition)?;
                self.make_parents(to, false)?;
                if is_under(to.as_str(), from) {
                    return refuse(Status::IntoItself);
                }
                let before = self.entry(to).ok();
                match before.as_ref().map(|before| before.facts.kind) {
                    Some(_) if !replace => return refuse(Status::AlreadyExists),
                    Some(NameKind::Directory) if entry.facts.kind == NameKind::File => {
                        return refuse(Status::IsADirectory);
                    }
                    Some(NameKind::File) if entry.facts.kind == NameKind::Directory => {
                        return refuse(Status::NotADirectory);
                    }
                    _ => {}
                }
                let moved: Vec<String> =
                    self.names.keys().filter(|name| *name == from.as_str() || is_under(name, from)).cloned().collect();
                for name in moved {
                    let entry = self.names.remove(&name).unwrap();
                    self.names.insert(format!("{to}{}", &name[from.as_str().len()..]), entry);
                }
                Ok(Changed { replaced: before.is_some(), ..changed })
            }
            Change::Remove { path, tree, condition } => {
                let entry = self.entry(path)?;
                self.holds(path, *condition)?;
                let under: Vec<String> = self.names.keys().filter(|name| is_under(name, path)).cloned().collect();
                if !under.is_empty() && !tree {
                    return refuse(Status::DirectoryNotEmpty);
                }
                self.names.remove(path.as_str());
                let names = under.len() as u64;
                for name in under {
                    self.names.remove(&name);
                }
                if entry.facts.kind == NameKind::File || names == 0 {
                    return Ok(changed);
                }
                self.removals.insert(version, Removal { names, bytes: 0, done: false });
                Ok(Changed { removal: version, ..changed })
            }
            Change::SetAttributes { path, condition, attributes } => {
                let mut entry = self.entry(path)?;
                self.holds(path, *condition)?;
                entry.attributes = attributes.clone();
                entry.facts.version = version;
                self.names.insert(path.as_str().to_owned(), entry);
                Ok(changed)
            }
        }
    }

    /// Another file in the place of one, and the chunks of the old one gone.
    pub(crate) fn replace(&mut self, path: &str, content: &[u8]) {
        self.remove(path);
        let chunks: Vec<ObjectId> = content
            .chunks(CHUNK_BYTES_MAX)
            .map(|chunk| self.put(Origin { session: 0, number: 0 }, &Bytes::copy_from_slice(chunk)).id)
            .collect();
        self.version += 1;
        let facts = NameFacts {
            kind: NameKind::File,
            version: self.version,
            size: content.len() as u64,
            created_ms: 1,
            modified_ms: 2,
            hash: super::file_hash(content),
            chunks: chunks.len() as u32,
        };
        let entry = Entry { facts, attributes: Attributes::default(), chunk_first: 0, chunks };
        self.names.insert(path.to_owned(), entry);
    }

    /// A file and its chunks gone.
    pub(crate) fn remove(&mut self, path: &str) {
        for id in self.names.remove(path).map(|entry| entry.chunks).unwrap_or_default() {
            self.objects.remove(&id);
        }
    }
}

fn directory(version: u64) -> Entry {
    let facts = NameFacts {
        kind: NameKind::Directory,
        version,
        size: 0,
        created_ms: 1,
        modified_ms: 1,
        hash: ContentHash(0),
        chunks: 0,
    };
    Entry { facts, attributes: Attributes::default(), chunk_first: 0, chunks: Vec::new() }
}

fn is_under(name: &str, path: &NamePath) -> bool {
    path.is_root() || name.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))
}
