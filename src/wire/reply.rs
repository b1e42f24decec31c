//! Answers as frames.
//!
//! Runs on processors. Always: content is shared, never copied. The
//! checksum runs over all parts of a body in order.

use super::get::encode_content_head;
use super::meta::encode_meta;
use super::object::encode_deleted;
use super::put::encode_stored;
use super::request::encode_checked_frame;
use super::{ChecksumKind, FrameHead, Header, LAST, REPLY, VERSION, Welcome, encode_frame};
use crate::base::budget::Reservation;
use crate::base::buffers::Parts;
use crate::base::checksum::crc32c;
use crate::request::{Answer, Content, NameAnswer, Piece, Pieces, Refusal, Status};

/// Where a reply goes, and how it is checked: as the request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    /// The number of the operation, which need not be a known one.
    pub opcode: u8,
    /// The client's number of the request.
    pub correlation: u64,
    /// How the body is checked.
    pub checksum_kind: ChecksumKind,
}

/// One frame on its way out, and what hangs on it.
#[derive(Debug)]
pub struct Reply {
    /// The header and the fixed fields of the body.
    pub head: FrameHead,
    /// The content of the body, behind `head`.
    pub parts: Parts,
    /// The room of `parts` in the budget of replies, to be held until they are sent.
    pub room: Option<Reservation>,
    /// Where further content comes from; then this frame is not the last.
    pub rest: Option<Box<dyn Pieces>>,
    /// Whether the frame says LAST.
    pub is_last: bool,
}

/// Bytes of the text of a refusal: a line for a person.
const DETAIL_BYTES_MAX: usize = 512;

impl ReplyTo {
    /// Where the reply to a request goes.
    #[must_use]
    pub fn request(header: &Header) -> Self {
        Self { opcode: header.opcode, correlation: header.correlation, checksum_kind: header.checksum_kind }
    }

    /// Where the reply goes to a frame whose header is refused.
    #[must_use]
    pub fn refused(error: &super::HeaderError) -> Self {
        let (correlation, opcode) = error.correlation_and_opcode();
        Self {
            opcode,
            correlation,
            // The kind that every client has, whatever it is.
            checksum_kind: ChecksumKind::Crc32,
        }
    }

    fn header(self, is_last: bool) -> Header {
        Header {
            version: VERSION,
            opcode: self.opcode,
            status: Status::Ok.code(),
            checksum_kind: self.checksum_kind,
            flags: if is_last { REPLY | LAST } else { REPLY },
            stage: 0,
            deadline_ms: 0,
            correlation: self.correlation,
            body_bytes: 0,
            body_checksum: 0,
        }
    }

    fn frame(self, is_last: bool, fixed: &[u8], mut parts: Parts) -> Reply {
        // An empty part would be an empty slice of a gathered write.
        parts.retain(|part| !part.is_empty());
        Reply { head: encode_frame(self.header(is_last), fixed, &parts), parts, room: None, rest: None, is_last }
    }
}

/// The frame of an answer. `more_follows` says of content whether a further piece will come; content that still has its
/// `rest` says so by itself.
#[must_use]
pub fn encode_answer(to: ReplyTo, answer: Answer, more_follows: bool) -> Reply {
    match answer {
        Answer::Content(content) => encode_content(to, content, more_follows),
        Answer::More(piece) => encode_piece(to, &[], piece, !more_follows),
        Answer::Pong(bytes) | Answer::Status(bytes) => to.frame(true, &[], [bytes].into()),
        Answer::Stored(stored) => to.frame(true, &encode_stored(&stored), Parts::new()),
        Answer::Stat(meta) => {
            let mut body = FrameHead::new();
            encode_meta(&meta, &mut body);
            to.frame(true, &body, Parts::new())
        }
        Answer::HotName(entry, _) => {
            to.frame(true, &super::name::encode_answer(&NameAnswer::Entry(entry)), Parts::new())
        }
        Answer::Name(answer) => to.frame(true, &super::name::encode_answer(&answer), Parts::new()),
        Answer::Deleted(durability) => to.frame(true, &encode_deleted(durability), Parts::new()),
        Answer::Refused(refusal) => encode_refusal(to, &refusal),
    }
}

fn encode_content(to: ReplyTo, content: Content, more_follows: bool) -> Reply {
    let Content { meta, range, first, rest } = content;
    let rest = rest.filter(|rest| !rest.is_done());
    let head = encode_content_head(&meta, &range);
    let reply = encode_piece(to, &head, first, rest.is_none() && !more_follows);
    Reply { rest, ..reply }
}

fn encode_piece(to: ReplyTo, fixed: &[u8], piece: Piece, is_last: bool) -> Reply {
    let Piece { parts, room, known } = piece;
    let reply = match known {
        Some(known) if to.checksum_kind == ChecksumKind::Crc32c => {
            let header = Header { body_checksum: known.join(crc32c(fixed)), ..to.header(is_last) };
            Reply { head: encode_checked_frame(header, fixed, &parts), parts, room: None, rest: None, is_last }
        }
        _ => to.frame(is_last, fixed, parts),
    };
    Reply { room, ..reply }
}

/// The frame of a refusal. It is always the last one of its request.
#[must_use]
pub fn encode_refusal(to: ReplyTo, refusal: &Refusal) -> Reply {
    let detail = one_line(&refusal.detail);
    let header = Header {
        status: refusal.status.code(),
        stage: refusal.stage as u8,
        deadline_ms: refusal.retry_after_ms,
        ..to.header(true)
    };
    Reply {
        head: encode_frame(header, detail.as_bytes(), &[]),
        parts: Parts::new(),
        room: None,
        rest: None,
        is_last: true,
    }
}

/// The frame that answers a HELLO.
#[must_use]
pub fn encode_welcome(to: ReplyTo, welcome: &Welcome) -> Reply {
    to.frame(true, &welcome.encode(), Parts::new())
}

fn one_line(detail: &str) -> String {
    let detail = &detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)];
    detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::checksum::Behind;
    use crate::base::ids::ContentHash;
    use crate::request::{Attributes, Call, Meta, Outcome, Stage};
    use crate::wire::{HEADER_BYTES, Opcode};
    use bytes::Bytes;
    use std::sync::Arc;

    #[derive(Debug)]
    struct Rest(bool);

    impl Pieces for Rest {
        fn next(&mut self, _: Call<'_>) -> Outcome<()> {
            Outcome::Pending
        }

        fn is_done(&self) -> bool {
            self.0
        }
    }

    fn to() -> ReplyTo {
        ReplyTo { opcode: Opcode::Get.code(), correlation: 5, checksum_kind: ChecksumKind::Crc32c }
    }

    /// The header of a frame, after its length and checksum were checked against all that follows.
    fn header(reply: &Reply) -> Header {
        let (head, fixed) = reply.head.split_first_chunk::<HEADER_BYTES>().unwrap();
        let header = Header::parse_reply(head).unwrap();
        header.check_parts(fixed, &reply.parts).unwrap();
        let bytes = fixed.len() + reply.parts.iter().map(Bytes::len).sum::<usize>();
        assert_eq!(header.body_bytes as usize, bytes);
        assert_eq!(header.is_last(), reply.is_last);
        header
    }

    fn content(rest: Option<Rest>) -> Answer {
        Answer::Content(Content {
            meta: Arc::new(Meta { size: 10, hash: ContentHash(1), stored_ms: 2, attributes: Attributes::default() }),
            range: 0..10,
            first: Piece {
                parts: vec![Bytes::from_static(b"01"), Bytes::from_static(b"234")].into(),
                room: None,
                known: None,
            },
            rest: rest.map(|rest| Box::new(rest) as Box<dyn Pieces>),
        })
    }

    #[test]
    fn the_last_frame_of_content_says_so() {
        for (rest, is_last) in [(None, true), (Some(Rest(true)), true), (Some(Rest(false)), false)] {
            let reply = encode_answer(to(), content(rest), false);
            assert_eq!(header(&reply).is_last(), is_last);
            assert_eq!(reply.rest.is_none(), is_last);
        }
        for more_follows in [false, true] {
            let piece = Piece { parts: vec![Bytes::from_static(b"56789")].into(), room: None, known: None };
            let reply = encode_answer(to(), Answer::More(piece), more_follows);
            assert_eq!(header(&reply).is_last(), !more_follows);
        }
    }

    #[test]
    fn content_is_shared_not_copied() {
        let bytes = Bytes::from(vec![7; 1000]);
        let piece = Piece { parts: vec![bytes.clone()].into(), room: None, known: None };
        let reply = encode_answer(to(), Answer::More(piece), false);
        assert_eq!(reply.parts[0].as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn a_refusal_is_one_bounded_line() {
        let refusal = Refusal::busy(Stage::ReadQueue, 30, "two\nlines \u{20ac}".repeat(100));
        let reply = encode_refusal(to(), &refusal);
        let header = header(&reply);
        assert_eq!((header.status, header.stage, header.deadline_ms), (9, 3, 30));
        let text = std::str::from_utf8(&reply.head[HEADER_BYTES..]).unwrap();
        assert!(text.len() <= DETAIL_BYTES_MAX && text.starts_with("two lines"));
    }

    #[test]
    fn a_checksum_that_is_known_is_not_computed_again() {
        let content = vec![7; 5000];
        for checksum_kind in [ChecksumKind::None, ChecksumKind::Crc32c, ChecksumKind::Crc32] {
            let known = Some(Behind::new(crc32c(&content), content.len() as u64));
            let piece = Piece { parts: [Bytes::from(content.clone())].into(), room: None, known };
            let reply = encode_piece(ReplyTo { checksum_kind, ..to() }, b"fixed fields", piece, true);
            assert_eq!(header(&reply).checksum_kind, checksum_kind);
        }
    }
}
