//! Event loops: connections, requests under way, times.
//!
//! [`run`] starts a thread for each workload of each stream and listens to them. Always: it returns when all have ended.

mod alarm;
pub mod arrivals;
mod connection;
mod control;
pub mod plan;
mod taking;
pub mod tally;
mod worker;

use crate::workload::{Share, Workload};
pub use control::Control;
use control::{Ended, Interval, Said};
use plan::{Patience, Stream};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tally::Tallies;
use worker::{Ties, Worker};

/// What all workers did in about a second.
#[derive(Debug, Default)]
pub struct Tick {
    /// Its end, from the start of the run.
    pub at: Duration,
    /// What was counted, by stream.
    pub streams: Vec<Tallies>,
    /// What is waiting or under way at the end.
    pub outstanding: u64,
    /// Connections that are ready at the end.
    pub ready: u32,
    /// Connections that were lost.
    pub broken: u64,
    /// The longest time that ended here in which the first load was not answered as asked.
    pub silence: Duration,
    /// What went wrong with connections, up to a few lines a worker.
    pub remarks: Vec<String>,
    /// Whether it is the last: what the workers had when they ended.
    pub is_last: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// The workloads of each stream, with the objects that they know.
    pub workloads: Vec<Vec<Workload>>,
    /// Why workers could not go on.
    pub errors: Vec<String>,
}

/// Seconds that a worker may be behind: then its second becomes a longer one.
const SECONDS_BEHIND: usize = 3;
/// How often it is looked whether the run is to end, when no worker says anything.
const LOOK: Duration = Duration::from_millis(100);

/// Runs streams until `watch` ends them by its [`Control`], or the first of them has sent all, or no worker can go on. `watch` is called
/// with each second, from this thread.
///
/// # Errors
/// A line, when a thread or a poll cannot be had.
pub fn run(
    streams: Vec<Stream>,
    patience: Patience,
    mut watch: impl FnMut(&Tick, &Control),
) -> Result<Finished, String> {
    let control = Arc::new(Control::default());
    let start = Instant::now();
    let mut crew = Crew { streams: streams.len(), ..Crew::default() };
    // Nobody ever finds it full: each worker has so many seconds to give away, and its end.
    let workers: usize = streams.iter().map(|stream| stream.workloads.len()).sum();
    let (said, listening) = sync_channel(workers * (SECONDS_BEHIND + 1));
    for (place, mut stream) in streams.into_iter().enumerate() {
        let workloads = std::mem::take(&mut stream.workloads);
        let count = u32::try_from(workloads.len()).map_err(|_| "too many threads".to_string())?;
        let stream = Arc::new(stream);
        for (index, workload) in (0..count).zip(workloads) {
            let (spares, spare) = channel();
            for _ in 0..SECONDS_BEHIND {
                // The other end is here.
                let _ = spares.send(Box::<Interval>::default());
            }
            let number = u32::try_from(crew.members.len()).expect("fewer threads than a u32");
            let ties = Ties { control: Arc::clone(&control), said: said.clone(), spare, start };
            let worker = Worker::new(number, Share { index, count }, Arc::clone(&stream), workload, patience, ties)
                .map_err(|error| format!("no event loop can be had: {error}"))?;
            let thread = larder::base::thread::spawn(&format!("load-{number}"), move || worker.run())
                .map_err(|error| format!("no thread can be had: {error}"))?;
            crew.members.push(Member { stream: place, spares, seconds: VecDeque::new(), ended: None, thread });
        }
    }
    drop(said);
    crew.listen(&listening, &control, &mut watch)
}

/// The workers, as far as they have said anything.
#[derive(Default)]
struct Crew {
    streams: usize,
    members: Vec<Member>,
}

struct Member {
    stream: usize,
    spares: Sender<Box<Interval>>,
    /// Seconds that others have not said yet.
    seconds: VecDeque<Box<Interval>>,
    ended: Option<Box<Ended>>,
    thread: JoinHandle<()>,
}

impl Crew {
    fn listen(
        mut self,
        listening: &Receiver<Said>,
        control: &Control,
        watch: &mut impl FnMut(&Tick, &Control),
    ) -> Result<Finished, String> {
        while self.members.iter().any(|member| member.ended.is_none()) {
            // Looked at before listening: whatever a thread has said, it said before it was over.
            let is_broken = self.members.iter().any(|member| member.ended.is_none() && member.thread.is_finished());
            match listening.recv_timeout(LOOK) {
                Ok(said) => self.hear(said),
                Err(_) if is_broken => return Err("a thread of the generator broke down".to_string()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("all threads ended without a word".to_string()),
            }
            if self.members.iter().filter(|member| member.stream == 0).all(|member| member.ended.is_some()) {
                // What runs beside it has nothing to be beside of.
                control.stop();
            }
            while let Some(tick) = self.tick() {
                watch(&tick, control);
            }
        }
        Ok(self.finish(control, watch))
    }

    fn hear(&mut self, said: Said) {
        let (Said::Interval(number, _) | Said::Ended(number, _)) = said;
        let member = self.members.get_mut(number as usize).expect("workers are numbered as they are kept");
        match said {
            Said::Interval(_, interval) => member.seconds.push_back(interval),
            Said::Ended(_, ended) => member.ended = Some(ended),
        }
    }

    /// The next second, when all who go on have said it.
    fn tick(&mut self) -> Option<Tick> {
        let is_whole = self.members.iter().all(|member| member.ended.is_some() || !member.seconds.is_empty());
        let has_any = self.members.iter().any(|member| !member.seconds.is_empty());
        (is_whole && has_any).then(|| self.take_seconds())
    }

    fn take_seconds(&mut self) -> Tick {
        let mut tick = Tick { streams: vec![Tallies::default(); self.streams], ..Tick::default() };
        for member in &mut self.members {
            if let Some(mut interval) = member.seconds.pop_front() {
                tick.add(member.stream, &mut interval);
                interval.tallies.clear();
                // A worker that has ended takes none.
                let _ = member.spares.send(interval);
            }
        }
        tick
    }

    fn finish(mut self, control: &Control, watch: &mut impl FnMut(&Tick, &Control)) -> Finished {
        while self.members.iter().any(|member| !member.seconds.is_empty()) {
            let tick = self.take_seconds();
            watch(&tick, control);
        }
        let mut last = Tick { streams: vec![Tallies::default(); self.streams], is_last: true, ..Tick::default() };
        let mut finished = Finished { workloads: Vec::new(), errors: Vec::new() };
        finished.workloads.resize_with(self.streams, Vec::new);
        for member in self.members {
            let mut ended = member.ended.expect("all have ended");
            last.add(member.stream, &mut ended.last);
            finished.workloads[member.stream].push(ended.workload);
            finished.errors.extend(ended.error);
        }
        finished.errors.dedup();
        watch(&last, control);
        finished
    }
}

impl Tick {
    fn add(&mut self, stream: usize, interval: &mut Interval) {
        self.at = self.at.max(interval.at);
        if let Some(tallies) = self.streams.get_mut(stream) {
            tallies.add(&interval.tallies);
        }
        self.outstanding += interval.outstanding;
        self.ready += interval.ready;
        self.broken += std::mem::take(&mut interval.broken);
        self.silence = self.silence.max(std::mem::take(&mut interval.silence));
        self.remarks.append(&mut interval.remarks);
    }
}
