//! The program as a child of the test, and nodes for it.

use larder::base::ids::{ClusterId, NodeId};
use larder::request::Limits;
use larder::wire::{HEADER_BYTES, Header, ReplyTo, VERSION, Welcome, encode_welcome};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How a program went.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The program, started, with its output in pipes.
pub fn spawn(arguments: &[&str], input: Stdio) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(arguments).env_remove("LARDER_SERVER").env_remove("RUST_LOG");
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program is built")
}

/// Runs the program to its end.
pub fn larder(arguments: &[&str]) -> Ran {
    larder_with_input(arguments, b"")
}

pub fn larder_with_input(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = spawn(arguments, Stdio::piped());
    // A program that needs no input may be at its end already.
    let _ = child.stdin.take().unwrap().write_all(input);
    let ended = child.wait_with_output().unwrap();
    Ran {
        code: ended.status.code().unwrap_or_else(|| panic!("{arguments:?} was ended by {}", ended.status)),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

/// Waits until `condition` holds; fails the test if it does not within a minute.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let ends = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < ends, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// `larder serve` on a directory of its own. It ends with the test, whatever became of it.
pub struct Node {
    data: tempfile::TempDir,
    child: Option<Child>,
    address: String,
}

impl Node {
    /// A node that is ready.
    pub fn start() -> Self {
        let mut node = Self { data: tempfile::tempdir().unwrap(), child: None, address: String::new() };
        node.start_again();
        node
    }

    /// Starts it on the same directory, on another port.
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// As [`start_again`](Self::start_again), with more arguments.
    pub fn start_again_with(&mut self, more: &[&str]) {
        assert!(self.child.is_none(), "it runs");
        let data = self.data.path().display().to_string();
        let places = ["serve", "--data", &data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let arguments = [&places[..], &["--processors", "1", "--log", "off"]].concat();
        let mut child = spawn(&[&arguments[..], more].concat(), Stdio::null());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("larder: ready on ").and_then(|rest| rest.split([' ', ',']).next());
        let Some(address) = address else {
            let mut why = String::new();
            child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("the node is not ready: {line:?}, {why}");
        };
        self.address = address.to_string();
        self.child = Some(child);
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Runs a command against this node.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        larder(&[arguments, &["--server", &self.address]].concat())
    }

    /// The option that names this node, for commands that have it.
    pub fn server<'a>(&'a self, arguments: &[&str]) -> Vec<&'a str> {
        if arguments.first() == Some(&"completions") { Vec::new() } else { vec!["--server", &self.address] }
    }

    /// Ends it at once, without a chance to do anything about it.
    #[allow(dead_code, reason = "each test file uses a part of it")]
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops it with SIGTERM; gives its exit code.
    pub fn stop(&mut self) -> i32 {
        let mut child = self.child.take().expect("it runs");
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait().unwrap().code().expect("a node that is asked to stop ends by itself")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The test may have failed while it was at its end; the directory goes away in any case.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Something that says hello like a node, and answers nothing else, for as long as its client stays.
pub fn deaf_node() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hello = read_frame(&mut stream);
        let limits = Limits {
            cluster: ClusterId(1),
            node: NodeId(2),
            body_bytes_max: 8_396_800,
            chunk_bytes_max: 8_388_608,
            in_flight_max: 128,
            deadline_default_ms: 1000,
            deadline_max_ms: 60_000,
        };
        let welcome = encode_welcome(ReplyTo::request(&hello), &Welcome { version: VERSION, limits });
        stream.write_all(&[&welcome.head[..], &welcome.parts.concat()].concat()).unwrap();
        // Until the client goes away.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    address
}

fn read_frame(stream: &mut TcpStream) -> Header {
    let mut head = [0; HEADER_BYTES];
    stream.read_exact(&mut head).unwrap();
    let header = Header::parse_request(&head).unwrap();
    stream.read_exact(&mut vec![0; header.body_bytes as usize]).unwrap();
    header
}
