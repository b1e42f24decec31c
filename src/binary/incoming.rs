//! A frame whose body is arriving: its checksum, and for a PUT those of the payload, are computed byte by byte as it
//! comes, so nothing is read a second time.
//!
//! Processor thread.

use crate::base::limits::ATTRIBUTE_BYTES_MAX;
use crate::base::payload::PayloadDigest;
use crate::net::Body;
use crate::request::{Operation, Refusal};
use crate::wire::{Header, Opcode, PutHead, ReplyTo, RunningChecksum};
use smallvec::SmallVec;

#[expect(clippy::large_enum_variant, reason = "a refused frame is rare, and what waits for a body is boxed as a whole")]
pub(super) enum Incoming {
    /// A frame of a known operation.
    Wanted { header: Header, opcode: Opcode, checksum: RunningChecksum, put: Option<IncomingPut> },
    /// A frame that is refused; its body is skipped.
    Unwanted { to: ReplyTo, refusal: Refusal },
}

impl Incoming {
    pub(super) fn wanted(header: Header, opcode: Opcode) -> Self {
        let put = (opcode == Opcode::Put).then(|| IncomingPut::new(header.body_bytes));
        Self::Wanted { header, opcode, checksum: header.checksum_kind.running(), put }
    }

    pub(super) fn reply_to(&self) -> ReplyTo {
        match self {
            Self::Wanted { header, .. } => ReplyTo::request(header),
            Self::Unwanted { to, .. } => *to,
        }
    }

    pub(super) fn absorb(&mut self, bytes: &[u8]) {
        if let Self::Wanted { checksum, put, .. } = self {
            checksum.update(bytes);
            if let Some(put) = put {
                put.absorb(bytes);
            }
        }
    }
}

/// A PUT: fixed fields and attributes are gathered, the payload behind them is digested.
pub(super) struct IncomingPut {
    body_bytes: u32,
    /// The fixed fields and attributes so far: at most their bound.
    front: SmallVec<[u8; PutHead::BYTES]>,
    head: Option<Result<PutHead, Refusal>>,
    digest: PayloadDigest,
}

impl IncomingPut {
    fn new(body_bytes: u32) -> Self {
        Self { body_bytes, front: SmallVec::new(), head: None, digest: PayloadDigest::default() }
    }

    fn absorb(&mut self, mut bytes: &[u8]) {
        loop {
            let wanted = match &self.head {
                None => PutHead::BYTES,
                Some(Ok(head)) => head.payload_start(),
                // What the head is refused for is told once the body is here.
                Some(Err(_)) => return,
            };
            debug_assert!(wanted <= PutHead::BYTES + ATTRIBUTE_BYTES_MAX);
            let (now, later) = bytes.split_at(bytes.len().min(wanted - self.front.len()));
            self.front.extend_from_slice(now);
            bytes = later;
            if self.front.len() < wanted {
                return;
            }
            if self.head.is_some() {
                break;
            }
            self.head = Some(PutHead::parse(&self.front, self.body_bytes));
        }
        if !bytes.is_empty() {
            self.digest.update(bytes);
        }
    }

    pub(super) fn operation(self, body: Body) -> Result<Operation, Refusal> {
        let head = match self.head {
            Some(head) => head?,
            // Too short for the fixed fields: parsing what is here says so.
            None => PutHead::parse(&self.front, self.body_bytes)?,
        };
        let attributes = body.bytes.slice(PutHead::BYTES..head.payload_start());
        let payload = self.digest.finish(body.bytes.slice(head.payload_start()..), body.room);
        head.operation(attributes, payload)
    }
}
