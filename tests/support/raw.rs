//! A connection that sends and receives single frames, also wrong ones.

use bytes::Bytes;
use larder::request::{Attributes, Durability, Refusal, Status};
use larder::wire::{ChecksumKind, HEADER_BYTES, Header, Hello, Received, Request, Welcome};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub struct Raw {
    pub socket: TcpStream,
    began: HashMap<u64, bool>,
}

impl Raw {
    /// A connection before its hello.
    pub fn silent(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the node listens");
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { socket, began: HashMap::new() }
    }

    /// A connection after its hello.
    pub fn connect(address: SocketAddr) -> Self {
        let mut raw = Self::silent(address);
        raw.greet();
        raw
    }

    pub fn greet(&mut self) -> Welcome {
        self.send(1, &Request::Hello(Hello::of("test")));
        match self.receive() {
            (_, Received::Welcome(welcome)) => welcome,
            other => panic!("no welcome: {other:?}"),
        }
    }

    pub fn send(&mut self, correlation: u64, request: &Request) {
        self.send_within(correlation, request, 0);
    }

    pub fn send_within(&mut self, correlation: u64, request: &Request, deadline_ms: u32) {
        for part in request.encode(ChecksumKind::Crc32c, correlation, deadline_ms) {
            self.bytes(&part);
        }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the node reads");
    }

    /// The next frame; panics if the connection ends.
    pub fn receive(&mut self) -> (Header, Received) {
        self.try_receive().expect("the node answers").expect("the connection goes on")
    }

    /// The next frame; `None` when the connection has ended.
    pub fn try_receive(&mut self) -> io::Result<Option<(Header, Received)>> {
        let mut head = [0; HEADER_BYTES];
        match self.socket.read(&mut head[..1]) {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            other => other?,
        };
        self.socket.read_exact(&mut head[1..])?;
        let header = Header::parse_reply(&head).expect("a sound header");
        let mut body = vec![0; header.body_bytes as usize];
        self.socket.read_exact(&mut body)?;
        header.check_body(header.checksum_kind.checksum(&body)).expect("a sound body");
        let began = self.began.insert(header.correlation, !header.is_last()).unwrap_or(false);
        let received = Received::parse(&header, &Bytes::from(body), began).expect("a reply of the protocol");
        Ok(Some((header, received)))
    }

    /// The next frame, which must be a refusal.
    pub fn refusal(&mut self) -> (u64, Refusal) {
        match self.receive() {
            (header, Received::Refused(refusal)) => (header.correlation, refusal),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The next frame must be a refusal, and then the connection must end.
    pub fn last_words(&mut self) -> Refusal {
        let (_, refusal) = self.refusal();
        assert!(self.has_ended(), "the connection goes on after {refusal:?}");
        refusal
    }

    pub fn has_ended(&mut self) -> bool {
        matches!(self.try_receive(), Ok(None))
    }

    /// One request and its single answer.
    pub fn ask(&mut self, request: &Request) -> Received {
        self.send(77, request);
        let (header, received) = self.receive();
        assert_eq!(header.correlation, 77);
        received
    }

    /// The status of one request's single answer.
    pub fn status(&mut self, request: &Request) -> Status {
        match self.ask(request) {
            Received::Refused(refusal) => refusal.status,
            _ => Status::Ok,
        }
    }
}

pub fn put(content: impl Into<Bytes>) -> Request {
    Request::Put {
        durability: Durability::Disk,
        origin: Default::default(),
        attributes: Attributes::default(),
        payload: content.into(),
    }
}
