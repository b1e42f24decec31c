//! Puts one group together: the frame, then needles, ready for one gathered write.
//!
//! Owned by the append lane. Heads, frame and zeros go into one scratch buffer; payloads stay where they are.

use super::entry::Entry;
use crate::base::ids::{Cookie, Epoch, Origin, Sequence, VolumeId};
use crate::base::payload::Payload;
use crate::journal::{FRAME_BYTES, Frame, SECTOR_BYTES, chain_next};
use crate::store::needle::{Draft, FLAG_NAMED, Kind, empty_hash, needle_bytes, tombstone_payload};
use bytes::Bytes;
use std::io::IoSlice;

/// Zeros to fill ahead with.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// One needle to write.
#[derive(Debug)]
pub(super) struct Order<'a> {
    /// Which entry of the caller's it answers; none for EPOCH_START and SEAL.
    pub entry: Option<usize>,
    pub what: What<'a>,
}

/// What to write.
#[derive(Debug)]
pub(super) enum What<'a> {
    Put { payload: &'a Payload, cookie: Cookie, attributes: &'a Bytes, origin: Origin, named: bool },
    Tombstone { target: Sequence, payload: Payload },
    EpochStart,
    Seal,
}

impl<'a> Order<'a> {
    pub fn of(index: usize, entry: &'a Entry) -> Self {
        let what = match entry {
            Entry::Put { payload, cookie, attributes, origin, named } => {
                What::Put { payload, cookie: *cookie, attributes, origin: *origin, named: *named }
            }
            Entry::Delete { id } => {
                What::Tombstone { target: id.sequence, payload: tombstone_payload(id.sequence, id.cookie) }
            }
        };
        Self { entry: Some(index), what }
    }

    /// Bytes of the needle.
    pub fn bytes(&self) -> u64 {
        let (payload, attributes) = self.lengths();
        needle_bytes(payload, attributes)
    }

    fn lengths(&self) -> (u32, u16) {
        match &self.what {
            What::Put { payload, attributes, .. } => (
                u32::try_from(payload.bytes.len()).expect("payloads were checked against their bound"),
                u16::try_from(attributes.len()).expect("attributes were checked against their bound"),
            ),
            What::Tombstone { payload, .. } => {
                (u32::try_from(payload.bytes.len()).expect("a tombstone's body is 16 bytes"), 0)
            }
            What::EpochStart | What::Seal => (0, 0),
        }
    }

    fn payload(&self) -> Option<&Payload> {
        match &self.what {
            What::Put { payload, .. } => Some(payload),
            What::Tombstone { payload, .. } => Some(payload),
            What::EpochStart | What::Seal => None,
        }
    }
}

/// Where the volume stands before the group.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Start {
    pub volume: VolumeId,
    pub epoch: Epoch,
    pub generation: u64,
    pub salt: u64,
    pub position: u64,
    pub first: Sequence,
    pub mark: Sequence,
    pub chain: u128,
    pub stored_ms: u64,
}

/// A needle of a group that was put together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub entry: Option<usize>,
    pub sequence: Sequence,
    pub position: u64,
    pub bytes: u64,
    pub kind: Kind,
    pub cookie: Cookie,
    /// What a tombstone deletes.
    pub target: Option<Sequence>,
}

/// A group that was put together.
#[derive(Debug)]
pub(super) struct Group {
    pub placed: Vec<Placed>,
    /// The byte behind the last needle.
    pub end: u64,
    pub next: Sequence,
    pub chain: u128,
    /// Where the scratch buffer is cut to let the payloads in.
    pub cuts: Vec<usize>,
}

/// Bytes of a group of these needles, from its frame on.
pub(super) fn group_bytes(orders: &[Order<'_>]) -> u64 {
    FRAME_BYTES as u64 + orders.iter().map(Order::bytes).sum::<u64>()
}

/// Fills `scratch` with everything but the payloads.
pub(super) fn compose(start: &Start, orders: &[Order<'_>], scratch: &mut Vec<u8>) -> Group {
    scratch.clear();
    scratch.resize(FRAME_BYTES, 0);
    let mut group = Group {
        placed: Vec::with_capacity(orders.len()),
        end: start.position + FRAME_BYTES as u64,
        next: start.first,
        chain: start.chain,
        cuts: Vec::with_capacity(orders.len()),
    };
    for order in orders {
        place(start, order, scratch, &mut group);
    }
    let frame = Frame {
        volume: start.volume,
        epoch: start.epoch,
        generation: start.generation,
        position: start.position,
        first: start.first,
        count: u32::try_from(orders.len()).expect("a group's needles are bounded"),
        bytes: group.end - start.position,
        mark: start.mark,
        chain: start.chain,
        closing: orders.is_empty(),
    };
    scratch[..FRAME_BYTES].copy_from_slice(&frame.encode(start.salt));
    pad(scratch, group.end, SECTOR_BYTES);
    group
}

fn place(start: &Start, order: &Order<'_>, scratch: &mut Vec<u8>, group: &mut Group) {
    let (payload_bytes, _) = order.lengths();
    let no_attributes = Bytes::new();
    let (kind, cookie, attributes, origin, flags, target) = match &order.what {
        What::Put { cookie, attributes, origin, named, .. } => {
            let flags = if *named { FLAG_NAMED } else { 0 };
            (Kind::Put, *cookie, *attributes, *origin, flags, None)
        }
        What::Tombstone { target, .. } => {
            (Kind::Tombstone, Cookie(0), &no_attributes, Origin::default(), 0, Some(*target))
        }
        What::EpochStart => (Kind::EpochStart, Cookie(0), &no_attributes, Origin::default(), 0, None),
        What::Seal => (Kind::Seal, Cookie(0), &no_attributes, Origin::default(), 0, None),
    };
    let payload = order.payload();
    let draft = Draft {
        kind,
        volume: start.volume,
        epoch: start.epoch,
        sequence: group.next,
        cookie,
        stored_ms: start.stored_ms,
        origin,
        flags,
        hash: payload.map_or_else(empty_hash, |payload| payload.hash),
        attributes,
        payload_bytes,
        block_checksums: payload.map_or(&[], |payload| &payload.block_checksums),
    };
    let checksum = draft.encode(start.salt, scratch);
    group.cuts.push(scratch.len());
    let position = group.end;
    let bytes = order.bytes();
    group.placed.push(Placed { entry: order.entry, sequence: group.next, position, bytes, kind, cookie, target });
    group.chain = chain_next(group.chain, checksum);
    group.next = group.next.plus(1);
    group.end += bytes;
    let head = crate::store::needle::head_bytes(payload_bytes, u16::try_from(attributes.len()).unwrap_or(u16::MAX));
    let unpadded = position + head as u64 + u64::from(payload_bytes);
    pad(scratch, unpadded, 8);
}

fn pad(scratch: &mut Vec<u8>, position: u64, to: u64) {
    let zeros = position.next_multiple_of(to) - position;
    scratch.resize(scratch.len() + usize::try_from(zeros).expect("less than a sector"), 0);
}

/// The parts of the write: scratch and payloads in turn, then `zeros` bytes ahead.
pub(super) fn parts<'a>(group: &Group, orders: &'a [Order<'_>], scratch: &'a [u8], mut zeros: u64) -> Vec<IoSlice<'a>> {
    let mut parts = Vec::with_capacity(2 * orders.len() + 1);
    let mut from = 0;
    for (order, &cut) in orders.iter().zip(&group.cuts) {
        parts.push(IoSlice::new(&scratch[from..cut]));
        if let Some(payload) = order.payload()
            && !payload.bytes.is_empty()
        {
            parts.push(IoSlice::new(&payload.bytes));
        }
        from = cut;
    }
    parts.push(IoSlice::new(&scratch[from..]));
    while zeros > 0 {
        let piece = zeros.min(ZEROS.len() as u64);
        parts.push(IoSlice::new(&ZEROS[..usize::try_from(piece).expect("a piece is small")]));
        zeros -= piece;
    }
    parts
}
