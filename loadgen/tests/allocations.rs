//! Goal: a request costs no memory: neither its driver nor the echo server allocates for it.
//!
//! Method: an allocator that counts what each thread asks for. A connection asks a node and an echo server over loopback
//! until all buffers have grown, and is counted then.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(unsafe_code, reason = "an allocator is an unsafe trait")]

#[path = "drivers/servers.rs"]
#[allow(dead_code, reason = "only servers in this process are asked")]
mod servers;

use larder::request::Durability;
use loadgen::driver::target::{DriverOptions, Target};
use loadgen::driver::{Driver, Output, Reply, Sink, Slot};
use loadgen::workload::{Key, Object, Step, Verb};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all is done by the allocator of the system; the counter needs no memory and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps to what the same call of the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above; it came from there.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// The last answer.
#[derive(Default)]
struct Last {
    reply: Option<Reply>,
    bytes: usize,
}

impl Sink for Last {
    fn content(&mut self, _: Slot, bytes: &[u8]) {
        self.bytes += bytes.len();
    }

    fn done(&mut self, _: Slot, reply: Reply) {
        self.reply = Some(reply);
    }
}

struct Line {
    stream: TcpStream,
    driver: Box<dyn Driver>,
    output: Output,
    input: Box<[u8]>,
    filled: usize,
}

impl Line {
    fn open(target: &Target) -> Self {
        let options = DriverOptions {
            depth: 2,
            durability: Durability::Memory,
            deadline_ms: 0,
            creates: true,
            directory: "/load".to_owned(),
        };
        let stream = TcpStream::connect(target.address).unwrap();
        let (mut driver, mut output) = (target.driver(&options), Output::default());
        driver.open(&mut output);
        let mut line = Self { stream, driver, output, input: vec![0; 128 << 10].into(), filled: 0 };
        line.send();
        while !line.driver.is_ready() {
            line.read(&mut Last::default());
        }
        line
    }

    fn ask(&mut self, verb: Verb, object: Object) -> Reply {
        let range = (verb == Verb::Range).then_some((1, 50));
        self.driver.encode(&Step { verb, object, range, place: 0 }, Slot(0), &mut self.output);
        self.send();
        let mut last = Last::default();
        while last.reply.is_none() {
            self.read(&mut last);
        }
        last.reply.unwrap()
    }

    fn send(&mut self) {
        while !self.output.is_empty() {
            let sent = self.stream.write(self.output.front()).unwrap();
            self.output.sent(sent);
        }
    }

    fn read(&mut self, last: &mut Last) {
        let bytes = self.stream.read(&mut self.input[self.filled..]).unwrap();
        assert!(bytes > 0, "the server closed");
        self.filled += bytes;
        let taken = self.driver.decode(&self.input[..self.filled], last).unwrap();
        self.input.copy_within(taken..self.filled, 0);
        self.filled -= taken;
    }
}

/// What requests of each kind cost, once as many were made before.
fn check(target: &Target) {
    let mut line = Line::open(target);
    for bytes in [100, 40_000] {
        let object = |number| Object { key: Key { seed: 7, number }, bytes, id: None };
        let Reply::Ok { id } = line.ask(Verb::Put, object(0)) else { panic!("{target}: the put is refused") };
        for verb in Verb::ALL.into_iter().filter(|verb| *verb != Verb::Delete) {
            if !line.driver.can(verb) {
                continue;
            }
            for is_counted in [false, true] {
                let before = allocations();
                for _ in 0..50 {
                    // What a node is asked to make has no id yet; a name that is looked up was made before.
                    let (number, id) = if verb == Verb::Lookup { (1, None) } else { (u64::from(verb.makes()), id) };
                    let id = id.filter(|_| !verb.makes());
                    let reply = line.ask(verb, Object { id, ..object(number) });
                    assert!(matches!(reply, Reply::Ok { .. } | Reply::Missing), "{target} {verb}: {reply:?}");
                }
                let cost = allocations() - before;
                assert!(!is_counted || cost == 0, "{target}: {cost} allocations for 50 times {verb} of {bytes} bytes");
            }
        }
    }
}

#[test]
fn drivers_of_a_node_take_no_memory_for_a_request() {
    let (node, binary, http) = servers::node();
    check(&binary.target);
    check(&http.target);
    node.stop();
}

#[test]
fn the_echo_takes_no_memory_for_a_request_on_either_side() {
    let server = loadgen::echo::Server::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let target = servers::target(&format!("echo://{}", server.address().unwrap()));
    let stopper = server.stopper();
    let thread = std::thread::spawn(move || {
        let before = allocations();
        server.run().unwrap();
        allocations() - before
    });
    check(&target);
    stopper.stop().unwrap();
    let cost = thread.join().unwrap();
    assert!(cost < 50, "{cost} allocations for 800 requests on one connection");
}

#[test]
fn memory_is_counted() {
    let before = allocations();
    drop(std::hint::black_box(vec![0u8; 10]));
    assert!(allocations() > before);
}
