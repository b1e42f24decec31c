//! A server that is measured: its objects, its costs, its record.
//!
//! The main thread.

use super::doubts::doubts;
use super::hooks::Hooks;
use super::interrupt::Interrupt;
use super::plan::{Load, Plan};
use super::progress::Progress;
use super::round::{Seen, Watching};
use super::software;
use super::steady::WarmUp;
use crate::driver::target::{DriverOptions, Target};
use crate::engine::arrivals::Arrivals;
use crate::engine::plan::Stream;
use crate::engine::tally::{Tallies, Tally};
use crate::engine::{self, Finished};
use crate::record::{Doubt, Event, Record, Requests};
use crate::server::{Device, Meter, Pid, Unreadable, machine, processes_listening_on};
use crate::workload::objects::{self, Ledger};
use crate::workload::{Object, Share, Verb, Workload, WorkloadPlan};
use larder::base::size::Size;
use larder::request::Durability;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// A reachable server says so within this time.
const CONNECT: Duration = Duration::from_secs(5);
/// Connections and requests of each, with which objects are stored before.
const STORING: (u32, u32) = (16, 16);
/// The same for large objects.
const STORING_LARGE: (u32, u32) = (4, 1);
const LARGE_BYTES: u64 = 1 << 20;
/// Where names are made in a node.
const DIRECTORY: &str = "/loadgen";

#[derive(Debug)]
pub(super) struct Subject {
    target: Target,
    record: Record,
    meter: Option<Meter>,
    own: Meter,
    interrupt: Interrupt,
    /// By load, and worker.
    workloads: Vec<Vec<Workload>>,
    pub(super) failed: u64,
    pub(super) wrong: u64,
}

impl Subject {
    pub(super) fn new(plan: &Plan, target: &Target, mut record: Record, interrupt: &Interrupt) -> Result<Self, String> {
        let connected = TcpStream::connect_timeout(&target.address, CONNECT);
        connected.map_err(|error| format!("{}: cannot connect: {error}", target.text))?;
        let pids = match plan.server_pids.as_slice() {
            [] => processes_listening_on(target.address).map_err(|error| error.to_string())?,
            given => given.iter().copied().map(Pid).collect(),
        };
        let unreadable = |error: Unreadable| error.to_string();
        let mut meter = if pids.is_empty() { None } else { Some(Meter::of(&pids).map_err(unreadable)?) };
        if plan.server_pids.is_empty() {
            meter = meter.map(|meter| meter.following(target.address));
        }
        if let Some(data) = &plan.data {
            let device = Device::under(data).map_err(unreadable)?;
            meter = meter.map(|meter| meter.watching(device));
        }
        record.target.is_local = meter.is_some();
        record.target.software = software::of(target);
        record.machine = machine(&pids).map_err(unreadable)?;
        let own = Meter::own().map_err(unreadable)?;
        let (target, interrupt) = (target.clone(), interrupt.clone());
        Ok(Self { target, record, meter, own, interrupt, workloads: Vec::new(), failed: 0, wrong: 0 })
    }

    pub(super) fn text(&self) -> &str {
        &self.target.text
    }

    /// Stores what is to be read, or takes it from a ledger.
    pub(super) fn prepare(&mut self, plan: &Plan, progress: &mut Progress) -> Result<(), String> {
        for load in &plan.loads {
            let driver = self.target.driver(&self.options(plan, load, 0));
            if let Some(verb) = load.mix.verbs().find(|verb| !driver.can(*verb)) {
                return Err(format!("{}: {} has no {verb}", self.target.text, self.target.kind.scheme()));
            }
            if load.ids.is_none() && load.sizes.largest() > driver.content_bytes_max() {
                return Err(format!(
                    "{}: --size {}: {} takes at most {}",
                    self.target.text,
                    load.sizes,
                    self.target.kind.scheme(),
                    Size(driver.content_bytes_max())
                ));
            }
            let known = match &load.ids {
                Some(path) => objects::read(path)?.objects,
                None => Vec::new(),
            };
            let workloads = self.workloads_of(plan, load, &known);
            self.workloads.push(workloads);
        }
        for place in 0..plan.loads.len() {
            let load = &plan.loads[place];
            if load.ids.is_none() && load.objects > 0 {
                self.store(plan, place, load, progress)?;
            }
        }
        Ok(())
    }

    fn workloads_of(&self, plan: &Plan, load: &Load, known: &[Object]) -> Vec<Workload> {
        // The loads of a session make objects of their own.
        let seed = plan.seed.wrapping_add(if load.name.is_empty() { 0 } else { 1 << 40 });
        let workload = WorkloadPlan {
            seed,
            mix: load.mix.clone(),
            sizes: load.sizes.clone(),
            keys: load.keys,
            range_bytes: plan.range_bytes,
            preload: if load.ids.is_none() { load.objects } else { 0 },
            first_number: objects::first_number(known, seed),
        };
        let count = plan.threads.min(load.connections).max(1);
        (0..count)
            .map(|index| {
                let known: Vec<Object> = known.iter().skip(index as usize).step_by(count as usize).copied().collect();
                Workload::new(&workload, Share { index, count }, &known)
            })
            .collect()
    }

    fn options(&self, plan: &Plan, load: &Load, depth: u32) -> DriverOptions {
        DriverOptions {
            depth: if depth == 0 { load.depth } else { depth } as usize,
            durability: if plan.in_memory { Durability::Memory } else { Durability::Disk },
            deadline_ms: plan.deadline_ms,
            creates: load.mix.has(Verb::Create) || load.mix.maker() == Verb::Create,
            directory: DIRECTORY.to_string(),
        }
    }

    fn store(&mut self, plan: &Plan, place: usize, load: &Load, progress: &mut Progress) -> Result<(), String> {
        progress.begin(format!("{}: storing {} objects", self.target.text, load.objects));
        let (connections, depth) = if load.sizes.largest() > LARGE_BYTES { STORING_LARGE } else { STORING };
        let stream = Stream {
            connections: connections.max(plan.threads),
            idle_connections: 0,
            arrivals: Arrivals::Closed,
            count: Some(load.objects),
            is_storm: false,
            ..self.stream(plan, load, depth)
        };
        let workloads = std::mem::take(&mut self.workloads[place]);
        let (finished, stored) = self.run_plain(plan, Stream { workloads, ..stream }, progress)?;
        let [workloads] = <[Vec<Workload>; 1]>::try_from(finished.workloads).expect("one stream was run");
        let failed: u64 = stored.sum(Tally::failed);
        if let Some(error) = finished.errors.first() {
            return Err(format!("objects cannot be stored: {error}"));
        }
        if self.interrupt.is_asked() {
            return Err("interrupted while objects were being stored".to_string());
        }
        if failed > 0 {
            let mut all = Tally::default();
            stored.iter().for_each(|(_, tally)| all.add(tally));
            let refused: Vec<String> = all.refused.iter().map(|(name, count)| format!("{count} {name}")).collect();
            return Err(format!(
                "{}: {failed} of {} objects could not be stored: {} lost, refused: {}",
                self.target.text,
                load.objects,
                all.lost,
                refused.join(", ")
            ));
        }
        self.workloads[place] = workloads;
        Ok(())
    }

    fn run_plain(
        &mut self,
        plan: &Plan,
        stream: Stream,
        progress: &mut Progress,
    ) -> Result<(Finished, Tallies), String> {
        let watching = Watching {
            names: vec![String::new()],
            seconds: None,
            warm_up: WarmUp::For(Duration::ZERO),
            hooks: Hooks::new(&[]),
            server: None,
            own: &mut self.own,
            progress,
            interrupt: self.interrupt.clone(),
        };
        let mut seen = Seen::new(watching);
        let finished = engine::run(vec![stream], plan.patience, |tick, control| seen.tick(tick, control))?;
        let (_, mut totals, _) = seen.finish();
        Ok((finished, totals.pop().unwrap_or_default()))
    }

    fn stream(&self, plan: &Plan, load: &Load, depth: u32) -> Stream {
        let (target, options) = (self.target.clone(), self.options(plan, load, depth));
        Stream {
            name: load.name.clone(),
            address: self.target.address,
            connections: load.connections,
            idle_connections: load.idle,
            arrivals: load.arrivals,
            outstanding_max: load.outstanding_max,
            verify: plan.verify,
            is_storm: load.is_storm,
            count: load.count,
            sources: plan.sources,
            seed: plan.seed,
            driver: Box::new(move || target.driver(&options)),
            workloads: Vec::new(),
        }
    }

    /// Runs a round; why it cannot be the last of many, if so.
    pub(super) fn round(&mut self, plan: &Plan, progress: &mut Progress) -> Result<Vec<String>, String> {
        let mut streams = Vec::new();
        for (load, workloads) in plan.loads.iter().zip(std::mem::take(&mut self.workloads)) {
            streams.push(Stream { workloads, ..self.stream(plan, load, 0) });
        }
        let syncs = software::syncs(&self.target);
        let watching = Watching {
            names: plan.loads.iter().map(|load| load.name.clone()).collect(),
            seconds: plan.seconds,
            warm_up: plan.warm_up,
            hooks: Hooks::new(&plan.hooks),
            server: self.meter.as_mut(),
            own: &mut self.own,
            progress,
            interrupt: self.interrupt.clone(),
        };
        let mut seen = Seen::new(watching);
        let finished = engine::run(streams, plan.patience, |tick, control| seen.tick(tick, control))?;
        let is_steady = seen.is_steady;
        let (mut round, totals, events) = seen.finish();
        if let (Some(before), Some(after), Some(server)) = (syncs, software::syncs(&self.target), &mut round.server) {
            server.syncs = Some(after.saturating_sub(before));
        }
        let is_open = plan.loads.first().is_some_and(|load| load.arrivals.rate().is_some());
        // Those of a storm come and go.
        let kept = plan.loads.iter().filter(|load| !load.is_storm).map(|load| load.connections + load.idle).sum();
        let prefix = if plan.rounds > 1 { format!("round {}: ", self.record.rounds.len() + 1) } else { String::new() };
        for doubt in doubts(&round, &totals, is_open, is_steady, kept) {
            self.record.doubts.push(Doubt { detail: prefix.clone() + &doubt.detail, ..doubt });
        }
        self.record
            .events
            .extend(events.into_iter().map(|event| Event { what: prefix.clone() + &event.what, ..event }));
        self.failed += totals.iter().map(|tallies| tallies.sum(Tally::failed)).sum::<u64>();
        self.wrong += totals.iter().map(|tallies| tallies.sum(|tally| tally.wrong)).sum::<u64>();
        self.record.rounds.push(round);
        self.workloads = finished.workloads;
        let mut errors = finished.errors;
        if self.interrupt.is_asked() {
            errors.push("interrupted: what was seen until then is told".to_string());
        }
        Ok(errors)
    }

    /// The record, and why the ledger was not written, if so: figures are told all the same.
    pub(super) fn finish(self, plan: &Plan) -> (Record, Option<String>) {
        let written = plan.ledger.as_ref().map_or(Ok(()), |path| self.write_ledger(path));
        (self.record, written.err())
    }

    fn write_ledger(&self, path: &Path) -> Result<(), String> {
        let mut ledger = Ledger::create(path)?;
        for object in self.workloads.iter().flatten().flat_map(Workload::objects) {
            ledger.add(&object)?;
        }
        ledger.flush()
    }

    pub(super) fn last(&self) -> Option<&crate::record::Round> {
        self.record.rounds.last()
    }

    pub(super) fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }
}

/// All kinds of request of the first load as one.
pub(super) fn first_load(requests: &std::collections::BTreeMap<String, Requests>) -> impl Iterator<Item = &Requests> {
    requests.iter().filter(|(name, _)| !name.contains(' ')).map(|(_, requests)| requests)
}
