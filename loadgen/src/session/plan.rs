//! What a session is to do: arguments and scenario, resolved.
//!
//! Plain values.

use super::hooks::Hook;
use super::steady::WarmUp;
use crate::driver::target::Target;
use crate::engine::arrivals::Arrivals;
use crate::engine::plan::{Patience, Verify};
use crate::scenario::Scenario;
use crate::workload::keys::Keys;
use crate::workload::mix::Mix;
use crate::workload::sizes::Sizes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// One load of a session.
#[derive(Debug, Clone)]
pub struct Load {
    /// In reports; empty for the first.
    pub name: String,
    /// Connections that send.
    pub connections: u32,
    /// Requests of each that may be unanswered.
    pub depth: u32,
    /// Connections that do nothing.
    pub idle: u32,
    /// When requests are sent.
    pub arrivals: Arrivals,
    /// Open loop: requests that may wait or be under way.
    pub outstanding_max: u32,
    /// Requests and their parts.
    pub mix: Mix,
    /// Sizes of new objects.
    pub sizes: Sizes,
    /// Which object is asked for.
    pub keys: Keys,
    /// Objects stored before.
    pub objects: u64,
    /// Objects to be read from a ledger instead.
    pub ids: Option<PathBuf>,
    /// A connection a request.
    pub is_storm: bool,
    /// Requests in all.
    pub count: Option<u64>,
}

/// What a session is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it comes from.
    pub scenario: &'static Scenario,
    /// Whom to ask: one, or two in turns.
    pub targets: Vec<Target>,
    /// Rounds of each.
    pub rounds: u32,
    /// Threads of each load.
    pub threads: u32,
    /// The kind of open loop, for those that look for a rate.
    pub arrivals: fn(f64) -> Arrivals,
    /// The load, and perhaps one beside it.
    pub loads: Vec<Load>,
    /// Bytes of a range request.
    pub range_bytes: u64,
    /// Which contents are compared.
    pub verify: Verify,
    /// How long to measure; `None`: until the count is reached.
    pub seconds: Option<Duration>,
    /// What comes before.
    pub warm_up: WarmUp,
    /// Seed of everything.
    pub seed: u64,
    /// Puts are acknowledged from memory.
    pub in_memory: bool,
    /// How long a request may take, for servers that are told.
    pub deadline_ms: u32,
    /// Addresses to come from.
    pub sources: u32,
    /// Commands on the way.
    pub hooks: Vec<Hook>,
    /// The server's processes, if they are not to be looked for.
    pub server_pids: Vec<u32>,
    /// A directory of the server.
    pub data: Option<PathBuf>,
    /// Empty the page cache before measuring.
    pub drop_caches: bool,
    /// How long things may take.
    pub patience: Patience,
    /// Where acknowledged objects are written.
    pub ledger: Option<PathBuf>,
    /// No line of progress.
    pub quiet: bool,
}

impl Plan {
    /// What figures depend on, for the record: a name and a text each.
    #[must_use]
    pub fn describe(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut tell = |name: String, text: String| all.insert(name, text);
        for load in &self.loads {
            let of = |name: &str| if load.name.is_empty() { name.to_string() } else { format!("{} {name}", load.name) };
            tell(of("connections"), load.connections.to_string());
            tell(of("depth"), load.depth.to_string());
            tell(of("idle connections"), load.idle.to_string());
            tell(of("arrivals"), load.arrivals.to_string());
            tell(of("mix"), load.mix.to_string());
            tell(of("sizes"), load.sizes.to_string());
            tell(of("keys"), load.keys.to_string());
            tell(of("objects"), load.ids.as_ref().map_or(load.objects.to_string(), |path| path.display().to_string()));
            if let Some(count) = load.count {
                tell(of("count"), count.to_string());
            }
            if load.arrivals.rate().is_some() {
                tell(of("outstanding"), load.outstanding_max.to_string());
            }
        }
        tell("verify".to_string(), self.verify.to_string());
        tell("threads".to_string(), self.threads.to_string());
        tell("durability".to_string(), if self.in_memory { "memory" } else { "disk" }.to_string());
        tell("page cache".to_string(), if self.drop_caches { "emptied before" } else { "as it is" }.to_string());
        all
    }
}
