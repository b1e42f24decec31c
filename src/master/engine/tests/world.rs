//! A master on a disk in memory, and a reference that knows what its state must be after each command.

use crate::base::checksum::content_hash;
use crate::base::clock::{Clock, ManualClock, Moment};
use crate::base::completion::Completion;
use crate::base::ids::{ContentHash, Cookie, ObjectId, Origin, Sequence, VolumeId};
use crate::base::path::NamePath;
use crate::disk::Disk;
use crate::master::StateError;
use crate::master::command::{Checked, Command};
use crate::master::engine::{Master, MasterEnd, MasterSettings, Question};
use crate::master::layers::Layers;
use crate::master::log::LogOptions;
use crate::master::namespace::{Namespace, Touched};
use crate::master::store::MemoryStore;
use crate::request::{Attributes, Condition, Lookup, NameAnswer};
use crossbeam_channel::{Receiver, bounded, unbounded};
use std::sync::Arc;
use std::time::Duration;

pub const OWNER: u128 = 77;
/// Long enough for any machine: nothing waits so long unless it is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn settings(checkpoint_every: Duration) -> MasterSettings {
    let log = LogOptions { segment_bytes: 256 << 10, fill_ahead_bytes: 16 << 10, ..LogOptions::default() };
    MasterSettings {
        checkpoint_every,
        log,
        store_cache_bytes: 1 << 20,
        hot_bytes: 1 << 20,
        ..MasterSettings::default()
    }
}

pub fn open(disk: &Arc<dyn Disk>, settings: MasterSettings) -> Result<Master, StateError> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    Master::open(Arc::clone(disk), OWNER, settings, &clock, &Arc::default())
}

/// The first session of a namespace whose clock stands still.
pub fn first_session() -> u64 {
    ManualClock::default().wall_ms() << 10
}

pub fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

/// Submits a command; the receiver gets how it ended.
pub fn submit(master: &Master, command: Command) -> Receiver<MasterEnd> {
    let (tell, ended) = bounded(1);
    master.submit(command, Moment::NEVER, Completion::new(move |end| _ = tell.try_send(end)));
    ended
}

pub fn done(master: &Master, command: Command) -> MasterEnd {
    submit(master, command).recv_timeout(PATIENCE).expect("a command ends")
}

pub fn ask(master: &Master, question: Question) -> MasterEnd {
    let (tell, ended) = unbounded();
    master.ask(question, Moment::NEVER, Completion::new(move |end| _ = tell.send(end)));
    ended.recv_timeout(PATIENCE).expect("a question ends")
}

/// A lookup as a processor does it: from the hot names, or by a reader.
pub fn look_up(master: &Master, text: &str) -> MasterEnd {
    let lookup = Lookup { path: path(text), chunk_first: 0, chunks_max: 100 };
    match master.hot(&lookup) {
        Some((entry, _)) => Ok(NameAnswer::Entry(entry)),
        None => ask(master, Question::Lookup(lookup)),
    }
}

pub fn version_of(end: &MasterEnd) -> Option<u64> {
    match end {
        Ok(NameAnswer::Entry(entry)) => Some(entry.facts.version),
        _ => None,
    }
}

pub fn commit(session: u64, number: u64, name: &str) -> Command {
    let sequence = Sequence(number);
    let chunk = ObjectId { volume: VolumeId(1), sequence, cookie: Cookie(number) };
    let change = Checked::Commit {
        path: path(name),
        condition: Condition::Any,
        parents: true,
        modified_ms: None,
        attributes: Attributes::default(),
        size: 10,
        hash: content_hash(&number.to_le_bytes()),
        chunks: vec![(chunk, number + (1 << 40))],
    };
    Command::Change { id: Origin { session, number }, change }
}

pub fn empty(session: u64, number: u64, name: &str) -> Command {
    let change = Checked::Commit {
        path: path(name),
        condition: Condition::Any,
        parents: true,
        modified_ms: None,
        attributes: Attributes::default(),
        size: 0,
        hash: ContentHash(0),
        chunks: Vec::new(),
    };
    Command::Change { id: Origin { session, number }, change }
}

/// The same state machine, fed with the same commands, without log, store and threads.
pub struct Reference {
    layers: Layers,
    namespace: Namespace,
    time_ms: u64,
    /// The digest after each command, the one before the first included.
    pub digests: Vec<u128>,
}

impl Reference {
    pub fn new() -> Self {
        let layers = Layers::new(&MemoryStore::new()).unwrap();
        let namespace = Namespace::load(&layers).unwrap();
        let digests = vec![namespace.facts().digest];
        Self { layers, namespace, time_ms: ManualClock::default().wall_ms(), digests }
    }

    pub fn apply(&mut self, command: &Command) {
        let mut transaction = self.layers.begin();
        let end = self.namespace.apply(&mut transaction, command, self.time_ms, &mut Touched::default()).unwrap();
        if end.is_ok() {
            transaction.publish(false);
        }
        self.digests.push(self.namespace.facts().digest);
    }
}

impl Master {
    /// The rolling digest of all that was applied.
    pub fn digest(&self) -> u128 {
        let super::super::Inner::Running(running) = &self.0 else { panic!("no master") };
        running.shared.facts.lock().digest
    }
}

/// Seeded numbers (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
