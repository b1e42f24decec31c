use super::*;
use crate::driver::cuts::{SEED, Seen, everywhere, feed, garbage, sent, step, survives};
use ::larder::base::ids::{ClusterId, ContentHash, Cookie, NodeId, ObjectId, Sequence, VolumeId};
use ::larder::base::limits::SESSION_GAPS_MAX;
use ::larder::request::{
    Answer, Attributes, Changed, Content, Entry, Limits, Meta, NameAnswer, NameFacts, NameKind, Piece, Refusal,
    Session, Stage, Stored,
};
use ::larder::wire::{HEADER_BYTES, ReplyTo, encode_answer, encode_refusal, encode_welcome, operation_of};
use std::sync::Arc;

const ID: ObjectId = ObjectId { volume: VolumeId(3), sequence: Sequence(0x1f), cookie: Cookie(0xc0ffee) };

fn options(depth: usize, creates: bool) -> LarderOptions {
    LarderOptions { depth, durability: Durability::Disk, deadline_ms: 500, creates, directory: "/load".to_owned() }
}

fn to(opcode: Opcode, correlation: u64) -> ReplyTo {
    ReplyTo { opcode: opcode.code(), correlation, checksum_kind: CHECKSUM }
}

fn bytes_of(reply: &::larder::wire::Reply) -> Vec<u8> {
    let parts: Vec<&[u8]> = reply.parts.iter().map(|part| &part[..]).collect();
    [&reply.head[..], &parts.concat()].concat()
}

fn answer(opcode: Opcode, correlation: u64, answer: Answer) -> Vec<u8> {
    bytes_of(&encode_answer(to(opcode, correlation), answer, false))
}

fn refusal(opcode: Opcode, correlation: u64, status: Status) -> Vec<u8> {
    bytes_of(&encode_refusal(to(opcode, correlation), &Refusal::new(status, "why")))
}

fn welcome() -> Vec<u8> {
    let limits = Limits {
        cluster: ClusterId(1),
        node: NodeId(2),
        body_bytes_max: 1,
        chunk_bytes_max: 1,
        in_flight_max: 3,
        deadline_default_ms: 1,
        deadline_max_ms: 1,
    };
    bytes_of(&encode_welcome(to(Opcode::Hello, HELLO), &Welcome { version: 1, limits }))
}

fn session(session: u64) -> Vec<u8> {
    let session = Session { session, silent_ms_max: 1000 };
    answer(Opcode::Session, SESSION, Answer::Name(NameAnswer::Session(session)))
}

fn content(bytes: u64, range: Range<u64>, pieces: &[&[u8]]) -> Vec<u8> {
    let attributes = Attributes::of(&[(1, b"image/png")]).unwrap();
    let meta = Arc::new(Meta { size: bytes, hash: ContentHash(1), stored_ms: 2, attributes });
    let of =
        |bytes: &[u8]| Piece { parts: [Bytes::copy_from_slice(bytes)].into_iter().collect(), known: None, room: None };
    let (first, more) = pieces.split_first().unwrap();
    let first = Answer::Content(Content { meta, range, first: of(first), rest: None });
    let to = to(Opcode::Get, correlation(1, 0));
    let mut frames = bytes_of(&encode_answer(to, first, !more.is_empty()));
    for (number, piece) in more.iter().enumerate() {
        frames.extend(bytes_of(&encode_answer(to, Answer::More(of(piece)), number + 1 < more.len())));
    }
    frames
}

fn correlation(generation: u64, slot: u64) -> u64 {
    generation << 32 | (slot + 1)
}

/// A connection that is ready, with these requests, and what was sent for them.
fn asked(creates: bool, steps: &[Step]) -> (Larder, Vec<u8>) {
    let mut driver = Larder::new(options(4, creates));
    let mut output = Output::default();
    driver.open(&mut output);
    sent(&mut output);
    assert!(!driver.is_ready());
    feed(&mut driver, &[&welcome()]).unwrap();
    if creates {
        assert!(!driver.is_ready());
        feed(&mut driver, &[&session(77)]).unwrap();
    }
    assert!(driver.is_ready());
    assert_eq!(driver.depth(), 3, "the node lets fewer be unanswered");
    for (slot, step) in steps.iter().enumerate() {
        assert!(driver.can(step.verb));
        driver.encode(step, Slot(u32::try_from(slot).unwrap()), &mut output);
    }
    (driver, sent(&mut output))
}

fn get(bytes: u64) -> Larder {
    asked(false, &[step(Verb::Get, 5, bytes, Some(ID))]).0
}

#[test]
fn a_connection_is_ready_after_the_welcome_and_its_session() {
    let hello = || {
        let mut driver = Larder::new(options(4, true));
        driver.open(&mut Output::default());
        driver
    };
    everywhere(hello, &[welcome(), session(9)].concat());
    let told = garbage(hello, &refusal(Opcode::Hello, HELLO, Status::UnsupportedVersion));
    assert!(told.contains("UNSUPPORTED_VERSION"), "{told}");
    let told = garbage(hello, &[welcome(), refusal(Opcode::Session, SESSION, Status::Unavailable)].concat());
    assert!(told.contains("UNAVAILABLE"), "{told}");
    let told = garbage(hello, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert!(told.contains("LARD"), "{told}");
    assert!(!hello().closed(&mut Seen::default()), "it was not ready");
}

#[test]
fn requests_are_what_a_node_reads() {
    let key = Key { seed: SEED, number: 5 };
    let mut expected = Vec::new();
    payload::append(key, 0, 70_000, &mut expected);
    let steps = [
        step(Verb::Put, 5, 70_000, None),
        step(Verb::Range, 5, 100, Some(ID)),
        step(Verb::Create, 6, 0, None),
        step(Verb::Lookup, 6, 0, None),
    ];
    let (_, mut bytes) = asked(true, &steps);
    let mut told = Vec::new();
    while !bytes.is_empty() {
        let header = Header::parse_request(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(header.deadline_ms, 500);
        let rest = bytes.split_off(HEADER_BYTES);
        let (body, rest) = rest.split_at(header.body_bytes as usize);
        header.check_parts(body, &[]).unwrap();
        if header.opcode == Opcode::Put.code() {
            let head = PutHead::parse(body, header.body_bytes).unwrap();
            assert_eq!((head.durability, head.attribute_bytes), (Durability::Disk, 0));
            assert!(body[head.payload_start()..] == expected);
        } else {
            let operation = operation_of(header.known_opcode().unwrap(), body).unwrap();
            told.push(format!("{operation:?}"));
        }
        bytes = rest.to_vec();
    }
    assert_eq!(told.len(), 3);
    assert!(told[0].contains("start: 3, length: 5"), "{}", told[0]);
    let name = "/load/k0000000000000007-0000000000000006";
    assert!(told[1].contains(name) && told[1].contains("session: 77, number: 1"), "{}", told[1]);
    assert!(told[2].contains(name), "{}", told[2]);
}

#[test]
fn content_comes_in_frames_and_pieces() {
    let whole = everywhere(|| get(10), &content(10, 0..10, &[b"0123456789"]));
    assert_eq!((whole.content(0), &whole.done[..]), (&b"0123456789"[..], &[(0, Reply::Ok { id: None })][..]));
    survives(|| get(10), &content(10, 0..10, &[b"01234", b"56789"]));
    let frames = everywhere(|| get(10), &content(10, 0..10, &[b"", b"01234", b"56789", b""]));
    assert_eq!(frames, whole);
    let empty = everywhere(|| get(0), &content(0, 0..0, &[b""]));
    assert_eq!((empty.contents.len(), empty.done.len()), (0, 1));
    let range = || asked(false, &[step(Verb::Range, 5, 10, Some(ID))]).0;
    assert_eq!(everywhere(range, &content(10, 3..8, &[b"34567"])).content(0), b"34567");
}

#[test]
fn content_that_is_not_whole_is_garbage() {
    for (frames, why) in [
        (content(10, 0..10, &[b"012345678"]), "ended 1 bytes before"),
        (content(10, 0..10, &[b"01234", b"567890"]), "goes on behind its end"),
        (content(10, 0..9, &[b"012345678"]), "expected the bytes all"),
    ] {
        let told = garbage(|| get(10), &frames);
        assert!(told.contains(why), "{told}");
    }
    let range = || asked(false, &[step(Verb::Range, 5, 10, Some(ID))]).0;
    let told = garbage(range, &content(10, 4..9, &[b"45678"]));
    assert!(told.contains("expected the bytes 5 from 3"), "{told}");
    // No bit of a frame can change unseen.
    let frame = content(10, 0..10, &[b"0123456789"]);
    for at in 0..frame.len() {
        let mut frame = frame.clone();
        frame[at] ^= 0x10;
        garbage(|| get(10), &frame);
    }
}

#[test]
fn content_that_is_refused_halfway_is_refused() {
    let mut frames = content(10, 0..10, &[b"01234", b"56789"]);
    frames.truncate(HEADER_BYTES + ::larder::wire::ContentFront::BYTES + 12 + 5);
    frames.extend(refusal(Opcode::Get, correlation(1, 0), Status::Damaged));
    let seen = everywhere(|| get(10), &frames);
    assert_eq!((seen.content(0), &seen.done[..]), (&b"01234"[..], &[(0, Reply::Refused("DAMAGED"))][..]));
}

#[test]
fn replies_come_in_any_order_and_end_their_slot() {
    let steps = [step(Verb::Put, 5, 9, None), step(Verb::Head, 5, 9, Some(ID)), step(Verb::Delete, 5, 9, Some(ID))];
    let make = || asked(false, &steps).0;
    let stored = Stored { id: ID, size: 9, hash: ContentHash(1), durability: Durability::Disk };
    let meta = Meta { size: 9, hash: ContentHash(1), stored_ms: 2, attributes: Attributes::default() };
    let put = answer(Opcode::Put, correlation(1, 0), Answer::Stored(stored));
    let stat = answer(Opcode::Stat, correlation(2, 1), Answer::Stat(Arc::new(meta)));
    let delete = refusal(Opcode::Delete, correlation(3, 2), Status::NotFound);
    let seen = everywhere(make, &[&delete[..], &put, &stat].concat());
    let ok = Reply::Ok { id: None };
    assert_eq!(seen.done, [(2, Reply::Missing), (0, Reply::Ok { id: Some(ID) }), (1, ok)]);

    garbage(make, &[&put[..], &put].concat());
    garbage(make, &answer(Opcode::Put, correlation(9, 0), Answer::Stored(stored)));
    garbage(make, &answer(Opcode::Put, correlation(2, 1), Answer::Stored(stored)));
    let weaker = Stored { durability: Durability::Memory, ..stored };
    garbage(make, &answer(Opcode::Put, correlation(1, 0), Answer::Stored(weaker)));
    let shorter = Stored { size: 8, ..stored };
    garbage(make, &answer(Opcode::Put, correlation(1, 0), Answer::Stored(shorter)));
    let told = garbage(make, &refusal(Opcode::Put, 0, Status::TooSlow));
    assert!(told.contains("TOO_SLOW"), "{told}");
    let busy = bytes_of(&encode_refusal(
        to(Opcode::Put, correlation(1, 0)),
        &Refusal::busy(Stage::ReadQueue, 30, "why".to_owned()),
    ));
    assert_eq!(everywhere(make, &busy).done, [(0, Reply::Busy)]);
    assert_eq!(
        everywhere(make, &refusal(Opcode::Put, correlation(1, 0), Status::Full)).done,
        [(0, Reply::Refused("FULL"))]
    );

    let mut driver = make();
    let seen = &mut Seen::default();
    assert!(!driver.closed(seen));
    feed(&mut driver, &[&put, &stat, &delete]).unwrap();
    assert!(driver.closed(seen));
}

#[test]
fn names_are_made_in_a_session_that_is_replaced_at_its_end() {
    let create = step(Verb::Create, 6, 0, None);
    let (mut driver, _) = asked(true, &[create]);
    let changed = Changed { version: 1, size: 0, hash: 0, removal: 0, replaced: false };
    let made = answer(Opcode::Commit, correlation(1, 0), Answer::Name(NameAnswer::Changed(changed)));
    assert_eq!(feed(&mut driver, &[&made]).unwrap().done, [(0, Reply::Ok { id: None })]);

    let mut output = Output::default();
    driver.encode(&create, Slot(0), &mut output);
    feed(&mut driver, &[&refusal(Opcode::Commit, correlation(2, 0), Status::SessionUnknown)]).unwrap();
    sent(&mut output);
    driver.encode(&create, Slot(0), &mut output);
    let bytes = sent(&mut output);
    assert_eq!(Header::parse_request(bytes.first_chunk().unwrap()).unwrap().opcode, Opcode::Session.code());
    feed(&mut driver, &[&session(78)]).unwrap();
    driver.encode(&create, Slot(1), &mut output);
    let bytes = sent(&mut output);
    assert_eq!(&bytes[HEADER_BYTES..HEADER_BYTES + 16], &[78, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);

    // As it is when very many were turned away.
    for _ in 0..SESSION_GAPS_MAX {
        driver.creation.abandoned(77);
        assert!(!driver.creation.needs_another(), "they were of another session");
    }
    for _ in 0..SESSION_GAPS_MAX {
        driver.creation.abandoned(78);
    }
    assert!(driver.creation.needs_another());
}

#[test]
fn a_lookup_finds_or_misses() {
    let make = || asked(false, &[step(Verb::Lookup, 6, 0, None)]).0;
    let facts = NameFacts {
        kind: NameKind::File,
        version: 1,
        size: 0,
        created_ms: 1,
        modified_ms: 1,
        hash: ContentHash(1),
        chunks: 0,
    };
    let entry = Entry { facts, attributes: Attributes::default(), chunk_first: 0, chunks: Vec::new() };
    let found = answer(Opcode::Lookup, correlation(1, 0), Answer::Name(NameAnswer::Entry(Box::new(entry))));
    assert_eq!(everywhere(make, &found).done, [(0, Reply::Ok { id: None })]);
    let missed = refusal(Opcode::Lookup, correlation(1, 0), Status::NotFound);
    assert_eq!(everywhere(make, &missed).done, [(0, Reply::Missing)]);
}

#[test]
fn a_new_connection_forgets_the_old() {
    let (mut driver, _) = asked(false, &[step(Verb::Get, 5, 10, Some(ID))]);
    let frames = content(10, 0..10, &[b"0123456789"]);
    driver.decode(&frames[..100], &mut Seen::default()).unwrap();
    let mut output = Output::default();
    driver.open(&mut output);
    assert!(!driver.is_ready());
    assert_eq!(feed(&mut driver, &[&welcome()]).unwrap().done, []);
    assert!(driver.is_ready());
    feed(&mut driver, &[&frames]).expect_err("it is of the old connection");
}
