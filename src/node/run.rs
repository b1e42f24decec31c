//! `larder serve`: a node from its configuration to its clean stop.

use super::{Configuration, MetaDirectory, Node, NodeError, logging, signals::StopSignals};
use crate::disk::RealDisk;
use crate::io::Directory;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::sync::Arc;

/// The metadata directory in the first data directory, unless another is named.
const META_NAME: &str = "master";

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
/// [`NodeError`]: why it did not start.
pub fn run(configuration: &Configuration) -> Result<(), NodeError> {
    let logging = logging::start(&configuration.log).map_err(NodeError::system("the log thread"))?;
    let signals = StopSignals::catch().map_err(NodeError::system("handlers for SIGTERM and SIGINT"))?;
    raise_open_files();
    let directories = configuration.data.iter().map(|place| Directory::at(place)).collect();
    let node = Node::start_in(configuration, directories, meta(configuration), Arc::clone(&logging.dropped))?;
    announce(&node);
    signals.wait().map_err(NodeError::system("a thread for a second signal"))?;
    node.stop();
    logging.finish();
    Ok(())
}

/// The metadata directory, if this node shall be the master.
fn meta(configuration: &Configuration) -> Option<MetaDirectory> {
    let first = configuration.data.first()?;
    let place = configuration.meta.clone().unwrap_or_else(|| first.join(META_NAME));
    configuration.master.then(|| -> MetaDirectory { Box::new(move || Ok(Arc::new(RealDisk::open(place)?))) })
}

/// The one line on standard output that says that the node serves, and where.
fn announce(node: &Node) {
    let disks = match node.disks() {
        (1, 0) => "1 disk".to_string(),
        (open, 0) => format!("{open} disks"),
        (open, left_out) => format!("{open} of {} disks", open + left_out),
    };
    let http = node.http_address().map_or(String::new(), |address| format!(", http on {address}"));
    let place = format!("{}{http}", node.address());
    let line = format!("larder: ready on {place} ({disks})\n");
    if let Err(error) = std::io::stdout().write_all(line.as_bytes()) {
        log::warn!("nobody reads standard output: {error}");
    }
    log::info!("ready on {place}");
}

/// Connections and segments need descriptors: takes as many as the hard limit allows.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        log::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}
