//! A connection of a driver, with as many requests under way as it lets be. It reads and sends at once, as the engine does.

use loadgen::driver::target::{DriverOptions, Target};
use loadgen::driver::{Driver, Output, Reply, Sink, Slot};
use loadgen::workload::{Step, Verb};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Far more than any server needs.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Connection {
    stream: TcpStream,
    driver: Box<dyn Driver>,
    output: Output,
    input: Vec<u8>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub reply: Reply,
    pub content: Vec<u8>,
}

#[derive(Debug, Default)]
struct Slots {
    /// The step of each slot that is taken.
    steps: Vec<Option<usize>>,
    contents: Vec<Vec<u8>>,
    done: Vec<(usize, Answer)>,
}

impl Sink for Slots {
    fn content(&mut self, slot: Slot, bytes: &[u8]) {
        assert!(self.steps[slot.0 as usize].is_some(), "{slot:?} waits for nothing");
        self.contents[slot.0 as usize].extend_from_slice(bytes);
    }

    fn done(&mut self, slot: Slot, reply: Reply) {
        let step = self.steps[slot.0 as usize].take().expect("a slot ends once");
        self.done.push((step, Answer { reply, content: std::mem::take(&mut self.contents[slot.0 as usize]) }));
    }
}

impl Connection {
    /// Connects, and waits until requests may be sent.
    pub fn open(target: &Target, options: &DriverOptions) -> Self {
        let stream = TcpStream::connect(target.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let (mut driver, mut output) = (target.driver(options), Output::default());
        driver.open(&mut output);
        let mut connection = Self { stream, driver, output, input: Vec::new() };
        let (mut slots, ends) = (Slots::default(), Instant::now() + PATIENCE);
        while !connection.driver.is_ready() || !connection.output.is_empty() {
            assert!(connection.turn(&mut slots, ends), "the server closed");
        }
        connection
    }

    pub fn can(&self, verb: Verb) -> bool {
        self.driver.can(verb)
    }

    pub fn has_contents(&self) -> bool {
        self.driver.has_contents()
    }

    /// The answers to these, in their order.
    pub fn run(&mut self, steps: &[Step]) -> Vec<Answer> {
        let depth = self.driver.depth();
        let mut slots = Slots { steps: vec![None; depth], contents: vec![Vec::new(); depth], done: Vec::new() };
        let ends = Instant::now() + PATIENCE;
        let mut next = 0;
        while slots.done.len() < steps.len() {
            for slot in 0..depth {
                if slots.steps[slot].is_none() && next < steps.len() {
                    slots.steps[slot] = Some(next);
                    self.driver.encode(&steps[next], Slot(u32::try_from(slot).unwrap()), &mut self.output);
                    next += 1;
                }
            }
            assert!(self.turn(&mut slots, ends), "the server closed");
        }
        slots.done.sort_by_key(|(step, _)| *step);
        slots.done.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Whether nothing was lost when a server that does not understand has ended the connection.
    pub fn lose(mut self, step: &Step) -> bool {
        let mut slots = Slots { steps: vec![Some(0)], contents: vec![Vec::new()], done: Vec::new() };
        self.driver.encode(step, Slot(0), &mut self.output);
        // A server that waits for more learns that there is none.
        while !self.output.is_empty() {
            let sent = self.stream.write(self.output.front()).unwrap();
            self.output.sent(sent);
        }
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let ends = Instant::now() + PATIENCE;
        loop {
            self.wait(PollFlags::IN, ends);
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return self.driver.closed(&mut slots),
                Ok(bytes) => self.input.extend_from_slice(&piece[..bytes]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.driver.closed(&mut slots),
                Err(error) => panic!("{error}"),
            }
            match self.driver.decode(&self.input, &mut slots) {
                Ok(taken) => drop(self.input.drain(..taken)),
                Err(_) => return false,
            }
        }
    }

    /// Whether it was a whole end.
    pub fn close(mut self) -> bool {
        self.input.is_empty() && self.driver.closed(&mut Slots::default())
    }

    /// Sends and reads what can be without waiting, and waits first until something can; whether the server is there.
    fn turn(&mut self, slots: &mut Slots, ends: Instant) -> bool {
        let flags = if self.output.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        self.wait(flags, ends);
        while !self.output.is_empty() {
            match self.stream.write(self.output.front()) {
                Ok(sent) => self.output.sent(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let mut piece = [0; 16 << 10];
        let bytes = match self.stream.read(&mut piece) {
            Ok(0) => return false,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) => panic!("{error}"),
        };
        self.input.extend_from_slice(&piece[..bytes]);
        let taken = self.driver.decode(&self.input, slots).unwrap_or_else(|garbage| panic!("{garbage}"));
        self.input.drain(..taken);
        assert!(self.input.len() <= 64 << 10, "it leaves {} bytes", self.input.len());
        true
    }

    fn wait(&self, flags: PollFlags, ends: Instant) {
        let left = ends.checked_duration_since(Instant::now()).expect("an answer comes in time");
        let timeout = Timespec::try_from(left).unwrap();
        rustix::event::poll(&mut [PollFd::new(&self.stream, flags)], Some(&timeout)).unwrap();
    }
}
