//! Whole nodes in the test's own process, on disks that the test chooses.

use larder::client::Client;
use larder::disk::{Disk, MemoryDisk, RealDisk};
use larder::node::{Configuration, Node};
use std::path::Path;
use std::sync::Arc;

/// A configuration with small files, on ports that the system chooses.
pub fn configuration() -> Configuration {
    Configuration {
        listen: "127.0.0.1:0".parse().unwrap(),
        http: "127.0.0.1:0".parse().unwrap(),
        processors: 1,
        segment_bytes: Some(64 << 20),
        reserve_bytes: Some(1 << 20),
        fill_ahead_bytes: 1 << 20,
        cache_bytes: 16 << 20,
        budget_in_bytes: 64 << 20,
        budget_out_bytes: 64 << 20,
        ..Configuration::default()
    }
}

pub fn start(configuration: &Configuration, disks: Vec<Arc<dyn Disk>>) -> Node {
    Node::start(configuration, disks, Arc::default()).expect("the node starts")
}

pub fn on_directories(configuration: &Configuration, directories: &[&Path]) -> Node {
    let disks = directories.iter().map(|path| Arc::new(RealDisk::open(path).unwrap()) as Arc<dyn Disk>);
    start(configuration, disks.collect())
}

pub fn in_memory() -> (Node, MemoryDisk) {
    let disk = MemoryDisk::new();
    (start(&configuration(), vec![Arc::new(disk.clone())]), disk)
}

pub fn client(node: &Node) -> Client {
    Client::connect(node.address().to_string()).expect("the node listens")
}

/// A number in the node's status, by its path.
pub fn number(node: &Node, path: &str) -> i64 {
    let status = node.status();
    status.pointer(path).unwrap_or_else(|| panic!("no {path} in {status}")).as_i64().expect("a number")
}

/// Every request has ended one way, and every gauge is zero.
pub fn assert_at_rest(node: &Node) {
    super::eventually("the node is at rest", || {
        let status = node.status();
        let at = |path: &str| status.pointer(path).unwrap_or_else(|| panic!("no {path}")).as_i64().unwrap();
        let ended = at("/requests/answered") + at("/requests/rejected") + at("/requests/abandoned");
        let queues = status["queues"].as_object().unwrap().values().all(|depth| depth == 0);
        let disks = status["disks"].as_array().unwrap().iter().all(|disk| {
            [
                "read_queue",
                "append_queue",
                "reads_outstanding",
                "appends_outstanding",
                "held_in_bytes",
                "held_out_bytes",
            ]
            .iter()
            .all(|gauge| disk[gauge] == 0)
        });
        at("/requests/accepted") == ended
            && at("/requests/in_flight") == 0
            && at("/connections/muted") == 0
            && at("/memory/budget_in/used_bytes") == 0
            && at("/memory/budget_out/used_bytes") == 0
            && at("/memory/budget_in/waiting") == 0
            && at("/memory/budget_out/waiting") == 0
            && queues
            && disks
    });
}

/// A node with names, whose metadata lie on a disk of their own.
pub fn with_names(configuration: &Configuration, disk: Arc<dyn Disk>, meta: Arc<dyn Disk>) -> Node {
    let meta: larder::node::MetaDirectory = Box::new(move || Ok(meta));
    Node::start_in(configuration, vec![larder::io::Directory::of(disk)], Some(meta), Arc::default())
        .expect("the node starts")
}

/// A node in memory with names, without anything that may go wrong.
pub fn with_names_in_memory(configuration: &Configuration) -> Node {
    with_names(configuration, Arc::new(MemoryDisk::new()), Arc::new(MemoryDisk::new()))
}

/// A connection to its HTTP origin.
pub fn http(node: &Node) -> super::http::Http {
    super::http::Http::connect(node.http_address().expect("the node has an origin"))
}
