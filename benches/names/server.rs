//! The node in a process of its own, and what the kernel knows of it.

use larder::client::Client;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    child: Child,
    directory: PathBuf,
    pub address: SocketAddr,
}

/// Nanoseconds of CPU by the name of the thread.
#[derive(Clone, Debug)]
pub struct Cpu(BTreeMap<String, u64>);

impl Server {
    pub fn start(directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(["serve", "--listen", "127.0.0.1:0", "--no-http", "--processors", "1", "--log", "warn", "--data"])
            .arg(directory.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("larder: ready on ").and_then(|rest| rest.split_once([' ', ','])).unwrap().0;
        Self { child, directory: directory.to_path_buf(), address: address.parse().unwrap() }
    }

    /// Ends it at once, and starts it anew; how long until it served.
    pub fn kill_and_start(&mut self) -> Duration {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let began = Instant::now();
        *self = Self::start(&self.directory.clone());
        began.elapsed()
    }

    /// CPU of each thread so far; threads of one role count together.
    pub fn cpu(&self) -> Cpu {
        let mut cpu = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let task = task.unwrap().path();
            let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
            let Ok(times) = fs::read_to_string(task.join("schedstat")) else { continue };
            let ns: u64 = times.split_whitespace().next().unwrap().parse().unwrap();
            let role = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_string();
            *cpu.entry(role).or_default() += ns;
        }
        Cpu(cpu)
    }

    /// Commands and syncs of the log so far.
    pub fn log_counts(&self) -> (u64, u64) {
        let status = Client::connect(self.address.to_string()).unwrap().status().unwrap();
        let number = |path: &str| status.pointer(path).unwrap().as_u64().unwrap();
        (number("/master/commands"), number("/master/syncs"))
    }

    /// Bytes of the state and of the log on the disk.
    pub fn meta_bytes(&self) -> (u64, u64) {
        use std::os::unix::fs::MetadataExt;
        let (mut state, mut log) = (0, 0);
        for file in fs::read_dir(self.directory.join("data/master")).unwrap() {
            let file = file.unwrap();
            let bytes = file.metadata().unwrap().blocks() * 512;
            if file.file_name().to_string_lossy().starts_with("log") { log += bytes } else { state += bytes }
        }
        (state, log)
    }

    /// Resident bytes of its own memory.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// Drops the pages of the metadata files, as far as they are clean.
    pub fn drop_pages(&self) {
        for file in fs::read_dir(self.directory.join("data/master")).unwrap() {
            let file = fs::File::open(file.unwrap().path()).unwrap();
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        _ = kill_process(pid, Signal::TERM);
        drop(self.child.wait());
    }
}

impl Cpu {
    pub fn total_us(&self) -> f64 {
        self.0.values().sum::<u64>() as f64 / 1000.0
    }

    /// What each role took for one of `count`, in microseconds, the small ones left out.
    pub fn shares(&self, count: u64) -> String {
        let share = |ns: u64| ns as f64 / 1000.0 / count as f64;
        let roles = self.0.iter().filter(|(_, ns)| share(**ns) >= 0.1);
        roles.map(|(role, ns)| format!("{role} {:.1}", share(*ns))).collect::<Vec<_>>().join(", ")
    }
}

impl std::ops::Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let spent = |(role, ns): (String, u64)| {
            let spent = ns.saturating_sub(before.0.get(&role).copied().unwrap_or(0));
            (role, spent)
        };
        Self(self.0.into_iter().map(spent).collect())
    }
}
