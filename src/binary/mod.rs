//! The binary protocol as a guest of the reactor: frames in, frames out.

mod conversation;
mod incoming;

use crate::net::{Guest, Peer, Protocol};
use crate::request::{Limits, Refusal};
use crate::wire::{ChecksumKind, ReplyTo};
use bytes::Bytes;
use conversation::Conversation;
use std::sync::Arc;

/// What a listener of the binary protocol speaks.
#[derive(Debug)]
pub struct Binary {
    limits: Arc<Limits>,
}

impl Binary {
    /// A guest that tells its clients these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits: Arc::new(limits) }
    }
}

impl Guest for Binary {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn begin(&self, _peer: Peer) -> Box<dyn Protocol> {
        Box::new(Conversation::new(Arc::clone(&self.limits)))
    }

    fn turn_away(&self, refusal: &Refusal) -> Bytes {
        conversation::refusal_of(OF_THE_CONNECTION, refusal)
    }
}

/// Where a reply goes that answers no request.
const OF_THE_CONNECTION: ReplyTo = ReplyTo { opcode: 0, correlation: 0, checksum_kind: ChecksumKind::Crc32 };
