//! Goal: a client tells replies apart, ends by its deadline, repeats only what is safe, and hands out no wrong byte.
//! Method: a scripted node on loopback.

use super::fake::{Fake, Peer, Script, of_connection};
use super::{Client, ClientBuilder, ClientError, PutOptions};
use crate::base::checksum::content_hash;
use crate::base::ids::{ContentHash, ObjectId};
use crate::request::{
    Answer, Attributes, Call, Class, Content, Durability, Meta, Outcome, Piece, Pieces, Refusal, Stage, Status, Stored,
};
use crate::wire::{Get, Header, Opcode, PutHead, ReplyTo, encode_answer, encode_refusal};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

fn id() -> ObjectId {
    "3-1f-00c0ffee00c0ffee".parse().unwrap()
}

fn options() -> ClientBuilder {
    Client::builder().connections(1)
}

fn with_node(options: ClientBuilder, in_flight_max: u32, scripts: Vec<Script>, test: impl FnOnce(&Client)) {
    let fake = Fake::run(in_flight_max, scripts);
    let client = options.connect(fake.address.to_string()).unwrap();
    test(&client);
    drop(client);
    fake.join();
}

fn script(script: impl FnOnce(&mut Peer) + Send + 'static) -> Script {
    Box::new(script)
}

fn stored(body: &[u8]) -> Answer {
    let payload = &body[PutHead::BYTES..];
    Answer::Stored(Stored {
        id: id(),
        hash: content_hash(payload),
        size: payload.len() as u64,
        durability: Durability::Disk,
    })
}

fn piece(content: &[u8]) -> Piece {
    Piece { parts: vec![Bytes::copy_from_slice(content)].into(), room: None, known: None }
}

#[derive(Debug)]
struct Rest;

impl Pieces for Rest {
    fn next(&mut self, _: Call<'_>) -> Outcome<()> {
        Outcome::Pending
    }

    fn is_done(&self) -> bool {
        false
    }
}

/// The first frame of an object of ten bytes; further ones follow.
fn first_of_ten(content: &[u8], hash: ContentHash) -> Answer {
    Answer::Content(Content {
        meta: Arc::new(Meta { size: 10, hash, stored_ms: 5, attributes: Attributes::default() }),
        range: 0..10,
        first: piece(content),
        rest: Some(Box::new(Rest)),
    })
}

#[test]
fn replies_find_their_requests_in_any_order() {
    let node = script(|peer| {
        let mut open: Vec<_> = (0..20).map(|_| peer.expect(Opcode::Put)).collect();
        open.reverse();
        for (header, body) in open {
            peer.answer(&header, stored(&body), false);
        }
    });
    with_node(options(), 100, vec![node], |client| {
        let tickets: Vec<_> = (0..20u8).map(|n| (n, client.submit_put(vec![n; 100], PutOptions::default()))).collect();
        for (n, ticket) in tickets {
            assert_eq!(ticket.wait().unwrap().hash, content_hash(&[n; 100]));
        }
    });
}

#[test]
fn frames_of_two_contents_may_interleave() {
    let (a, b) = (b"0123456789", b"abcdefghij");
    let node = script(move |peer| {
        let [(first, _), (second, _)] = [peer.expect(Opcode::Get), peer.expect(Opcode::Get)];
        peer.answer(&first, first_of_ten(&a[..4], content_hash(a)), true);
        peer.answer(&second, first_of_ten(&b[..1], content_hash(b)), true);
        peer.answer(&first, Answer::More(piece(&a[4..6])), true);
        peer.answer(&second, Answer::More(piece(&b[1..])), false);
        peer.answer(&first, Answer::More(piece(&a[6..])), false);
    });
    with_node(options(), 100, vec![node], |client| {
        let tickets = [client.submit_get(id(), None), client.submit_get(id(), None)];
        let contents = tickets.map(|ticket| ticket.wait().unwrap().content);
        assert_eq!((&contents[0][..], &contents[1][..]), (&a[..], &b[..]));
    });
}

#[test]
fn a_range_is_asked_for_and_a_stream_is_written() {
    let content = b"0123456789";
    let node = script(move |peer| {
        let (header, body) = peer.expect(Opcode::Get);
        assert_eq!(Get::parse(&body).unwrap().range.map(|range| (range.start, range.length)), Some((2, 3)));
        peer.answer(&header, first_of_ten(content, content_hash(content)), true);
        peer.answer(&header, Answer::More(Piece::default()), false);
        let (header, _) = peer.expect(Opcode::Get);
        peer.answer(&header, first_of_ten(&content[..5], content_hash(content)), true);
        peer.answer(&header, Answer::More(piece(&content[5..])), false);
    });
    with_node(options(), 100, vec![node], |client| {
        assert_eq!(client.get_range(id(), 2, 3).unwrap().range, 0..10);
        let mut output = Vec::new();
        assert_eq!(client.get_to(id(), &mut output).unwrap().size, 10);
        assert_eq!(output, content);
    });
}

#[test]
fn the_largest_object_goes_there_and_back() {
    // Far more than a socket takes at once, so that frames are written and read in parts.
    let content: Bytes = (0..8u32 << 20).map(|n| (n % 251) as u8).collect();
    let sent = content.clone();
    let node = script(move |peer| {
        let (header, body) = peer.expect(Opcode::Put);
        peer.answer(&header, stored(&body), false);
        assert!(body[PutHead::BYTES..] == sent);
        let (header, _) = peer.expect(Opcode::Get);
        let meta = Arc::new(Meta {
            size: sent.len() as u64,
            hash: content_hash(&sent),
            stored_ms: 5,
            attributes: Attributes::default(),
        });
        let mut pieces = sent.chunks(256 << 10);
        let first = Content {
            meta,
            range: 0..sent.len() as u64,
            first: piece(pieces.next().unwrap()),
            rest: Some(Box::new(Rest)),
        };
        peer.answer(&header, Answer::Content(first), true);
        while let Some(next) = pieces.next() {
            peer.answer(&header, Answer::More(piece(next)), pieces.len() > 0);
        }
    });
    with_node(options(), 100, vec![node], |client| {
        let stored = client.put(content.clone(), PutOptions::default()).unwrap();
        let object = client.get(stored.id).unwrap();
        assert!(object.content == content && object.range == (0..8 << 20));
    });
}

#[test]
fn many_threads_share_a_client() {
    let node = script(|peer| {
        for _ in 0..200 {
            let (header, body) = peer.expect(Opcode::Put);
            peer.answer(&header, stored(&body), false);
        }
    });
    with_node(options(), 3, vec![node], |client| {
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                scope.spawn(move || {
                    for n in 0..50u8 {
                        let content = vec![thread, n, 7];
                        let stored = client.put(content.clone(), PutOptions::default()).unwrap();
                        assert_eq!(stored.hash, content_hash(&content));
                    }
                });
            }
        });
    });
}

#[test]
fn a_silent_node_is_given_up_at_the_deadline() {
    let (done, wait) = channel::<()>();
    let silent = script(move |peer| {
        let (header, _) = peer.expect(Opcode::Stat);
        assert!((1..=60).contains(&header.deadline_ms), "the node is told the deadline");
        let _ = wait.recv();
        peer.wait_for_end();
    });
    let alive = script(|peer| {
        let (header, body) = peer.expect(Opcode::Ping);
        peer.answer(&header, Answer::Pong(body), false);
    });
    with_node(options(), 100, vec![silent, alive], |client| {
        let began = Instant::now();
        let error = client.with_deadline(Duration::from_millis(60)).stat(id()).unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
        assert_eq!(error.class(), Class::Unknown);
        assert!(began.elapsed() >= Duration::from_millis(60));
        drop(done);
        // Nothing was heard for the whole time, so the next call uses another connection.
        client.ping("again").unwrap();
    });
}

#[test]
fn a_slow_request_leaves_the_connection_to_others() {
    let (answered, wait) = channel::<()>();
    let node = script(move |peer| {
        let (slow, _) = peer.expect(Opcode::Stat);
        let (header, body) = peer.expect(Opcode::Ping);
        peer.answer(&header, Answer::Pong(body), false);
        let _ = wait.recv();
        // The answer that comes too late finds nobody, and harms nobody.
        peer.refuse(&slow, Status::NotFound);
        let (header, body) = peer.expect(Opcode::Ping);
        peer.answer(&header, Answer::Pong(body), false);
    });
    with_node(options(), 100, vec![node], |client| {
        let slow = client.with_deadline(Duration::from_millis(50));
        let other = client.clone();
        let (sent, may_ping) = channel::<()>();
        let pinging = std::thread::spawn(move || {
            let _ = may_ping.recv();
            other.ping("meanwhile").unwrap();
        });
        let ticket = slow.submit_stat(id());
        sent.send(()).unwrap();
        pinging.join().unwrap();
        assert!(matches!(ticket.wait(), Err(ClientError::TimedOut { .. })));
        answered.send(()).unwrap();
        client.ping("after").unwrap();
    });
}

#[test]
fn damage_is_never_handed_out() {
    let content = b"0123456789";
    let node = script(move |peer| {
        // A byte of the frame changes on its way; asked again, the content is not that of its hash.
        let (header, _) = peer.expect(Opcode::Get);
        let reply = encode_answer(ReplyTo::request(&header), first_of_ten(b"0123", content_hash(content)), true);
        let mut bytes = [&reply.head[..], &reply.parts.concat()].concat();
        *bytes.last_mut().unwrap() ^= 1;
        peer.write_bytes(&bytes);
        peer.answer(&header, Answer::More(piece(b"456789")), false);
        let (header, _) = peer.expect(Opcode::Get);
        peer.answer(&header, first_of_ten(b"0123", content_hash(b"other")), true);
        peer.answer(&header, Answer::More(piece(b"456789")), false);
        let (header, _) = peer.expect(Opcode::Get);
        peer.answer(&header, first_of_ten(b"0123", content_hash(content)), true);
        peer.refuse(&header, Status::Damaged);
    });
    with_node(options().retry_burst(1), 100, vec![node], |client| {
        let error = client.get(id()).unwrap_err();
        assert!(matches!(error, ClientError::Corrupt { .. }), "{error}");
        let error = client.get(id()).unwrap_err();
        assert_eq!((error.status(), error.class()), (Some(Status::Damaged), Class::Report));
    });
}

#[test]
fn a_stream_that_breaks_off_says_how_far_it_came_and_is_not_repeated() {
    let node = script(|peer| {
        let (header, _) = peer.expect(Opcode::Get);
        peer.answer(&header, first_of_ten(b"0123", ContentHash(1)), true);
        peer.refuse(&header, Status::Busy);
        peer.wait_for_end();
    });
    with_node(options(), 100, vec![node], |client| {
        let mut output = Vec::new();
        let error = client.get_to(id(), &mut output).unwrap_err();
        assert!(matches!(error, ClientError::BrokeOff { written: 4, .. }), "{error}");
        assert_eq!(output, b"0123");
    });
}

#[test]
fn busy_is_tried_again_after_the_nodes_delay() {
    let node = script(|peer| {
        for retry_after_ms in [30, 0] {
            let (header, _) = peer.expect(Opcode::Put);
            let busy = Refusal::busy(Stage::AppendQueue, retry_after_ms, "full");
            peer.answer(&header, Answer::Refused(busy), false);
        }
        let (header, body) = peer.expect(Opcode::Put);
        peer.answer(&header, stored(&body), false);
    });
    with_node(options(), 100, vec![node], |client| {
        let began = Instant::now();
        client.put("content", PutOptions::default()).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(30));
    });
}

#[test]
fn retries_end_with_their_budget_and_facts_are_not_retried() {
    let node = script(|peer| {
        for status in [Status::Busy, Status::Busy, Status::NotFound, Status::Full] {
            let (header, _) = peer.read();
            peer.refuse(&header, status);
        }
        peer.wait_for_end();
    });
    with_node(options().retry_burst(1), 100, vec![node], |client| {
        let put = || client.put("content", PutOptions::default()).unwrap_err().status();
        assert_eq!(put(), Some(Status::Busy));
        assert_eq!(client.stat(id()).unwrap_err().status(), Some(Status::NotFound));
        assert_eq!(put(), Some(Status::Full));
    });
}

#[test]
fn after_a_lost_connection_only_what_is_safe_is_sent_again() {
    let lose_put = script(|peer| drop(peer.expect(Opcode::Put)));
    let lose_delete = script(|peer| drop(peer.expect(Opcode::Delete)));
    let alive = script(|peer| {
        let (header, _) = peer.expect(Opcode::Delete);
        peer.answer(&header, Answer::Deleted(Durability::Disk), false);
        peer.wait_for_end();
    });
    with_node(options(), 100, vec![lose_put, lose_delete, alive], |client| {
        let error = client.put("content", PutOptions::default()).unwrap_err();
        assert!(matches!(error, ClientError::Lost { sent: true, .. }), "{error}");
        assert_eq!(error.class(), Class::Unknown, "it may be stored");
        assert_eq!(client.delete(id()).unwrap(), Durability::Disk);
    });
}

#[test]
fn no_more_requests_are_open_than_the_node_allows() {
    let node = script(|peer| {
        for _ in 0..10 {
            let (first, body_first) = peer.expect(Opcode::Put);
            let (second, body_second) = peer.expect(Opcode::Put);
            peer.answer(&second, stored(&body_second), false);
            peer.answer(&first, stored(&body_first), false);
        }
    });
    with_node(options(), 2, vec![node], |client| {
        let tickets: Vec<_> = (0..20u8).map(|n| client.submit_put(vec![n], PutOptions::default())).collect();
        for ticket in tickets {
            ticket.wait().unwrap();
        }
    });
    let silent = script(|peer| {
        peer.expect(Opcode::Put);
        peer.wait_for_end();
    });
    with_node(options(), 1, vec![silent], |client| {
        let client = client.with_deadline(Duration::from_millis(20));
        let _open = client.submit_put("a", PutOptions::default());
        let error = client.put("b", PutOptions::default()).unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    });
}

#[test]
fn the_nodes_last_words_are_the_reason() {
    let node = script(|peer| {
        peer.expect(Opcode::Put);
        let refusal = Refusal::new(Status::TooSlow, "nothing was read for 30 s");
        peer.write(&encode_refusal(of_connection(), &refusal));
    });
    with_node(options(), 100, vec![node], |client| {
        let error = client.put("content", PutOptions::default()).unwrap_err();
        assert!(error.to_string().contains("TOO_SLOW: nothing was read"), "{error}");
    });
}

#[test]
fn a_node_that_breaks_the_protocol_is_left() {
    let breaks: Vec<fn(&mut Peer, &Header)> = vec![
        |peer, _| peer.write_bytes(&[b'x'; 40]),
        |peer, header| peer.answer(header, Answer::Deleted(Durability::Disk), true),
        |peer, header| {
            let unknown = Header { correlation: 999, ..*header };
            peer.answer(&unknown, Answer::Deleted(Durability::Disk), false);
        },
        |peer, header| {
            let wrong = Header { opcode: Opcode::Ping.code(), ..*header };
            peer.answer(&wrong, Answer::Pong(Bytes::new()), false);
        },
    ];
    for (n, broken) in breaks.into_iter().enumerate() {
        let node = script(move |peer| {
            let (header, _) = peer.expect(Opcode::Stat);
            broken(peer, &header);
            peer.wait_for_end();
        });
        with_node(options().retry_burst(0), 100, vec![node], |client| {
            let error = client.stat(id()).unwrap_err();
            assert!(matches!(error, ClientError::Lost { .. } | ClientError::Protocol { .. }), "{n}: {error}");
        });
    }
}

#[test]
fn what_is_over_a_limit_is_not_sent() {
    let node = script(|peer| peer.wait_for_end());
    with_node(options(), 100, vec![node], |client| {
        let error = client.put(vec![0; (8 << 20) + 1], PutOptions::default()).unwrap_err();
        assert_eq!(error.status(), Some(Status::TooLarge));
        assert_eq!(client.ping(vec![0; 4097]).unwrap_err().status(), Some(Status::TooLarge));
    });
}

#[test]
fn nobody_listening_is_said_with_the_address() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let error = options().connect(address.clone()).unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }) && error.to_string().contains(&address));
}

#[test]
fn the_node_describes_itself() {
    let node = script(|peer| {
        let (header, _) = peer.expect(Opcode::Status);
        peer.answer(&header, Answer::Status(Bytes::from_static(b"{\"ready\":true}")), false);
    });
    with_node(options(), 100, vec![node], |client| {
        assert_eq!(client.status().unwrap()["ready"], true);
    });
}
