//! What an operator may set, with defaults and reasons.
//!
//! Read once, at start, on the main thread. Always: a configuration that [`check`](Configuration::check) has passed is
//! within bounds and does not contradict itself.

mod bounds;
mod error;
mod load;

#[cfg(test)]
mod tests;

pub use error::ConfigurationError;

use crate::base::limits::VOLUME_BYTES_DEFAULT;
use crate::http::access::AccessLogFormat;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// All that can be set, in a file or by flags. `examples/larder.toml` shows every field.
///
/// Fields that end in `_bytes` take a number, or a text such as `"256 MiB"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    /// Data directories, one for each disk. A directory that is missing or empty is made one.
    pub data: Vec<PathBuf>,
    /// Whether this node is the master too: without one, names are answered UNAVAILABLE.
    pub master: bool,
    /// The metadata directory. Default: `master` in the first data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<PathBuf>,
    /// Where the binary protocol listens.
    pub listen: SocketAddr,
    /// Where the HTTP origin listens.
    pub http: SocketAddr,
    /// Whether there is an HTTP origin.
    pub http_enabled: bool,
    /// Whether the origin only reads: PUT, POST and DELETE are answered 405.
    pub http_read_only: bool,
    /// The field Cache-Control of answers for names that were stored without one.
    pub http_cache_control: String,
    /// Where the requests of the origin are logged; `-` is standard output. Default: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<PathBuf>,
    /// In which form.
    pub access_log_format: AccessLogFormat,
    /// Threads that own connections. Default: half the cores, at least 1.
    pub processors: usize,
    /// Threads of each disk that read what memory does not have.
    pub readers_per_disk: usize,
    /// Requests of one connection that may be unanswered; then it is left unread.
    pub in_flight_max: usize,
    /// Connections of all clients; further ones are closed at once.
    pub connections_max: usize,
    /// Connections of one address, so that one client cannot take them all.
    pub connections_per_address_max: usize,
    /// Memory for bodies coming in, over all connections.
    #[serde(deserialize_with = "load::size")]
    pub budget_in_bytes: usize,
    /// Memory for replies going out, over all connections.
    #[serde(deserialize_with = "load::size")]
    pub budget_out_bytes: usize,
    /// Memory for verified blocks of hot content; 0 is none.
    #[serde(deserialize_with = "load::size")]
    pub cache_bytes: usize,
    /// Memory for whole answers of the HTTP origin to plain GETs of small files; 0 is none.
    #[serde(deserialize_with = "load::size")]
    pub http_hot_bytes: usize,
    /// Memory for hot names; 0 is none.
    #[serde(deserialize_with = "load::size")]
    pub hot_names_bytes: usize,
    /// Memory for the state store's cache.
    #[serde(deserialize_with = "load::size")]
    pub meta_cache_bytes: usize,
    /// Threads that read names which memory does not have.
    pub meta_readers: usize,
    /// An upload session that is silent for so long is closed, and its chunks that no file has are garbage.
    pub session_silent_ms: u64,
    /// Content that lost its name is deleted after so long, so that readers who began with it can end; sooner when a disk
    /// is full.
    pub tombstone_wait_ms: u64,
    /// Reads that may wait for a disk; then BUSY.
    pub read_queue_max: usize,
    /// Writes that may wait for a disk; then BUSY.
    pub append_queue_max: usize,
    /// Bytes of the writes that may wait for a disk; then BUSY.
    #[serde(deserialize_with = "load::size")]
    pub append_queue_bytes_max: usize,
    /// A connection without requests is closed after this.
    pub idle_timeout_ms: u64,
    /// The head of a frame must be whole this long after its first byte.
    pub head_timeout_ms: u64,
    /// The rates below are looked at over windows of this length.
    pub rate_window_ms: u64,
    /// A body must bring at least this in each window, else the connection is closed.
    #[serde(deserialize_with = "load::size")]
    pub body_bytes_min_per_window: u64,
    /// A peer with replies waiting must take at least this in each window, else the connection is closed.
    #[serde(deserialize_with = "load::size")]
    pub read_bytes_min_per_window: u64,
    /// The deadline of a request that names none.
    pub deadline_default_ms: u64,
    /// The longest deadline; a longer one is cut to it.
    pub deadline_max_ms: u64,
    /// After a stop was asked for, requests in flight may take this long.
    pub drain_ms: u64,
    /// A segment file is closed at this size, and the next begun. Default: 1 GiB, but at most a 64th of the disk, rounded
    /// down to a power of two, and at least 16 MiB.
    #[serde(deserialize_with = "load::optional_size", skip_serializing_if = "Option::is_none")]
    pub segment_bytes: Option<u64>,
    /// A volume takes objects up to this, then it is sealed.
    #[serde(deserialize_with = "load::size")]
    pub volume_bytes: u64,
    /// Room kept on each disk for deletes and compaction when it is full. Default: the larger of 64 MiB and 1/32 of the
    /// disk, at most two segments.
    #[serde(deserialize_with = "load::optional_size", skip_serializing_if = "Option::is_none")]
    pub reserve_bytes: Option<u64>,
    /// The open segment is filled with zeros this far ahead of its end, for syncs over written blocks are faster than
    /// syncs that make a file grow; 0 is not at all. A step stays below the second-level cache of a core, for what is
    /// written into it comes a moment later, and is written at once: 4 MiB of zeros keep a core busy for 10 ms.
    #[serde(deserialize_with = "load::size")]
    pub fill_ahead_bytes: u64,
    /// Compaction begins when this share of a disk's bytes, in percent, is of no use any more; 0 is never.
    pub compaction_garbage_percent: u64,
    /// Bytes that compaction may read, write or give back a second on each disk.
    #[serde(deserialize_with = "load::size")]
    pub compaction_bytes_per_s: u64,
    /// Segment files of the node that may be open at once.
    pub open_files_max: usize,
    /// A disk on which a read, an append or a look takes this long is suspect: it takes no objects.
    pub suspect_after_ms: u64,
    /// A suspect disk takes objects again after this long without errors and with nothing that hangs. Three errors of
    /// reads within this time make a disk suspect.
    pub suspect_for_ms: u64,
    /// At start, a disk whose opening makes no progress for this long is left out.
    pub open_stall_ms: u64,
    /// Each disk is read and checked whole within this; 0 is only when it is asked for.
    pub scrub_days: u64,
    /// The fastest that a scrub may read from one disk, in a second.
    #[serde(deserialize_with = "load::size")]
    pub scrub_bytes_per_s: u64,
    /// The least severe lines that are logged, as `info`, or by module, as `info,larder::net=debug`. The variable
    /// `RUST_LOG` wins.
    pub log: String,
}

const MIB: usize = 1 << 20;

impl Default for Configuration {
    fn default() -> Self {
        Self {
            data: vec![PathBuf::from("./larder-data")],
            master: true,
            meta: None,
            // Nobody from outside until the operator says so: there is no authentication.
            listen: (Ipv4Addr::LOCALHOST, 7400).into(),
            http: (Ipv4Addr::LOCALHOST, 7480).into(),
            http_enabled: true,
            http_read_only: false,
            // Names can be given other content, so caches shall ask again soon.
            http_cache_control: "public, max-age=300".to_string(),
            access_log: None,
            access_log_format: AccessLogFormat::Combined,
            processors: std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
            readers_per_disk: 4,
            in_flight_max: 128,
            connections_max: 16_000,
            connections_per_address_max: 4096,
            budget_in_bytes: 256 * MIB,
            budget_out_bytes: 256 * MIB,
            cache_bytes: 256 * MIB,
            http_hot_bytes: 128 * MIB,
            hot_names_bytes: 64 * MIB,
            meta_cache_bytes: 128 * MIB,
            meta_readers: 2,
            session_silent_ms: 86_400_000,
            tombstone_wait_ms: 900_000,
            read_queue_max: 1024,
            append_queue_max: 4096,
            append_queue_bytes_max: 128 * MIB,
            idle_timeout_ms: 600_000,
            head_timeout_ms: 10_000,
            rate_window_ms: 5_000,
            body_bytes_min_per_window: 5_120,
            read_bytes_min_per_window: 5_120,
            deadline_default_ms: 30_000,
            deadline_max_ms: 300_000,
            drain_ms: 10_000,
            segment_bytes: None,
            volume_bytes: VOLUME_BYTES_DEFAULT,
            compaction_garbage_percent: 20,
            compaction_bytes_per_s: 64 * MIB as u64,
            reserve_bytes: None,
            fill_ahead_bytes: 1 << 20,
            open_files_max: 4096,
            suspect_after_ms: 10_000,
            suspect_for_ms: 60_000,
            open_stall_ms: 30_000,
            scrub_days: 14,
            scrub_bytes_per_s: 64 << 20,
            log: "info".to_string(),
        }
    }
}
