//! A node made of a script: it accepts connections one after the other and runs one script on each.
//!
//! Always: a script that fails, or that no connection came for, fails the test when the fake is joined.

use crate::base::ids::{ClusterId, NodeId};
use crate::request::{Answer, Limits, Status};
use crate::wire::{
    ChecksumKind, HEADER_BYTES, Header, Opcode, Reply, ReplyTo, VERSION, Welcome, encode_answer, encode_welcome,
};
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

pub(super) type Script = Box<dyn FnOnce(&mut Peer) + Send>;

pub(super) struct Fake {
    pub(super) address: SocketAddr,
    thread: JoinHandle<()>,
}

/// The node's end of one connection, after the hello.
pub(super) struct Peer(TcpStream);

impl Fake {
    /// A node that runs the scripts, each on a connection of its own, which ends with its script.
    pub(super) fn run(in_flight_max: u32, scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            for script in scripts {
                let (stream, _) = listener.accept().unwrap();
                let mut peer = Peer(stream);
                peer.welcome(in_flight_max);
                script(&mut peer);
            }
        });
        Self { address, thread }
    }

    pub(super) fn join(self) {
        self.thread.join().expect("the script went as written");
    }
}

impl Peer {
    fn welcome(&mut self, in_flight_max: u32) {
        let (header, _) = self.read();
        assert_eq!(header.opcode, Opcode::Hello.code());
        let limits = Limits {
            cluster: ClusterId(1),
            node: NodeId(2),
            body_bytes_max: 8_396_800,
            chunk_bytes_max: 8_388_608,
            in_flight_max,
            deadline_default_ms: 1000,
            deadline_max_ms: 10_000,
        };
        let welcome = Welcome { version: VERSION, limits };
        self.write(&encode_welcome(ReplyTo::request(&header), &welcome));
    }

    /// The next request.
    pub(super) fn read(&mut self) -> (Header, Bytes) {
        let mut header = [0; HEADER_BYTES];
        self.0.read_exact(&mut header).unwrap();
        let header = Header::parse_request(&header).unwrap();
        let mut body = vec![0; header.body_bytes as usize];
        self.0.read_exact(&mut body).unwrap();
        header.check_parts(&body, &[]).unwrap();
        (header, body.into())
    }

    /// The next request, which must be of this kind.
    pub(super) fn expect(&mut self, opcode: Opcode) -> (Header, Bytes) {
        let (header, body) = self.read();
        assert_eq!(header.opcode, opcode.code());
        (header, body)
    }

    pub(super) fn answer(&mut self, to: &Header, answer: Answer, more_follows: bool) {
        self.write(&encode_answer(ReplyTo::request(to), answer, more_follows));
    }

    pub(super) fn refuse(&mut self, to: &Header, status: Status) {
        self.answer(to, Answer::refused(status, "as the script says"), false);
    }

    pub(super) fn write(&mut self, reply: &Reply) {
        self.write_bytes(&[&reply.head[..], &reply.parts.concat()].concat());
    }

    pub(super) fn write_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Waits until the client has closed its end.
    pub(super) fn wait_for_end(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = self.0.read_to_end(&mut rest);
    }
}

/// A frame about the connection itself.
pub(super) fn of_connection() -> ReplyTo {
    ReplyTo { opcode: 0, correlation: 0, checksum_kind: ChecksumKind::Crc32 }
}
