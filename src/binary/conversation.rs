//! One connection's side of the binary protocol.
//!
//! Processor thread. Always: nothing but a HELLO is taken before a HELLO; a frame that is refused for what it says is
//! answered and skipped, and only a header that cannot be trusted ends the connection. An idle conversation holds a
//! pointer to the limits and nothing else.

use super::OF_THE_CONNECTION;
use super::incoming::Incoming;
use crate::base::limits::BODY_FREE_BYTES_MAX;
use crate::net::{Arrival, Body, Decoded, Output, Protocol, Tag};
use crate::request::{Answer, Limits, Refusal, Status};
use crate::wire::{
    ChecksumKind, HEADER_BYTES, Header, HeaderError, Hello, Opcode, ReplyTo, Welcome, encode_answer, encode_refusal,
    encode_welcome, operation_of,
};
use bytes::Bytes;
use std::sync::Arc;

pub(super) struct Conversation {
    limits: Arc<Limits>,
    greeted: bool,
    /// The frame whose body is arriving.
    incoming: Option<Box<Incoming>>,
}

impl Conversation {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, greeted: false, incoming: None }
    }

    fn known(&mut self, header: Header, behind: &[u8]) -> Decoded {
        let opcode = Opcode::of_code(header.opcode);
        if !self.greeted && opcode != Some(Opcode::Hello) {
            let refusal = Refusal::new(Status::BadRequest, "the first frame of a connection is a HELLO");
            return whole(Arrival::End(refusal_of(ReplyTo::request(&header), &refusal)));
        }
        let Some(opcode) = opcode else {
            let detail = format!("opcode {:#04x} is unknown to this node", header.opcode);
            return self.refused(
                ReplyTo::request(&header),
                Refusal::new(Status::UnknownOperation, detail),
                header.body_bytes,
            );
        };
        let body_bytes = header.body_bytes as usize;
        if let Some(body) = behind.get(..body_bytes).filter(|body| is_read_at_once(opcode, body)) {
            let arrival = operation_here(&header, opcode, body);
            return Decoded::Whole { head_bytes: HEADER_BYTES + body_bytes, arrival };
        }
        let incoming = Incoming::wanted(header, opcode);
        if header.body_bytes == 0 {
            return whole(self.end_of_frame(incoming, Body { bytes: Bytes::new(), room: None }));
        }
        self.incoming = Some(Box::new(incoming));
        Decoded::Body { head_bytes: HEADER_BYTES, body_bytes: header.body_bytes as usize, keep: true }
    }

    fn broken(&mut self, error: &HeaderError) -> Decoded {
        let to = ReplyTo::refused(error);
        if error.ends_connection() {
            return whole(Arrival::End(refusal_of(to, &error.refusal())));
        }
        self.refused(to, error.refusal(), error.body_bytes())
    }

    /// A frame that is answered with a refusal once its body is skipped.
    fn refused(&mut self, to: ReplyTo, refusal: Refusal, body_bytes: u32) -> Decoded {
        if body_bytes == 0 {
            return whole(Arrival::Refused { tag: tag_of(to), refusal });
        }
        self.incoming = Some(Box::new(Incoming::Unwanted { to, refusal }));
        Decoded::Body { head_bytes: HEADER_BYTES, body_bytes: body_bytes as usize, keep: false }
    }

    fn end_of_frame(&mut self, incoming: Incoming, body: Body) -> Arrival {
        let to = incoming.reply_to();
        match self.arrival(incoming, body) {
            Ok(arrival) => arrival,
            Err(refusal) => Arrival::Refused { tag: tag_of(to), refusal },
        }
    }

    fn arrival(&mut self, incoming: Incoming, body: Body) -> Result<Arrival, Refusal> {
        let (header, opcode, put) = match incoming {
            Incoming::Unwanted { refusal, .. } => return Err(refusal),
            Incoming::Wanted { header, opcode, checksum, put } => {
                header.check_body(checksum.value())?;
                (header, opcode, put)
            }
        };
        let to = ReplyTo::request(&header);
        if opcode == Opcode::Hello {
            return self.greet(to, &body.bytes);
        }
        let operation = match put {
            Some(put) => put.operation(body)?,
            None => operation_of(opcode, &body.bytes)?,
        };
        Ok(Arrival::Request { tag: tag_of(to), operation, deadline_ms: header.deadline_ms })
    }

    fn greet(&mut self, to: ReplyTo, body: &[u8]) -> Result<Arrival, Refusal> {
        if self.greeted {
            return Err(Refusal::new(Status::BadRequest, "a connection says HELLO once"));
        }
        let hello = Hello::parse(body)?;
        let version = hello.version()?;
        log::debug!("binary: a connection of {:?}", hello.name);
        self.greeted = true;
        let welcome = Welcome { version, limits: *self.limits };
        Ok(Arrival::Reply(encode_welcome(to, &welcome).head.into_vec().into()))
    }
}

impl Protocol for Conversation {
    fn decode(&mut self, input: &[u8]) -> Decoded {
        let Some((head, behind)) = input.split_first_chunk::<HEADER_BYTES>() else { return Decoded::More };
        match Header::parse_request(head) {
            Ok(header) => self.known(header, behind),
            Err(error) => self.broken(&error),
        }
    }

    fn absorb(&mut self, bytes: &[u8]) -> usize {
        if let Some(incoming) = &mut self.incoming {
            incoming.absorb(bytes);
        }
        bytes.len()
    }

    fn finish(&mut self, body: Option<Body>) -> Arrival {
        let body = body.unwrap_or(Body { bytes: Bytes::new(), room: None });
        match self.incoming.take() {
            Some(incoming) => self.end_of_frame(*incoming, body),
            None => unreachable!("a body follows a head that was decoded"),
        }
    }

    fn give_up(&mut self, refusal: Refusal) {
        if let Some(incoming) = &mut self.incoming {
            **incoming = Incoming::Unwanted { to: incoming.reply_to(), refusal };
        }
    }

    fn encode(&mut self, tag: Tag, answer: Answer, last: bool, output: &mut Output) {
        let reply = encode_answer(to_of(tag), answer, !last);
        output.push_head(reply.head);
        for part in reply.parts {
            output.push(part);
        }
        output.hold(reply.room);
    }

    fn last_words(&mut self, refusal: &Refusal, output: &mut Output) {
        output.push_head(encode_refusal(OF_THE_CONNECTION, refusal).head);
    }
}

/// Whether a request is made of a body where it was read: it is small, needs no room, and nothing of it is kept.
fn is_read_at_once(opcode: Opcode, body: &[u8]) -> bool {
    body.len() <= BODY_FREE_BYTES_MAX && !matches!(opcode, Opcode::Hello | Opcode::Put)
}

/// The request of a frame that is all here.
fn operation_here(header: &Header, opcode: Opcode, body: &[u8]) -> Arrival {
    let tag = tag_of(ReplyTo::request(header));
    let checked = header.check_body(header.checksum_kind.checksum(body));
    match checked.and_then(|()| operation_of(opcode, body)) {
        Ok(operation) => Arrival::Request { tag, operation, deadline_ms: header.deadline_ms },
        Err(refusal) => Arrival::Refused { tag, refusal },
    }
}

/// The whole frame of a refusal, which has no content.
pub(super) fn refusal_of(to: ReplyTo, refusal: &Refusal) -> Bytes {
    encode_refusal(to, refusal).head.into_vec().into()
}

fn whole(arrival: Arrival) -> Decoded {
    Decoded::Whole { head_bytes: HEADER_BYTES, arrival }
}

/// A tag carries where the reply goes: correlation id, opcode and kind of checksum.
fn tag_of(to: ReplyTo) -> Tag {
    Tag { correlation: to.correlation, detail: u64::from(to.opcode) | u64::from(to.checksum_kind.code()) << 8 }
}

fn to_of(tag: Tag) -> ReplyTo {
    let [opcode, kind, ..] = tag.detail.to_le_bytes();
    ReplyTo {
        opcode,
        correlation: tag.correlation,
        checksum_kind: ChecksumKind::of_code(kind).expect("the tag was made from a kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{ClusterId, Cookie, NodeId, ObjectId, Origin, Sequence, VolumeId};
    use crate::base::limits::{BODY_COPIED_BYTES_MAX, BODY_FREE_BYTES_MAX, FILE_CHUNKS_MAX};
    use crate::base::path::NamePath;
    use crate::request::{Attributes, Change, ChangeRequest, Condition, NameOperation, Operation};
    use crate::wire::Request;

    fn greeted() -> Conversation {
        let limits = Limits {
            cluster: ClusterId(1),
            node: NodeId(2),
            body_bytes_max: 8 << 20,
            chunk_bytes_max: 8 << 20,
            in_flight_max: 1,
            deadline_default_ms: 1,
            deadline_max_ms: 1,
        };
        let mut conversation = Conversation::new(Arc::new(limits));
        let hello = Request::Hello(Hello::of("test")).encode(ChecksumKind::Crc32, 1, 0).concat();
        assert!(matches!(take(&mut conversation, &hello), (_, Arrival::Reply(_))));
        conversation
    }

    /// Gives it a whole frame as a connection does; says how large the body was.
    fn take(conversation: &mut Conversation, frame: &[u8]) -> (usize, Arrival) {
        match conversation.decode(frame) {
            Decoded::Whole { head_bytes, arrival } => {
                assert_eq!(head_bytes, frame.len());
                (head_bytes - HEADER_BYTES, arrival)
            }
            _ => take_slowly(conversation, frame),
        }
    }

    /// The same when the body comes behind the head, in pieces.
    fn take_slowly(conversation: &mut Conversation, frame: &[u8]) -> (usize, Arrival) {
        let Decoded::Body { head_bytes, body_bytes, keep: true } = conversation.decode(&frame[..HEADER_BYTES]) else {
            panic!("a frame with a body");
        };
        let body = &frame[head_bytes..head_bytes + body_bytes];
        body.chunks(1000).for_each(|piece| assert_eq!(conversation.absorb(piece), piece.len()));
        let body = Body { bytes: Bytes::copy_from_slice(body), room: None };
        (body_bytes, conversation.finish(Some(body)))
    }

    fn commit(chunks: usize, path: &str) -> NameOperation {
        let id = ObjectId { volume: VolumeId(1), sequence: Sequence(2), cookie: Cookie(3) };
        let change = Change::Commit {
            path: NamePath::parse(path.as_bytes()).unwrap(),
            condition: Condition::Any,
            parents: true,
            modified_ms: Some(1),
            attributes: Attributes::of(&[(Attributes::CONTENT_TYPE, b"image/jpeg")]).unwrap(),
            chunks: vec![id; chunks],
        };
        NameOperation::Change(Box::new(ChangeRequest { id: Origin { session: 1, number: 2 }, change }))
    }

    #[test]
    fn commits_of_all_sizes_are_received() {
        let mut conversation = greeted();
        let (short, long) = ("/photos/2026/a-usual-name-of-a-picture.jpg", "/x".repeat(2048));
        for (chunks, path, bounds) in [
            // A small one needs no room, so that names go on while uploads hold all of it.
            (1, short, 0..BODY_FREE_BYTES_MAX),
            (100, short, BODY_FREE_BYTES_MAX..BODY_COPIED_BYTES_MAX),
            (FILE_CHUNKS_MAX, &long[..], BODY_COPIED_BYTES_MAX..Opcode::Commit.body_bytes_max()),
        ] {
            let operation = commit(chunks, path);
            let frame = Request::Name(operation.clone()).encode(ChecksumKind::Crc32c, 9, 700).concat();
            for take in [take, take_slowly] {
                let (body_bytes, arrival) = take(&mut conversation, &frame);
                assert!(bounds.contains(&body_bytes), "{body_bytes}");
                let Arrival::Request { tag, operation: Operation::Name(found), deadline_ms: 700 } = arrival else {
                    panic!("a commit of {chunks} chunks was not taken");
                };
                assert_eq!((tag.correlation, &found), (9, &operation));
            }
        }
    }

    #[test]
    fn a_bad_path_is_refused_and_the_connection_lives() {
        let mut conversation = greeted();
        let good = Request::Name(commit(1, "/a/b")).encode(ChecksumKind::None, 9, 0).concat();
        let mut bad = good.clone();
        let at = bad.windows(4).position(|bytes| bytes == b"/a/b").unwrap();
        bad[at + 1] = b'/';
        for take in [take, take_slowly] {
            let (_, arrival) = take(&mut conversation, &bad);
            assert!(matches!(&arrival, Arrival::Refused { refusal, .. } if refusal.status == Status::BadPath));
            assert!(matches!(take(&mut conversation, &good), (_, Arrival::Request { .. })));
        }
    }

    #[test]
    fn a_small_body_is_checked_wherever_it_is_read() {
        let mut conversation = greeted();
        let mut frame = Request::Name(commit(1, "/a/b")).encode(ChecksumKind::Crc32c, 9, 0).concat();
        *frame.last_mut().unwrap() ^= 1;
        for take in [take, take_slowly] {
            let (_, arrival) = take(&mut conversation, &frame);
            assert!(matches!(&arrival, Arrival::Refused { refusal, .. } if refusal.status == Status::ChecksumMismatch));
        }
    }

    #[test]
    fn a_tag_brings_back_where_the_reply_goes() {
        for checksum_kind in [ChecksumKind::None, ChecksumKind::Crc32c, ChecksumKind::Crc32] {
            let to = ReplyTo { opcode: 0xfe, correlation: u64::MAX - 1, checksum_kind };
            let back = to_of(tag_of(to));
            assert_eq!((back.opcode, back.correlation, back.checksum_kind), (0xfe, u64::MAX - 1, checksum_kind));
        }
    }
}
