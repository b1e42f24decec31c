//! Goal: the reactor keeps its promises whatever peers and workers do. Method: real sockets against a processor whose
//! service is a script, so that each test decides when a worker answers and how much room there is.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod support;

use bytes::Bytes;
use larder::net::Settings;
use larder::request::{Answer, Class, Content, Piece, Status};
use larder::wire::{ChecksumKind, Header, Received, Request};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use support::raw::{Raw, put};
use support::reactor::{AT_ONCE, BROKEN, CONTENT, DROPPED, HELD, IN_MEMORY, Reactor, SHORT, Script, byte_at, id, meta};
use support::{content, eventually};

/// What a held request is answered with; the size tells answers apart.
fn stat(size: u64) -> Answer {
    Answer::Stat(meta(size))
}

#[test]
fn replies_come_as_they_are_ready() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    raw.send(10, &Request::Stat(id(HELD)));
    raw.send(11, &Request::Stat(id(HELD)));
    raw.send(12, &Request::Stat(id(AT_ONCE)));
    assert_eq!(raw.receive().0.correlation, 12);
    let first = reactor.take_held();
    let second = reactor.take_held();
    second.answer(stat(2));
    assert_eq!(raw.receive().0.correlation, 11);
    first.answer(stat(1));
    assert_eq!(raw.receive().0.correlation, 10);
    reactor.assert_at_rest();
}

#[test]
fn many_pipelined_requests_are_all_answered_in_one_go() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    let mut all = Vec::new();
    for n in 0..5000u64 {
        for part in Request::Ping(Bytes::from(n.to_le_bytes().to_vec())).encode(ChecksumKind::Crc32c, n + 1, 0) {
            all.extend_from_slice(&part);
        }
    }
    let mut sender = raw.socket.try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all(&all).unwrap());
    for n in 0..5000u64 {
        let (header, received) = raw.receive();
        assert_eq!((header.correlation, received), (n + 1, Received::Pong(Bytes::from(n.to_le_bytes().to_vec()))));
    }
    sending.join().unwrap();
    assert_eq!(reactor.metrics.accepted.value(), 5000);
    reactor.assert_at_rest();
}

#[test]
fn a_request_is_timed_out_by_its_processor_and_a_late_answer_finds_nobody() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    raw.send_within(5, &Request::Stat(id(HELD)), 30);
    let (correlation, refusal) = raw.refusal();
    assert_eq!((correlation, refusal.status), (5, Status::TimedOut));
    // The same slot is used again; the late answer must not be taken for the new request's.
    raw.send(6, &Request::Stat(id(HELD)));
    let late = reactor.take_held();
    let new = reactor.take_held();
    late.answer(stat(1));
    new.answer(stat(2));
    match raw.receive() {
        (header, Received::Stat(meta)) => assert_eq!((header.correlation, meta.size), (6, 2)),
        other => panic!("{other:?}"),
    }
    reactor.assert_at_rest();
}

#[test]
fn a_worker_that_ends_without_an_answer_is_an_internal_error() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    assert_eq!(raw.status(&Request::Stat(id(DROPPED))), Status::Internal);
    assert_eq!(raw.status(&Request::Stat(id(AT_ONCE))), Status::Ok);
    reactor.assert_at_rest();
}

#[test]
fn a_connection_at_its_bound_is_muted_until_an_answer_leaves() {
    let settings = Settings { in_flight_max: 8, ..Settings::default() };
    let reactor = Script { settings, ..Script::default() }.start();
    let mut raw = Raw::connect(reactor.address);
    for n in 0..20 {
        raw.send(100 + n, &Request::Stat(id(HELD)));
    }
    eventually("the connection is muted", || reactor.metrics.muted.value() == 1);
    assert_eq!(reactor.metrics.in_flight.value(), 8);
    // Another connection is not held up.
    assert_eq!(Raw::connect(reactor.address).status(&Request::Stat(id(AT_ONCE))), Status::Ok);
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        reactor.take_held().answer(stat(0));
        seen.insert(raw.receive().0.correlation);
        assert!(reactor.metrics.in_flight.value() <= 8);
    }
    assert_eq!(seen, (100..120).collect());
    reactor.assert_at_rest();
}

#[test]
fn content_is_whole_while_its_reader_is_slow_and_holds_little() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    raw.send(9, &Request::Get { id: id(CONTENT + 8), range: None });
    eventually("the socket is full", || reactor.metrics.sending.value() == 1);
    let mut place = 0;
    loop {
        let (header, received) = raw.receive();
        let bytes = match received {
            Received::Content(head, bytes) => {
                assert_eq!((head.meta.size, head.range.clone()), (8 << 20, 0..8 << 20));
                bytes
            }
            Received::More(bytes) => bytes,
            other => panic!("{other:?}"),
        };
        for byte in bytes {
            assert_eq!(byte, byte_at(place));
            place += 1;
        }
        if header.is_last() {
            break;
        }
    }
    assert_eq!(place, 8 << 20);
    assert!(reactor.budget_out.peak() <= 2 * (256 << 10), "{} bytes were held", reactor.budget_out.peak());
    reactor.assert_at_rest();
}

#[test]
fn content_that_breaks_in_the_middle_ends_in_an_error_and_the_connection_lives() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    raw.send(9, &Request::Get { id: id(BROKEN + 1), range: None });
    assert!(!raw.receive().0.is_last());
    let (correlation, refusal) = raw.refusal();
    assert_eq!((correlation, refusal.status), (9, Status::Damaged));
    assert_eq!(raw.status(&Request::Stat(id(AT_ONCE))), Status::Ok);
    reactor.assert_at_rest();
}

#[test]
fn replies_wait_for_room_and_all_get_it() {
    // Room for a few pieces only, and many connections that want them.
    let reactor = Script { budget_out: 1 << 20, ..Script::default() }.start();
    let readers: Vec<_> = (0..16)
        .map(|_| {
            let address = reactor.address;
            std::thread::spawn(move || {
                let mut raw = Raw::connect(address);
                raw.send(1, &Request::Get { id: id(CONTENT + 2), range: None });
                let mut bytes = 0;
                loop {
                    let (header, received) = raw.receive();
                    bytes += match received {
                        Received::Content(_, part) | Received::More(part) => part.len(),
                        other => panic!("{other:?}"),
                    };
                    if header.is_last() {
                        return bytes;
                    }
                }
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 2 << 20);
    }
    assert!(reactor.budget_out.peak() <= 1 << 20);
    reactor.assert_at_rest();
}

#[test]
fn bodies_of_every_size_arrive_byte_for_byte() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    for (n, bytes) in [0, 1, 4095, 16_343, 16_344, 16_345, 65_536, 100_000, 1 << 20, 8 << 20].into_iter().enumerate() {
        let content = content(n as u64, bytes);
        match raw.ask(&put(content.clone())) {
            Received::Stored(stored) => {
                assert_eq!(stored.hash, larder::base::checksum::content_hash(&content), "{bytes} bytes");
            }
            other => panic!("{other:?}"),
        }
        assert!(reactor.stored.lock().unwrap().pop().unwrap() == content, "{bytes} bytes differ");
    }
    reactor.assert_at_rest();
}

#[test]
fn a_body_byte_by_byte_is_the_same_body() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    let content = content(3, 300);
    for part in put(content.clone()).encode(ChecksumKind::Crc32c, 4, 0) {
        for byte in part {
            raw.bytes(&[byte]);
        }
    }
    assert!(matches!(raw.receive().1, Received::Stored(_)));
    assert!(reactor.stored.lock().unwrap().pop().unwrap() == content);
    reactor.assert_at_rest();
}

#[test]
fn stopped_bodies_hold_nobody_else_up_and_are_ended() {
    let settings = Settings { rate_window: Duration::from_millis(300), ..Settings::default() };
    let reactor = Script { settings, budget_in: 64 << 20, ..Script::default() }.start();
    // 64 connections that each send 7 of 8 MiB and stop: more than the budget holds.
    let mut stopped = Vec::new();
    let frame = put(content(1, 8 << 20)).encode(ChecksumKind::Crc32c, 2, 0).concat();
    for _ in 0..64 {
        let raw = Raw::connect(reactor.address);
        raw.socket.set_nonblocking(true).unwrap();
        stopped.push((raw, 0));
    }
    let mut other = Raw::connect(reactor.address);
    for _ in 0..50 {
        for (raw, sent) in &mut stopped {
            while *sent < 7 << 20 {
                match raw.socket.write(&frame[*sent..(*sent + (256 << 10)).min(7 << 20)]) {
                    Ok(count) => *sent += count,
                    Err(_) => break,
                }
            }
        }
        // Others go on all the while: small bodies at once.
        assert_eq!(other.status(&put(content(2, 10_000))), Status::Ok);
    }
    assert!(reactor.budget_in.peak() <= 64 << 20);
    // Large ones too, once the stopped ones are ended for bringing nothing.
    assert_eq!(other.status(&put(content(3, 8 << 20))), Status::Ok);
    eventually("the stopped bodies are ended", || reactor.metrics.timed_out_body.value() > 0);
    drop(stopped);
    reactor.assert_at_rest();
}

#[test]
fn a_peer_that_goes_away_is_counted_and_its_room_comes_back() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    raw.send(1, &Request::Stat(id(HELD)));
    raw.send(2, &Request::Get { id: id(CONTENT + 8), range: None });
    let held = reactor.take_held();
    drop(raw);
    eventually("both are abandoned", || reactor.metrics.abandoned.value() == 2);
    held.answer(stat(1));
    eventually("the connection is gone", || reactor.metrics.connections.value() == 0);
    reactor.assert_at_rest();
}

#[test]
fn a_peer_that_half_closes_still_gets_its_answers() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    raw.send(1, &Request::Stat(id(HELD)));
    raw.socket.shutdown(std::net::Shutdown::Write).unwrap();
    reactor.take_held().answer(stat(1));
    assert_eq!(raw.receive().0.correlation, 1);
    assert!(raw.has_ended());
    reactor.assert_at_rest();
}

#[test]
fn a_peer_that_does_not_read_is_ended() {
    let settings = Settings { rate_window: Duration::from_millis(200), ..Settings::default() };
    let reactor = Script { settings, ..Script::default() }.start();
    let mut raw = Raw::connect(reactor.address);
    for n in 0..8 {
        raw.send(n + 1, &Request::Get { id: id(CONTENT + 8), range: None });
    }
    eventually("the slow reader is ended", || reactor.metrics.timed_out_reader.value() == 1);
    eventually("its connection is gone", || reactor.metrics.connections.value() == 0);
    reactor.assert_at_rest();
}

#[test]
fn a_peer_that_does_not_read_is_ended_also_when_its_content_is_in_memory() {
    let settings = Settings { rate_window: Duration::from_millis(200), ..Settings::default() };
    let reactor = Script { settings, ..Script::default() }.start();
    let mut raw = Raw::connect(reactor.address);
    for n in 0..8 {
        raw.send(n + 1, &Request::Get { id: id(IN_MEMORY + 64), range: None });
    }
    eventually("the slow reader is ended", || reactor.metrics.timed_out_reader.value() == 1);
    eventually("its connection is gone", || reactor.metrics.connections.value() == 0);
    reactor.assert_at_rest();
}

#[test]
fn what_waits_behind_content_is_taken_up_when_the_content_ends() {
    // Nothing but the end of the content may bring the connection up again.
    let settings = Settings { in_flight_max: 1, deadline_default: Duration::from_secs(300), ..Settings::default() };
    let reactor = Script { settings, ..Script::default() }.start();
    let mut raw = Raw::connect(reactor.address);
    raw.socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut both = Vec::new();
    for (correlation, request) in [(1, Request::Get { id: id(SHORT), range: None }), (2, Request::Stat(id(AT_ONCE)))] {
        both.extend(request.encode(ChecksumKind::Crc32c, correlation, 0).concat());
    }
    raw.bytes(&both);
    loop {
        let (header, _) = raw.receive();
        assert_eq!(header.correlation, 1);
        if header.is_last() {
            break;
        }
    }
    assert_eq!(raw.receive().0.correlation, 2);
    reactor.assert_at_rest();
}

#[test]
fn content_goes_on_when_a_turn_ends_between_two_pieces() {
    // Pieces that others made use up a turn just when a connection has sent all it had: the next turn must go on with it.
    const READERS: usize = 24;
    let settings = Settings { deadline_default: Duration::from_secs(300), ..Settings::default() };
    let reactor = Script { settings, ..Script::default() }.start();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let mut raw = Raw::connect(reactor.address);
            raw.socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            std::thread::spawn(move || {
                for _ in 0..30 {
                    raw.send(1, &Request::Get { id: id(IN_MEMORY + 2), range: None });
                    while !raw.receive().0.is_last() {}
                }
            })
        })
        .collect();
    for reader in readers {
        reader.join().expect("all of the content came");
    }
    reactor.assert_at_rest();
}

#[test]
fn pipelined_requests_for_content_stop_at_the_bound_on_output() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    let mut all = Vec::new();
    for n in 1..=60 {
        all.extend(Request::Get { id: id(IN_MEMORY + 8), range: None }.encode(ChecksumKind::Crc32c, n, 0).concat());
    }
    raw.bytes(&all);
    eventually("the output is full", || reactor.metrics.muted.value() == 1);
    // The bound, and the piece that went over it; and what each turn put into the socket.
    let taken = reactor.metrics.accepted.value();
    assert!(reactor.budget_out.peak() <= 4 * (256 << 10), "{} bytes, {taken} requests", reactor.budget_out.peak());
}

#[test]
fn connections_that_always_have_more_do_not_keep_others_out() {
    const PINGS: u64 = 60_000;
    let reactor = Reactor::start();
    let ping = Request::Ping(Bytes::from_static(b"more")).encode(ChecksumKind::Crc32c, 1, 0).concat();
    let flood: Bytes = ping.repeat(PINGS as usize).into();
    let flooding: Vec<_> = (0..6)
        .map(|_| {
            let (raw, flood, reply_bytes) = (Raw::connect(reactor.address), flood.clone(), ping.len());
            let (mut writer, mut reader) = (raw.socket.try_clone().unwrap(), raw.socket);
            let writing = std::thread::spawn(move || writer.write_all(&flood).unwrap());
            let reading = std::thread::spawn(move || {
                let mut replies = vec![0; reply_bytes * PINGS as usize];
                reader.read_exact(&mut replies).unwrap();
            });
            (writing, reading)
        })
        .collect();
    let mut other = Raw::connect(reactor.address);
    eventually("the flood has begun", || reactor.metrics.accepted.value() > 10_000);
    for _ in 0..10 {
        assert_eq!(other.status(&Request::Stat(id(AT_ONCE))), Status::Ok);
    }
    let taken = reactor.metrics.accepted.value();
    assert!(taken < 3 * PINGS, "{taken} pings went before 10 requests of another connection");
    for (writing, reading) in flooding {
        writing.join().unwrap();
        reading.join().unwrap();
    }
    reactor.assert_at_rest();
}

#[test]
fn a_body_is_not_called_slow_for_the_time_in_which_it_was_not_read() {
    let settings = Settings {
        rate_window: Duration::from_secs(3),
        head: Duration::from_millis(900),
        read_bytes_min: 0,
        ..Settings::default()
    };
    let reactor = Script { settings, ..Script::default() }.start();
    // What tells the time: a head that is not finished is ended after its 900 ms.
    let wait = || {
        let mut clock = Raw::connect(reactor.address);
        clock.bytes(b"LARD");
        assert_eq!(clock.last_words().status, Status::TooSlow);
    };
    let mut raw = Raw::connect(reactor.address);
    raw.send(1, &Request::Get { id: id(HELD), range: None });
    let held = reactor.take_held();
    let frame = put(content(1, 1 << 20)).encode(ChecksumKind::Crc32c, 2, 0).concat();
    let (begin, rest) = frame.split_at(500);
    raw.bytes(begin);
    eventually("the body has begun", || reactor.budget_in.used() > 0);
    let bytes = 8 << 20;
    let first = Piece { parts: vec![Bytes::from(vec![0; bytes])].into(), room: None, known: None };
    held.answer(Answer::Content(Content { meta: meta(bytes as u64), range: 0..bytes as u64, first, rest: None }));
    eventually("the connection is muted", || reactor.metrics.muted.value() == 1);
    for _ in 0..4 {
        wait();
    }
    // The connection that told the time is muted too, until its end has been seen.
    eventually("that connection alone is muted", || reactor.metrics.muted.value() == 1);
    assert_eq!(raw.receive().0.correlation, 1);
    eventually("it is read again", || reactor.metrics.muted.value() == 0);
    wait();
    raw.bytes(rest);
    assert!(matches!(raw.receive().1, Received::Stored(_)));
    reactor.assert_at_rest();
}

#[test]
fn a_head_after_a_skipped_body_has_its_own_time() {
    let settings = Settings { head: Duration::from_secs(1), ..Settings::default() };
    let reactor = Script { settings, ..Script::default() }.start();
    let mut raw = Raw::connect(reactor.address);
    let mut clock = Raw::connect(reactor.address);
    // An operation that is unknown; its body comes on its own.
    let header = Header { body_bytes: 100, ..Header::request(0x6e, ChecksumKind::Crc32c, 1, 0) };
    raw.bytes(&header.encode());
    eventually("the head is here", || reactor.metrics.parsing.value() == 1);
    raw.bytes(&[0; 100]);
    assert_eq!(raw.refusal().1.status, Status::UnknownOperation);
    clock.bytes(b"LARD");
    assert_eq!(clock.last_words().status, Status::TooSlow);
    // The time of a head has gone by, and the next head comes in two halves, a tenth of its time apart.
    let ping = Request::Ping(Bytes::from_static(b"late")).encode(ChecksumKind::Crc32c, 2, 0).concat();
    let (begin, rest) = ping.split_at(20);
    raw.bytes(begin);
    let begins = Instant::now();
    eventually("a tenth of a second went by", || begins.elapsed() > Duration::from_millis(100));
    raw.bytes(rest);
    assert_eq!(raw.receive().0.correlation, 2);
    reactor.assert_at_rest();
}

#[test]
fn a_head_that_comes_a_byte_at_a_time_is_ended() {
    let settings = Settings { head: Duration::from_millis(200), ..Settings::default() };
    let reactor = Script { settings, ..Script::default() }.start();
    let mut raw = Raw::connect(reactor.address);
    raw.bytes(b"LARD");
    assert_eq!(raw.last_words().status, Status::TooSlow);
    assert_eq!(reactor.metrics.timed_out_head.value(), 1);
    reactor.assert_at_rest();
}

#[test]
fn an_idle_connection_is_closed() {
    let settings = Settings { idle: Duration::from_millis(100), ..Settings::default() };
    let reactor = Script { settings, ..Script::default() }.start();
    assert!(Raw::connect(reactor.address).has_ended());
    assert_eq!(reactor.metrics.timed_out_idle.value(), 1);
}

#[test]
fn over_the_quota_a_connection_is_told_so() {
    let reactor = Script { connections_per_address: 2, ..Script::default() }.start();
    let _first = Raw::connect(reactor.address);
    let second = Raw::connect(reactor.address);
    let refusal = Raw::silent(reactor.address).last_words();
    assert_eq!((refusal.status, refusal.status.class()), (Status::Busy, Class::Retry));
    drop(second);
    eventually("the place is free again", || {
        let mut raw = Raw::silent(reactor.address);
        raw.send(1, &Request::Hello(larder::wire::Hello::of("again")));
        matches!(raw.try_receive(), Ok(Some((_, Received::Welcome(_)))))
    });
}

#[test]
fn a_drain_finishes_what_is_in_flight_and_refuses_what_is_new() {
    let reactor = Reactor::start();
    let mut raw = Raw::connect(reactor.address);
    let mut idle = Raw::connect(reactor.address);
    raw.send(1, &Request::Stat(id(HELD)));
    let held = reactor.take_held();
    reactor.drain();
    assert!(idle.has_ended(), "an idle connection is closed");
    raw.send(2, &Request::Stat(id(AT_ONCE)));
    let (correlation, refusal) = raw.refusal();
    assert_eq!((correlation, refusal.status), (2, Status::ShuttingDown));
    held.answer(stat(1));
    assert_eq!(raw.receive().0.correlation, 1);
    assert!(raw.has_ended());
    eventually("all threads ended", || reactor.is_finished());
}

#[test]
fn garbage_of_any_shape_never_hurts() {
    let reactor = Reactor::start();
    for seed in 0..200 {
        let mut raw = if seed % 2 == 0 { Raw::connect(reactor.address) } else { Raw::silent(reactor.address) };
        let mut bytes = content(seed, 1 + (seed as usize * 37) % 3000);
        if seed % 3 == 0 {
            bytes.splice(0..0, *b"LARD");
        }
        // It may be ended before all is written.
        let _ended = raw.socket.write_all(&bytes);
        let _ended = raw.socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _reset = raw.socket.read_to_end(&mut answer);
    }
    assert_eq!(Raw::connect(reactor.address).status(&Request::Stat(id(AT_ONCE))), Status::Ok);
    reactor.assert_at_rest();
}
