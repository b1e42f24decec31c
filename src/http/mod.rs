//! The HTTP origin as a guest of the reactor: for nginx, CDNs and browsers.
//!
//! Pure code between the bytes of a connection and the operations of `request`; the same processors, buffers, budgets and
//! queues carry it that carry the binary protocol. A request is one operation or several, asked for one after another:
//! a GET of a name is a lookup, and a read of each chunk. What is spoken is RFC 9110, 9111 and 9112.

pub mod access;
mod bad;
mod begin;
mod chunked;
mod conditions;
mod content_type;
mod conversation;
mod date;
mod digest;
mod disposition;
mod etag;
mod exchange;
mod field_value;
mod framing;
mod fuzz;
mod fuzz_validators;
mod grammar;
mod head;
mod hot_answers;
mod listing;
mod log_line;
mod metadata;
mod multipart;
mod plan;
mod probe;
mod range;
mod read;
mod refused;
mod remove;
mod reply;
#[cfg(test)]
mod smuggling;
mod target;
mod upload;

use crate::base::clock::Clock;
use crate::metrics::HttpMethod;
use crate::net::{Guest, Peer, Protocol};
use crate::request::{NameStamps, Refusal, UploadSessions};
use access::AccessLog;
use bytes::Bytes;
use conversation::Conversation;
use exchange::Line;
use hot_answers::HotAnswers;
use refused::Failure;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use fuzz::{fuzz_body, fuzz_head};
pub use fuzz_validators::fuzz_conditions;

/// What an origin is made of.
pub struct OriginParts {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// The session of uploads.
    pub uploads: Arc<UploadSessions>,
    /// Cache-Control of names that have none of their own.
    pub cache_control: String,
    /// Nothing can be stored or removed by HTTP.
    pub read_only: bool,
    /// Where requests are logged, if they are.
    pub access_log: Option<AccessLog>,
    /// The marks by which it is seen whether names were changed.
    pub stamps: Arc<NameStamps>,
    /// Memory for whole answers; 0 is none.
    pub hot_bytes: u64,
}

impl std::fmt::Debug for OriginParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginParts").field("read_only", &self.read_only).finish_non_exhaustive()
    }
}

/// What all connections share.
struct Origin {
    clock: Arc<dyn Clock>,
    uploads: Arc<UploadSessions>,
    cache_control: String,
    read_only: bool,
    access_log: Option<AccessLog>,
    hot: HotAnswers,
    /// So that nobody can guess the boundary of a multipart answer, and put it into content.
    boundaries: RandomState,
    boundary_next: AtomicU64,
}

impl Origin {
    /// The number of the next boundary.
    fn boundary(&self) -> u64 {
        self.boundaries.hash_one(self.boundary_next.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a listener of the origin speaks.
pub struct Http(Arc<Origin>);

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("read_only", &self.0.read_only).finish_non_exhaustive()
    }
}

impl Http {
    /// A guest of these parts.
    #[must_use]
    pub fn new(parts: OriginParts) -> Self {
        let OriginParts { clock, uploads, cache_control, read_only, access_log, stamps, hot_bytes } = parts;
        Self(Arc::new(Origin {
            clock,
            uploads,
            cache_control,
            read_only,
            access_log,
            hot: HotAnswers::new(hot_bytes, stamps),
            boundaries: RandomState::new(),
            boundary_next: AtomicU64::new(0),
        }))
    }
}

impl Guest for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn begin(&self, peer: Peer) -> Box<dyn Protocol> {
        Box::new(Conversation::new(Arc::clone(&self.0), peer))
    }

    fn turn_away(&self, refusal: &Refusal) -> Bytes {
        let line = Line::unknown(self.0.clock.now());
        Failure::of(refusal, false).bytes(&line, self.0.clock.wall_ms())
    }
}

impl Line {
    /// Of a request that was not read: whatever is answered, the connection ends.
    fn unknown(now: crate::base::clock::Moment) -> Self {
        Self { method: HttpMethod::Other, is_head: false, is_old: false, keep_alive: false, started: now }
    }
}
