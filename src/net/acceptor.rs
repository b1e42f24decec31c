//! The acceptor: the thread that owns the listeners, asks the quotas, and hands connections to processors in turn.
//!
//! Always: it waits for nothing but its poll. A connection goes to the next processor whose inbox has room; while all
//! are full, or no descriptor is left, accepting pauses and the backlog of the kernel holds what comes.

use super::control::Control;
use super::inbox::{Accepted, Inbox};
use super::protocol::Guest;
use super::quota::{OverQuota, Quota};
use super::selector::{Selector, SelectorWaker};
use crate::base::clock::Clock;
use crate::base::mailbox::Wake;
use crate::metrics::NodeMetrics;
use crate::request::{Refusal, Stage, Status};
use mio::net::{TcpListener, TcpStream};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const PAUSE_FULL: Duration = Duration::from_millis(2);
const PAUSE_NO_DESCRIPTOR: Duration = Duration::from_millis(100);
/// Connections taken from one listener before the other is looked at.
const ACCEPTS_IN_A_ROW: usize = 64;
const BACKLOG: i32 = 4096;

/// A socket that listens, and what is spoken on it.
pub struct Listener {
    socket: TcpListener,
    guest: Arc<dyn Guest>,
    address: SocketAddr,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).field("guest", &self.guest.name()).finish()
    }
}

/// An address that is taken, but where nobody is let in yet.
#[derive(Debug)]
pub struct Bound(socket2::Socket);

impl Bound {
    /// Binds an address.
    ///
    /// # Errors
    /// That of the system: in use, not ours, not allowed.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        // A restart may take the address while old connections linger.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(Self(socket))
    }

    /// Lets peers in, and speaks this with them.
    ///
    /// # Errors
    /// That of the system: somebody else bound the address at the same time, and listens already.
    pub fn listen(self, guest: Arc<dyn Guest>) -> io::Result<Listener> {
        self.0.listen(BACKLOG)?;
        let socket = TcpListener::from_std(self.0.into());
        let address = socket.local_addr()?;
        Ok(Listener { socket, guest, address })
    }
}

impl Listener {
    /// Binds an address and listens there.
    ///
    /// # Errors
    /// As of [`Bound::to`] and [`Bound::listen`].
    pub fn bind(address: SocketAddr, guest: Arc<dyn Guest>) -> io::Result<Self> {
        Bound::to(address)?.listen(guest)
    }

    /// The address that was bound: with the port that the system chose, if it was asked for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The acceptor, before and while it runs.
pub struct Acceptor {
    selector: Selector,
    waker: SelectorWaker,
    listeners: Vec<(Listener, bool)>,
    inboxes: Vec<Inbox>,
    next: usize,
    quota: Arc<Quota>,
    clock: Arc<dyn Clock>,
    metrics: Arc<NodeMetrics>,
    control: Arc<Control>,
    /// A connection that found all inboxes full.
    held: Option<Accepted>,
    is_starved: bool,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// An acceptor of these listeners.
    ///
    /// # Errors
    /// Those of epoll: no descriptor is left.
    pub fn new(
        listeners: Vec<Listener>,
        inboxes: Vec<Inbox>,
        quota: Arc<Quota>,
        clock: Arc<dyn Clock>,
        metrics: Arc<NodeMetrics>,
        control: Arc<Control>,
    ) -> io::Result<Self> {
        assert!(!inboxes.is_empty(), "a node has at least one processor");
        let (selector, waker) = Selector::new(16)?;
        let mut listeners: Vec<_> = listeners.into_iter().map(|listener| (listener, true)).collect();
        for (key, (listener, _)) in listeners.iter_mut().enumerate() {
            selector.register(&mut listener.socket, key, false)?;
        }
        Ok(Self {
            selector,
            waker,
            listeners,
            inboxes,
            next: 0,
            quota,
            clock,
            metrics,
            control,
            held: None,
            is_starved: false,
        })
    }

    /// What ends its poll, so that it looks at its control.
    #[must_use]
    pub fn nudge(&self) -> Box<dyn Wake> {
        Box::new(self.waker.clone())
    }

    /// Runs until it is told to drain; then the listeners are closed.
    ///
    /// # Errors
    /// That of epoll.
    pub fn run(mut self) -> io::Result<()> {
        let mut pause = None;
        while !self.control.is_draining() {
            self.selector.wait(pause)?;
            for (key, _) in self.selector.events() {
                if let Some((_, ready)) = self.listeners.get_mut(key) {
                    *ready = true;
                }
            }
            pause = self.accept();
        }
        Ok(())
    }

    /// Accepts what waits. Returns how long to pause at most: `None` when all listeners are drained.
    fn accept(&mut self) -> Option<Duration> {
        if let Some(held) = self.held.take()
            && let Some(pause) = self.hand_over(held)
        {
            return Some(pause);
        }
        let mut pause = None;
        for key in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_IN_A_ROW {
                let Some((listener, ready)) = self.listeners.get_mut(key).filter(|(_, ready)| *ready) else {
                    break;
                };
                match listener.socket.accept() {
                    Ok((socket, peer)) => {
                        let guest = Arc::clone(&listener.guest);
                        if let Some(pause) = self.admit(socket, peer, guest) {
                            return Some(pause);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        *ready = false;
                        self.recovered();
                    }
                    Err(error) => match self.starved(&error) {
                        Some(pause) => return Some(pause),
                        // The connection was gone before it was taken: the next one.
                        None => continue,
                    },
                }
            }
            if self.listeners.get(key).is_some_and(|(_, ready)| *ready) {
                pause = Some(Duration::ZERO);
            }
        }
        pause
    }

    fn admit(&mut self, socket: TcpStream, peer: SocketAddr, guest: Arc<dyn Guest>) -> Option<Duration> {
        self.recovered();
        let admission = match self.quota.admit(peer.ip()) {
            Ok(admission) => admission,
            Err(over) => {
                self.turn_away(socket, &*guest, over, peer);
                return None;
            }
        };
        if let Err(error) = socket.set_nodelay(true) {
            log::debug!("acceptor: TCP_NODELAY for {peer}: {error}");
        }
        self.metrics.connections_accepted.increment();
        self.hand_over(Accepted { socket, guest, address: peer, admission, at: self.clock.now() })
    }

    /// Gives the connection to the next processor with room.
    fn hand_over(&mut self, mut accepted: Accepted) -> Option<Duration> {
        for _ in 0..self.inboxes.len() {
            let inbox = &self.inboxes[self.next];
            self.next = (self.next + 1) % self.inboxes.len();
            match inbox.offer(accepted) {
                Ok(()) => return None,
                Err(back) => accepted = back,
            }
        }
        self.metrics.accept_pauses.increment();
        self.held = Some(accepted);
        Some(PAUSE_FULL)
    }

    /// A connection over the quota is told so, if its socket takes it at once, and closed.
    fn turn_away(&self, mut socket: TcpStream, guest: &dyn Guest, over: OverQuota, peer: SocketAddr) {
        self.metrics.connections_refused.increment();
        let detail = match over {
            OverQuota::Total => "the node has as many connections as it may",
            OverQuota::Address => "your address has as many connections as it may",
        };
        log::debug!("acceptor: {peer} was turned away: {detail}");
        let words = guest.turn_away(&Refusal {
            status: Status::Busy,
            stage: Stage::Processor,
            retry_after_ms: 1000,
            detail: detail.into(),
        });
        // Whether it hears the reason or not, it is closed.
        if let Err(error) = socket.write(&words) {
            log::debug!("acceptor: {peer} did not take its refusal: {error}");
        }
    }

    /// No descriptor or memory is left: pause. `None` when the error concerns one connection only.
    fn starved(&mut self, error: &io::Error) -> Option<Duration> {
        use rustix::io::Errno;
        let starving = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(Errno::raw_os_error);
        if !error.raw_os_error().is_some_and(|number| starving.contains(&number)) {
            log::debug!("acceptor: a connection ended before it was accepted: {error}");
            return None;
        }
        if !self.is_starved {
            log::warn!(
                "acceptor: accepting pauses, connections wait in the backlog: {error}; raise the limit of open files"
            );
            self.metrics.accept_pauses.increment();
            self.is_starved = true;
        }
        Some(PAUSE_NO_DESCRIPTOR)
    }

    fn recovered(&mut self) {
        if self.is_starved {
            self.is_starved = false;
            log::info!("acceptor: descriptors are free again, accepting goes on");
        }
    }
}
