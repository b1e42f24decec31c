//! Loads by name: each answers one question, and says which.
//!
//! Plain values. Always: what a scenario sets, an argument overrides.

mod text;

pub use text::list;

/// What a scenario sets where no argument does.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// As it is written on the command line.
    pub name: &'static str,
    /// The question that it answers.
    pub question: &'static str,
    /// What to mind when reading its figures.
    pub mind: &'static str,
    /// Requests, as --mix writes them.
    pub mix: &'static str,
    /// Sizes, as --size writes them.
    pub size: &'static str,
    /// Objects stored first.
    pub objects: u64,
    /// Which of them is asked for, as --keys writes it.
    pub keys: &'static str,
    /// Connections.
    pub connections: u32,
    /// Requests of each that may be unanswered.
    pub depth: u32,
    /// Connections that do nothing.
    pub idle: u32,
    /// Closed loop unless --rate is given; these come open.
    pub needs_rate: bool,
    /// Puts are acknowledged from memory.
    pub memory: bool,
    /// A connection a request.
    pub storm: bool,
    /// The page cache is emptied first.
    pub cold: bool,
    /// A second stream, as --background writes it.
    pub background: Option<&'static str>,
}

const BASE: Scenario = Scenario {
    name: "run",
    question: "What does this load get?",
    mind: "a closed loop unless --rate is given",
    mix: "get=1",
    size: "4KiB",
    objects: 10_000,
    keys: "uniform",
    connections: 64,
    depth: 1,
    idle: 0,
    needs_rate: false,
    memory: false,
    storm: false,
    cold: false,
    background: None,
};

/// All of them.
pub const SCENARIOS: [Scenario; 14] = [
    BASE,
    Scenario {
        name: "get-hot",
        question: "What does reading an object cost that is in memory?",
        mind: "server CPU a request is the figure to quote; a closed loop hides waits, so take latency from --rate",
        ..BASE
    },
    Scenario {
        name: "get-cold",
        question: "What does reading an object cost that is on the disk alone?",
        mind: "empties the page cache first (as root); each object is read once; the server's own cache must be cold or off; \
               device reads a request are in the record if --data names the server's directory",
        keys: "once",
        objects: 100_000,
        depth: 4,
        size: "4KiB..64KiB",
        cold: true,
        ..BASE
    },
    Scenario {
        name: "put-disk",
        question: "How many objects a second are stored so that no power cut loses them?",
        mind: "the disk's syncs bound it: compare with `loadgen floor disk` on the same disk; write more than the kernel keeps \
               dirty (10 % of memory) to meet write-back",
        mix: "put=1",
        objects: 0,
        ..BASE
    },
    Scenario {
        name: "put-memory",
        question: "How many objects a second are stored when a power cut may take the last second?",
        mind: "what most stores call a put: compare with their defaults, never with put-disk",
        mix: "put=1",
        objects: 0,
        memory: true,
        ..BASE
    },
    Scenario {
        name: "mixed",
        question: "What do users of a store of pictures see, whose reads, writes and deletes meet?",
        mind: "sizes of product pictures, few hot ones",
        mix: "get=70,put=20,delete=5,head=5",
        size: "pictures",
        keys: "zipf",
        connections: 16,
        depth: 4,
        ..BASE
    },
    Scenario {
        name: "large",
        question: "How many megabytes a second pass, and what do they cost?",
        mind: "loopback copies each byte twice more than a network card does",
        mix: "get=80,put=20",
        size: "1MiB..8MiB",
        objects: 200,
        connections: 8,
        ..BASE
    },
    Scenario {
        name: "many-connections",
        question: "What do thousands of connections that do nothing cost those that work?",
        mind: "compare with --idle 0; at most some 20,000 connections a process, by the limit on open files",
        idle: 10_000,
        ..BASE
    },
    Scenario {
        name: "connect-storm",
        question: "How many new connections a second are taken, each for one request?",
        mind: "latency counts from the beginning of connecting; connections are reset, so that no port waits",
        storm: true,
        objects: 1000,
        ..BASE
    },
    Scenario {
        name: "overload",
        question: "What is still answered when more is asked than can be done, and how fast is the rest turned away?",
        mind: "give --rate at twice what `saturate` found: ok/s against the peak is goodput; refusals have a latency of their own",
        depth: 64,
        needs_rate: true,
        ..BASE
    },
    Scenario {
        name: "slow-disk",
        question: "Does a slow disk slow down requests that do not need it?",
        mind: "--ids names objects of the quick disk, --background-ids some of the slow one; --at marks when it turns slow",
        background: Some("get=1"),
        needs_rate: true,
        ..BASE
    },
    Scenario {
        name: "restart",
        question: "How long does a restart keep users waiting, and is anything lost?",
        mind: "--at 10:'systemctl restart larder' restarts it on the way; the longest time without a good answer is told; with --ledger, `loadgen audit` reads all back after",
        mix: "get=50,put=50",
        connections: 16,
        needs_rate: true,
        ..BASE
    },
    Scenario {
        name: "create",
        question: "How many names a second are made, so that no power cut loses them?",
        mind: "names without content",
        mix: "create=1",
        objects: 0,
        depth: 8,
        ..BASE
    },
    Scenario {
        name: "lookup",
        question: "What does it cost to find a name?",
        mind: "the names are made first",
        mix: "lookup=1",
        ..BASE
    },
];

impl Scenario {
    /// The scenario of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}

#[test]
fn names_are_found() {
    for scenario in &SCENARIOS {
        assert_eq!(Scenario::of(scenario.name).map(|found| found.question), Some(scenario.question));
    }
    assert!(Scenario::of("get-warm").is_none());
}
