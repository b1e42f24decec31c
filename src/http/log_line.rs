//! What the access log needs of a request after its head is gone from the buffer.
//!
//! Processor thread. Kept only while a log is written.

use super::access::Entry;
use super::exchange::{Line, Told};
use super::head::{Head, Version};
use super::{Origin, exchange::Exchange};
use std::net::SocketAddr;

/// Bytes of a head that are kept for its line.
pub(super) struct LogLine {
    method: Box<[u8]>,
    target: Box<[u8]>,
    version: &'static str,
    referer: Option<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
}

impl LogLine {
    /// Of a head, if requests are logged.
    pub(super) fn of(head: &Head<'_>, origin: &Origin) -> Option<Box<Self>> {
        origin.access_log.as_ref()?;
        Some(Box::new(Self {
            method: head.method_name.into(),
            target: head.target.into(),
            version: match head.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
            },
            referer: head.referer.map(Into::into),
            user_agent: head.user_agent.map(Into::into),
        }))
    }
}

/// Counts a request that has ended, and logs it. A peer that went away before it was told anything counts as 499.
pub(super) fn ended(exchange: &Exchange, logged: Option<&LogLine>, origin: &Origin, peer: SocketAddr) {
    let status = exchange.told.status.unwrap_or(499);
    if let (Some(log), Some(logged)) = (&origin.access_log, logged) {
        write(&exchange.line, exchange.told, status, log, logged, origin, peer);
    }
}

fn write(
    line: &Line,
    told: Told,
    status: u16,
    log: &super::access::AccessLog,
    logged: &LogLine,
    origin: &Origin,
    peer: SocketAddr,
) {
    log.write(&Entry {
        peer,
        wall_ms: origin.clock.wall_ms(),
        method: &logged.method,
        target: &logged.target,
        version: logged.version,
        status,
        body_bytes: told.bytes,
        referer: logged.referer.as_deref(),
        user_agent: logged.user_agent.as_deref(),
        duration_us: origin.clock.now().since(line.started) / 1000,
    });
}
