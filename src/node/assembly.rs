//! A node and its threads.
//!
//! Built bottom-up: memory, disks, services, processors, acceptor. Stopped top-down: the acceptor closes its listeners,
//! processors drain, then the disks' threads finish what waits and close their volumes.

use super::access_log::AccessLogThread;
use super::names::NameThreads;
use super::status::{NodeStatus, Parts};
use super::{Configuration, NodeError};
use crate::base::budget::Budget;
use crate::base::buffers::BufferPool;
use crate::base::clock::{Clock, SystemClock};
use crate::base::limits::{BODY_BYTES_MAX, CHUNK_BYTES_MAX, SEGMENT_BYTES_DEFAULT};
use crate::base::mailbox::Wake;
use crate::base::thread;
use crate::binary::Binary;
use crate::disk::Disk;
use crate::handler::{Handler, Names, StatusSource};
use crate::http::access::AccessLog;
use crate::http::{Http, OriginParts};
use crate::io::{CompactionPace, Directory, DiskSettings, Disks, ScrubSettings};
use crate::metrics::{Counter, DiskMetrics, NodeMetrics, ProcessorMetrics};
use crate::net::{Acceptor, Bound, Control, Inbox, Listener, Processor, ProcessorParts, Quota, Settings};
use crate::request::Limits;
use crate::store::StoreOptions;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Unused buffers that are kept, of a budget: one eighth.
const KEPT_SHARE: usize = 8;

/// Reaches the metadata directory.
pub type MetaDirectory = Box<dyn FnOnce() -> io::Result<Arc<dyn Disk>>>;

/// A running node.
pub struct Node {
    address: SocketAddr,
    http: Option<SocketAddr>,
    disks: Arc<Disks>,
    names: NameThreads,
    status: Arc<NodeStatus>,
    control: Arc<Control>,
    nudge: Box<dyn Wake>,
    access_log: Option<AccessLogThread>,
    inboxes: Vec<Inbox>,
    drain: Duration,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("address", &self.address).field("disks", &self.disks).finish_non_exhaustive()
    }
}

impl Node {
    /// Starts a node on disks that were reached before; as [`start_in`](Self::start_in).
    ///
    /// # Errors
    /// [`NodeError`]; nothing is left running.
    pub fn start(
        configuration: &Configuration,
        disks: Vec<Arc<dyn Disk>>,
        log_dropped: Arc<Counter>,
    ) -> Result<Self, NodeError> {
        Self::start_in(configuration, disks.into_iter().map(Directory::of).collect(), None, log_dropped)
    }

    /// Starts a node in these directories; one that suffered is left out. `meta` reaches the metadata directory once the
    /// others are open; without it, and when the master cannot be opened, names are UNAVAILABLE and ids go on.
    /// `log_dropped` counts log lines that found no room.
    ///
    /// # Errors
    /// [`NodeError`]; nothing is left running.
    pub fn start_in(
        configuration: &Configuration,
        directories: Vec<Directory>,
        meta: Option<MetaDirectory>,
        log_dropped: Arc<Counter>,
    ) -> Result<Self, NodeError> {
        let clock = SystemClock::shared();
        let metrics = Arc::new(NodeMetrics {
            processors: (0..configuration.processors).map(|_| Arc::default()).collect(),
            disks: directories.iter().map(|_| Arc::<DiskMetrics>::default()).collect(),
            ..NodeMetrics::default()
        });
        let budget_in = Budget::new(configuration.budget_in_bytes);
        let budget_out = Budget::new(configuration.budget_out_bytes);
        let pool = BufferPool::new((configuration.budget_in_bytes + configuration.budget_out_bytes) / KEPT_SHARE);
        // Taken before any directory is touched, and let in only when all is ready.
        let taken = |error| NodeError::Listen { address: configuration.listen, flag: "--listen", error };
        let bound = Bound::to(configuration.listen).map_err(taken)?;
        let http_taken = |error| NodeError::Listen {
            address: configuration.http,
            flag: "--http or turn it off with --no-http",
            error,
        };
        let http_bound =
            configuration.http_enabled.then(|| Bound::to(configuration.http)).transpose().map_err(http_taken)?;
        let access_log = access_log(configuration, &clock, &metrics)?;
        let settings = disk_settings(configuration, directories.len());
        let disks = Disks::open(directories, &settings, &pool, &clock, &metrics.disks)?;
        let names = NameThreads::start(configuration, &disks, meta, &clock, &metrics.master).inspect_err(|_| {
            disks.close(Duration::from_millis(configuration.drain_ms));
        })?;
        let quota = Quota::new(configuration.connections_max, configuration.connections_per_address_max);
        let control = Arc::new(Control::default());
        let parts = ProcessorParts {
            clock: Arc::clone(&clock),
            settings: Arc::new(net_settings(configuration)),
            pool: Arc::clone(&pool),
            budget_in: Arc::clone(&budget_in),
            budget_out: Arc::clone(&budget_out),
            control: Arc::clone(&control),
        };
        let binary = Arc::new(Binary::new(limits(configuration, &disks)));
        let origin = Arc::new(Http::new(OriginParts {
            clock: Arc::clone(&clock),
            uploads: names.uploads(),
            cache_control: configuration.http_cache_control.clone(),
            read_only: configuration.http_read_only,
            access_log: access_log.as_ref().map(AccessLogThread::log),
            stamps: names.names.master.stamps(),
            hot_bytes: configuration.http_hot_bytes as u64,
        }));
        let listeners = bound.listen(binary).map_err(taken).and_then(|first| {
            let second = http_bound.map(|bound| bound.listen(origin)).transpose().map_err(http_taken)?;
            Ok((first, second))
        });
        let (listener, http_listener) = listeners.inspect_err(|_| {
            names.close();
            disks.close(parts.settings.drain);
        })?;
        let address = listener.address();
        let http = http_listener.as_ref().map(Listener::address);
        let listeners = std::iter::once(listener).chain(http_listener).collect();
        let described = Parts {
            address,
            identity: disks.identity(),
            metrics: Arc::clone(&metrics),
            budgets: [budget_in, budget_out],
            pool,
            quota: Arc::clone(&quota),
            log_dropped,
            master: Arc::clone(&names.names.master),
            scrub_period: settings.scrub.period,
        };
        let status = Arc::new(NodeStatus::new(described, &*clock));
        let mut reactor = Reactor { inboxes: Vec::new(), threads: Vec::new(), control: Arc::clone(&control) };
        let nudge =
            reactor.start(listeners, &parts, &metrics, (&disks, &names.names), &status, &quota).inspect_err(|_| {
                control.end();
                names.close();
                disks.close(parts.settings.drain);
            })?;
        let Reactor { inboxes, threads, .. } = reactor;
        let sleepers = inboxes.clone();
        disks.on_change(move || sleepers.iter().for_each(Inbox::nudge));
        Ok(Self {
            address,
            http,
            disks,
            names,
            status,
            control,
            nudge,
            access_log,
            inboxes,
            drain: parts.settings.drain,
            threads,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the HTTP origin listens, if there is one.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where requests over HTTP are logged, if they are.
    #[must_use]
    pub fn access_log(&self) -> Option<AccessLog> {
        self.access_log.as_ref().map(AccessLogThread::log)
    }

    /// How many disks it has open, and how many it goes on without.
    #[must_use]
    pub fn disks(&self) -> (usize, usize) {
        self.disks.counts()
    }

    /// The node as `status` describes it.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        self.status.value(&self.disks)
    }

    /// The node's metrics as scrapers get them: OpenMetrics text, made anew.
    #[must_use]
    pub fn metrics(&self) -> Bytes {
        self.status.exposition(&self.disks)
    }

    /// What probes are told: that the node can serve, as a JSON text.
    ///
    /// # Errors
    /// Why it cannot, in a few words for each part.
    pub fn ready(&self) -> Result<Bytes, String> {
        self.status.ready(&self.disks)
    }

    /// Drains, closes all volumes cleanly, and ends all threads.
    pub fn stop(self) {
        self.status.stop();
        self.control.drain();
        self.nudge_all();
        let ends = Instant::now() + self.drain + Duration::from_secs(1);
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < ends {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.control.end();
        self.nudge_all();
        for thread in self.threads {
            // A panic was logged when it happened.
            drop(thread.join());
        }
        // Before the disks: what the master's threads still do needs them.
        self.names.close();
        self.disks.close(self.drain);
        // After the processors, which write its lines.
        if let Some(access_log) = self.access_log {
            access_log.finish();
        }
        log::info!("stopped");
    }

    fn nudge_all(&self) {
        self.nudge.wake();
        for inbox in &self.inboxes {
            inbox.nudge();
        }
    }
}

/// The reactor's threads while they are being started.
struct Reactor {
    inboxes: Vec<Inbox>,
    threads: Vec<JoinHandle<()>>,
    control: Arc<Control>,
}

impl Reactor {
    fn start(
        &mut self,
        listeners: Vec<Listener>,
        parts: &ProcessorParts,
        metrics: &Arc<NodeMetrics>,
        work: (&Arc<Disks>, &Names),
        status: &Arc<NodeStatus>,
        quota: &Arc<Quota>,
    ) -> Result<Box<dyn Wake>, NodeError> {
        for (number, processor_metrics) in metrics.processors.iter().enumerate() {
            self.start_processor(number, parts, processor_metrics, work, status)?;
        }
        status.watch(self.inboxes.clone());
        let acceptor = Acceptor::new(
            listeners,
            self.inboxes.clone(),
            Arc::clone(quota),
            Arc::clone(&parts.clock),
            Arc::clone(metrics),
            Arc::clone(&self.control),
        )
        .map_err(NodeError::system("a poll for the acceptor"))?;
        let nudge = acceptor.nudge();
        self.threads.push(
            thread::spawn("acceptor", move || {
                if let Err(error) = acceptor.run() {
                    log::error!("the acceptor ended: {error}; no further connections are taken");
                }
            })
            .map_err(NodeError::system("a thread for the acceptor"))?,
        );
        Ok(nudge)
    }

    fn start_processor(
        &mut self,
        number: usize,
        parts: &ProcessorParts,
        metrics: &Arc<ProcessorMetrics>,
        (disks, names): (&Arc<Disks>, &Names),
        status: &Arc<NodeStatus>,
    ) -> Result<(), NodeError> {
        let status = Arc::<NodeStatus>::clone(status);
        let service = Handler::new(Arc::clone(disks), names.clone(), Arc::clone(&parts.budget_out), status);
        let processor = Processor::new(parts.clone(), Box::new(service), Arc::clone(metrics))
            .map_err(NodeError::system("a poll for a processor"))?;
        self.inboxes.push(processor.inbox());
        self.threads.push(
            thread::spawn(&format!("processor-{number}"), move || {
                if let Err(error) = processor.run() {
                    log::error!("processor {number} ended: {error}");
                }
            })
            .map_err(NodeError::system("a thread for a processor"))?,
        );
        Ok(())
    }
}

/// The access log, if there is an origin and it shall be logged.
fn access_log(
    configuration: &Configuration,
    clock: &Arc<dyn Clock>,
    metrics: &NodeMetrics,
) -> Result<Option<AccessLogThread>, NodeError> {
    let path = configuration.access_log.as_deref().filter(|_| configuration.http_enabled);
    let start = |path| {
        let dropped = Arc::clone(&metrics.access_log_dropped);
        AccessLogThread::start(path, configuration.access_log_format, Arc::clone(clock), dropped)
    };
    path.map(start).transpose()
}

/// The jobs of one disk hold at most half of a budget, and less of it the more disks there are: so that all but one may
/// hang and the last still has room.
fn disk_settings(configuration: &Configuration, disks: usize) -> DiskSettings {
    DiskSettings {
        store: StoreOptions {
            segment_bytes: configuration.segment_bytes.unwrap_or(SEGMENT_BYTES_DEFAULT.min(configuration.volume_bytes)),
            fit_segments: configuration.segment_bytes.is_none(),
            volume_bytes: configuration.volume_bytes,
            reserve_bytes: configuration.reserve_bytes,
            open_files_max: configuration.open_files_max,
            fill_ahead_bytes: configuration.fill_ahead_bytes,
        },
        readers: configuration.readers_per_disk,
        read_queue_max: configuration.read_queue_max,
        append_queue_max: configuration.append_queue_max,
        append_queue_bytes_max: configuration.append_queue_bytes_max,
        cache_bytes: configuration.cache_bytes as u64,
        share_in_bytes: configuration.budget_in_bytes / (disks + 1),
        share_out_bytes: configuration.budget_out_bytes / (disks + 1),
        pace: CompactionPace {
            garbage_percent: configuration.compaction_garbage_percent,
            bytes_per_s: configuration.compaction_bytes_per_s,
        },
        suspect_after: Duration::from_millis(configuration.suspect_after_ms),
        suspect_for: Duration::from_millis(configuration.suspect_for_ms),
        open_stall: Duration::from_millis(configuration.open_stall_ms),
        scrub: ScrubSettings {
            period: Duration::from_secs(configuration.scrub_days * 86_400),
            bytes_per_s: configuration.scrub_bytes_per_s,
        },
    }
}

fn net_settings(configuration: &Configuration) -> Settings {
    Settings {
        in_flight_max: configuration.in_flight_max,
        idle: Duration::from_millis(configuration.idle_timeout_ms),
        head: Duration::from_millis(configuration.head_timeout_ms),
        rate_window: Duration::from_millis(configuration.rate_window_ms),
        body_bytes_min: configuration.body_bytes_min_per_window,
        read_bytes_min: configuration.read_bytes_min_per_window,
        deadline_default: Duration::from_millis(configuration.deadline_default_ms),
        deadline_max: Duration::from_millis(configuration.deadline_max_ms),
        drain: Duration::from_millis(configuration.drain_ms),
        ..Settings::default()
    }
}

fn limits(configuration: &Configuration, disks: &Disks) -> Limits {
    let (cluster, node) = disks.identity();
    let milliseconds = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
    Limits {
        cluster,
        node,
        body_bytes_max: u32::try_from(BODY_BYTES_MAX).expect("a constant below 2^32"),
        chunk_bytes_max: u32::try_from(CHUNK_BYTES_MAX).expect("a constant below 2^32"),
        in_flight_max: u32::try_from(configuration.in_flight_max).unwrap_or(u32::MAX),
        deadline_default_ms: milliseconds(configuration.deadline_default_ms),
        deadline_max_ms: milliseconds(configuration.deadline_max_ms),
    }
}
