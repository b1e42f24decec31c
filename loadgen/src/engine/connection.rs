//! One connection: a socket, its driver, and the requests under way.
//!
//! A worker's thread. Always: a slot is free or holds one request; what was sent is answered once, or lost once.
//!
//! ```text
//! state       becomes      when
//! Closed      Connecting   the worker opens it
//! Connecting  Ready        the socket is connected, and the driver has said what it must and heard what it waits for
//! any         Closed       the peer closed, an error, garbage, or a storm's answer
//! ```

use crate::driver::{Driver, Output, Slot};
use crate::workload::Step;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What a driver may leave unread, and what is read at once.
const UNREAD_BYTES_MAX: usize = (64 << 10) + READ_BYTES;
/// What is read at once.
pub(super) const READ_BYTES: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Connecting,
    Ready,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: State,
    pub(super) driver: Box<dyn Driver>,
    pub(super) output: Output,
    pub(super) open: Vec<Option<Open>>,
    pub(super) free: Vec<Slot>,
    /// Bytes of an answer that was not whole.
    pub(super) unread: Vec<u8>,
    /// Whether it stands in the worker's queue of those with a free slot.
    pub(super) is_queued: bool,
    /// Since when it is closed, from the worker's start.
    pub(super) closed_at: Duration,
    /// A storm's request, that is sent when the connection is ready.
    pub(super) first: Option<Open>,
    socket: Option<TcpStream>,
}

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) step: Step,
    /// When it was meant to be sent, in an open loop; from the worker's start.
    pub(super) intended: Option<Duration>,
    pub(super) sent: Duration,
    /// Bytes of content that came.
    pub(super) came: u64,
    pub(super) is_compared: bool,
    pub(super) is_wrong: bool,
}

impl Connection {
    pub(super) fn new(driver: Box<dyn Driver>) -> Self {
        Self {
            state: State::Closed,
            driver,
            output: Output::default(),
            open: Vec::new(),
            free: Vec::new(),
            unread: Vec::new(),
            is_queued: false,
            closed_at: Duration::ZERO,
            first: None,
            socket: None,
        }
    }

    /// Begins to connect.
    pub(super) fn connect(
        &mut self,
        registry: &Registry,
        token: Token,
        address: SocketAddr,
        source: Option<Ipv4Addr>,
    ) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) && error.kind() != io::ErrorKind::WouldBlock => {
                return Err(error);
            }
            _ => {}
        }
        let mut socket = TcpStream::from_std(socket.into());
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.socket = Some(socket);
        self.state = State::Connecting;
        self.output.clear();
        self.unread.clear();
        self.driver.open(&mut self.output);
        Ok(())
    }

    /// Goes on with a connection that was begun: an error of connecting, or whether it is ready for requests.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        let Some(socket) = &self.socket else {
            return Ok(false);
        };
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        if self.driver.is_ready() && self.state == State::Connecting {
            match socket.peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
                other => other?,
            };
            self.state = State::Ready;
            let depth = u32::try_from(self.driver.depth()).unwrap_or(u32::MAX);
            self.open.clear();
            self.open.resize(depth as usize, None);
            self.free.clear();
            self.free.extend((0..depth).rev().map(Slot));
            return Ok(true);
        }
        Ok(false)
    }

    /// Requests under way.
    pub(super) fn under_way(&self) -> usize {
        self.open.len() - self.free.len() + usize::from(self.first.is_some())
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        loop {
            let front = self.output.front();
            if front.is_empty() {
                return Ok(());
            }
            match socket.write(front) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.output.sent(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // It is connected when it is writable.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads once: `None` when nothing is there, 0 at the end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(socket) = &mut self.socket else {
            return Ok(None);
        };
        loop {
            match socket.read(into) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a driver left more of an answer than it may.
    pub(super) fn is_swollen(&self) -> bool {
        self.unread.len() > UNREAD_BYTES_MAX
    }

    /// Closes the socket. A storm's connections are reset, so that they leave no port behind that waits.
    pub(super) fn close(&mut self, registry: &Registry, now: Duration, reset: bool) {
        if let Some(mut socket) = self.socket.take() {
            // Both may fail only for a socket that is of no use any more.
            let _ = registry.deregister(&mut socket);
            if reset {
                let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
            }
        }
        self.state = State::Closed;
        self.closed_at = now;
        self.output.clear();
        self.unread.clear();
    }

    /// Takes out one request that is under way; no slot is free after.
    pub(super) fn take_open(&mut self) -> Option<Open> {
        self.free.clear();
        while let Some(slot) = self.open.pop() {
            if slot.is_some() {
                return slot;
            }
        }
        self.first.take()
    }
}

/// EINPROGRESS of Linux.
const IN_PROGRESS: i32 = 115;
