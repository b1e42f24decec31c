//! Many connections that do nothing.

use crate::Verdict;
use crate::arguments::Hold;
use crate::connection;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

/// Opens connections, says on one line that they are open, and holds them until standard input ends; then says how many
/// the node had not closed.
///
/// # Errors
/// A line that says which connection could not be had.
pub fn hold(hold: &Hold) -> Result<Verdict, String> {
    raise_open_files();
    let address = connection::resolve(&hold.server)?;
    let mut held = Vec::new();
    for number in 0..hold.connections {
        let opened = open(address, hold.sources.map(|sources| number % sources));
        held.push(opened.map_err(|error| format!("{address}: connection {number}: {error}"))?);
    }
    tell(&format!("holding {} connections", held.len()))?;
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map_err(|error| format!("standard input: {error}"))?;
    let open = held.iter().filter(|stream| is_open(stream)).count();
    tell(&format!("{open} of {} are still open", held.len()))?;
    let closed = (held.len() - open) as u64;
    Ok(Verdict { failed: closed, wrong: 0 })
}

fn tell(line: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(|error| format!("standard output: {error}"))
}

fn open(address: SocketAddr, source: Option<u32>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(source) = source {
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 2)) + source);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    socket.connect(&address.into())?;
    let (_, receiver, _) = connection::greet(socket.into())?;
    Ok(receiver.into_stream())
}

/// Whether the node has neither closed the connection nor said why it will.
fn is_open(stream: &TcpStream) -> bool {
    let nothing = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
    stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0]).is_err_and(|error| nothing(&error))
}

/// Each connection takes a descriptor; the soft limit is often 1,024.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Without it the connection that has none says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
