//! Goal: whatever a peer sends, it gets exactly the status that protocol.md names, the connection lives or ends as that
//! page says, and the node goes on: what was stored is there, nothing else is, and nothing is held. Method: a whole node
//! on a disk in memory, and frames forged byte by byte over raw sockets.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::base::ids::{Cookie, ObjectId, Sequence, VolumeId};
use larder::client::PutOptions;
use larder::node::Node;
use larder::request::{ByteRange, Status};
use larder::wire::{Opcode, Received, Request};
use std::io::Write;
use support::forge::{Forged, forged, forged_of};
use support::node::{assert_at_rest, client, in_memory, number};
use support::raw::{Raw, put};
use support::{content, eventually};

/// A node that holds a few objects, which must survive what the test does.
struct Holding {
    node: Node,
    objects: Vec<(ObjectId, Vec<u8>)>,
    needles: i64,
}

impl Holding {
    fn start() -> Self {
        let (node, _disk) = in_memory();
        let client = client(&node);
        let objects = [0, 5, 4096, 100_000, 1 << 20].map(|bytes| {
            let content = content(bytes as u64, bytes);
            (client.put(content.clone(), PutOptions::default()).unwrap().id, content)
        });
        let needles = number(&node, "/disks/0/needles");
        Self { node, objects: objects.into(), needles }
    }

    fn connect(&self) -> Raw {
        Raw::connect(self.node.address())
    }

    fn an_id(&self) -> ObjectId {
        self.objects[2].0
    }

    /// Nothing was stored, everything is there, everybody is served, nothing is held.
    fn check(self) {
        assert_at_rest(&self.node);
        assert_eq!(number(&self.node, "/disks/0/needles"), self.needles, "nothing was stored");
        let client = client(&self.node);
        for (id, content) in &self.objects {
            assert!(client.get(*id).unwrap().content[..] == content[..], "{id} differs");
        }
        let new = client.put("the node still serves", PutOptions::default()).unwrap();
        assert_eq!(&client.get(new.id).unwrap().content[..], b"the node still serves");
        drop(client);
        assert_at_rest(&self.node);
        self.node.stop();
    }
}

/// The frame is refused with this status under its number, and the connection lives.
fn refused_and_lives(raw: &mut Raw, frame: &Forged, status: Status) {
    raw.bytes(&frame.bytes());
    let (correlation, refusal) = raw.refusal();
    assert_eq!((refusal.status, correlation), (status, frame.correlation), "{}", refusal.detail);
    assert!(!refusal.detail.is_empty() && !refusal.detail.contains('\n'), "one line: {:?}", refusal.detail);
    assert_eq!(raw.ask(&Request::Ping("alive".into())), Received::Pong("alive".into()));
}

/// The frame is refused with this status under this number, and the connection ends.
fn refused_and_ends(mut raw: Raw, frame: &[u8], status: Status, correlation: u64) {
    raw.bytes(frame);
    let (found, refusal) = raw.refusal();
    assert_eq!((refusal.status, found), (status, correlation), "{}", refusal.detail);
    assert!(raw.has_ended(), "the connection goes on after {refusal:?}");
}

#[test]
fn a_header_that_cannot_be_believed_ends_the_connection() {
    let holding = Holding::start();
    let ping = || forged(Opcode::Ping.code(), "ping");
    let broken_magic = Forged { magic: *b"LARB", ..ping() };
    refused_and_ends(holding.connect(), &broken_magic.bytes(), Status::BadFrame, 0);
    let http = b"GET / HTTP/1.1\r\nhost: somewhere.example\r\n\r\n";
    refused_and_ends(holding.connect(), http, Status::BadFrame, 0);
    let broken_checksum = Forged { header_checksum_off: 1, ..ping() };
    refused_and_ends(holding.connect(), &broken_checksum.bytes(), Status::BadFrame, 0);
    // Every single bit of a header, too: it is the magic or the checksum that fails, whatever else the bit says.
    for bit in 0..40 * 8 {
        let mut frame = ping().bytes();
        frame[bit / 8] ^= 1 << (bit % 8);
        refused_and_ends(holding.connect(), &frame, Status::BadFrame, 0);
    }
    holding.check();
}

#[test]
fn a_field_that_must_be_zero_ends_the_connection_under_its_number() {
    let holding = Holding::start();
    let ping = || forged(Opcode::Ping.code(), "ping");
    for frame in [
        Forged { flags: 1 << 2, ..ping() },
        Forged { flags: 1 << 15, ..ping() },
        Forged { status: 1, ..ping() },
        Forged { stage: 1, ..ping() },
        Forged { byte_11: 1, ..ping() },
        Forged { bytes_32: 1 << 31, ..ping() },
        Forged { kind: 0, body_checksum_off: 1, ..ping() },
    ] {
        refused_and_ends(holding.connect(), &frame.bytes(), Status::BadFrame, 9);
    }
    refused_and_ends(holding.connect(), &Forged { correlation: 0, ..ping() }.bytes(), Status::BadFrame, 0);
    holding.check();
}

#[test]
fn replies_sent_to_a_node_end_the_connection() {
    let holding = Holding::start();
    for opcode in Opcode::ALL {
        for flags in [1, 2, 3] {
            let frame = Forged { flags, ..forged(opcode.code(), "") };
            refused_and_ends(holding.connect(), &frame.bytes(), Status::BadFrame, 9);
        }
    }
    holding.check();
}

#[test]
fn a_length_over_its_bound_ends_the_connection_and_takes_no_memory() {
    let holding = Holding::start();
    let bound = 8_396_800;
    let peak = number(&holding.node, "/memory/budget_in/peak_bytes");
    let of_names = [(0x20, 16), (0x21, 344_064), (0x23, 16_384), (0x28, 16_384), (0x29, 16_384), (0x2b, 8)];
    let others =
        [(0x01, 4096), (0x02, 4096), (0x03, 0), (0x10, bound), (0x11, 40), (0x12, 20), (0x13, 20), (0x3a, bound)];
    for (opcode, bytes_max) in of_names.into_iter().chain(others) {
        for bytes in [bytes_max + 1, u32::MAX] {
            let frame = Forged { body_bytes: Some(bytes), ..forged(opcode, "") };
            refused_and_ends(holding.connect(), &frame.bytes(), Status::TooLarge, 9);
        }
    }
    let of_the_future = Forged { version: 9, body_bytes: Some(bound + 1), ..forged(0x02, "") };
    refused_and_ends(holding.connect(), &of_the_future.bytes(), Status::TooLarge, 9);
    assert_eq!(number(&holding.node, "/memory/budget_in/peak_bytes"), peak, "no room was taken");
    holding.check();
}

#[test]
fn what_a_later_client_may_send_is_refused_and_skipped() {
    let holding = Holding::start();
    let mut raw = holding.connect();
    for body in [0, 1, 300, 16_384, 100_000, 8_396_800] {
        let body = content(3, body);
        for opcode in [0x00, 0x04, 0x14, 0x3a, 0x7f, 0x80, 0xff] {
            refused_and_lives(&mut raw, &forged(opcode, &body[..]), Status::UnknownOperation);
            if body.len() > 100_000 {
                break;
            }
        }
        refused_and_lives(&mut raw, &Forged { version: 2, ..forged(0x10, &body[..]) }, Status::UnsupportedVersion);
        refused_and_lives(&mut raw, &Forged { version: 0, ..forged(0x77, &body[..]) }, Status::UnsupportedVersion);
        refused_and_lives(&mut raw, &Forged { kind: 3, ..forged(0x10, &body[..]) }, Status::BadRequest);
    }
    drop(raw);
    holding.check();
}

#[test]
fn bodies_that_were_changed_on_their_way_are_not_carried_out() {
    let holding = Holding::start();
    let mut raw = holding.connect();
    for bytes in [0, 1, 100, 16_384, 70_000, 8 << 20] {
        for kind in [1, 2] {
            let put = || Forged { kind, ..forged_of(&put(content(1, bytes))) };
            refused_and_lives(&mut raw, &Forged { body_checksum_off: 1, ..put() }, Status::ChecksumMismatch);
            let mut damaged = put().bytes();
            *damaged.last_mut().unwrap() ^= 0x10;
            raw.bytes(&damaged);
            assert_eq!(raw.refusal().1.status, Status::ChecksumMismatch);
        }
    }
    for request in [Request::Delete(holding.an_id()), Request::Stat(holding.an_id())] {
        let frame = Forged { body_checksum_off: 7, ..forged_of(&request) };
        refused_and_lives(&mut raw, &frame, Status::ChecksumMismatch);
    }
    drop(raw);
    holding.check();
}

#[test]
fn fields_of_a_put_that_cannot_be_are_refused() {
    let holding = Holding::start();
    let mut raw = holding.connect();
    let front = |at: usize, value: u8| {
        let mut frame = forged_of(&put(content(1, 5000)));
        frame.body[at] = value;
        frame
    };
    // Durability, flags, NAMED without session, attributes over their bound, zeros, session and number without NAMED.
    for (at, value) in [(0, 2), (0, 255), (1, 2), (1, 1), (3, 0x11), (4, 1), (7, 1), (8, 1), (23, 1)] {
        refused_and_lives(&mut raw, &front(at, value), Status::BadRequest);
    }
    for run in [
        &b"\x01"[..],
        b"\x01\x00",
        b"\x01\x05\x00abcd",
        b"\x00\x01\x00a",
        b"\x02\x01\x00a\x01\x01\x00b",
        b"\x01\x01\x00a\x01\x01\x00b",
        b"\x01\xff\xffa",
    ] {
        let mut body = vec![0; 24];
        body[2] = u8::try_from(run.len()).unwrap();
        body.extend(run);
        body.extend(b"payload");
        // Where bytes of the payload could complete the run, too.
        refused_and_lives(&mut raw, &forged(0x10, body), Status::BadRequest);
    }
    for bytes in [0, 1, 23] {
        refused_and_lives(&mut raw, &forged(0x10, vec![0; bytes]), Status::BadRequest);
    }
    // More attributes than there is body.
    let mut short = vec![0; 30];
    short[2] = 7;
    refused_and_lives(&mut raw, &forged(0x10, short), Status::BadRequest);
    drop(raw);
    holding.check();
}

#[test]
fn objects_over_the_limit_are_refused_and_the_largest_is_not() {
    let holding = Holding::start();
    let mut raw = holding.connect();
    refused_and_lives(&mut raw, &forged_of(&put(content(1, (8 << 20) + 1))), Status::TooLarge);
    refused_and_lives(&mut raw, &forged_of(&put(vec![0; 8_396_800 - 24])), Status::TooLarge);
    let ping = content(1, 4096);
    assert_eq!(raw.ask(&Request::Ping(ping.clone().into())), Received::Pong(ping.into()));
    let largest = match raw.ask(&put(content(2, 8 << 20))) {
        Received::Stored(stored) => stored,
        other => panic!("{other:?}"),
    };
    assert_eq!(largest.size, 8 << 20);
    drop(raw);
    let needles = number(&holding.node, "/disks/0/needles");
    Holding { needles, ..holding }.check();
}

#[test]
fn ids_that_name_nothing_and_ranges_outside_are_facts() {
    let holding = Holding::start();
    let id = holding.an_id();
    let mut raw = holding.connect();
    let ids = [
        ObjectId { cookie: Cookie(id.cookie.0 ^ 1), ..id },
        ObjectId { cookie: Cookie(0), ..id },
        ObjectId { sequence: Sequence(0), ..id },
        ObjectId { sequence: Sequence(id.sequence.0 + 1000), ..id },
        ObjectId { sequence: Sequence(u64::MAX), ..id },
        ObjectId { volume: VolumeId(id.volume.0 + 1), ..id },
        ObjectId { volume: VolumeId(u32::MAX), ..id },
        ObjectId { volume: VolumeId(0), ..id },
    ];
    for id in ids {
        for request in [Request::Get { id, range: None }, Request::Stat(id), Request::Delete(id)] {
            assert_eq!(raw.status(&request), Status::NotFound, "{request:?}");
        }
    }
    let size = 4096;
    for (start, length) in [(size, 1), (size + 1, 1), (u64::MAX, u64::MAX), (0, 0), (100, 0), (u64::MAX, 1)] {
        let request = Request::Get { id, range: Some(ByteRange { start, length }) };
        assert_eq!(raw.status(&request), Status::RangeNotSatisfiable, "{start}+{length}");
    }
    for (start, length, bytes) in [(size - 1, 1, 1), (size - 1, u64::MAX, 1), (1, u64::MAX, 4095)] {
        match raw.ask(&Request::Get { id, range: Some(ByteRange { start, length }) }) {
            Received::Content(head, part) => assert_eq!((head.range.start, part.len()), (start, bytes)),
            other => panic!("{other:?}"),
        }
    }
    drop(raw);
    holding.check();
}

#[test]
fn bodies_of_a_wrong_length_or_shape_are_refused() {
    let holding = Holding::start();
    let mut raw = holding.connect();
    let id = forged_of(&Request::Stat(holding.an_id())).body;
    for opcode in [0x12, 0x13] {
        for bytes in [0, 1, 19] {
            refused_and_lives(&mut raw, &forged(opcode, &id[..bytes]), Status::BadRequest);
        }
    }
    let get = forged_of(&Request::Get { id: holding.an_id(), range: None });
    for bytes in [0, 20, 39] {
        refused_and_lives(&mut raw, &forged(0x11, &get.body[..bytes]), Status::BadRequest);
    }
    for (at, value) in [(20, 2), (21, 1), (23, 1), (24, 1), (39, 0)] {
        let mut body = get.body.clone();
        body[at] = value;
        refused_and_lives(&mut raw, &forged(0x11, body), Status::BadRequest);
    }
    drop(raw);
    holding.check();
}

#[test]
fn a_connection_begins_with_one_hello() {
    let holding = Holding::start();
    let address = holding.node.address();
    for request in [Request::Ping("x".into()), Request::Status, Request::Stat(holding.an_id()), put("x")] {
        refused_and_ends(Raw::silent(address), &forged_of(&request).bytes(), Status::BadRequest, 9);
    }
    refused_and_ends(Raw::silent(address), &forged(0x3a, "").bytes(), Status::BadRequest, 9);

    let hello = |lowest, highest| forged(0x01, vec![lowest, highest, 0, 0]);
    // No common version, or a hello that says nothing: an answer, and another chance.
    let mut raw = Raw::silent(address);
    for (frame, status) in [
        (hello(2, 9), Status::UnsupportedVersion),
        (hello(2, 1), Status::BadRequest),
        (hello(0, 1), Status::BadRequest),
        (forged(0x01, ""), Status::BadRequest),
        (forged(0x01, b"\x01\x01\x05\x00abcd".to_vec()), Status::BadRequest),
        (forged(0x01, b"\x01\x01\x02\x00\xff\xfe".to_vec()), Status::BadRequest),
        (forged(0x01, b"\x01\x01\x02\x00a\n".to_vec()), Status::BadRequest),
        (Forged { body_checksum_off: 1, ..hello(1, 1) }, Status::ChecksumMismatch),
    ] {
        raw.bytes(&frame.bytes());
        assert_eq!(raw.refusal().1.status, status);
    }
    raw.greet();
    refused_and_lives(&mut raw, &hello(1, 1), Status::BadRequest);
    drop(raw);
    holding.check();
}

#[test]
fn a_large_body_before_the_hello_still_gets_its_answer() {
    let holding = Holding::start();
    let mut raw = Raw::silent(holding.node.address());
    let frame = forged_of(&put(content(1, 8 << 20))).bytes();
    let mut sender = raw.socket.try_clone().unwrap();
    // The node stops to read: how much of it can be sent is up to the system.
    let sending = std::thread::spawn(move || drop(sender.write_all(&frame)));
    assert_eq!(raw.refusal().1.status, Status::BadRequest);
    drop(raw);
    sending.join().unwrap();
    holding.check();
}

#[test]
fn frames_that_end_in_the_middle_store_nothing() {
    let holding = Holding::start();
    for bytes in [1, 5000, 100_000, 8 << 20] {
        let frame = forged_of(&put(content(1, bytes))).bytes();
        for cut in [1, 39, 40, 41, 63, 64, frame.len() / 2, frame.len() - 1] {
            for how in [std::net::Shutdown::Write, std::net::Shutdown::Both] {
                let mut raw = holding.connect();
                raw.bytes(&frame[..cut]);
                raw.socket.shutdown(how).unwrap();
                assert!(raw.has_ended());
            }
        }
    }
    eventually("no connection is left", || number(&holding.node, "/connections/registered") == 0);
    holding.check();
}

#[test]
fn sound_requests_around_bad_ones_are_answered() {
    let holding = Holding::start();
    let mut raw = holding.connect();
    let mut all = Vec::new();
    for n in 0..100u64 {
        let stat = Forged { correlation: 3 * n + 1, ..forged_of(&Request::Stat(holding.an_id())) };
        let damaged = Forged { correlation: 3 * n + 2, body_checksum_off: 1, ..forged_of(&put(content(n, 500))) };
        let unknown = Forged { correlation: 3 * n + 3, ..forged(0x3a, content(n, 700)) };
        [stat, damaged, unknown].iter().for_each(|frame| all.extend(frame.bytes()));
    }
    // And then the end of it all.
    all.extend(b"nonsense of more than forty bytes, so that a header is there");
    let mut sender = raw.socket.try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all(&all).unwrap());
    let mut seen = vec![0; 301];
    for _ in 0..300 {
        let (header, received) = raw.receive();
        let expected = match header.correlation % 3 {
            1 => None,
            2 => Some(Status::ChecksumMismatch),
            _ => Some(Status::UnknownOperation),
        };
        match (received, expected) {
            (Received::Stat(meta), None) => assert_eq!(meta.size, 4096),
            (Received::Refused(refusal), Some(status)) => assert_eq!(refusal.status, status),
            other => panic!("{other:?}"),
        }
        seen[usize::try_from(header.correlation).unwrap()] += 1;
    }
    assert!(seen[1..].iter().all(|count| *count == 1), "each is answered once");
    assert_eq!(raw.last_words().status, Status::BadFrame);
    sending.join().unwrap();
    drop(raw);
    holding.check();
}
