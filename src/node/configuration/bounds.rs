//! What each field may be, and which fields must go together.

use super::{Configuration, ConfigurationError};
use crate::base::limits::{CHUNK_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX, SEGMENT_BYTES_MAX};
use crate::base::size::Size;

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
const DAY_MS: u64 = 86_400_000;
/// It is in every answer, so it must leave the head small.
const CACHE_CONTROL_BYTES_MAX: usize = 256;

/// How a number is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Bytes,
    Milliseconds,
}

impl Unit {
    fn show(self, number: u64) -> String {
        match self {
            Self::Count => number.to_string(),
            Self::Bytes => Size(number).to_string(),
            Self::Milliseconds => format!("{number} ms"),
        }
    }
}

struct Bound {
    field: &'static str,
    value: u64,
    low: u64,
    high: u64,
    unit: Unit,
}

fn bound(field: &'static str, value: u64, low: u64, high: u64, unit: Unit) -> Bound {
    Bound { field, value, low, high, unit }
}

impl Configuration {
    /// The names of all fields.
    pub(super) const FIELDS: &[&str] = &[
        "data",
        "master",
        "meta",
        "listen",
        "http",
        "http_enabled",
        "http_read_only",
        "http_cache_control",
        "access_log",
        "access_log_format",
        "processors",
        "readers_per_disk",
        "in_flight_max",
        "connections_max",
        "connections_per_address_max",
        "budget_in_bytes",
        "budget_out_bytes",
        "cache_bytes",
        "http_hot_bytes",
        "hot_names_bytes",
        "meta_cache_bytes",
        "meta_readers",
        "session_silent_ms",
        "tombstone_wait_ms",
        "read_queue_max",
        "append_queue_max",
        "append_queue_bytes_max",
        "idle_timeout_ms",
        "head_timeout_ms",
        "rate_window_ms",
        "body_bytes_min_per_window",
        "read_bytes_min_per_window",
        "deadline_default_ms",
        "deadline_max_ms",
        "drain_ms",
        "segment_bytes",
        "volume_bytes",
        "reserve_bytes",
        "fill_ahead_bytes",
        "compaction_garbage_percent",
        "compaction_bytes_per_s",
        "open_files_max",
        "suspect_after_ms",
        "suspect_for_ms",
        "open_stall_ms",
        "scrub_days",
        "scrub_bytes_per_s",
        "log",
    ];

    /// Whether every field is within its bounds, and they go together. Call it again after flags were put over a file.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        let defaults = Self::default().bounds();
        for bound in self.bounds() {
            if (bound.low..=bound.high).contains(&bound.value) {
                continue;
            }
            let default = defaults.iter().find(|default| default.field == bound.field);
            return Err(ConfigurationError::OutOfBounds {
                file: None,
                field: bound.field,
                value: bound.unit.show(bound.value),
                want: format!("{} to {}", bound.unit.show(bound.low), bound.unit.show(bound.high)),
                default: default.map_or("by the disk".to_string(), |default| default.unit.show(default.value)),
            });
        }
        match self.contradiction() {
            None => Ok(()),
            Some(reason) => Err(ConfigurationError::Contradiction { file: None, reason }),
        }
    }

    fn bounds(&self) -> Vec<Bound> {
        use Unit::{Bytes, Count, Milliseconds};
        let count = |field, value: usize, high: usize| bound(field, value as u64, 1, high as u64, Count);
        let time = |field, value, low, high| bound(field, value, low, high, Milliseconds);
        let mut bounds = vec![
            count("processors", self.processors, 1024),
            count("readers_per_disk", self.readers_per_disk, 64),
            count("in_flight_max", self.in_flight_max, REQUESTS_IN_FLIGHT_MAX),
            count("connections_max", self.connections_max, 1_000_000),
            count("connections_per_address_max", self.connections_per_address_max, 1_000_000),
            // A budget that holds fewer than four of the largest bodies would make them wait for one another.
            bound("budget_in_bytes", self.budget_in_bytes as u64, 32 * MIB, TIB, Bytes),
            bound("budget_out_bytes", self.budget_out_bytes as u64, 32 * MIB, TIB, Bytes),
            bound("cache_bytes", self.cache_bytes as u64, 0, TIB, Bytes),
            bound("http_hot_bytes", self.http_hot_bytes as u64, 0, TIB, Bytes),
            bound("hot_names_bytes", self.hot_names_bytes as u64, 0, TIB, Bytes),
            bound("meta_cache_bytes", self.meta_cache_bytes as u64, MIB, TIB, Bytes),
            count("meta_readers", self.meta_readers, 64),
            time("session_silent_ms", self.session_silent_ms, 1000, 30 * DAY_MS),
            time("tombstone_wait_ms", self.tombstone_wait_ms, 0, 30 * DAY_MS),
            count("read_queue_max", self.read_queue_max, 1 << 20),
            count("append_queue_max", self.append_queue_max, 1 << 20),
            bound("append_queue_bytes_max", self.append_queue_bytes_max as u64, CHUNK_BYTES_MAX as u64, TIB, Bytes),
            time("idle_timeout_ms", self.idle_timeout_ms, 1000, DAY_MS),
            time("head_timeout_ms", self.head_timeout_ms, 100, DAY_MS),
            time("rate_window_ms", self.rate_window_ms, 100, DAY_MS),
            bound("body_bytes_min_per_window", self.body_bytes_min_per_window, 0, TIB, Bytes),
            bound("read_bytes_min_per_window", self.read_bytes_min_per_window, 0, TIB, Bytes),
            time("deadline_default_ms", self.deadline_default_ms, 1, DAY_MS),
            time("deadline_max_ms", self.deadline_max_ms, 1, DAY_MS),
            time("drain_ms", self.drain_ms, 0, DAY_MS),
            bound("volume_bytes", self.volume_bytes, 16 * MIB, TIB, Bytes),
            bound("fill_ahead_bytes", self.fill_ahead_bytes, 0, 256 * MIB, Bytes),
            bound("compaction_garbage_percent", self.compaction_garbage_percent, 0, 90, Count),
            bound("compaction_bytes_per_s", self.compaction_bytes_per_s, MIB, TIB, Bytes),
            bound("scrub_days", self.scrub_days, 0, 365, Count),
            bound("scrub_bytes_per_s", self.scrub_bytes_per_s, MIB, TIB, Bytes),
            count("open_files_max", self.open_files_max, 1_000_000),
            time("suspect_after_ms", self.suspect_after_ms, 100, DAY_MS),
            time("suspect_for_ms", self.suspect_for_ms, 100, DAY_MS),
            time("open_stall_ms", self.open_stall_ms, 100, DAY_MS),
        ];
        // A segment holds the largest object twice, at the least, or most of it would be its unused end.
        let segment = |bytes| bound("segment_bytes", bytes, 16 * MIB, SEGMENT_BYTES_MAX, Bytes);
        bounds.extend(self.segment_bytes.map(segment));
        bounds.extend(self.reserve_bytes.map(|reserve| bound("reserve_bytes", reserve, MIB, TIB, Bytes)));
        bounds
    }

    fn contradiction(&self) -> Option<String> {
        if self.data.is_empty() {
            return Some("data is empty: name one directory for each disk".to_string());
        }
        if let Some((place, twice)) =
            self.data.iter().enumerate().find(|(place, one)| self.data.iter().take(*place).any(|before| before == *one))
        {
            return Some(format!("data[{place}] is {} again: name each directory once", twice.display()));
        }
        if let Some(reason) = self.contradiction_of_http() {
            return Some(reason);
        }
        // A word that is no level would be taken for the name of a module that never logs.
        let is_level =
            |part: &&str| part.rsplit('=').next().is_some_and(|word| word.parse::<log::LevelFilter>().is_ok());
        if let Some(part) = self.log.split(',').find(|part| !is_level(part)) {
            return Some(format!(
                "log = {:?}: `{part}` is no level: want off, error, warn, info, debug or trace, or a module and a level as \
                 larder::net=debug, with commas between",
                self.log
            ));
        }
        if self.deadline_default_ms > self.deadline_max_ms {
            return Some(format!(
                "deadline_default_ms = {} is over deadline_max_ms = {}: lower the one or raise the other",
                self.deadline_default_ms, self.deadline_max_ms
            ));
        }
        if let Some(segment_bytes) = self.segment_bytes.filter(|&bytes| bytes > self.volume_bytes) {
            return Some(format!(
                "segment_bytes = {} is over volume_bytes = {}: a volume holds at least one segment",
                Size(segment_bytes),
                Size(self.volume_bytes)
            ));
        }
        None
    }

    fn contradiction_of_http(&self) -> Option<String> {
        // Port 0 is another port each time.
        if self.http_enabled && self.http == self.listen && self.http.port() != 0 {
            return Some(format!(
                "http = {} is listen again: give each protocol a port of its own, or set http_enabled = false",
                self.http
            ));
        }
        if !is_field_value(&self.http_cache_control) {
            return Some(format!(
                "http_cache_control = {:?}: want 1 to {CACHE_CONTROL_BYTES_MAX} visible letters of ASCII, with spaces or tabs \
                 between, such as \"public, max-age=300\" or \"no-cache\"",
                self.http_cache_control
            ));
        }
        if self.access_log.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return Some("access_log is empty: name a file, or - for standard output, or leave it out".to_string());
        }
        None
    }
}

/// RFC 9110, section 5.5: a field value begins and ends with a visible character, and has only spaces and tabs besides.
/// Bytes above ASCII are allowed there for the sake of old senders; a new one shall not send them.
fn is_field_value(text: &str) -> bool {
    let is_visible = |byte: &u8| byte.is_ascii_graphic();
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    text.len() <= CACHE_CONTROL_BYTES_MAX
        && ends.into_iter().all(|end| end.is_some_and(is_visible))
        && text.bytes().all(|byte| is_visible(&byte) || byte == b' ' || byte == b'\t')
}
