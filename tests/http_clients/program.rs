//! Programs of this machine: where they are, and running them until a test ends.

use crate::support::eventually;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// Where a program is; if it is not there, says that the test is skipped.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join(program)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// What a program said, which must have gone well.
pub fn succeeded(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A place where nothing listens. The ports are below those that the system gives to connections, so that none of them is
/// taken before the program listens there.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different ones.
    let first = std::process::id() * 61;
    loop {
        let next = first + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + next % 20_000).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A program that runs until this is dropped, with the processes that it starts.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it. What it says goes to the file `log` of its directory.
    pub fn start(mut command: Command, directory: &Path) -> Self {
        let log = directory.join("log");
        let file = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).current_dir(directory);
        // A group of its own, so that those that it starts end with it.
        let child = command.process_group(0).spawn().expect("the program starts");
        Self { child, log }
    }

    /// Starts it, and waits until it listens there.
    pub fn listening(command: Command, directory: &Path, address: SocketAddr) -> Self {
        let mut daemon = Self::start(command, directory);
        eventually("the program listens", || {
            daemon.assert_runs();
            TcpStream::connect(address).is_ok()
        });
        daemon
    }

    pub fn assert_runs(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended: {}", std::fs::read_to_string(&self.log).unwrap_or_default());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ended = self.child.wait();
    }
}
