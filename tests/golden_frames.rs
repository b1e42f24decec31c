//! Goal: protocol.md and the code are one. Method: each golden frame of protocol.md is built from the values that are
//! written here, compared byte for byte, and read back into the same values.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use bytes::Bytes;
use larder::base::checksum::content_hash;
use larder::base::ids::{ClusterId, ContentHash, NodeId, ObjectId, Origin};
use larder::base::path::NamePath;
use larder::base::payload::Payload;
use larder::request::{
    Answer, Attributes, ByteRange, Call, Change, ChangeRequest, Changed, Condition, Content, Durability, Entry, Limits,
    List, Listing, Lookup, Meta, NameAnswer, NameFacts, NameKind, NameOperation, Operation, Outcome, Piece, Pieces,
    Put, Refusal, Removal, Session, SessionAct, Stage, Status, Stored, Usage,
};
use larder::wire::{
    ChecksumKind, ContentHead, HEADER_BYTES, Header, HeaderError, Hello, Opcode, PutHead, Received, ReplyTo, Request,
    Welcome, encode_answer, encode_refusal, encode_welcome, fuzz_frame, operation_of,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const CONTENT: &[u8] = b"0123456789";

fn id() -> ObjectId {
    "3-1f-00c0ffee00c0ffee".parse().unwrap()
}

fn attributes() -> Attributes {
    Attributes::of(&[(Attributes::CONTENT_TYPE, b"text/plain")]).unwrap()
}

fn meta() -> Meta {
    Meta { size: 10, hash: content_hash(CONTENT), stored_ms: 1_700_000_000_000, attributes: attributes() }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        limits: Limits {
            cluster: ClusterId(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f),
            node: NodeId(0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f),
            body_bytes_max: 8_396_800,
            chunk_bytes_max: 8_388_608,
            in_flight_max: 1024,
            deadline_default_ms: 10_000,
            deadline_max_ms: 60_000,
        },
    }
}

/// Name, request, kind of checksum, correlation, deadline.
fn requests() -> Vec<(&'static str, Request, ChecksumKind, u64, u32)> {
    let range = ByteRange { start: 4, length: 100 };
    let put = Request::Put {
        durability: Durability::Disk,
        origin: Origin::default(),
        attributes: attributes(),
        payload: Bytes::from_static(CONTENT),
    };
    let named = Request::Put {
        durability: Durability::Memory,
        origin: Origin { session: 7, number: 9 },
        attributes: Attributes::default(),
        payload: Bytes::new(),
    };
    let ping = Request::Ping(Bytes::from_static(b"hello"));
    let (whole, part) = (None, Some(range));
    use ChecksumKind::{Crc32, Crc32c, None as Unchecked};
    let objects = [
        ("hello-request", Request::Hello(Hello::of("golden")), Crc32, 1, 0),
        ("ping-request", ping, Crc32, 2, 250),
        ("status-request", Request::Status, Crc32, 3, 0),
        ("put-request", put, Crc32c, 4, 1500),
        ("put-named-request", named, Unchecked, 5, 0),
        ("get-request", Request::Get { id: id(), range: whole }, Crc32, 6, 0),
        ("get-range-request", Request::Get { id: id(), range: part }, Crc32, 7, 0),
        ("stat-request", Request::Stat(id()), Crc32, 8, 0),
        ("delete-request", Request::Delete(id()), Crc32, 9, 0),
        ("scrub-request", Request::Scrub { now: true }, Crc32, 11, 0),
    ];
    let names = name_requests()
        .into_iter()
        .map(|(name, correlation, operation)| (name, Request::Name(operation), Crc32, correlation, 0));
    objects.into_iter().chain(names).collect()
}

fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

fn name_requests() -> Vec<(&'static str, u64, NameOperation)> {
    let change =
        |number, change| NameOperation::Change(Box::new(ChangeRequest { id: Origin { session: 7, number }, change }));
    let file = || path("/a/\u{e4}.txt");
    let commit = Change::Commit {
        path: file(),
        condition: Condition::Absent,
        parents: true,
        modified_ms: Some(1_600_000_000_000),
        attributes: attributes(),
        chunks: vec![id()],
    };
    let empty = Change::Commit {
        path: file(),
        condition: Condition::Absent,
        parents: false,
        modified_ms: None,
        attributes: Attributes::default(),
        chunks: vec![],
    };
    let rename =
        Change::Rename { from: path("/a/b"), to: path("/c"), replace: true, condition: Condition::Version(43) };
    let set_attributes =
        Change::SetAttributes { path: file(), condition: Condition::Version(42), attributes: Attributes::default() };
    let list = |cursor: &'static [u8], limit| {
        NameOperation::List(List { path: path("/a"), cursor: Bytes::from_static(cursor), limit })
    };
    vec![
        ("session-request", 12, NameOperation::Session(SessionAct::Open)),
        ("session-close-request", 13, NameOperation::Session(SessionAct::Close(7))),
        ("commit-request", 14, change(10, commit)),
        ("commit-exists-request", 15, change(11, empty)),
        ("make-directory-request", 16, change(12, Change::MakeDirectory { path: path("/a/b"), parents: true })),
        ("rename-request", 17, change(13, rename)),
        ("remove-request", 18, change(14, Change::Remove { path: path("/c"), tree: true, condition: Condition::Any })),
        ("set-attributes-request", 19, change(15, set_attributes)),
        ("lookup-request", 20, NameOperation::Lookup(Lookup { path: file(), chunk_first: 0, chunks_max: 2048 })),
        ("list-request", 21, list(b"", 2)),
        ("list-next-request", 22, list(b"\x01\x02\x03", 0)),
        ("usage-request", 23, NameOperation::Usage(path("/a"))),
        ("removal-request", 24, NameOperation::Removal(5)),
    ]
}

fn name_replies() -> Vec<(&'static str, Opcode, u64, NameAnswer)> {
    const STORED_MS: u64 = 1_700_000_000_000;
    let changed = |version| Changed { version, ..Changed::default() };
    let hash = content_hash(CONTENT);
    let file = NameFacts {
        kind: NameKind::File,
        version: 42,
        size: 10,
        created_ms: STORED_MS,
        modified_ms: 1_600_000_000_000,
        hash,
        chunks: 1,
    };
    let directory = NameFacts {
        kind: NameKind::Directory,
        version: 43,
        size: 0,
        created_ms: STORED_MS,
        modified_ms: STORED_MS,
        hash: ContentHash(0),
        chunks: 0,
    };
    let entry = Entry { facts: file.clone(), attributes: attributes(), chunk_first: 0, chunks: vec![id()] };
    let page = Listing {
        entries: vec![("b".into(), directory), ("\u{e4}.txt".into(), file)],
        cursor: Bytes::from_static(&[1, 2, 3]),
    };
    let end = Listing { entries: vec![], cursor: Bytes::new() };
    let committed = Changed { hash: hash.0, size: 10, ..changed(42) };
    vec![
        ("session-reply", Opcode::Session, 12, NameAnswer::Session(Session { session: 7, silent_ms_max: 86_400_000 })),
        ("session-close-reply", Opcode::Session, 13, NameAnswer::SessionClosed),
        ("commit-reply", Opcode::Commit, 14, NameAnswer::Changed(committed)),
        ("make-directory-reply", Opcode::MakeDirectory, 16, NameAnswer::Changed(changed(43))),
        ("rename-reply", Opcode::Rename, 17, NameAnswer::Changed(Changed { replaced: true, ..changed(44) })),
        ("remove-reply", Opcode::Remove, 18, NameAnswer::Changed(Changed { removal: 5, ..changed(45) })),
        ("set-attributes-reply", Opcode::SetAttributes, 19, NameAnswer::Changed(changed(46))),
        ("lookup-reply", Opcode::Lookup, 20, NameAnswer::Entry(Box::new(entry))),
        ("list-reply", Opcode::List, 21, NameAnswer::Listing(page)),
        ("list-next-reply", Opcode::List, 22, NameAnswer::Listing(end)),
        ("usage-reply", Opcode::Usage, 23, NameAnswer::Usage(Usage { files: 1, directories: 1, bytes: 10 })),
        ("removal-reply", Opcode::Removal, 24, NameAnswer::Removal(Removal { names: 1000, bytes: 4096, done: true })),
    ]
}

#[derive(Debug)]
struct OneMore;

impl Pieces for OneMore {
    fn next(&mut self, _: Call<'_>) -> Outcome<()> {
        Outcome::Pending
    }

    fn is_done(&self) -> bool {
        false
    }
}

fn piece(content: &'static [u8]) -> Piece {
    // In two parts, as content that spans blocks is.
    let (a, b) = content.split_at(content.len() / 2);
    Piece { parts: vec![Bytes::from_static(a), Bytes::from_static(b)].into(), room: None, known: None }
}

fn content(range: std::ops::Range<u64>, first: &'static [u8]) -> Answer {
    Answer::Content(Content { meta: Arc::new(meta()), range, first: piece(first), rest: Some(Box::new(OneMore)) })
}

/// Name, opcode, correlation, kind of checksum, what the node answers, what the client reads.
fn replies() -> Vec<(&'static str, u8, u64, ChecksumKind, Answer, Received)> {
    use ChecksumKind::{Crc32, Crc32c, None as Unchecked};
    let stored = Stored { id: id(), hash: content_hash(CONTENT), size: 10, durability: Durability::Disk };
    let head = |range| ContentHead { meta: meta(), range };
    let json = Bytes::from_static(b"{\"ready\":true}");
    let scrub = Bytes::from_static(b"{\"disks\":[]}");
    let pong = Bytes::from_static(b"hello");
    let (first, more, cut) = (&b"0123"[..], &b"456789"[..], &b"4"[..]);
    let mut list = vec![
        ("ping-reply", Opcode::Ping, 2, Crc32, Answer::Pong(pong.clone()), Received::Pong(pong)),
        ("status-reply", Opcode::Status, 3, Crc32, Answer::Status(json.clone()), Received::Status(json)),
        ("scrub-reply", Opcode::Scrub, 11, Crc32, Answer::Status(scrub.clone()), Received::Status(scrub)),
        ("put-reply", Opcode::Put, 4, Crc32c, Answer::Stored(stored), Received::Stored(stored)),
        ("get-reply-1", Opcode::Get, 6, Crc32, content(0..10, first), Received::Content(head(0..10), first.into())),
        ("get-reply-2", Opcode::Get, 6, Crc32, Answer::More(piece(more)), Received::More(more.into())),
        ("get-range-reply-1", Opcode::Get, 7, Crc32, content(4..10, cut), Received::Content(head(4..10), cut.into())),
        ("stat-reply", Opcode::Stat, 8, Crc32, Answer::Stat(Arc::new(meta())), Received::Stat(meta())),
        (
            "delete-reply",
            Opcode::Delete,
            9,
            Crc32,
            Answer::Deleted(Durability::Disk),
            Received::Deleted(Durability::Disk),
        ),
    ]
    .into_iter()
    .map(|(name, opcode, correlation, kind, answer, received)| {
        (name, opcode.code(), correlation, kind, answer, received)
    })
    .collect::<Vec<_>>();
    let busy = Refusal::busy(Stage::AppendQueue, 40, "disk 0 has no room in its append queue");
    let damaged = Refusal::new(Status::Damaged, "block 0 of 3-1f failed its checksum");
    for (name, opcode, correlation, answer) in name_replies() {
        let received = Received::Name(answer.clone());
        list.push((name, opcode.code(), correlation, Crc32, Answer::Name(answer), received));
    }
    let exists = Refusal::new(Status::AlreadyExists, "/a/\u{e4}.txt is there already");
    let unknown = Header::request(0x3a, Crc32, 10, 0).known_opcode().unwrap_err();
    for (name, opcode, correlation, kind, refusal) in [
        ("put-busy-reply", 0x10, 5, Unchecked, busy),
        ("get-range-reply-2", 0x11, 7, Crc32, damaged),
        ("commit-exists-reply", 0x21, 15, Crc32, exists),
        ("unknown-operation-reply", 0x3a, 10, Crc32, unknown),
    ] {
        let answer = Answer::Refused(refusal.clone());
        list.push((name, opcode, correlation, kind, answer, Received::Refused(refusal)));
    }
    list
}

#[test]
fn requests_are_built_and_read_as_the_page_says() {
    let golden = golden_frames();
    for (name, request, kind, correlation, deadline_ms) in requests() {
        let frame = &golden[name];
        let built = request.encode(kind, correlation, deadline_ms).concat();
        assert_eq!(hex(&built), hex(frame), "{name} is built differently");

        let (header, body) = split(frame);
        let header = Header::parse_request(&header).unwrap();
        assert_eq!(header.check_parts(&body, &[]), Ok(()), "{name}");
        let found = (header.opcode, header.checksum_kind, header.correlation, header.deadline_ms);
        assert_eq!(found, (request.opcode().code(), kind, correlation, deadline_ms), "{name}");
        assert_eq!(read(&header, &body), request, "{name} is read differently");
    }
}

#[test]
fn replies_are_built_and_read_as_the_page_says() {
    let golden = golden_frames();
    for (name, opcode, correlation, checksum_kind, answer, received) in replies() {
        let frame = &golden[name];
        let to = ReplyTo { opcode, correlation, checksum_kind };
        let reply = encode_answer(to, answer, false);
        let built = [&reply.head[..], &reply.parts.concat()].concat();
        assert_eq!(hex(&built), hex(frame), "{name} is built differently");
        assert_eq!(received_of(frame, name.ends_with("reply-2")), received, "{name} is read differently");
    }
}

#[test]
fn the_connections_own_replies_are_as_the_page_says() {
    let golden = golden_frames();
    let (request, _) = split(&golden["hello-request"]);
    let to = ReplyTo::request(&Header::parse_request(&request).unwrap());
    assert_eq!(hex(&encode_welcome(to, &welcome()).head), hex(&golden["hello-reply"]));
    assert_eq!(received_of(&golden["hello-reply"], false), Received::Welcome(welcome()));

    let mut http = [0; HEADER_BYTES];
    http[..4].copy_from_slice(b"GET ");
    let error = Header::parse_request(&http).unwrap_err();
    assert_eq!(error, HeaderError::Magic(*b"GET "));
    let reply = encode_refusal(ReplyTo::refused(&error), &error.refusal());
    assert_eq!(hex(&reply.head), hex(&golden["bad-frame-reply"]));
    assert_eq!(received_of(&golden["bad-frame-reply"], false), Received::Refused(error.refusal()));
}

#[test]
fn every_golden_frame_is_replayed_and_every_opcode_has_two() {
    let golden = golden_frames();
    let mut named: Vec<_> = requests().iter().map(|request| request.0).collect();
    named.extend(replies().iter().map(|reply| reply.0));
    named.extend(["hello-reply", "bad-frame-reply"]);
    named.sort_unstable();
    assert_eq!(golden.keys().map(String::as_str).collect::<Vec<_>>(), named);

    for opcode in Opcode::ALL {
        for reply in [false, true] {
            let found = golden.values().any(|frame| {
                let header = Header::parse(&split(frame).0).unwrap();
                header.opcode == opcode.code() && header.is_reply() == reply
            });
            assert!(found, "{} has no golden frame, reply: {reply}", opcode.name());
        }
    }
    let stream = golden.values().flatten().copied().collect::<Vec<_>>();
    assert_eq!(fuzz_frame(&stream), golden.len(), "they follow each other on one connection");
}

#[test]
fn a_flipped_bit_of_a_checked_golden_frame_is_seen() {
    for (name, frame) in golden_frames() {
        let kind = Header::parse(&split(&frame).0).unwrap().checksum_kind;
        for bit in (0..frame.len() * 8).filter(|bit| kind != ChecksumKind::None || *bit < HEADER_BYTES * 8) {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (header, body) = split(&flipped);
            let taken = Header::parse(&header).is_ok_and(|header| header.check_parts(&body, &[]).is_ok());
            assert!(!taken, "{name} with bit {bit} flipped was taken");
        }
    }
}

#[test]
fn a_client_in_another_language_speaks_the_page_too() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop");
    let run = std::process::Command::new("python3").args(["-B", "golden_test.py"]).current_dir(folder).output();
    let run = match run {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return eprintln!("skipped: there is no python3 on this machine");
        }
        run => run.expect("python3 starts"),
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

fn received_of(frame: &[u8], content_began: bool) -> Received {
    let (header, body) = split(frame);
    let header = Header::parse_reply(&header).unwrap();
    assert_eq!(header.check_parts(&body, &[]), Ok(()));
    let received = Received::parse(&header, &body, content_began).unwrap();
    let is_first_of_two = matches!(received, Received::Content(..));
    assert_eq!(header.is_last(), !is_first_of_two);
    received
}

fn read(header: &Header, body: &Bytes) -> Request {
    let operation = match Opcode::of_code(header.opcode).unwrap() {
        Opcode::Hello => return Request::Hello(Hello::parse(body).unwrap()),
        Opcode::Put => {
            let head = PutHead::parse(&body[..PutHead::BYTES], header.body_bytes).unwrap();
            let payload = Payload::of(body.slice(head.payload_start()..));
            head.operation(body.slice(PutHead::BYTES..head.payload_start()), payload)
        }
        opcode => operation_of(opcode, body),
    };
    match operation.unwrap() {
        Operation::Ping(bytes) => Request::Ping(bytes),
        Operation::Put(put) => {
            let Put { payload, attributes, durability, origin, .. } = *put;
            Request::Put { durability, origin, attributes, payload: payload.bytes }
        }
        Operation::Get { id, range } => Request::Get { id, range },
        Operation::Stat(id) => Request::Stat(id),
        Operation::Delete(id) => Request::Delete(id),
        Operation::Name(operation) => Request::Name(operation),
        Operation::Status => Request::Status,
        Operation::Scrub { now } => Request::Scrub { now },
        Operation::Metrics | Operation::Ready => unreachable!("no opcode leads to it"),
    }
}

fn split(frame: &[u8]) -> ([u8; HEADER_BYTES], Bytes) {
    let (header, body) = frame.split_first_chunk().expect("a golden frame has a header");
    (*header, Bytes::copy_from_slice(body))
}

/// The blocks of protocol.md that are fenced as ```` ```golden NAME ````.
fn golden_frames() -> BTreeMap<String, Vec<u8>> {
    let page = include_str!("../protocol.md");
    let mut frames = BTreeMap::new();
    for block in page.split("```golden ").skip(1) {
        let (name, rest) = block.split_once('\n').expect("a block has lines");
        let (lines, _) = rest.split_once("```").expect("a block ends");
        let digits: String = lines
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default())
            .flat_map(str::chars)
            .filter(|c| !c.is_whitespace())
            .collect();
        let bytes = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("two hex digits"))
            .collect();
        assert!(digits.len().is_multiple_of(2), "{name} ends in half a byte");
        assert!(frames.insert(name.to_owned(), bytes).is_none(), "{name} is there twice");
    }
    frames
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}
