//! One connection: hello, then frames both ways.

use bytes::Bytes;
use larder::request::Limits;
use larder::wire::{ChecksumKind, HEADER_BYTES, Header, Hello, Received, Request};
use std::io::{self, BufReader, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The node has this long to say hello, and a request this much longer than its deadline.
pub const GRACE: Duration = Duration::from_secs(5);

const READ_BYTES: usize = 64 << 10;

/// The sending half.
#[derive(Debug)]
pub struct Sender(TcpStream);

/// The receiving half.
#[derive(Debug)]
pub struct Receiver(BufReader<TcpStream>);

/// Where the node is.
///
/// # Errors
/// A line that names the address.
pub fn resolve(server: &str) -> Result<SocketAddr, String> {
    let mut found = server.to_socket_addrs().map_err(|error| format!("{server}: {error}"))?;
    found.next().ok_or_else(|| format!("{server}: the name has no address"))
}

/// Connects and says hello.
///
/// # Errors
/// A line that names the node.
pub fn connect(address: SocketAddr) -> Result<(Sender, Receiver, Limits), String> {
    let stream = TcpStream::connect(address).map_err(|error| format!("{address}: cannot connect: {error}"))?;
    greet(stream).map_err(|error| format!("{address}: no hello: {error}"))
}

/// Says hello on a new connection.
///
/// # Errors
/// Those of the socket; `InvalidData` if the answer is no hello.
pub fn greet(stream: TcpStream) -> io::Result<(Sender, Receiver, Limits)> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(GRACE))?;
    let mut sender = Sender(stream.try_clone()?);
    let mut receiver = Receiver(BufReader::with_capacity(READ_BYTES, stream));
    sender.send(&Request::Hello(Hello::of("loadgen")), 1, 0)?;
    match receiver.receive(|_| false)? {
        (_, Received::Welcome(welcome)) => Ok((sender, receiver, welcome.limits)),
        (_, other) => Err(invalid(format!("the node answered {other:?}"))),
    }
}

fn invalid(what: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

impl Sender {
    /// Sends a request.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send(&mut self, request: &Request, correlation: u64, deadline_ms: u32) -> io::Result<()> {
        let [head, content] = request.encode(ChecksumKind::Crc32c, correlation, deadline_ms);
        let written = self.0.write_vectored(&[IoSlice::new(&head), IoSlice::new(&content)])?;
        let (head_written, content_written) = (written.min(head.len()), written.saturating_sub(head.len()));
        self.0.write_all(&head.slice(head_written..))?;
        self.0.write_all(&content.slice(content_written..))
    }

    /// Ends the connection, both ways.
    pub fn end(&self) {
        // It may be at its end already.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

impl Receiver {
    /// How long a frame may take to come.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn patience(&self, patience: Duration) -> io::Result<()> {
        self.0.get_ref().set_read_timeout(Some(patience))
    }

    /// The socket, without what was read ahead: for connections on which nothing is under way.
    pub fn into_stream(self) -> TcpStream {
        self.0.into_inner()
    }

    /// The next frame. `content_began` says of a correlation whether content came for it before.
    ///
    /// # Errors
    /// Those of the socket; `InvalidData` if the node does not keep to the protocol or a checksum does not match.
    pub fn receive(&mut self, content_began: impl FnOnce(u64) -> bool) -> io::Result<(Header, Received)> {
        let mut head = [0; HEADER_BYTES];
        self.0.read_exact(&mut head)?;
        let header = Header::parse_reply(&head).map_err(invalid)?;
        // The header's checksum was verified, and its length is bounded.
        let mut body = vec![0; header.body_bytes as usize];
        self.0.read_exact(&mut body)?;
        let body = Bytes::from(body);
        header.check_parts(&body, &[]).map_err(|refusal| invalid(refusal.detail))?;
        let received = Received::parse(&header, &body, content_began(header.correlation)).map_err(invalid)?;
        Ok((header, received))
    }
}
