//! A node with its HTTP origin at a place that stays the same, and the log of who asked.

use crate::ask::{Answer, ask};
use crate::program::free_address;
use crate::support::eventually;
use crate::support::process::Process;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

pub struct Origin {
    directory: TempDir,
    pub address: SocketAddr,
    process: Option<Process>,
    markers: AtomicU32,
}

impl Origin {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut origin = Self { directory, address: free_address(), process: None, markers: AtomicU32::new(0) };
        origin.again();
        origin
    }

    /// Starts the node again, at the same place.
    pub fn again(&mut self) {
        let (data, log) = (self.directory.path().join("data"), self.directory.path().join("access.log"));
        let (address, log) = (self.address.to_string(), log.to_str().unwrap());
        self.process = Some(Process::serve_with(&[&data], &["--http", &address, "--access-log", log]));
    }

    /// Ends the node. It can be started again.
    pub fn stop(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path, &[], b"")
    }

    /// Stores a file: its ETag.
    pub fn put(&self, path: &str, headers: &[(&str, &str)], content: &[u8]) -> String {
        let answer = ask(self.address, "PUT", path, headers, content);
        assert!(matches!(answer.status, 201 | 204), "{path}: {answer:?}");
        answer.field("ETag").to_string()
    }

    /// The lines of the access log, with all requests that were answered by now.
    pub fn log(&self) -> Vec<String> {
        let marker = format!("/marker-{}", self.markers.fetch_add(1, Ordering::Relaxed));
        assert_eq!(self.get(&marker).status, 404);
        let (path, mut text) = (self.directory.path().join("access.log"), String::new());
        // The log is written by a thread of its own, in order.
        eventually("the request is in the log", || {
            text = std::fs::read_to_string(&path).unwrap_or_default();
            text.contains(&format!("GET {marker} "))
        });
        text.lines().filter(|line| !line.contains("/marker-")).map(str::to_string).collect()
    }

    /// Requests of the log with this method and path, and this status.
    pub fn asked(&self, request: &str, status: u16) -> usize {
        let said = format!("\"{request} HTTP/1.1\" {status} ");
        self.log().iter().filter(|line| line.contains(&said)).count()
    }
}
