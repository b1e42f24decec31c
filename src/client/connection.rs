//! One connection: many requests at once, told apart by their correlation ids.
//!
//! Any thread sends, under the writer's lock, so a frame is never torn; one reader thread a connection hands each frame
//! of a reply to the request that waits for it. Always: a request that was registered gets its last frame or the news
//! that the connection is lost; unanswered requests are at most as many as the node allows; a connection that failed
//! once is never used again. Locks: writer and state are never held together.

use super::builder::after;
use super::waiting::{Event, Waiting};
use super::{ClientBuilder, ClientError};
use crate::base::limits::{BODY_BYTES_MAX, READ_BUFFER_BYTES};
use crate::request::Limits;
use crate::wire::{ChecksumKind, HEADER_BYTES, Header, HeaderError, Hello, Received, Request, Welcome};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::io::{self, BufReader, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of all frames of one reply: an object, its attributes and the fields before it.
const REPLY_BYTES_MAX: usize = BODY_BYTES_MAX;

#[derive(Debug)]
pub(super) struct Connection {
    shared: Arc<Shared>,
    checksum_kind: ChecksumKind,
    limits: Limits,
    writer: Mutex<TcpStream>,
    reader: Option<JoinHandle<()>>,
}

/// What the reader thread has in common with those who wait.
#[derive(Debug)]
struct Shared {
    peer: Arc<str>,
    socket: TcpStream,
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: HashMap<u64, Waiter>,
    correlation_next: u64,
    /// When a frame last came.
    heard: Instant,
    /// Why the connection is at its end.
    broken: Option<Arc<str>>,
}

#[derive(Debug)]
struct Waiter {
    events: Sender<Event>,
    received_bytes: usize,
}

impl Connection {
    /// Connects, and says hello.
    pub(super) fn connect(peer: &Arc<str>, options: &ClientBuilder, deadline: Instant) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Connect { peer: Arc::clone(peer), source };
        let deadline = deadline.min(after(options.connect_timeout));
        let mut stream = dial(peer, deadline).map_err(failed)?;
        let welcome = hello(&mut stream, peer, options, deadline)?;
        stream.set_read_timeout(None).map_err(failed)?;
        let shared = Arc::new(Shared {
            peer: Arc::clone(peer),
            socket: stream.try_clone().map_err(failed)?,
            state: Mutex::new(State {
                waiting: HashMap::new(),
                correlation_next: HELLO_CORRELATION + 1,
                heard: Instant::now(),
                broken: None,
            }),
            room: Condvar::new(),
        });
        let input = BufReader::with_capacity(READ_BUFFER_BYTES, stream.try_clone().map_err(failed)?);
        let of_reader = Arc::clone(&shared);
        let reader = std::thread::Builder::new()
            .name("larder-client".to_owned())
            .spawn(move || of_reader.read_all(input))
            .map_err(ClientError::System)?;
        Ok(Self {
            shared,
            checksum_kind: options.checksum_kind,
            limits: welcome.limits,
            writer: Mutex::new(stream),
            reader: Some(reader),
        })
    }

    /// Sends a request; its answer is waited for by what is returned.
    pub(super) fn send(self: &Arc<Self>, request: &Request, deadline: Instant) -> Result<Waiting, ClientError> {
        let (correlation, events) = self.register(deadline)?;
        let deadline_ms = u32::try_from(remaining(deadline).as_millis().max(1)).unwrap_or(u32::MAX);
        let frame = request.encode(self.checksum_kind, correlation, deadline_ms);
        self.write(&frame, correlation, deadline)?;
        Ok(Waiting::new(Arc::clone(self), events, deadline))
    }

    fn register(&self, deadline: Instant) -> Result<(u64, std::sync::mpsc::Receiver<Event>), ClientError> {
        let mut state = self.shared.state.lock();
        while state.broken.is_none() && state.waiting.len() >= self.limits.in_flight_max as usize {
            if self.shared.room.wait_until(&mut state, deadline).timed_out() {
                return Err(self.timed_out());
            }
        }
        if let Some(reason) = &state.broken {
            return Err(self.shared.lost(reason, false));
        }
        let correlation = state.correlation_next;
        state.correlation_next += 1;
        let (sender, events) = channel();
        let waiter = Waiter { events: sender, received_bytes: 0 };
        state.waiting.insert(correlation, waiter);
        Ok((correlation, events))
    }

    /// Writes a whole frame, or ends the connection: nothing could follow a part of one.
    fn write(&self, frame: &[Bytes; 2], correlation: u64, deadline: Instant) -> Result<(), ClientError> {
        let Some(mut writer) = self.writer.try_lock_until(deadline) else {
            // Not a byte of it was sent, so the connection is none the worse.
            self.shared.state.lock().waiting.remove(&correlation);
            self.shared.room.notify_one();
            return Err(self.timed_out());
        };
        let Err(error) = write_all(&mut writer, frame, deadline) else {
            return Ok(());
        };
        drop(writer);
        let reason = self.shared.end(&format!("writing failed: {error}"));
        Err(self.shared.lost(&reason, false))
    }

    pub(super) fn peer(&self) -> &Arc<str> {
        &self.shared.peer
    }

    pub(super) fn is_broken(&self) -> bool {
        self.shared.state.lock().broken.is_some()
    }

    pub(super) fn timed_out(&self) -> ClientError {
        ClientError::TimedOut { peer: Arc::clone(&self.shared.peer) }
    }

    pub(super) fn lost(&self, reason: &Arc<str>) -> ClientError {
        self.shared.lost(reason, true)
    }

    /// Ends the connection because the node does not keep to the protocol.
    pub(super) fn protocol_error(&self, what: impl ToString) -> ClientError {
        let what = what.to_string();
        self.shared.end(&what);
        ClientError::Protocol { peer: Arc::clone(&self.shared.peer), what }
    }

    /// Ends the connection if nothing at all came since `sent`: then it is not the request that is slow.
    pub(super) fn end_if_silent(&self, sent: Instant) {
        if self.shared.state.lock().heard < sent {
            self.shared.end("the node was silent for a whole deadline");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.end("the client is done with it");
        if let Some(reader) = self.reader.take() {
            // It ends at once: its socket is shut down. It does not panic, and could tell nobody if it did.
            let _ = reader.join();
        }
    }
}

impl Shared {
    /// The reader thread.
    fn read_all(&self, mut input: BufReader<TcpStream>) {
        let reason = loop {
            if let Err(reason) = self.read_one(&mut input) {
                break reason;
            }
        };
        self.end(&reason);
    }

    fn read_one(&self, input: &mut impl Read) -> Result<(), String> {
        let (header, body) = read_frame(input).map_err(|error| error.to_string())?;
        if header.correlation == 0 {
            return Err(match Received::parse(&header, &body, false) {
                Ok(Received::Refused(refusal)) => format!("{}: {}", refusal.status.name(), refusal.detail),
                _ => "a frame of no request".to_owned(),
            });
        }
        let damage = header.check_parts(&body, &[]).err();
        let mut state = self.state.lock();
        state.heard = Instant::now();
        let Some(waiter) = state.waiting.get_mut(&header.correlation) else {
            return Err(format!("a reply to request {}, which is not open", header.correlation));
        };
        waiter.received_bytes += body.len();
        if waiter.received_bytes > REPLY_BYTES_MAX {
            return Err(format!("a reply of more than {REPLY_BYTES_MAX} bytes"));
        }
        // Whoever gave up waiting dropped the receiver; the frames are dropped here then.
        let _ = waiter.events.send(match damage {
            None => Event::Frame(header, body),
            Some(refusal) => Event::Damaged(refusal.detail.into_owned()),
        });
        if header.is_last() {
            state.waiting.remove(&header.correlation);
            drop(state);
            self.room.notify_one();
        }
        Ok(())
    }

    /// Ends the connection, once; returns the reason that counts, which is the first.
    fn end(&self, reason: &str) -> Arc<str> {
        let mut state = self.state.lock();
        let reason = Arc::clone(state.broken.get_or_insert_with(|| reason.into()));
        for (_, waiter) in state.waiting.drain() {
            let _ = waiter.events.send(Event::Lost(Arc::clone(&reason)));
        }
        drop(state);
        self.room.notify_all();
        // It may be shut down already, by either side.
        let _ = self.socket.shutdown(Shutdown::Both);
        reason
    }

    fn lost(&self, reason: &Arc<str>, sent: bool) -> ClientError {
        ClientError::Lost { peer: Arc::clone(&self.peer), reason: Arc::clone(reason), sent }
    }
}

const HELLO_CORRELATION: u64 = 1;

fn dial(peer: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in peer.to_socket_addrs()? {
        let left = remaining(deadline);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn hello(
    stream: &mut TcpStream,
    peer: &Arc<str>,
    options: &ClientBuilder,
    deadline: Instant,
) -> Result<Welcome, ClientError> {
    let failed = |source| ClientError::Connect { peer: Arc::clone(peer), source };
    let protocol = |what: String| ClientError::Protocol { peer: Arc::clone(peer), what };
    let hello = Request::Hello(Hello::of(&options.name));
    let frame = hello.encode(options.checksum_kind, HELLO_CORRELATION, 0);
    write_all(stream, &frame, deadline).map_err(failed)?;
    let left = remaining(deadline).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left)).map_err(failed)?;
    let (header, body) = read_frame(stream).map_err(|error| match error {
        FrameError::Io(source) => failed(source),
        FrameError::Header(error) => protocol(error.to_string()),
    })?;
    if let Err(refusal) = header.check_parts(&body, &[]) {
        return Err(protocol(refusal.detail.into_owned()));
    }
    match Received::parse(&header, &body, false) {
        Ok(Received::Welcome(welcome)) if welcome.version == crate::wire::VERSION => Ok(welcome),
        Ok(Received::Refused(refusal)) => Err(ClientError::Refused(refusal)),
        Ok(_) => Err(protocol("its answer to HELLO is none".to_owned())),
        Err(bad) => Err(protocol(bad.to_string())),
    }
}

#[derive(Debug, thiserror::Error)]
enum FrameError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Header(#[from] HeaderError),
}

/// The next frame. Its length is believed after the header is verified and the length is within the bound.
fn read_frame(input: &mut impl Read) -> Result<(Header, Bytes), FrameError> {
    let mut header = [0; HEADER_BYTES];
    input.read_exact(&mut header).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the node closed it"),
        _ => error,
    })?;
    let header = Header::parse_reply(&header)?;
    let mut body = vec![0; header.body_bytes as usize];
    input.read_exact(&mut body)?;
    Ok((header, body.into()))
}

/// Writes both parts, gathered: a small frame is one packet.
fn write_all(stream: &mut TcpStream, [head, content]: &[Bytes; 2], deadline: Instant) -> io::Result<()> {
    let (mut head, mut content) = (&head[..], &content[..]);
    while !head.is_empty() || !content.is_empty() {
        let left = remaining(deadline);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        let written = match stream.write_vectored(&[IoSlice::new(head), IoSlice::new(content)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let of_head = written.min(head.len());
        head = head.get(of_head..).unwrap_or_default();
        content = content.get(written - of_head..).unwrap_or_default();
    }
    Ok(())
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
