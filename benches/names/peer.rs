//! A connection that keeps many requests in flight and looks only at what comes back.

use larder::wire::{ChecksumKind, HEADER_BYTES, Header, Hello, Received, Request};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

pub struct Peer {
    stream: TcpStream,
    correlation: u64,
    received: Vec<u8>,
    at: usize,
    pub session: u64,
    pub number: u64,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut peer = Self { stream, correlation: 0, received: Vec::new(), at: 0, session: 0, number: 0 };
        let welcome = peer.call(&Request::Hello(Hello::of("bench")));
        assert!(matches!(welcome, Received::Welcome(_)));
        peer
    }

    /// One request, and its answer.
    pub fn call(&mut self, request: &Request) -> Received {
        let mut bytes = Vec::new();
        self.encode(request, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
        self.next()
    }

    /// Sends what `next` gives, `depth` at a time, until it gives none; the first answer that is not `good`.
    pub fn pipeline(
        &mut self,
        depth: usize,
        mut next: impl FnMut(&mut Self) -> Option<Request>,
        mut good: impl FnMut(&Received) -> bool,
    ) -> Option<Received> {
        let (mut in_flight, mut bytes, mut more) = (0, Vec::new(), true);
        loop {
            while more && in_flight < depth {
                match next(self) {
                    Some(request) => self.encode(&request, &mut bytes),
                    None => {
                        more = false;
                        break;
                    }
                }
                in_flight += 1;
            }
            if !bytes.is_empty() {
                self.stream.write_all(&bytes).unwrap();
                bytes.clear();
            }
            if in_flight == 0 {
                return None;
            }
            // All that has come, so that the next write carries many.
            loop {
                let received = self.next();
                if !good(&received) {
                    return Some(received);
                }
                in_flight -= 1;
                if in_flight == 0 || !self.has_frame() {
                    break;
                }
            }
        }
    }

    fn encode(&mut self, request: &Request, into: &mut Vec<u8>) {
        self.correlation += 1;
        for part in request.encode(ChecksumKind::Crc32c, self.correlation, 60_000) {
            into.extend_from_slice(&part);
        }
    }

    fn frame(&self) -> Option<Header> {
        let head = self.received.get(self.at..)?.first_chunk::<HEADER_BYTES>()?;
        Some(Header::parse_reply(head).unwrap())
    }

    fn has_frame(&self) -> bool {
        self.frame().is_some_and(|header| self.received.len() - self.at >= HEADER_BYTES + header.body_bytes as usize)
    }

    fn next(&mut self) -> Received {
        while !self.has_frame() {
            self.received.drain(..self.at);
            self.at = 0;
            let filled = self.received.len();
            self.received.resize(filled + (64 << 10), 0);
            let read = self.stream.read(self.received.get_mut(filled..).unwrap()).unwrap();
            assert!(read > 0, "the node closed the connection");
            self.received.truncate(filled + read);
        }
        let header = self.frame().unwrap();
        let body_at = self.at + HEADER_BYTES;
        let end = body_at + header.body_bytes as usize;
        let body = bytes::Bytes::copy_from_slice(self.received.get(body_at..end).unwrap());
        self.at = end;
        Received::parse(&header, &body, false).unwrap()
    }
}
