//! The real program, in a process of its own.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

/// A configuration with small files, on ports that the system chooses.
const CONFIGURATION: &str = r#"
listen = "127.0.0.1:0"
http = "127.0.0.1:0"
processors = 1
segment_bytes = "64 MiB"
reserve_bytes = "1 MiB"
fill_ahead_bytes = "1 MiB"
cache_bytes = "16 MiB"
log = "error"
"#;

fn command(directories: &[&Path], arguments: &[&str]) -> Command {
    static WRITTEN: OnceLock<PathBuf> = OnceLock::new();
    // Once: a process that starts at the same time must not find it half written.
    let path = WRITTEN.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("larder-{}.toml", std::process::id()));
        std::fs::write(&path, CONFIGURATION).unwrap();
        path
    });
    command_of(path, directories, arguments)
}

fn command_of(configuration: &Path, directories: &[&Path], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.arg("serve").arg("--config").arg(configuration).stdin(Stdio::null());
    for directory in directories {
        command.arg("--data").arg(directory);
    }
    command.args(arguments);
    command
}

/// `larder serve`, ready. It is killed when this is dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// Where its HTTP origin listens, if it has one.
    pub http: Option<SocketAddr>,
    _output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a node and waits until it says that it is ready.
    pub fn serve(directories: &[&Path]) -> Self {
        Self::serve_with(directories, &[])
    }

    /// The same, with more arguments.
    pub fn serve_with(directories: &[&Path], arguments: &[&str]) -> Self {
        Self::ready(command(directories, arguments))
    }

    /// The same, with these lines added to its configuration.
    pub fn serve_configured(directories: &[&Path], lines: &str) -> Self {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, format!("{CONFIGURATION}{lines}")).unwrap();
        Self::ready(command_of(&path, directories, &[]))
    }

    /// The same, with at most `files` open files.
    pub fn serve_with_files(directories: &[&Path], files: usize) -> Self {
        let inner = command(directories, &[]);
        let mut outer = Command::new("sh");
        outer.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\"")).arg(inner.get_program());
        outer.args(inner.get_args()).stdin(Stdio::null());
        Self::ready(outer)
    }

    fn ready(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let (address, http) = ready_on(&line).unwrap_or_else(|| panic!("not ready: {line:?}"));
        Self { address, http, child, _output: output }
    }

    /// Its number for the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, now.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Where a node listens that said this on standard output: `larder: ready on A (1 disk)`, or `... A, http on B (1 disk)`.
pub fn ready_on(line: &str) -> Option<(SocketAddr, Option<SocketAddr>)> {
    let (places, _disks) = line.strip_prefix("larder: ready on ")?.split_once(" (")?;
    match places.split_once(", http on ") {
        None => Some((places.parse().ok()?, None)),
        Some((address, http)) => Some((address.parse().ok()?, Some(http.parse().ok()?))),
    }
}

/// Starts a node that must not start: its exit code and the one line that it says.
pub fn refused(directories: &[&Path], arguments: &[&str]) -> (i32, String) {
    let output = command(directories, arguments).output().expect("the program starts");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty(), "nothing is ready: {:?}", String::from_utf8_lossy(&output.stdout));
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 1, "one line: {error}");
    (output.status.code().expect("it ends by itself"), lines[0].to_string())
}
