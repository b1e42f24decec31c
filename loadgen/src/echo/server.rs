//! The echo server.
//!
//! One thread of its own runs [`Server::run`]. A turn of a connection is one read and one gathered write. Always: a
//! request costs no memory of its own; a connection is not read while 128 of its answers wait, so it holds no
//! more than those and what one read brings.

use super::frame::{ECHO_BYTES, Echo};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Answers of a connection that may wait before it is read on.
const PENDING_MAX: usize = 128;
/// Bytes that a read brings at most.
const READ_BYTES: usize = 64 << 10;
/// Bytes that all answers are slices of.
static CONTENT: [u8; 256 << 10] = [b'e'; 256 << 10];
/// Slices of a gathered write, and answers in it.
const SLICES_MAX: usize = 64;
const HEADS_MAX: usize = SLICES_MAX / 2;

const LISTENER: Token = Token(usize::MAX);
const STOP: Token = Token(usize::MAX - 1);

/// A server that listens, and does not run yet.
#[derive(Debug)]
pub struct Server {
    poll: Poll,
    listener: TcpListener,
    stopper: Stopper,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Connections that have more to read, without another event.
    again: VecDeque<usize>,
}

/// Ends a server that runs in another thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    is_stopped: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    /// Ends it after its turn.
    ///
    /// # Errors
    /// Those of waking it.
    pub fn stop(&self) -> io::Result<()> {
        self.is_stopped.store(true, Ordering::Release);
        self.waker.wake()
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// The front of a header that was cut.
    head: [u8; ECHO_BYTES],
    head_bytes: usize,
    /// Bytes of a request's body that are still to be thrown away.
    skip: u64,
    answers: VecDeque<Answer>,
    /// Bytes of the first answer that have been sent.
    sent: u64,
    is_readable: bool,
    is_writable: bool,
    is_queued: bool,
    /// The peer sends nothing more behind what is here.
    is_ending: bool,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    correlation: u64,
    bytes: u64,
}

impl Server {
    /// Takes a listener over.
    ///
    /// # Errors
    /// Those of the selector.
    pub fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), STOP)?);
        let stopper = Stopper { is_stopped: Arc::default(), waker };
        Ok(Self { poll, listener, stopper, connections: Vec::new(), free: Vec::new(), again: VecDeque::new() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What ends it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Answers until it is stopped.
    ///
    /// # Errors
    /// Those of the selector and the listener; an error of a connection ends that connection.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut input = vec![0; READ_BYTES].into_boxed_slice();
        while !self.stopper.is_stopped.load(Ordering::Acquire) {
            self.wait(&mut events)?;
            for event in &events {
                match event.token() {
                    STOP => {}
                    LISTENER => self.accept()?,
                    Token(place) => self.notice(place, event),
                }
            }
            // Those that are queued in this round are served in the next.
            for _ in 0..self.again.len() {
                let Some(place) = self.again.pop_front() else { break };
                self.turn(place, &mut input);
            }
        }
        Ok(())
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = (!self.again.is_empty()).then_some(std::time::Duration::ZERO);
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            polled => polled,
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The peer of this one has gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if stream.set_nodelay(true).is_err() {
                // So has this one's.
                continue;
            }
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poll.registry().register(&mut stream, Token(place), Interest::READABLE | Interest::WRITABLE)?;
            self.connections[place] = Some(Connection::new(stream));
        }
    }

    fn notice(&mut self, place: usize, event: &Event) {
        if let Some(Some(connection)) = self.connections.get_mut(place) {
            connection.is_readable |= event.is_readable();
            connection.is_writable |= event.is_writable();
            connection.is_ending |= event.is_read_closed();
            if !connection.is_queued {
                connection.is_queued = true;
                self.again.push_back(place);
            }
        }
    }

    fn turn(&mut self, place: usize, input: &mut [u8]) {
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        connection.is_queued = false;
        if connection.turn(input).is_err() {
            // Dropping the stream takes it out of the selector.
            self.connections[place] = None;
            self.free.push(place);
            return;
        }
        if connection.has_more() {
            connection.is_queued = true;
            self.again.push_back(place);
        }
    }
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            head: [0; ECHO_BYTES],
            head_bytes: 0,
            skip: 0,
            answers: VecDeque::with_capacity(PENDING_MAX),
            sent: 0,
            is_readable: false,
            is_writable: true,
            is_queued: false,
            is_ending: false,
        }
    }

    /// Whether there is something to do without another event.
    fn has_more(&self) -> bool {
        let reads = self.is_readable && self.answers.len() < PENDING_MAX;
        reads || (self.is_writable && !self.answers.is_empty())
    }

    /// One read and one write. An error is the end of the connection.
    fn turn(&mut self, input: &mut [u8]) -> io::Result<()> {
        if self.is_readable && self.answers.len() < PENDING_MAX {
            self.read(input)?;
        }
        if self.is_writable && !self.answers.is_empty() {
            self.write()?;
        }
        Ok(())
    }

    fn read(&mut self, input: &mut [u8]) -> io::Result<()> {
        let bytes = match self.stream.read(input) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_readable = false;
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        };
        // A short read has emptied the socket: there will be an event for what comes next, unless the end came with this.
        self.is_readable = bytes == input.len() || self.is_ending;
        let input = input.get(..bytes).unwrap_or_default();
        self.take(input).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Takes the requests in these bytes; `None` if they are none.
    fn take(&mut self, mut input: &[u8]) -> Option<()> {
        while !input.is_empty() {
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(input.len());
                self.skip -= skipped as u64;
                input = input.get(skipped..)?;
                continue;
            }
            let missing = ECHO_BYTES - self.head_bytes;
            let (front, rest) = input.split_at(missing.min(input.len()));
            self.head.get_mut(self.head_bytes..)?.get_mut(..front.len())?.copy_from_slice(front);
            self.head_bytes += front.len();
            input = rest;
            if self.head_bytes == ECHO_BYTES {
                let asked = Echo::parse(&self.head)?;
                self.head_bytes = 0;
                self.skip = asked.body_bytes;
                self.answers.push_back(Answer { correlation: asked.correlation, bytes: asked.answer_bytes });
            }
        }
        Some(())
    }

    fn write(&mut self) -> io::Result<()> {
        let mut heads = [[0; ECHO_BYTES]; HEADS_MAX];
        for (head, answer) in heads.iter_mut().zip(&self.answers) {
            let echo = Echo { correlation: answer.correlation, body_bytes: answer.bytes, answer_bytes: 0 };
            *head = echo.encode();
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let (count, bytes) = gather(&mut slices, &heads, &self.answers, self.sent);
        match self.stream.write_vectored(slices.get(..count).unwrap_or_default()) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                // A short write has filled the socket: there will be an event when there is room.
                self.is_writable = written as u64 == bytes;
                self.sent(written as u64);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_writable = false;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
        while let Some(answer) = self.answers.front() {
            let whole = ECHO_BYTES as u64 + answer.bytes;
            if self.sent < whole {
                break;
            }
            self.sent -= whole;
            self.answers.pop_front();
        }
    }
}

/// The slices of as many answers as fit, without the first `sent` bytes: how many slices, and their bytes.
fn gather<'a>(
    slices: &mut [IoSlice<'a>; SLICES_MAX],
    heads: &'a [[u8; ECHO_BYTES]; HEADS_MAX],
    answers: &VecDeque<Answer>,
    mut sent: u64,
) -> (usize, u64) {
    let mut places = slices.iter_mut();
    let (mut count, mut bytes) = (0, 0);
    for (head, answer) in heads.iter().zip(answers) {
        let skipped = usize::try_from(sent).unwrap_or(usize::MAX).min(ECHO_BYTES);
        let mut body = answer.bytes - (sent - skipped as u64);
        sent = 0;
        let mut part = head.get(skipped..).unwrap_or_default();
        while !part.is_empty() || body > 0 {
            if part.is_empty() {
                let here = usize::try_from(body).unwrap_or(usize::MAX).min(CONTENT.len());
                part = CONTENT.get(..here).unwrap_or_default();
                body -= here as u64;
            }
            let Some(place) = places.next() else { return (count, bytes) };
            *place = IoSlice::new(part);
            count += 1;
            bytes += part.len() as u64;
            part = &[];
        }
    }
    (count, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_gathered_from_wherever_they_stopped() {
        let answers: VecDeque<Answer> =
            [(1, 3), (2, 0), (3, 700 << 10)].map(|(correlation, bytes)| Answer { correlation, bytes }).into();
        let heads = [[b'h'; ECHO_BYTES]; HEADS_MAX];
        let all = |sent| {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let (count, bytes) = gather(&mut slices, &heads, &answers, sent);
            let gathered = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
            assert_eq!(gathered.len() as u64, bytes);
            gathered
        };
        let whole = all(0);
        assert_eq!(whole.len(), 3 * ECHO_BYTES + 3 + (700 << 10));
        for sent in 0..=ECHO_BYTES + 2 {
            assert!(all(sent as u64) == whole[sent..], "{sent}");
        }
    }
}
