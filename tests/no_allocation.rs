//! Goal: answering what is hot allocates nothing on a processor's thread, whatever is in flight; what comes from the page
//! cache allocates once, for the owner of the bytes that are read.
//! Method: a whole node on a directory in the test's own process, under an allocator that counts by thread; the same requests
//! again and again over 64 connections, counted once everything is warm.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

#[path = "no_allocation/counting.rs"]
mod counting;
mod support;

use bytes::Bytes;
use counting::{Allocations, Counting, Role};
use larder::base::ids::ObjectId;
use larder::client::PutOptions;
use larder::node::{Configuration, Node};
use larder::wire::{ChecksumKind, Request};
use parking_lot::{Mutex, MutexGuard};
use std::io::{Read, Write};
use std::net::TcpStream;
use support::content;
use support::http::Http;
use support::node::{client, configuration, http, on_directories, with_names_in_memory};
use support::raw::Raw;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests take turns: what is counted belongs to one node.
static TURN: Mutex<()> = Mutex::new(());

const CONNECTIONS: usize = 64;
const OBJECTS: usize = 200;
const OBJECT_BYTES: usize = 4096;
/// Rounds before it is counted: every buffer gets its size.
const WARM_UP: usize = 10;
/// Times that each object is asked for before that, one after another: what is kept is kept from its second look on.
const LOOKS: usize = 4;
const ROUNDS: usize = 40;
/// Over thousands of requests: memory that was let go in a pause and is taken anew.
const ALLOWED: u64 = 16;

struct Warm {
    node: Node,
    ids: Vec<ObjectId>,
    _directory: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

fn warm(configuration: &Configuration) -> Warm {
    let turn = TURN.lock();
    let directory = tempfile::tempdir().unwrap();
    let node = on_directories(configuration, &[directory.path()]);
    let client = client(&node);
    let puts = (0..OBJECTS).map(|seed| {
        let bytes: Bytes = content(seed as u64, OBJECT_BYTES).into();
        client.put(bytes, PutOptions::default()).unwrap().id
    });
    let ids = puts.collect();
    Warm { node, ids, _directory: directory, _turn: turn }
}

/// One round: each connection asks for `depth` objects, then takes as many answers, unread but for their length.
fn round(sockets: &mut [TcpStream], requests: &[Vec<u8>], answer_bytes: usize, depth: usize, from: usize) {
    for (number, socket) in sockets.iter_mut().enumerate() {
        let asked: Vec<u8> =
            (0..depth).flat_map(|at| requests[(from + number * depth + at) % requests.len()].clone()).collect();
        socket.write_all(&asked).unwrap();
    }
    let mut answers = vec![0; answer_bytes * depth];
    for socket in sockets {
        socket.read_exact(&mut answers).unwrap();
    }
}

fn count(sockets: &mut [TcpStream], requests: &[Vec<u8>], answer_bytes: usize, depth: usize) -> (Allocations, usize) {
    let mut rounds =
        |count| (0..count).for_each(|at| round(sockets, requests, answer_bytes, depth, at * CONNECTIONS * depth));
    rounds(WARM_UP);
    (Allocations::during(|| rounds(ROUNDS)), ROUNDS * CONNECTIONS * depth)
}

fn assert_at_most(each: usize, sockets: &mut [TcpStream], requests: &[Vec<u8>], answer_bytes: usize, depth: usize) {
    let (allocations, asked) = count(sockets, requests, answer_bytes, depth);
    let found = allocations.of(Role::Processor);
    println!("{asked} GETs, {depth} in flight: {found} allocations");
    // What is read from files goes to a reader's thread now and then, where the machine has other things to do.
    let now_and_then = each * asked / 20;
    assert!(
        found <= ALLOWED + (each * asked + now_and_then) as u64,
        "{found} in {asked} GETs, {depth} in flight:\n{}",
        allocations.places()
    );
}

fn heat(socket: &mut TcpStream, requests: &[Vec<u8>], answer_bytes: usize) {
    let mut answer = vec![0; answer_bytes];
    for request in requests.iter().flat_map(|request| std::iter::repeat_n(request, LOOKS)) {
        socket.write_all(request).unwrap();
        socket.read_exact(&mut answer).unwrap();
    }
}

/// `each` is what one answer may allocate.
fn gets_over_the_binary_protocol(configuration: &Configuration, each: usize) {
    let warm = warm(configuration);
    let mut raws: Vec<Raw> = (0..CONNECTIONS).map(|_| Raw::connect(warm.node.address())).collect();
    let request = |id| Request::Get { id, range: None }.encode(ChecksumKind::Crc32c, 9, 0).concat();
    let requests: Vec<Vec<u8>> = warm.ids.iter().map(|id| request(*id)).collect();
    let first = &mut raws[0];
    first.bytes(&requests[0]);
    let (header, _) = first.receive();
    let answer_bytes = larder::wire::HEADER_BYTES + header.body_bytes as usize;
    let mut sockets: Vec<TcpStream> = raws.into_iter().map(|raw| raw.socket).collect();
    heat(&mut sockets[0], &requests, answer_bytes);
    for depth in [1, 16, 32] {
        assert_at_most(each, &mut sockets, &requests, answer_bytes, depth);
    }
    drop(sockets);
    warm.node.stop();
}

#[test]
fn gets_from_the_cache_of_verified_blocks() {
    gets_over_the_binary_protocol(&configuration(), 0);
}

#[test]
fn gets_from_the_page_cache() {
    gets_over_the_binary_protocol(&Configuration { cache_bytes: 0, ..configuration() }, 1);
}

#[test]
fn whole_answers_over_http() {
    let _turn = TURN.lock();
    let node = with_names_in_memory(&configuration());
    let mut connections: Vec<Http> = (0..CONNECTIONS).map(|_| http(&node)).collect();
    let names: Vec<String> = (0..OBJECTS).map(|number| format!("/pictures/{number:03}.jpg")).collect();
    for (seed, name) in names.iter().enumerate() {
        assert_eq!(connections[0].put(name, &content(seed as u64, OBJECT_BYTES)).status, 201);
    }
    let requests: Vec<Vec<u8>> =
        names.iter().map(|name| format!("GET {name} HTTP/1.1\r\nHost: node\r\n\r\n").into_bytes()).collect();
    let answer_bytes = bytes_of_an_answer(&mut connections[0].socket, &requests[0]);
    let mut sockets: Vec<TcpStream> = connections.into_iter().map(|connection| connection.socket).collect();
    heat(&mut sockets[0], &requests, answer_bytes);
    // What more there is at once, of frames in a turn or of answers that wait without room in a budget, is kept unread in
    // exactly as much memory as it takes: once a turn, not once a request.
    for depth in [1, 8] {
        assert_at_most(0, &mut sockets, &requests, answer_bytes, depth);
    }
    drop(sockets);
    node.stop();
}

/// All answers to such requests are of one length.
fn bytes_of_an_answer(socket: &mut TcpStream, request: &[u8]) -> usize {
    socket.write_all(request).unwrap();
    let mut all: Vec<u8> = Vec::new();
    let head_bytes = loop {
        let mut some = [0; 1024];
        let read = socket.read(&mut some).unwrap();
        all.extend(&some[..read]);
        if let Some(at) = all.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let mut rest = vec![0; head_bytes + OBJECT_BYTES - all.len()];
    socket.read_exact(&mut rest).unwrap();
    head_bytes + OBJECT_BYTES
}
